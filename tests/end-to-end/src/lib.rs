//! The kit of the end-to-end tests: starts the real `tandem` binary on free ports and talks to it with real clients.
//!
//! - [`Gateway`]: one process that takes calls, its log, its records; [`Launch`]: how it is started;
//! - [`Phone`]: one signed-in client and the voice of its call;
//! - [`sound`]: whether a tone is heard;
//! - [`wire`]: a client that may say anything;
//! - [`spin`]: an application as `spin up` hands it to Tandem.
//!
//! Nothing here waits for a time: everything waits for a condition, with a bound.
#![forbid(unsafe_code)]

pub mod function;
mod gateway;
mod launch;
mod phone;
pub mod sound;
pub mod spin;
pub mod token;
pub mod wire;

use std::time::Duration;

pub use gateway::{Gateway, Record, Settings};
pub use launch::{Launch, signal};
pub use phone::{CALLEE_HZ, CALLER_HZ, Phone};

/// How long anything that is waited for may take, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(20);
