//! Prompts: what is played into calls, made once from a WAV or Ogg Opus file, and played without encoding again.
//!
//! A file is decoded, mixed to one channel, brought to 48 kHz and to the loudness of all prompts ([`crate::loudness`]), and encoded
//! to packets of 20 ms. It is decoded twice, once to measure it, so that no more than its packets is ever held.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::loudness::{CEILING_DB, Limiter, SpeechLevel};
use crate::ogg_opus::{self, OggError};
use crate::opus::{Application, CodecError, ENCODER_DELAY, Encoder, EncoderOptions, SENT_BYTES_MAX};
use crate::pcm::{FRAME_SAMPLES, MediaTime, to_i16};
use crate::wav::{self, WavError};

/// Bits a second of a prompt: full band, music included.
const BITRATE: u32 = 32_000;

/// Bounds of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptLimits {
    /// The longest that is taken.
    pub duration_max: Duration,
}

impl Default for PromptLimits {
    /// Ten minutes: the longest music on hold that anybody sits through, about 2.5 MB.
    fn default() -> Self {
        Self { duration_max: Duration::from_secs(600) }
    }
}

/// Why a file is no prompt.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// There is nothing in it.
    #[error("the file is empty; a prompt is a WAV or Ogg Opus file")]
    Empty,
    /// It is something else.
    #[error("the file looks like {looks_like}; a prompt is a WAV or Ogg Opus file")]
    NotAudio {
        /// What.
        looks_like: &'static str,
    },
    /// It is shorter than a frame.
    #[error("{} ms of sound; a prompt lasts 20 ms at least", duration.as_millis())]
    TooShort {
        /// How long it is.
        duration: Duration,
    },
    /// It is longer than is taken.
    #[error("more than {} s of sound, the longest that a prompt may be", limit.as_secs())]
    TooLong {
        /// The longest.
        limit: Duration,
    },
    /// It is a broken WAV file, or of a kind that is not read.
    #[error(transparent)]
    Wav(#[from] WavError),
    /// It is a broken Ogg file, or of a kind that is not read.
    #[error(transparent)]
    Ogg(#[from] OggError),
    /// A stored prompt is not as [`Prompt::to_ogg`] makes it.
    #[error("not a stored prompt: {0}")]
    NotStored(&'static str),
    /// The codec refused.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// A prompt, ready to be played: a packet each 20 ms. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Opus packets of 20 ms, mono.
    pub packets: Arc<[Bytes]>,
    /// How long it sounds; the last packet may go on in silence.
    pub duration: Duration,
}

impl Prompt {
    /// Makes a prompt of a WAV or Ogg Opus file. Takes about a hundredth of the file's duration of one core: not for threads that
    /// carry calls.
    ///
    /// # Errors
    /// When it is not such a file, is broken (and where), or is too short or too long.
    pub fn from_bytes(bytes: &[u8], limits: PromptLimits) -> Result<Self, PromptError> {
        refuse_too_long(bytes, limits)?;
        let mut level = SpeechLevel::default();
        let mut samples = 0u64;
        each_piece(bytes, |piece| {
            samples += piece.len() as u64;
            level.push(piece);
            if MediaTime(samples).since_start() > limits.duration_max { Err(too_long(limits)) } else { Ok(()) }
        })?;
        if samples < FRAME_SAMPLES as u64 {
            return Err(PromptError::TooShort { duration: MediaTime(samples).since_start() });
        }
        let gain = level.gain();
        let mut making = Making::new()?;
        each_piece(bytes, |piece| making.push(piece, gain))?;
        making.finish(samples)
    }

    /// Makes a prompt of samples, as they are.
    ///
    /// # Errors
    /// When they are shorter than a frame.
    pub fn from_samples(samples: &[i16]) -> Result<Self, PromptError> {
        let length = samples.len() as u64;
        if samples.len() < FRAME_SAMPLES {
            return Err(PromptError::TooShort { duration: MediaTime(length).since_start() });
        }
        let mut packets = Packets::new()?;
        packets.push(samples.iter().copied())?;
        packets.finish(length)
    }

    /// As an Ogg Opus file: how it is stored.
    pub fn to_ogg(&self) -> Vec<u8> {
        let write = || {
            let mut writer = ogg_opus::Writer::create(Vec::new(), ogg_opus::WriterOptions::default())?;
            for (index, packet) in self.packets.iter().enumerate() {
                writer.append(MediaTime((index * FRAME_SAMPLES) as u64), packet.clone())?;
            }
            writer.finish_at(MediaTime::after(self.duration).plus(ENCODER_DELAY.into()))
        };
        write().expect("packets one after the other are written to memory")
    }

    /// From how it is stored: the packets as they are, nothing is encoded again.
    ///
    /// # Errors
    /// When the file is broken, or was not made by [`Self::to_ogg`].
    pub fn from_ogg(bytes: &[u8]) -> Result<Self, PromptError> {
        let mut reader = ogg_opus::Reader::open(bytes)?;
        if reader.head().channels != 1 {
            return Err(PromptError::NotStored("it has two channels"));
        }
        let mut packets = Vec::new();
        let mut samples = 0;
        while let Some(packet) = reader.read()? {
            if crate::opus::duration(&packet.bytes) != Some(FRAME_SAMPLES as u32) {
                return Err(PromptError::NotStored("its packets are not of 20 ms"));
            }
            if packet.bytes.len() > SENT_BYTES_MAX {
                return Err(PromptError::NotStored("a packet is longer than a datagram takes"));
            }
            samples += u64::from(packet.samples);
            packets.push(packet.bytes);
        }
        if reader.is_torn() || !reader.is_ended() {
            return Err(PromptError::NotStored("it breaks off"));
        }
        let duration = MediaTime(samples.saturating_sub(reader.head().pre_skip.into())).since_start();
        Ok(Self { packets: packets.into(), duration })
    }
}

/// What is in the bytes of a file.
enum Kind {
    Wav,
    Ogg,
}

fn kind(bytes: &[u8]) -> Result<Kind, PromptError> {
    if bytes.is_empty() {
        return Err(PromptError::Empty);
    }
    if bytes.starts_with(b"OggS") {
        return Ok(Kind::Ogg);
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WAVE") {
        return Ok(Kind::Wav);
    }
    Err(PromptError::NotAudio { looks_like: looks_like(bytes) })
}

/// What a file that is no prompt looks like.
fn looks_like(bytes: &[u8]) -> &'static str {
    const KNOWN: [(usize, &[u8], &str); 20] = [
        (0, b"ID3", "MP3"),
        (0, b"\xff\xfb", "MP3"),
        (0, b"\xff\xf3", "MP3"),
        (0, b"\xff\xf1", "AAC"),
        (0, b"\xff\xf9", "AAC"),
        (0, b"fLaC", "FLAC"),
        (4, b"ftyp", "an MP4 or M4A file"),
        (0, b"\x1a\x45\xdf\xa3", "a WebM or Matroska file"),
        (0, b"FORM", "AIFF"),
        (0, b".snd", "a Sun audio file"),
        (0, b"#!AMR", "AMR"),
        (0, b"RIFX", "a WAV file of the other byte order"),
        (0, b"RF64", "a WAV file of more than 4 GB"),
        (0, b"RIFF", "a RIFF file without sound"),
        (0, b"\x89PNG", "a PNG picture"),
        (0, b"\xff\xd8\xff", "a JPEG picture"),
        (0, b"GIF8", "a GIF picture"),
        (0, b"%PDF", "a PDF document"),
        (0, b"PK\x03\x04", "a ZIP archive"),
        (0, b"\0asm", "a WebAssembly module"),
    ];
    let known = KNOWN.iter().find(|(at, magic, _)| bytes.get(*at..at + magic.len()) == Some(magic));
    if let Some((_, _, name)) = known {
        return name;
    }
    let head = &bytes[..bytes.len().min(256)];
    let is_text = head.iter().all(|&byte| byte >= 0x20 && byte != 0x7f || matches!(byte, b'\t' | b'\n' | b'\r'));
    if is_text { "text" } else { "no kind of file that is known here" }
}

fn too_long(limits: PromptLimits) -> PromptError {
    PromptError::TooLong { limit: limits.duration_max }
}

/// Refuses what says that it is too long, before any of it is decoded.
fn refuse_too_long(bytes: &[u8], limits: PromptLimits) -> Result<(), PromptError> {
    match kind(bytes)? {
        Kind::Wav if wav::Reader::open(bytes)?.duration() > limits.duration_max => Err(too_long(limits)),
        Kind::Wav => Ok(()),
        Kind::Ogg => {
            let mut reader = ogg_opus::Reader::open(bytes)?;
            let skipped = u64::from(reader.head().pre_skip);
            while let Some(packet) = reader.read()? {
                let end = packet.at.plus(packet.samples.into()).0.saturating_sub(skipped);
                if MediaTime(end).since_start() > limits.duration_max {
                    return Err(too_long(limits));
                }
            }
            if reader.is_torn() {
                return Err(PromptError::Ogg(OggError::Damaged { at: bytes.len() as u64, what: "it breaks off" }));
            }
            Ok(())
        }
    }
}

/// Decodes a file piece by piece: 48 kHz, mono.
fn each_piece(bytes: &[u8], mut take: impl FnMut(&[f32]) -> Result<(), PromptError>) -> Result<(), PromptError> {
    let mut piece = Vec::new();
    match kind(bytes)? {
        Kind::Wav => {
            let mut reader = wav::Reader::open(bytes)?;
            while reader.read(&mut piece)? {
                take(&piece)?;
                piece.clear();
            }
        }
        Kind::Ogg => {
            let mut sound = ogg_opus::Sound::new(ogg_opus::Reader::open(bytes)?)?;
            while sound.read(&mut piece)? {
                take(&piece)?;
                piece.clear();
            }
        }
    }
    Ok(())
}

/// A prompt being made: gain, limiter, packets.
struct Making {
    limiter: Limiter,
    limited: Vec<f32>,
    packets: Packets,
}

impl Making {
    fn new() -> Result<Self, CodecError> {
        Ok(Self { limiter: Limiter::new(CEILING_DB), limited: Vec::new(), packets: Packets::new()? })
    }

    fn push(&mut self, piece: &[f32], gain: f32) -> Result<(), PromptError> {
        self.limiter.push(piece.iter().map(|sample| sample * gain), &mut self.limited);
        self.packets.push(self.limited.drain(..).map(to_i16))
    }

    fn finish(mut self, samples: u64) -> Result<Prompt, PromptError> {
        self.limiter.flush(&mut self.limited);
        self.packets.push(self.limited.drain(..).map(to_i16))?;
        self.packets.finish(samples)
    }
}

/// Packets being encoded.
struct Packets {
    encoder: Encoder,
    frame: Vec<i16>,
    packets: Vec<Bytes>,
}

impl Packets {
    fn new() -> Result<Self, CodecError> {
        let options = EncoderOptions {
            application: Application::Audio,
            bitrate: BITRATE,
            complexity: 10,
            ..EncoderOptions::default()
        };
        Ok(Self { encoder: Encoder::new(options)?, frame: Vec::with_capacity(FRAME_SAMPLES), packets: Vec::new() })
    }

    fn push(&mut self, samples: impl Iterator<Item = i16>) -> Result<(), PromptError> {
        for sample in samples {
            self.frame.push(sample);
            if self.frame.len() == FRAME_SAMPLES {
                let mut packet = [0; SENT_BYTES_MAX];
                let bytes = self.encoder.encode(&self.frame, &mut packet)?;
                self.packets.push(Bytes::copy_from_slice(&packet[..bytes]));
                self.frame.clear();
            }
        }
        Ok(())
    }

    /// Fills the last packet up, and one more if the encoder still holds some of the sound back.
    fn finish(mut self, samples: u64) -> Result<Prompt, PromptError> {
        let all = (samples + u64::from(ENCODER_DELAY)).div_ceil(FRAME_SAMPLES as u64) * FRAME_SAMPLES as u64;
        let encoded = (self.packets.len() * FRAME_SAMPLES + self.frame.len()) as u64;
        self.push(std::iter::repeat_n(0, (all - encoded) as usize))?;
        Ok(Prompt { packets: self.packets.into(), duration: MediaTime(samples).since_start() })
    }
}
