//! The HTTP side: the public listener (page, SDK, discovery, WebSocket) and the operators' (health, metrics, status).

pub mod api;
mod demo;
mod ops;
mod page;
mod public;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::certificate::Certificate;
use crate::config::Config;
use crate::media::Media;
use crate::telemetry::Metrics;
use crate::token::Keyring;

pub use demo::Demo;
use ops::Ops;
pub use ops::Phase;
use public::{Public, PublicParts, WebMetrics};
pub use server::ListenError;
use server::Server;

/// How long requests under way may take when the node stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// What the HTTP side shows and uses.
#[derive(Debug)]
pub struct Sources {
    /// The certificate in use.
    pub certificate: watch::Receiver<Arc<Certificate>>,
    /// Takes WebSockets.
    pub media: Media,
    /// Signs the demo's tokens.
    pub keyring: Arc<Keyring>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What goes on.
    pub status: watch::Receiver<Status>,
    /// Whether the node should get traffic.
    pub phase: watch::Receiver<Phase>,
    /// The demo, in `tandem dev`.
    pub demo: Option<Demo>,
}

/// The running listeners.
#[derive(Debug)]
pub struct Servers {
    /// Where the public pages are, with TLS.
    pub web: SocketAddr,
    /// Where they are without.
    pub plain: Option<SocketAddr>,
    /// Where the operators' pages are.
    pub ops: SocketAddr,
    servers: Vec<Server>,
}

/// Starts every listener that the configuration names.
///
/// # Errors
/// Names the address that cannot be listened on, and the setting that it is from.
pub async fn start(config: &Config, sources: Sources) -> Result<Servers, ListenError> {
    let Sources { certificate, media, keyring, metrics, status, phase, demo } = sources;
    let local_port = media.local_addr().port();
    let public = Public::new(PublicParts {
        media_port: if config.media.public_port == 0 { local_port } else { config.media.public_port },
        public_host: config.web.public_host.clone(),
        certificate: certificate.clone(),
        media,
        keyring,
        demo,
        metrics: metrics.area("web", WebMetrics::register),
    });
    let ops = Server::ops(config.ops.listen, Ops { phase, status, metrics })?;
    let web = Server::tls(config.web.listen, public.clone(), certificate)?;
    let plain = config.web.plain_listen.map(|address| Server::plain(address, public)).transpose()?;
    let addresses = (web.address(), plain.as_ref().map(Server::address), ops.address());
    let servers = [Some(web), plain, Some(ops)].into_iter().flatten().collect();
    Ok(Servers { web: addresses.0, plain: addresses.1, ops: addresses.2, servers })
}

impl Servers {
    /// Stops all of them; the operators' last, so that `/readyz` says why until the end.
    pub async fn stop(self) {
        for server in self.servers {
            server.stop(STOP_GRACE).await;
        }
    }
}

/// What `/status.json` shows: how much goes on, and nothing about whom it concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The node.
    pub node: String,
    /// How many sessions it has.
    pub sessions: usize,
    /// Its calls.
    pub calls: Vec<LiveCall>,
}

/// One call of [`Status`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveCall {
    /// The call's identifier, as in its record.
    pub call: String,
    /// Whose call.
    pub tenant: String,
    /// What it is doing, in one word.
    pub state: String,
    /// For how long.
    pub seconds: u64,
}
