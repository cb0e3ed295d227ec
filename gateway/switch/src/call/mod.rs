//! One call: its plan, where in the plan it is, and its legs.
//!
//! A pure machine: `handle(now, Input)`, drain `poll() -> Option<Output>`, `poll_timeout()`. It knows sessions by name only; what
//! links they have, how their events are numbered and which flows carry the voice is the exchange's business.
//!
//! ```text
//! Deciding ──plan──▶ (next step) ──dial──▶ Dialling ──answer──▶ Talking ──▶ Over
//!    ▲                │   ▲  │                │ nobody             │ callee hangs up, `go-on`
//!    └────consult─────┘   │  └─pause─▶ Pausing│                    │
//!                         │    enqueue, park ─▶ Queued, Parked
//!                         │    play, gather, voicemail, tap ─▶ Playing, Gathering, Messaging, Tapping
//!                         └───────────────────┴────────────────────┘
//! ```
//!
//! Rules that hold in every state:
//! - the caller hanging up ends the call: `cancelled` when nobody ever answered, else `normal`; "the caller" is who the call is carried on
//!   for: after a transfer whoever stayed;
//! - a session that is told `incoming` is told `ended` exactly once for it; a later dial of the same call may ring it anew;
//! - the end tells everybody who is still a party, then gives [`Output::Record`], exactly once, and asks nothing afterwards but
//!   the function's own accounting ([`Event::Ended`]), if a function ever answered for this call.

mod command;
mod consult;
mod copies;
mod dial;
mod gateway;
mod interface;
mod message;
mod music;
mod park;
mod queue;
mod room;
mod talk;
mod transfer;

use std::collections::VecDeque;

use crate::audio::TapId;
pub use crate::call::command::Command;
use crate::call::consult::Consultations;
use crate::call::copies::Copies;
use crate::call::dial::Dialling;
use crate::call::gateway::{Gathering, Playing};
pub use crate::call::interface::{
    Caller, Deed, Found, Gone, Hearer, Hearers, Input, Invitation, Joining, Output, PortDeed, Refusal, Side,
};
use crate::call::message::Messaging;
use crate::call::park::Parked;
use crate::call::queue::Queued;
pub use crate::call::queue::{QueueDeed, QueueNews};
use crate::call::room::Conferring;
use crate::call::talk::{Brings, Talk};
use crate::call::transfer::Transfer;
pub(crate) use crate::call::transfer::ring;
use crate::cause::Cause;
use crate::event::{Event, Outcome};
use crate::exchange::Timer;
use crate::id::{CallId, SessionId, UserId};
use crate::limits;
use crate::plan::{Accepted, Action, Legs, RecordAction};
use crate::record::{CallRecord, EndedBy};
use crate::signal::{ErrorCode, Happening};
use crate::time::{Instant, WallClock};

#[derive(Debug)]
enum State {
    /// The function is asked.
    Deciding,
    /// A pause step, until then.
    Pausing(Instant),
    /// Devices ring.
    Dialling(Dialling),
    /// Voice flows.
    Talking(Talk),
    /// The caller hears something.
    Playing(Playing),
    /// The caller presses keys.
    Gathering(Gathering),
    /// The caller leaves a message.
    Messaging(Messaging),
    /// The caller waits for an agent.
    Queued(Queued),
    /// The caller waits for somebody to pick the call up.
    Parked(Parked),
    /// The caller talks with a tap's far end.
    Tapping(TapId),
    /// The caller is in a room.
    Conferring(Conferring),
    /// Nothing more happens.
    Over,
}

/// What a session is to a call.
enum Role {
    Talking(Side),
    Waiting,
    Ringing,
    /// Answered, and hears a whisper or has to press a key.
    Screened,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    invitation: Invitation,
    clock: WallClock,
    started: Instant,
    state: State,
    since: Instant,
    plan: Accepted,
    /// The next step of `plan`.
    cursor: usize,
    /// What the last step brought.
    outcome: Outcome,
    /// What the last dial brought; what the call ends with when the plan does.
    last_dial: Option<Cause>,
    consultations: Consultations,
    /// Whether the caller was told `ringing` since the beginning or since the last `disconnected`.
    told_ringing: bool,
    /// The caller's mute outlasts a dial: whoever is connected next must not hear what was not meant to be heard.
    caller_muted: bool,
    /// Whether the gateway itself speaks with the caller, as the caller was told last.
    spoken_to: bool,
    /// Whether it ever did: the caller is in this call from then on, whoever speaks.
    served: bool,
    /// How many playbacks there were; the number of the last one.
    playbacks: u32,
    /// Keys that the caller pressed before they were asked for.
    typed: String,
    copies: Copies,
    /// Who began the call, when they left it and the other party goes on.
    began_by: Option<Caller>,
    /// The transfer under way.
    transfer: Option<Transfer>,
    /// Who parked the call and left.
    returns_to: Option<UserId>,
    /// The call in which one of its parties goes on.
    went_to: Option<CallId>,
    ringing_at: Option<Instant>,
    answered_at: Option<Instant>,
    answered_by: Option<UserId>,
    outputs: VecDeque<Output>,
}

impl Call {
    /// Begins a call: asks the function where it shall go.
    pub fn new(now: Instant, clock: WallClock, invitation: Invitation) -> Self {
        let mut call = Self {
            invitation,
            clock,
            started: now,
            state: State::Deciding,
            since: now,
            plan: Accepted { steps: Vec::new(), state: Vec::new() },
            cursor: 0,
            outcome: Outcome::None,
            last_dial: None,
            consultations: Consultations::default(),
            told_ringing: false,
            caller_muted: false,
            spoken_to: false,
            served: false,
            playbacks: 0,
            typed: String::new(),
            copies: Copies::default(),
            began_by: None,
            transfer: None,
            returns_to: None,
            went_to: None,
            ringing_at: None,
            answered_at: None,
            answered_by: None,
            outputs: VecDeque::new(),
        };
        call.ask(now, "incoming", Event::Incoming);
        call
    }

    /// Takes one input.
    ///
    /// # Errors
    /// When a party's deed does not fit the state; nothing has changed then.
    pub fn handle(&mut self, now: Instant, input: Input) -> Result<(), Refusal> {
        match input {
            Input::Party(session, deed) => return self.party(now, session, deed),
            Input::Planned(number, answer) => self.planned(now, number, *answer),
            Input::Found(found) if matches!(self.state, State::Queued(_)) => self.agents_found(now, found),
            Input::Found(found) => self.found(now, found),
            Input::Queue(news) => self.queue_news(now, news),
            Input::Slot(slot) => self.slot(now, slot),
            Input::PickedUp(session, user) => self.picked_up(now, session, user),
            Input::Join(leaves, joining) => return self.join(now, leaves, joining),
            Input::HandOver(leaves, to) => self.hand_over(now, leaves, to),
            Input::Command(command) => return self.command(now, command),
            Input::Gone(session, gone) => self.gone(now, session, gone),
            Input::Played(session, playback, failure) => match session == self.invitation.caller.session {
                true => self.played(now, playback, failure),
                false => self.whisper_over(now, session, playback),
            },
            Input::Silence(session) if session == self.invitation.caller.session => self.message_silence(now),
            Input::Silence(_) => {}
            Input::Entered => self.entered(now),
            Input::OutOfRoom(exit) => self.out_of_room(now, exit),
            Input::RecordingFailed(recording) => self.recording_failed(now, recording),
            Input::TapEnded(tap, failure) => self.tap_ended(now, tap, failure),
            Input::Shutdown => self.end(now, Cause::Shutdown, EndedBy::Gateway, None),
        }
        Ok(())
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Call::handle_timeout`] is due next, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let call = self.invitation.call;
        match &self.state {
            State::Deciding => Some((self.consultations.deadline(), Timer::Consult(call))),
            State::Pausing(until) => Some((*until, Timer::Pause(call))),
            State::Dialling(dialling) => dialling.deadline().map(|at| (at, Timer::Ring(call))),
            State::Talking(talk) => Some((talk.until, Timer::TimeLimit(call))),
            State::Playing(playing) => Some((playing.deadline(), Timer::Step(call))),
            State::Gathering(gathering) => Some((gathering.deadline(), Timer::Step(call))),
            State::Messaging(messaging) => Some((messaging.deadline(), Timer::Step(call))),
            State::Tapping(_) | State::Conferring(_) => {
                Some((self.since + limits::CALL_DURATION_MAX, Timer::TimeLimit(call)))
            }
            // The queue ends the wait.
            State::Queued(_) => None,
            State::Parked(parked) => Some((parked.deadline(), Timer::Step(call))),
            State::Over => None,
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|(at, _)| at > now) {
            return;
        }
        match self.state {
            State::Deciding => self.decision_overdue(now),
            State::Pausing(_) => self.advance(now),
            State::Dialling(_) => self.dialling_due(now),
            State::Talking(_) | State::Tapping(_) | State::Conferring(_) => {
                self.end(now, Cause::TimeLimit, EndedBy::Gateway, None)
            }
            State::Playing(_) => self.play_overdue(now),
            State::Gathering(_) => self.gather_overdue(now),
            State::Messaging(_) => self.message_overdue(now),
            State::Parked(_) => self.park_overdue(now),
            State::Queued(_) | State::Over => {}
        }
    }

    fn party(&mut self, now: Instant, session: SessionId, deed: Deed) -> Result<(), Refusal> {
        let Some(role) = self.role(session) else {
            return Err(no_such_call());
        };
        match (role, deed) {
            (Role::Ringing, Deed::Answer) if matches!(self.state, State::Queued(_)) => {
                self.agent_answered(now, session)
            }
            (Role::Ringing, Deed::Answer) => self.answered(now, session),
            (Role::Ringing, Deed::Decline(cause)) => self.leg_failed(now, session, cause),
            (Role::Ringing | Role::Screened, Deed::Hangup) => self.leg_failed(now, session, Cause::Declined),
            (Role::Screened, Deed::Dtmf(digits)) => self.screening_digits(now, session, &digits),
            (Role::Screened, Deed::Report(_)) => {}
            (Role::Ringing, _) => return Err(wrong_state("this call rings here; `answer` or `decline` it first")),
            (_, Deed::Answer | Deed::Decline(_)) => {
                return Err(wrong_state("this call does not ring here; `hangup` ends it"));
            }
            (Role::Talking(side), Deed::Hangup) => self.hung_up(now, side),
            (Role::Waiting, Deed::Hangup) => self.caller_left(now),
            (Role::Talking(side), Deed::Mute) => self.mute(side, true),
            (Role::Talking(side), Deed::Unmute) => self.mute(side, false),
            (Role::Waiting, Deed::Mute) => self.mute_waiting(true),
            (Role::Waiting, Deed::Unmute) => self.mute_waiting(false),
            (Role::Waiting, Deed::Report(_)) if self.spoken_to || self.is_in_room() => {}
            (Role::Waiting, Deed::Hold | Deed::Resume | Deed::Dtmf(_)) if self.is_in_room() => {
                return Err(wrong_state("in a room there is nobody to hold and no keys to press; `mute` or `leave`"));
            }
            (Role::Waiting, Deed::Dtmf(digits)) if self.spoken_to => self.digits(now, &digits),
            (Role::Waiting, Deed::Record(action)) if self.spoken_to || self.is_in_room() => self.record_deed(action)?,
            (Role::Talking(_), Deed::Record(action)) => self.record_deed(action)?,
            (Role::Talking(side), Deed::Hold) => self.hold(side, true),
            (Role::Talking(side), Deed::Resume) => self.hold(side, false),
            (Role::Talking(side), Deed::Transfer(to)) => return self.transfer(now, side, to),
            (Role::Talking(side), Deed::Park(park)) => return self.park_peer(now, side, park),
            (Role::Talking(side), Deed::Dtmf(digits)) => self.tell_side(side.other(), Happening::Dtmf { digits }),
            (Role::Talking(side), Deed::Report(reception)) => self.report(side, reception),
            (Role::Waiting, Deed::Hold | Deed::Resume | Deed::Dtmf(_) | Deed::Report(_) | Deed::Record(_))
            | (Role::Screened, Deed::Hold | Deed::Resume | Deed::Mute | Deed::Unmute | Deed::Record(_))
            | (_, Deed::Transfer(_) | Deed::Park(_)) => {
                return Err(wrong_state("nobody is connected yet; wait for `connected`"));
            }
        }
        Ok(())
    }

    fn record_deed(&mut self, action: RecordAction) -> Result<(), Refusal> {
        match (self.record(action, Legs::Both), action) {
            (Some(_), _) => Ok(()),
            (None, RecordAction::Start) => Err(Refusal {
                code: ErrorCode::Overloaded,
                message: format!("a call has {} recordings at most", limits::RECORDINGS_PER_CALL_MAX),
            }),
            (None, _) => Err(wrong_state("this call is not recorded; `record` with `start` begins")),
        }
    }

    fn role(&self, session: SessionId) -> Option<Role> {
        let is_caller = session == self.invitation.caller.session;
        match &self.state {
            State::Over => None,
            State::Talking(_) if is_caller => Some(Role::Talking(Side::Caller)),
            State::Talking(talk) if session == talk.callee => Some(Role::Talking(Side::Callee)),
            _ if is_caller => Some(Role::Waiting),
            State::Dialling(dialling) if dialling.rings(session) => Some(Role::Ringing),
            State::Dialling(dialling) if dialling.screens(session) => Some(Role::Screened),
            State::Queued(queued) if queued.rings(session) => Some(Role::Ringing),
            _ => None,
        }
    }

    fn gone(&mut self, now: Instant, session: SessionId, gone: Gone) {
        let Some(role) = self.role(session) else { return };
        match (role, gone) {
            (Role::Ringing | Role::Screened, Gone::Bye) => self.leg_failed(now, session, Cause::Declined),
            (Role::Ringing | Role::Screened, Gone::Lost) => self.leg_failed(now, session, Cause::Unreachable),
            (Role::Talking(side), Gone::Bye) => self.hung_up(now, side),
            (Role::Waiting, Gone::Bye) => self.caller_left(now),
            (Role::Talking(_) | Role::Waiting, Gone::Lost) => {
                self.end(now, Cause::ConnectionLost, EndedBy::Gateway, None);
            }
        }
    }

    fn caller_left(&mut self, now: Instant) {
        let cause = if self.answered_at.is_some() { Cause::Normal } else { Cause::Cancelled };
        self.end(now, cause, EndedBy::Caller, None);
    }

    /// Carries out steps until one has to wait for something.
    fn advance(&mut self, now: Instant) {
        while let Some(action) = self.plan.steps.get(self.cursor).cloned() {
            self.cursor += 1;
            match action {
                Action::Answer => {
                    self.outcome = Outcome::None;
                    self.speak(now);
                }
                Action::RingBack => {
                    self.outcome = Outcome::None;
                    self.tell_ringing();
                }
                Action::Play(play) => return self.play(now, play),
                Action::Gather(gather) => return self.gather(now, gather),
                Action::Enter(enter) => return self.enter_room(now, enter),
                Action::Enqueue(step) => return self.enqueue(now, step),
                Action::Park(park) => return self.park(now, park),
                Action::Voicemail(voicemail) => return self.voicemail(now, voicemail),
                Action::Record { action, legs } => self.record_step(action, legs),
                Action::Tap(tap) => {
                    if self.tap_step(now, tap) {
                        return;
                    }
                }
                Action::Redirect(to) => {
                    self.tell(self.invitation.caller.session, Happening::Redirected { to });
                    return self.end(now, Cause::Redirected, EndedBy::Plan, None);
                }
                Action::Pause(pause) => {
                    self.outcome = Outcome::None;
                    return self.enter(now, State::Pausing(now + pause));
                }
                Action::Dial(dial) => return self.dial(now, dial),
                Action::Reject { cause, reason } => return self.end(now, cause, EndedBy::Plan, reason),
                Action::Hangup(cause) => return self.end(now, cause, EndedBy::Plan, None),
                Action::Consult(tag) => return self.ask_again(now, tag),
            }
        }
        self.end(now, self.last_dial.unwrap_or(Cause::NoRoute), EndedBy::Plan, None);
    }

    fn enter(&mut self, now: Instant, state: State) {
        self.state = state;
        self.since = now;
    }

    fn tell(&mut self, session: SessionId, what: Happening) {
        self.outputs.push_back(Output::Tell(session, what));
    }

    fn tell_ringing(&mut self) {
        if !self.told_ringing {
            self.told_ringing = true;
            self.tell(self.invitation.caller.session, Happening::Ringing);
        }
    }

    /// Ends the call for everybody. The one place where a call becomes over.
    fn end(&mut self, now: Instant, cause: Cause, by: EndedBy, reason: Option<String>) {
        let ended = |cause| Happening::Ended { cause, reason: None };
        if self.is_over() {
            return;
        }
        self.end_copies(now);
        let before = std::mem::replace(&mut self.state, State::Over);
        self.outputs.push_back(Output::Silence);
        match before {
            State::Deciding => self.consultations.unanswered(now),
            State::Dialling(dialling) => {
                for session in dialling.into_rung() {
                    self.tell(session, ended(cause));
                }
            }
            State::Talking(talk) => {
                if let Brings::Queue(_) = talk.brings {
                    self.outputs.push_back(Output::Queue(QueueDeed::Finished(talk.callee_user.clone())));
                }
                self.tell(talk.callee, ended(cause));
            }
            State::Queued(queued) => {
                self.outputs.push_back(Output::Queue(QueueDeed::Leave));
                for session in queued.into_ringing() {
                    self.tell(session, ended(cause));
                }
            }
            State::Parked(_) => self.outputs.push_back(Output::Unpark),
            State::Pausing(_)
            | State::Playing(_)
            | State::Gathering(_)
            | State::Messaging(_)
            | State::Tapping(_)
            | State::Conferring(_)
            | State::Over => {}
        }
        self.since = now;
        self.tell(self.invitation.caller.session, Happening::Ended { cause, reason });
        self.account(now, cause, by);
    }

    fn account(&mut self, now: Instant, cause: Cause, by: EndedBy) {
        let record = CallRecord {
            call: self.invitation.call,
            tenant: self.invitation.tenant.clone(),
            from: self.began_by().user.clone(),
            to: self.invitation.to.clone(),
            transport: self.began_by().transport,
            started_at: self.clock.at(self.started),
            ringing_at: self.ringing_at.map(|at| self.clock.at(at)),
            answered_at: self.answered_at.map(|at| self.clock.at(at)),
            ended_at: self.clock.at(now),
            answered_by: self.answered_by.clone(),
            cause,
            ended_by: by,
            went_to: self.went_to,
            consultations: self.consultations.take_records(),
            voice: Vec::new(),
        };
        let ended = self.consultations.version().is_some().then(|| self.ended_event(&record));
        self.outputs.push_back(Output::Record(Box::new(record)));
        if let Some(event) = ended {
            self.put_question(now, event);
        }
    }
}

/// What a call shows to the exchange and to a status page.
impl Call {
    /// What the call began with.
    pub fn invitation(&self) -> &Invitation {
        &self.invitation
    }

    /// Whether nothing more happens to it.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether this party is in conversation: with another one, or with the gateway, between two steps of its plan included.
    pub fn engages(&self, session: SessionId) -> bool {
        match &self.state {
            State::Over => false,
            State::Talking(talk) => session == self.invitation.caller.session || session == talk.callee,
            State::Dialling(dialling) if dialling.screens(session) => true,
            State::Conferring(_) => session == self.invitation.caller.session,
            _ => self.served && session == self.invitation.caller.session,
        }
    }

    /// Its state in one word: `deciding`, `pausing`, `ringing`, `talking`, `playing`, `gathering`, `messaging`, `queued`, `parked`,
    /// `tapping`, `conferring` or `over`.
    pub fn state_word(&self) -> &'static str {
        match self.state {
            State::Deciding => "deciding",
            State::Pausing(_) => "pausing",
            State::Dialling(_) => "ringing",
            State::Talking(_) => "talking",
            State::Playing(_) => "playing",
            State::Gathering(_) => "gathering",
            State::Messaging(_) => "messaging",
            State::Queued(_) => "queued",
            State::Parked(_) => "parked",
            State::Tapping(_) => "tapping",
            State::Conferring(_) => "conferring",
            State::Over => "over",
        }
    }

    /// Since when it is in that state.
    pub fn since(&self) -> Instant {
        self.since
    }
}

/// What a session is told about a call that it is no party of (or that does not exist: it cannot learn which).
pub(crate) fn no_such_call() -> Refusal {
    let message =
        "this session is no party of such a call: it is over, was answered elsewhere, or never was".to_owned();
    Refusal { code: ErrorCode::NoSuchCall, message }
}

fn wrong_state(message: &str) -> Refusal {
    Refusal { code: ErrorCode::WrongState, message: message.to_owned() }
}
