//! From sockets to decoded signalling and forwarded voice.
//!
//! One shard for each core: an OS thread with a single-threaded runtime, one UDP socket of a `SO_REUSEPORT` group, one QUIC endpoint
//! and one forwarding table. A connection belongs to one shard for its whole life, wherever its client moves: the first byte of
//! its connection identifier names the shard, and the kernel hands each packet to the right socket ([`steering`]).
//!
//! A voice packet's path: `socket → QUIC → datagram header → forwarding table → QUIC → socket`, all on the talker's shard, with the
//! very bytes that came in: no lock and no allocation of ours, no hop to another thread. (The listener's connection may live on another
//! shard; its QUIC stack is told there.)
//!
//! In: the driver's calls on [`Media`]. Out: [`LinkEvent`]s. What is deliberately absent: calls, sessions, tokens. A link is a
//! transport connection that said `hello`; what it may do is the exchange's business.
//!
//! - [`Media`]: the driver's handle;
//! - `shard`: the thread, its loop and its commands;
//! - `webtransport`, `websocket`: one link, from its handshake to its goodbye;
//! - `link`: what both have in common;
//! - `rooms`: from one talker to all of a room;
//! - `steering`: which shard a packet belongs to;
//! - [`Allowance`]: how much voice a tenant's links may send.

mod allowance;
mod egress;
mod handle;
pub mod limits;
mod lines;
mod link;
mod metrics;
mod rooms;
mod shard;
pub mod steering;
mod transport;
mod websocket;
mod webtransport;

pub use allowance::{Allowance, Allowances};
pub(crate) use egress::Departure;
pub use egress::{Egress, Heard, Sink};
pub use handle::{Listener, Media, MediaConfig, MediaError, Route};
pub use link::LinkEvent;
pub use metrics::MediaMetrics;
pub use websocket::bounded_upgrade;

/// The path of a CONNECT, and of the WebSocket that stands in for it.
pub const CONNECT_PATH: &str = "/v1/connect";
