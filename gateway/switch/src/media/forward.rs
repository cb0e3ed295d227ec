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

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    const NOW: Instant = Instant::from_micros(0);

    fn voice(flow: u32, sequence: u16) -> BytesMut {
        let header =
            rtp::Header { marker: false, payload_type: 111, sequence, timestamp: u32::from(sequence) * 960, ssrc: 1 };
        let mut out = BytesMut::new();
        datagram::write_prefix(FlowId(flow), &mut out);
        header.write(None, &mut out);
        out.extend_from_slice(b"opus");
        out
    }

    #[test]
    fn a_datagram_goes_where_its_flow_is_routed() {
        let mut flows = LinkFlows::default();
        flows.route(FlowId(7), "bob", Gate::Open).unwrap();
        flows.route(FlowId(8), "carol", Gate::Open).unwrap();
        assert_eq!(flows.forward(NOW, &voice(7, 1)), Ok(&"bob"));
        assert_eq!(flows.forward(NOW, &voice(8, 1)), Ok(&"carol"));
        assert_eq!(flows.forward(NOW, &voice(9, 1)), Err(Discard::NoSuchFlow));
        assert_eq!(flows.counters(), Counters { forwarded: 2, no_such_flow: 1, ..Counters::default() });
    }

    #[test]
    fn what_is_malformed_is_dropped_and_counted() {
        let mut flows = LinkFlows::default();
        flows.route(FlowId(7), "bob", Gate::Open).unwrap();
        let whole = voice(7, 1);
        let malformed = [&whole[..0], &whole[..2], &whole[..13], &whole[1..], &[1, 7]];
        for bytes in malformed {
            assert_eq!(flows.forward(NOW, bytes), Err(Discard::Malformed), "{bytes:02x?}");
        }
        assert_eq!(flows.counters(), Counters { malformed: 5, ..Counters::default() });
        assert_eq!(flows.unroute(FlowId(7)), Some(Reception::default()));
    }

    #[test]
    fn a_closed_gate_lets_nothing_pass_and_goes_on_counting() {
        let mut flows = LinkFlows::default();
        flows.route(FlowId(7), "bob", Gate::Open).unwrap();
        flows.forward(NOW, &voice(7, 1)).unwrap();
        assert!(flows.gate(FlowId(7), Gate::Closed));
        assert_eq!(flows.forward(NOW, &voice(7, 2)), Err(Discard::GateClosed));
        assert!(flows.gate(FlowId(7), Gate::Open));
        flows.forward(NOW, &voice(7, 3)).unwrap();
        assert!(!flows.gate(FlowId(8), Gate::Open), "there is no such route");
        assert_eq!(flows.counters(), Counters { forwarded: 2, gate_closed: 1, ..Counters::default() });
        let reception = flows.unroute(FlowId(7)).unwrap();
        assert_eq!((reception.packets, reception.lost, reception.bytes), (3, 0, 48));
    }

    #[test]
    fn a_route_that_is_replaced_keeps_its_counters() {
        let mut flows = LinkFlows::default();
        flows.route(FlowId(7), "bob", Gate::Open).unwrap();
        flows.forward(NOW, &voice(7, 1)).unwrap();
        flows.route(FlowId(7), "bob's new link", Gate::Open).unwrap();
        assert_eq!(flows.forward(NOW, &voice(7, 2)), Ok(&"bob's new link"));
        let receptions: Vec<_> = flows.receptions().map(|(flow, reception)| (flow, reception.packets)).collect();
        assert_eq!(receptions, [(FlowId(7), 2)]);
    }

    #[test]
    fn a_link_has_room_for_so_many_flows() {
        let mut flows = LinkFlows::default();
        for flow in 0..limits::FLOWS_PER_LINK_MAX as u32 {
            flows.route(FlowId(flow), flow, Gate::Open).unwrap();
        }
        assert_eq!(flows.route(FlowId(99), 99, Gate::Open), Err(RouteError::Full));
        assert_eq!(flows.route(FlowId(3), 33, Gate::Open), Ok(()), "one that is there may change");
        assert!(flows.unroute(FlowId(3)).is_some());
        assert_eq!(flows.unroute(FlowId(3)), None);
        assert_eq!(flows.route(FlowId(99), 99, Gate::Open), Ok(()));
    }

    #[test]
    fn nobody_speaks_on_another_links_flow() {
        let (alice, mallory) = (LinkId(1), LinkId(2));
        let mut table = ForwardingTable::default();
        table.attach(alice);
        table.attach(mallory);
        table.route(alice, FlowId(7), LinkId(3), Gate::Open).unwrap();
        assert_eq!(table.link_mut(mallory).unwrap().forward(NOW, &voice(7, 1)), Err(Discard::NoSuchFlow));
        assert_eq!(table.link_mut(alice).unwrap().forward(NOW, &voice(7, 1)), Ok(&LinkId(3)));
        assert_eq!(table.receptions().map(|(link, flow, _)| (link, flow)).collect::<Vec<_>>(), [(alice, FlowId(7))]);
    }

    #[test]
    fn a_link_that_is_gone_takes_its_routes_along() {
        let alice = LinkId(1);
        let mut table = ForwardingTable::default();
        assert_eq!(table.route(alice, FlowId(7), (), Gate::Open), Err(RouteError::NoSuchLink(alice)));
        table.attach(alice);
        table.route(alice, FlowId(7), (), Gate::Open).unwrap();
        table.attach(alice);
        assert!(!table.is_empty(), "attaching again changes nothing");
        assert_eq!(table.detach(alice).unwrap().receptions().count(), 1);
        assert!(table.is_empty() && table.detach(alice).is_none());
        assert_eq!(table.unroute(alice, FlowId(7)), None);
    }
}
