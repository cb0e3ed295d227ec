//! Ogg Opus files (RFC 7845): packets in and out as they are, without transcoding; and as sound.
//!
//! - [`Reader`] gives a file's packets with their places in time, [`Sound`] its samples.
//! - [`Writer`] makes a recording that is true in time and can be cut off at any byte: each page is written at once, holds half a
//!   second, and says where in time it ends. What is lost is what was not written yet: at most 0.7 s.
//! - [`repair`] takes a torn page from the end of a file and ends it properly.
//!
//! One logical stream of one or two channels (mapping family 0) is read; others are refused with words. Everything is bounded: a page
//! has at most 65,307 bytes (RFC 3533), a packet [`PACKET_BYTES_MAX`], the comments [`TAGS_BYTES_MAX`].

mod head;
mod page;
mod reader;
mod repair;
mod sound;
mod writer;

pub use head::{Head, Tags};
pub use reader::{Reader, TimedPacket};
pub use repair::{Repair, Resize, repair};
pub use sound::Sound;
pub use writer::{Counters, Writer, WriterOptions};

/// Longest packet that is read, bytes: what RFC 7845 section 6 wants of a reader for one stream.
pub const PACKET_BYTES_MAX: usize = 61_440;

/// Longest comments that are read, bytes: room for a cover picture, which some files have there.
pub const TAGS_BYTES_MAX: usize = 4 << 20;

/// What can be wrong with an Ogg Opus file.
#[derive(Debug, thiserror::Error)]
pub enum OggError {
    /// It cannot be read or written.
    #[error("the file cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// Its bytes are not what they were.
    #[error("the Ogg file is damaged at byte {at}: {what}")]
    Damaged {
        /// Where the page begins that is wrong.
        at: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It is Ogg, and something that is not read here.
    #[error("not Ogg Opus of one stream and one or two channels: {0}")]
    Foreign(String),
    /// It ends before its sound begins.
    #[error("the Ogg file ends before its sound begins")]
    NoSound,
    /// A packet in it is not Opus.
    #[error("a packet that is not Opus, {seconds:.2} s from the beginning")]
    Packet {
        /// Where, seconds.
        seconds: f64,
    },
    /// A packet comes long after the one before it.
    #[error("a packet {seconds} s after the one before it; at most {} s are filled with silence", writer::GAP_MAX.as_secs())]
    Gap {
        /// How long after, seconds.
        seconds: u64,
    },
    /// Writing failed before: the file ends with a torn page until it is repaired.
    #[error("writing to the file has failed before; repair it first")]
    Broken,
}
