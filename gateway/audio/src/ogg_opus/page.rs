//! Pages of Ogg (RFC 3533 section 6): read whole and checked, written at once.

use std::io::Read;

use super::OggError;

/// The page goes on with a packet of the page before.
const CONTINUED: u8 = 1;
/// The first page of a stream.
pub(super) const FIRST: u8 = 2;
/// The last page of a stream.
pub(super) const LAST: u8 = 4;

/// What a page begins with.
pub(super) const CAPTURE: &[u8; 4] = b"OggS";

const HEADER_BYTES: usize = 27;

/// Where in the header the checksum is.
const CHECKSUM: std::ops::Range<usize> = 22..26;

/// A granule position that says that no packet ends on the page.
const NONE_ENDS: u64 = u64::MAX;

/// Most segments of a page, each of up to 255 bytes.
pub(super) const SEGMENTS_MAX: usize = 255;

/// A page that was whole.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) at: u64,
    flags: u8,
    granule: u64,
    pub(super) serial: u32,
    pub(super) sequence: u32,
    segments: Vec<u8>,
    body: Vec<u8>,
}

/// A packet, or a part of one, on a page.
pub(super) struct Part<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether the packet goes on, on the next page.
    pub(super) unfinished: bool,
}

impl Page {
    pub(super) fn continues(&self) -> bool {
        self.flags & CONTINUED != 0
    }

    pub(super) fn is_first(&self) -> bool {
        self.flags & FIRST != 0
    }

    pub(super) fn is_last(&self) -> bool {
        self.flags & LAST != 0
    }

    /// Samples up to the end of the last packet that ends here; `None` when none does.
    pub(super) fn granule(&self) -> Option<u64> {
        Some(self.granule).filter(|&granule| granule != NONE_ENDS)
    }

    /// Bytes of the whole page.
    pub(super) fn len(&self) -> u64 {
        (HEADER_BYTES + self.segments.len() + self.body.len()) as u64
    }

    /// The packets, in order.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let (mut segments, mut body) = (&self.segments[..], &self.body[..]);
        std::iter::from_fn(move || {
            if segments.is_empty() {
                return None;
            }
            let ends = segments.iter().position(|&length| length < 255);
            let count = ends.map_or(segments.len(), |last| last + 1);
            let length = segments[..count].iter().map(|&length| usize::from(length)).sum();
            let (bytes, rest) = body.split_at(length);
            (segments, body) = (&segments[count..], rest);
            Some(Part { bytes, unfinished: ends.is_none() })
        })
    }
}

/// What comes next in a file.
pub(super) enum Next {
    Page(Page),
    /// The file ends, between two pages.
    End,
    /// The file ends within a page.
    Torn,
}

/// Reads page after page.
#[derive(Debug)]
pub(super) struct PageReader<R> {
    input: R,
    /// Where the next page begins.
    pub(super) at: u64,
}

impl<R: Read> PageReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, at: 0 }
    }

    /// The next page. What is wrong with one is an error, and the reader is of no more use.
    pub(super) fn next(&mut self) -> Result<Next, OggError> {
        let mut header = [0; HEADER_BYTES];
        let got = read_up_to(&mut self.input, &mut header)?;
        let damaged = |what| Err(OggError::Damaged { at: self.at, what });
        if got == 0 {
            return Ok(Next::End);
        }
        if header[..got.min(4)] != CAPTURE[..got.min(4)] {
            return damaged("no Ogg page begins here");
        }
        if got < HEADER_BYTES {
            return Ok(Next::Torn);
        }
        if header[4] != 0 {
            return damaged("a page of an unknown version");
        }
        let mut segments = vec![0; usize::from(header[26])];
        if read_up_to(&mut self.input, &mut segments)? < segments.len() {
            return Ok(Next::Torn);
        }
        let mut body = vec![0; segments.iter().map(|&length| usize::from(length)).sum()];
        if read_up_to(&mut self.input, &mut body)? < body.len() {
            return Ok(Next::Torn);
        }
        let number = |from: usize| u32::from_le_bytes(std::array::from_fn(|index| header[from + index]));
        let (serial, sequence, claimed) = (number(14), number(18), number(CHECKSUM.start));
        let granule = u64::from_le_bytes(std::array::from_fn(|index| header[6 + index]));
        header[CHECKSUM].fill(0);
        if checksum([&header[..], &segments, &body]) != claimed {
            return damaged("a page whose checksum is wrong");
        }
        let page = Page { at: self.at, flags: header[5], granule, serial, sequence, segments, body };
        self.at += page.len();
        Ok(Next::Page(page))
    }
}

/// Reads until `buffer` is full or the input ends.
fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> Result<usize, std::io::Error> {
    let mut got = 0;
    while got < buffer.len() {
        match input.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// A page being filled with whole packets.
#[derive(Debug, Default)]
pub(super) struct Draft {
    segments: Vec<u8>,
    body: Vec<u8>,
}

impl Draft {
    /// Whether a packet of this length finds room.
    pub(super) fn has_room(&self, length: usize) -> bool {
        self.segments.len() + length / 255 < SEGMENTS_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Appends a packet, for which there is room.
    pub(super) fn push(&mut self, packet: &[u8]) {
        debug_assert!(self.has_room(packet.len()));
        self.segments.extend(std::iter::repeat_n(255, packet.len() / 255));
        self.segments.push((packet.len() % 255) as u8);
        self.body.extend_from_slice(packet);
    }

    /// Appends the page's bytes to `out`, and is empty again.
    pub(super) fn seal(&mut self, flags: u8, granule: u64, serial: u32, sequence: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(CAPTURE);
        out.extend_from_slice(&[0, flags]);
        out.extend_from_slice(&granule.to_le_bytes());
        out.extend_from_slice(&serial.to_le_bytes());
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.push(self.segments.len() as u8);
        out.extend_from_slice(&self.segments);
        out.extend_from_slice(&self.body);
        let sum = checksum([&out[start..], &[], &[]]);
        out[start + CHECKSUM.start..start + CHECKSUM.end].copy_from_slice(&sum.to_le_bytes());
        self.segments.clear();
        self.body.clear();
    }
}

/// CRC-32 with the polynomial 0x04c11db7, not reflected, begun with zero (RFC 3533 section 6).
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 0x8000_0000 != 0 { value << 1 ^ 0x04c1_1db7 } else { value << 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

fn checksum(pieces: [&[u8]; 3]) -> u32 {
    let bytes = pieces.into_iter().flatten();
    bytes.fold(0u32, |sum, &byte| sum << 8 ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)])
}
