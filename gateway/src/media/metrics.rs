//! What is counted about links and voice packets.
//!
//! On the packet path a shard adds to plain numbers of its own ([`PacketCounters`]); once a second they are added to the process's.

use std::cell::Cell;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tandem_switch::event::Transport;
use tandem_switch::media::forward::Discard;

use super::egress::Departure;

/// What a link runs on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TransportLabel {
    /// `webtransport` or `websocket`.
    pub transport: &'static str,
}

impl TransportLabel {
    /// The label of `transport`.
    pub fn of(transport: Transport) -> Self {
        let transport = match transport {
            Transport::Webtransport => "webtransport",
            Transport::Websocket => "websocket",
            Transport::Sip => "sip",
        };
        Self { transport }
    }
}

/// Why something ended, failed or was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// One of a closed set of words.
    pub reason: &'static str,
}

/// Counters of all shards.
#[derive(Clone, Debug, Default)]
pub struct MediaMetrics {
    /// Links that said `hello` and are open.
    pub links: Family<TransportLabel, Gauge>,
    /// Links that were opened.
    pub opened: Family<TransportLabel, Counter>,
    /// Links that ended.
    pub closed: Family<ReasonLabel, Counter>,
    /// Connections that never became links.
    pub handshakes_failed: Family<ReasonLabel, Counter>,
    /// Lines that were no messages.
    pub undecodable: Family<ReasonLabel, Counter>,
    /// Voice packets handed on.
    pub forwarded: Counter,
    /// Bytes of voice packets handed on, flow identifiers included.
    pub forwarded_bytes: Counter,
    /// Voice packets that entered a room; each leaves it as many times as it has listeners.
    pub entered_rooms: Counter,
    /// Voice packets dropped.
    pub discarded: Family<ReasonLabel, Counter>,
    /// Commands that a hanging shard could not take.
    pub commands_refused: Counter,
}

impl MediaMetrics {
    /// Makes the counters and registers them, under names without the area's prefix (`tandem_media_`).
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("links", "Links open now, by transport", metrics.links.clone());
        registry.register("links_opened", "Links opened, by transport", metrics.opened.clone());
        registry.register("links_closed", "Links that ended, by reason", metrics.closed.clone());
        registry.register(
            "handshakes_failed",
            "Connections that never became links, by reason",
            metrics.handshakes_failed.clone(),
        );
        registry.register("lines_undecodable", "Lines that were no messages, by code", metrics.undecodable.clone());
        registry.register("datagrams_forwarded", "Voice packets handed on", metrics.forwarded.clone());
        registry.register("datagrams_forwarded_bytes", "Bytes handed on", metrics.forwarded_bytes.clone());
        registry.register(
            "datagrams_entered_rooms",
            "Voice packets that entered a room",
            metrics.entered_rooms.clone(),
        );
        registry.register("datagrams_discarded", "Voice packets dropped, by reason", metrics.discarded.clone());
        registry.register(
            "commands_refused",
            "Commands that a hanging shard could not take",
            metrics.commands_refused.clone(),
        );
        metrics
    }

    pub(crate) fn count_failed_handshake(&self, reason: &'static str) {
        self.handshakes_failed.get_or_create(&ReasonLabel { reason }).inc();
    }
}

/// A shard's own numbers since they were last flushed.
#[derive(Debug, Default)]
pub(crate) struct PacketCounters {
    forwarded: Cell<u64>,
    forwarded_bytes: Cell<u64>,
    malformed: Cell<u64>,
    no_such_flow: Cell<u64>,
    gate_closed: Cell<u64>,
    over_budget: Cell<u64>,
    egress_full: Cell<u64>,
    egress_gone: Cell<u64>,
    entered_rooms: Cell<u64>,
    not_selected: Cell<u64>,
    room_gone: Cell<u64>,
    room_queue_full: Cell<u64>,
}

fn add(counter: &Cell<u64>, count: u64) {
    counter.set(counter.get() + count);
}

impl PacketCounters {
    /// Counts a datagram of `length` bytes that was handed to a listener's egress.
    pub(crate) fn departed(&self, departure: Departure, length: usize) {
        match departure {
            Departure::Refused => return add(&self.egress_full, 1),
            Departure::Gone => return add(&self.egress_gone, 1),
            Departure::Entered => return add(&self.entered_rooms, 1),
            Departure::Displaced => add(&self.egress_full, 1),
            Departure::Sent => {}
        }
        add(&self.forwarded, 1);
        add(&self.forwarded_bytes, length as u64);
    }

    /// Counts a datagram that was not handed on.
    pub(crate) fn discarded(&self, discard: Discard) {
        let counter = match discard {
            Discard::Malformed => &self.malformed,
            Discard::NoSuchFlow => &self.no_such_flow,
            Discard::GateClosed => &self.gate_closed,
        };
        add(counter, 1);
    }

    /// Counts a datagram that its tenant's allowance does not cover.
    pub(crate) fn over_budget(&self) {
        add(&self.over_budget, 1);
    }

    /// Counts a room's packet whose talker is not among the loudest.
    pub(crate) fn not_selected(&self) {
        add(&self.not_selected, 1);
    }

    /// Counts a packet of a room that is over.
    pub(crate) fn room_gone(&self) {
        add(&self.room_gone, 1);
    }

    /// Counts a room's packet that another shard had no place for.
    pub(crate) fn room_queue_full(&self) {
        add(&self.room_queue_full, 1);
    }

    /// Moves the numbers to the process's metrics.
    pub(crate) fn flush(&self, metrics: &MediaMetrics) {
        metrics.forwarded.inc_by(self.forwarded.take());
        metrics.forwarded_bytes.inc_by(self.forwarded_bytes.take());
        metrics.entered_rooms.inc_by(self.entered_rooms.take());
        let discarded = [
            ("malformed", &self.malformed),
            ("no-such-flow", &self.no_such_flow),
            ("gate-closed", &self.gate_closed),
            ("over-budget", &self.over_budget),
            ("egress-full", &self.egress_full),
            ("egress-gone", &self.egress_gone),
            ("not-selected", &self.not_selected),
            ("room-gone", &self.room_gone),
            ("room-queue-full", &self.room_queue_full),
        ];
        for (reason, counter) in discarded {
            metrics.discarded.get_or_create(&ReasonLabel { reason }).inc_by(counter.take());
        }
    }
}
