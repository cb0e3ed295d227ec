//! A dial step: rounds of users, whose devices ring until one answers.
//!
//! Devices ring independently: a device that declines stops ringing alone, and its round is over when no device of it rings any
//! more. What a dial that nobody answered brought is the most telling of its attempts, by [`telling`].
//!
//! Whoever answers may first have to be **screened**: they hear a whisper, and press a key before they are connected. Without a key the first
//! to answer has the call, and the others stop ringing at once; with one the others ring on until somebody has pressed it.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::audio::Digit;
use crate::call::talk::Talk;
use crate::call::{Call, Found, Output, PortDeed, State};
use crate::cause::Cause;
use crate::event::{DialOutcome, Outcome};
use crate::id::{CallId, SessionId, UserId};
use crate::limits;
use crate::plan::{Dial, Order};
use crate::signal::Happening;
use crate::time::Instant;

/// A dial under way.
#[derive(Debug)]
pub(super) struct Dialling {
    dial: Dial,
    rounds: Vec<Vec<UserId>>,
    /// The round that rings now.
    round: usize,
    /// Until when it rings; `None` while its users are being found, and when only screening is left of it.
    until: Option<Instant>,
    /// The devices that ring.
    ringing: BTreeMap<SessionId, UserId>,
    /// The devices that answered and are not connected yet.
    screened: BTreeMap<SessionId, Screening>,
    /// The most telling failure so far.
    failure: Option<Cause>,
}

/// A device that answered, before it is connected.
#[derive(Debug)]
struct Screening {
    user: UserId,
    /// The whisper, while it plays.
    whisper: Option<u32>,
    /// Until when it may take.
    until: Instant,
}

impl Dialling {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.screened.values().map(|screening| screening.until).chain(self.until).min()
    }

    pub(super) fn rings(&self, session: SessionId) -> bool {
        self.ringing.contains_key(&session)
    }

    pub(super) fn screens(&self, session: SessionId) -> bool {
        self.screened.contains_key(&session)
    }

    /// Everybody who was rung and is not connected.
    pub(super) fn into_rung(self) -> impl Iterator<Item = SessionId> {
        self.ringing.into_keys().chain(self.screened.into_keys())
    }

    fn note(&mut self, cause: Cause) {
        if self.failure.is_none_or(|so_far| telling(cause) > telling(so_far)) {
            self.failure = Some(cause);
        }
    }

    fn is_spent(&self) -> bool {
        self.ringing.is_empty() && self.screened.is_empty()
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

/// Rounds of one user each, drawn by weight. The same dial of the same call is always drawn alike.
fn draw(call: CallId, cursor: usize, targets: Vec<(u16, UserId)>) -> Vec<Vec<UserId>> {
    let mut random = ChaCha8Rng::seed_from_u64((call.0 as u64) ^ (call.0 >> 64) as u64 ^ cursor as u64);
    let (mut weighted, rest): (Vec<_>, Vec<_>) = targets.into_iter().partition(|(weight, _)| *weight > 0);
    let mut rounds = Vec::with_capacity(weighted.len() + rest.len());
    while !weighted.is_empty() {
        let total: u64 = weighted.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut left = random.next_u64() % total;
        let drawn = weighted.iter().position(|(weight, _)| {
            let weight = u64::from(*weight);
            let hit = left < weight;
            left = left.saturating_sub(weight);
            hit
        });
        rounds.push(vec![weighted.remove(drawn.unwrap_or(0)).1]);
    }
    rounds.extend(rest.into_iter().map(|(_, user)| vec![user]));
    rounds
}

impl Call {
    pub(super) fn dial(&mut self, now: Instant, dial: Dial) {
        let rounds = match &dial.order {
            Order::Rounds(rounds) => rounds.clone(),
            Order::Weighted(targets) => draw(self.invitation.call, self.cursor, targets.clone()),
        };
        let (ringing, screened) = (BTreeMap::new(), BTreeMap::new());
        let dialling = Dialling { dial, rounds, round: 0, until: None, ringing, screened, failure: None };
        self.enter(now, State::Dialling(dialling));
        self.find_round(now);
    }

    /// Asks for the devices of the current round's users, or of the next round that has anybody but the caller in it.
    fn find_round(&mut self, now: Instant) {
        let State::Dialling(dialling) = &mut self.state else { return };
        while let Some(round) = dialling.rounds.get(dialling.round) {
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
        if self.transfer_failed(now, cause) {
            return;
        }
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
        Happening::Incoming { from, name, to: self.invitation.to.clone(), continues: None }
    }

    /// A device rings no more, or is not let through: it declined, or is gone. The last one ends the round.
    pub(super) fn leg_failed(&mut self, now: Instant, session: SessionId, cause: Cause) {
        if matches!(self.state, State::Queued(_)) {
            return self.agent_leg_failed(session, cause);
        }
        let State::Dialling(dialling) = &mut self.state else { return };
        let was_screened = dialling.screened.remove(&session).is_some();
        if !was_screened && dialling.ringing.remove(&session).is_none() {
            return;
        }
        dialling.note(cause);
        let was_last = dialling.is_spent();
        if was_screened {
            self.outputs.push_back(Output::Release(session));
        }
        self.tell(session, Happening::Ended { cause, reason: None });
        if was_last {
            self.next_round(now);
        }
    }

    /// Something took its time: the round's ringing, or somebody's whisper or key.
    pub(super) fn dialling_due(&mut self, now: Instant) {
        let State::Dialling(dialling) = &mut self.state else { return };
        if dialling.until.is_some_and(|until| until <= now) {
            return self.rung_out(now);
        }
        let due = dialling.screened.iter().find(|(_, screening)| screening.until <= now);
        if let Some((&session, screening)) = due {
            match screening.whisper {
                Some(_) => self.whispered(now, session),
                None => self.leg_failed(now, session, Cause::NoAnswer),
            }
        }
    }

    /// The round rang long enough. Who answered already may still be let through.
    fn rung_out(&mut self, now: Instant) {
        let State::Dialling(dialling) = &mut self.state else { return };
        dialling.until = None;
        if !dialling.ringing.is_empty() {
            dialling.note(Cause::NoAnswer);
        }
        let was_last = dialling.screened.is_empty();
        for session in std::mem::take(&mut dialling.ringing).into_keys() {
            self.tell(session, Happening::Ended { cause: Cause::NoAnswer, reason: None });
        }
        if was_last {
            self.next_round(now);
        }
    }

    /// A device answers: it is connected, or screened first.
    pub(super) fn answered(&mut self, now: Instant, session: SessionId) {
        let State::Dialling(dialling) = &mut self.state else { return };
        let Some(user) = dialling.ringing.remove(&session) else { return };
        let (whisper, confirm) = (dialling.dial.whisper.clone(), dialling.dial.confirm);
        if whisper.is_none() && confirm.is_none() {
            return self.let_through(now, session, user);
        }
        self.outputs.push_back(Output::Speak(session));
        let playback = whisper.map(|sound| self.play_to(session, sound, 1));
        let State::Dialling(dialling) = &mut self.state else { return };
        let until = now + if playback.is_some() { limits::PLAY_MAX } else { limits::CONFIRM_TIMEOUT };
        dialling.screened.insert(session, Screening { user, whisper: playback, until });
        if confirm.is_none() {
            dialling.until = None;
            let others = std::mem::take(&mut dialling.ringing);
            self.answered_elsewhere(others.into_keys());
        }
    }

    /// A whisper is over.
    pub(super) fn whisper_over(&mut self, now: Instant, session: SessionId, playback: u32) {
        let State::Dialling(dialling) = &self.state else { return };
        if dialling.screened.get(&session).is_some_and(|screening| screening.whisper == Some(playback)) {
            self.whispered(now, session);
        }
    }

    fn whispered(&mut self, now: Instant, session: SessionId) {
        let State::Dialling(dialling) = &mut self.state else { return };
        let needs_key = dialling.dial.confirm.is_some();
        let Some(screening) = dialling.screened.get_mut(&session) else { return };
        screening.whisper = None;
        if needs_key {
            screening.until = now + limits::CONFIRM_TIMEOUT;
        } else if let Some(Screening { user, .. }) = dialling.screened.remove(&session) {
            self.let_through(now, session, user);
        }
    }

    /// A screened device presses keys: the first one decides. Where no key is asked for, none matters.
    pub(super) fn screening_digits(&mut self, now: Instant, session: SessionId, digits: &str) {
        let State::Dialling(dialling) = &mut self.state else { return };
        let Some(confirm) = dialling.dial.confirm else { return };
        if digits.chars().next().and_then(Digit::new) != Some(confirm) {
            return self.leg_failed(now, session, Cause::Declined);
        }
        if let Some(Screening { user, whisper, .. }) = dialling.screened.remove(&session) {
            if whisper.is_some() {
                self.outputs.push_back(Output::Port(session, PortDeed::Stop));
            }
            self.let_through(now, session, user);
        }
    }

    /// The first device that is let through gets the call; the others stop ringing.
    fn let_through(&mut self, now: Instant, session: SessionId, user: UserId) {
        let State::Dialling(dialling) = &mut self.state else { return };
        let talk = Talk::new(now, session, user, &dialling.dial);
        let (ringing, screened) = (std::mem::take(&mut dialling.ringing), std::mem::take(&mut dialling.screened));
        for other in screened.keys() {
            self.outputs.push_back(Output::Release(*other));
        }
        self.answered_elsewhere(ringing.into_keys().chain(screened.into_keys()));
        self.transfer = None;
        self.connect_with(now, talk);
    }

    /// A conversation begins.
    pub(super) fn connect_with(&mut self, now: Instant, talk: Talk) {
        let session = talk.callee;
        self.answered_at.get_or_insert(now);
        self.answered_by = Some(talk.callee_user.clone());
        self.hush_caller();
        self.enter(now, State::Talking(talk));
        let knows = std::mem::replace(&mut self.spoken_to, false);
        self.outputs.push_back(Output::Connect { callee: session });
        if !knows {
            self.tell_recorded(self.invitation.caller.session);
        }
        if self.caller_muted {
            self.tell(session, Happening::Muted);
        }
        self.tell_recorded(session);
    }

    pub(super) fn answered_elsewhere(&mut self, others: impl Iterator<Item = SessionId>) {
        for other in others {
            self.tell(other, Happening::Ended { cause: Cause::AnsweredElsewhere, reason: None });
        }
    }

    /// A dial is over and the plan goes on.
    pub(super) fn dial_over(&mut self, now: Instant, outcome: DialOutcome) {
        self.last_dial = Some(outcome.cause);
        self.outcome = Outcome::Dialled(outcome);
        self.advance(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_say_how_likely_one_is_first_and_who_has_none_comes_last() {
        let user = |name| UserId::new(name).unwrap();
        let targets = vec![(0, user("none")), (3, user("three")), (1, user("one"))];
        let mut first = BTreeMap::<String, u32>::new();
        for call in 0..4000 {
            let rounds = draw(CallId(call), 1, targets.clone());
            assert_eq!(rounds, draw(CallId(call), 1, targets.clone()), "drawn alike");
            assert_eq!((rounds.len(), &rounds[2]), (3, &vec![user("none")]));
            *first.entry(rounds[0][0].to_string()).or_default() += 1;
        }
        assert!((2850..3150).contains(&first["three"]), "{first:?}");
    }
}
