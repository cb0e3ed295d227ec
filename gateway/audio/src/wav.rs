//! WAV files: any rate, PCM of 8 to 32 bits or float, any number of channels in; 48 kHz mono 16 bit out.

use std::io::{Read, Seek, Write};
use std::time::Duration;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use crate::pcm::SAMPLE_HZ;
use crate::resample::{HZ_MAX, HZ_MIN, RateError, Resampler};

/// Most channels that are mixed to one: surround sound of a cinema, and then some.
pub const CHANNELS_MAX: u16 = 16;

/// Samples of one channel that are read at a time.
const PIECE: usize = 4096;

/// What can be wrong with a WAV file.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// Its head cannot be understood.
    #[error("not a WAV file of uncompressed sound: {0}")]
    Head(String),
    /// It says something that cannot be.
    #[error("a WAV file of {what}; {right} are possible")]
    Unfit {
        /// What it says.
        what: String,
        /// What would be right.
        right: String,
    },
    /// It breaks off, or cannot be read.
    #[error("the WAV file breaks off after {seconds:.2} s of sound: {reason}")]
    Broken {
        /// Where, seconds from the beginning.
        seconds: f64,
        /// Why.
        reason: String,
    },
    /// It cannot be written.
    #[error("the WAV file cannot be written: {0}")]
    Write(String),
}

impl From<RateError> for WavError {
    fn from(error: RateError) -> Self {
        Self::Unfit { what: format!("{} Hz", error.hz), right: format!("{HZ_MIN} to {HZ_MAX} Hz") }
    }
}

/// Reads a file piece by piece, as mono at 48 kHz.
pub struct Reader<R> {
    inner: WavReader<R>,
    spec: WavSpec,
    resampler: Resampler,
    /// Samples of a channel, as the head says, and read so far.
    claimed: u64,
    read: u64,
    mono: Vec<f32>,
    ended: bool,
}

impl<R> std::fmt::Debug for Reader<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reader").field("spec", &self.spec).field("read", &self.read).finish_non_exhaustive()
    }
}

impl<R: Read> Reader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// When it is no WAV file, or one of a kind that is not read.
    pub fn open(input: R) -> Result<Self, WavError> {
        let inner = WavReader::new(input).map_err(|error| WavError::Head(error.to_string()))?;
        let spec = inner.spec();
        if !(1..=CHANNELS_MAX).contains(&spec.channels) {
            let what = format!("{} channels", spec.channels);
            return Err(WavError::Unfit { what, right: format!("1 to {CHANNELS_MAX}") });
        }
        if !(8..=32).contains(&spec.bits_per_sample) {
            let what = format!("{} bits a sample", spec.bits_per_sample);
            return Err(WavError::Unfit { what, right: "8 to 32".to_owned() });
        }
        let resampler = Resampler::new(spec.sample_rate, SAMPLE_HZ)?;
        let claimed = inner.duration().into();
        Ok(Self { inner, spec, resampler, claimed, read: 0, mono: Vec::with_capacity(PIECE), ended: false })
    }

    /// How long the sound is, as the head says.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.claimed as f64 / f64::from(self.spec.sample_rate))
    }

    /// Appends the next piece of sound to `out`, within ±1 (float files may go beyond); `false` when there was none.
    ///
    /// # Errors
    /// When the file breaks off.
    pub fn read(&mut self, out: &mut Vec<f32>) -> Result<bool, WavError> {
        if self.ended {
            return Ok(false);
        }
        self.mono.clear();
        let wanted = (self.claimed - self.read).min(PIECE as u64) as usize;
        match self.spec.sample_format {
            SampleFormat::Float => self.take::<f32>(wanted, |sample| sample)?,
            SampleFormat::Int => {
                let full = (1u64 << (self.spec.bits_per_sample - 1)) as f32;
                self.take::<i32>(wanted, |sample| sample as f32 / full)?;
            }
        }
        self.read += self.mono.len() as u64;
        self.resampler.push(&self.mono, out);
        if self.read == self.claimed {
            self.ended = true;
            self.resampler.flush(out);
        }
        Ok(true)
    }

    /// Reads samples of all channels and mixes them to one.
    fn take<S: hound::Sample>(&mut self, wanted: usize, scale: impl Fn(S) -> f32) -> Result<(), WavError> {
        let channels = usize::from(self.spec.channels);
        let mut samples = self.inner.samples::<S>();
        for index in 0..wanted {
            let mut sum = 0.0;
            for _ in 0..channels {
                let sample = match samples.next() {
                    Some(Ok(sample)) => scale(sample),
                    Some(Err(error)) => return Err(broken(self.read + index as u64, self.spec, &error.to_string())),
                    None => return Err(broken(self.read + index as u64, self.spec, "the end of the file")),
                };
                sum += if sample.is_finite() { sample } else { 0.0 };
            }
            self.mono.push(sum / channels as f32);
        }
        Ok(())
    }
}

fn broken(samples: u64, spec: WavSpec, reason: &str) -> WavError {
    WavError::Broken { seconds: samples as f64 / f64::from(spec.sample_rate), reason: reason.to_owned() }
}

/// Writes a file as it is heard. Without [`Self::finish`] it can be read up to its last flush.
pub struct Writer<W: Write + Seek>(WavWriter<W>);

impl<W: Write + Seek> std::fmt::Debug for Writer<W> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Writer").finish_non_exhaustive()
    }
}

impl<W: Write + Seek> Writer<W> {
    /// Writes the head of a file of mono sound, 16 bit, `hz` samples a second.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(output: W, hz: u32) -> Result<Self, WavError> {
        let spec = WavSpec { channels: 1, sample_rate: hz, bits_per_sample: 16, sample_format: SampleFormat::Int };
        Ok(Self(WavWriter::new(output, spec).map_err(unwritten)?))
    }

    /// Appends samples.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, samples: &[i16]) -> Result<(), WavError> {
        samples.iter().try_for_each(|&sample| self.0.write_sample(sample)).map_err(unwritten)
    }

    /// Writes the head's lengths.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn finish(self) -> Result<(), WavError> {
        self.0.finalize().map_err(unwritten)
    }
}

fn unwritten(error: hound::Error) -> WavError {
    WavError::Write(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn file(spec: WavSpec, samples: impl IntoIterator<Item = i32>) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
        for sample in samples {
            match spec.sample_format {
                SampleFormat::Int => writer.write_sample(sample).unwrap(),
                SampleFormat::Float => writer.write_sample(sample as f32 / 1000.0).unwrap(),
            }
        }
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    fn spec(channels: u16, sample_rate: u32, bits: u16, sample_format: SampleFormat) -> WavSpec {
        WavSpec { channels, sample_rate, bits_per_sample: bits, sample_format }
    }

    fn read(bytes: &[u8]) -> Result<Vec<f32>, WavError> {
        let mut reader = Reader::open(bytes)?;
        let mut out = Vec::new();
        while reader.read(&mut out)? {}
        Ok(out)
    }

    #[test]
    fn stereo_of_another_rate_becomes_48_khz_mono() {
        // Left a quarter, right a half of full scale: three eighths.
        for (bits, rate) in [(8, 8_000), (16, 44_100), (24, 16_000), (32, 96_000)] {
            let (quarter, half) = (1 << (bits - 3), 1 << (bits - 2));
            let both = [quarter, half].into_iter().cycle().take(2 * rate as usize);
            let sound = read(&file(spec(2, rate, bits, SampleFormat::Int), both)).unwrap();
            assert!(sound.len().abs_diff(48_000) <= 1, "{bits} bits: {}", sound.len());
            assert!((sound[24_000] - 0.375).abs() < 0.001, "{bits} bits: {}", sound[24_000]);
        }
        let sound = read(&file(spec(1, 48_000, 32, SampleFormat::Float), [500; 4800])).unwrap();
        assert_eq!((sound.len(), sound[100]), (4800, 0.5));
    }

    #[test]
    fn what_is_written_is_read() {
        let samples: Vec<i16> = (0..10_000).map(|n| (n * 3 % 20_000) as i16).collect();
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = Writer::create(&mut bytes, SAMPLE_HZ).unwrap();
        writer.write(&samples).unwrap();
        writer.finish().unwrap();
        let back: Vec<i16> = read(bytes.get_ref()).unwrap().into_iter().map(crate::pcm::to_i16).collect();
        assert_eq!(back, samples);
    }

    #[test]
    fn a_file_says_how_long_it_is_and_where_it_breaks_off() {
        let mut bytes = file(spec(1, 8_000, 16, SampleFormat::Int), vec![7; 80_000]);
        assert_eq!(Reader::open(&bytes[..]).unwrap().duration(), Duration::from_secs(10));
        bytes.truncate(44 + 2 * 20_000);
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.starts_with("the WAV file breaks off after 2.50 s of sound: "), "{error}");
    }

    #[test]
    fn unfit_files_are_refused_with_what_would_be_right() {
        let rows = [
            (spec(17, 8_000, 16, SampleFormat::Int), "a WAV file of 17 channels; 1 to 16 are possible"),
            (spec(1, 100, 16, SampleFormat::Int), "a WAV file of 100 Hz; 4000 to 384000 Hz are possible"),
        ];
        for (spec, want) in rows {
            assert_eq!(Reader::open(&file(spec, vec![1; 34])[..]).unwrap_err().to_string(), want);
        }
        assert!(read(b"RIFF").unwrap_err().to_string().starts_with("not a WAV file"));
    }

    proptest! {
        #[test]
        fn any_bytes_after_a_riff_head_are_read_without_panic(at in 8usize..60, junk in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = file(spec(2, 8_000, 16, SampleFormat::Int), vec![7; 400]);
            for (index, byte) in junk.into_iter().enumerate() {
                if let Some(place) = bytes.get_mut(at + index) {
                    *place = byte;
                }
            }
            if let Ok(mut reader) = Reader::open(&bytes[..]) {
                let mut out = Vec::new();
                while let Ok(true) = reader.read(&mut out) {}
            }
        }
    }
}
