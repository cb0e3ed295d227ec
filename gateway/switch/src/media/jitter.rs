//! The jitter buffer: takes packets as the network brings them and gives one frame of 20 ms whenever the loudspeaker wants one.
//!
//! Pure: it is told `now`, neither decodes nor plays, and says what the decoder shall do ([`Playout`]). How long packets are held
//! back follows the network as NetEQ of libwebrtc does it: a quantile of a histogram of relative delays that forgets
//! ([`TARGET_MIN`] to [`TARGET_MAX`]). In a sender's silence (DTX) the delay is set right at once, unheard; within speech by one
//! frame at a time, when it has been wrong for a while.
//!
//! When the buffer runs dry nothing is given up: what comes late after a stall is played with more delay, which is worked off
//! later. A packet is late only when its successor was played before it came.
//!
//! Every packet must hold 20 ms, as Tandem's clients send; other lengths play at the wrong speed.

mod delay;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use self::delay::{Delay, ticks};
pub use self::delay::{TARGET_MAX, TARGET_MIN};
use super::rtp::{FRAME_TICKS, ticks_at};
use crate::time::Instant;

/// Most packets held: 1.28 s, three times [`TARGET_MAX`]. When it is full the oldest is dropped and counted as skipped.
pub const PACKETS_MAX: usize = 64;

/// For how many pulls the delay has to be wrong before a frame is added or taken away within speech: 200 ms.
const PATIENCE: u32 = 10;

/// How many frames above target are left alone: the first is the pull's own rhythm, the second keeps off hunting.
const SLACK_FRAMES: i64 = 2;

/// How many frames are concealed when the buffer runs dry, before it counts as silence: 100 ms, where Opus's concealment has faded.
const CONCEALED_MAX: u32 = 5;

/// An Opus packet of at most this many bytes holds no speech: the sender starts a silence (RFC 6716 section 2.1.9, DTX).
const DTX_BYTES_MAX: usize = 2;

/// A sequence number that jumps by more than this is another sender: 10 s.
const JUMP_MAX: i64 = 500;

/// After so many late packets in a row the sender must have started anew: 200 ms.
const LATE_STREAK_MAX: u32 = 10;

/// What to play for the next 20 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playout {
    /// Decode this packet.
    Packet(Bytes),
    /// The packet that is due is lost; this one comes after it: decode its in-band FEC. It is given again at the next pull.
    Fec(Bytes),
    /// The packet that is due is lost or not there yet: conceal it.
    Conceal,
    /// The delay grows within speech: conceal as if a packet were lost; none is.
    Expand,
    /// The delay shrinks within speech: decode both and blend them into one frame.
    Accelerate(Bytes, Bytes),
    /// The sender is silent: comfort noise.
    Silence,
    /// Nothing to play yet.
    Wait,
}

/// What became of the packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Pushed, whatever became of them: `played + late + duplicates + skipped`, and those still held.
    pub received: u64,
    /// Given to the decoder.
    pub played: u64,
    /// Missing when their successors were played; late ones are among them.
    pub lost: u64,
    /// Of the lost, those for which the decoder was given a successor's FEC.
    pub recovered: u64,
    /// Came after their place was played.
    pub late: u64,
    /// Were there already.
    pub duplicates: u64,
    /// Given up unplayed: too many at once, or from before a restart.
    pub skipped: u64,
    /// Frames added within speech.
    pub expanded: u64,
    /// Frames taken away within speech.
    pub accelerated: u64,
}

#[derive(Clone, Debug)]
struct Held {
    timestamp: i64,
    payload: Bytes,
}

/// Where playing is.
#[derive(Clone, Copy, Debug)]
struct Playhead {
    /// The next packet's extended sequence number and timestamp, if the sender goes on without a pause.
    sequence: i64,
    timestamp: i64,
    /// Frames made up since the buffer ran dry.
    dry: u32,
    /// Whether the sender said that a silence begins.
    silent: bool,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct JitterBuffer {
    /// By extended sequence number; at most [`PACKETS_MAX`].
    held: BTreeMap<i64, Held>,
    /// Of the newest packet.
    newest: Option<(i64, i64)>,
    /// `None` until the first packet is played.
    playhead: Option<Playhead>,
    delay: Delay,
    late_streak: u32,
    too_early: u32,
    too_late: u32,
    counters: Counters,
}

impl Default for JitterBuffer {
    fn default() -> Self {
        Self {
            held: BTreeMap::new(),
            newest: None,
            playhead: None,
            delay: Delay::new(),
            late_streak: 0,
            too_early: 0,
            too_late: 0,
            counters: Counters::default(),
        }
    }
}

impl JitterBuffer {
    /// Takes a packet that came at `now`.
    pub fn push(&mut self, now: Instant, sequence: u16, timestamp: u32, payload: Bytes) {
        self.counters.received += 1;
        if !self.follows(sequence, timestamp) {
            self.restart();
        }
        let (sequence, timestamp) = self.extend(sequence, timestamp);
        if self.held.contains_key(&sequence) {
            self.counters.duplicates += 1;
            return;
        }
        self.delay.measure(ticks_at(now), timestamp);
        if self.playhead.is_some_and(|playhead| sequence < playhead.sequence) {
            self.counters.late += 1;
            self.late_streak += 1;
            return;
        }
        self.late_streak = 0;
        self.held.insert(sequence, Held { timestamp, payload });
        if self.newest.is_none_or(|(newest, _)| sequence > newest) {
            self.newest = Some((sequence, timestamp));
        }
        self.drop_excess();
    }

    /// Forgets the flow so far and waits for a new one; counters stay. For a new peer or source.
    pub fn restart(&mut self) {
        let counters = Counters { skipped: self.counters.skipped + self.held.len() as u64, ..self.counters };
        *self = Self { counters, ..Self::default() };
    }

    /// What to play for the 20 ms from `now`; to be called every 20 ms.
    pub fn pull(&mut self, now: Instant) -> Playout {
        let now = ticks_at(now);
        let Some((&sequence, head)) = self.held.first_key_value() else { return self.run_dry() };
        let timestamp = head.timestamp;
        let until_due = self.delay.frames_until_due(now, timestamp);
        let Some(mut playhead) = self.playhead else {
            return if until_due > 0 { Playout::Wait } else { self.play() };
        };
        // What was made up while the buffer was dry stands for packets that turn out to be lost.
        let covered = i64::from(playhead.dry).min(sequence - playhead.sequence);
        self.counters.lost += covered.unsigned_abs();
        playhead.sequence += covered;
        playhead.timestamp += covered * i64::from(FRAME_TICKS);
        playhead.dry -= covered as u32;
        self.playhead = Some(playhead);

        let pause = timestamp - playhead.timestamp - (sequence - playhead.sequence) * i64::from(FRAME_TICKS);
        let speaking = pause < i64::from(FRAME_TICKS / 2);
        match sequence - playhead.sequence {
            0 if speaking => self.play_on(until_due),
            0 if until_due > 0 => Playout::Silence,
            0 => self.play(),
            missing if until_due > missing && speaking => self.expand(),
            missing if until_due > missing => Playout::Silence,
            missing => self.replace(missing, until_due),
        }
    }

    /// How long packets are held back at present, counted from when the fastest would come.
    pub fn target(&self) -> Duration {
        self.delay.target()
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Packets held, at most [`PACKETS_MAX`].
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no packet is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether a packet belongs to the flow so far, as opposed to a sender that started anew.
    fn follows(&self, sequence: u16, timestamp: u32) -> bool {
        let Some((newest, newest_timestamp)) = self.newest else { return true };
        let (extended, extended_timestamp) = self.extend(sequence, timestamp);
        let ahead = extended - newest;
        let back_in_time = ahead > 0 && extended_timestamp < newest_timestamp;
        ahead.abs() <= JUMP_MAX && !back_in_time && self.late_streak < LATE_STREAK_MAX
    }

    /// Counts the wraps of both numbers, from where the newest packet is (RFC 3550 appendix A.1).
    fn extend(&self, sequence: u16, timestamp: u32) -> (i64, i64) {
        let Some((newest, newest_timestamp)) = self.newest else { return (sequence.into(), timestamp.into()) };
        let ahead = sequence.wrapping_sub(newest as u16) as i16;
        let later = timestamp.wrapping_sub(newest_timestamp as u32) as i32;
        (newest + i64::from(ahead), newest_timestamp + i64::from(later))
    }

    /// Keeps what is held within [`PACKETS_MAX`], and, after a stall, within [`TARGET_MAX`] of speech.
    fn drop_excess(&mut self) {
        while let (Some((_, first)), Some((_, last))) = (self.held.first_key_value(), self.held.last_key_value()) {
            let full = self.held.len() > PACKETS_MAX;
            let spoken = self.held.len() as i64 * i64::from(FRAME_TICKS);
            let span = (last.timestamp - first.timestamp).min(spoken);
            if !full && (self.playhead.is_none() || span <= ticks(TARGET_MAX) + i64::from(FRAME_TICKS)) {
                return;
            }
            self.counters.skipped += 1;
            let Some((sequence, dropped)) = self.held.pop_first() else { return };
            if let Some(playhead) = &mut self.playhead {
                self.counters.lost += (sequence - playhead.sequence).unsigned_abs();
                playhead.sequence = sequence + 1;
                playhead.timestamp = dropped.timestamp + i64::from(FRAME_TICKS);
            }
        }
    }

    fn run_dry(&mut self) -> Playout {
        let Some(playhead) = &mut self.playhead else { return Playout::Wait };
        if playhead.silent {
            return Playout::Silence;
        }
        playhead.dry = playhead.dry.saturating_add(1);
        if playhead.dry > CONCEALED_MAX { Playout::Silence } else { Playout::Conceal }
    }

    /// Plays the next packet of running speech, unless the delay has been wrong for a while.
    fn play_on(&mut self, until_due: i64) -> Playout {
        self.too_early = if until_due > 0 { self.too_early + 1 } else { 0 };
        self.too_late = if until_due <= -SLACK_FRAMES { self.too_late + 1 } else { 0 };
        if self.too_early > PATIENCE {
            return self.expand();
        }
        if self.too_late > PATIENCE && self.two_in_a_row() {
            self.too_late = 0;
            let (Playout::Packet(first), Playout::Packet(second)) = (self.play(), self.play()) else {
                unreachable!("two packets are held")
            };
            self.counters.accelerated += 1;
            return Playout::Accelerate(first, second);
        }
        self.play()
    }

    fn two_in_a_row(&self) -> bool {
        let mut packets = self.held.iter();
        let (Some((first, a)), Some((second, b))) = (packets.next(), packets.next()) else { return false };
        *second == first + 1 && b.timestamp - a.timestamp <= i64::from(FRAME_TICKS)
    }

    fn expand(&mut self) -> Playout {
        self.too_early = 0;
        self.counters.expanded += 1;
        Playout::Expand
    }

    /// Stands in for the first of `missing` packets before the one at the head, which is due in `until_due` frames.
    fn replace(&mut self, missing: i64, until_due: i64) -> Playout {
        let playhead = self.playhead.as_mut().expect("packets go missing only while playing");
        let frame = i64::from(FRAME_TICKS);
        // Behind schedule the missing ones shrink to the one that can be recovered.
        let gone = if until_due <= 1 { missing } else { 1 };
        playhead.sequence += gone;
        playhead.timestamp += gone * frame;
        self.counters.lost += gone.unsigned_abs();
        if gone < missing {
            return Playout::Conceal;
        }
        let head = self.held.first_entry().expect("a packet is held");
        playhead.timestamp = playhead.timestamp.max(head.get().timestamp);
        self.counters.recovered += 1;
        Playout::Fec(head.get().payload.clone())
    }

    /// Plays the packet at the head.
    fn play(&mut self) -> Playout {
        let Some((sequence, packet)) = self.held.pop_first() else { return self.run_dry() };
        self.playhead = Some(Playhead {
            sequence: sequence + 1,
            timestamp: packet.timestamp + i64::from(FRAME_TICKS),
            dry: 0,
            silent: packet.payload.len() <= DTX_BYTES_MAX,
        });
        self.counters.played += 1;
        Playout::Packet(packet.payload)
    }
}
