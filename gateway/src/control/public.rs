//! What callers' browsers and clients ask: the page, where the gateway can be reached, and the WebSocket fallback.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use axum::{Extension, Router};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::sync::watch;

use super::{Demo, demo, messages, page};
use crate::certificate::Certificate;
use crate::media::{CONNECT_PATH, Media, bounded_upgrade};
use crate::tenants::Tenants;
use crate::token::Keyring;

/// Most bytes of a request's body. Nothing here takes one.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// What the public listener counts.
#[derive(Clone, Debug, Default)]
pub(super) struct WebMetrics {
    sockets_upgraded: Counter,
}

impl WebMetrics {
    /// Registers `tandem_web_…`.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("sockets_upgraded", "WebSockets handed to the shards", metrics.sockets_upgraded.clone());
        metrics
    }
}

/// What the public listener needs.
#[derive(Debug)]
pub(super) struct PublicParts {
    /// The UDP port that clients are told.
    pub(super) media_port: u16,
    /// The host name that clients are told; none: the one they asked for.
    pub(super) public_host: Option<String>,
    /// The certificate in use.
    pub(super) certificate: watch::Receiver<Arc<Certificate>>,
    /// Takes WebSockets.
    pub(super) media: Media,
    /// Signs the demo's tokens.
    pub(super) keyring: Arc<Keyring>,
    /// The demo, in `tandem dev`.
    pub(super) demo: Option<Demo>,
    /// Gives users their messages.
    pub(super) tenants: Option<Tenants>,
    /// Counters.
    pub(super) metrics: WebMetrics,
}

/// The public listener's pages. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Public {
    parts: Arc<PublicParts>,
}

/// Whether a listener has TLS: the scheme of the WebSocket address depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    Tls,
    Plain,
}

impl Public {
    /// Over `parts`.
    pub(super) fn new(parts: PublicParts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    pub(super) fn demo(&self) -> Option<&Demo> {
        self.parts.demo.as_ref()
    }

    pub(super) fn keyring(&self) -> &Keyring {
        &self.parts.keyring
    }

    pub(super) fn tenants(&self) -> Option<&Tenants> {
        self.parts.tenants.as_ref()
    }

    pub(super) fn router(self, security: Security) -> Router {
        let mut router = Router::new()
            .route("/.well-known/tandem.json", get(discovery))
            .route(CONNECT_PATH, get(connect))
            .merge(messages::router());
        if self.parts.demo.is_some() {
            router = router.merge(demo::router(&self));
        }
        router
            .fallback_service(get(page::softphone))
            .layer(middleware::from_fn(guard))
            .layer(Extension(security))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(self)
    }
}

/// Where the gateway can be reached.
#[derive(Debug, Serialize)]
struct Discovery {
    webtransport: String,
    certificate_hashes: Vec<String>,
    websocket: String,
}

async fn discovery(
    State(public): State<Public>,
    Extension(security): Extension<Security>,
    request: Request,
) -> Response {
    let Some(asked) = authority(&request) else {
        return (StatusCode::BAD_REQUEST, "the request names no host\n").into_response();
    };
    let parts = &public.parts;
    let host = parts.public_host.as_deref().unwrap_or_else(|| host_of(&asked));
    let port = asked.port().map(|port| format!(":{port}")).unwrap_or_default();
    let scheme = match security {
        Security::Tls => "wss",
        Security::Plain => "ws",
    };
    let certificate = parts.certificate.borrow();
    let discovery = Discovery {
        webtransport: format!("https://{host}:{}{CONNECT_PATH}", parts.media_port),
        certificate_hashes: certificate.self_signed.then(|| certificate.sha256_hex()).into_iter().collect(),
        websocket: format!("{scheme}://{host}{port}{CONNECT_PATH}"),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(discovery)).into_response()
}

/// The host and port that a request asks for: in HTTP/2 of its URI, in HTTP/1.1 of its Host header.
pub(super) fn authority(request: &Request) -> Option<Authority> {
    let header = || request.headers().get(header::HOST)?.to_str().ok()?.parse().ok();
    request.uri().authority().cloned().or_else(header)
}

/// The host alone, an IPv6 address in its brackets.
pub(super) fn host_of(authority: &Authority) -> &str {
    authority.host()
}

/// Upgrades to a WebSocket and gives it to a shard, which bounds how many it takes.
async fn connect(
    State(public): State<Public>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    upgrade: WebSocketUpgrade,
) -> Response {
    bounded_upgrade(upgrade).on_upgrade(async move |socket| {
        public.parts.metrics.sockets_upgraded.inc();
        public.parts.media.adopt_websocket(socket, peer);
    })
}

/// What every answer tells the browser: run nothing but our own files, guess no types, keep the microphone to this page, and let other
/// sites' pages load the SDK and ask for the gateway's address.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; connect-src 'self' https: wss: ws:; object-src 'none'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("permissions-policy"), "microphone=(self), camera=(), geolocation=()"),
    (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
];

async fn guard(request: Request, next: Next) -> Response {
    let is_demo = request.uri().path().starts_with("/demo/");
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        // Tokens of the demo are for our own page only.
        if !(is_demo && (name == header::ACCESS_CONTROL_ALLOW_ORIGIN || name == "cross-origin-resource-policy")) {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    }
    response
}
