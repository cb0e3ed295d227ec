//! The caller is in a room: `conference`, `broadcast`, `listen`. The room itself is [`crate::room`]'s business; to a call it is a step that lasts
//! until the caller leaves, is removed, or the room ends.

use crate::call::{Call, Output, State};
use crate::cause::Cause;
use crate::event::{Outcome, RoomOutcome};
use crate::plan::Enter;
use crate::room::{Exit, RoomCause};
use crate::signal::Happening;
use crate::time::Instant;

/// A stay in a room.
#[derive(Debug)]
pub(super) struct Conferring {
    enter: Enter,
    /// Whether the caller had muted themselves before the plan muted them.
    muted_before: bool,
}

impl Call {
    /// Asks to be let in; the answer is [`Call::entered`] or [`Call::out_of_room`].
    pub(super) fn enter_room(&mut self, now: Instant, mut enter: Enter) {
        let muted_before = self.caller_muted;
        self.caller_muted |= enter.entry.muted;
        enter.entry.muted = self.caller_muted;
        self.outputs.push_back(Output::Enter(Box::new(enter.clone())));
        self.enter(now, State::Conferring(Conferring { enter, muted_before }));
    }

    /// The caller is let in, though perhaps to wait. That answers the call.
    pub(super) fn entered(&mut self, now: Instant) {
        if !matches!(self.state, State::Conferring(_)) {
            return;
        }
        self.answered_at.get_or_insert(now);
        self.last_dial = Some(Cause::Normal);
        if !self.spoken_to {
            self.tell_recorded(self.invitation.caller.session);
        }
        self.outputs.push_back(Output::Gates);
    }

    /// The caller's stay is over, or never began; the plan goes on.
    pub(super) fn out_of_room(&mut self, now: Instant, exit: Exit) {
        let stayed = u32::try_from(now.since(self.since).as_millis()).unwrap_or(u32::MAX);
        let State::Conferring(conferring) = std::mem::replace(&mut self.state, State::Pausing(now)) else { return };
        let Conferring { enter, muted_before } = conferring;
        if enter.entry.muted {
            self.caller_muted = muted_before;
        }
        self.outputs.push_back(Output::Disconnect);
        self.spoken_to = false;
        self.told_ringing = false;
        self.last_dial = Some(match exit.cause {
            RoomCause::Left | RoomCause::Kicked | RoomCause::Ended => Cause::Normal,
            RoomCause::Locked => Cause::Closed,
            RoomCause::Full => Cause::Overloaded,
            RoomCause::Refused => Cause::Declined,
        });
        let exited = Happening::Exited { room: enter.room.clone(), cause: exit.cause, reason: exit.reason };
        self.tell(self.invitation.caller.session, exited);
        self.outcome = Outcome::Conferenced(RoomOutcome { room: enter.room.to_string(), cause: exit.cause, stayed });
        self.advance(now);
    }

    /// The caller is taken out of the room, to go on elsewhere.
    pub(super) fn leave_room(&mut self, conferring: Conferring) {
        let Conferring { enter, muted_before } = conferring;
        if enter.entry.muted {
            self.caller_muted = muted_before;
        }
        self.outputs.push_back(Output::Disconnect);
        self.spoken_to = false;
        self.told_ringing = false;
        let exited = Happening::Exited { room: enter.room, cause: RoomCause::Left, reason: None };
        self.tell(self.invitation.caller.session, exited);
    }

    /// The caller mutes or unmutes while no other party is connected.
    pub(super) fn mute_waiting(&mut self, mute: bool) {
        self.caller_muted = mute;
        if matches!(self.state, State::Conferring(_)) {
            self.outputs.push_back(Output::MuteInRoom(mute));
        }
        if self.spoken_to || matches!(self.state, State::Conferring(_)) {
            self.outputs.push_back(Output::Gates);
        }
    }

    /// Whether the caller is in a room, or waits to be let in.
    pub(super) fn is_in_room(&self) -> bool {
        matches!(self.state, State::Conferring(_))
    }
}
