//! Makes a whole file of one that was cut off.

use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

use super::OggError;
use super::page::{CAPTURE, Draft, Next, PageReader};
use super::reader::Reader;
use super::writer::last_page;
use crate::pcm::MediaTime;

/// A file whose length can be set.
pub trait Resize {
    /// Makes it `bytes` long; what is beyond is gone.
    ///
    /// # Errors
    /// When the file refuses.
    fn resize(&mut self, bytes: u64) -> std::io::Result<()>;
}

impl Resize for std::fs::File {
    fn resize(&mut self, bytes: u64) -> std::io::Result<()> {
        self.set_len(bytes)
    }
}

impl Resize for std::io::Cursor<Vec<u8>> {
    fn resize(&mut self, bytes: u64) -> std::io::Result<()> {
        self.get_mut().resize(usize::try_from(bytes).map_err(std::io::Error::other)?, 0);
        Ok(())
    }
}

impl<F: Resize> Resize for &mut F {
    fn resize(&mut self, bytes: u64) -> std::io::Result<()> {
        (**self).resize(bytes)
    }
}

/// What was found and done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair {
    /// How long the recording is, with what players leave out at the beginning.
    pub duration: Duration,
    /// Bytes of a torn page that were taken away.
    pub cut_bytes: u64,
    /// Whether the file was whole, and nothing was changed.
    pub was_whole: bool,
}

/// Takes a torn page from the end of a recording, and ends it properly. A file that is whole stays as it is; doing it twice does no
/// harm. Reads the file once, page by page.
///
/// # Errors
/// When the file is not Ogg Opus, was cut off before its sound began, cannot be written, or is damaged in its midst: then nothing is
/// changed, since good sound comes after the damage.
pub fn repair<F: Read + Write + Seek + Resize>(file: &mut F) -> Result<Repair, OggError> {
    file.rewind()?;
    // The heads are judged as a reader does.
    drop(Reader::open(&mut *file)?);
    file.rewind()?;
    let mut pages = PageReader::new(&mut *file);
    let mut end = 0;
    let (mut serial, mut sequence, mut ended) = (0, 0, false);
    let damage = loop {
        match pages.next() {
            Ok(Next::Page(page)) if page.at > 0 && page.serial != serial => {
                return Err(OggError::Foreign("it holds several streams".to_owned()));
            }
            Ok(Next::Page(page)) => {
                (serial, sequence, ended) = (page.serial, page.sequence, page.is_last());
                end = page.granule().unwrap_or(end);
            }
            Ok(Next::End | Next::Torn) => break None,
            Err(error @ OggError::Damaged { .. }) => break Some(error),
            Err(error) => return Err(error),
        }
    };
    let good = pages.at;
    if let Some(error) = damage
        && page_follows(file, good)?
    {
        return Err(error);
    }
    let length = file.seek(SeekFrom::End(0))?;
    let cut_bytes = length - good;
    let duration = MediaTime(end).since_start();
    let was_whole = cut_bytes == 0 && ended;
    if cut_bytes > 0 {
        file.resize(good)?;
    }
    if !ended {
        let mut last = Vec::new();
        last_page(&mut Draft::default(), end, serial, sequence.wrapping_add(1), &mut last);
        file.seek(SeekFrom::Start(good))?;
        file.write_all(&last)?;
    }
    file.flush()?;
    Ok(Repair { duration, cut_bytes, was_whole })
}

/// Whether a whole page begins anywhere after `from`.
fn page_follows<F: Read + Seek>(file: &mut F, from: u64) -> Result<bool, OggError> {
    let mut at = from + 1;
    loop {
        let Some(found) = find(file, at)? else { return Ok(false) };
        file.seek(SeekFrom::Start(found))?;
        if let Ok(Next::Page(_)) = PageReader::new(&mut *file).next() {
            return Ok(true);
        }
        at = found + 1;
    }
}

/// Where the next page might begin, at `from` or later.
fn find<F: Read + Seek>(file: &mut F, from: u64) -> Result<Option<u64>, OggError> {
    let mut at = file.seek(SeekFrom::Start(from))?;
    let mut window = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        let got = file.read(&mut piece)?;
        if got == 0 {
            return Ok(None);
        }
        window.extend_from_slice(&piece[..got]);
        if let Some(place) = window.windows(CAPTURE.len()).position(|bytes| bytes == CAPTURE) {
            return Ok(Some(at + place as u64));
        }
        let keep = window.len().min(CAPTURE.len() - 1);
        at += (window.len() - keep) as u64;
        window.drain(..window.len() - keep);
    }
}
