//! A node, assembled. The fields of [`Gateway`] are the map of the process, and [`Gateway::start`] is the order in which it comes up.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use tandem_host::{Host, HostConfig};
use tandem_switch::exchange::Exchange;
use tandem_switch::id::TenantId;
use tandem_switch::time::WallClock;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::audio::{self, Audio, AudioMetrics};
use crate::blobs::{BlobMetrics, Blobs};
use crate::calls::driver::{CallDriver, Command, Parts};
use crate::calls::mailboxes;
use crate::calls::metrics::CallMetrics;
use crate::calls::standing::BudgetMetrics;
use crate::certificate::{self, Certificate};
use crate::clock::unix_now;
use crate::config::{Config, Secret};
use crate::control::{self, Demo, Phase, Status};
use crate::media::{self, LinkEvent, Media, MediaConfig, MediaMetrics};
use crate::outgoing::addresses::Reach;
use crate::outgoing::webhook::Webhook;
use crate::outgoing::websocket::WebSockets;
use crate::outgoing::{Client, OutgoingMetrics};
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::tenants::{self, Introduction, OPERATOR_PREFIX, Tenants};
use crate::token::Keyring;

/// Most events of links that wait for the driver. When it is full, links are read no further: their clients wait.
const LINK_EVENTS_MAX: usize = 4096;

/// Most commands that wait for the driver. When it is full, whoever commands waits.
const COMMANDS_MAX: usize = 64;

/// Most findings about versions that wait to be kept.
const VERDICTS_MAX: usize = 256;

/// How long ending every call may take at the very end: storing its record and telling its function, whose deadline is 9 s at most, then
/// keeping its recordings ([`audio::limits::STOP_TIMEOUT`]).
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// The file in the data directory that says where the node listens, for tools that start it on free ports.
const PORTS_FILE: &str = "ports.json";

/// The operator's token in the data directory, unless the configuration names another file.
const OPERATOR_TOKEN_FILE: &str = "operator-token";

/// Fewest characters of an operator's token after its beginning: 32 random bytes in base64url.
const OPERATOR_RANDOM_CHARS_MIN: usize = 43;

/// What differs between `tandem serve` and `tandem dev`.
#[derive(Debug, Default)]
pub struct Options {
    /// Anybody on this machine may sign in as one of these users.
    pub demo: Option<Demo>,
    /// Routes every call instead of the tenants' functions.
    pub router: Option<Webhook>,
}

/// Where a node listens.
#[derive(Clone, Debug, Serialize)]
pub struct Addresses {
    /// UDP: WebTransport.
    pub media: SocketAddr,
    /// TCP with TLS: page and WebSocket.
    pub web: SocketAddr,
    /// TCP without TLS, loopback only.
    pub plain: Option<SocketAddr>,
    /// TCP: health, metrics, status.
    pub ops: SocketAddr,
    /// TCP with TLS: the control API.
    pub control: Option<SocketAddr>,
    /// The certificate's SHA-256, for clients that trust it by hash.
    pub certificate_sha256: String,
}

/// A running node.
#[derive(Debug)]
pub struct Gateway {
    /// Forwards voice and carries signalling.
    media: Media,
    /// Tenants and what they have.
    tenants: Tenants,
    /// Keeps all of it, and records.
    store: Store,
    /// Owns the exchange.
    driver: JoinHandle<()>,
    /// Tells the driver.
    commands: mpsc::Sender<Command>,
    /// Page, discovery and WebSocket; health, metrics and status; the control API.
    servers: control::Servers,
    /// Keep the certificate fresh, hand new ones to the shards, keep what the driver finds out about versions, upload recordings, mend and
    /// delete them, and answer users' questions about their mailboxes.
    followers: [JoinHandle<()>; 6],
    /// Whether the node should get traffic.
    phase: watch::Sender<Phase>,
    addresses: Addresses,
    drain: Duration,
}

/// Puts new versions of a tenant's function `main` to work.
#[derive(Clone, Debug)]
pub struct Deployer {
    tenants: Tenants,
    tenant: TenantId,
}

impl Deployer {
    /// Checks and compiles a component; it answers the tenant's next call. Gives the version's name.
    ///
    /// # Errors
    /// When it is no component that can run here; the version before it stays.
    pub async fn deploy(&self, component: Vec<u8>) -> anyhow::Result<String> {
        Ok(self.tenants.deploy_main(&self.tenant, component.into()).await?)
    }
}

impl Gateway {
    /// Brings a node up: store, certificate, keys, function host, tenants, shards, driver, HTTP; then it takes calls.
    ///
    /// # Errors
    /// Names the part that could not be started and what would help.
    pub async fn start(config: Config, options: Options) -> anyhow::Result<Self> {
        let started = std::time::Instant::now();
        let metrics = Arc::new(Metrics::new());
        let store = Store::open(&config.store.data_dir)?;
        let source = certificate::Source::open(&config.tls)?;
        let certificate = source.subscribe();
        let keyring = Arc::new(Keyring::default());
        let host = Arc::new(Host::new(host_config(&config))?);
        let (commands, mut orders) = mpsc::channel(COMMANDS_MAX);
        let blobs = Blobs::open(store.clone(), &config.storage, metrics.area("storage", BlobMetrics::register))?;
        let tenants = Tenants::open(tenants::Parts {
            store: store.clone(),
            host: Arc::clone(&host),
            keyring: Arc::clone(&keyring),
            blobs: blobs.clone(),
            meters: Arc::default(),
            commands: commands.clone(),
            operator_token: Some(operator_token(&config)?),
        })
        .await?;
        let declared = async {
            tenants.declare(&config.tenant).await?;
            tenants.deploy_declared(&config.tenant).await
        };
        tokio::select! {
            declared = declared => declared?,
            discarded = discard(&mut orders) => discarded?,
        }

        let housekeeping = tenants.housekeeping().await?;

        let (link_events, links) = mpsc::channel(LINK_EVENTS_MAX);
        let media = start_media(&config, &certificate.borrow(), link_events, &metrics)?;

        let ways = media.clone();
        let (audio, audio_events) = Audio::start(audio::Parts {
            links: Arc::new(move |link| ways.egress(link)),
            archive: Arc::new(tenants.clone()),
            sockets: WebSockets::new(reach(&config)?)?,
            metrics: metrics.area("audio", AudioMetrics::register),
            threads: 0,
        })
        .context("the codec threads do not start")?;

        let (verdicts, found) = mpsc::channel(VERDICTS_MAX);
        let (mailboxes, questions) = mailboxes::questions();
        let (status_sender, status) = watch::channel(Status::default());
        let parts = Parts {
            exchange: Exchange::new(rand::random(), WallClock { at_start: unix_now() }),
            media: media.clone(),
            audio,
            audio_events,
            host: Arc::clone(&host),
            keyring: Arc::clone(&keyring),
            store: store.clone(),
            invocations: tenants.invocation_log().clone(),
            http: Client::new(reach(&config)?, metrics.area("outgoing", OutgoingMetrics::register))?,
            metrics: metrics.area("calls", CallMetrics::register),
            meters: Arc::clone(tenants.meters()),
            verdicts,
            mailboxes,
            node: config.node.name.clone(),
            region: config.node.region.clone(),
            started,
            budget_metrics: metrics.area("budgets", BudgetMetrics::register),
            webhook: options.router,
            status: status_sender,
        };
        let mut driver = CallDriver::new(parts);
        // Clients may be knocking already; nobody is let in before every tenant's rules are known.
        for Introduction { tenant, settings, routing } in tenants.introductions().await? {
            driver.introduce(tenant, settings, Some(routing));
        }
        let driver = tokio::spawn(driver.run(links, orders));

        let (phase, phases) = watch::channel(Phase::Starting);
        let sources = control::Sources {
            certificate: certificate.clone(),
            media: media.clone(),
            keyring,
            metrics,
            status,
            phase: phases,
            demo: options.demo,
            control: Some(control::Control { listen: config.control.listen, tenants: tenants.clone() }),
        };
        let servers = control::start(&config, sources).await?;
        let addresses = Addresses {
            media: media.local_addr(),
            web: servers.web,
            plain: servers.plain,
            ops: servers.ops,
            control: servers.control,
            certificate_sha256: certificate.borrow().sha256_hex(),
        };
        write_ports(&config.store.data_dir, &addresses)?;
        let followers = [
            tokio::spawn(source.keep_fresh()),
            tokio::spawn(hand_on(certificate, media.clone())),
            tokio::spawn(tenants.clone().follow(found)),
            tokio::spawn(blobs.run()),
            tokio::spawn(mailboxes::serve(tenants.clone(), questions, commands.clone())),
            tokio::spawn(housekeeping.run()),
        ];
        phase.send_replace(Phase::Ready);
        tracing::info!(media = %addresses.media, web = %addresses.web, ops = %addresses.ops, shards = media.shards(), "ready");
        let drain = config.drain.time();
        Ok(Self { media, tenants, store, driver, commands, servers, followers, phase, addresses, drain })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Puts new versions of a tenant's function to work.
    pub fn deployer(&self, tenant: TenantId) -> Deployer {
        Deployer { tenants: self.tenants.clone(), tenant }
    }

    /// Everything about tenants.
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// Runs until one of these signals, then stops gracefully. A second one ends the wait for calls.
    ///
    /// # Errors
    /// When a part did not stop in good order, or the call driver failed: a node without it is better restarted.
    pub async fn run_until(mut self, signals: &mut Signals) -> anyhow::Result<()> {
        let signal = tokio::select! {
            signal = signals.next() => signal,
            ended = &mut self.driver => return ended.context("the call driver failed"),
        };
        tracing::info!(signal, drain_seconds = self.drain.as_secs(), "stopping: no new calls");
        self.stop(signals).await
    }

    async fn stop(self, signals: &mut Signals) -> anyhow::Result<()> {
        self.phase.send_replace(Phase::Draining);
        let (drained, no_call_left) = oneshot::channel();
        self.commands.send(Command::Drain(drained)).await.context("the call driver has stopped on its own")?;
        tokio::select! {
            _ = no_call_left => tracing::info!("no call is left"),
            () = tokio::time::sleep(self.drain) => tracing::info!("time is up; ending the calls that are left"),
            signal = signals.next() => tracing::info!(signal, "not waiting any longer; ending the calls that are left"),
        }
        let (stopped, all_stored) = oneshot::channel();
        self.commands.send(Command::Shutdown(stopped)).await.context("the call driver has stopped on its own")?;
        let stored = tokio::time::timeout(SHUTDOWN_TIMEOUT, all_stored).await;
        self.media.stop().await;
        self.servers.stop().await;
        for follower in self.followers {
            follower.abort();
        }
        self.driver.abort();
        self.tenants.invocation_log().clone().close().await;
        tokio::time::timeout(SHUTDOWN_TIMEOUT, self.store.close()).await.context("the store does not close")??;
        stored.context("some call records could not be stored in time")?.context("the call driver failed")?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// `tandem serve`: brings a node up and runs it until it is told to stop.
///
/// # Errors
/// When it cannot start, or does not stop in good order.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::watch()?;
    match signals.unless_stopped(Gateway::start(config, Options::default())).await {
        Some(gateway) => gateway?.run_until(&mut signals).await,
        None => Ok(()),
    }
}

fn host_config(config: &Config) -> HostConfig {
    let limits = tandem_host::Limits {
        memory_bytes_max: config.limits.function_memory_mib * 1024 * 1024,
        deadline: Duration::from_millis(config.limits.function_deadline_ms),
        invocations_max: u32::try_from(config.limits.invocations).unwrap_or(u32::MAX),
        ..Default::default()
    };
    HostConfig { limits, cache: private_cache(&config.store.data_dir) }
}

/// Where compiled functions are kept. Whoever may write there may run code in this process: in a data directory that others may write to,
/// nothing is kept, and each start compiles anew.
fn private_cache(data_dir: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let open_to_others = |path: &Path| std::fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o022 != 0);
    let cache = data_dir.join("compiled");
    if open_to_others(data_dir) || open_to_others(&cache) {
        tracing::warn!(
            data_dir = %data_dir.display(),
            "others may write to the data directory, so compiled functions are not kept there; `chmod go-w` would mend it"
        );
        return None;
    }
    Some(cache)
}

fn start_media(
    config: &Config,
    certificate: &Certificate,
    events: mpsc::Sender<LinkEvent>,
    metrics: &Metrics,
) -> anyhow::Result<Media> {
    let shards = config.media.shards;
    let mut media = MediaConfig { shards, ..MediaConfig::new(config.media.listen) };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(media::limits::SHARDS_MAX);
    let threads = if shards == 0 { cores() } else { shards };
    media.links_per_shard_max = config.limits.links.div_ceil(threads);
    let (chain, key) = (certificate.chain.clone(), certificate.key.clone_key());
    Ok(Media::start(media, chain, key, events, metrics.area("media", MediaMetrics::register))?)
}

/// The operator's token: from the file that the configuration names, else the node's own, made at the first start.
fn operator_token(config: &Config) -> anyhow::Result<Secret> {
    let own = config.store.data_dir.join(OPERATOR_TOKEN_FILE);
    let path = match &config.control.operator_token_file {
        Some(path) => path,
        None if own.exists() => &own,
        None => {
            let token = format!("{OPERATOR_PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
            write_private(&own, &token).with_context(|| format!("cannot write {}", own.display()))?;
            return Ok(Secret::new(token));
        }
    };
    let which = || format!("cannot read the operator's token from {}", path.display());
    let token = std::fs::read_to_string(path).with_context(which)?;
    let token = token.trim();
    let random = token.strip_prefix(OPERATOR_PREFIX).map_or(0, str::len);
    anyhow::ensure!(
        random >= OPERATOR_RANDOM_CHARS_MIN,
        "{}: no operator's token: it begins with `{OPERATOR_PREFIX}` and goes on with {OPERATOR_RANDOM_CHARS_MIN} random characters or more",
        path.display()
    );
    Ok(Secret::new(token))
}

/// Writes a file that only this user may read. It is there whole or not at all, wherever the process is killed.
pub(crate) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let unfinished = path.with_extension("new");
    let _ = std::fs::remove_file(&unfinished);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}

/// Which private addresses functions' HTTP requests may reach.
fn reach(config: &Config) -> anyhow::Result<Reach> {
    let networks = config.functions.allow_private_addresses.iter().map(|network| network.parse());
    Ok(Reach::with_private(networks.collect::<Result<_, _>>().context("functions.allow_private_addresses")?))
}

/// Takes commands that come before there is a driver: it is introduced to everything when it begins.
async fn discard(orders: &mut mpsc::Receiver<Command>) -> anyhow::Result<()> {
    while orders.recv().await.is_some() {}
    Ok(())
}

/// Hands every new certificate to the shards; sessions under way live on.
async fn hand_on(mut certificate: watch::Receiver<Arc<Certificate>>, media: Media) {
    while certificate.changed().await.is_ok() {
        let fresh = Arc::clone(&certificate.borrow_and_update());
        if let Err(error) = media.set_certificate(fresh.chain.clone(), fresh.key.clone_key()) {
            tracing::error!(%error, "the new certificate cannot be used for QUIC; the old one stays in use");
        }
    }
}

fn write_ports(data_dir: &Path, addresses: &Addresses) -> anyhow::Result<()> {
    let (path, unfinished) = (data_dir.join(PORTS_FILE), data_dir.join(".ports.json.new"));
    let text = serde_json::to_vec_pretty(addresses)?;
    // Whoever waits for the file must never see half of it.
    let written = std::fs::write(&unfinished, text).and_then(|()| std::fs::rename(&unfinished, &path));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// The signals that stop a node: SIGTERM, and SIGINT of Ctrl-C. From the moment that they are watched, none of them ends the process by
/// itself.
#[derive(Debug)]
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Watches them. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn watch() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Does what comes before a node runs; nothing when a signal comes first. Then the work is dropped where it stands, which leaves no
    /// more behind than a process that is killed.
    pub async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            signal = self.next() => {
                tracing::info!(signal, "stopped before it was up");
                None
            }
            done = work => Some(done),
        }
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
