//! The gateway: all IO, all time, all threads around the pure core (`tandem-switch`) and the function host (`tandem-host`).

pub mod audio;
pub mod blobs;
pub mod calls;
pub mod certificate;
pub mod cli;
mod clock;
pub mod config;
pub mod control;
pub mod gateway;
pub mod media;
pub mod outgoing;
pub mod store;
pub mod telemetry;
pub mod tenants;
pub mod token;
