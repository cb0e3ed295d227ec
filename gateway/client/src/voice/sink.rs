//! What is heard goes to a file, to the program, to a loudspeaker, or nowhere.

use std::path::Path;

use bytes::Bytes;
use tandem_audio::opus::{Application, Encoder, EncoderOptions};
use tokio::sync::mpsc;

use super::files::{OggRecording, WavRecording};
use super::{Frame, VoiceError};
use crate::limits;

/// Bits a second of a mix that is recorded: transparent for several voices.
const MIX_BITRATE: u32 = 48_000;

/// Where what is heard goes.
pub struct Sink(Kind);

enum Kind {
    Nowhere,
    Wav(Box<WavRecording>),
    OggOpus(Box<Packets>),
    Frames(mpsc::Sender<Box<Frame>>),
    #[cfg(feature = "devices")]
    Loudspeaker(super::devices::Loudspeaker),
}

/// A file of packets: those that came, and a mix of several voices, which has to be encoded.
struct Packets {
    recording: OggRecording,
    /// Made when there is something to mix.
    encoder: Option<Encoder>,
}

impl Packets {
    fn encode(&mut self, frame: &Frame) -> Result<(), VoiceError> {
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => {
                let application = Application::Audio;
                none.insert(Encoder::new(EncoderOptions {
                    application,
                    bitrate: MIX_BITRATE,
                    ..EncoderOptions::default()
                })?)
            }
        };
        let mut packet = [0; limits::OPUS_PACKET_BYTES_MAX];
        let bytes = encoder.encode(frame, &mut packet)?;
        self.recording.write(Some(Bytes::copy_from_slice(&packet[..bytes])))
    }
}

impl Sink {
    /// Nowhere; it is only counted.
    pub fn nowhere() -> Self {
        Self(Kind::Nowhere)
    }

    /// To a file: WAV as it is heard, or Ogg Opus with the packets as they came; where several voices are heard at once, with their mix.
    ///
    /// # Errors
    /// When it cannot be created, or its name does not say what it is.
    pub fn file(path: &Path) -> Result<Self, VoiceError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("wav") => Ok(Self(Kind::Wav(Box::new(WavRecording::create(path)?)))),
            Some("opus" | "ogg") => {
                let recording = OggRecording::create(path)?;
                Ok(Self(Kind::OggOpus(Box::new(Packets { recording, encoder: None }))))
            }
            _ => Err(VoiceError::UnknownFormat(path.display().to_string())),
        }
    }

    /// To the program, frame by frame, at the pace of playout. Frames that find the channel full are dropped.
    pub fn frames(sender: mpsc::Sender<Box<Frame>>) -> Self {
        Self(Kind::Frames(sender))
    }

    /// To this machine's default loudspeaker.
    ///
    /// # Errors
    /// When there is none.
    #[cfg(feature = "devices")]
    pub fn loudspeaker() -> Result<Self, VoiceError> {
        Ok(Self(Kind::Loudspeaker(super::devices::Loudspeaker::open()?)))
    }

    /// Whether packets are wanted as they came, and no decoding.
    pub(super) fn wants_packets(&self) -> bool {
        matches!(self.0, Kind::OggOpus(_))
    }

    /// Takes a packet, or `None` for one that was lost; only when packets are wanted.
    pub(super) fn packet(&mut self, packet: Option<Bytes>) -> Result<(), VoiceError> {
        match &mut self.0 {
            Kind::OggOpus(packets) => packets.recording.write(packet),
            _ => Ok(()),
        }
    }

    /// Takes a frame of sound.
    pub(super) fn frame(&mut self, frame: &Frame) -> Result<(), VoiceError> {
        match &mut self.0 {
            Kind::Nowhere => {}
            Kind::OggOpus(packets) => packets.encode(frame)?,
            Kind::Wav(recording) => recording.write(frame)?,
            Kind::Frames(frames) => {
                if frames.try_send(Box::new(*frame)).is_err() {
                    tracing::trace!("a frame that nobody took");
                }
            }
            #[cfg(feature = "devices")]
            Kind::Loudspeaker(loudspeaker) => loudspeaker.write(frame),
        }
        Ok(())
    }

    /// Finishes the file, if it is one.
    pub(super) fn finish(self) -> Result<(), VoiceError> {
        match self.0 {
            Kind::Wav(recording) => recording.finish(),
            Kind::OggOpus(packets) => packets.recording.finish(),
            Kind::Nowhere | Kind::Frames(_) => Ok(()),
            #[cfg(feature = "devices")]
            Kind::Loudspeaker(_) => Ok(()),
        }
    }
}
