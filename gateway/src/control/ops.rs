//! What operators and their machines ask: is the process alive, should it get traffic, what does it count, what goes on; and a live page
//! that shows it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use tokio::sync::watch;

use super::{Status, page};
use crate::telemetry::Metrics;

/// How far the node is on its way from start to end: whether it should get traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not yet: it is starting.
    Starting,
    /// Yes.
    Ready,
    /// Not any more: calls end, new ones are refused.
    Draining,
}

/// What the operators' listener shows.
#[derive(Clone, Debug)]
pub(super) struct Ops {
    /// Whether the node should get traffic.
    pub(super) phase: watch::Receiver<Phase>,
    /// What goes on.
    pub(super) status: watch::Receiver<Status>,
    /// What is counted.
    pub(super) metrics: Arc<Metrics>,
}

impl Ops {
    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/status.json", get(status))
            .fallback_service(get(page::operators))
            .layer(middleware::from_fn(guard))
            .with_state(self)
    }
}

async fn readyz(State(ops): State<Ops>) -> Response {
    match *ops.phase.borrow() {
        Phase::Ready => "ready\n".into_response(),
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
        Phase::Draining => {
            (StatusCode::SERVICE_UNAVAILABLE, "draining: calls may end, new ones are refused\n").into_response()
        }
    }
}

async fn metrics(State(ops): State<Ops>) -> Response {
    ([(header::CONTENT_TYPE, Metrics::CONTENT_TYPE)], ops.metrics.encode()).into_response()
}

async fn status(State(ops): State<Ops>) -> Response {
    let status = ops.status.borrow().clone();
    ([(header::CACHE_CONTROL, "no-store")], Json(status)).into_response()
}

/// What every answer tells the browser: run and load nothing but our own files, guess no types, and show other sites nothing.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
