//! Sessions come, lose their link, come back and go.

use crate::call::Gone;
use crate::event::Transport;
use crate::id::{CallId, LinkId, SessionId};
use crate::limits;
use crate::signal::{
    DecodeError, ErrorCode, GoodbyeReason, Happening, Hello, ResumeSession, Seen, ServerMessage, VERSION,
};
use crate::time::Instant;
use crate::token::{Grant, Identity, TokenError};

use super::session::{Allowance, Connection, EventLog, Session, write_secret};
use super::{Exchange, Output, Phase, Timer};

fn error(code: ErrorCode, message: impl Into<String>) -> ServerMessage {
    ServerMessage::Error { code, message: message.into(), reference: None, call: None }
}

impl Exchange {
    /// A link said `hello`: a session goes on, or a new one begins.
    pub(super) fn attach(
        &mut self,
        now: Instant,
        link: LinkId,
        transport: Transport,
        identity: Identity,
        hello: &Hello,
    ) {
        if self.links.contains_key(&link) {
            return self.send(link, error(ErrorCode::WrongState, "`hello` comes once, as the first message of a link"));
        }
        if let Err((code, message, reason)) = self.may_attach(&identity, hello) {
            return self.turn_away(link, code, message, reason);
        }
        if let Some(resume) = &hello.resume
            && let Some(session) = self.resumable(&identity, resume)
        {
            return self.reattach(now, session, (link, transport), identity, &resume.seen);
        }
        match self.may_begin(&identity) {
            Ok(()) => self.begin(now, link, transport, identity),
            Err((code, message, reason)) => self.turn_away(link, code, message, reason),
        }
    }

    fn turn_away(&mut self, link: LinkId, code: ErrorCode, message: String, reason: GoodbyeReason) {
        self.send(link, error(code, message));
        self.outputs.push_back(Output::Close { link, reason });
    }

    fn may_attach(&self, identity: &Identity, hello: &Hello) -> Result<(), (ErrorCode, String, GoodbyeReason)> {
        if hello.version != VERSION {
            let message = format!("version {} is not spoken here; version {VERSION} is", hello.version);
            return Err((ErrorCode::BadVersion, message, GoodbyeReason::NotWelcome));
        }
        if self.phase == Phase::Stopped {
            let message = "the node is shutting down; connect to another".to_owned();
            return Err((ErrorCode::ShuttingDown, message, GoodbyeReason::Shutdown));
        }
        if let Some(tenant) = self.tenants.get(&identity.tenant)
            && !tenant.knows(&identity.user)
        {
            let message = "the token names nobody of the tenant's users".to_owned();
            return Err((ErrorCode::BadToken, message, GoodbyeReason::NotWelcome));
        }
        Ok(())
    }

    fn may_begin(&mut self, identity: &Identity) -> Result<(), (ErrorCode, String, GoodbyeReason)> {
        if self.phase != Phase::Open {
            let message = "the node takes no new sessions; connect to another".to_owned();
            return Err((ErrorCode::ShuttingDown, message, GoodbyeReason::Shutdown));
        }
        let Some(tenant) = self.tenants.get_mut(&identity.tenant) else { return Ok(()) };
        let overloaded = |message: String| Err((ErrorCode::Overloaded, message, GoodbyeReason::NotWelcome));
        if tenant.sessions() >= tenant.settings.sessions_max {
            tenant.sessions_refused += 1;
            return overloaded(format!("the tenant has its {} sessions", tenant.settings.sessions_max));
        }
        if tenant.sessions_of(&identity.user).count() >= limits::SESSIONS_PER_USER_MAX {
            return overloaded(format!("a user may have {} sessions; end one first", limits::SESSIONS_PER_USER_MAX));
        }
        Ok(())
    }

    fn resumable(&self, identity: &Identity, resume: &ResumeSession) -> Option<SessionId> {
        let session = self.sessions.get(&resume.session)?;
        let same = session.identity.tenant == identity.tenant && session.identity.user == identity.user;
        (same && session.knows(&resume.secret)).then_some(resume.session)
    }

    fn begin(&mut self, now: Instant, link: LinkId, transport: Transport, identity: Identity) {
        let id = SessionId(self.draw());
        let secret = write_secret(self.draw());
        let expiry = now + identity.good_for;
        self.timers.insert((expiry, Timer::TokenExpiry(id)));
        self.links.insert(link, id);
        self.tenants.entry(identity.tenant.clone()).or_default().add_session(&identity.user, id);
        let session = Session {
            identity,
            secret,
            transport,
            connection: Connection::Attached(link),
            expiry,
            calls: Default::default(),
            events: EventLog::default(),
            watch: None,
            missed_departures: Default::default(),
            allowance: Allowance::full(now),
            asking: 0,
        };
        self.sessions.insert(id, session);
        self.welcome(id, link, false);
        self.ask_what_waits(id);
        self.touch(id);
    }

    fn welcome(&mut self, id: SessionId, link: LinkId, resumed: bool) {
        let Some(session) = self.sessions.get(&id) else { return };
        let welcome = ServerMessage::Welcome {
            version: VERSION,
            session: id,
            secret: session.secret.clone(),
            tenant: session.identity.tenant.clone(),
            user: session.identity.user.clone(),
            resumed,
            grace_ms: u64::try_from(limits::RESUME_GRACE.as_millis()).unwrap_or(u64::MAX),
            expires_at: session.identity.expires_at,
        };
        self.send(link, welcome);
    }

    /// A session goes on over a new link: what was missed is told again, voices are routed anew, peers learn that it is back.
    fn reattach(
        &mut self,
        now: Instant,
        id: SessionId,
        (link, transport): (LinkId, Transport),
        identity: Identity,
        seen: &[Seen],
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.transport = transport;
        let before = std::mem::replace(&mut session.connection, Connection::Attached(link));
        self.links.insert(link, id);
        match before {
            Connection::Attached(old) => {
                self.links.remove(&old);
                self.outputs.push_back(Output::Close { link: old, reason: GoodbyeReason::Replaced });
            }
            Connection::Away { until } => {
                self.timers.remove(&(until, Timer::Grace(id)));
            }
        }
        self.set_identity(now, id, identity);
        self.welcome(id, link, true);
        self.replay(id, link, seen);
        self.ask_what_waits(id);
        let was_away = matches!(before, Connection::Away { .. });
        for call in self.calls_of(id) {
            self.reroute(call);
            self.back_in_room(now, call);
            if was_away {
                self.tell_peer(call, id, Happening::PeerBack);
            }
        }
        self.tell_watched(id);
        self.touch(id);
    }

    /// Sends again what a client missed. `calling` comes again for calls that it does not know the name of yet.
    fn replay(&mut self, id: SessionId, link: LinkId, seen: &[Seen]) {
        for call in self.calls_of(id) {
            if !seen.iter().any(|seen| seen.call == call)
                && let Some(reference) = self.reference_of(call, id)
            {
                self.send(link, ServerMessage::Calling { reference, call });
            }
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let missed = session.events.missed(seen);
        for call in missed.gaps {
            let message =
                "too much happened to this call while the link was lost; some of its events are gone".to_owned();
            let code = ErrorCode::Overloaded;
            self.send(link, ServerMessage::Error { code, message, reference: None, call: Some(call) });
        }
        for event in missed.events {
            self.send(link, ServerMessage::Event(event));
        }
    }

    /// What the new token does not grant ends here, where the session has it under way; the rest is asked when it is used.
    fn set_identity(&mut self, now: Instant, id: SessionId, identity: Identity) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let expiry = now + identity.good_for;
        self.timers.remove(&(session.expiry, Timer::TokenExpiry(id)));
        self.timers.insert((expiry, Timer::TokenExpiry(id)));
        session.expiry = expiry;
        session.identity = identity;
        if !session.may(Grant::Presence) {
            session.missed_departures.clear();
            self.unwatch(id);
        }
    }

    /// A new token. A bad one changes nothing: the session lives on until the old one's expiry.
    pub(super) fn renew(&mut self, now: Instant, link: LinkId, token: Result<Identity, TokenError>) {
        let Some(&id) = self.links.get(&link) else { return };
        if !self.take_allowance(now, id) {
            return;
        }
        let Some(session) = self.sessions.get(&id) else { return };
        match token {
            Err(refused) => self.send(link, error(ErrorCode::BadToken, refused.to_string())),
            Ok(new) if new.tenant != session.identity.tenant || new.user != session.identity.user => {
                self.send(link, error(ErrorCode::BadToken, "the token names another user than the session's"));
            }
            Ok(new) => {
                let expires_at = new.expires_at;
                self.set_identity(now, id, new);
                self.send(link, ServerMessage::Renewed { expires_at });
                self.touch(id);
            }
        }
    }

    /// A line that is no message. A line that is too long leaves the stream without a place to go on from, so the link ends.
    pub(super) fn undecodable(&mut self, now: Instant, link: LinkId, bad: &DecodeError) {
        let Some(&id) = self.links.get(&link) else { return };
        let is_fatal = matches!(bad, DecodeError::TooLong(_));
        if !is_fatal && !self.take_allowance(now, id) {
            return;
        }
        self.send(link, error(bad.code(), bad.to_string()));
        if is_fatal {
            self.outputs.push_back(Output::Close { link, reason: GoodbyeReason::ProtocolViolation });
            self.lost(now, link);
        }
    }

    /// A link is gone: its session has [`limits::RESUME_GRACE`] to come back over another.
    pub(super) fn lost(&mut self, now: Instant, link: LinkId) {
        let Some(id) = self.links.remove(&link) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let until = now + limits::RESUME_GRACE;
        session.connection = Connection::Away { until };
        self.timers.insert((until, Timer::Grace(id)));
        for call in self.calls_of(id) {
            self.reroute(call);
            self.away_from_room(now, call);
            self.tell_peer(call, id, Happening::PeerLost);
        }
    }

    /// A session is over, with its calls; its client is told so when it has a link and `farewell` says why.
    pub(super) fn end_session(&mut self, now: Instant, id: SessionId, gone: Gone, farewell: Option<GoodbyeReason>) {
        for call in self.calls_of(id) {
            // The call is live: it is in the session's list.
            let _ = self.call_input(now, call, crate::call::Input::Gone(id, gone));
        }
        self.touch(id);
        self.unwatch(id);
        let Some(session) = self.sessions.remove(&id) else { return };
        self.timers.remove(&(session.expiry, Timer::TokenExpiry(id)));
        match session.connection {
            Connection::Away { until } => {
                self.timers.remove(&(until, Timer::Grace(id)));
            }
            Connection::Attached(link) => {
                self.links.remove(&link);
                if let Some(reason) = farewell {
                    self.outputs.push_back(Output::Close { link, reason });
                }
            }
        }
        if let Some(tenant) = self.tenants.get_mut(&session.identity.tenant) {
            tenant.remove_session(&session.identity.user, id);
        }
    }

    fn calls_of(&self, id: SessionId) -> Vec<CallId> {
        self.sessions.get(&id).map(|session| session.calls.iter().copied().collect()).unwrap_or_default()
    }
}
