//! One shard: a thread with its socket, endpoint, links and forwarding tables.
//!
//! Everything here runs on that one thread; what is shared inside is `Rc` and `RefCell`. In: packets, and the driver's
//! [`Command`]s. Out: [`super::LinkEvent`]s.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use quinn::{Endpoint, Incoming, ServerConfig, VarInt};
use tandem_switch::exchange::Gate;
use tandem_switch::id::{FlowId, LinkId, RoomId};
use tandem_switch::media::stats::Reception;
use tandem_switch::signal::GoodbyeReason;
use tandem_switch::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument as _;
use tracing::field::Empty;

use super::allowance::Allowance;
use super::egress::Egress;
use super::link::{Directory, LinkEvent, Traffic, link_number, within};
use super::metrics::{MediaMetrics, PacketCounters};
use super::rooms::{self, Inlets, RoomCommand, SharedRooms};
use super::{limits, websocket, webtransport};

/// What the driver asks of a shard. Carried out in the order of asking.
pub(crate) enum Command {
    /// Make or change a route.
    Route { from: LinkId, flow: FlowId, egress: Egress, gate: Gate },
    /// End a route and give its counters; the answer is dropped when there is none.
    Unroute { from: LinkId, flow: FlowId, answer: oneshot::Sender<Reception> },
    /// Give the counters of all routes.
    Measure { answer: oneshot::Sender<Vec<(LinkId, FlowId, Reception)>> },
    /// Let a link draw from its tenant's allowance.
    Allow { link: LinkId, allowance: Arc<Allowance> },
    /// Change a room.
    Room { room: RoomId, command: RoomCommand },
    /// Serve new connections with this certificate.
    Serve { config: Box<ServerConfig> },
    /// Make a link of a WebSocket.
    Adopt { socket: Box<WebSocket> },
    /// Say goodbye to all and end the thread.
    Stop,
}

/// A link's place in the forwarding table.
struct Place {
    traffic: Rc<RefCell<Traffic>>,
    /// When the link was lost; its counters are kept for a while.
    lost_at: Option<Instant>,
}

/// What a shard's tasks share.
pub(crate) struct Shard {
    pub(crate) index: usize,
    pub(crate) started: std::time::Instant,
    pub(crate) links_max: usize,
    pub(crate) events: mpsc::Sender<LinkEvent>,
    pub(crate) directory: Directory,
    pub(crate) metrics: MediaMetrics,
    pub(crate) counters: PacketCounters,
    pub(crate) inlets: Inlets,
    pub(crate) rooms: SharedRooms,
    places: RefCell<HashMap<LinkId, Place>>,
    links_counted: Cell<u64>,
    handshakes: Cell<usize>,
    stopping: watch::Sender<bool>,
}

impl Shard {
    pub(crate) fn new(
        index: usize,
        started: std::time::Instant,
        links_max: usize,
        events: mpsc::Sender<LinkEvent>,
        directory: Directory,
        metrics: MediaMetrics,
        inlets: Inlets,
    ) -> Self {
        Self {
            index,
            started,
            links_max,
            events,
            directory,
            metrics,
            counters: PacketCounters::default(),
            inlets,
            rooms: SharedRooms::default(),
            places: RefCell::default(),
            links_counted: Cell::new(0),
            handshakes: Cell::new(0),
            stopping: watch::Sender::new(false),
        }
    }

    /// Time since all shards' common start.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    pub(crate) fn next_link(&self) -> LinkId {
        self.links_counted.set(self.links_counted.get() + 1);
        link_number(self.index, self.links_counted.get())
    }

    /// Gives a new link its place.
    pub(crate) fn attach(&self, link: LinkId) -> Rc<RefCell<Traffic>> {
        let traffic = Rc::default();
        self.places.borrow_mut().insert(link, Place { traffic: Rc::clone(&traffic), lost_at: None });
        traffic
    }

    /// Marks a link as lost; its place stays while there are counters to ask for.
    pub(crate) fn detach(&self, link: LinkId) {
        let mut places = self.places.borrow_mut();
        let Some(place) = places.get_mut(&link) else { return };
        place.lost_at = Some(self.now());
        if place.traffic.borrow().flows.is_empty() {
            places.remove(&link);
        }
    }

    fn route(&self, from: LinkId, flow: FlowId, egress: Egress, gate: Gate) {
        let places = self.places.borrow();
        let Some(place) = places.get(&from).filter(|place| place.lost_at.is_none()) else { return };
        if let Err(error) = place.traffic.borrow_mut().flows.route(flow, egress, gate) {
            tracing::error!(link = from.0, flow = flow.0, %error, "a route could not be made");
        }
    }

    fn allow(&self, link: LinkId, allowance: Arc<Allowance>) {
        if let Some(place) = self.places.borrow().get(&link) {
            place.traffic.borrow_mut().lease.draw_from(allowance);
        }
    }

    fn unroute(&self, from: LinkId, flow: FlowId, answer: oneshot::Sender<Reception>) {
        let mut places = self.places.borrow_mut();
        let Some(place) = places.get(&from) else { return };
        let reception = place.traffic.borrow_mut().flows.unroute(flow);
        if place.lost_at.is_some() && place.traffic.borrow().flows.is_empty() {
            places.remove(&from);
        }
        if let Some(reception) = reception {
            // Whoever asked may have stopped waiting.
            let _ = answer.send(reception);
        }
    }

    fn measure(&self) -> Vec<(LinkId, FlowId, Reception)> {
        let places = self.places.borrow();
        let of_link = |(&link, place): (&LinkId, &Place)| {
            let traffic = place.traffic.borrow();
            traffic.flows.receptions().map(|(flow, reception)| (link, flow, reception)).collect::<Vec<_>>()
        };
        places.iter().flat_map(of_link).collect()
    }

    /// What is done once a second: counters out, forgotten places away.
    fn tidy(&self) {
        self.counters.flush(&self.metrics);
        let now = self.now();
        self.places
            .borrow_mut()
            .retain(|_, place| place.lost_at.is_none_or(|lost_at| now.since(lost_at) < limits::COUNTERS_GRACE));
    }

    /// `work` of a connection that is no link yet: counted, bounded in time, and given up when the shard stops.
    pub(crate) async fn before_welcome<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let _counted = Counted::one(&self.handshakes);
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            done = within(limit, work) => done,
            _ = stopping.wait_for(|stopping| *stopping) => None,
        }
    }
}

/// One more, for as long as it lives.
struct Counted<'a>(&'a Cell<usize>);

impl<'a> Counted<'a> {
    fn one(counter: &'a Cell<usize>) -> Self {
        counter.set(counter.get() + 1);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The shard's loop and the tasks that it holds: one for each link.
pub(crate) struct ShardLoop {
    shard: Rc<Shard>,
    endpoint: Endpoint,
    links: JoinSet<()>,
    /// The task that carries the packets of rooms.
    rooms: JoinSet<()>,
}

impl ShardLoop {
    pub(crate) fn new(shard: Shard, endpoint: Endpoint) -> Self {
        Self { shard: Rc::new(shard), endpoint, links: JoinSet::new(), rooms: JoinSet::new() }
    }

    /// Runs until it is told to stop, or until nobody can tell it anything any more.
    ///
    /// Cancellation safety: every branch of the `select!` is a queue's `recv`, an `accept`, a `JoinSet`'s `join_next` or a tick.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut tidying = tokio::time::interval(limits::METRICS_INTERVAL);
        self.rooms.spawn_local(rooms::carry(Rc::clone(&self.shard)));
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    None | Some(Command::Stop) => break,
                    Some(command) => self.obey(command),
                },
                Some(incoming) = self.endpoint.accept() => self.admit(incoming),
                Some(ended) = self.links.join_next(), if !self.links.is_empty() => report_panic(ended),
                _ = tidying.tick() => self.shard.tidy(),
            }
        }
        self.stop(commands).await;
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Route { from, flow, egress, gate } => self.shard.route(from, flow, egress, gate),
            Command::Unroute { from, flow, answer } => self.shard.unroute(from, flow, answer),
            Command::Measure { answer } => {
                let _ = answer.send(self.shard.measure());
            }
            Command::Allow { link, allowance } => self.shard.allow(link, allowance),
            Command::Room { room, command } => self.shard.rooms.borrow_mut().obey(room, command),
            Command::Serve { config } => self.endpoint.set_server_config(Some(*config)),
            Command::Adopt { socket } => self.adopt(*socket),
            Command::Stop => {}
        }
    }

    fn admit(&mut self, incoming: Incoming) {
        let handshakes = self.shard.handshakes.get();
        if self.links.len() >= self.shard.links_max || handshakes >= limits::HANDSHAKES_MAX {
            self.shard.metrics.count_failed_handshake("overloaded");
            return incoming.refuse();
        }
        if handshakes >= limits::HANDSHAKES_UNPROVEN_MAX && incoming.may_retry() {
            // The client comes again with a token, or was never there.
            self.shard.metrics.count_failed_handshake("unproven");
            let _ = incoming.retry();
            return;
        }
        let span = tracing::debug_span!("link", shard = self.shard.index, transport = "webtransport", link = Empty);
        self.links.spawn_local(webtransport::serve(Rc::clone(&self.shard), incoming).instrument(span));
    }

    fn adopt(&mut self, socket: WebSocket) {
        let handshakes = self.shard.handshakes.get();
        if self.links.len() >= self.shard.links_max || handshakes >= limits::WEBSOCKET_HANDSHAKES_MAX {
            self.shard.metrics.count_failed_handshake("overloaded");
            return;
        }
        let span = tracing::debug_span!("link", shard = self.shard.index, transport = "websocket", link = Empty);
        self.links.spawn_local(websocket::serve(Rc::clone(&self.shard), socket).instrument(span));
    }

    /// Says goodbye to every link and waits, within bounds, until all are gone. Counters are answered to the last.
    async fn stop(mut self, mut commands: mpsc::Receiver<Command>) {
        self.endpoint.set_server_config(None);
        self.shard.stopping.send_replace(true);
        self.shard.directory.close_shard(self.shard.index, GoodbyeReason::Shutdown);
        let farewell = async {
            loop {
                tokio::select! {
                    ended = self.links.join_next() => match ended {
                        Some(ended) => report_panic(ended),
                        None => break,
                    },
                    Some(command) = commands.recv() => {
                        if let Command::Unroute { from, flow, answer } = command {
                            self.shard.unroute(from, flow, answer);
                        }
                    },
                }
            }
        };
        let _ = within(limits::STOP_TIMEOUT, farewell).await;
        self.links.shutdown().await;
        self.rooms.shutdown().await;
        self.endpoint.close(VarInt::from_u32(0), b"shutdown");
        let _ = within(limits::GOODBYE_TIMEOUT, self.endpoint.wait_idle()).await;
        self.shard.counters.flush(&self.shard.metrics);
    }
}

fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a link's task panicked");
    }
}
