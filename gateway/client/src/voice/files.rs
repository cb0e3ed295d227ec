//! Sound files by their paths: WAV of any kind, and Ogg Opus with its packets as they are.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tandem_audio::pcm::{FRAME_SAMPLES, MediaTime, SAMPLE_HZ, to_i16};
use tandem_audio::{ogg_opus, opus, wav};

use super::{Frame, VoiceError, file_error};
use crate::limits;

fn open(path: &Path) -> Result<BufReader<File>, VoiceError> {
    File::open(path).map(BufReader::new).map_err(|error| file_error(path, error))
}

fn too_long(path: &Path) -> VoiceError {
    VoiceError::TooLong(path.display().to_string())
}

/// Reads a WAV file as 48 kHz mono.
pub(super) fn read_wav(path: &Path) -> Result<Vec<i16>, VoiceError> {
    let mut reader = wav::Reader::open(open(path)?).map_err(|error| file_error(path, error))?;
    if MediaTime::after(reader.duration()).0 >= limits::SOUND_SAMPLES_MAX as u64 {
        return Err(too_long(path));
    }
    let (mut samples, mut piece) = (Vec::new(), Vec::new());
    while reader.read(&mut piece).map_err(|error| file_error(path, error))? {
        samples.extend(piece.drain(..).map(to_i16));
    }
    Ok(samples)
}

/// Reads every packet of an Ogg Opus file. Each sounds for one frame of 20 ms, which is all that receivers play of a packet.
pub(super) fn read_ogg(path: &Path) -> Result<Vec<Bytes>, VoiceError> {
    let failed = |error| file_error(path, error);
    let mut reader = ogg_opus::Reader::open(open(path)?).map_err(failed)?;
    let mut packets = Vec::new();
    while let Some(packet) = reader.read().map_err(failed)? {
        let samples = opus::duration(&packet.bytes).unwrap_or(0) as usize;
        if samples != FRAME_SAMPLES {
            let millis = samples as f64 * 1000.0 / f64::from(SAMPLE_HZ);
            let message = format!("packets of {millis} ms; make it with `opusenc --framesize 20`");
            return Err(file_error(path, message));
        }
        if packet.bytes.len() > limits::OPUS_PACKET_BYTES_MAX {
            let message = format!("a packet of {} bytes does not fit a datagram", packet.bytes.len());
            return Err(file_error(path, message));
        }
        packets.push(packet.bytes);
        if packets.len() * FRAME_SAMPLES > limits::SOUND_SAMPLES_MAX {
            return Err(too_long(path));
        }
    }
    Ok(packets)
}

/// Writes what is heard as WAV.
pub(super) struct WavRecording {
    writer: wav::Writer<BufWriter<File>>,
    path: PathBuf,
}

impl WavRecording {
    pub(super) fn create(path: &Path) -> Result<Self, VoiceError> {
        let file = File::create(path).map_err(|error| file_error(path, error))?;
        let writer = wav::Writer::create(BufWriter::new(file), SAMPLE_HZ).map_err(|error| file_error(path, error))?;
        Ok(Self { writer, path: path.to_owned() })
    }

    pub(super) fn write(&mut self, frame: &Frame) -> Result<(), VoiceError> {
        self.writer.write(frame).map_err(|error| file_error(&self.path, error))
    }

    /// Writes the header's lengths; without it the file still can be read up to its last flush.
    pub(super) fn finish(self) -> Result<(), VoiceError> {
        self.writer.finish().map_err(|error| file_error(&self.path, error))
    }
}

/// Writes packets as they are heard, as Ogg Opus.
pub(super) struct OggRecording {
    writer: ogg_opus::Writer<File>,
    path: PathBuf,
    at: MediaTime,
}

impl OggRecording {
    pub(super) fn create(path: &Path) -> Result<Self, VoiceError> {
        let file = File::create(path).map_err(|error| file_error(path, error))?;
        let options = ogg_opus::WriterOptions { serial: rand::random(), ..Default::default() };
        let writer = ogg_opus::Writer::create(file, options).map_err(|error| file_error(path, error))?;
        Ok(Self { writer, path: path.to_owned(), at: MediaTime(0) })
    }

    /// Writes a packet; `None` leaves 20 ms out, which sound as silence does.
    pub(super) fn write(&mut self, packet: Option<Bytes>) -> Result<(), VoiceError> {
        let mut samples = FRAME_SAMPLES as u64;
        let written = match packet {
            Some(packet) => {
                samples = opus::duration(&packet).map_or(samples, u64::from);
                self.writer.append(self.at, packet)
            }
            None => self.writer.advance(self.at),
        };
        self.at = self.at.plus(samples);
        written.map_err(|error| file_error(&self.path, error))
    }

    /// Writes the last packets and closes the file.
    pub(super) fn finish(self) -> Result<(), VoiceError> {
        self.writer.finish_at(self.at).map(drop).map_err(|error| file_error(&self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(count: usize, samples: usize) -> Vec<Bytes> {
        let mut encoder = opus::Encoder::new(opus::EncoderOptions::default()).unwrap();
        let mut packet = [0; opus::PACKET_BYTES_MAX];
        let mut encode = || {
            let bytes = encoder.encode(&vec![0; samples], &mut packet).unwrap();
            Bytes::copy_from_slice(&packet[..bytes])
        };
        (0..count).map(|_| encode()).collect()
    }

    fn temporary(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("tandem-{}-{name}", std::process::id()))
    }

    #[test]
    fn packets_come_back_as_they_were_written_with_the_lost_ones_in_their_places() {
        let path = temporary("kept.opus");
        let written = packets(120, FRAME_SAMPLES);
        let mut recording = OggRecording::create(&path).unwrap();
        for (index, packet) in written.iter().enumerate() {
            recording.write(Some(packet.clone())).unwrap();
            if index == 59 {
                recording.write(None).unwrap();
            }
        }
        recording.finish().unwrap();
        let read = read_ogg(&path).unwrap();
        assert_eq!(read.len(), 121);
        assert!(read[..60] == written[..60] && read[61..] == written[60..]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn packets_of_another_length_than_a_frame_are_refused() {
        for (samples, millis) in [(120, "2.5"), (480, "10"), (1920, "40"), (2880, "60")] {
            let path = temporary(&format!("{samples}.opus"));
            let mut recording = OggRecording::create(&path).unwrap();
            for packet in packets(1, FRAME_SAMPLES).into_iter().chain(packets(1, samples)) {
                recording.write(Some(packet)).unwrap();
            }
            recording.finish().unwrap();
            let error = read_ogg(&path).unwrap_err().to_string();
            let words = format!("packets of {millis} ms; make it with `opusenc --framesize 20`");
            assert!(error.ends_with(&words), "{error}");
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_not_what_it_seems_is_refused_by_its_name() {
        let path = temporary("text");
        std::fs::write(&path, b"hello, I am no sound").unwrap();
        for error in [read_ogg(&path).unwrap_err(), read_wav(&path).unwrap_err()] {
            assert!(error.to_string().starts_with(&format!("{}: ", path.display())), "{error}");
        }
        std::fs::remove_file(path).unwrap();
        let error = read_wav(Path::new("/nowhere/at-all.wav")).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/at-all.wav: "), "{error}");
    }

    #[test]
    fn what_was_heard_is_read_again() {
        let path = temporary("heard.wav");
        let mut recording = WavRecording::create(&path).unwrap();
        recording.write(&[7; FRAME_SAMPLES]).unwrap();
        recording.write(&[-7; FRAME_SAMPLES]).unwrap();
        recording.finish().unwrap();
        assert_eq!(read_wav(&path).unwrap(), [[7; FRAME_SAMPLES], [-7; FRAME_SAMPLES]].concat());
        std::fs::remove_file(path).unwrap();
    }
}
