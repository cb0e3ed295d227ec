//! WAV files: any rate, bit depth and number of channels in; 48 kHz mono 16 bit out.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use super::resample::resample;
use super::{Frame, SAMPLE_HZ, VoiceError, file_error};
use crate::limits;

/// Reads a file as 48 kHz mono.
pub(super) fn read(path: &Path) -> Result<Vec<i16>, VoiceError> {
    let failed = |error: hound::Error| file_error(path, error);
    let reader = WavReader::open(path).map_err(failed)?;
    let spec = reader.spec();
    let seconds_max = limits::SOUND_SAMPLES_MAX as u64 / u64::from(SAMPLE_HZ);
    if spec.sample_rate == 0 || u64::from(reader.duration()) / u64::from(spec.sample_rate.max(1)) >= seconds_max {
        return Err(VoiceError::TooLong(path.display().to_string()));
    }
    let interleaved: Vec<f32> = match spec.sample_format {
        SampleFormat::Float => reader.into_samples::<f32>().collect::<Result<_, _>>().map_err(failed)?,
        SampleFormat::Int => {
            let full = (1i64 << (spec.bits_per_sample - 1)) as f32;
            let scaled = |sample: Result<i32, _>| sample.map(|sample| sample as f32 / full);
            reader.into_samples::<i32>().map(scaled).collect::<Result<_, _>>().map_err(failed)?
        }
    };
    let channels = usize::from(spec.channels.max(1));
    let mono: Vec<f32> =
        interleaved.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32).collect();
    let full = f32::from(i16::MAX);
    Ok(resample(&mono, spec.sample_rate, SAMPLE_HZ).into_iter().map(|sample| (sample * full) as i16).collect())
}

/// Writes a file as it is heard.
pub(super) struct Recording {
    writer: WavWriter<BufWriter<File>>,
    path: std::path::PathBuf,
}

impl Recording {
    pub(super) fn create(path: &Path) -> Result<Self, VoiceError> {
        let spec =
            WavSpec { channels: 1, sample_rate: SAMPLE_HZ, bits_per_sample: 16, sample_format: SampleFormat::Int };
        let writer = WavWriter::create(path, spec).map_err(|error| file_error(path, error))?;
        Ok(Self { writer, path: path.to_owned() })
    }

    pub(super) fn write(&mut self, frame: &Frame) -> Result<(), VoiceError> {
        let mut written = frame.iter().map(|&sample| self.writer.write_sample(sample));
        written.try_for_each(|result| result).map_err(|error| file_error(&self.path, error))
    }

    /// Writes the header's lengths; without it the file still can be read up to its last flush.
    pub(super) fn finish(self) -> Result<(), VoiceError> {
        self.writer.finalize().map_err(|error| file_error(&self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stereo_of_another_rate_becomes_48_khz_mono() {
        let folder = std::env::temp_dir().join(format!("tandem-wav-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("stereo.wav");
        let spec = WavSpec { channels: 2, sample_rate: 16_000, bits_per_sample: 24, sample_format: SampleFormat::Int };
        let mut writer = WavWriter::create(&path, spec).unwrap();
        for _ in 0..16_000 {
            writer.write_sample(1 << 21).unwrap();
            writer.write_sample(1 << 22).unwrap();
        }
        writer.finalize().unwrap();
        let sound = read(&path).unwrap();
        assert_eq!(sound.len(), 48_000);
        // A quarter and a half of full scale, mixed: three eighths.
        assert!(sound[24_000].abs_diff(12_287) < 20, "{}", sound[24_000]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_wav_is_an_error_that_names_the_file() {
        let error = read(Path::new("/nowhere/at-all.wav")).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/at-all.wav: "), "{error}");
    }
}
