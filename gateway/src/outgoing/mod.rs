//! What leaves the gateway towards other people's servers because a tenant wants it to.
//!
//! - [`HostPattern`]: where a version's manifest lets its functions go.

mod hosts;

pub use hosts::{BadHostPattern, HostPattern, PATTERN_BYTES_MAX};
