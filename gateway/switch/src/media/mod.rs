//! Voice on its way: headers, the forwarding table, reception statistics, the jitter buffer.
//!
//! A packet's path through the gateway: `socket → QUIC → datagram header → forwarding table → QUIC → socket`.
//!
//! A media datagram is one byte `0x00` (the WebTransport quarter stream id of the only session on a connection), a flow identifier
//! (QUIC varint) and an RTP packet. Over WebSocket the same bytes travel as one binary message. Both directions of a call have one
//! flow identifier each, the same at talker and listener, so forwarding hands on the very bytes that came in.

pub mod datagram;
pub mod forward;
pub mod jitter;
pub mod rtp;
pub mod speakers;
pub mod stats;
