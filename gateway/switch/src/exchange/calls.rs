//! The calls of the exchange: carrying out what they want, and keeping their timers.

use std::collections::{BTreeMap, BTreeSet};

use crate::call::{
    Call, Caller, Found, Input as CallInput, Invitation, Output as CallOutput, Refusal, Side, no_such_call,
};
use crate::event::Header;
use crate::id::{CallId, SessionId, UserId};
use crate::limits;
use crate::signal::{ErrorCode, Happening, ServerMessage};
use crate::time::Instant;
use crate::token::Grant;

use super::rooms::RoomKey;
use super::voice::{Port, Voice};
use super::{Exchange, Output, Phase, Timer};

/// A call and what the exchange keeps with it.
#[derive(Debug)]
pub(super) struct LiveEntry {
    pub(super) call: Call,
    /// The caller's `ref`, in case `calling` has to be said again.
    reference: String,
    /// The timer that is set for it.
    timer: Option<(Instant, Timer)>,
    /// Its routes have to be looked at when all that it wants is done: a voice must not be sent to a recording that is not begun yet.
    pub(super) stale: bool,
    /// The voices of its parties, while they are taken in.
    pub(super) voices: BTreeMap<SessionId, Voice>,
    /// The gateway's own voice towards its parties.
    pub(super) ports: BTreeMap<SessionId, Port>,
    /// The room that the caller is in.
    pub(super) room: Option<RoomKey>,
    /// Every session that was ever told of it.
    told: BTreeSet<SessionId>,
}

fn refuse(code: ErrorCode, message: impl Into<String>) -> Result<(), Refusal> {
    Err(Refusal { code, message: message.into() })
}

/// Checks what a caller sends against its bounds.
fn check_invitation(to: &str, headers: &[Header]) -> Result<(), Refusal> {
    let bad = |message: String| refuse(ErrorCode::BadMessage, message);
    if to.is_empty() || to.len() > limits::ADDRESS_BYTES_MAX {
        return bad(format!("`to` is 1 to {} bytes; got {}", limits::ADDRESS_BYTES_MAX, to.len()));
    }
    if headers.len() > limits::HEADERS_MAX {
        return bad(format!("an invitation has at most {} headers; got {}", limits::HEADERS_MAX, headers.len()));
    }
    for Header { name, value } in headers {
        if name.is_empty() || name.len() > limits::HEADER_NAME_BYTES_MAX || name.bytes().any(|b| b.is_ascii_uppercase())
        {
            return bad(format!("a header's name is 1 to {} bytes, in lower case", limits::HEADER_NAME_BYTES_MAX));
        }
        if value.len() > limits::HEADER_VALUE_BYTES_MAX {
            return bad(format!("a header's value is at most {} bytes", limits::HEADER_VALUE_BYTES_MAX));
        }
    }
    Ok(())
}

impl Exchange {
    /// A session calls somebody.
    pub(super) fn invite(
        &mut self,
        now: Instant,
        id: SessionId,
        reference: &str,
        to: String,
        headers: Vec<Header>,
    ) -> Result<(), Refusal> {
        check_invitation(&to, &headers)?;
        self.may_invite(id)?;
        let call = CallId(self.draw());
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let Some(tenant) = self.tenants.get_mut(&session.identity.tenant) else { return Ok(()) };
        session.calls.insert(call);
        tenant.calls += 1;
        let caller = Caller {
            session: id,
            user: session.identity.user.clone(),
            name: session.identity.name.clone(),
            transport: session.transport,
        };
        let invitation = Invitation {
            call,
            tenant: session.identity.tenant.clone(),
            caller,
            to,
            headers,
            default_plan: tenant.default_plan.clone(),
        };
        let entry = LiveEntry {
            call: Call::new(now, self.clock, invitation),
            reference: reference.to_owned(),
            timer: None,
            stale: false,
            voices: BTreeMap::new(),
            ports: BTreeMap::new(),
            room: None,
            told: BTreeSet::from([id]),
        };
        self.calls.insert(call, entry);
        self.send_to(id, ServerMessage::Calling { reference: reference.to_owned(), call });
        self.settle(now, call);
        Ok(())
    }

    fn may_invite(&mut self, id: SessionId) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        if !session.may(Grant::Call) {
            return refuse(ErrorCode::NotGranted, "the token does not grant `call`");
        }
        if self.phase != Phase::Open {
            return refuse(ErrorCode::ShuttingDown, "the node takes no new calls; connect to another");
        }
        if !session.has_room_for_a_call() {
            let message = format!("a session may be in {} calls; end one first", limits::CALLS_PER_SESSION_MAX);
            return refuse(ErrorCode::Overloaded, message);
        }
        match self.tenants.get_mut(&session.identity.tenant) {
            Some(tenant) if tenant.calls >= tenant.settings.calls_max => {
                tenant.calls_refused += 1;
                refuse(ErrorCode::Overloaded, format!("the tenant has its {} calls", tenant.settings.calls_max))
            }
            _ => Ok(()),
        }
    }

    /// Hands a call an input and does what comes of it.
    pub(super) fn call_input(&mut self, now: Instant, call: CallId, input: CallInput) -> Result<(), Refusal> {
        let entry = self.calls.get_mut(&call).ok_or_else(no_such_call)?;
        let done = entry.call.handle(now, input);
        self.settle(now, call);
        done
    }

    /// A call's timer went off.
    pub(super) fn call_due(&mut self, now: Instant, call: CallId) {
        if let Some(entry) = self.calls.get_mut(&call) {
            entry.timer = None;
            entry.call.handle_timeout(now);
            self.settle(now, call);
        }
    }

    /// Does all that a call wants, sets its timer, and forgets it when it is over.
    fn settle(&mut self, now: Instant, id: CallId) {
        while let Some(output) = self.calls.get_mut(&id).and_then(|entry| entry.call.poll()) {
            self.carry_out(now, id, output);
        }
        if self.calls.get_mut(&id).is_some_and(|entry| std::mem::take(&mut entry.stale)) {
            self.reroute(id);
        }
        let Some(entry) = self.calls.get_mut(&id) else { return };
        let timer = entry.call.poll_timeout();
        if timer != entry.timer {
            if let Some(old) = std::mem::replace(&mut entry.timer, timer) {
                self.timers.remove(&old);
            }
            self.timers.extend(timer);
        }
        if entry.call.is_over() {
            self.forget(id);
        }
    }

    pub(super) fn mark_stale(&mut self, id: CallId) {
        if let Some(entry) = self.calls.get_mut(&id) {
            entry.stale = true;
        }
    }

    fn forget(&mut self, id: CallId) {
        let Some(entry) = self.calls.remove(&id) else { return };
        for session in entry.told {
            if let Some(session) = self.sessions.get_mut(&session) {
                session.events.over(id);
            }
        }
        if let Some(tenant) = self.tenants.get_mut(&entry.call.invitation().tenant) {
            tenant.calls -= 1;
        }
    }

    fn carry_out(&mut self, now: Instant, id: CallId, output: CallOutput) {
        match output {
            CallOutput::Consult(consult) => self.outputs.push_back(Output::Consult(consult)),
            CallOutput::Find(users) => {
                let found = self.find(id, users);
                if let Some(entry) = self.calls.get_mut(&id) {
                    // Only a party's deed is ever refused.
                    let _ = entry.call.handle(now, CallInput::Found(found));
                }
            }
            CallOutput::Tell(session, what) => self.tell(id, session, what),
            CallOutput::Connect { callee } => self.connect(id, callee),
            CallOutput::Gates => self.mark_stale(id),
            CallOutput::Speak(session) => self.speak(id, session),
            CallOutput::Port(session, deed) => self.port_deed(id, session, deed),
            CallOutput::Audio(command) => self.audio(id, command),
            CallOutput::Enter(enter) => self.enter_room(now, id, *enter),
            CallOutput::MuteInRoom(mute) => self.mute_in_room(now, id, mute),
            CallOutput::Release(session) => self.release(now, id, session),
            CallOutput::Disconnect => self.disconnect(now, id),
            CallOutput::Silence => self.silence(now, id),
            CallOutput::Queue(deed) => self.queue_deed(now, id, deed),
            CallOutput::Park(slot) => self.park(now, id, slot),
            CallOutput::Unpark => self.unpark(id),
            CallOutput::Record(record) => self.outputs.push_back(Output::Record(record)),
        }
    }

    /// What there is of each user: their sessions that take calls, never the caller's own. Devices that are connected ring; those that
    /// lost their link ring only where no other of the user's is connected (they are told when they resume): else a closed laptop
    /// would keep a call ringing that the phone beside it declined.
    fn find(&self, id: CallId, users: Vec<UserId>) -> Vec<(UserId, Found)> {
        let Some(entry) = self.calls.get(&id) else { return Vec::new() };
        let invitation = entry.call.invitation();
        let Some(tenant) = self.tenants.get(&invitation.tenant) else { return Vec::new() };
        let find = |user: &UserId| {
            if !tenant.knows(user) {
                return Found::Unknown;
            }
            let sessions =
                tenant.sessions_of(user).filter_map(|id| self.sessions.get(&id).map(|session| (id, session)));
            let devices: Vec<_> = sessions.filter(|(_, session)| session.may(Grant::Answer)).collect();
            let free = devices.iter().filter(|(_, session)| session.has_room_for_a_call());
            let free: Vec<_> = free.filter(|(id, _)| *id != invitation.caller.session).collect();
            let connected = free.iter().any(|(_, session)| session.link().is_some());
            let rung = free.iter().filter(|(_, session)| session.link().is_some() || !connected);
            let free: Vec<SessionId> = rung.map(|(id, _)| *id).collect();
            match (free.is_empty(), devices.is_empty()) {
                (false, _) => Found::Devices(free),
                (true, false) => Found::Full,
                (true, true) => Found::Away,
            }
        };
        users.into_iter().map(|user| (user.clone(), find(&user))).collect()
    }

    /// Tells a session of a call: numbered, kept for a resume, and sent if the session has a link.
    pub(super) fn tell(&mut self, call: CallId, id: SessionId, what: Happening) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match what {
            Happening::Incoming { .. } => {
                session.calls.insert(call);
                if let Some(entry) = self.calls.get_mut(&call) {
                    entry.told.insert(id);
                }
            }
            Happening::Ended { .. } => {
                session.calls.remove(&call);
            }
            _ => {}
        }
        let event = session.events.add(call, what);
        self.send_to(id, ServerMessage::Event(event));
    }

    /// Tells the other party, if this session is connected in that call.
    pub(super) fn tell_peer(&mut self, call: CallId, id: SessionId, what: Happening) {
        let Some(entry) = self.calls.get(&call) else { return };
        let is_peer = |side: &Side| entry.call.party_of(side.other()) == Some(id);
        let peer = Side::BOTH.into_iter().find(is_peer).and_then(|side| entry.call.party_of(side));
        if let Some(peer) = peer {
            self.tell(call, peer, what);
        }
    }

    /// The `ref` of a call that this session began.
    pub(super) fn reference_of(&self, call: CallId, id: SessionId) -> Option<String> {
        let entry = self.calls.get(&call)?;
        (entry.call.began_by().session == id).then(|| entry.reference.clone())
    }
}
