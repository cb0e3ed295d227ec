//! What is counted about functions' outgoing requests.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// `answered`, or the kind of refusal.
    pub outcome: &'static str,
}

/// Counters of all tenants.
#[derive(Clone, Debug, Default)]
pub struct OutgoingMetrics {
    /// Requests, by what became of them.
    pub requests: Family<OutcomeLabel, Counter>,
}

impl OutgoingMetrics {
    /// Makes the counters and registers them, under names without the area's prefix (`tandem_outgoing_`).
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "HTTP requests of functions, by what became of them";
        registry.register("requests", help, metrics.requests.clone());
        metrics
    }
}
