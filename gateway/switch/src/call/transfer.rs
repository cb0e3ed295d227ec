//! Handing a call over: who transfers leaves, who stays is connected to somebody else.
//!
//! The party who stays goes on at the caller's end of the call, whichever end it was at: a call has one party that everything is done for.
//! When the new party cannot be reached, the call returns to who transferred it; when that one cannot be reached either, it ends with the
//! cause of the first failure.

use crate::call::talk::{Brings, Talk};
use crate::call::{Call, Caller, Joining, Output, QueueDeed, Refusal, Side, State, wrong_state};
use crate::cause::Cause;
use crate::id::{CallId, UserId};
use crate::limits;
use crate::plan::{AfterAnswer, Dial, Order};
use crate::record::EndedBy;
use crate::signal::{ErrorCode, Happening};
use crate::time::Instant;

/// A transfer under way.
#[derive(Clone, Debug)]
pub(super) enum Transfer {
    /// The new party rings. On failure the call returns to this user.
    Towards {
        /// Who transferred.
        by: UserId,
    },
    /// The one who transferred rings. On failure the call ends with this cause.
    Back {
        /// Why the new party was not reached.
        failure: Cause,
    },
}

impl Call {
    /// A party hands the other one over to `to`.
    pub(super) fn transfer(&mut self, now: Instant, side: Side, to: UserId) -> Result<(), Refusal> {
        let bad = |message: String| Err(Refusal { code: ErrorCode::BadMessage, message });
        if self.user_of(side) == Some(&to) {
            return bad("`to` is yourself; name somebody else, or `hangup` to leave the call".to_owned());
        }
        if self.user_of(side.other()) == Some(&to) {
            return bad(format!("{to} is in this call already"));
        }
        let by = self.detach(now, side).ok_or_else(|| wrong_state("only a conversation can be transferred"))?;
        self.transfer = Some(Transfer::Towards { by });
        self.dial(now, ring(to));
        Ok(())
    }

    /// One side leaves, and whom they were talking with in another call takes their place.
    pub(super) fn join(&mut self, now: Instant, leaves: Side, joining: Joining) -> Result<(), Refusal> {
        if self.detach(now, leaves).is_none() {
            return Err(wrong_state("only a conversation can be transferred"));
        }
        let caller = &self.invitation.caller;
        let (from, name, to) = (caller.user.to_string(), caller.name.clone(), self.invitation.to.clone());
        let Joining { session, user, muted, out_of } = joining;
        self.tell(session, Happening::Incoming { from, name, to, continues: Some(out_of) });
        let mut talk = Talk::after_step(now, session, user, Brings::Nothing);
        talk.callee_muted = muted;
        self.connect_with(now, talk);
        if muted {
            self.tell(self.invitation.caller.session, Happening::Muted);
        }
        Ok(())
    }

    /// One side hands the other over to another call, which goes on; this one ends.
    pub(super) fn hand_over(&mut self, now: Instant, leaves: Side, to: CallId) {
        self.went_to = Some(to);
        let by = if leaves == Side::Caller { EndedBy::Caller } else { EndedBy::Callee };
        self.end(now, Cause::Normal, by, None);
    }

    /// One party leaves a conversation. The other stays, at the caller's end.
    pub(super) fn detach(&mut self, now: Instant, leaver: Side) -> Option<UserId> {
        if !matches!(self.state, State::Talking(_)) {
            return None;
        }
        let State::Talking(talk) = std::mem::replace(&mut self.state, State::Pausing(now)) else { return None };
        if let Brings::Queue(_) = talk.brings {
            self.outputs.push_back(Output::Queue(QueueDeed::Finished(talk.callee_user.clone())));
        }
        let (left, left_user) = match leaver {
            Side::Callee => (talk.callee, talk.callee_user),
            Side::Caller => {
                let transport = self.invitation.caller.transport;
                let stays = Caller { session: talk.callee, user: talk.callee_user, name: None, transport };
                let left = std::mem::replace(&mut self.invitation.caller, stays);
                self.caller_muted = talk.callee_muted;
                self.copies.turn();
                let (session, user) = (left.session, left.user.clone());
                self.began_by.get_or_insert(left);
                (session, user)
            }
        };
        self.outputs.push_back(Output::Disconnect);
        self.spoken_to = false;
        // Who stays is in this call, whoever is found for them.
        self.served = true;
        self.told_ringing = false;
        self.tell(left, Happening::Ended { cause: Cause::Normal, reason: None });
        self.tell(self.invitation.caller.session, Happening::Disconnected);
        self.since = now;
        Some(left_user)
    }

    /// A dial of a transfer was not answered: gives whether that was all of it.
    pub(super) fn transfer_failed(&mut self, now: Instant, cause: Cause) -> bool {
        match self.transfer.take() {
            None => return false,
            Some(Transfer::Towards { by }) => {
                self.transfer = Some(Transfer::Back { failure: cause });
                self.dial(now, ring(by));
            }
            Some(Transfer::Back { failure }) => self.end(now, failure, EndedBy::Gateway, None),
        }
        true
    }

    /// Rings the user who left the call.
    pub(super) fn ring_back(&mut self, now: Instant, user: UserId) {
        self.transfer = Some(Transfer::Back { failure: Cause::NoAnswer });
        self.dial(now, ring(user));
    }

    /// Who began the call, wherever they are now.
    pub fn began_by(&self) -> &Caller {
        self.began_by.as_ref().unwrap_or(&self.invitation.caller)
    }
}

/// Rings one user; who hangs up ends the call.
pub(crate) fn ring(user: UserId) -> Dial {
    Dial {
        order: Order::Rounds(vec![vec![user]]),
        ring_timeout: limits::TRANSFER_RING_TIMEOUT,
        max_duration: limits::CALL_DURATION_MAX,
        caller_id: None,
        whisper: None,
        confirm: None,
        after_answer: AfterAnswer::HangUp,
    }
}
