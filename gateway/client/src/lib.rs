//! A native Tandem client: signalling and Opus voice over WebTransport, or over WebSocket where UDP does not get through.
//!
//! - [`Client`]: a session with a gateway: commands in, [`Event`]s out; it comes back by itself when its link is lost;
//! - [`voice`]: what is said ([`voice::VoiceSender`] and its sources) and what is heard ([`voice::VoiceReceiver`] and its sinks);
//! - [`trust`]: which gateway certificates are believed;
//! - [`link`]: one transport connection, for tools that want to be close to the wire.
//!
//! What it is not: a user interface, and a judge of tokens; it shows the gateway the one it is given.
#![forbid(unsafe_code)]

mod client;
mod error;
mod event;
mod flows;
mod limits;
pub mod link;
mod seen;
mod session;
pub mod trust;
pub mod voice;

pub use client::{Client, Identity, Options};
pub use error::{CallError, ConnectError, SessionGone};
pub use event::{Event, Events};
pub use link::{Transport, TransportChoice};
pub use trust::Trust;
