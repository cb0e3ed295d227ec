//! Voice: what is said and what is heard. 48 kHz mono, in frames of 20 ms.

#[cfg(feature = "devices")]
mod devices;
mod ear;
mod files;
mod receiver;
mod sender;
mod sink;
mod source;
mod voices;

pub use receiver::VoiceReceiver;
pub use sender::{SenderOptions, Sent, VoiceSender};
pub use sink::Sink;
pub use source::Source;
pub use tandem_audio::pcm::{FRAME_SAMPLES, Frame, SAMPLE_HZ};

/// What can go wrong with sound.
#[derive(Debug, thiserror::Error)]
pub enum VoiceError {
    /// A file cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// A file is longer than is played.
    #[error("{0}: longer than one hour")]
    TooLong(String),
    /// A file's name does not say what it is.
    #[error("{0}: a sound file ends in .wav, .opus or .ogg")]
    UnknownFormat(String),
    /// The codec refused.
    #[error(transparent)]
    Codec(#[from] tandem_audio::opus::CodecError),
    /// A sound device cannot be used.
    #[error("sound device: {0}")]
    Device(String),
    /// The gateway named a flow that cannot be.
    #[error("flow {0} is not possible")]
    ImpossibleFlow(u32),
    /// Too many flows are received at once.
    #[error("too many voices are received at once")]
    TooManyFlows,
}

pub(crate) fn file_error(path: &std::path::Path, reason: impl ToString) -> VoiceError {
    VoiceError::File { path: path.display().to_string(), reason: reason.to_string() }
}
