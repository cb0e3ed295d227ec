//! The jitter buffer against small networks: exact counts of what was played, concealed and given up.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tandem_switch::media::jitter::{Counters, JitterBuffer, PACKETS_MAX, Playout, TARGET_MAX, TARGET_MIN};
use tandem_switch::time::Instant;

const FRAME_MS: u64 = 20;
const FRAME_TICKS: u32 = 960;

/// A sender, a network that does what the test says, and a loudspeaker that pulls every 20 ms.
struct Line {
    buffer: JitterBuffer,
    /// `(arrival in µs, sequence, timestamp, payload)`, in order of arrival.
    underway: Vec<(u64, u16, u32, Bytes)>,
    now: u64,
    played: Vec<Playout>,
}

/// Packets carry their number, and a byte so that they are no DTX packets.
fn payload(number: u32) -> Bytes {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.push(0);
    bytes.into()
}

fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().expect("four bytes of number"))
}

impl Line {
    fn new() -> Self {
        // The loudspeaker's clock beats between the sender's.
        Self { buffer: JitterBuffer::default(), underway: Vec::new(), now: 7_000, played: Vec::new() }
    }

    /// Packet `n` of a sender that speaks all the time, delayed by `delay_ms`.
    fn send(&mut self, n: u32, delay_ms: u64) -> &mut Self {
        self.send_at(n, u64::from(n) * FRAME_MS * 1000 + delay_ms * 1000, n.wrapping_mul(FRAME_TICKS))
    }

    fn send_at(&mut self, n: u32, arrival: u64, timestamp: u32) -> &mut Self {
        self.underway.push((arrival, n as u16, timestamp, payload(n)));
        self
    }

    /// Pulls for so many frames.
    fn run(&mut self, frames: usize) -> &mut Self {
        self.underway.sort_by_key(|packet| packet.0);
        for _ in 0..frames {
            let arrived = self.underway.partition_point(|packet| packet.0 <= self.now);
            for (arrival, sequence, timestamp, payload) in self.underway.drain(..arrived) {
                self.buffer.push(Instant::from_micros(arrival), sequence, timestamp, payload);
            }
            self.played.push(self.buffer.pull(Instant::from_micros(self.now)));
            self.now += FRAME_MS * 1000;
        }
        self
    }

    /// The numbers of the packets that were decoded.
    fn heard(&self) -> Vec<u32> {
        let packets = self.played.iter().flat_map(|playout| match playout {
            Playout::Packet(packet) => vec![packet],
            Playout::Accelerate(first, second) => vec![first, second],
            _ => vec![],
        });
        packets.map(|packet| number(packet)).collect()
    }

    fn count(&self, of: impl Fn(&Playout) -> bool) -> usize {
        self.played.iter().filter(|playout| of(playout)).count()
    }

    fn target_ms(&self) -> u128 {
        self.buffer.target().as_millis()
    }
}

fn is_speech_filler(playout: &Playout) -> bool {
    matches!(playout, Playout::Conceal | Playout::Fec(_) | Playout::Expand | Playout::Silence)
}

#[test]
fn a_calm_network_is_played_in_order_after_the_least_delay() {
    let mut line = Line::new();
    (0..100).for_each(|n| _ = line.send(n, 5));
    line.run(102);
    assert_eq!(line.heard(), (0..100).collect::<Vec<_>>());
    let waited = line.count(|playout| *playout == Playout::Wait) as u64 * FRAME_MS;
    assert!((40..=60).contains(&waited), "{waited} ms");
    assert_eq!(line.count(is_speech_filler), 0);
    assert_eq!(line.buffer.counters(), Counters { received: 100, played: 100, ..Counters::default() });
    assert_eq!(line.buffer.target(), TARGET_MIN);
}

#[test]
fn packets_that_overtake_each_other_are_put_in_order() {
    let mut line = Line::new();
    (0..100).for_each(|n| _ = line.send(n, if n % 10 == 3 { 30 } else { 0 }));
    line.run(103);
    assert_eq!(line.heard(), (0..100).collect::<Vec<_>>());
    assert_eq!(line.buffer.counters(), Counters { received: 100, played: 100, ..Counters::default() });
}

#[test]
fn a_single_loss_is_recovered_from_the_successors_fec() {
    let mut line = Line::new();
    (0..50).filter(|&n| n != 20).for_each(|n| _ = line.send(n, 0));
    line.run(53);
    let fec = line.played.iter().position(|playout| matches!(playout, Playout::Fec(_))).expect("one FEC");
    assert_eq!(line.played[fec - 1], Playout::Packet(payload(19)));
    assert_eq!(line.played[fec], Playout::Fec(payload(21)));
    assert_eq!(line.played[fec + 1], Playout::Packet(payload(21)));
    let expected = Counters { received: 49, played: 49, lost: 1, recovered: 1, ..Counters::default() };
    assert_eq!(line.buffer.counters(), expected);
}

#[test]
fn a_burst_of_losses_is_concealed_frame_by_frame() {
    let mut line = Line::new();
    (0..60).filter(|n| !(20..25).contains(n)).for_each(|n| _ = line.send(n, 0));
    line.run(62);
    assert_eq!(line.count(|playout| *playout == Playout::Conceal), 4);
    assert_eq!(line.count(|playout| matches!(playout, Playout::Fec(_))), 1);
    let expected = Counters { received: 55, played: 55, lost: 5, recovered: 1, ..Counters::default() };
    assert_eq!(line.buffer.counters(), expected, "nothing was added to or taken from the delay");
}

#[test]
fn duplicates_and_the_late_are_counted_and_not_played() {
    let mut line = Line::new();
    (0..50).for_each(|n| _ = line.send(n, if n == 20 { 200 } else { 0 }));
    line.send(30, 1);
    line.run(53);
    let heard: Vec<_> = (0..50).filter(|&n| n != 20).collect();
    assert_eq!(line.heard(), heard);
    let expected =
        Counters { received: 51, played: 49, lost: 1, recovered: 1, late: 1, duplicates: 1, ..Counters::default() };
    assert_eq!(line.buffer.counters(), expected);
}

#[test]
fn silence_is_neither_loss_nor_concealed() {
    let mut line = Line::new();
    (0..20).for_each(|n| _ = line.send(n, 0));
    // The sender says that it falls silent, then speaks on a second later.
    line.underway.push((20 * 20_000, 20, 20 * FRAME_TICKS, Bytes::from_static(&[0xf8])));
    (21..41).for_each(|n| _ = line.send_at(n, (u64::from(n) + 50) * 20_000, (n + 50) * FRAME_TICKS));
    line.run(93);
    assert_eq!(line.buffer.counters(), Counters { received: 41, played: 41, ..Counters::default() });
    assert_eq!(line.count(|playout| *playout == Playout::Silence), 50);
    assert_eq!(line.count(|playout| matches!(playout, Playout::Conceal | Playout::Expand | Playout::Fec(_))), 0);
}

#[test]
fn a_loss_during_silence_costs_one_frame_only() {
    let mut line = Line::new();
    (0..20).for_each(|n| _ = line.send(n, 0));
    line.underway.push((20 * 20_000, 20, 20 * FRAME_TICKS, Bytes::from_static(&[0xf8])));
    // Number 21, the first after the pause, is lost.
    (22..41).for_each(|n| _ = line.send_at(n, (u64::from(n) + 50) * 20_000, (n + 50) * FRAME_TICKS));
    line.run(93);
    let expected = Counters { received: 40, played: 40, lost: 1, recovered: 1, ..Counters::default() };
    assert_eq!(line.buffer.counters(), expected);
    assert_eq!(line.count(|playout| *playout == Playout::Conceal), 0);
}

#[test]
fn a_stall_gives_nothing_up_and_its_delay_is_worked_off() {
    let mut line = Line::new();
    // 200 ms in which nothing comes; then all of it at once.
    let delay = |n: u32| if (100..110).contains(&n) { u64::from(110 - n) * FRAME_MS } else { 0 };
    (0..400).for_each(|n| _ = line.send(n, delay(n)));
    line.run(390);
    assert!(line.count(|playout| matches!(playout, Playout::Conceal | Playout::Silence)) <= 10);
    assert!(line.buffer.len() <= 4, "the delay is back to normal: {} held", line.buffer.len());
    line.run(20);
    assert_eq!(line.heard(), (0..400).collect::<Vec<_>>());
    let counters = line.buffer.counters();
    assert_eq!((counters.lost, counters.late, counters.skipped), (0, 0, 0));
    assert!(counters.accelerated >= 5, "{counters:?}");
}

#[test]
fn growing_jitter_raises_the_target_and_calm_lowers_it_again() {
    let mut line = Line::new();
    let delay = |n: u32| match n {
        100..300 => u64::from(n * 37 % 100),
        _ => 0,
    };
    (0..1000).for_each(|n| _ = line.send(n, delay(n)));
    line.run(100);
    assert_eq!(line.target_ms(), 40);
    line.run(200);
    assert!((80..=120).contains(&line.target_ms()), "{} ms", line.target_ms());
    let in_jitter = line.buffer.counters();
    line.run(710);
    assert_eq!(line.target_ms(), 40);
    let counters = line.buffer.counters();
    assert!(counters.accelerated > in_jitter.accelerated, "the delay shrinks within speech: {counters:?}");
    // Jitter that comes out of nothing costs a few packets before the target follows.
    assert!(counters.lost <= 8 && counters.played == 1000 - counters.lost, "{counters:?}");
}

#[test]
fn clocks_that_drift_apart_are_followed() {
    // A sender 500 ppm fast, or slow, for ten minutes: 300 ms apart at the end.
    for (frame_micros, adjusts) in [(19_990, "fast"), (20_010, "slow")] {
        let mut line = Line::new();
        (0..30_000).for_each(|n| _ = line.send_at(n, u64::from(n) * frame_micros, n.wrapping_mul(FRAME_TICKS)));
        line.run(29_900);
        let counters = line.buffer.counters();
        assert_eq!((counters.lost, counters.late, counters.skipped), (0, 0, 0), "{adjusts}: {counters:?}");
        let moved = if adjusts == "fast" { counters.accelerated } else { counters.expanded };
        let fillers = line.count(|playout| matches!(playout, Playout::Conceal | Playout::Silence));
        assert!((12..=17).contains(&moved) && fillers == 0, "{adjusts}: {counters:?}, {fillers} fillers");
        assert_eq!(if adjusts == "fast" { counters.expanded } else { counters.accelerated }, 0, "{adjusts}");
    }
}

#[test]
fn both_numbers_may_wrap() {
    let mut line = Line::new();
    for n in 0..100u32 {
        let (sequence, timestamp) =
            (65_500u16.wrapping_add(n as u16), (u32::MAX - 40_000).wrapping_add(n * FRAME_TICKS));
        line.underway.push((u64::from(n) * 20_000, sequence, timestamp, payload(n)));
    }
    line.run(103);
    assert_eq!(line.heard(), (0..100).collect::<Vec<_>>());
    assert_eq!(line.buffer.counters(), Counters { received: 100, played: 100, ..Counters::default() });
}

#[test]
fn a_sender_that_starts_anew_is_heard_again() {
    let mut line = Line::new();
    (0..50).for_each(|n| _ = line.send(n, 0));
    // Number 30 again and on, with other timestamps: first taken for late, then for what it is.
    for n in 0..50u32 {
        line.underway.push((1_000_000 + u64::from(n) * 20_000, 30 + n as u16, 77 + n * FRAME_TICKS, payload(1000 + n)));
    }
    line.run(105);
    let counters = line.buffer.counters();
    let heard_again = line.heard().iter().filter(|&&n| n >= 1000).count();
    assert!(heard_again >= 38, "{heard_again} heard; {counters:?}");
}

#[test]
fn a_flood_is_bounded() {
    let mut buffer = JitterBuffer::default();
    for n in 0..10_000u32 {
        buffer.push(Instant::default(), n as u16, n.wrapping_mul(FRAME_TICKS), payload(n));
        assert!(buffer.len() <= PACKETS_MAX);
    }
    assert_eq!(buffer.counters().skipped, 10_000 - PACKETS_MAX as u64);
}

/// What the network does to the next packet.
#[derive(Clone, Debug)]
enum Fate {
    Arrives(u64),
    Lost,
    Twice(u64, u64),
    /// The sender pauses for so many frames first.
    AfterPause(u32, u64),
    /// Numbers out of the blue.
    Forged(u16, u32),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => (0..150u64).prop_map(Fate::Arrives),
        2 => Just(Fate::Lost),
        1 => (0..100u64, 0..300u64).prop_map(|(first, second)| Fate::Twice(first, second)),
        1 => (1..100u32, 0..100u64).prop_map(|(pause, delay)| Fate::AfterPause(pause, delay)),
    ]
}

fn fate_or_forgery() -> impl Strategy<Value = Fate> {
    prop_oneof![9 => fate(), 1 => any::<(u16, u32)>().prop_map(|(sequence, timestamp)| Fate::Forged(sequence, timestamp))]
}

fn play(fates: &[Fate]) -> Line {
    let (mut line, mut frame) = (Line::new(), 0);
    for (n, fate) in (0u32..).zip(fates) {
        let mut arrives = |frame: u32, delay: u64| {
            line.send_at(n, (u64::from(frame) * FRAME_MS + delay) * 1000, frame.wrapping_mul(FRAME_TICKS));
        };
        match *fate {
            Fate::Arrives(delay) => arrives(frame, delay),
            Fate::Lost => {}
            Fate::Twice(first, second) => {
                arrives(frame, first);
                arrives(frame, second);
            }
            Fate::AfterPause(pause, delay) => {
                frame += pause;
                arrives(frame, delay);
            }
            Fate::Forged(sequence, timestamp) => {
                line.underway.push((u64::from(frame) * FRAME_MS * 1000, sequence, timestamp, payload(n)));
            }
        }
        frame += 1;
    }
    line.run(frame as usize + 40);
    line
}

proptest! {
    #[test]
    fn a_flow_is_played_in_order_and_every_packet_accounted_for(fates in prop::collection::vec(fate(), 1..400)) {
        let line = play(&fates);
        let heard = line.heard();
        prop_assert!(heard.is_sorted_by(|a, b| a < b), "{heard:?}");
        let counters = line.buffer.counters();
        prop_assert_eq!(counters.played, heard.len() as u64);
        let accounted = counters.played + counters.late + counters.duplicates + counters.skipped;
        prop_assert_eq!(counters.received, accounted + line.buffer.len() as u64);
        prop_assert!(counters.recovered <= counters.lost);
        prop_assert!(line.buffer.is_empty(), "a second after the last packet nothing is held");
    }

    #[test]
    fn recovery_is_asked_only_of_a_packet_that_follows(fates in prop::collection::vec(fate(), 1..400)) {
        let line = play(&fates);
        let mut last = None;
        for playout in &line.played {
            match playout {
                Playout::Fec(next) => prop_assert!(last < Some(number(next))),
                Playout::Packet(packet) | Playout::Accelerate(_, packet) => last = Some(number(packet)),
                _ => {}
            }
        }
    }

    #[test]
    fn whatever_comes_it_stays_within_its_bounds(fates in prop::collection::vec(fate_or_forgery(), 1..400)) {
        let line = play(&fates);
        prop_assert!(line.buffer.len() <= PACKETS_MAX);
        prop_assert!((TARGET_MIN..=TARGET_MAX + Duration::from_millis(1)).contains(&line.buffer.target()));
        let counters = line.buffer.counters();
        let accounted = counters.played + counters.late + counters.duplicates + counters.skipped;
        prop_assert_eq!(counters.received, accounted + line.buffer.len() as u64);
    }
}
