//! Parking: a caller waits in a slot, hearing music, until somebody of the tenant picks the call up.
//!
//! A plan parks by the `park` step, a party who talks by the message `park`: then that party leaves, and whoever stays is parked. When nobody
//! picks the call up in time, it goes back to who parked it: the plan goes on, or the party who left is rung.

use std::time::Duration;

use crate::call::music::Music;
use crate::call::queue::millis;
use crate::call::talk::{Brings, Talk};
use crate::call::{Call, Output, Refusal, Side, State, wrong_state};
use crate::event::{Outcome, ParkOutcome, ParkResult};
use crate::id::{SessionId, UserId};
use crate::plan::Park;
use crate::signal::Happening;
use crate::time::Instant;

/// A caller who is parked, or about to be.
#[derive(Debug)]
pub(super) struct Parked {
    /// Where, once the exchange has said.
    slot: Option<String>,
    since: Instant,
    timeout: Duration,
    music: Option<Music>,
}

impl Parked {
    pub(super) fn deadline(&self) -> Instant {
        self.since + self.timeout
    }
}

impl Call {
    /// Wants a slot; the exchange answers with [`crate::call::Input::Slot`].
    pub(super) fn park(&mut self, now: Instant, park: Park) {
        self.speak(now);
        self.enter(now, State::Parked(Parked { slot: None, since: now, timeout: park.timeout, music: None }));
        self.outputs.push_back(Output::Park(park.slot));
    }

    /// A party parks the other one, and leaves. The exchange has seen that the slot is free.
    pub(super) fn park_peer(&mut self, now: Instant, side: Side, park: Park) -> Result<(), Refusal> {
        let left = self.detach(now, side).ok_or_else(|| wrong_state("only a conversation can be parked"))?;
        self.returns_to = Some(left);
        self.park(now, park);
        Ok(())
    }

    /// The slot that the caller got, or why there is none.
    pub(super) fn slot(&mut self, now: Instant, slot: Result<String, ParkResult>) {
        let State::Parked(_) = &self.state else { return };
        match slot {
            Ok(slot) => {
                let music = self.start_music(None);
                let State::Parked(parked) = &mut self.state else { return };
                parked.music = Some(music);
                parked.slot = Some(slot.clone());
                self.tell(self.invitation.caller.session, Happening::Parked { slot });
            }
            Err(result) => {
                self.outcome = Outcome::Parked(ParkOutcome { slot: None, result, waited: 0, by: None, talked: 0 });
                self.unparked(now);
            }
        }
    }

    /// Nobody picked the call up in time.
    pub(super) fn park_overdue(&mut self, now: Instant) {
        let State::Parked(parked) = &mut self.state else { return };
        let (slot, waited) = (parked.slot.take(), millis(now.since(parked.since)));
        self.outputs.push_back(Output::Unpark);
        self.hush_caller();
        let result = ParkResult::TimedOut;
        self.outcome = Outcome::Parked(ParkOutcome { slot, result, waited, by: None, talked: 0 });
        self.unparked(now);
    }

    /// Back to whoever parked the call.
    fn unparked(&mut self, now: Instant) {
        match self.returns_to.take() {
            Some(parker) => self.ring_back(now, parker),
            None => self.advance(now),
        }
    }

    /// Somebody picks the call up.
    pub(super) fn picked_up(&mut self, now: Instant, session: SessionId, user: UserId) {
        let State::Parked(parked) = &mut self.state else { return };
        let (slot, waited, by) = (parked.slot.take(), millis(now.since(parked.since)), Some(user.to_string()));
        let outcome = ParkOutcome { slot, result: ParkResult::PickedUp, waited, by, talked: 0 };
        self.outputs.push_back(Output::Unpark);
        let goes_on = self.returns_to.take().is_none();
        let caller = &self.invitation.caller;
        let (from, name, to) = (caller.user.to_string(), caller.name.clone(), self.invitation.to.clone());
        self.tell(session, Happening::Incoming { from, name, to, continues: None });
        let brings = if goes_on { Brings::Park(outcome) } else { Brings::Nothing };
        self.connect_with(now, Talk::after_step(now, session, user, brings));
    }

    /// A playback to the caller is over.
    pub(super) fn park_played(&mut self, playback: u32, failure: Option<String>) {
        let State::Parked(mut parked) = std::mem::replace(&mut self.state, State::Deciding) else { return };
        if let Some(music) = parked.music.take() {
            parked.music = Some(self.music_over(music, playback, failure));
        }
        self.state = State::Parked(parked);
    }
}
