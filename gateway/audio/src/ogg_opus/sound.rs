//! A file as samples: decoded, mixed to one channel, at 48 kHz, without what its head says to leave out.

use std::io::Read;

use super::{OggError, Reader};
use crate::opus::{CodecError, Decoder, PACKET_SAMPLES_MAX, Rate};
use crate::pcm::SAMPLE_HZ;

/// The most silence that is given at once for missing pages, samples.
const SILENCE_PIECE: u64 = SAMPLE_HZ as u64;

/// Reads a file's sound piece by piece.
#[derive(Debug)]
pub struct Sound<R> {
    reader: Reader<R>,
    decoder: Decoder,
    /// Samples decoded, with those that are left out.
    position: u64,
    /// The packet that is next, while silence for missing pages is given.
    waiting: Option<super::TimedPacket>,
    decoded: Vec<f32>,
}

impl<R: Read> Sound<R> {
    /// The sound of a file whose head was read.
    ///
    /// # Errors
    /// When there is no decoder.
    pub fn new(reader: Reader<R>) -> Result<Self, CodecError> {
        let mut decoder = Decoder::new(Rate::Hz48000)?;
        decoder.set_gain(reader.head().gain)?;
        Ok(Self { reader, decoder, position: 0, waiting: None, decoded: vec![0.0; PACKET_SAMPLES_MAX] })
    }

    /// Appends the next piece of sound to `out`, samples within ±1; `false` when there is no more. Where pages are missing is silence.
    ///
    /// # Errors
    /// When the file is damaged, or a packet is not Opus.
    pub fn read(&mut self, out: &mut Vec<f32>) -> Result<bool, OggError> {
        let packet = match self.waiting.take() {
            Some(packet) => packet,
            None => match self.reader.read()? {
                Some(packet) => packet,
                None => return Ok(false),
            },
        };
        let missing = packet.at.0.saturating_sub(self.position);
        if missing > 0 {
            let now = missing.min(SILENCE_PIECE) as usize;
            self.give(now, |_| 0.0, out);
            self.waiting = Some(packet);
            return Ok(true);
        }
        let seconds = self.position as f64 / f64::from(SAMPLE_HZ);
        let decoded = self.decoder.decode_float(&packet.bytes, &mut self.decoded);
        decoded.map_err(|_| OggError::Packet { seconds })?;
        let samples = std::mem::take(&mut self.decoded);
        self.give(packet.samples as usize, |index| samples[index], out);
        self.decoded = samples;
        Ok(true)
    }

    /// What is known about the file; see [`Reader`].
    pub fn reader(&self) -> &Reader<R> {
        &self.reader
    }

    /// Appends samples that are beyond the pre-skip.
    fn give(&mut self, count: usize, sample: impl Fn(usize) -> f32, out: &mut Vec<f32>) {
        let skip = u64::from(self.reader.head().pre_skip).saturating_sub(self.position);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(count);
        out.extend((skip..count).map(sample));
        self.position += count as u64;
    }
}
