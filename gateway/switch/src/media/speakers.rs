//! Who is heard in a room: the loudest few talkers, by what their packets say of their loudness (RFC 6464).
//!
//! One [`Selection`] for each room, on the shard that owns it. [`Selection::heard`] is asked for every packet that reaches the room
//! and says whether it goes on to the listeners; it allocates nothing, and takes a binary search and a look at each place.
//!
//! A talker keeps a place until somebody else is clearly louder for some packets ([`MARGIN`], [`STREAK`]), and for [`HOLD_MIN`] at
//! least, so that two who talk at once do not chop each other up. A place whose holder has fallen silent goes to the next one who
//! speaks at once, so that no first syllable is lost. Loudness is smoothed: it rises within [`RISE`] and falls within [`FALL`].
//!
//! A level is the sender's word. Three things bound what a client gains that claims to be loud always: it holds one place, whatever it
//! claims; a packet that is too small to carry speech counts as silent ([`Loudness::of`]); and a level that stays the same for
//! [`WINDOW`], as no voice does, counts no more than that of a client that says no level at all ([`Loudness::UNSAID`]), so that
//! whoever really talks is preferred. A client that imitates a voice's ups and downs keeps its one place until a moderator mutes it.

use std::time::Duration;

use crate::id::FlowId;
use crate::limits;
use crate::media::rtp;
use crate::time::Instant;

/// How much louder than the holder of a place a challenger must be, dB: more than two equal talkers differ by after smoothing.
pub const MARGIN: u8 = 6;

/// For how many packets in a row a challenger must be louder, three frames of 20 ms: a click is shorter.
pub const STREAK: u8 = 3;

/// How long a place is held at least: a syllable or two.
pub const HOLD_MIN: Duration = Duration::from_millis(300);

/// How long after its last packet a talker counts as silent: more than jitter, less than the 400 ms between the packets of Opus's
/// discontinuous transmission (RFC 6716 section 2.1.9).
pub const GAP: Duration = Duration::from_millis(300);

/// Time constant of loudness that rises.
pub const RISE: Duration = Duration::from_millis(60);

/// Time constant of loudness that falls: bridges the gaps between syllables.
pub const FALL: Duration = Duration::from_millis(300);

/// How long loudness is watched for ups and downs: a voice has a pause within it.
pub const WINDOW: Duration = Duration::from_secs(4);

/// A level that moves less than this within [`WINDOW`], dB, is no voice's: speech moves by 30.
pub const FLAT: u8 = 6;

/// Payloads up to this many bytes carry no sound: Opus's discontinuous transmission sends one or two (RFC 6716 section 3.1).
const SILENT_BYTES_MAX: usize = 2;

/// Payloads below this many bytes are hardly speech: 8 kbit/s at 20 ms, where Opus's speech begins.
const SPEECH_BYTES_MIN: usize = 20;

/// How loud a packet is: dB above the quietest that RFC 6464 can say, 0 to 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loudness(u8);

impl Loudness {
    /// No sound.
    pub const SILENT: Self = Self(0);

    /// What a packet counts that says no level and is large enough for speech: quiet speech, 45 dB below overload.
    pub const UNSAID: Self = Self(127 - 45);

    /// What a packet counts that says no level and is too small for speech.
    pub const MURMUR: Self = Self(127 - 65);

    /// From here on somebody counts as speaking: 55 dB below overload, above the noise of a room.
    pub const AUDIBLE: Self = Self(127 - 55);

    /// `db` below the overload point.
    pub fn below_overload(db: u8) -> Self {
        Self(127 - db.min(127))
    }

    /// A packet's loudness: what its level says, unless it is too small to carry sound; without a level, by its size.
    pub fn of(packet: &rtp::Packet<'_>) -> Self {
        let bytes = packet.payload.len();
        match packet.audio_level(rtp::AUDIO_LEVEL_EXTENSION) {
            _ if bytes <= SILENT_BYTES_MAX => Self::SILENT,
            Some(level) => Self::below_overload(level.below_overload_db),
            None if bytes < SPEECH_BYTES_MIN => Self::MURMUR,
            None => Self::UNSAID,
        }
    }
}

/// Loudness in fractions of a dB, so that smoothing has something to work with.
const FRACTIONS: i64 = 256;

#[derive(Clone, Copy, Debug)]
struct Talker {
    flow: FlowId,
    /// Smoothed, in dB / [`FRACTIONS`].
    level: i64,
    /// When its last packet came.
    at: Option<Instant>,
    /// Since when it holds a place.
    holds: Option<Instant>,
    /// For how many packets it has been louder than the quietest holder.
    streak: u8,
    watched_since: Instant,
    low: u8,
    high: u8,
    /// Its level does not move.
    flat: bool,
}

impl Talker {
    fn new(flow: FlowId) -> Self {
        Self {
            flow,
            level: 0,
            at: None,
            holds: None,
            streak: 0,
            watched_since: Instant::from_micros(0),
            low: 127,
            high: 0,
            flat: false,
        }
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.at.is_none_or(|at| now.since(at) > GAP)
    }

    /// How loud it counts at `now`.
    fn loudness(&self, now: Instant) -> i64 {
        match (self.is_idle(now), self.flat) {
            (true, _) => 0,
            (false, true) => self.level.min(i64::from(Loudness::UNSAID.0) * FRACTIONS),
            (false, false) => self.level,
        }
    }

    fn hear(&mut self, now: Instant, loudness: Loudness) {
        let target = i64::from(loudness.0) * FRACTIONS;
        let constant = if target > self.level { RISE } else { FALL };
        let elapsed = self.at.map_or(constant, |at| now.since(at)).clamp(Duration::from_millis(5), constant);
        self.level += (target - self.level) * micros(elapsed) / micros(constant);
        self.watch(now, loudness.0);
        self.at = Some(now);
    }

    fn watch(&mut self, now: Instant, level: u8) {
        if self.at.is_none() || now.since(self.watched_since) >= WINDOW {
            // Two packets tell nothing; a window that was mostly silence does.
            self.flat = self.at.is_some() && self.high.saturating_sub(self.low) < FLAT;
            (self.watched_since, self.low, self.high) = (now, level, level);
        }
        (self.low, self.high) = (self.low.min(level), self.high.max(level));
        self.flat &= self.high - self.low < FLAT;
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// The talkers of a room, and who of them is heard.
#[derive(Clone, Debug)]
pub struct Selection {
    places: usize,
    /// In the order of their flows.
    talkers: Vec<Talker>,
    /// Where in `talkers` those are that hold a place; at most `places`.
    holders: Vec<usize>,
}

impl Selection {
    /// A room in which `places` talkers are heard at once: 1 to [`limits::ROOM_SPEAKERS_MAX`], what is outside is brought inside.
    pub fn new(places: usize) -> Self {
        let places = places.clamp(1, limits::ROOM_SPEAKERS_MAX);
        Self { places, talkers: Vec::new(), holders: Vec::with_capacity(limits::ROOM_SPEAKERS_MAX) }
    }

    /// Changes how many are heard at once; where there are too many now, the quietest lose their places.
    pub fn set_places(&mut self, now: Instant, places: usize) {
        self.places = places.clamp(1, limits::ROOM_SPEAKERS_MAX);
        while self.holders.len() > self.places {
            let Some((place, _)) = self.quietest(now) else { return };
            let holder = self.holders.swap_remove(place);
            self.talkers[holder].holds = None;
        }
    }

    /// Lets somebody talk; one who may already stays as they are.
    pub fn add(&mut self, flow: FlowId) {
        if let Err(at) = self.find(flow) {
            self.talkers.insert(at, Talker::new(flow));
            self.holders.iter_mut().filter(|holder| **holder >= at).for_each(|holder| *holder += 1);
        }
    }

    /// Forgets a talker; their place is free.
    pub fn remove(&mut self, flow: FlowId) {
        if let Ok(at) = self.find(flow) {
            self.talkers.remove(at);
            self.holders.retain(|holder| *holder != at);
            self.holders.iter_mut().filter(|holder| **holder > at).for_each(|holder| *holder -= 1);
        }
    }

    /// A packet of `flow` came: says whether it goes on to the listeners. One of somebody who was never added does not.
    pub fn heard(&mut self, now: Instant, flow: FlowId, loudness: Loudness) -> bool {
        let Ok(at) = self.find(flow) else { return false };
        self.talkers[at].hear(now, loudness);
        if self.talkers[at].holds.is_some() {
            return true;
        }
        if self.holders.len() < self.places {
            self.holders.push(at);
            return self.take_place(now, at);
        }
        let Some((place, quietest)) = self.quietest(now) else { return false };
        if !self.displaces(now, at, quietest) {
            return false;
        }
        self.talkers[quietest].holds = None;
        self.holders[place] = at;
        self.take_place(now, at)
    }

    fn take_place(&mut self, now: Instant, at: usize) -> bool {
        self.talkers[at].holds = Some(now);
        self.talkers[at].streak = 0;
        true
    }

    /// Whether the talker at `at` takes over from the holder at `holder`; counts its streak.
    fn displaces(&mut self, now: Instant, at: usize, holder: usize) -> bool {
        let holder = self.talkers[holder];
        if holder.is_idle(now) {
            return true;
        }
        let audible = i64::from(Loudness::AUDIBLE.0) * FRACTIONS;
        let challenger = &mut self.talkers[at];
        let is_louder = challenger.loudness(now) >= holder.loudness(now) + i64::from(MARGIN) * FRACTIONS;
        challenger.streak = if is_louder { challenger.streak.saturating_add(1) } else { 0 };
        let has_held = holder.holds.is_none_or(|since| now.since(since) >= HOLD_MIN);
        is_louder && has_held && (challenger.streak >= STREAK || holder.loudness(now) < audible)
    }

    /// The place whose holder is the quietest, and that holder.
    fn quietest(&self, now: Instant) -> Option<(usize, usize)> {
        let places = self.holders.iter().copied().enumerate();
        places.min_by_key(|&(_, holder)| self.talkers[holder].loudness(now))
    }

    /// Who holds a place and is loud enough to be taken for speaking, the loudest first. For displays: allocates.
    pub fn speaking(&self, now: Instant) -> Vec<FlowId> {
        let audible = i64::from(Loudness::AUDIBLE.0) * FRACTIONS;
        let loud = |holder: &&usize| self.talkers[**holder].loudness(now) >= audible;
        let mut speaking: Vec<_> = self.holders.iter().filter(loud).map(|&holder| &self.talkers[holder]).collect();
        speaking.sort_by_key(|talker| (std::cmp::Reverse(talker.loudness(now)), talker.flow));
        speaking.into_iter().map(|talker| talker.flow).collect()
    }

    /// How many places are held.
    pub fn held(&self) -> usize {
        self.holders.len()
    }

    /// Whether nobody may talk.
    pub fn is_empty(&self) -> bool {
        self.talkers.is_empty()
    }

    fn find(&self, flow: FlowId) -> Result<usize, usize> {
        self.talkers.binary_search_by_key(&flow, |talker| talker.flow)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    /// A room of talkers that each send a packet every 20 ms.
    struct Scene {
        selection: Selection,
        frame: u64,
    }

    impl Scene {
        fn new(places: usize, talkers: u32) -> Self {
            let mut selection = Selection::new(places);
            (0..talkers).for_each(|flow| selection.add(FlowId(flow)));
            Self { selection, frame: 0 }
        }

        fn now(&self) -> Instant {
            Instant::from_micros(self.frame * 20_000)
        }

        /// One frame of everybody; `level` gives dB below overload, or none for silence that sends nothing. Says who was let through.
        fn frame(&mut self, talkers: u32, level: impl Fn(u32, u64) -> Option<u8>) -> Vec<u32> {
            let now = self.now();
            let frame = self.frame;
            self.frame += 1;
            let spoken = (0..talkers).filter_map(|flow| level(flow, frame).map(|level| (flow, level)));
            let mut passed = Vec::new();
            for (flow, level) in spoken {
                if self.selection.heard(now, FlowId(flow), Loudness::below_overload(level)) {
                    passed.push(flow);
                }
            }
            passed
        }
    }

    /// Speech, roughly: syllables of 200 ms at `loud`, gaps of 60 ms, a pause now and then.
    fn speech(loud: u8, flow: u32, frame: u64) -> Option<u8> {
        let phase = (frame + u64::from(flow) * 7) % 65;
        Some(match phase {
            0..10 | 13..23 | 26..36 | 39..49 => loud + (phase % 4) as u8,
            _ => 62,
        })
    }

    #[test]
    fn in_a_small_room_every_packet_passes() {
        let mut scene = Scene::new(3, 3);
        for _ in 0..500 {
            let passed = scene.frame(3, |flow, frame| Some(((u64::from(flow) * 31 + frame) % 127) as u8));
            assert_eq!(passed, [0, 1, 2]);
        }
    }

    #[test]
    fn a_steady_loud_talker_is_heard_within_half_a_second() {
        let mut scene = Scene::new(1, 5);
        for _ in 0..100 {
            scene.frame(5, |flow, frame| if flow == 4 { None } else { speech(45, flow, frame) });
        }
        let began = scene.frame;
        let heard =
            (0..100).find(|_| scene.frame(5, |f, t| if f == 4 { Some(20) } else { speech(45, f, t) }).contains(&4));
        let waited = (scene.frame - began) * 20;
        assert!(heard.is_some() && waited <= 500, "heard after {waited} ms");
    }

    #[test]
    fn two_equal_talkers_do_not_chop_each_other_up() {
        let mut scene = Scene::new(1, 2);
        let mut turns = Vec::new();
        for _ in 0..3_000 {
            let passed = scene.frame(2, |flow, frame| Some(25 + ((frame * 7 + u64::from(flow) * 3) % 5) as u8));
            turns.extend(passed);
        }
        let changes = turns.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert_eq!(changes, 0, "of {} packets", turns.len());
    }

    #[test]
    fn whoever_breaks_a_silence_loses_no_packet() {
        let mut scene = Scene::new(1, 2);
        (0..100).for_each(|_| drop(scene.frame(2, |flow, _| (flow == 0).then_some(20))));
        // The first falls silent and sends nothing; the second speaks after the gap.
        scene.frame += GAP.as_millis() as u64 / 20 + 1;
        assert_eq!(scene.frame(2, |flow, _| (flow == 1).then_some(40)), [1]);
        // The first comes back: louder, but a place is held for a while.
        assert!(scene.frame(2, |flow, _| (flow == 0).then_some(5)).is_empty());
    }

    #[test]
    fn a_level_that_never_moves_yields_to_those_who_talk() {
        let mut scene = Scene::new(3, 4);
        let level = |flow, frame| if flow == 0 { Some(0) } else { speech(20, flow, frame) };
        (0..300).for_each(|_| drop(scene.frame(4, level)));
        let mut passed = [0; 4];
        for _ in 0..1_500 {
            for flow in scene.frame(4, level) {
                passed[flow as usize] += 1;
            }
        }
        assert!(passed[0] < 750, "the liar got {} of 1500 packets through: {passed:?}", passed[0]);
        assert!(passed[1..].iter().all(|&packets| packets > 750), "{passed:?}");
    }

    #[test]
    fn a_talker_who_moves_away_or_mutes_leaves_the_place() {
        let mut scene = Scene::new(2, 4);
        (0..10).for_each(|_| drop(scene.frame(4, |_, _| Some(30))));
        assert_eq!(scene.selection.held(), 2);
        scene.selection.remove(FlowId(0));
        assert_eq!(scene.selection.held(), 1);
        assert_eq!(scene.frame(4, |_, _| Some(30)), [1, 2], "the next one takes it");
        scene.selection.set_places(scene.now(), 1);
        assert_eq!(scene.selection.held(), 1);
        scene.selection.add(FlowId(0));
        assert_eq!(scene.frame(4, |_, _| Some(30)).len(), 1);
    }

    #[test]
    fn those_who_speak_are_named_the_loudest_first() {
        let mut scene = Scene::new(3, 3);
        (0..50).for_each(|_| drop(scene.frame(3, |flow, _| Some([40, 20, 100][flow as usize]))));
        assert_eq!(scene.selection.speaking(scene.now()), [FlowId(1), FlowId(0)], "the third is too quiet");
        scene.frame += 100;
        assert_eq!(scene.selection.speaking(scene.now()), [], "nobody has sent anything for two seconds");
    }

    #[test]
    fn a_packets_loudness_is_its_level_within_what_its_size_can_carry() {
        let header = rtp::Header { marker: false, payload_type: 111, sequence: 1, timestamp: 2, ssrc: 3 };
        let level = |below_overload_db| Some(rtp::AudioLevel { voice: true, below_overload_db });
        let table = [
            (level(20), 60, Loudness(107)),
            (level(0), 2, Loudness::SILENT),
            (None, 60, Loudness::UNSAID),
            (None, 10, Loudness::MURMUR),
            (None, 1, Loudness::SILENT),
        ];
        for (level, bytes, expected) in table {
            let mut out = BytesMut::new();
            header.write(level, &mut out);
            out.extend_from_slice(&vec![7; bytes]);
            assert_eq!(Loudness::of(&rtp::Packet::parse(&out).unwrap()), expected, "{level:?}, {bytes} bytes");
        }
    }
}
