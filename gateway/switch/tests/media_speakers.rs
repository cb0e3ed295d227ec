//! Speaker selection takes anything and keeps its promises.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tandem_switch::id::FlowId;
use tandem_switch::media::speakers::{Loudness, Selection};
use tandem_switch::time::Instant;

#[derive(Clone, Debug)]
enum Act {
    Add(u32),
    Remove(u32),
    Places(usize),
    Packet { flow: u32, level: u8 },
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => (0..12u32).prop_map(Act::Add),
        1 => (0..12u32).prop_map(Act::Remove),
        1 => (0..20usize).prop_map(Act::Places),
        20 => (0..14u32, 0..=127u8).prop_map(|(flow, level)| Act::Packet { flow, level }),
        4 => (0..400_000u64).prop_map(Act::Wait),
    ]
}

proptest! {
    /// Never more at once than there are places, nobody who was not added, and whoever is let through holds a place.
    #[test]
    fn never_more_than_there_are_places(acts in prop::collection::vec(act(), 0..400)) {
        let (mut places, mut now) = (3, 0);
        let mut selection = Selection::new(places);
        let mut added = BTreeSet::new();
        for act in acts {
            let at = Instant::from_micros(now);
            match act {
                Act::Add(flow) => { selection.add(FlowId(flow)); added.insert(flow); }
                Act::Remove(flow) => { selection.remove(FlowId(flow)); added.remove(&flow); }
                Act::Places(wanted) => { selection.set_places(at, wanted); places = wanted.clamp(1, 16); }
                Act::Packet { flow, level } => {
                    let passed = selection.heard(at, FlowId(flow), Loudness::below_overload(level));
                    prop_assert!(!passed || added.contains(&flow));
                    let free = selection.held() < places;
                    prop_assert!(passed || !free || !added.contains(&flow), "a packet was dropped though a place is free");
                }
                Act::Wait(micros) => now += micros,
            }
            prop_assert!(selection.held() <= places.min(added.len()));
            prop_assert!(selection.speaking(Instant::from_micros(now)).len() <= selection.held());
        }
    }

    /// Whoever is steadily louder than everybody else by 10 dB is heard within a second, whatever went on before: two who held
    /// the place before may each keep it for a while.
    #[test]
    fn a_steady_loud_talker_gets_a_place(
        before in prop::collection::vec((1..8u32, 30..=127u8), 0..600),
        places in 1..4usize,
        others in 35..=127u8,
    ) {
        let mut selection = Selection::new(places);
        (0..8).for_each(|flow| selection.add(FlowId(flow)));
        let mut now = 0;
        for (flow, level) in before {
            now += 5_000;
            selection.heard(Instant::from_micros(now), FlowId(flow), Loudness::below_overload(level));
        }
        let mut heard = false;
        for _ in 0..50 {
            now += 20_000;
            for flow in 1..8 {
                selection.heard(Instant::from_micros(now), FlowId(flow), Loudness::below_overload(others));
            }
            // A voice moves.
            let level = if now / 20_000 % 2 == 0 { 15 } else { 22 };
            heard |= selection.heard(Instant::from_micros(now), FlowId(0), Loudness::below_overload(level));
        }
        prop_assert!(heard);
    }
}
