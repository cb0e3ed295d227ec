//! The reference model: a call as somebody would explain it at a table, kept from the inputs that were obeyed and from what the
//! parties were told. After each step it is compared with what the exchange did.

use std::collections::{BTreeMap, BTreeSet};

use tandem_switch::audio::{AudioCommand, Destination, PortId, Purpose, RecordingId};
use tandem_switch::cause::Cause;
use tandem_switch::exchange::{Gate, Output};
use tandem_switch::id::{CallId, FlowId, LinkId, SessionId, TenantId, UserId};
use tandem_switch::limits;
use tandem_switch::plan::RecordAction;
use tandem_switch::record::CallRecord;
use tandem_switch::signal::{
    CallEvent, ClientMessage, ErrorCode, GoodbyeReason, Happening, PresenceState, ServerMessage,
};
use tandem_switch::time::Instant;
use tandem_switch::token::{Grant, Identity, LEEWAY_SECONDS};

use crate::random::Random;

#[derive(Default)]
pub(crate) struct Model {
    sessions: BTreeMap<SessionId, Session>,
    links: BTreeMap<LinkId, SessionId>,
    calls: BTreeMap<CallId, Call>,
    /// Calls of which somebody has still to be told something.
    open: BTreeSet<CallId>,
    /// Who speaks on which flow, while connected.
    flows: BTreeMap<FlowId, (CallId, SessionId)>,
    /// Which call each route is of.
    routes: BTreeMap<(LinkId, FlowId), CallId>,
    /// What the gateway's own voice comes from.
    ports: BTreeMap<PortId, CallId>,
    recordings: BTreeMap<RecordingId, Purpose>,
    pub(crate) causes: BTreeMap<Cause, u64>,
    /// How each kind of error was met.
    pub(crate) errors: BTreeMap<String, u64>,
}

struct Session {
    identity: Identity,
    /// When it ends by itself: its grace or its token is over.
    away_until: Option<Instant>,
    expires: Instant,
    /// What it was told about those that it watches.
    presence: BTreeMap<UserId, PresenceState>,
}

struct Call {
    tenant: TenantId,
    caller: SessionId,
    caller_user: UserId,
    told: BTreeMap<SessionId, Told>,
    callee: Option<(SessionId, UserId)>,
    last_callee: Option<UserId>,
    /// The gateway answered it.
    served: bool,
    /// The caller was told that the gateway speaks, and nothing else since.
    spoken_to: bool,
    holds: BTreeSet<SessionId>,
    muted: BTreeSet<SessionId>,
    over: bool,
}

#[derive(Default)]
struct Told {
    last_n: u32,
    /// Rings or talks; for the caller: not ended.
    live: bool,
}

/// What must become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Obeyed,
    Refused,
    /// Not this model's concern.
    Either,
}

impl Call {
    fn is_live(&self, session: SessionId) -> bool {
        !self.over && self.told.get(&session).is_some_and(|told| told.live)
    }

    fn talks(&self, session: SessionId) -> bool {
        !self.over && self.callee.as_ref().is_some_and(|(callee, _)| session == *callee || session == self.caller)
    }

    fn is_served(&self, session: SessionId) -> bool {
        !self.over && session == self.caller && self.served
    }

    /// Whether it speaks with a party or with the gateway.
    fn speaks(&self, session: SessionId) -> bool {
        self.talks(session) || (self.is_served(session) && self.spoken_to)
    }

    fn rings(&self, session: SessionId) -> bool {
        self.is_live(session) && session != self.caller && !self.talks(session)
    }
}

impl Model {
    /// What must become of a call message from this session.
    pub(crate) fn verdict(&self, link: LinkId, message: &ClientMessage) -> Verdict {
        let Some(session) = self.links.get(&link).copied() else { return Verdict::Either };
        let call_of = |call: &CallId| self.calls.get(call);
        let obeyed = match message {
            ClientMessage::Answer { call } => call_of(call).is_some_and(|call| call.rings(session)),
            ClientMessage::Decline { call, cause } => {
                matches!(cause, None | Some(Cause::Busy | Cause::Declined))
                    && call_of(call).is_some_and(|call| call.rings(session))
            }
            ClientMessage::Hangup { call } => call_of(call).is_some_and(|call| call.is_live(session)),
            ClientMessage::Hold { call } | ClientMessage::Resume { call } => {
                call_of(call).is_some_and(|call| call.talks(session))
            }
            ClientMessage::Report { call, .. } => call_of(call).is_some_and(|call| call.speaks(session)),
            ClientMessage::Dtmf { call, digits } => {
                ["1", "12*#", "#", "ABCD"].contains(&digits.as_str())
                    && call_of(call).is_some_and(|call| call.speaks(session))
            }
            ClientMessage::Record { call, action } => {
                let is_on = self.recordings.iter().any(|(id, what)| id.call == *call && *what == Purpose::Call);
                (is_on || *action == RecordAction::Start)
                    && self.sessions[&session].identity.grants.contains(&Grant::Record)
                    && call_of(call).is_some_and(|call| call.speaks(session))
            }
            ClientMessage::Mute { call } | ClientMessage::Unmute { call } => {
                call_of(call).is_some_and(|call| call.is_live(session) && !call.rings(session))
            }
            _ => return Verdict::Either,
        };
        if obeyed { Verdict::Obeyed } else { Verdict::Refused }
    }

    /// A message was handed in and `outputs` came of it.
    pub(crate) fn after_message(
        &mut self,
        link: LinkId,
        message: &ClientMessage,
        verdict: Verdict,
        outputs: &[Output],
    ) {
        let errors = outputs.iter().filter_map(|output| match output {
            Output::Send { link: to, message } if *to == link => match &**message {
                ServerMessage::Error { code, .. } => Some(*code),
                _ => None,
            },
            _ => None,
        });
        let errors: Vec<ErrorCode> = errors.collect();
        for code in &errors {
            *self.errors.entry(format!("{code:?}")).or_default() += 1;
        }
        if errors == [ErrorCode::TooManyMessages] || verdict == Verdict::Either {
            return;
        }
        match verdict {
            Verdict::Obeyed => assert!(errors.is_empty(), "{message:?} was refused: {errors:?}"),
            Verdict::Refused => {
                assert_eq!((errors.len(), outputs.len()), (1, 1), "{message:?} must only be refused: {outputs:?}");
            }
            Verdict::Either => {}
        }
        if let (Verdict::Obeyed, Some(session)) = (verdict, self.links.get(&link).copied()) {
            self.obey(session, message);
        }
    }

    fn obey(&mut self, session: SessionId, message: &ClientMessage) {
        let (ClientMessage::Hold { call }
        | ClientMessage::Resume { call }
        | ClientMessage::Mute { call }
        | ClientMessage::Unmute { call }
        | ClientMessage::Answer { call }) = message
        else {
            return;
        };
        let Some(call) = self.calls.get_mut(call) else { return };
        match message {
            ClientMessage::Hold { .. } => {
                call.holds.insert(session);
            }
            ClientMessage::Resume { .. } => {
                call.holds.remove(&session);
            }
            ClientMessage::Mute { .. } => {
                call.muted.insert(session);
            }
            ClientMessage::Unmute { .. } => {
                call.muted.remove(&session);
            }
            _ => assert!(call.talks(session), "an answer that was obeyed connects the call"),
        }
    }

    /// Learns from what the exchange put out.
    pub(crate) fn learn(&mut self, now: Instant, output: &Output, attaching: Option<&Identity>) {
        match output {
            Output::Send { link, message } => self.sent(*link, message, attaching),
            Output::Close { link, reason } => self.closed(now, *link, *reason),
            Output::Route { call, from, flow, to, gate, .. } => self.routed(*call, *from, *flow, to, *gate),
            Output::Unroute { call, from, flow, .. } => {
                assert_eq!(self.routes.remove(&(*from, *flow)), Some(*call), "unrouted what was not routed");
            }
            Output::Record(record) => self.recorded(now, record),
            Output::Audio(command) => self.audio(command),
            Output::Consult(_) | Output::Room { .. } | Output::Mailbox(_) | Output::Waits { .. } => {}
        }
    }

    /// Ports and recordings begin once and end once, and nothing is asked of them outside of that.
    fn audio(&mut self, command: &AudioCommand) {
        match command {
            AudioCommand::Open { port, call, tenant, .. } => {
                assert!(self.ports.insert(*port, *call).is_none(), "a port's name came twice");
                let call = self.calls.get_mut(call).expect("a call that began");
                assert_eq!(call.tenant, *tenant);
                call.served = true;
            }
            AudioCommand::Close { port } => assert!(self.ports.remove(port).is_some(), "closed what is not open"),
            AudioCommand::Retarget { port, to } => {
                assert!(self.ports.contains_key(port) && to.is_none_or(|link| self.links.contains_key(&link)));
            }
            AudioCommand::Play { port, .. }
            | AudioCommand::Stop { port }
            | AudioCommand::Watch { port, .. }
            | AudioCommand::Tap { port: Some(port), .. } => {
                assert!(self.ports.contains_key(port), "{command:?}: there is no such port");
            }
            AudioCommand::Record { recording, what } => {
                assert!(self.recordings.insert(*recording, what.purpose.clone()).is_none(), "recorded twice");
            }
            AudioCommand::Finish { recording, .. } => {
                assert!(self.recordings.remove(recording).is_some(), "finished what was not begun");
            }
            AudioCommand::Tap { .. } | AudioCommand::Untap { .. } => {}
        }
    }

    fn sent(&mut self, link: LinkId, message: &ServerMessage, attaching: Option<&Identity>) {
        if let ServerMessage::Welcome { session, resumed, .. } = message {
            let identity = attaching.expect("only an attaching link is welcomed").clone();
            return self.welcomed(link, *session, *resumed, identity);
        }
        if matches!(message, ServerMessage::Error { .. }) && attaching.is_some() {
            return;
        }
        let id = *self.links.get(&link).expect("only attached links are sent messages");
        let session = self.sessions.get_mut(&id).expect("an attached link has a session");
        match message {
            ServerMessage::Calling { call, .. } => {
                let identity = &session.identity;
                let told = BTreeMap::from([(id, Told { last_n: 0, live: true })]);
                self.open.insert(*call);
                self.calls.entry(*call).or_insert_with(|| Call {
                    tenant: identity.tenant.clone(),
                    caller: id,
                    caller_user: identity.user.clone(),
                    told,
                    callee: None,
                    last_callee: None,
                    served: false,
                    spoken_to: false,
                    holds: BTreeSet::new(),
                    muted: BTreeSet::new(),
                    over: false,
                });
            }
            ServerMessage::Event(event) => self.event(id, event),
            ServerMessage::Presence { users } => {
                session.presence.extend(users.iter().map(|presence| (presence.user.clone(), presence.state)));
            }
            ServerMessage::Renewed { expires_at } => {
                session.expires = Instant::from_micros((expires_at.0 + LEEWAY_SECONDS * 1000) * 1000);
            }
            _ => {}
        }
    }

    fn welcomed(&mut self, link: LinkId, id: SessionId, resumed: bool, identity: Identity) {
        let expires = Instant::from_micros((identity.expires_at.0 + LEEWAY_SECONDS * 1000) * 1000);
        self.links.retain(|_, session| *session != id);
        self.links.insert(link, id);
        if resumed {
            let session = self.sessions.get_mut(&id).expect("only a living session is resumed");
            assert_eq!((&session.identity.tenant, &session.identity.user), (&identity.tenant, &identity.user));
            session.away_until = None;
            session.expires = expires;
        } else {
            let session = Session { identity, away_until: None, expires, presence: BTreeMap::new() };
            assert!(self.sessions.insert(id, session).is_none(), "a session's name came twice");
        }
    }

    /// A `watch` was obeyed: what was told before does not count any more.
    pub(crate) fn watch_replaced(&mut self, link: LinkId) {
        if let Some(session) = self.links.get(&link).and_then(|id| self.sessions.get_mut(id)) {
            session.presence.clear();
        }
    }

    pub(crate) fn lost(&mut self, now: Instant, link: LinkId) {
        if let Some(id) = self.links.remove(&link)
            && let Some(session) = self.sessions.get_mut(&id)
        {
            session.away_until = Some(now + limits::RESUME_GRACE);
        }
    }

    fn closed(&mut self, now: Instant, link: LinkId, reason: GoodbyeReason) {
        let Some(id) = self.links.remove(&link) else { return };
        match reason {
            GoodbyeReason::Bye | GoodbyeReason::TokenExpired | GoodbyeReason::Shutdown => {
                self.sessions.remove(&id);
            }
            _ => {
                let session = self.sessions.get_mut(&id).expect("an attached link has a session");
                session.away_until = Some(now + limits::RESUME_GRACE);
            }
        }
    }

    /// The node stopped: nobody can come back.
    pub(crate) fn shut_down(&mut self) {
        assert!(self.links.is_empty(), "a link stays open");
        self.sessions.clear();
    }

    fn event(&mut self, id: SessionId, event: &CallEvent) {
        let session = &self.sessions[&id];
        let call = self.calls.get_mut(&event.call).expect("a call begins with `calling`");
        assert_eq!(call.tenant, session.identity.tenant, "an event crossed tenants");
        let told = call.told.entry(id).or_default();
        if event.n <= told.last_n {
            return; // Told again after a resume; the client checks that it asked for it.
        }
        assert_eq!(event.n, told.last_n + 1, "a gap in the numbers of {event:?}");
        told.last_n = event.n;
        let is_caller = id == call.caller;
        match &event.what {
            Happening::Incoming { .. } => {
                assert!(!is_caller && session.identity.user != call.caller_user, "a caller is rung");
                assert!(session.identity.grants.contains(&Grant::Answer), "a session that takes no calls is rung");
                assert!(!told.live, "rung twice");
                told.live = true;
            }
            Happening::Answered { .. } if !call.over => {
                assert!(is_caller && told.live, "answered for somebody who does not call");
                call.spoken_to = true;
            }
            Happening::Disconnected if is_caller => call.spoken_to = false,
            Happening::Connected { .. } if is_caller => call.spoken_to = false,
            Happening::Connected { send, receive, .. } if !call.over => {
                assert!(told.live, "connected without ringing");
                let user = session.identity.user.clone();
                call.callee = Some((id, user.clone()));
                call.last_callee = Some(user);
                call.holds.clear();
                call.muted.retain(|session| *session == call.caller);
                for (flow, speaker) in [(send, id), (receive, call.caller)] {
                    let before = self.flows.insert(*flow, (event.call, speaker));
                    assert!(before.is_none_or(|of| of == (event.call, call.caller)), "a flow in use was allotted");
                }
            }
            Happening::Ended { .. } => {
                assert!(told.live, "ended twice, or without ringing");
                told.live = false;
                if call.callee.as_ref().is_some_and(|(callee, _)| *callee == id) {
                    call.callee = None;
                    self.flows.retain(|_, (of, _)| *of != event.call);
                }
            }
            _ => assert!(told.live || call.over, "{event:?} to somebody who is no party"),
        }
    }

    fn routed(&mut self, call: CallId, from: LinkId, flow: FlowId, to: &[Destination], gate: Gate) {
        if let Some(of) = self.routes.insert((from, flow), call) {
            assert_eq!(of, call, "a flow is routed for two calls");
        }
        assert!(self.links.contains_key(&from), "a talker without a link is routed");
        assert!(gate == Gate::Closed || !to.is_empty(), "an open gate to nowhere");
        for destination in to {
            if let Destination::Recording(recording, _) = destination {
                assert!(self.recordings.contains_key(recording), "a voice goes to a recording that is none");
            }
            assert!(
                !matches!(destination, Destination::Link(link) if !self.links.contains_key(link)),
                "a lost link is routed to"
            );
        }
    }

    fn recorded(&mut self, now: Instant, record: &CallRecord) {
        *self.causes.entry(record.cause).or_default() += 1;
        assert!(
            !self.routes.values().any(|call| *call == record.call),
            "a call is recorded before its routes are gone"
        );
        let call = self.calls.get_mut(&record.call).expect("a call that began");
        assert!(!std::mem::replace(&mut call.over, true), "two records of one call");
        assert_eq!((&record.tenant, &record.from), (&call.tenant, &call.caller_user));
        assert_eq!(record.answered_by, call.last_callee, "who answered");
        assert_eq!(record.answered_at.is_some(), call.last_callee.is_some() || call.served, "whether it was answered");
        assert!(
            !self.ports.values().any(|call| *call == record.call),
            "a call is recorded before its ports are closed"
        );
        assert!(!self.recordings.keys().any(|id| id.call == record.call), "a call is over and still recorded");
        assert!(record.cause != Cause::Cancelled || record.answered_at.is_none(), "cancelled after an answer");
        assert_eq!(record.ended_at.0, now.as_micros() / 1000);
        let times = [Some(record.started_at), record.ringing_at, record.answered_at, Some(record.ended_at)];
        // The gateway may answer before anybody is rung.
        assert!(call.served || times.iter().flatten().is_sorted(), "{times:?}");
        assert!(times.iter().flatten().all(|at| (record.started_at..=record.ended_at).contains(at)), "{times:?}");
        call.callee = None;
        self.flows.retain(|_, (of, _)| *of != record.call);
    }

    /// What must be so after every step.
    pub(crate) fn check(&mut self) {
        self.open.retain(|call| !self.calls[call].over || self.calls[call].told.values().any(|told| told.live));
        let away = |id: &SessionId| self.sessions.get(id).is_none_or(|session| session.away_until.is_some());
        for (id, call) in self.open.iter().map(|id| (id, &self.calls[id])) {
            for (session, _) in call.told.iter().filter(|(session, told)| told.live && !away(session)) {
                assert!(!call.over, "call {id} is over and {session} was not told");
                if let Some((callee, _)) = &call.callee {
                    assert!(session == callee || *session == call.caller, "{session} rings on in {id} after an answer");
                }
            }
        }
        for session in self.sessions.values() {
            for (user, state) in session.presence.iter().filter(|_| session.away_until.is_none()) {
                assert_eq!(*state, self.presence(&session.identity.tenant, user), "the presence of {user}");
            }
        }
    }

    /// Sessions whose time is over at `now`; the exchange must have ended them.
    pub(crate) fn end_sessions(&mut self, now: Instant) {
        self.sessions
            .retain(|_, session| session.away_until.map_or(session.expires, |until| until.min(session.expires)) > now);
        let sessions = &self.sessions;
        self.links.retain(|_, id| sessions.contains_key(id));
    }

    fn presence(&self, tenant: &TenantId, user: &UserId) -> PresenceState {
        let theirs = |identity: &Identity| identity.tenant == *tenant && identity.user == *user;
        let sessions = self.sessions.iter().filter(|(_, session)| theirs(&session.identity));
        let mut state = PresenceState::Offline;
        for (id, session) in sessions {
            if self.open.iter().any(|call| self.calls[call].talks(*id) || self.calls[call].is_served(*id)) {
                return PresenceState::Talking;
            }
            if session.identity.grants.contains(&Grant::Answer) {
                state = PresenceState::Available;
            }
        }
        state
    }

    /// Who has to hear a packet that came over `link` on `flow`: nobody, or the other party's link.
    pub(crate) fn listener(&self, link: LinkId, flow: FlowId) -> Option<LinkId> {
        let talker = self.links.get(&link)?;
        let (call, speaker) = self.flows.get(&flow)?;
        let call = &self.calls[call];
        if speaker != talker || !call.talks(*talker) || !call.holds.is_empty() || call.muted.contains(talker) {
            return None;
        }
        let (callee, _) = call.callee.as_ref()?;
        let listener = if *talker == call.caller { callee } else { &call.caller };
        self.links.iter().find(|(_, session)| *session == listener).map(|(link, _)| *link)
    }

    pub(crate) fn is_over(&self, call: CallId) -> bool {
        self.calls.get(&call).is_some_and(|call| call.over)
    }

    /// A route that is there, if any, and whether somebody has to be told how well it is received.
    pub(crate) fn some_route(&self, random: &mut Random) -> Option<(LinkId, FlowId)> {
        let routes: Vec<_> = self.routes.keys().copied().collect();
        (!routes.is_empty()).then(|| *random.pick(&routes))
    }

    pub(crate) fn some_calls(&self) -> Vec<CallId> {
        self.calls.keys().copied().take(8).collect()
    }

    /// At the very end: everything is over and recorded.
    pub(crate) fn check_end(&self) {
        assert!(self.calls.values().all(|call| call.over), "a call without a record");
        assert!(self.routes.is_empty() && self.flows.is_empty(), "routes remain");
        assert_eq!(self.causes.values().sum::<u64>() as usize, self.calls.len(), "records and calls");
    }
}
