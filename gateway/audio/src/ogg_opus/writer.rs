//! Writes a recording: packets at their places in time, with silence where there are none, page by page.

use std::collections::VecDeque;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;

use super::OggError;
use super::head::{Head, Tags};
use super::page::{Draft, FIRST, LAST};
use crate::opus::{self, ENCODER_DELAY};
use crate::pcm::MediaTime;

/// How much sound a page holds, samples: half a second. With [`REORDER`] it is what a recording that is cut off loses.
const PAGE_SAMPLES: u64 = 24_000;

/// For how long a packet waits for one from before it, samples: 200 ms, more than networks reorder by.
const REORDER: u64 = 9_600;

/// The longest silence that is filled in at once.
pub(super) const GAP_MAX: Duration = Duration::from_secs(3600);

/// How many frames are left to the decoder to make up when packets are missing, before they count as silence: 100 ms.
const CONCEALED_MAX: u64 = 5;

/// Packets of CELT's silence flag in full band (RFC 6716 section 4.3): samples at 48 kHz, and bytes. The longest first.
const SILENCES: [(u64, [u8; 3]); 4] =
    [(960, [0xf8, 0xff, 0xfe]), (480, [0xf0, 0xff, 0xfe]), (240, [0xe8, 0xff, 0xfe]), (120, [0xe0, 0xff, 0xfe])];

/// The shortest that a packet can sound, samples: 2.5 ms. Differences below it wait until they add up.
const SHORTEST: u64 = 120;

/// What a file says about itself.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// The stream's number; any will do, a random one is usual.
    pub serial: u32,
    /// Samples at 48 kHz that players leave out at the beginning: the encoder's delay.
    pub pre_skip: u16,
    /// `NAME=value`, as [`Tags::comments`].
    pub comments: Vec<String>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { serial: 1, pre_skip: ENCODER_DELAY, comments: Vec::new() }
    }
}

/// What became of the packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Are in the file, or will be.
    pub packets: u64,
    /// Samples at 48 kHz that were filled in where no packet was.
    pub filled: u64,
    /// Came twice, or after their place was written; left out.
    pub late: u64,
    /// Were no Opus packets; left out.
    pub refused: u64,
}

/// Writes a mono recording. Every page is one `write` to `W`: give it a file as it is, not one that buffers, and what was written
/// survives the process. What was appended and not written yet is at most 0.7 s.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    serial: u32,
    sequence: u32,
    /// Samples up to here are laid out, on pages written and the one being filled.
    position: u64,
    draft: Draft,
    /// Where the page being filled begins.
    draft_from: u64,
    /// Packets by their place, each within [`REORDER`] of the last.
    waiting: VecDeque<(u64, Bytes)>,
    /// What stands in for a lost packet: nothing, said in the manner of the last one.
    nothing: Option<[u8; 1]>,
    page: Vec<u8>,
    counters: Counters,
    broken: bool,
}

impl<W: Write> Writer<W> {
    /// Begins a file: head and comments are written at once.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn create(out: W, options: WriterOptions) -> Result<Self, OggError> {
        let mut writer = Self {
            out,
            serial: options.serial,
            sequence: 2,
            position: 0,
            draft: Draft::default(),
            draft_from: 0,
            waiting: VecDeque::new(),
            nothing: None,
            page: Vec::new(),
            counters: Counters::default(),
            broken: false,
        };
        let vendor = concat!("tandem ", env!("CARGO_PKG_VERSION")).to_owned();
        let tags = Tags { vendor, comments: options.comments };
        let mut bytes = Vec::new();
        for (sequence, packet) in [Head::mono(options.pre_skip).write(), tags.write()].into_iter().enumerate() {
            if !writer.draft.has_room(packet.len()) {
                return Err(OggError::Foreign("comments of more than a page".to_owned()));
            }
            writer.draft.push(&packet);
            let flags = if sequence == 0 { FIRST } else { 0 };
            writer.draft.seal(flags, 0, options.serial, sequence as u32, &mut bytes);
        }
        writer.put(&bytes)?;
        Ok(writer)
    }

    /// Takes a packet that begins to sound at `at`. Packets may come in any order within 200 ms. One that is not Opus, came before or
    /// is too late is counted and left out.
    ///
    /// # Errors
    /// When the file cannot be written, or the packet comes more than an hour after the one before it.
    pub fn append(&mut self, at: MediaTime, packet: Bytes) -> Result<(), OggError> {
        self.check()?;
        if opus::duration(&packet).is_none() || !Draft::default().has_room(packet.len()) {
            self.counters.refused += 1;
            return Ok(());
        }
        self.check_gap(at)?;
        let place = self.waiting.partition_point(|&(other, _)| other < at.0);
        let twice = self.waiting.get(place).is_some_and(|&(other, _)| other == at.0);
        if twice || at.0 + SHORTEST <= self.position {
            self.counters.late += 1;
            return Ok(());
        }
        self.counters.packets += 1;
        self.waiting.insert(place, (at.0, packet));
        let newest = self.waiting.back().map_or(at.0, |&(newest, _)| newest);
        self.settle(newest.saturating_sub(REORDER))
    }

    /// Lets the recording go on to `now` though no packet came: what is older than 200 ms is laid out, with silence up to there. To be
    /// called now and then while nobody speaks, so that what was said before is written.
    ///
    /// # Errors
    /// When the file cannot be written, or more than an hour has passed.
    pub fn advance(&mut self, now: MediaTime) -> Result<(), OggError> {
        self.check()?;
        self.check_gap(now)?;
        let settled = now.0.saturating_sub(REORDER);
        self.settle(settled)?;
        self.fill(settled)
    }

    /// Ends the file with the last packet, and gives back what it was written to.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<W, OggError> {
        self.check()?;
        self.settle(u64::MAX)?;
        let end = self.position;
        self.end(end)
    }

    /// Ends the file at `end`: filled up with silence, or without what the page that is not yet written holds beyond.
    ///
    /// # Errors
    /// As [`Self::finish`], and when more than an hour has passed since the last packet.
    pub fn finish_at(mut self, end: MediaTime) -> Result<W, OggError> {
        self.check()?;
        self.check_gap(end)?;
        self.settle(u64::MAX)?;
        self.fill(end.0)?;
        self.end(end.0)
    }

    /// How long the recording is, up to what is laid out.
    pub fn position(&self) -> MediaTime {
        MediaTime(self.position)
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn end(mut self, end: u64) -> Result<W, OggError> {
        let written = if self.draft.is_empty() { self.position } else { self.draft_from };
        let mut last = std::mem::take(&mut self.page);
        last.clear();
        last_page(&mut self.draft, end.clamp(written, self.position), self.serial, self.sequence, &mut last);
        self.put(&last)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn check(&self) -> Result<(), OggError> {
        if self.broken { Err(OggError::Broken) } else { Ok(()) }
    }

    fn check_gap(&self, at: MediaTime) -> Result<(), OggError> {
        let newest = self.waiting.back().map_or(self.position, |&(newest, _)| newest);
        let gap = MediaTime(at.0.saturating_sub(newest)).since_start();
        if gap > GAP_MAX { Err(OggError::Gap { seconds: gap.as_secs() }) } else { Ok(()) }
    }

    /// Lays out all packets up to `until`.
    fn settle(&mut self, until: u64) -> Result<(), OggError> {
        while self.waiting.front().is_some_and(|&(at, _)| at <= until) {
            let Some((at, packet)) = self.waiting.pop_front() else { break };
            self.fill(at)?;
            self.nothing = opus::nothing_like(&packet);
            self.lay(&packet)?;
        }
        Ok(())
    }

    /// Lays out silence up to `until`.
    fn fill(&mut self, until: u64) -> Result<(), OggError> {
        let mut concealed = 0;
        let from = self.position;
        while until.saturating_sub(self.position) >= SHORTEST {
            let gap = until - self.position;
            let nothing = self.nothing.filter(|nothing| {
                concealed < CONCEALED_MAX && opus::duration(nothing).is_some_and(|samples| u64::from(samples) <= gap)
            });
            if let Some(nothing) = nothing {
                concealed += 1;
                self.lay(&nothing)?;
                continue;
            }
            self.nothing = None;
            let Some((_, silence)) = SILENCES.iter().find(|&&(samples, _)| samples <= gap) else { break };
            self.lay(silence)?;
        }
        self.counters.filled += self.position - from;
        Ok(())
    }

    fn lay(&mut self, packet: &[u8]) -> Result<(), OggError> {
        if !self.draft.has_room(packet.len()) {
            self.turn()?;
        }
        if self.draft.is_empty() {
            self.draft_from = self.position;
        }
        self.draft.push(packet);
        self.position += u64::from(opus::duration(packet).unwrap_or(0));
        if self.position - self.draft_from >= PAGE_SAMPLES { self.turn() } else { Ok(()) }
    }

    /// Writes the page that was being filled.
    fn turn(&mut self) -> Result<(), OggError> {
        let mut page = std::mem::take(&mut self.page);
        page.clear();
        self.draft.seal(0, self.position, self.serial, self.sequence, &mut page);
        self.sequence = self.sequence.wrapping_add(1);
        let put = self.put(&page);
        self.page = page;
        put
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), OggError> {
        let written = self.out.write_all(bytes);
        self.broken = written.is_err();
        Ok(written?)
    }
}

/// Appends the page that ends a stream at `end`. One without sound of its own holds a silence that is trimmed away whole.
pub(super) fn last_page(draft: &mut Draft, end: u64, serial: u32, sequence: u32, out: &mut Vec<u8>) {
    if draft.is_empty() {
        draft.push(&SILENCES[0].1);
    }
    draft.seal(LAST, end, serial, sequence, out);
}
