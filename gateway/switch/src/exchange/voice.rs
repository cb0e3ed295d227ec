//! Voices on their way: flow identifiers, routes and ports.
//!
//! Each party that is connected, or that the gateway speaks with, has a voice with one flow. A voice has a route while its talker has a
//! link; the route's gate is open while the call lets that voice pass and there is somebody or something to hear it. The gateway's own
//! voice towards a party comes from a port. Routes and ports are brought in line whenever a hold, a mute, a link, a recording or a tap
//! changes, and only differences are put out.

use std::collections::BTreeMap;

use crate::audio::{AudioCommand, AudioEvent, Destination, PortId};
use crate::call::{Hearer, Hearers, Input as CallInput, PortDeed, Side};
use crate::id::{CallId, FlowId, LinkId, SessionId, UserId};
use crate::media::stats::Reception;
use crate::signal::{Happening, ServerMessage};
use crate::time::Instant;

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
    in_use: BTreeMap<FlowId, (CallId, SessionId)>,
}

impl Default for Flows {
    fn default() -> Self {
        Self { next: FLOW_FIRST, in_use: BTreeMap::new() }
    }
}

impl Flows {
    /// Allots an identifier that no live voice has. There are a thousand million of them, and a node's calls are bounded far
    /// below that, so one is always free.
    fn allot(&mut self, call: CallId, party: SessionId) -> FlowId {
        loop {
            let flow = FlowId(self.next);
            self.next = if self.next + 1 == FLOW_END { FLOW_FIRST } else { self.next + 1 };
            if let std::collections::btree_map::Entry::Vacant(free) = self.in_use.entry(flow) {
                free.insert((call, party));
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
    flow: FlowId,
    route: Option<Route>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    from: LinkId,
    to: Vec<Destination>,
    gate: Gate,
}

/// The gateway's own voice towards one party.
#[derive(Debug)]
pub(super) struct Port {
    id: PortId,
    flow: FlowId,
    to: Option<LinkId>,
}

/// Whose call and party each port is.
#[derive(Debug, Default)]
pub(super) struct Ports {
    made: u64,
    open: BTreeMap<PortId, (CallId, SessionId)>,
}

/// The order in which voices end, and so stand in the call's record.
fn caller_first(caller: SessionId, parties: impl Iterator<Item = SessionId>) -> Vec<SessionId> {
    let mut parties: Vec<_> = parties.collect();
    parties.sort_by_key(|party| *party != caller);
    parties
}

impl Ports {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

impl Exchange {
    /// Two parties are connected: both are told, and their voices routed.
    pub(super) fn connect(&mut self, id: CallId, callee: SessionId) {
        let Some(entry) = self.calls.get(&id) else { return };
        let caller = entry.call.invitation().caller.session;
        let caller_user = entry.call.invitation().caller.user.clone();
        let Some(callee_user) = entry.call.user_of(Side::Callee).cloned() else { return };
        let from_caller = self.voice(id, caller, &caller_user);
        let from_callee = self.voice(id, callee, &callee_user);
        let connected = |peer: &UserId, send, receive| Happening::Connected { peer: peer.to_string(), send, receive };
        self.tell(id, caller, connected(&callee_user, from_caller, from_callee));
        self.tell(id, callee, connected(&caller_user, from_callee, from_caller));
        self.mark_stale(id);
        for party in [caller, callee] {
            self.touch(party);
            if self.sessions.get(&party).is_some_and(|session| session.link().is_none()) {
                self.tell_peer(id, party, Happening::PeerLost);
            }
        }
    }

    /// A party's voice gets a flow, unless it has one.
    pub(super) fn voice(&mut self, id: CallId, party: SessionId, speaker: &UserId) -> FlowId {
        let Some(entry) = self.calls.get_mut(&id) else { return FlowId(0) };
        let voice = entry.voices.entry(party).or_insert_with(|| {
            let flow = self.flows.allot(id, party);
            Voice { speaker: speaker.clone(), flow, route: None }
        });
        voice.flow
    }

    /// The flow of a party's voice, while it has one.
    pub(super) fn flow_of(&self, id: CallId, party: SessionId) -> Option<FlowId> {
        self.calls.get(&id)?.voices.get(&party).map(|voice| voice.flow)
    }

    /// The call and the party that a flow in use belongs to.
    pub(super) fn party_of_flow(&self, flow: FlowId) -> Option<(CallId, SessionId)> {
        self.flows.in_use.get(&flow).copied()
    }

    /// The gateway itself speaks with a party from here: it is told what it sends and receives.
    pub(super) fn speak(&mut self, id: CallId, party: SessionId) {
        let Some(speaker) = self.sessions.get(&party).map(|session| session.identity.user.clone()) else { return };
        let send = self.voice(id, party, &speaker);
        let Some((_, receive, _)) = self.port(id, party) else { return };
        self.tell(id, party, Happening::Answered { send, receive });
        self.mark_stale(id);
        self.touch(party);
    }

    /// A party's port with its flow; opened, when there is none, which the third value says.
    fn port(&mut self, id: CallId, party: SessionId) -> Option<(PortId, FlowId, bool)> {
        let to = self.sessions.get(&party).and_then(Session::link);
        let entry = self.calls.get_mut(&id)?;
        if let Some(port) = entry.ports.get(&party) {
            return Some((port.id, port.flow, false));
        }
        self.ports.made += 1;
        let (port, flow) = (PortId(self.ports.made), self.flows.allot(id, party));
        self.ports.open.insert(port, (id, party));
        entry.ports.insert(party, Port { id: port, flow, to });
        let (tenant, call) = (entry.call.invitation().tenant.clone(), id);
        self.outputs.push_back(Output::Audio(AudioCommand::Open { port, tenant, call, flow, to }));
        Some((port, flow, true))
    }

    /// A party's port does something.
    pub(super) fn port_deed(&mut self, id: CallId, party: SessionId, deed: PortDeed) {
        let Some((port, receive, is_new)) = self.port(id, party) else { return };
        if is_new {
            self.tell(id, party, Happening::Hear { receive, who: "gateway".to_owned() });
        }
        self.outputs.push_back(Output::Audio(match deed {
            PortDeed::Play { playback, sound, times } => AudioCommand::Play { port, playback, sound, times },
            PortDeed::Stop => AudioCommand::Stop { port },
            PortDeed::Watch(silence) => AudioCommand::Watch { port, silence },
        }));
    }

    /// A recording's or tap's command, the caller's port put in where the tap speaks.
    pub(super) fn audio(&mut self, id: CallId, mut command: AudioCommand) {
        if let AudioCommand::Tap { step, port, .. } = &mut command
            && step.speaks
            && let Some(caller) = self.calls.get(&id).map(|entry| entry.call.invitation().caller.session)
        {
            *port = self.port(id, caller).map(|(port, ..)| port);
        }
        self.outputs.push_back(Output::Audio(command));
    }

    /// The codec threads tell something. What is about a port, recording or tap that is gone comes too late.
    pub(super) fn audio_event(&mut self, now: Instant, event: AudioEvent) {
        let of_port = |port| self.ports.open.get(&port).copied();
        let (call, input) = match event {
            AudioEvent::Played { port, playback, failure } => match of_port(port) {
                Some((call, party)) => (call, CallInput::Played(party, playback, failure)),
                None => return,
            },
            AudioEvent::Silence { port } => match of_port(port) {
                Some((call, party)) => (call, CallInput::Silence(party)),
                None => return,
            },
            AudioEvent::RecordingFailed { recording, failure: _ } => {
                (recording.call, CallInput::RecordingFailed(recording))
            }
            AudioEvent::TapEnded { tap, failure } => (tap.call, CallInput::TapEnded(tap, failure)),
        };
        // Only a party's deed is refused; a call that is over needs no telling.
        let _ = self.call_input(now, call, input);
    }

    /// Brings a call's routes and ports in line with who may be heard and over which links.
    pub(super) fn reroute(&mut self, id: CallId) {
        let Some(entry) = self.calls.get(&id) else { return };
        for party in entry.voices.keys().copied().collect::<Vec<_>>() {
            let wanted = self.wanted_route(id, party);
            self.set_route(id, party, wanted);
        }
        let Some(entry) = self.calls.get_mut(&id) else { return };
        for (party, port) in &mut entry.ports {
            let to = self.sessions.get(party).and_then(Session::link);
            if std::mem::replace(&mut port.to, to) != to {
                self.outputs.push_back(Output::Audio(AudioCommand::Retarget { port: port.id, to }));
            }
        }
    }

    fn wanted_route(&self, id: CallId, party: SessionId) -> Option<Route> {
        let entry = self.calls.get(&id)?;
        let from = self.sessions.get(&party)?.link()?;
        let Hearers { passes, hearers } = entry.call.heard_by(party);
        let destination = |hearer: &Hearer| match hearer {
            Hearer::Party(other) => self.sessions.get(other).and_then(Session::link).map(Destination::Link),
            Hearer::Room => self.talks_in(id, entry.voices.get(&party)?.flow).map(Destination::Room),
            Hearer::Port => entry.ports.get(&party).map(|port| Destination::Port(port.id)),
            Hearer::Recording(recording, track) => Some(Destination::Recording(*recording, *track)),
            Hearer::Tap(tap, track) => Some(Destination::Tap(*tap, *track)),
        };
        let to: Vec<Destination> = hearers.iter().filter_map(destination).collect();
        let gate = if passes && !to.is_empty() { Gate::Open } else { Gate::Closed };
        Some(Route { from, to, gate })
    }

    fn set_route(&mut self, id: CallId, party: SessionId, wanted: Option<Route>) {
        let Some(entry) = self.calls.get_mut(&id) else { return };
        let Some(voice) = entry.voices.get_mut(&party) else { return };
        if voice.route == wanted {
            return;
        }
        let before = std::mem::replace(&mut voice.route, wanted.clone());
        let (flow, user) = (voice.flow, voice.speaker.clone());
        if let Some(old) = before
            && wanted.as_ref().is_none_or(|new| new.from != old.from)
        {
            self.outputs.push_back(Output::Unroute { call: id, speaker: user.clone(), from: old.from, flow });
        }
        if let Some(Route { from, to, gate }) = wanted {
            self.outputs.push_back(Output::Route { call: id, speaker: user, from, flow, to, gate });
        }
    }

    /// A party's voice stops and its port closes, for good.
    pub(super) fn release(&mut self, now: Instant, id: CallId, party: SessionId) {
        self.stop_voice(now, id, party);
        self.close_port(id, party);
    }

    /// The voices of both parties stop. The gateway may still speak with the caller.
    pub(super) fn disconnect(&mut self, now: Instant, id: CallId) {
        let Some(entry) = self.calls.get(&id) else { return };
        let caller = entry.call.invitation().caller.session;
        for party in caller_first(caller, entry.voices.keys().copied()) {
            self.stop_voice(now, id, party);
            if party != caller {
                self.close_port(id, party);
            }
        }
    }

    /// All voices stop and all ports close, for good.
    pub(super) fn silence(&mut self, now: Instant, id: CallId) {
        let Some(entry) = self.calls.get(&id) else { return };
        let caller = entry.call.invitation().caller.session;
        for party in caller_first(caller, entry.voices.keys().chain(entry.ports.keys()).copied()) {
            self.release(now, id, party);
        }
    }

    fn stop_voice(&mut self, now: Instant, id: CallId, party: SessionId) {
        self.gone_from_room(now, id);
        let Some(entry) = self.calls.get_mut(&id) else { return };
        let Some(Voice { speaker, flow, route }) = entry.voices.remove(&party) else { return };
        self.flows.in_use.remove(&flow);
        if let Some(Route { from, .. }) = route {
            self.outputs.push_back(Output::Unroute { call: id, speaker, from, flow });
        }
        self.touch(party);
    }

    fn close_port(&mut self, id: CallId, party: SessionId) {
        let Some(port) = self.calls.get_mut(&id).and_then(|entry| entry.ports.remove(&party)) else { return };
        self.flows.in_use.remove(&port.flow);
        self.ports.open.remove(&port.id);
        self.outputs.push_back(Output::Audio(AudioCommand::Close { port: port.id }));
        self.touch(party);
    }

    /// How well the gateway receives a talker: told to the talker, with what the other party last said.
    pub(super) fn measured(&mut self, from: LinkId, flow: FlowId, reception: Reception) {
        let Some(&(call, talker)) = self.flows.in_use.get(&flow) else { return };
        let Some(entry) = self.calls.get(&call) else { return };
        if self.sessions.get(&talker).and_then(Session::link) != Some(from) {
            return;
        }
        let side = Side::BOTH.into_iter().find(|side| entry.call.party_of(*side) == Some(talker));
        let peer = side.and_then(|side| entry.call.hears(side.other()));
        self.send(from, ServerMessage::Quality { call, uplink: Some(reception), peer });
    }
}
