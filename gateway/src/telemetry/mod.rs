//! What the node says about itself: log lines and metrics. Neither carries personal data above DEBUG.

mod logs;
mod metrics;

pub use logs::{TelemetryError, init};
pub use metrics::Metrics;
