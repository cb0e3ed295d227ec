//! What every link has, whatever transport it runs on: a number, an outbox, its flows, and an end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tandem_switch::event::Transport;
use tandem_switch::id::{FlowId, LinkId, RoomId};
use tandem_switch::media::forward::{Discard, LinkFlows};
use tandem_switch::signal::{ClientMessage, DecodeError, ErrorCode, GoodbyeReason, ServerMessage};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use super::allowance::{Lease, Verdict};
use super::egress::Egress;
use super::limits;
use super::metrics::{ReasonLabel, TransportLabel};
use super::shard::Shard;

/// What links and rooms tell the driver. Of one link in this order: `Opened`, messages, `Lost`.
#[derive(Clone, Debug)]
pub enum LinkEvent {
    /// A link said `hello`; the message itself follows.
    Opened {
        /// Its number, never used again.
        link: LinkId,
        /// What it runs on.
        transport: Transport,
    },
    /// A message came in. The first one is `hello`.
    Message {
        /// Over which link.
        link: LinkId,
        /// What it runs on.
        transport: Transport,
        /// What it says.
        message: ClientMessage,
    },
    /// A line came in that is no message. The link goes on.
    Undecodable {
        /// Over which link.
        link: LinkId,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// Who speaks in a room has changed; of all links, not of one. At most five times a second for each room.
    Speaking {
        /// Which room.
        room: RoomId,
        /// The voices of those who speak, the loudest first.
        flows: Vec<FlowId>,
    },
    /// The link is gone. Its flows' counters can be asked for until they are unrouted.
    Lost {
        /// Which.
        link: LinkId,
    },
}

/// Why a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkEnd {
    /// The gateway said goodbye.
    Goodbye(GoodbyeReason),
    /// The peer closed it.
    Closed,
    /// The peer fell silent.
    TimedOut,
    /// The transport failed.
    Failed,
}

impl LinkEnd {
    fn as_str(self) -> &'static str {
        match self {
            Self::Goodbye(reason) => goodbye_word(reason),
            Self::Closed => "closed",
            Self::TimedOut => "timed-out",
            Self::Failed => "failed",
        }
    }
}

/// The word of a goodbye, as in signalling.
pub(crate) fn goodbye_word(reason: GoodbyeReason) -> &'static str {
    match reason {
        GoodbyeReason::Bye => "bye",
        GoodbyeReason::TokenExpired => "token-expired",
        GoodbyeReason::Replaced => "replaced",
        GoodbyeReason::NotWelcome => "not-welcome",
        GoodbyeReason::ProtocolViolation => "protocol-violation",
        GoodbyeReason::TooSlow => "too-slow",
        GoodbyeReason::Shutdown => "shutdown",
    }
}

/// The number of a goodbye: WebTransport's close code, and 4000 less than WebSocket's (RFC 6455 section 7.4.2).
pub(crate) fn goodbye_code(reason: GoodbyeReason) -> u16 {
    match reason {
        GoodbyeReason::Bye => 0,
        GoodbyeReason::TokenExpired => 1,
        GoodbyeReason::Replaced => 2,
        GoodbyeReason::NotWelcome => 3,
        GoodbyeReason::ProtocolViolation => 4,
        GoodbyeReason::TooSlow => 5,
        GoodbyeReason::Shutdown => 6,
    }
}

/// The word of an error code, as in signalling.
fn error_word(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::TooLong(_) => "too-long",
        DecodeError::NotAMessage(_) => "bad-message",
    }
}

/// The driver's end of a link.
#[derive(Clone, Debug)]
pub(crate) struct LinkHandle {
    queue: mpsc::Sender<ServerMessage>,
    closing: watch::Sender<Option<GoodbyeReason>>,
    /// Where voice for this link goes.
    pub(crate) egress: Egress,
}

impl LinkHandle {
    /// Queues a message; a link that does not read is closed.
    pub(crate) fn send(&self, message: ServerMessage) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(message) {
            self.close(GoodbyeReason::TooSlow);
        }
    }

    /// Ends the link after what is queued. The first reason stands, but for one: a link that proves too slow to be told.
    pub(crate) fn close(&self, reason: GoodbyeReason) {
        self.closing.send_if_modified(|closing| {
            let changes = closing.is_none() || reason == GoodbyeReason::TooSlow;
            if changes {
                *closing = Some(reason);
            }
            changes
        });
    }
}

/// The shard's end of a [`LinkHandle`].
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: mpsc::Receiver<ServerMessage>,
    closing: watch::Receiver<Option<GoodbyeReason>>,
}

impl Outbox {
    /// The next message, or the goodbye after the last one.
    ///
    /// Cancellation safe: a message is taken only by the call that returns it.
    pub(crate) async fn next(&mut self) -> Result<ServerMessage, GoodbyeReason> {
        tokio::select! {
            biased;
            Some(message) = self.queue.recv() => Ok(message),
            reason = asked_to_close(&mut self.closing) => match self.queue.try_recv() {
                Ok(message) => Ok(message),
                Err(_) => Err(reason),
            },
        }
    }

    /// When the link has to end whether or not it has read everything.
    pub(crate) fn overdue(&self) -> impl Future<Output = GoodbyeReason> + use<> {
        let mut closing = self.closing.clone();
        async move {
            let reason = asked_to_close(&mut closing).await;
            if reason != GoodbyeReason::TooSlow {
                let too_slow = closing.wait_for(|reason| *reason == Some(GoodbyeReason::TooSlow));
                // Whichever comes first: no message can be pushed past the deadline.
                let _ = tokio::time::timeout(limits::FLUSH_TIMEOUT, too_slow).await;
            }
            reason
        }
    }
}

async fn asked_to_close(closing: &mut watch::Receiver<Option<GoodbyeReason>>) -> GoodbyeReason {
    match closing.wait_for(Option::is_some).await {
        Ok(reason) => reason.unwrap_or(GoodbyeReason::Shutdown),
        // The handles are gone: so is the driver.
        Err(_) => GoodbyeReason::Shutdown,
    }
}

/// All open links of the process, for the driver. Control plane only: no packet passes here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory(Arc<Mutex<HashMap<LinkId, LinkHandle>>>);

impl Directory {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<LinkId, LinkHandle>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn get(&self, link: LinkId) -> Option<LinkHandle> {
        self.with(|links| links.get(&link).cloned())
    }

    /// Ends all links of one shard.
    pub(crate) fn close_shard(&self, shard: usize, reason: GoodbyeReason) {
        self.with(|links| {
            links
                .iter()
                .filter(|(link, _)| shard_of_link(**link) == shard)
                .for_each(|(_, handle)| handle.close(reason));
        });
    }
}

/// The shard that a link lives on.
pub(crate) fn shard_of_link(link: LinkId) -> usize {
    (link.0 & 0xff) as usize
}

/// The number of a shard's `count`th link.
pub(crate) fn link_number(shard: usize, count: u64) -> LinkId {
    LinkId(count << 8 | shard as u64)
}

/// An open link, on its shard. Dropping it tells the driver nothing: use [`Link::end`].
pub(crate) struct Link {
    pub(crate) id: LinkId,
    transport: Transport,
    shard: Rc<Shard>,
    traffic: Rc<RefCell<Traffic>>,
}

impl Link {
    /// Opens a link after its `hello` and tells the driver.
    pub(crate) async fn open(
        shard: &Rc<Shard>,
        transport: Transport,
        egress: Egress,
        hello: ClientMessage,
    ) -> (Self, Outbox) {
        let id = shard.next_link();
        tracing::Span::current().record("link", id.0);
        let (queue, messages) = mpsc::channel(limits::OUTBOX_MAX);
        let (closing, asked) = watch::channel(None);
        let traffic = shard.attach(id);
        shard.directory.with(|links| links.insert(id, LinkHandle { queue, closing, egress }));
        shard.metrics.opened.get_or_create(&TransportLabel::of(transport)).inc();
        shard.metrics.links.get_or_create(&TransportLabel::of(transport)).inc();
        let link = Self { id, transport, shard: Rc::clone(shard), traffic };
        link.tell(LinkEvent::Opened { link: id, transport }).await;
        link.heard(Ok(hello)).await;
        (link, Outbox { queue: messages, closing: asked })
    }

    /// Tells the driver what came in. Waits while the driver is behind: that link's client must wait, too.
    pub(crate) async fn heard(&self, message: Result<ClientMessage, DecodeError>) {
        let (link, transport) = (self.id, self.transport);
        self.tell(match message {
            Ok(message) => LinkEvent::Message { link, transport, message },
            Err(error) => {
                self.shard.metrics.undecodable.get_or_create(&ReasonLabel { reason: error_word(&error) }).inc();
                LinkEvent::Undecodable { link, error }
            }
        })
        .await;
    }

    /// Sends a datagram of this link where its flow is routed, or counts why not.
    pub(crate) fn forward(&self, datagram: Bytes) {
        self.voice().forward(datagram);
    }

    /// The packet path alone, for a task of its own.
    pub(crate) fn voice(&self) -> Voice {
        Voice { shard: Rc::clone(&self.shard), traffic: Rc::clone(&self.traffic) }
    }

    /// Ends the link and tells the driver.
    pub(crate) async fn end(self, end: LinkEnd) {
        self.shard.directory.with(|links| links.remove(&self.id));
        self.shard.detach(self.id);
        self.shard.metrics.links.get_or_create(&TransportLabel::of(self.transport)).dec();
        self.shard.metrics.closed.get_or_create(&ReasonLabel { reason: end.as_str() }).inc();
        tracing::debug!(reason = end.as_str(), "link ended");
        self.tell(LinkEvent::Lost { link: self.id }).await;
    }

    async fn tell(&self, event: LinkEvent) {
        // Without a driver there is nobody to tell: the process is stopping.
        let _ = self.shard.events.send(event).await;
    }
}

/// What a link's packets meet.
#[derive(Default)]
pub(crate) struct Traffic {
    /// Where they go.
    pub(crate) flows: LinkFlows<Egress>,
    /// How many of them may.
    pub(crate) lease: Lease,
}

/// A link's packet path.
pub(crate) struct Voice {
    shard: Rc<Shard>,
    traffic: Rc<RefCell<Traffic>>,
}

impl Voice {
    /// One datagram: allowance, table, egress, counters.
    pub(crate) fn forward(&self, datagram: Bytes) {
        if datagram.len() > limits::DATAGRAM_BYTES_MAX {
            return self.shard.counters.discarded(Discard::Malformed);
        }
        let (mut traffic, now) = (self.traffic.borrow_mut(), self.shard.now());
        match traffic.lease.take(now, datagram.len()) {
            Verdict::Passes => {}
            Verdict::OverBudget => return self.shard.counters.over_budget(),
        }
        match traffic.flows.forward(now, &datagram) {
            Ok(egress) => {
                let length = datagram.len();
                self.shard.counters.departed(egress.send(datagram), length);
            }
            Err(discard) => self.shard.counters.discarded(discard),
        }
    }
}

/// Checks a link's first message: `hello`, or the error to answer with before the goodbye.
pub(crate) fn check_first(message: Result<ClientMessage, DecodeError>) -> Result<ClientMessage, Box<ServerMessage>> {
    let (code, message) = match message {
        Ok(message @ ClientMessage::Hello(_)) => return Ok(message),
        Ok(_) => (ErrorCode::WrongState, "the first message of a link is `hello`".to_owned()),
        Err(error) => (error.code(), error.to_string()),
    };
    Err(Box::new(ServerMessage::Error { code, message, reference: None, call: None }))
}

/// `work`, unless it takes longer than `limit`.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}
