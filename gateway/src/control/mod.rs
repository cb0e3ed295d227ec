//! The HTTP side: the public listener (page, SDK, discovery, WebSocket) and the operators' (health, metrics, status).

mod demo;
mod ops;
mod page;
mod public;
mod server;

use serde::Serialize;

pub use demo::Demo;
pub use ops::{Ops, Readiness};
pub use public::{AcceptedSocket, CONNECT_PATH, Public, PublicParts, WebMetrics};
pub use server::{ListenError, Server};

/// What `/status.json` shows: how much goes on, and nothing about whom it concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The node.
    pub node: String,
    /// How many sessions it has.
    pub sessions: usize,
    /// Its calls.
    pub calls: Vec<LiveCall>,
}

/// One call of [`Status`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveCall {
    /// The call's identifier, as in its record.
    pub call: String,
    /// Whose call.
    pub tenant: String,
    /// What it is doing, in one word.
    pub state: String,
    /// For how long.
    pub seconds: u64,
}
