//! A dial step: rounds of users, whose devices ring until one answers.
//!
//! Devices ring independently: a device that declines stops ringing alone, and its round is over when no device of it rings any
//! more. What a dial that nobody answered brought is the most telling of its attempts, by [`telling`].

use std::collections::BTreeMap;

use crate::call::talk::Talk;
use crate::call::{Call, Found, Output, State};
use crate::cause::Cause;
use crate::event::{DialOutcome, Outcome};
use crate::id::{SessionId, UserId};
use crate::limits;
use crate::plan::Dial;
use crate::signal::Happening;
use crate::time::Instant;

/// A dial under way.
#[derive(Debug)]
pub(super) struct Dialling {
    dial: Dial,
    /// The round that rings now.
    round: usize,
    /// Until when it rings; `None` while its users are being found.
    until: Option<Instant>,
    /// The devices that ring.
    ringing: BTreeMap<SessionId, UserId>,
    /// The most telling failure so far.
    failure: Option<Cause>,
}

impl Dialling {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.until
    }

    pub(super) fn rings(&self, session: SessionId) -> bool {
        self.ringing.contains_key(&session)
    }

    pub(super) fn into_ringing(self) -> impl Iterator<Item = SessionId> {
        self.ringing.into_keys()
    }

    fn note(&mut self, cause: Cause) {
        if self.failure.is_none_or(|so_far| telling(cause) > telling(so_far)) {
            self.failure = Some(cause);
        }
    }
}

/// How much a failed attempt's cause tells the caller, most first: somebody is there and busy, refused, let it ring; then
/// somebody who could be there; then nobody at all; last the caller's own mistake.
fn telling(cause: Cause) -> u8 {
    match cause {
        Cause::Busy => 6,
        Cause::Declined => 5,
        Cause::NoAnswer => 4,
        Cause::Unreachable => 3,
        Cause::NotFound => 2,
        Cause::OwnAddress => 1,
        _ => 0,
    }
}

impl Call {
    pub(super) fn dial(&mut self, now: Instant, dial: Dial) {
        let dialling = Dialling { dial, round: 0, until: None, ringing: BTreeMap::new(), failure: None };
        self.enter(now, State::Dialling(dialling));
        self.find_round(now);
    }

    /// Asks for the devices of the current round's users, or of the next round that has anybody but the caller in it.
    fn find_round(&mut self, now: Instant) {
        let State::Dialling(dialling) = &mut self.state else { return };
        while let Some(round) = dialling.dial.rounds.get(dialling.round) {
            let mut users = round.clone();
            users.retain(|user| *user != self.invitation.caller.user);
            if users.len() < round.len() {
                dialling.note(Cause::OwnAddress);
            }
            if !users.is_empty() {
                dialling.until = None;
                return self.outputs.push_back(Output::Find(users));
            }
            dialling.round += 1;
        }
        let cause = dialling.failure.unwrap_or(Cause::NoAnswer);
        self.dial_over(now, DialOutcome { cause, answered_by: None, talked: 0 });
    }

    fn next_round(&mut self, now: Instant) {
        if let State::Dialling(dialling) = &mut self.state {
            dialling.round += 1;
        }
        self.find_round(now);
    }

    /// Rings what was found. A round of nobody costs no time.
    pub(super) fn found(&mut self, now: Instant, found: Vec<(UserId, Found)>) {
        let State::Dialling(dialling) = &mut self.state else { return };
        for (user, found) in found {
            match found {
                Found::Unknown => dialling.note(Cause::NotFound),
                Found::Away => dialling.note(Cause::Unreachable),
                Found::Full => dialling.note(Cause::Busy),
                Found::Devices(devices) => {
                    let room = limits::DIAL_LEGS_MAX.saturating_sub(dialling.ringing.len());
                    dialling.ringing.extend(devices.into_iter().take(room).map(|session| (session, user.clone())));
                }
            }
        }
        if dialling.ringing.is_empty() {
            return self.next_round(now);
        }
        dialling.until = Some(now + dialling.dial.ring_timeout);
        let devices: Vec<SessionId> = dialling.ringing.keys().copied().collect();
        let incoming = self.incoming();
        for device in devices {
            self.tell(device, incoming.clone());
        }
        self.ringing_at.get_or_insert(now);
        self.tell_ringing();
    }

    /// What a device that rings is told. A caller id that the plan set stands instead of the caller's address and name.
    fn incoming(&self) -> Happening {
        let State::Dialling(dialling) = &self.state else { unreachable!("devices ring only while dialling") };
        let caller = &self.invitation.caller;
        let (from, name) = match &dialling.dial.caller_id {
            Some(caller_id) => (caller_id.clone(), None),
            None => (caller.user.to_string(), caller.name.clone()),
        };
        Happening::Incoming { from, name, to: self.invitation.to.clone() }
    }

    /// A device stops ringing: it declined, or is gone. The last one ends the round.
    pub(super) fn leg_failed(&mut self, now: Instant, session: SessionId, cause: Cause) {
        let State::Dialling(dialling) = &mut self.state else { return };
        if dialling.ringing.remove(&session).is_none() {
            return;
        }
        dialling.note(cause);
        let was_last = dialling.ringing.is_empty();
        self.tell(session, Happening::Ended { cause, reason: None });
        if was_last {
            self.next_round(now);
        }
    }

    /// The round rang long enough.
    pub(super) fn rung_out(&mut self, now: Instant) {
        let State::Dialling(dialling) = &mut self.state else { return };
        dialling.note(Cause::NoAnswer);
        for session in std::mem::take(&mut dialling.ringing).into_keys() {
            self.tell(session, Happening::Ended { cause: Cause::NoAnswer, reason: None });
        }
        self.next_round(now);
    }

    /// The first device to answer gets the call; the others stop ringing.
    pub(super) fn answered(&mut self, now: Instant, session: SessionId) {
        let State::Dialling(dialling) = &mut self.state else { return };
        let Some(user) = dialling.ringing.remove(&session) else { return };
        let talk = Talk::new(now, session, user.clone(), &dialling.dial);
        for other in std::mem::take(&mut dialling.ringing).into_keys() {
            self.tell(other, Happening::Ended { cause: Cause::AnsweredElsewhere, reason: None });
        }
        self.answered_at = Some(now);
        self.answered_by = Some(user);
        self.enter(now, State::Talking(talk));
        self.outputs.push_back(Output::Connect { callee: session });
        if self.caller_muted {
            self.tell(session, Happening::Muted);
        }
    }

    /// A dial is over and the plan goes on.
    pub(super) fn dial_over(&mut self, now: Instant, outcome: DialOutcome) {
        self.last_dial = Some(outcome.cause);
        self.outcome = Outcome::Dialled(outcome);
        self.advance(now);
    }
}
