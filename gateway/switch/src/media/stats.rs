//! How well a flow is received: loss, jitter (RFC 3550), and what a listener would think of it (ITU-T G.107).
//!
//! [`ReceptionMeter`] is fed with every packet of one flow and looks at headers only. Loss is what the sequence numbers miss: a
//! sender that is silent (DTX) skips timestamps and not sequence numbers, so silence is no loss.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::rtp::{Header, OPUS_CLOCK_HZ, ticks_at};
use crate::time::Instant;

/// What was received of one flow, and how well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reception {
    /// Packets received, duplicates not counted.
    pub packets: u64,
    /// Bytes of RTP received, headers included.
    pub bytes: u64,
    /// Packets that were sent and never came.
    pub lost: u64,
    /// Packets that came after a later one (at a jitter buffer: too late to be played).
    pub late: u64,
    /// Interarrival jitter, milliseconds (RFC 3550 section 6.4.1).
    #[serde(deserialize_with = "not_negative")]
    pub jitter_ms: f32,
    /// Estimated mean opinion score, 1.0 to 4.5 (E-model of ITU-T G.107 with Opus's impairment values). 0 before the first packet.
    #[serde(deserialize_with = "not_negative")]
    pub mos: f32,
}

/// JSON has numbers that no `f32` holds; they must not become infinities, which JSON cannot say again.
fn not_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    let number = f32::deserialize(deserializer)?;
    if number.is_finite() && number >= 0.0 {
        return Ok(number);
    }
    Err(D::Error::custom(format_args!("a measurement is a number of 0 or more; got {number}")))
}

impl Reception {
    /// Two stretches of one flow, or two flows, taken together: counters add up, jitter and score are weighted by packets.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let weighted = |a: f32, b: f32| match (self.packets, other.packets) {
            (_, 0) => a,
            (0, _) => b,
            (m, n) => ((f64::from(a) * m as f64 + f64::from(b) * n as f64) / (m as f64 + n as f64)) as f32,
        };
        Self {
            packets: self.packets.saturating_add(other.packets),
            bytes: self.bytes.saturating_add(other.bytes),
            lost: self.lost.saturating_add(other.lost),
            late: self.late.saturating_add(other.late),
            jitter_ms: weighted(self.jitter_ms, other.jitter_ms),
            mos: weighted(self.mos, other.mos),
        }
    }
}

/// How many sequence numbers back a late packet can be told from a duplicate; one that comes later counts as lost. 64 packets of
/// 20 ms are 1.3 s, longer than any jitter buffer waits.
const WINDOW: u16 = 64;

/// A jump ahead of more than this is a restart of the sender, not loss: one minute of 20 ms packets (RFC 3550 appendix A.1).
const DROPOUT_MAX: u16 = 3000;

/// A transit time that changes by more than this between two packets is a new time base, not jitter: 5 s.
const TRANSIT_STEP_MAX: u32 = 5 * OPUS_CLOCK_HZ;

/// What a packet is, seen from the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The newest so far.
    Fresh,
    /// Came after a later one.
    Late,
    /// Was there before; not counted.
    Duplicate,
    /// Far from what was expected. It takes a successor to make it a restart of the sender; alone it is a stray.
    Stray,
    /// The sender started anew: other source, or a new place in the sequence.
    Restart,
}

/// A stretch of packets that one source numbered without a restart.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    ssrc: u32,
    /// Extended sequence numbers: wraps are counted in the upper bits (RFC 3550 appendix A.1).
    lowest: u64,
    highest: u64,
    /// Without duplicates.
    received: u64,
    /// Bit `i`: packet `highest - i` came.
    window: u64,
    /// The sequence number that would confirm a restart.
    restarts_at: Option<u16>,
}

impl Stretch {
    fn new(ssrc: u32, sequence: u16) -> Self {
        // One wrap up, so that a packet from before the first one has a number too.
        let first = 1 << 16 | u64::from(sequence);
        Self { ssrc, lowest: first, highest: first, received: 1, window: 1, restarts_at: None }
    }

    fn lost(&self) -> u64 {
        (self.highest - self.lowest + 1).saturating_sub(self.received)
    }

    fn arrive(&mut self, sequence: u16) -> Arrival {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        if (1..DROPOUT_MAX).contains(&ahead) {
            self.window = self.window.checked_shl(ahead.into()).unwrap_or(0) | 1;
            self.highest += u64::from(ahead);
            self.received += 1;
            self.restarts_at = None;
            return Arrival::Fresh;
        }
        if behind >= WINDOW {
            let confirmed = self.restarts_at.replace(sequence.wrapping_add(1)) == Some(sequence);
            return if confirmed { Arrival::Restart } else { Arrival::Stray };
        }
        let bit = 1 << behind;
        if self.window & bit != 0 {
            return Arrival::Duplicate;
        }
        self.window |= bit;
        self.lowest = self.lowest.min(self.highest - u64::from(behind));
        self.received += 1;
        Arrival::Late
    }
}

/// Measures the reception of one flow. Constant size, no allocation: it lies on the packet path.
#[derive(Clone, Debug, Default)]
pub struct ReceptionMeter {
    stretch: Option<Stretch>,
    lost_before: u64,
    packets: u64,
    bytes: u64,
    late: u64,
    duplicates: u64,
    /// Relative transit time of the last packet, timestamp units.
    transit: Option<u32>,
    /// Timestamp units.
    jitter: f32,
}

impl ReceptionMeter {
    /// Counts a packet of `length` bytes of RTP that came at `now`.
    pub fn receive(&mut self, now: Instant, header: &Header, length: usize) -> Arrival {
        let arrival = self.sequence(header);
        if arrival == Arrival::Duplicate {
            self.duplicates += 1;
            return arrival;
        }
        self.packets += 1;
        self.bytes += length as u64;
        self.late += u64::from(arrival == Arrival::Late);
        if arrival == Arrival::Restart {
            self.transit = None;
        }
        if arrival != Arrival::Stray {
            self.transit(now, header.timestamp);
        }
        arrival
    }

    fn sequence(&mut self, header: &Header) -> Arrival {
        let arrival = match &mut self.stretch {
            None => Arrival::Fresh,
            Some(stretch) if stretch.ssrc != header.ssrc => Arrival::Restart,
            Some(stretch) => stretch.arrive(header.sequence),
        };
        let old = match (arrival, &self.stretch) {
            (_, None) => Some(0),
            (Arrival::Restart, Some(stretch)) => Some(stretch.lost()),
            _ => None,
        };
        if let Some(lost) = old {
            self.lost_before += lost;
            self.stretch = Some(Stretch::new(header.ssrc, header.sequence));
        }
        arrival
    }

    /// RFC 3550 section 6.4.1 and appendix A.8, in units of the Opus clock; both clocks wrap.
    fn transit(&mut self, now: Instant, timestamp: u32) {
        let arrived = ticks_at(now) as u32;
        let transit = arrived.wrapping_sub(timestamp);
        if let Some(previous) = self.transit.replace(transit) {
            let change = (transit.wrapping_sub(previous) as i32).unsigned_abs();
            if change <= TRANSIT_STEP_MAX {
                self.jitter += (change as f32 - self.jitter) / 16.0;
            }
        }
    }

    /// Everything so far.
    pub fn reception(&self) -> Reception {
        let lost = self.lost_before + self.stretch.map_or(0, |stretch| stretch.lost());
        let jitter_ms = self.jitter * 1000.0 / OPUS_CLOCK_HZ as f32;
        let mos = match self.packets {
            0 => 0.0,
            packets => mean_opinion_score(lost as f32 / (packets + lost) as f32, jitter_ms),
        };
        Reception { packets: self.packets, bytes: self.bytes, lost, late: self.late, jitter_ms, mos }
    }

    /// Packets that came more than once.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }
}

/// Estimates the mean opinion score, 1.0 to 4.5, of Opus speech of which the share `loss` (0 to 1) cannot be played and that arrives
/// with `jitter_ms` of interarrival jitter: the E-model of ITU-T G.107 and its mapping from R to MOS (annex B).
///
/// The network's own delay is not known from one end of a flow and counts as none. A listener whose jitter buffer gave up packets
/// that came too late counts them in `loss`.
pub fn mean_opinion_score(loss: f32, jitter_ms: f32) -> f32 {
    let rating = RATING_MAX - delay_impairment(one_way_delay_ms(jitter_ms)) - loss_impairment(100.0 * loss);
    let rating = rating.clamp(0.0, 100.0);
    let score = 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
    score.clamp(1.0, 4.5)
}

/// R of a connection with G.107's default values and no impairment from codec, loss or delay.
const RATING_MAX: f32 = 93.2;

/// `Ie` of Opus: what the codec itself costs. ITU-T G.113 lists no values for Opus; this is what Alahmadi, Pocta and Melvin measured on
/// the narrow-band scale at the highest bit rate they tried there, 11 kbit/s, rounded (doi:10.1145/3458751).
const CODEC_IMPAIRMENT: f32 = 2.0;

/// `Bpl` of Opus: how well it bears random loss, percent; same source and conditions as [`CODEC_IMPAIRMENT`].
const LOSS_ROBUSTNESS: f32 = 16.0;

/// `BurstR`: 1 is random loss. Bursts are not measured; what in-band FEC gains is not counted either.
const BURST_RATIO: f32 = 1.0;

/// One frame that is collected before it is sent (20 ms) and Opus's look-ahead (6.5 ms, RFC 6716 section 2).
const CODEC_DELAY_MS: f32 = 26.5;

/// What a jitter buffer holds back: three times the jitter covers about 95 % of the packets when delays are distributed
/// exponentially; at least what [`super::jitter`] waits in a calm network.
fn one_way_delay_ms(jitter_ms: f32) -> f32 {
    CODEC_DELAY_MS + (3.0 * jitter_ms).max(super::jitter::TARGET_MIN.as_millis() as f32)
}

/// `Id`: G.107's delay impairment, in the piecewise linear form of Cole and Rosenbluth (doi:10.1145/505666.505669).
fn delay_impairment(delay_ms: f32) -> f32 {
    0.024 * delay_ms + 0.11 * (delay_ms - 177.3).max(0.0)
}

/// `Ie,eff` of G.107 section 7.5.
fn loss_impairment(loss_percent: f32) -> f32 {
    let loss = loss_percent.clamp(0.0, 100.0);
    CODEC_IMPAIRMENT + (95.0 - CODEC_IMPAIRMENT) * loss / (loss / BURST_RATIO + LOSS_ROBUSTNESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::rtp::FRAME_TICKS;

    /// Feeds packets `(arrival in ms, sequence, timestamp in frames)` of one source.
    fn meter(packets: &[(u64, u16, u32)]) -> (ReceptionMeter, Vec<Arrival>) {
        let mut meter = ReceptionMeter::default();
        let arrivals = packets.iter().map(|&packet| receive(&mut meter, 1, packet)).collect();
        (meter, arrivals)
    }

    fn receive(meter: &mut ReceptionMeter, ssrc: u32, (ms, sequence, frame): (u64, u16, u32)) -> Arrival {
        let timestamp = frame.wrapping_mul(FRAME_TICKS);
        let header = Header { marker: false, payload_type: 111, sequence, timestamp, ssrc };
        meter.receive(Instant::from_micros(ms * 1000), &header, 100)
    }

    fn numbers(meter: &ReceptionMeter) -> (u64, u64, u64, u64) {
        let Reception { packets, lost, late, .. } = meter.reception();
        (packets, lost, late, meter.duplicates())
    }

    #[test]
    fn nothing_received_has_no_score() {
        assert_eq!(ReceptionMeter::default().reception(), Reception::default());
    }

    #[test]
    fn a_steady_flow_has_no_loss_and_no_jitter_across_the_wrap() {
        let packets: Vec<_> = (0..200).map(|n| (u64::from(n) * 20, 65_500u16.wrapping_add(n), u32::from(n))).collect();
        let (meter, _) = meter(&packets);
        assert_eq!(numbers(&meter), (200, 0, 0, 0));
        let reception = meter.reception();
        assert_eq!((reception.bytes, reception.jitter_ms), (20_000, 0.0));
        assert!((4.3..4.4).contains(&reception.mos), "{}", reception.mos);
    }

    #[test]
    fn gaps_are_lost_until_they_are_filled() {
        use Arrival::{Duplicate, Fresh, Late};
        let (meter, arrivals) =
            meter(&[(0, 65_534, 0), (20, 65_535, 1), (80, 2, 4), (81, 1, 3), (82, 1, 3), (83, 2, 4), (84, 65_533, 0)]);
        assert_eq!(arrivals, [Fresh, Fresh, Fresh, Late, Duplicate, Duplicate, Late]);
        assert_eq!(numbers(&meter), (5, 1, 2, 2));
    }

    #[test]
    fn silence_is_no_loss() {
        let (meter, _) = meter(&[(0, 1, 0), (20, 2, 1), (420, 3, 21), (440, 4, 22)]);
        assert_eq!(numbers(&meter), (4, 0, 0, 0));
        assert_eq!(meter.reception().jitter_ms, 0.0);
    }

    #[test]
    fn a_late_packet_is_known_within_the_window_only() {
        let (meter, arrivals) = meter(&[(0, 100, 0), (1, 164, 64), (2, 101, 1), (3, 100, 0)]);
        assert_eq!(arrivals, [Arrival::Fresh, Arrival::Fresh, Arrival::Late, Arrival::Stray]);
        assert_eq!(numbers(&meter), (4, 62, 1, 0));
    }

    #[test]
    fn a_jump_counts_as_a_restart_when_it_is_confirmed() {
        use Arrival::{Fresh, Restart, Stray};
        let (meter, arrivals) = meter(&[(0, 10, 0), (40, 12, 2), (60, 30_000, 0), (80, 30_001, 1), (120, 30_003, 3)]);
        assert_eq!(arrivals, [Fresh, Fresh, Stray, Restart, Fresh]);
        // One lost on each side of the restart.
        assert_eq!(numbers(&meter), (5, 2, 0, 0));
        assert_eq!(meter.reception().jitter_ms, 0.0);
    }

    #[test]
    fn another_source_is_a_restart() {
        let (mut meter, _) = meter(&[(0, 10, 0), (20, 11, 1)]);
        assert_eq!(receive(&mut meter, 2, (40, 12_345, 77)), Arrival::Restart);
        assert_eq!(receive(&mut meter, 2, (60, 12_346, 78)), Arrival::Fresh);
        assert_eq!(numbers(&meter), (4, 0, 0, 0));
    }

    #[test]
    fn jitter_follows_rfc_3550() {
        // Transit times of 0, 16, 0 ms: J = 16/16 = 1, then 1 + (16 - 1)/16 = 1.9375 ms.
        let (meter, _) = meter(&[(0, 1, 0), (36, 2, 1), (40, 3, 2)]);
        assert!((meter.reception().jitter_ms - 1.9375).abs() < 1e-3, "{}", meter.reception().jitter_ms);
    }

    #[test]
    fn a_clock_that_is_set_is_no_jitter() {
        let (meter, _) = meter(&[(0, 1, 0), (20, 2, 1_000), (40, 3, 1_001)]);
        assert_eq!(meter.reception().jitter_ms, 0.0);
    }

    #[test]
    fn the_score_falls_with_loss_and_jitter() {
        // Reckoned by hand from G.107's formulas: R = 93.2 - Id - Ie,eff.
        for (loss, jitter_ms, score) in
            [(0.0, 0.0, 4.329), (0.01, 0.0, 4.170), (0.05, 5.0, 3.476), (0.1, 0.0, 2.777), (1.0, 0.0, 1.028)]
        {
            let got = mean_opinion_score(loss, jitter_ms);
            assert!((got - score).abs() < 0.001, "loss {loss}, jitter {jitter_ms} ms: {got}, not {score}");
        }
        assert!(mean_opinion_score(0.0, 100.0) < mean_opinion_score(0.0, 50.0));
    }

    #[test]
    fn receptions_add_up() {
        let a = Reception { packets: 100, bytes: 1000, lost: 1, late: 2, jitter_ms: 1.0, mos: 4.0 };
        let b = Reception { packets: 300, bytes: 3000, lost: 3, late: 4, jitter_ms: 3.0, mos: 2.0 };
        let both = Reception { packets: 400, bytes: 4000, lost: 4, late: 6, jitter_ms: 2.5, mos: 2.5 };
        assert_eq!((a.merge(b), b.merge(a)), (both, both));
        assert_eq!((a.merge(Reception::default()), Reception::default().merge(a)), (a, a));
    }
}
