//! The HTTP side: the public listener (page, SDK, discovery, WebSocket), the control API's (tenants and what they have) and the operators'
//! (health, metrics, status).

pub mod api;
mod demo;
mod messages;
mod ops;
mod page;
mod places;
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
use crate::tenants::Tenants;
use crate::tenants::model::Usage;
use crate::token::Keyring;

pub use demo::Demo;
use ops::Ops;
pub use ops::Phase;
use places::ListenerMetrics;
use public::{Public, PublicParts, Security, WebMetrics};
pub use server::ListenError;
use server::Server;

/// How long requests under way may take when the node stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Most connections for pages and discovery on a public listener, beside the WebSockets, which [`crate::config::Limits::links`] bounds. A
/// further one is closed at once, and counted.
const PAGE_CONNECTIONS_MAX: usize = 1024;

/// Most connections on the control API's listener: people, build servers, and a few that follow logs. A further one is closed at once, and
/// counted.
const CONTROL_CONNECTIONS_MAX: usize = 256;

/// Most connections on the operators' listener: load balancers, a collector of metrics, some browsers. A further one is closed at once, and
/// counted.
const OPS_CONNECTIONS_MAX: usize = 256;

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
    /// The control API; none: there is no listener for it.
    pub control: Option<Control>,
}

/// The control API's part of [`Sources`].
#[derive(Debug)]
pub struct Control {
    /// Where it listens, with TLS.
    pub listen: SocketAddr,
    /// Everything about tenants.
    pub tenants: Tenants,
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
    /// Where the control API is, with TLS.
    pub control: Option<SocketAddr>,
    servers: Vec<Server>,
}

/// Starts every listener that the configuration names.
///
/// # Errors
/// Names the address that cannot be listened on, and the setting that it is from.
pub async fn start(config: &Config, sources: Sources) -> Result<Servers, ListenError> {
    let Sources { certificate, media, keyring, metrics, status, phase, demo, control } = sources;
    let listeners = metrics.area("listeners", ListenerMetrics::register);
    let control_metrics = metrics.area("control", api::ControlMetrics::register);
    let local_port = media.local_addr().port();
    let public = Public::new(PublicParts {
        media_port: if config.media.public_port == 0 { local_port } else { config.media.public_port },
        public_host: config.web.public_host.clone(),
        certificate: certificate.clone(),
        media,
        keyring,
        demo,
        tenants: control.as_ref().map(|control| control.tenants.clone()),
        metrics: metrics.area("web", WebMetrics::register),
    });
    let public_connections = config.limits.links.saturating_add(PAGE_CONNECTIONS_MAX);
    let places = listeners.places("ops.listen", OPS_CONNECTIONS_MAX);
    let ops = Server::plain(config.ops.listen, "ops.listen", places, Ops { phase, status, metrics }.router())?;
    let places = listeners.places("web.listen", public_connections);
    let pages = public.clone().router(Security::Tls);
    let web = Server::tls(config.web.listen, "web.listen", places, pages, certificate.clone())?;
    let plain = config.web.plain_listen.map(|address| {
        let places = listeners.places("web.plain_listen", public_connections);
        Server::plain(address, "web.plain_listen", places, public.router(Security::Plain))
    });
    let plain = plain.transpose()?;
    let control = control.map(|Control { listen, tenants }| {
        let places = listeners.places("control.listen", CONTROL_CONNECTIONS_MAX);
        Server::tls(listen, "control.listen", places, api::router(tenants, control_metrics), certificate)
    });
    let control = control.transpose()?;
    let address = |server: &Option<Server>| server.as_ref().map(Server::address);
    let (plain_address, control_address) = (address(&plain), address(&control));
    let (web_address, ops_address) = (web.address(), ops.address());
    let servers = [Some(web), plain, control, Some(ops)].into_iter().flatten().collect();
    Ok(Servers { web: web_address, plain: plain_address, ops: ops_address, control: control_address, servers })
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
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The node.
    pub node: String,
    /// How many sessions it has.
    pub sessions: usize,
    /// Its calls.
    pub calls: Vec<LiveCall>,
    /// Its busiest tenants.
    pub tenants: Vec<TenantStanding>,
    /// How many tenants there are besides.
    pub tenants_more: usize,
    /// Versions that were lately taken back or paused by themselves, newest first.
    pub taken_back: Vec<TakenBack>,
}

/// One tenant of [`Status`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TenantStanding {
    /// Its name.
    pub tenant: String,
    /// Its calls.
    pub calls: u64,
    /// Its sessions.
    pub sessions: u64,
    /// Invocations of its functions in the last second.
    pub invocations: u64,
    /// How many of them failed.
    pub failures: u64,
    /// What it uses of its budgets.
    pub budgets: Vec<Usage>,
    /// Its roll-outs that are watched.
    pub watched: Vec<WatchedRollOut>,
}

/// A roll-out that is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct WatchedRollOut {
    /// The version, `<function>@<number>`.
    pub version: String,
    /// On how many of a hundred calls.
    pub percent: u8,
}

/// A version that was taken back or paused by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TakenBack {
    /// When, milliseconds since 1970.
    pub at: u64,
    /// Whose.
    pub tenant: String,
    /// The version, `<function>@<number>`.
    pub version: String,
    /// Whether it is asked no more, there being nothing to go back to.
    pub paused: bool,
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
