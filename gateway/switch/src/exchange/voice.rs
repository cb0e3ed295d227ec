//! Voices on their way: flow identifiers and the routes of connected calls.
//!
//! A connected call has two voices, each with one flow. A voice has a route while its talker has a link; the route's gate is open
//! while the call lets that voice pass and the listener has a link too. Routes are brought in line with that whenever a hold, a
//! mute or a link changes, and only differences are put out.

use std::collections::BTreeMap;

use crate::call::Side;
use crate::id::{CallId, FlowId, LinkId, SessionId, UserId};
use crate::media::stats::Reception;
use crate::signal::{Happening, ServerMessage};

use super::session::Session;
use super::{Exchange, Gate, Output};

/// Flow identifiers from here need four bytes as a QUIC varint (RFC 9000 section 16), all the same length.
const FLOW_FIRST: u32 = 1 << 14;
/// And up to here, exclusive.
const FLOW_END: u32 = 1 << 30;

/// The flows in use.
#[derive(Debug)]
pub(super) struct Flows {
    next: u32,
    in_use: BTreeMap<FlowId, (CallId, Side)>,
}

impl Default for Flows {
    fn default() -> Self {
        Self { next: FLOW_FIRST, in_use: BTreeMap::new() }
    }
}

impl Flows {
    /// Allots an identifier that no live voice has. There are a thousand million of them, and a node's calls are bounded far
    /// below that, so one is always free.
    fn allot(&mut self, call: CallId, speaker: Side) -> FlowId {
        loop {
            let flow = FlowId(self.next);
            self.next = if self.next + 1 == FLOW_END { FLOW_FIRST } else { self.next + 1 };
            if let std::collections::btree_map::Entry::Vacant(free) = self.in_use.entry(flow) {
                free.insert((call, speaker));
                return flow;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_use.is_empty()
    }
}

/// One party's voice.
#[derive(Debug)]
pub(super) struct Voice {
    speaker: UserId,
    session: SessionId,
    flow: FlowId,
    route: Option<Route>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Route {
    from: LinkId,
    to: LinkId,
    gate: Gate,
}

impl Exchange {
    /// Two parties are connected: both are told, and their voices routed.
    pub(super) fn connect(&mut self, id: CallId, callee: SessionId) {
        let Some(entry) = self.calls.get_mut(&id) else { return };
        let caller = entry.call.invitation().caller.session;
        let caller_user = entry.call.invitation().caller.user.clone();
        let Some(callee_user) = entry.call.user_of(Side::Callee).cloned() else { return };
        let [from_caller, from_callee] = Side::BOTH.map(|side| self.flows.allot(id, side));
        let connected = |peer: &UserId, send, receive| Happening::Connected { peer: peer.to_string(), send, receive };
        let to_caller = connected(&callee_user, from_caller, from_callee);
        let to_callee = connected(&caller_user, from_callee, from_caller);
        let voice = |speaker, session, flow| Voice { speaker, session, flow, route: None };
        entry.voices.insert(Side::Caller, voice(caller_user, caller, from_caller));
        entry.voices.insert(Side::Callee, voice(callee_user, callee, from_callee));
        self.tell(id, caller, to_caller);
        self.tell(id, callee, to_callee);
        self.reroute(id);
        for party in [caller, callee] {
            self.touch(party);
            if self.sessions.get(&party).is_some_and(|session| session.link().is_none()) {
                self.tell_peer(id, party, Happening::PeerLost);
            }
        }
    }

    /// Brings a call's routes in line with who may be heard and over which links.
    pub(super) fn reroute(&mut self, id: CallId) {
        for speaker in Side::BOTH {
            let wanted = self.wanted_route(id, speaker);
            self.set_route(id, speaker, wanted);
        }
    }

    fn wanted_route(&self, id: CallId, speaker: Side) -> Option<Route> {
        let call = &self.calls.get(&id)?.call;
        let talker = self.sessions.get(&call.party_of(speaker)?)?;
        let listener = self.sessions.get(&call.party_of(speaker.other())?)?;
        let is_heard = call.passes(speaker) && listener.link().is_some();
        let gate = if is_heard { Gate::Open } else { Gate::Closed };
        Some(Route { from: talker.link()?, to: listener.last_link(), gate })
    }

    fn set_route(&mut self, id: CallId, speaker: Side, wanted: Option<Route>) {
        let Some(entry) = self.calls.get_mut(&id) else { return };
        let Some(voice) = entry.voices.get_mut(&speaker) else { return };
        let before = std::mem::replace(&mut voice.route, wanted);
        let (flow, user) = (voice.flow, voice.speaker.clone());
        if before == wanted {
            return;
        }
        if let Some(old) = before
            && wanted.is_none_or(|new| new.from != old.from)
        {
            self.outputs.push_back(Output::Unroute { call: id, speaker: user.clone(), from: old.from, flow });
        }
        if let Some(Route { from, to, gate }) = wanted {
            self.outputs.push_back(Output::Route { call: id, speaker: user, from, flow, to, gate });
        }
    }

    /// Both voices stop, for good.
    pub(super) fn disconnect(&mut self, id: CallId) {
        let Some(entry) = self.calls.get_mut(&id) else { return };
        for (_, voice) in std::mem::take(&mut entry.voices) {
            let Voice { speaker, session, flow, route } = voice;
            self.flows.in_use.remove(&flow);
            if let Some(Route { from, .. }) = route {
                self.outputs.push_back(Output::Unroute { call: id, speaker, from, flow });
            }
            self.touch(session);
        }
    }

    /// How well the gateway receives a talker: told to the talker, with what the other party last said.
    pub(super) fn measured(&mut self, from: LinkId, flow: FlowId, reception: Reception) {
        let Some(&(call, speaker)) = self.flows.in_use.get(&flow) else { return };
        let Some(entry) = self.calls.get(&call) else { return };
        let Some(talker) = entry.call.party_of(speaker) else { return };
        if self.sessions.get(&talker).and_then(Session::link) != Some(from) {
            return;
        }
        let peer = entry.call.hears(speaker.other());
        self.send(from, ServerMessage::Quality { call, uplink: Some(reception), peer });
    }
}
