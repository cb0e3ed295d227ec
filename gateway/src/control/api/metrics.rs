//! What is counted about the control API. Routes are labelled by their templates, so that the labels are bounded.

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// One kind of request and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

impl Request {
    pub(super) fn new(method: &Method, route: &str, status: StatusCode) -> Self {
        // Anybody may make methods up.
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
        let method = known.into_iter().find(|known| *known == method.as_str()).unwrap_or("other");
        Self { method, route: route.to_owned(), status: status.as_u16() }
    }
}

/// Counters of the control API.
#[derive(Clone, Debug, Default)]
pub struct ControlMetrics {
    /// Requests, by route and status.
    pub(super) requests: Family<Request, Counter>,
    /// Tokens that were refused.
    pub(super) bad_tokens: Counter,
}

impl ControlMetrics {
    /// Registers `tandem_control_…`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("requests", "Requests to the control API, by route and status", metrics.requests.clone());
        registry.register("bad_tokens", "Control tokens that were refused", metrics.bad_tokens.clone());
        metrics
    }
}
