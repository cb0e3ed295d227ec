//! Two parties connected: hold, mute, reports, and the ways it ends.
//!
//! Hold belongs to the party that holds: both may hold at once ("hold glare"), and voice flows again when neither does. Doing
//! twice what is already so changes nothing and tells nobody.

use crate::call::{Call, Output, QueueDeed, Side, State};
use crate::cause::Cause;
use crate::event::{DialOutcome, Outcome, ParkOutcome, QueueOutcome};
use crate::id::{SessionId, UserId};
use crate::limits;
use crate::media::stats::Reception;
use crate::plan::{AfterAnswer, Dial};
use crate::record::EndedBy;
use crate::signal::Happening;
use crate::time::Instant;

/// What a conversation brings to the plan, once it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Brings {
    /// The outcome of a `dial`.
    Dial,
    /// That of an `enqueue`.
    Queue(QueueOutcome),
    /// That of a `park`.
    Park(ParkOutcome),
    /// Nothing: no step of the plan brought it about.
    Nothing,
}

/// A conversation.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) callee: SessionId,
    pub(super) callee_user: UserId,
    /// What the step brings that this conversation is of.
    pub(super) brings: Brings,
    since: Instant,
    pub(super) until: Instant,
    after_answer: AfterAnswer,
    /// Who holds.
    caller_holds: bool,
    callee_holds: bool,
    pub(super) callee_muted: bool,
    /// What each side last reported of what it hears.
    caller_hears: Option<Reception>,
    callee_hears: Option<Reception>,
}

impl Talk {
    pub(super) fn new(now: Instant, callee: SessionId, callee_user: UserId, dial: &Dial) -> Self {
        Self {
            callee,
            callee_user,
            brings: Brings::Dial,
            since: now,
            until: now + dial.max_duration,
            after_answer: dial.after_answer,
            caller_holds: false,
            callee_holds: false,
            callee_muted: false,
            caller_hears: None,
            callee_hears: None,
        }
    }

    /// A conversation that a step other than `dial` brought. When the callee hangs up first, the plan goes on, unless nothing is to be brought.
    pub(super) fn after_step(now: Instant, callee: SessionId, callee_user: UserId, brings: Brings) -> Self {
        let after_answer = if brings == Brings::Nothing { AfterAnswer::HangUp } else { AfterAnswer::GoOn };
        Self {
            callee,
            callee_user,
            brings,
            since: now,
            until: now + limits::CALL_DURATION_MAX,
            after_answer,
            caller_holds: false,
            callee_holds: false,
            callee_muted: false,
            caller_hears: None,
            callee_hears: None,
        }
    }

    fn holds(&mut self, side: Side) -> &mut bool {
        match side {
            Side::Caller => &mut self.caller_holds,
            Side::Callee => &mut self.callee_holds,
        }
    }
}

impl Call {
    pub(super) fn hold(&mut self, side: Side, hold: bool) {
        let State::Talking(talk) = &mut self.state else { return };
        if std::mem::replace(talk.holds(side), hold) != hold {
            self.outputs.push_back(Output::Gates);
            self.tell_side(side.other(), if hold { Happening::Held } else { Happening::Unheld });
        }
    }

    pub(super) fn mute(&mut self, side: Side, mute: bool) {
        let State::Talking(talk) = &mut self.state else { return };
        let muted = match side {
            Side::Caller => &mut self.caller_muted,
            Side::Callee => &mut talk.callee_muted,
        };
        if std::mem::replace(muted, mute) != mute {
            self.outputs.push_back(Output::Gates);
            self.tell_side(side.other(), if mute { Happening::Muted } else { Happening::Unmuted });
        }
    }

    pub(super) fn report(&mut self, side: Side, reception: Reception) {
        let State::Talking(talk) = &mut self.state else { return };
        match side {
            Side::Caller => talk.caller_hears = Some(reception),
            Side::Callee => talk.callee_hears = Some(reception),
        }
    }

    pub(super) fn tell_side(&mut self, side: Side, what: Happening) {
        if let Some(session) = self.party_of(side) {
            self.tell(session, what);
        }
    }

    /// A connected party hangs up. When the callee does and the plan says `go-on`, the caller stays and the plan continues.
    pub(super) fn hung_up(&mut self, now: Instant, side: Side) {
        let State::Talking(talk) = &self.state else { return };
        match (side, talk.after_answer) {
            (Side::Caller, _) => self.end(now, Cause::Normal, EndedBy::Caller, None),
            (Side::Callee, AfterAnswer::HangUp) => self.end(now, Cause::Normal, EndedBy::Callee, None),
            (Side::Callee, AfterAnswer::GoOn) => self.go_on(now),
        }
    }

    fn go_on(&mut self, now: Instant) {
        let State::Talking(talk) = std::mem::replace(&mut self.state, State::Pausing(now)) else { return };
        self.outputs.push_back(Output::Disconnect);
        self.spoken_to = false;
        self.tell(talk.callee, Happening::Ended { cause: Cause::Normal, reason: None });
        self.tell(self.invitation.caller.session, Happening::Disconnected);
        self.told_ringing = false;
        let talked = u32::try_from(now.since(talk.since).as_millis()).unwrap_or(u32::MAX);
        match talk.brings {
            Brings::Dial | Brings::Nothing => {}
            Brings::Queue(outcome) => {
                self.outputs.push_back(Output::Queue(QueueDeed::Finished(talk.callee_user)));
                return self.step_over(now, Outcome::Queued(QueueOutcome { talked, ..outcome }));
            }
            Brings::Park(outcome) => return self.step_over(now, Outcome::Parked(ParkOutcome { talked, ..outcome })),
        }
        let answered_by = Some(talk.callee_user.to_string());
        self.dial_over(now, DialOutcome { cause: Cause::Normal, answered_by, talked });
    }

    /// A step that connected the caller is over and the plan goes on.
    fn step_over(&mut self, now: Instant, outcome: Outcome) {
        self.last_dial = Some(Cause::Normal);
        self.outcome = outcome;
        self.advance(now);
    }

    /// The session of one side, while the two are connected.
    pub fn party_of(&self, side: Side) -> Option<SessionId> {
        match (&self.state, side) {
            (State::Talking(_), Side::Caller) => Some(self.invitation.caller.session),
            (State::Talking(talk), Side::Callee) => Some(talk.callee),
            _ => None,
        }
    }

    /// The user of one side, while the two are connected.
    pub fn user_of(&self, side: Side) -> Option<&UserId> {
        match (&self.state, side) {
            (State::Talking(_), Side::Caller) => Some(&self.invitation.caller.user),
            (State::Talking(talk), Side::Callee) => Some(&talk.callee_user),
            _ => None,
        }
    }

    /// Which side of the conversation a session is, if it is one.
    pub fn side_of(&self, session: SessionId) -> Option<Side> {
        Side::BOTH.into_iter().find(|side| self.party_of(*side) == Some(session))
    }

    /// Whether this side is muted, while the two are connected.
    pub fn is_muted(&self, side: Side) -> bool {
        match (&self.state, side) {
            (State::Talking(_), Side::Caller) => self.caller_muted,
            (State::Talking(talk), Side::Callee) => talk.callee_muted,
            _ => false,
        }
    }

    /// Whether this side's voice may pass: connected, nobody holds, and it is not muted.
    pub(super) fn passes(&self, speaker: Side) -> bool {
        let State::Talking(talk) = &self.state else { return false };
        !talk.caller_holds && !talk.callee_holds && !self.is_muted(speaker)
    }

    /// What this side last reported of what it hears.
    pub fn hears(&self, side: Side) -> Option<Reception> {
        let State::Talking(talk) = &self.state else { return None };
        match side {
            Side::Caller => talk.caller_hears,
            Side::Callee => talk.callee_hears,
        }
    }
}
