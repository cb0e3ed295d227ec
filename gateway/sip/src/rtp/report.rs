//! RTCP (RFC 3550 §6): what is told of what we sent and heard, and what the far end tells.

use std::time::Duration;

use tandem_switch::time::Instant;

use super::numbering::{Listening, Numbering};

/// Most lost packets that a block says: 24 bits with a sign.
pub(super) const LOST_MAX: u64 = 0x7f_ffff;

/// Longest report that is written, bytes: a sender's, with one block, and a name.
pub const REPORT_BYTES_MAX: usize = 28 + 24 + 8 + 4 + 32 + 4;

const SENDER: u8 = 200;
const RECEIVER: u8 = 201;
const DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;

/// `CNAME` (RFC 3550 §6.5.1).
const CNAME: u8 = 1;

/// One source's reception, as it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Whose.
    pub ssrc: u32,
    /// Lost since the last report, 1/256.
    pub fraction_lost: u8,
    /// Lost since the beginning.
    pub lost: u32,
    /// Extended highest sequence number.
    pub highest: u32,
    /// Interarrival jitter, timestamp units.
    pub jitter: u32,
    /// The middle of the NTP time of the source's last report; 0: none came.
    pub last_report: u32,
    /// How long ago that came, 1/65536 s.
    pub since_last_report: u32,
}

/// What the far end says of what it hears.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FarReception {
    /// Lost since its last report, 0 to 1.
    pub loss: f32,
    /// Lost since the beginning.
    pub lost: u32,
    /// Interarrival jitter, milliseconds.
    pub jitter_ms: f32,
    /// The time from us there and back, if it can be told.
    pub round_trip: Option<Duration>,
}

/// What a compound packet brought.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Told {
    /// How we are heard.
    pub reception: Option<FarReception>,
    /// The far end leaves.
    pub goodbye: bool,
}

/// Reports of one leg.
#[derive(Clone, Debug)]
pub struct Reports {
    /// Middle of the far end's last report's time, and when it came.
    theirs: Option<(u32, Instant)>,
    /// Names us, the same for all of a call: random, so that it says nothing (RFC 7022).
    name: [u8; 16],
}

impl Reports {
    /// With a random name for us.
    pub fn new(name: [u8; 16]) -> Self {
        Self { theirs: None, name }
    }

    /// Writes our report at `now` into `out` and says how many bytes it took: of what we sent, if we did, and of what we heard. NTP
    /// times count from the core's time zero: only their differences mean anything.
    pub fn write(
        &self,
        now: Instant,
        numbering: &Numbering,
        timestamp: u32,
        listening: &mut Listening,
        out: &mut [u8; REPORT_BYTES_MAX],
    ) -> usize {
        let mut writer = Writer { out, at: 0 };
        let sent = numbering.sent();
        let block = listening.block().map(|block| match self.theirs {
            Some((middle, came)) => Block { last_report: middle, since_last_report: short(now.since(came)), ..block },
            None => block,
        });
        let blocks = u8::from(block.is_some());
        let is_sender = sent.packets > 0;
        let words = if is_sender { 6 } else { 1 } + 6 * u16::from(blocks);
        writer.head(blocks, if is_sender { SENDER } else { RECEIVER }, words);
        writer.u32(numbering.ssrc());
        if is_sender {
            let (seconds, fraction) = ntp(now);
            [seconds, fraction, timestamp, sent.packets, sent.bytes].into_iter().for_each(|word| writer.u32(word));
        }
        if let Some(block) = block {
            writer.u32(block.ssrc);
            writer.u32(u32::from(block.fraction_lost) << 24 | block.lost & 0xff_ffff);
            let rest = [block.highest, block.jitter, block.last_report, block.since_last_report];
            rest.into_iter().for_each(|word| writer.u32(word));
        }
        self.describe(numbering.ssrc(), &mut writer);
        writer.at
    }

    /// Writes our goodbye, for the end of a leg (RFC 3550 §6.6).
    pub fn goodbye(&self, numbering: &Numbering, out: &mut [u8; REPORT_BYTES_MAX]) -> usize {
        let mut writer = Writer { out, at: 0 };
        // A compound packet begins with a report, be it an empty one.
        writer.head(0, RECEIVER, 1);
        writer.u32(numbering.ssrc());
        self.describe(numbering.ssrc(), &mut writer);
        writer.head(1, GOODBYE, 1);
        writer.u32(numbering.ssrc());
        writer.at
    }

    /// Takes what the far end reports at `now` of our source and of a clock of this rate. What cannot be read ends the reading.
    pub fn receive(&mut self, now: Instant, bytes: &[u8], ssrc: u32, clock_hz: u32) -> Told {
        let (mut told, mut rest) = (Told::default(), bytes);
        while let Some((count, kind, body, next)) = packet(rest) {
            rest = next;
            let blocks = match kind {
                SENDER => {
                    if let Some(&[a, b, c, d]) = body.get(6..10) {
                        self.theirs = Some((u32::from_be_bytes([a, b, c, d]), now));
                    }
                    body.get(24..)
                }
                RECEIVER => body.get(4..),
                GOODBYE => {
                    told.goodbye = true;
                    None
                }
                _ => None,
            };
            for words in blocks.unwrap_or_default().as_chunks::<24>().0.iter().take(count.into()) {
                let word = |at: usize| u32::from_be_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]]);
                if word(0) == ssrc {
                    told.reception = Some(far_reception(now, word, clock_hz));
                }
            }
        }
        told
    }

    fn describe(&self, ssrc: u32, writer: &mut Writer<'_>) {
        // Source, item, name, and at least one zero that ends the chunk, in whole words.
        let name = self.name.len() as u16;
        let words = (4 + 2 + name + 1).div_ceil(4);
        writer.head(1, DESCRIPTION, words);
        writer.u32(ssrc);
        writer.bytes(&[CNAME, name as u8]);
        writer.bytes(&self.name);
        let filled = usize::from(words) * 4 - 4 - 2 - self.name.len();
        writer.bytes(&[0; 4][..filled]);
    }
}

fn far_reception(now: Instant, word: impl Fn(usize) -> u32, clock_hz: u32) -> FarReception {
    // RFC 3550 §6.4.1: what is left of now after the report's time and how long the far end held it.
    let (last, held) = (word(16), word(20));
    let (seconds, fraction) = ntp(now);
    let middle = seconds << 16 | fraction >> 16;
    let trip = middle.wrapping_sub(last).wrapping_sub(held);
    // A far end that says nonsense is not believed: more than a minute.
    let is_told = last != 0 && trip < ROUND_TRIP_MAX;
    let round_trip = is_told.then(|| Duration::from_micros(u64::from(trip) * 1_000_000 / 65_536));
    let lost = word(4) & 0xff_ffff;
    FarReception {
        loss: (word(4) >> 24) as f32 / 256.0,
        // More came than was sent, as duplicates: nothing is lost.
        lost: if lost > LOST_MAX as u32 { 0 } else { lost },
        jitter_ms: word(12) as f32 * 1_000.0 / clock_hz.max(1) as f32,
        round_trip,
    }
}

/// Longest round trip that is believed, 1/65536 s: a minute.
const ROUND_TRIP_MAX: u32 = 60 << 16;

/// One packet of a compound: its count, kind, body, and what comes after it.
fn packet(bytes: &[u8]) -> Option<(u8, u8, &[u8], &[u8])> {
    let (&[first, kind, high, low], rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([high, low])) * 4;
    let (body, next) = rest.split_at_checked(length)?;
    (first >> 6 == 2 && (192..=223).contains(&kind)).then_some((first & 0x1f, kind, body, next))
}

/// Whether bytes on a port that both share are RTCP (RFC 5761 §4).
pub fn is_report(bytes: &[u8]) -> bool {
    bytes.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

/// The core's time as NTP has it: seconds and 2^-32 s. Its zero is not 1900's.
fn ntp(now: Instant) -> (u32, u32) {
    let micros = now.as_micros();
    // One second up, so that no time is 0, which means none.
    let seconds = (micros / 1_000_000).wrapping_add(1) as u32;
    (seconds, ((micros % 1_000_000) << 32).div_euclid(1_000_000) as u32)
}

fn short(span: Duration) -> u32 {
    u32::try_from(span.as_micros() * 65_536 / 1_000_000).unwrap_or(u32::MAX)
}

struct Writer<'a> {
    out: &'a mut [u8; REPORT_BYTES_MAX],
    at: usize,
}

impl Writer<'_> {
    fn head(&mut self, count: u8, kind: u8, words: u16) {
        self.bytes(&[0x80 | count, kind]);
        self.bytes(&words.to_be_bytes());
    }

    fn u32(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use tandem_switch::media::rtp::Header;

    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    /// Two ends that have sent each other a second of voice, 40 ms apart, of which one in ten is lost one way.
    #[test]
    fn two_ends_tell_each_other_loss_jitter_and_round_trip() {
        let (mut a, mut b) = (Numbering::new(1, 5, 8_000), Numbering::new(2, 6, 8_000));
        let (mut heard_by_a, mut heard_by_b) = (Listening::new(8_000), Listening::new(8_000));
        for frame in 0..50 {
            let (from_a, from_b) = (a.voice(0, frame, 160), b.voice(0, frame, 160));
            if frame % 10 != 4 {
                heard_by_b.receive(at(frame * 20 + 40), &from_a, 172);
            }
            heard_by_a.receive(at(frame * 20 + 40), &from_b, 172);
        }
        let (mut reports_a, mut reports_b) = (Reports::new([b'a'; 16]), Reports::new([b'b'; 16]));
        let mut out = [0; REPORT_BYTES_MAX];
        let length = reports_a.write(at(1_000), &a, a.timestamp(50), &mut heard_by_a, &mut out);
        assert_eq!((length % 4, is_report(&out[..length])), (0, true));
        let told = reports_b.receive(at(1_040), &out[..length], 2, 8_000).reception.unwrap();
        assert_eq!((told.loss, told.lost, told.round_trip), (0.0, 0, None));
        // B holds it for 100 ms; the way back takes 60.
        let length = reports_b.write(at(1_140), &b, b.timestamp(57), &mut heard_by_b, &mut out);
        let told = reports_a.receive(at(1_200), &out[..length], 1, 8_000).reception.unwrap();
        assert!((told.loss - 0.1).abs() < 0.01 && told.lost == 5, "{told:?}");
        let trip = told.round_trip.unwrap();
        assert!(trip.abs_diff(Duration::from_millis(100)) < Duration::from_millis(1), "{trip:?}");
        assert_eq!(reports_a.receive(at(1_200), &out[..length], 77, 8_000).reception, None, "of another source");
    }

    #[test]
    fn who_sent_nothing_reports_what_it_heard_and_a_goodbye_is_understood() {
        let silent = Numbering::new(9, 5, 8_000);
        let mut listening = Listening::new(8_000);
        let mut out = [0; REPORT_BYTES_MAX];
        let reports = Reports::new([0; 16]);
        let length = reports.write(at(0), &silent, 0, &mut listening, &mut out);
        assert_eq!((out[0], out[1], length), (0x80, RECEIVER, 8 + 28));
        let header = Header { marker: false, payload_type: 0, sequence: 1, timestamp: 1, ssrc: 3 };
        listening.receive(at(0), &header, 172);
        let length = reports.write(at(0), &silent, 0, &mut listening, &mut out);
        assert_eq!((out[0], length), (0x81, 32 + 28));
        let length = reports.goodbye(&silent, &mut out);
        assert!(Reports::new([0; 16]).receive(at(0), &out[..length], 1, 8_000).goodbye);
    }

    #[test]
    fn a_report_that_is_cut_or_lies_harms_nobody() {
        let mut numbering = Numbering::new(1, 5, 8_000);
        numbering.voice(0, 0, 160);
        let mut listening = Listening::new(8_000);
        let header = Header { marker: false, payload_type: 0, sequence: 1, timestamp: 1, ssrc: 3 };
        listening.receive(at(0), &header, 172);
        let mut out = [0; REPORT_BYTES_MAX];
        let length = Reports::new([1; 16]).write(at(5), &numbering, 0, &mut listening, &mut out);
        for cut in 0..=length {
            Reports::new([0; 16]).receive(at(9), &out[..cut], 3, 8_000);
        }
        for byte in 0..length {
            for value in [0, 1, 0x80, 0xff] {
                let mut other = out;
                other[byte] = value;
                let told = Reports::new([0; 16]).receive(at(9), &other[..length], 3, 8_000);
                assert!(told.reception.is_none_or(|far| far.loss <= 1.0 && far.jitter_ms.is_finite()));
            }
        }
    }
}
