//! A telephone leg's RTP, as state: what we send, what we are sent, whose packets are taken, and what is reported of it (RFC 3550).
//!
//! - [`Numbering`]: sequence numbers and timestamps of what we send;
//! - [`Listening`]: what we are sent, measured;
//! - [`Latch`]: where the far end is, whatever NAT did to its address, and who is a stranger (RFC 7362);
//! - [`digits`]: keys, in and out (RFC 4733);
//! - [`report`]: what each end tells the other of it (RTCP).
//!
//! Pure: told `now`, an address and bytes. Headers are `tandem_switch::media::rtp`'s. Nothing here allocates after it was made, but for
//! digits that wait to be sent. Deliberately absent: sockets, codecs, mixing.

pub mod digits;
mod latch;
mod numbering;
pub mod report;

pub use self::latch::{Latch, Learning, Source};
pub use self::numbering::{Listening, Marker, Numbering, Sent};
