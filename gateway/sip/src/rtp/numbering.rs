//! Numbers of packets, sent and received.

use tandem_switch::media::rtp::{Header, OPUS_CLOCK_HZ};
use tandem_switch::media::stats::{Arrival, Reception, ReceptionMeter};
use tandem_switch::time::Instant;

/// What was sent so far, for reports (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Packets.
    pub packets: u32,
    /// Bytes of payload.
    pub bytes: u32,
    /// The last packet's timestamp.
    pub timestamp: u32,
}

/// Sequence numbers and timestamps of what we send: one source for the whole life of a leg. Timestamps go on while nothing is sent.
#[derive(Clone, Debug)]
pub struct Numbering {
    ssrc: u32,
    sequence: u16,
    /// The timestamp of time zero.
    start: u32,
    clock_hz: u32,
    /// The last packet was voice, and nothing was left out since: the next one begins no talk spurt.
    is_speaking: bool,
    sent: Sent,
}

impl Numbering {
    /// Begins at random numbers (RFC 3550 §5.1), which the caller has: `seed` is any 64 random bits and `ssrc` any other 32.
    pub fn new(ssrc: u32, seed: u64, clock_hz: u32) -> Self {
        let (sequence, start) = (seed as u16, (seed >> 32) as u32);
        Self { ssrc, sequence, start, clock_hz, is_speaking: false, sent: Sent::default() }
    }

    /// Another codec may have another clock: timestamps go on from `frame` at the new rate (RFC 7160 would rather have another source).
    pub fn set_clock(&mut self, clock_hz: u32, frame: u64) {
        if clock_hz != self.clock_hz {
            let now = self.timestamp(frame);
            self.clock_hz = clock_hz;
            self.start = now.wrapping_sub(ticks(frame, clock_hz));
            self.is_speaking = false;
        }
    }

    /// The source.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The timestamp of the frame of 20 ms with this number, counted from any beginning.
    pub fn timestamp(&self, frame: u64) -> u32 {
        self.start.wrapping_add(ticks(frame, self.clock_hz))
    }

    /// The header of a packet of voice whose first frame is `frame`.
    pub fn voice(&mut self, payload_type: u8, frame: u64, payload_bytes: usize) -> Header {
        let marker = !std::mem::replace(&mut self.is_speaking, true);
        self.next(payload_type, marker, self.timestamp(frame), payload_bytes)
    }

    /// The header of a packet that is no voice: digits, whose timestamp is when they began.
    pub fn event(&mut self, payload_type: u8, marker: Marker, timestamp: u32, payload_bytes: usize) -> Header {
        self.is_speaking = false;
        self.next(payload_type, marker == Marker::Set, timestamp, payload_bytes)
    }

    /// Nothing is sent for a frame.
    pub fn pause(&mut self) {
        self.is_speaking = false;
    }

    /// What was sent so far.
    pub fn sent(&self) -> Sent {
        self.sent
    }

    fn next(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload_bytes: usize) -> Header {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        let bytes = u32::try_from(payload_bytes).unwrap_or(u32::MAX);
        self.sent =
            Sent { packets: self.sent.packets.wrapping_add(1), bytes: self.sent.bytes.wrapping_add(bytes), timestamp };
        Header { marker, payload_type, sequence, timestamp, ssrc: self.ssrc }
    }
}

/// Whether a packet is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// The first of something.
    Set,
    /// Not the first.
    Clear,
}

fn ticks(frame: u64, clock_hz: u32) -> u32 {
    // Timestamps wrap.
    frame.wrapping_mul(u64::from(clock_hz / 50)) as u32
}

/// What is received of one leg: measured as every flow is, and what reports need beside it.
#[derive(Clone, Debug)]
pub struct Listening {
    meter: ReceptionMeter,
    clock_hz: u32,
    ssrc: Option<u32>,
    /// Extended highest sequence number (RFC 3550 §6.4.1).
    highest: u32,
    /// Expected and lost when it was reported last.
    reported: (u64, u64),
    last: Option<Instant>,
}

impl Listening {
    /// Nothing came yet. Timestamps are of this clock.
    pub fn new(clock_hz: u32) -> Self {
        Self { meter: ReceptionMeter::default(), clock_hz, ssrc: None, highest: 0, reported: (0, 0), last: None }
    }

    /// Timestamps are of another clock from now on.
    pub fn set_clock(&mut self, clock_hz: u32) {
        self.clock_hz = clock_hz;
    }

    /// A packet of the far end came; `length` is all of it.
    pub fn receive(&mut self, now: Instant, header: &Header, length: usize) -> Arrival {
        self.last = Some(now);
        // The meter counts in Opus' clock; timestamps wrap in both alike, since the one is a multiple of the other.
        let timestamp = header.timestamp.wrapping_mul((OPUS_CLOCK_HZ / self.clock_hz).max(1));
        let arrival = self.meter.receive(now, &Header { timestamp, ..*header }, length);
        match arrival {
            Arrival::Fresh if self.ssrc == Some(header.ssrc) => {
                let ahead = header.sequence.wrapping_sub(self.highest as u16);
                self.highest = self.highest.wrapping_add(ahead.into());
            }
            Arrival::Fresh | Arrival::Restart => {
                self.ssrc = Some(header.ssrc);
                self.highest = header.sequence.into();
            }
            Arrival::Late | Arrival::Duplicate | Arrival::Stray => {}
        }
        arrival
    }

    /// When something came last.
    pub fn last(&self) -> Option<Instant> {
        self.last
    }

    /// Everything so far.
    pub fn reception(&self) -> Reception {
        self.meter.reception()
    }

    /// The block that is reported of it now, without when its sender's last report came; none before the first packet.
    pub(super) fn block(&mut self) -> Option<super::report::Block> {
        let ssrc = self.ssrc?;
        let reception = self.reception();
        let (expected, lost) = (reception.packets + reception.lost, reception.lost);
        let (before_expected, before_lost) = std::mem::replace(&mut self.reported, (expected, lost));
        let interval = expected.saturating_sub(before_expected);
        let lost_now = lost.saturating_sub(before_lost).min(interval);
        let fraction = (lost_now * 256).checked_div(interval).map_or(0, |share| share.min(255) as u8);
        Some(super::report::Block {
            ssrc,
            fraction_lost: fraction,
            lost: lost.min(super::report::LOST_MAX) as u32,
            highest: self.highest,
            jitter: (f64::from(reception.jitter_ms) * f64::from(self.clock_hz) / 1_000.0) as u32,
            last_report: 0,
            since_last_report: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_talk_spurt_is_marked_and_time_goes_on_in_pauses() {
        let mut numbering = Numbering::new(7, 0xffff_ff00_0000_fffe, 8_000);
        let headers: Vec<_> = [0, 1, 2, 9]
            .into_iter()
            .map(|frame| {
                if frame == 9 {
                    numbering.pause();
                }
                numbering.voice(0, frame, 160)
            })
            .collect();
        let marked: Vec<_> = headers.iter().map(|header| header.marker).collect();
        assert_eq!(marked, [true, false, false, true]);
        let numbers: Vec<_> = headers.iter().map(|header| header.sequence).collect();
        assert_eq!(numbers, [0xfffe, 0xffff, 0, 1]);
        let since = |index: usize| headers[index].timestamp.wrapping_sub(headers[0].timestamp);
        assert_eq!([since(1), since(2), since(3)], [160, 320, 1_440]);
        assert_eq!((numbering.sent().packets, numbering.sent().bytes), (4, 640));
    }

    #[test]
    fn another_clock_goes_on_from_where_the_first_one_was() {
        let mut numbering = Numbering::new(7, 0, 8_000);
        let before = numbering.voice(0, 100, 160).timestamp;
        numbering.set_clock(48_000, 101);
        let header = numbering.voice(111, 101, 80);
        assert_eq!((header.timestamp.wrapping_sub(before), header.marker), (160, true));
        assert_eq!(numbering.voice(111, 102, 80).timestamp.wrapping_sub(header.timestamp), 960);
    }

    #[test]
    fn what_is_received_at_8_khz_is_measured_across_both_wraps() {
        let mut listening = Listening::new(8_000);
        for n in 0..300u32 {
            let header = Header {
                marker: false,
                payload_type: 0,
                sequence: 65_400u16.wrapping_add(n as u16),
                timestamp: u32::MAX.wrapping_sub(10_000).wrapping_add(n * 160),
                ssrc: 5,
            };
            if n % 10 != 3 {
                listening.receive(Instant::from_micros(u64::from(n) * 20_000), &header, 172);
            }
        }
        let reception = listening.reception();
        assert_eq!((reception.packets, reception.lost, reception.jitter_ms), (270, 30, 0.0));
        let block = listening.block().unwrap();
        assert_eq!((block.lost, block.highest, block.fraction_lost), (30, 65_400 + 299, 25));
        assert_eq!(listening.block().unwrap().fraction_lost, 0, "nothing since");
    }
}
