//! The driver's handle on all shards.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use axum::extract::ws::WebSocket;
use quinn::{Endpoint, ServerConfig, TokioRuntime};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tandem_switch::exchange::Gate;
use tandem_switch::id::{FlowId, LinkId, RoomId};
use tandem_switch::media::stats::Reception;
use tandem_switch::signal::{GoodbyeReason, ServerMessage};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::allowance::Allowance;
use super::egress::{Egress, Sink};
use super::link::{Directory, LinkEvent, shard_of_link};
use super::metrics::MediaMetrics;
use super::rooms::{Audiences, Inlets, Place, RoomCommand};
use super::shard::{Command, Shard, ShardLoop};
use super::{limits, steering, transport};

/// How to listen.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// The UDP address. Port 0: any free one.
    pub listen: SocketAddr,
    /// How many shards; 0 means one for each core. Where the system cannot steer packets between shards there is one.
    pub shards: usize,
    /// Most links of one shard. Further: refused.
    pub links_per_shard_max: usize,
}

impl MediaConfig {
    /// One shard for each core, on `listen`.
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, shards: 0, links_per_shard_max: limits::LINKS_PER_SHARD_MAX }
    }
}

/// Why the shards cannot start, or a certificate not be used.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// More shards than there may be.
    #[error("at most {max} shards; got {0}", max = limits::SHARDS_MAX)]
    TooManyShards(usize),
    /// The address cannot be listened on.
    #[error("cannot listen on UDP {address}: {source}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate does not fit QUIC.
    #[error("the certificate cannot be used for QUIC: {0}")]
    Certificate(String),
    /// A shard's thread did not start, or does not take commands.
    #[error("shard {shard} does not run: {source}")]
    Shard {
        /// Which.
        shard: usize,
        /// Why.
        source: io::Error,
    },
}

/// Where a voice is heard.
#[derive(Clone, Debug)]
pub enum Listener {
    /// Over another link.
    Link(LinkId),
    /// By all in a room but the talker.
    Room(RoomId),
    /// By the codec threads.
    Sink(Sink),
}

/// A flow's way from its talker to its listeners.
#[derive(Clone, Debug)]
pub struct Route {
    /// The talker's link.
    pub from: LinkId,
    /// The flow, the same at both ends.
    pub flow: FlowId,
    /// Everybody and everything that hears it.
    pub to: Vec<Listener>,
    /// Whether packets pass.
    pub gate: Gate,
}

/// All shards. Clones are handles on the same ones; no operation but [`Media::stop`] waits.
#[derive(Clone, Debug)]
pub struct Media {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    local_addr: SocketAddr,
    server_config: ServerConfig,
    /// Each shard's queue.
    shards: Vec<mpsc::Sender<Command>>,
    directory: Directory,
    /// The shards' queues of packets of rooms.
    inlets: Inlets,
    audiences: Mutex<Audiences>,
    metrics: MediaMetrics,
    adopted: AtomicUsize,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

impl Media {
    /// Binds the port and starts the shards' threads. What links say goes to `events`.
    ///
    /// # Errors
    /// When the address, the certificate or the system does not allow it; nothing runs then.
    pub fn start(
        config: MediaConfig,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        events: mpsc::Sender<LinkEvent>,
        metrics: MediaMetrics,
    ) -> Result<Self, MediaError> {
        let wanted = match config.shards {
            0 => thread::available_parallelism().map_or(1, usize::from).min(limits::SHARDS_MAX),
            shards => shards,
        };
        if wanted > limits::SHARDS_MAX {
            return Err(MediaError::TooManyShards(wanted));
        }
        let count = steering::shards_possible(wanted);
        let server_config = transport::server_config(quic_crypto(chain, key)?);
        let listen_error = |source| MediaError::Listen { address: config.listen, source };
        let sockets = steering::bind_group(config.listen, count).map_err(listen_error)?;
        let local_addr = sockets[0].local_addr().map_err(listen_error)?;
        let directory = Directory::default();
        let inlets = Inlets::new(count);
        let started = std::time::Instant::now();
        let (mut shards, mut threads) = (Vec::new(), Vec::new());
        for (index, socket) in sockets.into_iter().enumerate() {
            let links_max = config.links_per_shard_max;
            let shard = ShardSeed {
                index,
                endpoint_config: transport::endpoint_config(index, count),
                server_config: server_config.clone(),
                socket,
                make: {
                    let (events, directory, metrics) = (events.clone(), directory.clone(), metrics.clone());
                    let inlets = inlets.clone();
                    Box::new(move || Shard::new(index, started, links_max, events, directory, metrics, inlets))
                },
            };
            let (commands, thread) = shard.start()?;
            shards.push(commands);
            threads.push(thread);
        }
        let (adopted, threads) = (AtomicUsize::new(0), Mutex::new(threads));
        let audiences = Mutex::default();
        let inner =
            Inner { local_addr, server_config, shards, directory, inlets, audiences, metrics, adopted, threads };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The UDP address that is listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.inner.shards.len()
    }

    /// Uses another certificate for connections from now on; those that stand live on.
    ///
    /// # Errors
    /// When it does not fit (the old one stays), or a shard does not take commands.
    pub fn set_certificate(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), MediaError> {
        let mut config = self.inner.server_config.clone();
        config.crypto = quic_crypto(chain, key)?;
        for (shard, commands) in self.inner.shards.iter().enumerate() {
            let failed = |error| MediaError::Shard { shard, source: io::Error::other(error) };
            commands
                .try_send(Command::Serve { config: Box::new(config.clone()) })
                .map_err(|error| failed(error.to_string()))?;
        }
        Ok(())
    }

    /// Queues a message for a link. One that does not read what it is sent is closed; one that is lost is no concern.
    pub fn send(&self, link: LinkId, message: ServerMessage) {
        if let Some(handle) = self.inner.directory.get(link) {
            handle.send(message);
        }
    }

    /// Sends what is queued and `goodbye`, then closes; within seconds, whether the peer reads or not. `Lost` follows.
    pub fn close(&self, link: LinkId, reason: GoodbyeReason) {
        if let Some(handle) = self.inner.directory.get(link) {
            handle.close(reason);
        }
    }

    /// Holds a link's voice to what its tenant's links may send together; before this there is no bound, and no route either.
    pub fn allow(&self, link: LinkId, allowance: Arc<Allowance>) {
        self.command(link, Command::Allow { link, allowance });
    }

    /// Forwards a flow; replaces an earlier route of the same `from` and `flow` and keeps its counters. To a link that is lost, for which
    /// `Lost` is under way, nothing passes.
    pub fn route(&self, route: Route) {
        let Route { from, flow, to, gate } = route;
        let egress = |listener| match listener {
            Listener::Link(link) => self.egress(link),
            Listener::Room(room) => Some(Egress::Room(self.inner.inlets.entrance(room))),
            Listener::Sink(sink) => Some(Egress::Sink(sink)),
        };
        let mut all: Vec<Egress> = to.into_iter().filter_map(egress).collect();
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => self.command(from, Command::Route { from, flow, egress: only, gate }),
            (Some(last), false) => {
                all.push(last);
                let egress = Egress::Several(all.into());
                self.command(from, Command::Route { from, flow, egress, gate });
            }
            (None, _) => {
                // A route whose gate is shut still counts what comes.
                let egress = Egress::Several(Arc::new([]));
                self.command(from, Command::Route { from, flow, egress, gate: Gate::Closed });
            }
        }
    }

    /// A link's way out, to send it voice from elsewhere than another link; `None` when it is lost.
    pub(crate) fn egress(&self, link: LinkId) -> Option<Egress> {
        self.inner.directory.get(link).map(|handle| handle.egress)
    }

    /// Stops forwarding a flow and gives what was received on it, also when its talker's link is lost by now. The answer is dropped
    /// when there is no such route.
    pub fn unroute(&self, from: LinkId, flow: FlowId) -> oneshot::Receiver<Reception> {
        let (answer, reception) = oneshot::channel();
        self.command(from, Command::Unroute { from, flow, answer });
        reception
    }

    /// A room begins, in which so many talkers are heard at once.
    pub fn open_room(&self, room: RoomId, speakers: usize) {
        self.room_command(self.inner.inlets.owner(room), room, RoomCommand::Open { speakers });
    }

    /// Lets a flow be heard in a room, or not any more. It reaches the room by a route.
    pub fn talks(&self, room: RoomId, flow: FlowId, talks: bool) {
        self.room_command(self.inner.inlets.owner(room), room, RoomCommand::Talks { flow, talks });
    }

    /// Lets the member whose own voice is `flow` hear a room's other voices there; without a listener, or when its link is lost, no more.
    pub fn hears(&self, room: RoomId, flow: FlowId, over: Option<Listener>) {
        let owner = self.inner.inlets.owner(room);
        let over = over.and_then(|listener| match listener {
            Listener::Link(link) => Some((Place { shard: shard_of_link(link), link: Some(link) }, self.egress(link)?)),
            Listener::Sink(sink) => Some((Place { shard: owner, link: None }, Egress::Sink(sink))),
            // A room does not listen to another one.
            Listener::Room(_) => None,
        });
        let moves = self.audiences(|audiences| audiences.hears(room, flow, over.as_ref().map(|(place, _)| *place)));
        if let Some(place) = moves.from {
            self.listener_command(place, room, flow, None);
        }
        if let Some((place, egress)) = over {
            self.listener_command(place, room, flow, Some(egress));
        }
        if let Some(shards) = moves.shards {
            self.room_command(owner, room, RoomCommand::Shards(shards));
        }
    }

    /// A room is over: nothing passes it any more.
    pub fn close_room(&self, room: RoomId) {
        self.room_command(self.inner.inlets.owner(room), room, RoomCommand::Close);
        for (flow, place) in self.audiences(|audiences| audiences.close(room)) {
            self.listener_command(place, room, flow, None);
        }
    }

    /// As with [`Media::route`]: when the command is not carried out, there must be no link that goes on hearing.
    fn listener_command(&self, place: Place, room: RoomId, flow: FlowId, over: Option<Egress>) {
        let done = self.room_command(place.shard, room, RoomCommand::Hears { flow, over });
        if let Some(link) = place.link.filter(|_| !done) {
            self.close(link, GoodbyeReason::TooSlow);
        }
    }

    fn audiences<T>(&self, work: impl FnOnce(&mut Audiences) -> T) -> T {
        work(&mut self.inner.audiences.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says whether the shard will carry it out.
    fn room_command(&self, shard: usize, room: RoomId, command: RoomCommand) -> bool {
        let Some(commands) = self.inner.shards.get(shard) else { return true };
        let refused = commands.try_send(Command::Room { room, command });
        let is_full = matches!(refused, Err(mpsc::error::TrySendError::Full(_)));
        if is_full {
            self.inner.metrics.commands_refused.inc();
            tracing::error!(shard, room = room.0, "a shard hangs: its queue of commands is full");
        }
        !is_full
    }

    /// What was received so far on every route.
    pub fn measure(&self) -> impl Future<Output = Vec<(LinkId, FlowId, Reception)>> + Send + use<> {
        let ask = |commands: &mpsc::Sender<Command>| {
            let (answer, receptions) = oneshot::channel();
            commands.try_send(Command::Measure { answer }).ok().map(|()| receptions)
        };
        let asked: Vec<_> = self.inner.shards.iter().filter_map(ask).collect();
        async move {
            let mut all = Vec::new();
            for receptions in asked {
                all.extend(receptions.await.unwrap_or_default());
            }
            all
        }
    }

    /// Makes a link of an upgraded WebSocket, on the shards in turn. The upgrade must have been bounded with
    /// [`super::bounded_upgrade`].
    pub fn adopt_websocket(&self, socket: WebSocket, peer: SocketAddr) {
        let turn = self.inner.adopted.fetch_add(1, Ordering::Relaxed) % self.inner.shards.len();
        tracing::debug!(%peer, shard = turn, "WebSocket adopted");
        if self.inner.shards[turn].try_send(Command::Adopt { socket: Box::new(socket) }).is_err() {
            self.inner.metrics.count_failed_handshake("overloaded");
        }
    }

    /// Says goodbye to every link and waits until all threads have ended: a few seconds at most.
    pub async fn stop(&self) {
        for commands in &self.inner.shards {
            // A shard that has ended already needs no telling.
            let _ = commands.send(Command::Stop).await;
        }
        let threads = std::mem::take(&mut *self.inner.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().map(thread::JoinHandle::join).all(|end| end.is_ok())
        });
        if !joined.await.unwrap_or(false) {
            tracing::error!("a shard's thread panicked");
        }
    }

    fn command(&self, link: LinkId, command: Command) {
        let Some(commands) = self.inner.shards.get(shard_of_link(link)) else { return };
        if let Err(mpsc::error::TrySendError::Full(_)) = commands.try_send(command) {
            // A command that is not carried out could leave voice flowing where it must not. No link, no voice.
            self.inner.metrics.commands_refused.inc();
            tracing::error!(link = link.0, "a shard hangs: its queue of commands is full; closing the link");
            self.close(link, GoodbyeReason::TooSlow);
        }
    }
}

fn quic_crypto(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<quinn::crypto::rustls::QuicServerConfig>, MediaError> {
    transport::crypto(chain, key).map_err(|error| MediaError::Certificate(error.to_string()))
}

/// What a shard's thread is started with.
struct ShardSeed {
    index: usize,
    endpoint_config: quinn::EndpointConfig,
    server_config: ServerConfig,
    socket: std::net::UdpSocket,
    /// Runs on the thread: a shard never leaves it.
    make: Box<dyn FnOnce() -> Shard + Send>,
}

impl ShardSeed {
    fn start(self) -> Result<(mpsc::Sender<Command>, thread::JoinHandle<()>), MediaError> {
        let index = self.index;
        let failed = |source| MediaError::Shard { shard: index, source };
        let (commands, queue) = mpsc::channel(limits::COMMANDS_MAX);
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name(format!("shard-{index}"))
            .spawn(move || self.run(&ready, queue))
            .map_err(failed)?;
        started.recv().map_err(io::Error::other).flatten().map_err(failed)?;
        Ok((commands, thread))
    }

    fn run(self, ready: &std::sync::mpsc::SyncSender<io::Result<()>>, commands: mpsc::Receiver<Command>) {
        let started = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
            let endpoint = {
                let _context = runtime.enter();
                let config = Some(self.server_config);
                Endpoint::new(self.endpoint_config, config, self.socket, Arc::new(TokioRuntime))?
            };
            Ok((runtime, endpoint))
        });
        let (runtime, endpoint) = match started {
            Ok(started) => started,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        let _ = ready.send(Ok(()));
        let shard = ShardLoop::new((self.make)(), endpoint);
        LocalSet::new().block_on(&runtime, shard.run(commands));
    }
}
