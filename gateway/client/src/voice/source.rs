//! What is said: a file, a tone, silence, or a microphone.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::path::Path;

use bytes::Bytes;

use super::{FRAME_SAMPLES, Frame, SAMPLE_HZ, VoiceError, files};

/// How loud a tone is: -12 dB below full scale, so that nothing on the way clips.
const TONE_AMPLITUDE: f64 = 8_231.0;

/// What is said.
#[derive(Debug)]
pub struct Source(Kind);

#[derive(Debug)]
enum Kind {
    Silence,
    Tone {
        hz: f64,
        at: u64,
    },
    Samples {
        samples: Vec<i16>,
        at: usize,
    },
    Packets(VecDeque<Bytes>),
    #[cfg(feature = "devices")]
    Microphone(super::devices::Microphone),
}

/// The next piece of a source.
#[derive(Debug)]
pub(super) enum Piece {
    Samples(Box<Frame>),
    /// Opus of one frame.
    Packet(Bytes),
}

impl Source {
    /// Silence, for ever.
    pub fn silence() -> Self {
        Self(Kind::Silence)
    }

    /// A tone of `hz`, for ever.
    pub fn tone(hz: f64) -> Self {
        Self(Kind::Tone { hz, at: 0 })
    }

    /// Samples at 48 kHz, once.
    pub fn samples(samples: Vec<i16>) -> Self {
        Self(Kind::Samples { samples, at: 0 })
    }

    /// A file, once: WAV of any kind, or Ogg Opus, whose packets are sent as they are.
    ///
    /// # Errors
    /// When it cannot be read, is something else, is longer than an hour, or is Ogg Opus whose packets are not of 20 ms.
    pub fn file(path: &Path) -> Result<Self, VoiceError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("wav") => Ok(Self::samples(files::read_wav(path)?)),
            Some("opus" | "ogg") => Ok(Self(Kind::Packets(files::read_ogg(path)?.into()))),
            _ => Err(VoiceError::UnknownFormat(path.display().to_string())),
        }
    }

    /// This machine's default microphone.
    ///
    /// # Errors
    /// When there is none.
    #[cfg(feature = "devices")]
    pub fn microphone() -> Result<Self, VoiceError> {
        Ok(Self(Kind::Microphone(super::devices::Microphone::open()?)))
    }

    /// The next piece; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Piece> {
        let mut frame = Box::new([0; FRAME_SAMPLES]);
        match &mut self.0 {
            Kind::Silence => {}
            Kind::Tone { hz, at } => {
                for sample in frame.iter_mut() {
                    *sample = (TONE_AMPLITUDE * (TAU * *hz * *at as f64 / f64::from(SAMPLE_HZ)).sin()) as i16;
                    *at += 1;
                }
            }
            Kind::Samples { samples, at } => {
                let rest = &samples[*at..];
                if rest.is_empty() {
                    return None;
                }
                let length = rest.len().min(FRAME_SAMPLES);
                frame[..length].copy_from_slice(&rest[..length]);
                *at += length;
            }
            Kind::Packets(packets) => return packets.pop_front().map(Piece::Packet),
            #[cfg(feature = "devices")]
            Kind::Microphone(microphone) => microphone.read(&mut frame),
        }
        Some(Piece::Samples(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_end_with_a_frame_filled_up_with_silence() {
        let mut source = Source::samples(vec![1; FRAME_SAMPLES + 1]);
        assert!(matches!(source.next(), Some(Piece::Samples(frame)) if *frame == [1; FRAME_SAMPLES]));
        assert!(matches!(source.next(), Some(Piece::Samples(frame)) if frame[0] == 1 && frame[1] == 0));
        assert!(source.next().is_none());
    }

    #[test]
    fn a_file_of_unknown_kind_is_refused() {
        let error = Source::file(Path::new("voice.mp3")).unwrap_err();
        assert_eq!(error.to_string(), "voice.mp3: a sound file ends in .wav, .opus or .ogg");
    }
}
