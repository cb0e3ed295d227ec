//! A room under any sequence of inputs: after it has fallen silent every member's list is the truth, as far as the member may see.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tandem_switch::id::{FlowId, RoomName, UserId};
use tandem_switch::room::{
    Entry, Input, Newcomer, Output, Room, RoomAction, RoomKind, RoomLimits, RoomMember, RoomNews, RoomState,
};
use tandem_switch::time::Instant;

#[derive(Clone, Debug)]
enum Act {
    Join(u32, Entry),
    Input(Input),
    Wait(u64),
}

fn flow() -> impl Strategy<Value = FlowId> {
    (0..12u32).prop_map(FlowId)
}

fn entry() -> impl Strategy<Value = Entry> {
    let flag = |weight: f64| prop::bool::weighted(weight);
    (flag(0.6), flag(0.3), flag(0.3), flag(0.5), flag(0.05), flag(0.2), flag(0.5)).prop_map(
        |(speaks, muted, moderator, starts, ends, waits, announced)| Entry {
            speaks,
            muted,
            moderator,
            starts,
            ends,
            waits,
            announced,
        },
    )
}

fn action() -> impl Strategy<Value = RoomAction> {
    prop_oneof![
        Just(RoomAction::Leave),
        Just(RoomAction::RaiseHand),
        prop::option::of(flow()).prop_map(|member| RoomAction::LowerHand { member }),
        prop::option::of(flow()).prop_map(|member| RoomAction::Silence { member }),
        prop::option::of(flow()).prop_map(|member| RoomAction::Unsilence { member }),
        flow().prop_map(|member| RoomAction::LetSpeak { member }),
        flow().prop_map(|member| RoomAction::StopSpeaking { member }),
        flow().prop_map(|member| RoomAction::Kick { member }),
        prop::option::of(flow()).prop_map(|member| RoomAction::Admit { member }),
        Just(RoomAction::Lock),
        Just(RoomAction::Unlock),
        Just(RoomAction::Lobby),
        Just(RoomAction::NoLobby),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..12u32, entry()).prop_map(|(flow, entry)| Act::Join(flow, entry)),
        1 => flow().prop_map(|flow| Act::Input(Input::Gone(flow))),
        8 => (flow(), action()).prop_map(|(flow, action)| Act::Input(Input::Act(flow, action))),
        2 => (flow(), any::<bool>()).prop_map(|(flow, muted)| Act::Input(Input::Mute(flow, muted))),
        2 => flow().prop_map(|flow| Act::Input(Input::Away(flow))),
        2 => flow().prop_map(|flow| Act::Input(Input::Back(flow))),
        2 => prop::collection::vec(flow(), 0..4).prop_map(|flows| Act::Input(Input::Speaking(flows))),
        4 => (0..500_000u64).prop_map(Act::Wait),
    ]
}

/// What a member knows, as a client keeps it.
#[derive(Debug, Default)]
struct View {
    you: Option<RoomMember>,
    members: BTreeMap<FlowId, RoomMember>,
    state: Option<RoomState>,
    speakers: Vec<FlowId>,
    talks: bool,
    hears: bool,
}

impl View {
    fn read(&mut self, news: &RoomNews) {
        if news.whole {
            self.members.clear();
        }
        self.you = news.you.clone().or(self.you.take());
        self.members.extend(news.members.iter().map(|member| (member.flow, member.clone())));
        news.gone.iter().for_each(|flow| drop(self.members.remove(flow)));
        self.state = news.state.or(self.state);
        if let Some(speakers) = &news.speakers {
            self.speakers = speakers.iter().map(|speaker| speaker.flow).collect();
        }
    }
}

struct World {
    room: Room,
    now: u64,
    /// Of everybody who was ever let in and has not been told to leave.
    views: BTreeMap<FlowId, View>,
}

impl World {
    fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    fn drain(&mut self) {
        while let Some(output) = self.room.poll() {
            match output {
                Output::Tell(to, news) => {
                    for flow in to {
                        // A link that is lost takes what is sent with it.
                        let away = self.room.members().any(|member| member.flow == flow && member.away);
                        if let Some(view) = self.views.get_mut(&flow).filter(|_| !away) {
                            view.read(&news);
                        }
                    }
                }
                Output::Voice { member, talks, hears } => {
                    if let Some(view) = self.views.get_mut(&member) {
                        (view.talks, view.hears) = (talks, hears);
                    }
                }
                Output::Out(flow, _) => drop(self.views.remove(&flow)),
                Output::Over => {}
            }
        }
    }

    fn act(&mut self, act: Act) {
        let now = self.now();
        match act {
            Act::Join(flow, entry) => {
                let flow = FlowId(flow);
                self.views.entry(flow).or_default();
                let newcomer = Newcomer { user: UserId::new("somebody").unwrap(), name: None, entry };
                self.room.handle(now, Input::Join(flow, Box::new(newcomer))).unwrap();
            }
            Act::Input(input) => {
                let gone = if let Input::Gone(flow) = input { Some(flow) } else { None };
                // A refusal changes nothing; that is what the comparison shows.
                let _ = self.room.handle(now, input);
                gone.and_then(|flow| self.views.remove(&flow));
            }
            Act::Wait(micros) => self.now += micros,
        }
        self.drain();
        if self.room.poll_timeout().is_some_and(|due| due <= self.now()) {
            self.room.handle_timeout(self.now());
            self.drain();
        }
    }

    fn settle(&mut self) {
        while let Some(due) = self.room.poll_timeout() {
            self.now = self.now.max(due.as_micros());
            self.room.handle_timeout(self.now());
            self.drain();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn every_members_list_is_the_truth(
        kind in prop_oneof![Just(RoomKind::Conference), Just(RoomKind::Channel)],
        members_max in 1..14usize,
        acts in prop::collection::vec(act(), 0..150),
    ) {
        let limits = RoomLimits { members_max, speakers: 3 };
        let mut world = World { room: Room::new(RoomName::new("r").unwrap(), kind, limits), now: 0, views: BTreeMap::new() };
        for act in acts {
            world.act(act);
            prop_assert!(world.room.members().count() <= members_max);
        }
        world.settle();
        let truth: BTreeMap<FlowId, RoomMember> = world.room.members().map(|member| (member.flow, member.clone())).collect();
        prop_assert_eq!(truth.keys().collect::<Vec<_>>(), world.views.keys().collect::<Vec<_>>());
        let state = world.room.state();
        prop_assert_eq!(state.present as usize, truth.values().filter(|member| !member.waiting).count());
        for (flow, view) in &world.views {
            let member = &truth[flow];
            let takes_part = state.started && !member.waiting && !member.away;
            prop_assert_eq!(view.hears, takes_part);
            prop_assert_eq!(view.talks, takes_part && member.speaks && !member.muted && !member.silenced);
            if member.away {
                continue;
            }
            prop_assert_eq!(view.you.as_ref(), Some(member));
            if member.waiting {
                prop_assert!(view.members.is_empty() && view.state.is_none());
                continue;
            }
            let is_seen = |other: &&RoomMember| {
                let public = !other.waiting && (kind == RoomKind::Conference || other.speaks);
                public || member.moderator && (other.hand || other.waiting || other.moderator)
            };
            let seen: BTreeMap<_, _> = truth.values().filter(is_seen).map(|other| (other.flow, other.clone())).collect();
            prop_assert_eq!(&view.members, &seen);
            prop_assert_eq!(view.state, Some(state));
            for speaker in &view.speakers {
                prop_assert!(world.views.get(speaker).is_some_and(|view| view.talks), "{:?} does not talk", speaker);
            }
        }
    }
}
