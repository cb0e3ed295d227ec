//! Attended transfers: two calls of one party become one without them.

use crate::call::{Input as CallInput, Joining, Refusal, Side, no_such_call};
use crate::id::{CallId, SessionId};
use crate::signal::ErrorCode;
use crate::time::Instant;

use super::Exchange;

impl Exchange {
    /// A party of two conversations connects their other parties. The first call goes on; the second ends, its record names the first.
    pub(super) fn attended_transfer(
        &mut self,
        now: Instant,
        id: SessionId,
        call: CallId,
        to_call: CallId,
    ) -> Result<(), Refusal> {
        if call == to_call {
            let message = "`call` and `to_call` are the same call; an attended transfer needs two".to_owned();
            return Err(Refusal { code: ErrorCode::BadMessage, message });
        }
        let leaves = self.conversation(id, call, "call")?;
        let hands_over = self.conversation(id, to_call, "to_call")?;
        let (Some(first), Some(second)) = (self.calls.get(&call), self.calls.get(&to_call)) else {
            return Err(no_such_call());
        };
        let (stays, comes) = (first.call.user_of(leaves.other()), second.call.user_of(hands_over.other()));
        if stays == comes {
            let message = "both calls are with the same user; `hangup` one of them".to_owned();
            return Err(Refusal { code: ErrorCode::BadMessage, message });
        }
        let (Some(session), Some(user)) = (second.call.party_of(hands_over.other()), comes.cloned()) else {
            return Err(no_such_call());
        };
        let joining = Joining { session, user, muted: second.call.is_muted(hands_over.other()), out_of: to_call };
        // In this order the client of who comes is in a call all the time, and keeps its microphone open. For that moment it may be in one call
        // more than a session otherwise may.
        self.call_input(now, call, CallInput::Join(leaves, joining))?;
        self.call_input(now, to_call, CallInput::HandOver(hands_over, call))
    }

    /// Which side of a conversation a session is; `field` is what the message calls it.
    fn conversation(&self, id: SessionId, call: CallId, field: &str) -> Result<Side, Refusal> {
        let entry = self.calls.get(&call).ok_or_else(no_such_call)?;
        entry.call.side_of(id).ok_or_else(|| Refusal {
            code: ErrorCode::WrongState,
            message: format!("nobody is connected in `{field}`; wait for `connected`, or `transfer` with `to`"),
        })
    }
}
