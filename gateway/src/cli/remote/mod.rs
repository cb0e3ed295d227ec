//! Talking to a gateway's control API from the command line: which gateway, as whom, and how its answers are shown.
//!
//! It knows addresses, tokens and HTTP; what the subcommands ask for is theirs. The types are those of [`crate::tenants::model`]: client and
//! server are one crate.

mod client;
mod connection;
pub(super) mod credentials;
mod deliver;
mod problem;
pub(super) mod show;

pub(super) use client::{Client, segment};
pub(super) use connection::{ConnectionArgs, fingerprint};
pub(super) use deliver::deliver;
pub(super) use problem::RemoteError;
