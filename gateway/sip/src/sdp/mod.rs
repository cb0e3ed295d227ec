//! Session descriptions (RFC 8866) of one audio stream, offered and answered (RFC 3264).
//!
//! - [`Description`]: a far end's description, read tolerantly: what is not understood is passed over, what cannot be used is a [`Refusal`];
//! - [`Negotiator`]: our side of a call's offers and answers, from the first one to the last hold;
//! - [`Agreed`]: what both sides came to.
//!
//! Pure: text in, text out. Streams other than the first usable audio stream are declined in the answer (port 0). Deliberately absent:
//! ICE, DTLS, bundles; a stream that insists on encryption is declined. Why not a library: those that are kept well split lines, which is
//! the little that is done in `read`; the meaning of attributes is what this is about.

mod negotiate;
mod read;
mod write;

use std::fmt;
use std::net::SocketAddr;

pub use self::negotiate::{Local, Negotiator};
pub use self::read::{Description, Mapped, Mux};

/// A codec that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// Opus (RFC 7587).
    Opus,
    /// G.711 µ-law (RFC 3551 §4.5.14).
    Pcmu,
    /// G.711 A-law (RFC 3551 §4.5.14).
    Pcma,
}

impl Codec {
    /// What `rtpmap` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// Its RTP clock, Hz.
    pub const fn clock_hz(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma => 8_000,
        }
    }

    /// Its payload type where RFC 3551 §6 fixes one.
    pub const fn fixed_payload_type(self) -> Option<u8> {
        match self {
            Self::Opus => None,
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
        }
    }

    /// The codec of an `rtpmap`; none if it is not spoken.
    fn of_encoding(name: &str, clock_hz: u32, channels: u32) -> Option<Self> {
        [Self::Opus, Self::Pcmu, Self::Pcma].into_iter().find(|codec| {
            // RFC 7587 §7: always said to be of two channels, whatever is sent.
            let spoken = if *codec == Self::Opus { 2 } else { 1 };
            codec.name().eq_ignore_ascii_case(name) && codec.clock_hz() == clock_hz && channels == spoken
        })
    }
}

/// Which way voice goes, seen from who says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendReceive,
    /// I speak and do not listen: my side of a hold with music.
    SendOnly,
    /// I listen and do not speak.
    ReceiveOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// From whether one sends and receives.
    pub const fn of(sends: Way, receives: Way) -> Self {
        match (sends, receives) {
            (Way::Open, Way::Open) => Self::SendReceive,
            (Way::Open, Way::Shut) => Self::SendOnly,
            (Way::Shut, Way::Open) => Self::ReceiveOnly,
            (Way::Shut, Way::Shut) => Self::Inactive,
        }
    }

    /// Whether who says it sends.
    pub const fn sends(self) -> Way {
        match self {
            Self::SendReceive | Self::SendOnly => Way::Open,
            Self::ReceiveOnly | Self::Inactive => Way::Shut,
        }
    }

    /// Whether who says it receives.
    pub const fn receives(self) -> Way {
        match self {
            Self::SendReceive | Self::ReceiveOnly => Way::Open,
            Self::SendOnly | Self::Inactive => Way::Shut,
        }
    }

    /// The most that one who wants `self` may answer to `offered` (RFC 3264 §6.1).
    #[must_use]
    pub const fn answer_to(self, offered: Self) -> Self {
        Self::of(self.sends().and(offered.receives()), self.receives().and(offered.sends()))
    }

    /// The attribute.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendReceive => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::ReceiveOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::SendReceive, Self::SendOnly, Self::ReceiveOnly, Self::Inactive]
            .into_iter()
            .find(|direction| direction.as_str() == name)
    }
}

/// Whether voice passes one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It does.
    Open,
    /// It does not.
    Shut,
}

impl Way {
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Open, Self::Open) => Self::Open,
            (Self::Open | Self::Shut, Self::Shut) | (Self::Shut, Self::Open) => Self::Shut,
        }
    }
}

/// What a far end asks of the Opus that it receives (RFC 7587 §6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpusWishes {
    /// It makes use of in-band error correction.
    pub fec: Option<Fec>,
    /// Most bits a second that it wants.
    pub bitrate_max: Option<u32>,
}

/// Whether in-band error correction is of use to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fec {
    /// `useinbandfec=1`.
    Used,
    /// `useinbandfec=0`.
    Unused,
}

/// What both sides came to: all that a line needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Where the far end wants its RTP.
    pub rtp: SocketAddr,
    /// Where it wants its RTCP: [`Self::rtp`] when both share a port (RFC 5761).
    pub rtcp: SocketAddr,
    /// What is spoken, both ways.
    pub codec: Codec,
    /// The payload type that we send with.
    pub send_payload_type: u8,
    /// The payload type that we are sent.
    pub receive_payload_type: u8,
    /// The payload types of digits (RFC 4733) that we send and are sent; none: the far end knows no such digits.
    pub digits: Option<Digits>,
    /// How much voice one packet to the far end holds, milliseconds: a multiple of 20.
    pub ptime_ms: u32,
    /// Which way voice goes, seen from us.
    pub direction: Direction,
    /// What the far end asks of our Opus.
    pub opus: OpusWishes,
}

/// How digits are sent (RFC 4733).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    /// The payload type that we send with.
    pub send_payload_type: u8,
    /// The payload type that we are sent.
    pub receive_payload_type: u8,
}

/// Why there is no agreement. [`Refusal::status`] is what SIP answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no session description.
    #[error("line {line} of the session description cannot be read: {what}")]
    Malformed {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It is longer, or has more lines, streams or formats, than is read.
    #[error("the session description is too large: {0}")]
    TooLarge(&'static str),
    /// It has no audio stream over plain RTP to an address.
    #[error(
        "the session description offers no audio over RTP/AVP; others than audio, and streams that insist on encryption, are not taken"
    )]
    NoAudio,
    /// The far end speaks none of our codecs.
    #[error("no codec in common: opus, PCMU and PCMA are spoken here")]
    NoCommonCodec,
    /// The answer declines the stream, or does not fit the offer.
    #[error("the answer does not fit the offer: {0}")]
    NotAnAnswer(&'static str),
    /// It says a stream goes somewhere that no stream can.
    #[error("the session description names no address that voice can be sent to")]
    NoAddress,
}

impl Refusal {
    /// The SIP status that says it: 400 for what cannot be read, 488 for what cannot be agreed to (RFC 3261 §21.4.26).
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed { .. } => 400,
            Self::TooLarge(_) => 413,
            Self::NoAudio | Self::NoCommonCodec | Self::NotAnAnswer(_) | Self::NoAddress => 488,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_never_goes_where_the_offer_does_not() {
        use Direction::{Inactive, ReceiveOnly, SendOnly, SendReceive};
        let rows = [
            (SendReceive, SendReceive, SendReceive),
            (SendReceive, SendOnly, ReceiveOnly),
            (SendReceive, ReceiveOnly, SendOnly),
            (SendReceive, Inactive, Inactive),
            (SendOnly, SendReceive, SendOnly),
            (SendOnly, SendOnly, Inactive),
            (Inactive, SendReceive, Inactive),
            (ReceiveOnly, ReceiveOnly, Inactive),
        ];
        for (wanted, offered, answer) in rows {
            assert_eq!(wanted.answer_to(offered), answer, "{wanted:?} to {offered:?}");
        }
    }
}
