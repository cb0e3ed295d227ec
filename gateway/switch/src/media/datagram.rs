//! The media datagram: which flow a packet belongs to, and where its RTP begins.
//!
//! One byte `0x00`, the flow identifier as a QUIC variable-length integer (RFC 9000 section 16), the RTP packet
//! (draft-ietf-avtcore-rtp-over-quic section 5.1). Input and output are borrowed bytes: nothing here allocates but the buffer that
//! the caller gives to write into. What is inside the RTP packet is [`super::rtp`]'s business.

use bytes::{BufMut, BytesMut};

use crate::id::FlowId;

/// The first byte: the quarter stream identifier (RFC 9297 section 2.1) of the only WebTransport session on a connection.
pub const QUARTER_STREAM_ID: u8 = 0x00;

/// Largest flow identifier: what four bytes of varint hold, 30 bits. The gateway allots no larger one.
pub const FLOW_MAX: u32 = (1 << 30) - 1;

/// Longest prefix that this gateway writes, bytes: the quarter stream identifier and four bytes of varint.
pub const PREFIX_BYTES_MAX: usize = 5;

/// A media datagram's head, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Whose voice it is.
    pub flow: FlowId,
    /// Where the RTP packet begins, bytes from the datagram's start; at most the datagram's length.
    pub rtp_at: usize,
}

/// Why bytes are no media datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No bytes at all.
    #[error("the datagram is empty")]
    Empty,
    /// A WebTransport session that this connection does not have.
    #[error("the datagram is for quarter stream identifier {0:#04x}; a connection has only 0x00")]
    ForeignSession(u8),
    /// It ends within the flow identifier.
    #[error("the flow identifier takes {needed} bytes; {got} came")]
    FlowTruncated {
        /// What its first byte promises; 1 when there is none.
        needed: usize,
        /// What follows the quarter stream identifier.
        got: usize,
    },
    /// A flow that this gateway never allots.
    #[error("the flow identifier is at most {FLOW_MAX}; got {0}")]
    FlowTooLarge(u64),
}

/// Reads the head of a media datagram. Any length of varint is accepted, as RFC 9000 section 16 asks.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse(datagram: &[u8]) -> Result<Datagram, Malformed> {
    let (&quarter, rest) = datagram.split_first().ok_or(Malformed::Empty)?;
    if quarter != QUARTER_STREAM_ID {
        return Err(Malformed::ForeignSession(quarter));
    }
    let &first = rest.first().ok_or(Malformed::FlowTruncated { needed: 1, got: 0 })?;
    let needed = 1 << (first >> 6);
    let varint = rest.get(..needed).ok_or(Malformed::FlowTruncated { needed, got: rest.len() })?;
    let value = varint[1..].iter().fold(u64::from(first & 0x3f), |value, &byte| value << 8 | u64::from(byte));
    match u32::try_from(value) {
        Ok(flow) if flow <= FLOW_MAX => Ok(Datagram { flow: FlowId(flow), rtp_at: 1 + needed }),
        _ => Err(Malformed::FlowTooLarge(value)),
    }
}

/// Writes what goes before the RTP packet, with the shortest varint that holds the flow.
///
/// # Panics
/// When the flow is larger than [`FLOW_MAX`]: flows are allotted by the gateway, not by a peer.
pub fn write_prefix(flow: FlowId, out: &mut BytesMut) {
    out.put_u8(QUARTER_STREAM_ID);
    match flow.0 {
        value @ 0..=0x3f => out.put_u8(value as u8),
        value @ 0x40..=0x3fff => out.put_u16(value as u16 | 0x4000),
        value => {
            assert!(value <= FLOW_MAX, "flow identifiers are allotted within 30 bits; got {value}");
            out.put_u32(value | 0x8000_0000);
        }
    }
}

/// Writes a whole datagram: the prefix and an RTP packet that is already there as bytes.
///
/// # Panics
/// As [`write_prefix`].
pub fn encode(flow: FlowId, rtp: &[u8], out: &mut BytesMut) {
    out.reserve(PREFIX_BYTES_MAX + rtp.len());
    write_prefix(flow, out);
    out.put_slice(rtp);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_of_varint_is_read() {
        type Read = Result<(u32, usize), Malformed>;
        // The first four are the examples of RFC 9000 appendix A.1, the others the same value in longer forms.
        let table: [(&[u8], Read); 8] = [
            (
                &[0x00, 0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
                Err(Malformed::FlowTooLarge(151_288_809_941_952_652)),
            ),
            (&[0x00, 0x9d, 0x7f, 0x3e, 0x7d], Ok((494_878_333, 5))),
            (&[0x00, 0x7b, 0xbd], Ok((15_293, 3))),
            (&[0x00, 0x25], Ok((37, 2))),
            (&[0x00, 0x40, 0x25], Ok((37, 3))),
            (&[0x00, 0x80, 0, 0, 0x25], Ok((37, 5))),
            (&[0x00, 0xc0, 0, 0, 0, 0, 0, 0, 0x25], Ok((37, 9))),
            (&[0x00, 0xc0, 0, 0, 0, 0x40, 0, 0, 0], Err(Malformed::FlowTooLarge(1 << 30))),
        ];
        for (bytes, expected) in table {
            let got = parse(bytes).map(|datagram| (datagram.flow.0, datagram.rtp_at));
            assert_eq!(got, expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let table: [(&[u8], &str); 5] = [
            (&[], "the datagram is empty"),
            (&[0x01, 0x25], "the datagram is for quarter stream identifier 0x01; a connection has only 0x00"),
            (&[0x00], "the flow identifier takes 1 bytes; 0 came"),
            (&[0x00, 0x80, 0x00, 0x00], "the flow identifier takes 4 bytes; 3 came"),
            (&[0x00, 0xc0, 0, 0, 0, 0xff, 0, 0, 0], "the flow identifier is at most 1073741823; got 4278190080"),
        ];
        for (bytes, message) in table {
            assert_eq!(parse(bytes).unwrap_err().to_string(), message, "{bytes:02x?}");
        }
    }

    #[test]
    fn the_shortest_form_is_written() {
        for (flow, length) in [(0, 2), (63, 2), (64, 3), (16_383, 3), (16_384, 5), (FLOW_MAX, 5)] {
            let mut out = BytesMut::new();
            write_prefix(FlowId(flow), &mut out);
            assert_eq!(out.len(), length, "{flow}");
            assert_eq!(parse(&out), Ok(Datagram { flow: FlowId(flow), rtp_at: length }), "{flow}");
        }
    }
}
