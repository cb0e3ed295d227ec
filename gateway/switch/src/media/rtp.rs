//! RTP packets: the fixed header (RFC 3550 section 5.1), CSRCs, padding, header extensions (RFC 8285) and the audio level (RFC 6464).
//!
//! Reading borrows and never allocates; every length is checked before it is used. Writing makes what Tandem's own clients send:
//! version 2, one source, Opus (RFC 7587), at most one extension. Not here: payload contents, RTCP (statistics travel as signalling).

use bytes::{BufMut, BytesMut};

use crate::time::Instant;

/// The payload type that Tandem's clients use for Opus: the dynamic one that browsers use.
pub const OPUS_PAYLOAD_TYPE: u8 = 111;

/// Clock rate of Opus over RTP, Hz, whatever rate the codec runs at (RFC 7587 section 4.1).
pub const OPUS_CLOCK_HZ: u32 = 48_000;

/// Timestamp units in one frame of 20 ms.
pub const FRAME_TICKS: u32 = OPUS_CLOCK_HZ / 50;

/// The local identifier of the audio level extension in Tandem's own packets; 1 is what browsers negotiate.
pub const AUDIO_LEVEL_EXTENSION: u8 = 1;

/// Length of the fixed header, bytes.
pub const HEADER_BYTES: usize = 12;

/// `0xBEDE`: the extension block has elements with one-byte headers (RFC 8285 section 4.2).
const ONE_BYTE_PROFILE: u16 = 0xBEDE;

/// `0x100` and four application bits: elements with two-byte headers (RFC 8285 section 4.3).
const TWO_BYTE_PROFILE: u16 = 0x1000;

/// The fixed header, without what only says how the packet is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// For audio: the first packet after a silence (RFC 3551 section 4.1).
    pub marker: bool,
    /// What the payload is; 0 to 127.
    pub payload_type: u8,
    /// Counts packets, wraps.
    pub sequence: u16,
    /// When the payload's first sample was taken, in units of the payload's clock, wraps.
    pub timestamp: u32,
    /// Which source's numbers these are.
    pub ssrc: u32,
}

/// Why bytes are no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than the fixed header.
    #[error("an RTP packet has at least {HEADER_BYTES} bytes; got {0}")]
    TooShort(usize),
    /// Not RTP as RFC 3550 has it.
    #[error("the RTP version must be 2; got {0}")]
    Version(u8),
    /// The list of contributing sources is longer than the packet.
    #[error("the packet ends within its {0} contributing sources")]
    CsrcTruncated(u8),
    /// The header extension is longer than the packet.
    #[error("the packet ends within its header extension")]
    ExtensionTruncated,
    /// The padding is said to be none, or longer than what is left of the packet.
    #[error("the padding of {padding} bytes does not fit into {room} bytes")]
    Padding {
        /// What the last byte says.
        padding: u8,
        /// What follows the headers.
        room: usize,
    },
}

/// A packet, read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The fixed header.
    pub header: Header,
    /// What is to be played, without padding.
    pub payload: &'a [u8],
    /// How many bytes of padding followed.
    pub padding: u8,
    csrcs: &'a [u8],
    extension: Option<(u16, &'a [u8])>,
}

impl<'a> Packet<'a> {
    /// Reads a packet.
    ///
    /// # Errors
    /// Says what is wrong with it. Elements within the header extension are not looked at: see [`Packet::elements`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (fixed, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Malformed::TooShort(bytes.len()))?;
        let version = fixed[0] >> 6;
        if version != 2 {
            return Err(Malformed::Version(version));
        }
        let header = Header {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        };
        let csrc_count = fixed[0] & 0x0f;
        let (csrcs, rest) =
            rest.split_at_checked(4 * usize::from(csrc_count)).ok_or(Malformed::CsrcTruncated(csrc_count))?;
        let (extension, rest) = if fixed[0] & 0x10 == 0 { (None, rest) } else { split_extension(rest)? };
        let (payload, padding) = if fixed[0] & 0x20 == 0 { (rest, 0) } else { split_padding(rest)? };
        Ok(Self { header, payload, padding, csrcs, extension })
    }

    /// The contributing sources, in the packet's order.
    pub fn csrcs(&self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.csrcs.as_chunks().0.iter().map(|&csrc| u32::from_be_bytes(csrc))
    }

    /// The header extension's elements; none when there is no extension, or one of another form than RFC 8285's.
    pub fn elements(&self) -> Elements<'a> {
        match self.extension {
            Some((ONE_BYTE_PROFILE, block)) => Elements { form: Form::OneByte, rest: block },
            Some((profile, block)) if profile & 0xfff0 == TWO_BYTE_PROFILE => {
                Elements { form: Form::TwoByte, rest: block }
            }
            _ => Elements { form: Form::OneByte, rest: &[] },
        }
    }

    /// The audio level that the extension element `id` carries, if it is there.
    pub fn audio_level(&self, id: u8) -> Option<AudioLevel> {
        // Two-byte elements may be longer than the level (RFC 6464 section 3), one-byte ones are exactly one byte.
        let element = self.elements().find(|element| element.id == id)?;
        element.data.first().map(|&byte| AudioLevel::from_byte(byte))
    }
}

type Extension<'a> = Option<(u16, &'a [u8])>;

fn split_extension(bytes: &[u8]) -> Result<(Extension<'_>, &[u8]), Malformed> {
    let (head, rest) = bytes.split_first_chunk::<4>().ok_or(Malformed::ExtensionTruncated)?;
    let words = u16::from_be_bytes([head[2], head[3]]);
    let (block, rest) = rest.split_at_checked(4 * usize::from(words)).ok_or(Malformed::ExtensionTruncated)?;
    Ok((Some((u16::from_be_bytes([head[0], head[1]]), block)), rest))
}

fn split_padding(bytes: &[u8]) -> Result<(&[u8], u8), Malformed> {
    let padding = bytes.last().copied().unwrap_or(0);
    let end = bytes.len().checked_sub(padding.into()).filter(|_| padding > 0);
    let end = end.ok_or(Malformed::Padding { padding, room: bytes.len() })?;
    Ok((&bytes[..end], padding))
}

/// One element of a header extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its local identifier: 1 to 14 with one-byte headers, 1 to 255 with two-byte ones.
    pub id: u8,
    /// What it carries.
    pub data: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
enum Form {
    OneByte,
    TwoByte,
}

/// Walks the elements of a header extension. Padding is passed over; the walk ends at an element that does not fit into the block or
/// has a reserved identifier, and what came before it counts (RFC 8285 section 4.2).
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    form: Form,
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let padding = self.rest.iter().take_while(|&&byte| byte == 0).count();
        let element = match (self.form, &self.rest[padding..]) {
            (Form::OneByte, [head, rest @ ..]) if (1..15).contains(&(head >> 4)) => {
                rest.split_at_checked(usize::from(head & 0x0f) + 1).map(|(data, rest)| (head >> 4, data, rest))
            }
            (Form::TwoByte, [id, length, rest @ ..]) => {
                rest.split_at_checked((*length).into()).map(|(data, rest)| (*id, data, rest))
            }
            _ => None,
        };
        let (id, data, rest) = element.unwrap_or((0, &[], &[]));
        self.rest = rest;
        (id != 0).then_some(Element { id, data })
    }
}

/// How loud a packet is (RFC 6464): one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// Whether the sender takes it for speech.
    pub voice: bool,
    /// How far below the overload point, dB: 0 is the loudest, 127 is silence.
    pub below_overload_db: u8,
}

impl AudioLevel {
    /// Reads the byte of RFC 6464 section 3.
    pub fn from_byte(byte: u8) -> Self {
        Self { voice: byte & 0x80 != 0, below_overload_db: byte & 0x7f }
    }

    /// Writes it; a level beyond 127 is written as 127.
    pub fn to_byte(self) -> u8 {
        u8::from(self.voice) << 7 | self.below_overload_db.min(127)
    }
}

impl Header {
    /// Writes the header, with the audio level as a one-byte extension element when there is one. The payload comes after it.
    pub fn write(&self, level: Option<AudioLevel>, out: &mut BytesMut) {
        out.put_u8(0x80 | u8::from(level.is_some()) << 4);
        out.put_u8(u8::from(self.marker) << 7 | self.payload_type & 0x7f);
        out.put_u16(self.sequence);
        out.put_u32(self.timestamp);
        out.put_u32(self.ssrc);
        if let Some(level) = level {
            out.put_u16(ONE_BYTE_PROFILE);
            out.put_u16(1);
            // The element's length field is one less than its length; two bytes of padding fill the word.
            out.put_slice(&[AUDIO_LEVEL_EXTENSION << 4, level.to_byte(), 0, 0]);
        }
    }
}

/// Monotonic time in units of the Opus clock; does not wrap.
pub(super) fn ticks_at(now: Instant) -> i64 {
    let micros = now.as_micros();
    (micros / 125 * 6 + micros % 125 * 6 / 125) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// V=2, marker, payload type 111, sequence 0x1234, timestamp 0x01020304, SSRC 0xdeadbeef; `first` is the first byte.
    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        let fixed = [first, 0xef, 0x12, 0x34, 1, 2, 3, 4, 0xde, 0xad, 0xbe, 0xef];
        [&fixed, rest].concat()
    }

    fn elements(block: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let bytes = packet(0x90, block);
        let packet = Packet::parse(&bytes).unwrap();
        packet.elements().map(|element| (element.id, element.data.to_vec())).collect()
    }

    #[test]
    fn the_fixed_header_is_read_field_by_field() {
        let bytes = packet(0x80, b"opus");
        let read = Packet::parse(&bytes).unwrap();
        let header =
            Header { marker: true, payload_type: 111, sequence: 0x1234, timestamp: 0x0102_0304, ssrc: 0xdead_beef };
        assert_eq!((read.header, read.payload, read.padding), (header, &b"opus"[..], 0));
    }

    #[test]
    fn sources_extension_and_padding_are_cut_off() {
        // Two CSRCs, an extension of one word, padding of three bytes.
        let rest = [0, 0, 0, 1, 0, 0, 0, 2, 0xbe, 0xde, 0, 1, 0x10, 0x85, 0, 0, b'o', b'k', 0, 0, 3];
        let bytes = packet(0xb2, &rest);
        let read = Packet::parse(&bytes).unwrap();
        assert_eq!(read.csrcs().collect::<Vec<_>>(), [1, 2]);
        assert_eq!((read.payload, read.padding), (&b"ok"[..], 3));
        assert_eq!(read.audio_level(1), Some(AudioLevel { voice: true, below_overload_db: 5 }));
        assert_eq!(read.audio_level(2), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let table = [
            (packet(0x80, &[])[..11].to_vec(), Malformed::TooShort(11)),
            (packet(0x40, &[]), Malformed::Version(1)),
            (packet(0x82, &[0; 7]), Malformed::CsrcTruncated(2)),
            (packet(0x90, &[0xbe, 0xde, 0]), Malformed::ExtensionTruncated),
            (packet(0x90, &[0xbe, 0xde, 0, 1, 0, 0, 0]), Malformed::ExtensionTruncated),
            (packet(0xa0, &[]), Malformed::Padding { padding: 0, room: 0 }),
            (packet(0xa0, &[1, 2, 0]), Malformed::Padding { padding: 0, room: 3 }),
            (packet(0xa0, &[1, 2, 4]), Malformed::Padding { padding: 4, room: 3 }),
        ];
        for (bytes, error) in table {
            assert_eq!(Packet::parse(&bytes), Err(error), "{bytes:02x?}");
        }
    }

    #[test]
    fn one_byte_elements_are_read_as_rfc_8285_says() {
        // Its section 4.2 example: lengths 1, 2 (L=1), padding between, 4 (L=3).
        let example = [0xbe, 0xde, 0, 3, 0x10, 0xaa, 0x21, 0xb0, 0xb1, 0, 0, 0x33, 1, 2, 3, 4];
        assert_eq!(elements(&example), [(1, vec![0xaa]), (2, vec![0xb0, 0xb1]), (3, vec![1, 2, 3, 4])]);
        let ends_at_15 = [0xbe, 0xde, 0, 2, 0x10, 0xaa, 0xf0, 1, 0x20, 0xbb, 0, 0];
        assert_eq!(elements(&ends_at_15), [(1, vec![0xaa])]);
        let zero_with_length = [0xbe, 0xde, 0, 1, 0x01, 0x10, 0xaa, 0];
        assert_eq!(elements(&zero_with_length), []);
        let overrun = [0xbe, 0xde, 0, 1, 0x10, 0xaa, 0x2f, 1];
        assert_eq!(elements(&overrun), [(1, vec![0xaa])]);
    }

    #[test]
    fn two_byte_elements_are_read_as_rfc_8285_says() {
        // Its section 4.3 example: an empty element, one byte, padding, four bytes; the lowest four profile bits are the application's.
        let example = [0x10, 0x07, 0, 3, 1, 0, 2, 1, 0xaa, 0, 3, 4, 1, 2, 3, 4];
        assert_eq!(elements(&example), [(1, vec![]), (2, vec![0xaa]), (3, vec![1, 2, 3, 4])]);
        let overrun = [0x10, 0x00, 0, 1, 1, 3, 0xaa, 0xbb];
        assert_eq!(elements(&overrun), []);
        assert_eq!(elements(&[0x12, 0x34, 0, 1, 0x10, 0xaa, 0, 0]), [], "a profile of another kind");
    }

    #[test]
    fn an_empty_level_element_is_no_level() {
        let bytes = packet(0x90, &[0x10, 0x00, 0, 1, 1, 0, 0, 0]);
        assert_eq!(Packet::parse(&bytes).unwrap().audio_level(1), None);
    }

    #[test]
    fn a_written_header_is_read_back() {
        let header = Header { marker: false, payload_type: 111, sequence: 65_535, timestamp: u32::MAX, ssrc: 7 };
        let quiet = AudioLevel { voice: false, below_overload_db: 127 };
        for (level, length) in [(None, 12), (Some(quiet), 20)] {
            let mut out = BytesMut::new();
            header.write(level, &mut out);
            assert_eq!(out.len(), length);
            out.extend_from_slice(b"opus");
            let read = Packet::parse(&out).unwrap();
            assert_eq!((read.header, read.audio_level(AUDIO_LEVEL_EXTENSION)), (header, level));
            assert_eq!(read.payload, b"opus");
        }
    }

    #[test]
    fn the_audio_level_has_its_bits_where_rfc_6464_has_them() {
        for (byte, voice, below_overload_db) in
            [(0x00, false, 0), (0x80, true, 0), (0x7f, false, 127), (0x9e, true, 30)]
        {
            let level = AudioLevel { voice, below_overload_db };
            assert_eq!((AudioLevel::from_byte(byte), level.to_byte()), (level, byte));
        }
        assert_eq!(AudioLevel { voice: false, below_overload_db: 200 }.to_byte(), 0x7f);
    }

    #[test]
    fn monotonic_time_becomes_ticks() {
        for (micros, ticks) in [(0, 0), (1_000, 48), (20_000, 960), (125, 6), (20, 0), (21, 1), (1_000_000, 48_000)] {
            assert_eq!(ticks_at(Instant::from_micros(micros)), ticks, "{micros}");
        }
        assert!(ticks_at(Instant::from_micros(u64::MAX)) > 0);
    }
}
