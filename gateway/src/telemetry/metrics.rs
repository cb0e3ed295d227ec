//! The metrics of a node, as Prometheus reads them. Each area declares its own beside the code that counts, and registers them here:
//! `tandem_<area>_<what>_<unit>`. Labels are bounded: a tenant's name may be one, a user or a call never.

use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// What every name starts with.
const PREFIX: &str = "tandem";

/// All metrics of a node.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { registry: Mutex::new(Registry::with_prefix(PREFIX)) }
    }
}

impl Metrics {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers an area's metrics: `register` is given a registry that puts `tandem_<area>_` before every name.
    pub fn area<T>(&self, area: &str, register: impl FnOnce(&mut Registry) -> T) -> T {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        register(registry.sub_registry_with_prefix(area))
    }

    /// All of them in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry).expect("writing to a String does not fail");
        text
    }

    /// The media type of [`Self::encode`].
    pub const CONTENT_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn an_area_s_metrics_carry_its_name() {
        let metrics = Metrics::new();
        let counter: Counter = metrics.area("media", |registry| {
            let counter = Counter::default();
            registry.register("packets_forwarded", "Packets handed on", counter.clone());
            counter
        });
        counter.inc_by(3);
        let text = metrics.encode();
        assert!(text.contains("tandem_media_packets_forwarded_total 3"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
