//! The rooms of the exchange: who is let in with which voice, and carrying out what rooms want.
//!
//! A member is the caller of a call that is at a step `conference`, `broadcast` or `listen`. Its voice is the call's own voice of the caller:
//! routed to the room as any voice is routed ([`super::voice`]); here is who hears the room, over which link, and what members are told.

use std::collections::{BTreeMap, BTreeSet};

use crate::audio::Destination;
use crate::call::{Input as CallInput, Refusal, no_such_call};
use crate::id::{CallId, FlowId, RoomId, RoomName, SessionId, TenantId};
use crate::limits;
use crate::plan::Enter;
use crate::room::{
    Exit, Input as RoomInput, Newcomer, Output as RoomOutput, Room, RoomAction, RoomKind, RoomLimits, RoomNews,
};
use crate::signal::{ErrorCode, Happening, ServerMessage};
use crate::time::Instant;

use super::session::Session;
use super::{Exchange, Output, Timer};

/// A room's name on a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoomKey {
    tenant: TenantId,
    kind: RoomKind,
    name: RoomName,
}

/// What the shards are told of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomVoice {
    /// It begins.
    Open {
        /// How many talkers are heard at once.
        speakers: usize,
    },
    /// A flow that is routed to the room may be heard, or not any more.
    Talks {
        /// Which.
        flow: FlowId,
        /// Whether it may.
        talks: bool,
    },
    /// The member whose own voice is `flow` hears the others there, but not itself.
    Hears {
        /// The member's own voice.
        flow: FlowId,
        /// Where; `None`: it hears nothing any more.
        over: Option<Destination>,
    },
    /// It is over.
    Close,
}

#[derive(Debug)]
struct LiveRoom {
    id: RoomId,
    room: Room,
    due: Option<Instant>,
    /// Members whose voice may be heard.
    talkers: BTreeSet<FlowId>,
    /// Members who hear, and where, as the shards were last told.
    listeners: BTreeMap<FlowId, Option<Destination>>,
}

/// All rooms of a node.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    /// How many were ever made.
    made: u64,
    live: BTreeMap<RoomKey, LiveRoom>,
    keys: BTreeMap<RoomId, RoomKey>,
}

impl Rooms {
    pub(super) fn is_empty(&self) -> bool {
        self.live.is_empty() && self.keys.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    pub(super) fn members(&self) -> usize {
        self.live.values().map(|live| live.room.members().count()).sum()
    }
}

/// A live room, for tests and status pages.
#[derive(Clone, Copy, Debug)]
pub struct LiveRoomView<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// As the shards know it.
    pub id: RoomId,
    /// The room itself.
    pub room: &'a Room,
}

impl Exchange {
    /// A call's caller wants to enter a room, which begins when nobody is in it yet.
    pub(super) fn enter_room(&mut self, now: Instant, id: CallId, enter: Enter) {
        let Some(entry) = self.calls.get(&id) else { return };
        let caller = entry.call.invitation().caller.clone();
        let tenant = entry.call.invitation().tenant.clone();
        let Enter { room: name, kind, entry: how } = enter;
        let key = RoomKey { tenant, kind, name };
        if let Err(exit) = self.open_room(&key) {
            return self.out_of_room(now, id, exit);
        }
        let flow = self.voice(id, caller.session, &caller.user);
        let newcomer = Box::new(Newcomer { user: caller.user, name: caller.name, entry: how });
        let Some(entry) = self.calls.get_mut(&id) else { return };
        entry.room = Some(key.clone());
        let Some(live) = self.rooms.live.get_mut(&key) else { return };
        // Only actions are ever refused.
        let _ = live.room.handle(now, RoomInput::Join(flow, newcomer));
        if live.room.has(flow) {
            if self.sessions.get(&caller.session).is_none_or(|session| session.link().is_none()) {
                let _ = live.room.handle(now, RoomInput::Away(flow));
            }
            let entered = Happening::Entered { room: key.name.clone(), kind, send: flow };
            self.tell(id, caller.session, entered);
            self.touch(caller.session);
            let _ = self.call_input(now, id, CallInput::Entered);
        }
        self.settle_room(now, &key);
    }

    /// Makes a room, unless it lives.
    fn open_room(&mut self, key: &RoomKey) -> Result<(), Exit> {
        if self.rooms.live.contains_key(key) {
            return Ok(());
        }
        let Some(tenant) = self.tenants.get_mut(&key.tenant) else { return Ok(()) };
        if tenant.rooms >= limits::ROOMS_PER_TENANT_MAX {
            return Err(Exit::full(format!("the tenant has its {} rooms", limits::ROOMS_PER_TENANT_MAX)));
        }
        tenant.rooms += 1;
        let room_limits =
            RoomLimits { members_max: tenant.settings.room_members_max, speakers: tenant.settings.room_speakers };
        self.rooms.made += 1;
        let id = RoomId(self.rooms.made);
        let room = Room::new(key.name.clone(), key.kind, room_limits);
        let live = LiveRoom { id, room, due: None, talkers: BTreeSet::new(), listeners: BTreeMap::new() };
        self.rooms.live.insert(key.clone(), live);
        self.rooms.keys.insert(id, key.clone());
        self.tell_shards(id, RoomVoice::Open { speakers: room_limits.speakers });
        Ok(())
    }

    fn tell_shards(&mut self, room: RoomId, change: RoomVoice) {
        self.outputs.push_back(Output::Room { room, change });
    }

    /// A member does something to its room.
    pub(super) fn room_action(
        &mut self,
        now: Instant,
        id: CallId,
        session: SessionId,
        action: RoomAction,
    ) -> Result<(), Refusal> {
        let entry = self.calls.get(&id).ok_or_else(no_such_call)?;
        let not_in_a_room = || Refusal { code: ErrorCode::WrongState, message: "this call is in no room".to_owned() };
        let key = entry.room.clone().ok_or_else(not_in_a_room)?;
        let flow = self.flow_of(id, session).ok_or_else(not_in_a_room)?;
        self.room_input(now, &key, RoomInput::Act(flow, action))
    }

    /// A member mutes or unmutes itself.
    pub(super) fn mute_in_room(&mut self, now: Instant, id: CallId, mute: bool) {
        self.member_input(now, id, |flow| RoomInput::Mute(flow, mute));
    }

    /// A member's link is lost.
    pub(super) fn away_from_room(&mut self, now: Instant, id: CallId) {
        self.member_input(now, id, RoomInput::Away);
    }

    /// A member has a link again, or another one.
    pub(super) fn back_in_room(&mut self, now: Instant, id: CallId) {
        self.member_input(now, id, RoomInput::Back);
        let Some(entry) = self.calls.get(&id) else { return };
        let member = entry.room.clone().zip(self.flow_of(id, entry.call.invitation().caller.session));
        if let Some((key, flow)) = member {
            self.retarget_listener(&key, flow);
        }
    }

    /// A call's voices stop: its caller is gone from the room.
    pub(super) fn gone_from_room(&mut self, now: Instant, id: CallId) {
        self.member_input(now, id, RoomInput::Gone);
        if let Some(entry) = self.calls.get_mut(&id) {
            entry.room = None;
        }
    }

    fn member_input(&mut self, now: Instant, id: CallId, input: impl FnOnce(FlowId) -> RoomInput) {
        let Some(entry) = self.calls.get(&id) else { return };
        let Some(key) = entry.room.clone() else { return };
        if let Some(flow) = self.flow_of(id, entry.call.invitation().caller.session) {
            let _ = self.room_input(now, &key, input(flow));
        }
    }

    fn room_input(&mut self, now: Instant, key: &RoomKey, input: RoomInput) -> Result<(), Refusal> {
        let Some(live) = self.rooms.live.get_mut(key) else { return Ok(()) };
        let done = live.room.handle(now, input);
        self.settle_room(now, key);
        done
    }

    /// The shards tell who speaks in a room. One that is over has nobody to tell.
    pub(super) fn speaking(&mut self, now: Instant, room: RoomId, flows: Vec<FlowId>) {
        if let Some(key) = self.rooms.keys.get(&room).cloned() {
            let _ = self.room_input(now, &key, RoomInput::Speaking(flows));
        }
    }

    /// A room's news are due.
    pub(super) fn room_due(&mut self, now: Instant, room: RoomId) {
        let Some(key) = self.rooms.keys.get(&room).cloned() else { return };
        if let Some(live) = self.rooms.live.get_mut(&key) {
            live.due = None;
            live.room.handle_timeout(now);
            self.settle_room(now, &key);
        }
    }

    /// Does all that a room wants, sets its timer, and forgets it when it is over.
    fn settle_room(&mut self, now: Instant, key: &RoomKey) {
        while let Some(live) = self.rooms.live.get_mut(key)
            && let Some(output) = live.room.poll()
        {
            let room = live.id;
            match output {
                RoomOutput::Tell(members, news) => self.tell_members(&members, &news),
                RoomOutput::Voice { member, talks, hears } => self.set_member(key, member, talks, hears),
                RoomOutput::Out(flow, exit) => {
                    if let Some((call, _)) = self.party_of_flow(flow) {
                        self.out_of_room(now, call, exit);
                    }
                }
                RoomOutput::Over => {
                    self.rooms.keys.remove(&room);
                    if let Some(LiveRoom { due: Some(due), .. }) = self.rooms.live.remove(key) {
                        self.timers.remove(&(due, Timer::Room(room)));
                    }
                    if let Some(tenant) = self.tenants.get_mut(&key.tenant) {
                        tenant.rooms -= 1;
                    }
                    return self.tell_shards(room, RoomVoice::Close);
                }
            }
        }
        let Some(live) = self.rooms.live.get_mut(key) else { return };
        let (room, due) = (live.id, live.room.poll_timeout());
        let before = std::mem::replace(&mut live.due, due);
        if before != due {
            before.map(|at| self.timers.remove(&(at, Timer::Room(room))));
            self.timers.extend(due.map(|at| (at, Timer::Room(room))));
        }
    }

    /// A stay is over: the call goes on.
    fn out_of_room(&mut self, now: Instant, id: CallId, exit: Exit) {
        if let Some(entry) = self.calls.get_mut(&id) {
            entry.room = None;
        }
        // Only a party's deed is refused.
        let _ = self.call_input(now, id, CallInput::OutOfRoom(exit));
    }

    fn tell_members(&mut self, members: &[FlowId], news: &RoomNews) {
        for &flow in members {
            if let Some((call, session)) = self.party_of_flow(flow) {
                self.send_to(session, ServerMessage::RoomNews { call, news: Box::new(news.clone()) });
            }
        }
    }

    fn set_member(&mut self, key: &RoomKey, flow: FlowId, talks: bool, hears: bool) {
        let Some(live) = self.rooms.live.get_mut(key) else { return };
        let room = live.id;
        let changed = if talks { live.talkers.insert(flow) } else { live.talkers.remove(&flow) };
        if hears {
            live.listeners.entry(flow).or_insert(None);
        } else if let Some(Some(_)) = live.listeners.remove(&flow) {
            self.tell_shards(room, RoomVoice::Hears { flow, over: None });
        }
        if changed {
            self.tell_shards(room, RoomVoice::Talks { flow, talks });
        }
        if hears {
            self.retarget_listener(key, flow);
        }
        if let Some((call, _)) = self.party_of_flow(flow) {
            self.reroute(call);
        }
    }

    /// Tells the shards where a listener is, if that has changed.
    fn retarget_listener(&mut self, key: &RoomKey, flow: FlowId) {
        let link =
            self.party_of_flow(flow).and_then(|(_, session)| self.sessions.get(&session)).and_then(Session::link);
        let over = link.map(Destination::Link);
        let Some(live) = self.rooms.live.get_mut(key) else { return };
        let room = live.id;
        let Some(told) = live.listeners.get_mut(&flow) else { return };
        if std::mem::replace(told, over) != over {
            self.tell_shards(room, RoomVoice::Hears { flow, over });
        }
    }

    /// The room that a call's caller talks in now, if its voice may be heard there.
    pub(super) fn talks_in(&self, id: CallId, flow: FlowId) -> Option<RoomId> {
        let live = self.rooms.live.get(self.calls.get(&id)?.room.as_ref()?)?;
        live.talkers.contains(&flow).then_some(live.id)
    }

    /// How many are in the tenant's rooms and channels of this name; `None` when there is none.
    pub fn room_occupancy(&self, tenant: &TenantId, name: &RoomName) -> Option<u32> {
        let of_kind = |kind| self.rooms.live.get(&RoomKey { tenant: tenant.clone(), kind, name: name.clone() });
        let live: Vec<u32> =
            RoomKind::ALL.into_iter().filter_map(of_kind).map(|live| live.room.state().present).collect();
        (!live.is_empty()).then(|| live.into_iter().sum())
    }

    /// Every live room, in the order of tenants and names.
    pub fn live_rooms(&self) -> impl Iterator<Item = LiveRoomView<'_>> {
        self.rooms.live.iter().map(|(key, live)| LiveRoomView { tenant: &key.tenant, id: live.id, room: &live.room })
    }
}
