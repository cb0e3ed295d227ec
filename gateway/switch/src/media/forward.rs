//! The forwarding core: from a talker's datagram to the listener's way out, by a table.
//!
//! A plain function over a table: it does not know whether tasks, a loop over a QUIC engine or a simulation drives it, nor what an
//! egress is (a connection, a WebSocket's queue, in tests a link's number). It hands the bytes on as they came. The packet path
//! ([`LinkFlows::forward`]) takes no lock, hashes nothing and allocates nothing; only the control operations change the table.
//!
//! One [`LinkFlows`] for each talker's link: a datagram that belongs to no flow of its link is dropped and counted, so nobody can
//! speak in a call that they are not in.

use std::collections::BTreeMap;

use super::stats::{Reception, ReceptionMeter};
use super::{datagram, rtp};
use crate::exchange::Gate;
use crate::id::{FlowId, LinkId};
use crate::limits;
use crate::time::Instant;

/// Why a datagram was not handed on. Each is counted in [`Counters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Discard {
    /// It is no media datagram, or holds no RTP packet.
    #[error("the datagram is malformed")]
    Malformed,
    /// Its flow belongs to no call of this link.
    #[error("the datagram's flow is not routed")]
    NoSuchFlow,
    /// Its flow is muted, held, or the listener is away.
    #[error("the flow's gate is closed")]
    GateClosed,
}

/// A route that cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The talker's link is not there (any more).
    #[error("link {} is not attached", .0.0)]
    NoSuchLink(LinkId),
    /// The talker's link has as many flows as it may have.
    #[error("a link has at most {max} flows", max = limits::FLOWS_PER_LINK_MAX)]
    Full,
}

/// What became of a link's datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Handed on.
    pub forwarded: u64,
    /// See [`Discard::Malformed`].
    pub malformed: u64,
    /// See [`Discard::NoSuchFlow`].
    pub no_such_flow: u64,
    /// See [`Discard::GateClosed`].
    pub gate_closed: u64,
}

#[derive(Debug)]
struct Flow<E> {
    id: FlowId,
    egress: E,
    gate: Gate,
    meter: ReceptionMeter,
}

/// The flows that one link may talk on.
#[derive(Debug)]
pub struct LinkFlows<E> {
    /// At most [`limits::FLOWS_PER_LINK_MAX`]: few enough that looking through them beats any index.
    flows: Vec<Flow<E>>,
    counters: Counters,
}

impl<E> Default for LinkFlows<E> {
    fn default() -> Self {
        Self { flows: Vec::new(), counters: Counters::default() }
    }
}

impl<E> LinkFlows<E> {
    /// Says where a datagram that came over this link at `now` goes: send these very bytes there.
    ///
    /// # Errors
    /// Why it goes nowhere. Packets before a closed gate still count as received.
    pub fn forward(&mut self, now: Instant, datagram: &[u8]) -> Result<&E, Discard> {
        let Some((flow, packet)) = read(datagram) else {
            self.counters.malformed += 1;
            return Err(Discard::Malformed);
        };
        let Some(flow) = self.flows.iter_mut().find(|candidate| candidate.id == flow) else {
            self.counters.no_such_flow += 1;
            return Err(Discard::NoSuchFlow);
        };
        flow.meter.receive(now, &packet.header, packet.length);
        match flow.gate {
            Gate::Open => {
                self.counters.forwarded += 1;
                Ok(&flow.egress)
            }
            Gate::Closed => {
                self.counters.gate_closed += 1;
                Err(Discard::GateClosed)
            }
        }
    }

    /// Makes a route, or gives an existing one another egress and gate; its counters stay.
    ///
    /// # Errors
    /// When the link has as many flows as it may have.
    pub fn route(&mut self, flow: FlowId, egress: E, gate: Gate) -> Result<(), RouteError> {
        if let Some(existing) = self.find_mut(flow) {
            existing.egress = egress;
            existing.gate = gate;
            return Ok(());
        }
        if self.flows.len() >= limits::FLOWS_PER_LINK_MAX {
            return Err(RouteError::Full);
        }
        self.flows.push(Flow { id: flow, egress, gate, meter: ReceptionMeter::default() });
        Ok(())
    }

    /// Opens or closes a route's gate; says whether there is such a route.
    pub fn gate(&mut self, flow: FlowId, gate: Gate) -> bool {
        self.find_mut(flow).map(|existing| existing.gate = gate).is_some()
    }

    /// Ends a route and gives what was received on it.
    pub fn unroute(&mut self, flow: FlowId) -> Option<Reception> {
        let at = self.flows.iter().position(|candidate| candidate.id == flow)?;
        Some(self.flows.swap_remove(at).meter.reception())
    }

    /// What was received of each flow so far.
    pub fn receptions(&self) -> impl Iterator<Item = (FlowId, Reception)> + '_ {
        self.flows.iter().map(|flow| (flow.id, flow.meter.reception()))
    }

    /// What became of the datagrams so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether no flow is routed.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    fn find_mut(&mut self, flow: FlowId) -> Option<&mut Flow<E>> {
        self.flows.iter_mut().find(|candidate| candidate.id == flow)
    }
}

struct Heard {
    header: rtp::Header,
    length: usize,
}

fn read(bytes: &[u8]) -> Option<(FlowId, Heard)> {
    let datagram = datagram::parse(bytes).ok()?;
    let packet = &bytes[datagram.rtp_at..];
    let header = rtp::Packet::parse(packet).ok()?.header;
    Some((datagram.flow, Heard { header, length: packet.len() }))
}

/// All links of a shard. The packet path holds a [`LinkFlows`] and does not come through here; control operations, tests and the
/// simulation do.
#[derive(Debug)]
pub struct ForwardingTable<E> {
    links: BTreeMap<LinkId, LinkFlows<E>>,
}

impl<E> Default for ForwardingTable<E> {
    fn default() -> Self {
        Self { links: BTreeMap::new() }
    }
}

impl<E> ForwardingTable<E> {
    /// Adds a link; one that is there already stays as it is.
    pub fn attach(&mut self, link: LinkId) -> &mut LinkFlows<E> {
        self.links.entry(link).or_default()
    }

    /// Removes a link with its flows; their receptions are in what comes back.
    pub fn detach(&mut self, link: LinkId) -> Option<LinkFlows<E>> {
        self.links.remove(&link)
    }

    /// A link's flows.
    pub fn link(&self, link: LinkId) -> Option<&LinkFlows<E>> {
        self.links.get(&link)
    }

    /// A link's flows, to forward its datagrams.
    pub fn link_mut(&mut self, link: LinkId) -> Option<&mut LinkFlows<E>> {
        self.links.get_mut(&link)
    }

    /// Makes or changes a route; see [`LinkFlows::route`].
    ///
    /// # Errors
    /// When the link is not attached, or full.
    pub fn route(&mut self, from: LinkId, flow: FlowId, egress: E, gate: Gate) -> Result<(), RouteError> {
        self.link_mut(from).ok_or(RouteError::NoSuchLink(from))?.route(flow, egress, gate)
    }

    /// Ends a route; `None` when there is none.
    pub fn unroute(&mut self, from: LinkId, flow: FlowId) -> Option<Reception> {
        self.link_mut(from)?.unroute(flow)
    }

    /// What was received of each flow of each link so far.
    pub fn receptions(&self) -> impl Iterator<Item = (LinkId, FlowId, Reception)> + '_ {
        self.links
            .iter()
            .flat_map(|(&link, flows)| flows.receptions().map(move |(flow, reception)| (link, flow, reception)))
    }

    /// Whether no flow is routed on any link.
    pub fn is_empty(&self) -> bool {
        self.links.values().all(LinkFlows::is_empty)
    }
}
