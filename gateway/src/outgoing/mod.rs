//! What leaves the gateway towards other people's servers because a tenant wants it to.
//!
//! - [`Client`]: functions' own HTTP requests;
//! - [`HostPattern`]: where a version's manifest lets them go; [`addresses`]: which addresses they may reach at all;
//! - [`webhook`]: a routing function that is asked over HTTP;
//! - [`websocket`]: where taps send copies of voice.
//!
//! And, because connections are made in one way, the client of the operator's own object store.

pub mod addresses;
mod client;
mod hosts;
pub mod limits;
mod metrics;
mod transport;
pub mod webhook;
pub mod websocket;

pub use client::Client;
pub use hosts::{BadHostPattern, HostPattern, PATTERN_BYTES_MAX};
pub use metrics::{OutcomeLabel, OutgoingMetrics};
pub use transport::SetupError;
pub(crate) use transport::storage_client;
