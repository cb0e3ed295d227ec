//! How long the jitter buffer should hold packets back: a quantile of how much later packets come than the fastest ones.

use std::time::Duration;

use super::super::rtp::{FRAME_TICKS, OPUS_CLOCK_HZ};

/// Shortest target: one frame for jitter below a frame's length, one so that a lost packet's successor, with its in-band FEC, is
/// there when the lost one is due.
pub const TARGET_MIN: Duration = Duration::from_millis(40);

/// Longest target. Beyond it people talk over each other (ITU-T G.114: 400 ms one way is the limit for planning).
pub const TARGET_MAX: Duration = Duration::from_millis(400);

/// The histogram's buckets, one frame (20 ms) each, up to [`TARGET_MAX`].
const BUCKETS: usize = 20;

/// The share of packets that should come in time. NetEQ of libwebrtc uses the same.
const QUANTILE: f32 = 0.95;

/// What each packet leaves of its predecessors' weight: half is forgotten after 40 packets. NetEQ of libwebrtc uses the same.
const FORGETTING: f32 = 0.983;

/// How many packets back the fastest is looked for: 2 s of speech. Long enough to see through jitter; a clock drift of 100 ppm moves
/// it by 0.2 ms.
const HISTORY: usize = 100;

/// A change of more than this is a new time base (another sender, a clock that was set), not a delay.
const STEP_MAX: i64 = 5 * OPUS_CLOCK_HZ as i64;

/// Measures packets' delays and gives the target. Times are in units of the Opus clock.
#[derive(Clone, Debug)]
pub(super) struct Delay {
    /// Arrival minus timestamp of the last [`HISTORY`] packets, a ring.
    transits: Vec<i64>,
    oldest: usize,
    fastest: i64,
    histogram: [f32; BUCKETS],
    packets: u32,
    target: i64,
}

impl Delay {
    pub(super) fn new() -> Self {
        let transits = Vec::with_capacity(HISTORY);
        let target = ticks(TARGET_MIN);
        Self { transits, oldest: 0, fastest: 0, histogram: [0.0; BUCKETS], packets: 0, target }
    }

    /// Takes in a packet of `timestamp` that came at `arrived`.
    pub(super) fn measure(&mut self, arrived: i64, timestamp: i64) {
        let transit = arrived - timestamp;
        if !self.transits.is_empty() && (transit - self.fastest).abs() > STEP_MAX {
            *self = Self::new();
        }
        if self.transits.len() < HISTORY {
            self.transits.push(transit);
        } else {
            self.transits[self.oldest] = transit;
            self.oldest = (self.oldest + 1) % HISTORY;
        }
        self.fastest = self.transits.iter().copied().min().unwrap_or(transit);
        self.weigh(transit - self.fastest);
        self.target = self.quantile();
    }

    fn weigh(&mut self, delay: i64) {
        let bucket = usize::try_from(delay / i64::from(FRAME_TICKS)).unwrap_or(0).min(BUCKETS - 1);
        // The first packets weigh the same each, until forgetting takes over.
        let keep = FORGETTING.min(1.0 - 1.0 / (self.packets + 1) as f32);
        self.packets = self.packets.saturating_add(1);
        for weight in &mut self.histogram {
            *weight *= keep;
        }
        self.histogram[bucket] += 1.0 - keep;
    }

    fn quantile(&self) -> i64 {
        let mut covered = 0.0;
        let reaches = |weight: &f32| {
            covered += weight;
            covered >= QUANTILE
        };
        let bucket = self.histogram.iter().position(reaches).unwrap_or(BUCKETS - 1);
        // The bucket's upper end, so that its packets are in time.
        let target = (bucket as i64 + 1) * i64::from(FRAME_TICKS);
        target.clamp(ticks(TARGET_MIN), ticks(TARGET_MAX))
    }

    /// How many frames after `now` a packet of `timestamp` should be played: 0 is now, less is overdue.
    pub(super) fn frames_until_due(&self, now: i64, timestamp: i64) -> i64 {
        let early = self.target - (now - self.fastest - timestamp);
        -(-early).div_euclid(i64::from(FRAME_TICKS))
    }

    pub(super) fn target(&self) -> Duration {
        Duration::from_micros(self.target.unsigned_abs() * 125 / 6)
    }
}

/// A span in units of the Opus clock.
pub(super) fn ticks(span: Duration) -> i64 {
    span.as_millis() as i64 * i64::from(OPUS_CLOCK_HZ / 1000)
}
