//! Reads packets with their places in time.

use std::collections::VecDeque;
use std::io::Read;

use bytes::Bytes;

use super::head::{Head, Tags};
use super::page::{Next, Page, PageReader};
use super::{OggError, PACKET_BYTES_MAX, TAGS_BYTES_MAX};
use crate::opus;
use crate::pcm::{MediaTime, SAMPLE_HZ};

/// A packet and where it sounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedPacket {
    /// Where its first sample is, counted from the first of the file. The first [`Head::pre_skip`] samples of a file do not sound.
    pub at: MediaTime,
    /// How many of its samples belong to the file, at least one; fewer than it holds only at the end.
    pub samples: u32,
    /// The packet.
    pub bytes: Bytes,
}

/// Reads a file from its beginning. A torn last page is left out; anything else that is wrong is an error.
#[derive(Debug)]
pub struct Reader<R> {
    pages: PageReader<R>,
    serial: u32,
    head: Head,
    tags: Tags,
    ready: VecDeque<TimedPacket>,
    /// The beginning of a packet that goes on, on the next page.
    partial: Option<Vec<u8>>,
    /// The granule position of the first sample, once it is known.
    base: Option<u64>,
    /// Where the next packet begins, if none is missing.
    position: u64,
    /// Of the last page, if it has been seen.
    ended: bool,
    torn: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the head and the comments.
    ///
    /// # Errors
    /// When the file is not Ogg Opus of one stream and one or two channels, is damaged, or ends there.
    pub fn open(input: R) -> Result<Self, OggError> {
        let mut pages = PageReader::new(input);
        let first = page(&mut pages)?;
        if !first.is_first() {
            return Err(OggError::Damaged { at: 0, what: "the first page does not begin a stream" });
        }
        let head = Head::parse(first.parts().next().map(|part| part.bytes).unwrap_or_default())?;
        let mut comments = Vec::new();
        let tags = loop {
            let next = page(&mut pages)?;
            if next.serial != first.serial || next.is_first() {
                return Err(several());
            }
            let Some(part) = next.parts().next() else { continue };
            comments.extend_from_slice(part.bytes);
            if comments.len() > TAGS_BYTES_MAX {
                return Err(OggError::Foreign(format!("comments of more than {TAGS_BYTES_MAX} bytes")));
            }
            if !part.unfinished {
                break Tags::parse(&comments)?;
            }
        };
        Ok(Self {
            pages,
            serial: first.serial,
            head,
            tags,
            ready: VecDeque::new(),
            partial: None,
            base: None,
            position: 0,
            ended: false,
            torn: false,
        })
    }

    /// What the file says about its sound.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The file's comments.
    pub fn tags(&self) -> &Tags {
        &self.tags
    }

    /// Whether the file ends within a page: it was cut off. Known when all packets are read.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    /// Whether the file says that it is at its end. Known when all packets are read.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The next packet; `None` at the end. Places that leave something out between two packets say that pages are missing.
    ///
    /// # Errors
    /// When the file is damaged, holds more than one stream, or a packet is not Opus.
    pub fn read(&mut self) -> Result<Option<TimedPacket>, OggError> {
        loop {
            if let Some(packet) = self.ready.pop_front() {
                return Ok(Some(packet));
            }
            if self.torn {
                return Ok(None);
            }
            match self.pages.next()? {
                Next::Page(page) if page.serial != self.serial || page.is_first() || self.ended => {
                    return Err(several());
                }
                Next::Page(page) => self.take(&page)?,
                Next::End => return Ok(None),
                Next::Torn => self.torn = true,
            }
        }
    }

    fn take(&mut self, page: &Page) -> Result<(), OggError> {
        let mut packets = Vec::new();
        let mut continues = page.continues();
        if !continues {
            // The rest of a packet is missing with its page.
            self.partial = None;
        }
        for part in page.parts() {
            let bytes = if continues {
                continues = false;
                let Some(mut begun) = self.partial.take() else { continue };
                begun.extend_from_slice(part.bytes);
                begun
            } else {
                part.bytes.to_vec()
            };
            if bytes.len() > PACKET_BYTES_MAX {
                return Err(OggError::Damaged { at: page.at, what: "a packet that is longer than any of Opus" });
            }
            if part.unfinished {
                self.partial = Some(bytes);
            } else {
                packets.push(bytes);
            }
        }
        self.place(page, packets)?;
        self.ended = page.is_last();
        Ok(())
    }

    /// Finds where the packets of a page are: it says where the last of them ends.
    fn place(&mut self, page: &Page, packets: Vec<Vec<u8>>) -> Result<(), OggError> {
        let mut durations = Vec::with_capacity(packets.len());
        let mut sum = 0;
        for packet in &packets {
            let here = (self.position + sum) as f64 / f64::from(SAMPLE_HZ);
            let samples = opus::duration(packet).ok_or(OggError::Packet { seconds: here })?;
            sum += u64::from(samples);
            durations.push(samples);
        }
        let Some(granule) = page.granule() else { return Ok(()) };
        // A first page that ends before all that it holds is trimmed at the end, and begins at zero (RFC 7845 section 4.5).
        let base = *self.base.get_or_insert(granule.saturating_sub(sum));
        let end = granule.saturating_sub(base);
        if !packets.is_empty() && end > self.position + sum {
            self.position = end - sum;
        }
        let end = if page.is_last() { end } else { u64::MAX };
        for (packet, samples) in packets.into_iter().zip(durations) {
            let sounds = u64::from(samples).min(end.saturating_sub(self.position)) as u32;
            if sounds > 0 {
                self.ready.push_back(TimedPacket {
                    at: MediaTime(self.position),
                    samples: sounds,
                    bytes: packet.into(),
                });
            }
            self.position += u64::from(samples);
        }
        Ok(())
    }
}

/// A page that has to be there.
fn page<R: Read>(pages: &mut PageReader<R>) -> Result<Page, OggError> {
    match pages.next()? {
        Next::Page(page) => Ok(page),
        Next::End | Next::Torn => Err(OggError::NoSound),
    }
}

fn several() -> OggError {
    OggError::Foreign("it holds several streams".to_owned())
}
