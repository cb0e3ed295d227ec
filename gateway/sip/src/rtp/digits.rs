//! Keys as events (RFC 4733): each once, whatever is repeated or lost.

use std::collections::VecDeque;

use tandem_switch::audio::Digit;
use tandem_switch::media::rtp::Header;

use super::numbering::Marker;
use crate::limits;

/// Length of an event's payload, bytes.
pub const PAYLOAD_BYTES: usize = 4;

/// The keys in the order of their event codes (RFC 4733 §3.2, table 3).
const KEYS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// The longest that a packet says an event has lasted, timestamp units; what lasts longer goes on in a further segment (RFC 4733
/// §2.5.1.3).
const DURATION_MAX: u16 = u16::MAX;

/// An event's payload, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its code: 0 to 15 are keys.
    pub code: u8,
    /// Whether it has ended.
    pub is_over: bool,
    /// Its level, -dBm0.
    pub volume: u8,
    /// How long it has lasted, timestamp units.
    pub duration: u16,
}

impl Event {
    /// Reads a payload; further events of the same packet (RFC 4733 §2.5.1.5 keeps them from keys) are passed over.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (&[code, flags, high, low], _) = payload.split_first_chunk::<PAYLOAD_BYTES>()?;
        let duration = u16::from_be_bytes([high, low]);
        Some(Self { code, is_over: flags & 0x80 != 0, volume: flags & 0x3f, duration })
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; PAYLOAD_BYTES] {
        let [high, low] = self.duration.to_be_bytes();
        [self.code, u8::from(self.is_over) << 7 | self.volume & 0x3f, high, low]
    }
}

/// Reads keys from a far end's events.
#[derive(Clone, Debug, Default)]
pub struct DigitReader {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    ssrc: u32,
    timestamp: u32,
    event: Event,
}

impl DigitReader {
    /// A packet of events came. The key, when it is the first that is heard of it: all packets of one event have the timestamp of its beginning,
    /// so neither repetitions nor a lost end make two of it.
    pub fn receive(&mut self, header: &Header, payload: &[u8]) -> Option<Digit> {
        let event = Event::parse(payload)?;
        let new = Last { ssrc: header.ssrc, timestamp: header.timestamp, event };
        match &mut self.last {
            Some(last) if last.ssrc == header.ssrc => {
                let later = header.timestamp.wrapping_sub(last.timestamp) as i32;
                if later <= 0 {
                    // More of the same event, or a straggler of one before it.
                    if later == 0 {
                        last.event.is_over |= event.is_over;
                        last.event.duration = last.event.duration.max(event.duration);
                    }
                    return None;
                }
                let before = std::mem::replace(last, new);
                if before.goes_on_in(&new, header.marker) {
                    return None;
                }
            }
            other => *other = Some(new),
        }
        KEYS.get(usize::from(event.code)).and_then(|key| Digit::new(*key))
    }
}

impl Last {
    /// Whether `next` is a further segment of the same long press.
    fn goes_on_in(&self, next: &Self, marked: bool) -> bool {
        let after = next.timestamp.wrapping_sub(self.timestamp);
        let follows = after.abs_diff(DURATION_MAX.into()) <= SEGMENT_SLACK;
        !marked && !self.event.is_over && self.event.code == next.event.code && follows
    }
}

/// How much a segment's beginning may differ from where the last one must end, timestamp units: a packet of 50 ms at 48 kHz.
const SEGMENT_SLACK: u32 = 2_400;

/// A packet of events that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its payload.
    pub payload: [u8; PAYLOAD_BYTES],
    /// When the event began.
    pub timestamp: u32,
    /// Whether it is the event's first packet.
    pub marker: Marker,
}

/// What a frame of 20 ms is, while keys are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// No key: voice.
    Voice,
    /// A packet of a key, and no voice: the far end makes the tone.
    Key(Due),
}

/// Sends keys as events, one after another: a packet each 20 ms, the end three times (RFC 4733 §2.5.1.4), then a pause.
#[derive(Clone, Debug)]
pub struct DigitWriter {
    waiting: VecDeque<Digit>,
    now: Option<Now>,
    /// Frames of pause that are left.
    pause: u32,
    /// Timestamp units of a frame.
    frame: u16,
}

#[derive(Clone, Copy, Debug)]
struct Now {
    code: u8,
    timestamp: u32,
    frames: u16,
    ends: u32,
}

impl DigitWriter {
    /// Sends nothing yet. The clock is that of the digits' format.
    pub fn new(clock_hz: u32) -> Self {
        let frame = u16::try_from(clock_hz / 50).unwrap_or(u16::MAX);
        Self { waiting: VecDeque::new(), now: None, pause: 0, frame }
    }

    /// Sends these after what waits; how many did not find room.
    pub fn push(&mut self, digits: impl IntoIterator<Item = Digit>) -> usize {
        let mut refused = 0;
        for digit in digits {
            if self.waiting.len() < limits::DIGITS_WAITING_MAX { self.waiting.push_back(digit) } else { refused += 1 }
        }
        refused
    }

    /// Whether nothing is sent and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.now.is_none() && self.waiting.is_empty()
    }

    /// What the next 20 ms are; `timestamp` is theirs.
    pub fn tick(&mut self, timestamp: u32) -> Turn {
        let Some(now) = &mut self.now else { return self.begin(timestamp) };
        let due = |is_over, duration| {
            let payload = Event { code: now.code, is_over, volume: KEY_VOLUME, duration }.to_bytes();
            Turn::Key(Due { payload, timestamp: now.timestamp, marker: Marker::Clear })
        };
        now.frames = now.frames.saturating_add(u16::from(now.frames < KEY_FRAMES));
        let duration = now.frames.saturating_mul(self.frame);
        let turn = due(now.frames == KEY_FRAMES, duration);
        if now.frames == KEY_FRAMES {
            now.ends += 1;
            if now.ends == KEY_ENDS {
                (self.now, self.pause) = (None, KEY_PAUSE_FRAMES);
            }
        }
        turn
    }

    fn begin(&mut self, timestamp: u32) -> Turn {
        if self.pause > 0 {
            self.pause -= 1;
            return Turn::Voice;
        }
        let Some(digit) = self.waiting.pop_front() else { return Turn::Voice };
        let code = KEYS.iter().position(|key| *key == digit.as_char()).unwrap_or_default() as u8;
        self.now = Some(Now { code, timestamp, frames: 1, ends: 0 });
        let payload = Event { code, is_over: false, volume: KEY_VOLUME, duration: self.frame }.to_bytes();
        Turn::Key(Due { payload, timestamp, marker: Marker::Set })
    }
}

/// How loud a key is said to be, -dBm0: as `tandem_audio::tone` makes them.
const KEY_VOLUME: u8 = 7;

/// How long a key is pressed, frames of 20 ms: 100 ms, which every receiver takes (Q.24 wants 40).
const KEY_FRAMES: u16 = 5;

/// How often the end is said (RFC 4733 §2.5.1.4).
const KEY_ENDS: u32 = 3;

/// Frames of voice between two keys, beside the two by which the end is repeated: 100 ms in all.
const KEY_PAUSE_FRAMES: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sequence: u16, timestamp: u32, marker: bool) -> Header {
        Header { marker, payload_type: 101, sequence, timestamp, ssrc: 1 }
    }

    /// All packets that are sent for some keys, with the frame of each.
    fn sent(keys: &str) -> Vec<(u32, Due)> {
        let mut writer = DigitWriter::new(8_000);
        assert_eq!(writer.push(keys.chars().filter_map(Digit::new)), 0);
        let mut sent = Vec::new();
        for frame in 0..1_000 {
            if let Turn::Key(due) = writer.tick(frame * 160) {
                sent.push((frame, due));
            }
        }
        assert!(writer.is_idle());
        sent
    }

    fn read(packets: &[(u32, Due)]) -> String {
        let mut reader = DigitReader::default();
        let read = packets
            .iter()
            .filter_map(|(_, due)| reader.receive(&header(0, due.timestamp, due.marker == Marker::Set), &due.payload));
        read.map(Digit::as_char).collect()
    }

    #[test]
    fn keys_are_sent_as_the_standard_says_and_read_again() {
        let packets = sent("1#");
        assert_eq!(packets.len(), 14);
        let events: Vec<_> = packets.iter().map(|(_, due)| Event::parse(&due.payload).unwrap()).collect();
        let durations: Vec<_> = events.iter().map(|event| event.duration).collect();
        assert_eq!(durations[..7], [160, 320, 480, 640, 800, 800, 800]);
        let over: Vec<_> = events.iter().map(|event| event.is_over).collect();
        assert_eq!(over[..7], [false, false, false, false, true, true, true]);
        assert!(packets[..7].iter().all(|(_, due)| due.timestamp == packets[0].1.timestamp));
        let marked: Vec<_> = packets.iter().enumerate().filter(|(_, (_, due))| due.marker == Marker::Set).collect();
        assert_eq!(marked.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 7]);
        assert_eq!((packets[7].0 - packets[6].0, events[7].code), (4, 11), "a pause lies between");
        assert_eq!(read(&packets), "1#");
        assert_eq!(read(&sent("0123456789*#ABCD")), "0123456789*#ABCD");
        assert_eq!(read(&sent("1111")), "1111", "the same key again is another one");
    }

    #[test]
    fn whatever_is_lost_repeated_or_late_each_key_counts_once() {
        let packets = sent("12");
        // Any non-empty part of each key's packets is one key.
        for mask in 1..128u32 {
            let part: Vec<_> =
                packets.iter().enumerate().filter(|(at, _)| mask >> (at % 7) & 1 == 1).map(|(_, p)| *p).collect();
            assert_eq!(read(&part), "12", "{mask:#b}");
        }
        let twice: Vec<_> = packets.iter().flat_map(|packet| [*packet, *packet]).collect();
        assert_eq!(read(&twice), "12");
        let mut late = packets.clone();
        late.push(packets[6]);
        late.insert(9, packets[2]);
        assert_eq!(read(&late), "12");
    }

    #[test]
    fn a_long_press_is_one_key() {
        let mut reader = DigitReader::default();
        let packet = |duration, is_over| Event { code: 5, is_over, volume: 10, duration }.to_bytes();
        let mut heard = Vec::new();
        heard.extend(reader.receive(&header(0, 1_000, true), &packet(60_000, false)));
        heard.extend(reader.receive(&header(1, 1_000, false), &packet(65_535, false)));
        heard.extend(reader.receive(&header(2, 1_000 + 65_535, false), &packet(800, false)));
        heard.extend(reader.receive(&header(3, 1_000 + 65_535, false), &packet(1_600, true)));
        assert_eq!(heard.len(), 1);
        // After its end the same key at any time is another press.
        assert!(reader.receive(&header(4, 1_000 + 2 * 65_535, false), &packet(160, false)).is_some());
    }

    #[test]
    fn what_is_no_key_is_none() {
        let mut reader = DigitReader::default();
        for payload in [&[][..], &[1, 2, 3], &[16, 0, 0, 160], &[255, 0, 0, 160]] {
            assert_eq!(reader.receive(&header(0, 5, true), payload), None, "{payload:?}");
        }
    }

    #[test]
    fn keys_beyond_the_bound_are_refused() {
        let mut writer = DigitWriter::new(48_000);
        let digits = std::iter::repeat_n(Digit::new('1').unwrap(), limits::DIGITS_WAITING_MAX + 3);
        assert_eq!(writer.push(digits), 3);
    }
}
