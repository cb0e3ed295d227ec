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
