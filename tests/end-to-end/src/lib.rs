//! The kit of the end-to-end tests: starts the real `tandem` binary on free ports and talks to it with real clients.
//!
//! - [`Gateway`]: one process, its log, its records;
//! - [`Phone`]: one signed-in client and the voice of its call;
//! - [`sound`]: whether a tone is heard;
//! - [`wire`]: a client that may say anything.
//!
//! Nothing here waits for a time: everything waits for a condition, with a bound.
#![forbid(unsafe_code)]

pub mod function;
mod gateway;
mod phone;
pub mod sound;
pub mod token;
pub mod wire;

use std::time::Duration;

pub use gateway::{Gateway, Record, Settings};
pub use phone::{CALLEE_HZ, CALLER_HZ, Phone};

/// How long anything that is waited for may take, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(20);
