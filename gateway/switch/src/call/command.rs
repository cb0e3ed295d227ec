//! What is done to a live call from outside: by an operator, or a tenant over the control API.

use crate::audio::Sound;
use crate::call::talk::Brings;
use crate::call::{Call, Output, QueueDeed, Refusal, Side, State, wrong_state};
use crate::cause::Cause;
use crate::id::UserId;
use crate::plan::Accepted;
use crate::record::EndedBy;
use crate::signal::Happening;
use crate::time::Instant;

/// What to do to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// End it.
    Hangup(Cause),
    /// Carry out another plan from here. Whoever talks with the caller leaves.
    Redirect(Accepted),
    /// Let one side be heard no more, or again.
    Mute(Side, bool),
    /// Let one side leave and connect the other to this user.
    Transfer {
        /// Who leaves.
        leaves: Side,
        /// Whom to ring.
        to: UserId,
    },
    /// Play something to one side; the voices go on.
    Play(Side, Sound),
}

impl Call {
    pub(super) fn command(&mut self, now: Instant, command: Command) -> Result<(), Refusal> {
        let is_talking = matches!(self.state, State::Talking(_));
        match command {
            Command::Hangup(cause) => self.end(now, cause, EndedBy::Gateway, None),
            Command::Redirect(plan) => {
                self.leave_step(now);
                self.follow(now, plan);
            }
            Command::Mute(side, mute) if is_talking => self.mute(side, mute),
            Command::Transfer { leaves, to } => return self.transfer(now, leaves, to),
            Command::Play(side, sound) if is_talking => {
                if let Some(session) = self.party_of(side) {
                    self.play_to(session, sound, 1);
                }
            }
            Command::Mute(..) | Command::Play(..) => {
                return Err(wrong_state("nobody is connected in this call; `redirect` gives it another plan"));
            }
        }
        Ok(())
    }

    /// Leaves whatever the plan is at, so that another can be carried out. The caller stays.
    fn leave_step(&mut self, now: Instant) {
        (self.transfer, self.returns_to) = (None, None);
        let _ = self.close_message(now);
        let ended = Happening::Ended { cause: Cause::Normal, reason: None };
        match std::mem::replace(&mut self.state, State::Pausing(now)) {
            State::Talking(talk) => {
                if let Brings::Queue(_) = talk.brings {
                    self.outputs.push_back(Output::Queue(QueueDeed::Finished(talk.callee_user.clone())));
                }
                self.outputs.push_back(Output::Disconnect);
                self.spoken_to = false;
                self.told_ringing = false;
                self.tell(talk.callee, ended);
                self.tell(self.invitation.caller.session, Happening::Disconnected);
            }
            State::Dialling(dialling) => {
                for session in dialling.into_rung() {
                    self.outputs.push_back(Output::Release(session));
                    self.tell(session, Happening::Ended { cause: Cause::Cancelled, reason: None });
                }
            }
            State::Queued(queued) => {
                self.outputs.push_back(Output::Queue(QueueDeed::Leave));
                for session in queued.into_ringing() {
                    self.tell(session, Happening::Ended { cause: Cause::Cancelled, reason: None });
                }
            }
            State::Parked(_) => self.outputs.push_back(Output::Unpark),
            State::Tapping(tap) => self.end_tap(tap),
            State::Conferring(conferring) => self.leave_room(conferring),
            State::Deciding => self.consultations.unanswered(now),
            State::Pausing(_) | State::Playing(_) | State::Gathering(_) | State::Messaging(_) | State::Over => {}
        }
        self.hush_caller();
    }
}
