//! What a client may say, and what it is told when it may not.

use crate::call::{Deed, Gone, Input as CallInput, Refusal, no_such_call};
use crate::cause::Cause;
use crate::id::{CallId, LinkId, SessionId};
use crate::limits;
use crate::media::stats::Reception;
use crate::plan::RecordAction;
use crate::signal::{ClientMessage, ErrorCode, GoodbyeReason, ServerMessage};
use crate::time::Instant;
use crate::token::Grant;

use super::Exchange;

/// What a refused message was about, so that its error can say so.
#[derive(Default)]
struct About {
    reference: Option<String>,
    call: Option<CallId>,
}

fn bad_message<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code: ErrorCode::BadMessage, message: message.into() })
}

fn check_reference(reference: &str) -> Result<(), Refusal> {
    let (max, got) = (limits::REFERENCE_BYTES_MAX, reference.len());
    if got > max { bad_message(format!("`ref` is at most {max} bytes; got {got}")) } else { Ok(()) }
}

impl Exchange {
    /// A client's message. One from a link that is attached to no session comes too late and is ignored.
    pub(super) fn message(&mut self, now: Instant, link: LinkId, message: ClientMessage) {
        let Some(&id) = self.links.get(&link) else { return };
        if matches!(message, ClientMessage::Bye) {
            return self.end_session(now, id, Gone::Bye, Some(GoodbyeReason::Bye));
        }
        if !self.take_allowance(now, id) {
            return;
        }
        let mut about = About::default();
        if let Err(Refusal { code, message }) = self.obey(now, id, message, &mut about) {
            let About { reference, call } = about;
            self.send(link, ServerMessage::Error { code, message, reference, call });
        }
    }

    /// Counts a message against its session's allowance; when that is used up, says so.
    pub(super) fn take_allowance(&mut self, now: Instant, id: SessionId) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        let taken = session.allowance.take(now);
        if !taken {
            let message = format!("at most {} messages a second; slow down", limits::MESSAGES_PER_SECOND);
            let code = ErrorCode::TooManyMessages;
            self.send_to(id, ServerMessage::Error { code, message, reference: None, call: None });
        }
        taken
    }

    fn obey(&mut self, now: Instant, id: SessionId, message: ClientMessage, about: &mut About) -> Result<(), Refusal> {
        let (call, deed) = match message {
            ClientMessage::Hello(_) => return wrong_state("`hello` comes once, as the first message of a link"),
            ClientMessage::Renew { .. } => return wrong_state("`renew` has to be checked before it is handed on"),
            ClientMessage::Bye => return Ok(()),
            ClientMessage::Invite { reference, to, headers } => {
                // One that is too long is not given back either.
                check_reference(&reference)?;
                let done = self.invite(now, id, &reference, to, headers);
                about.reference = Some(reference);
                return done;
            }
            ClientMessage::Mailbox { reference, mailbox, request } => {
                check_reference(&reference)?;
                about.reference = Some(reference.clone());
                return self.ask_mailbox(id, reference, mailbox, request);
            }
            ClientMessage::Watch { users } => return self.watch(id, users),
            ClientMessage::Agent { queue, action } => return self.agent(now, id, queue, action),
            ClientMessage::Pickup { slot } => return self.pick_up(now, id, &slot),
            ClientMessage::Park { call, slot, timeout_ms } => {
                about.call = Some(call);
                self.must_be_party(id, call)?;
                return self.park_peer(now, id, call, slot, timeout_ms);
            }
            ClientMessage::Transfer { call, to } => (call, Ok(Deed::Transfer(to))),
            ClientMessage::AttendedTransfer { call, to_call } => {
                about.call = Some(call);
                self.must_be_party(id, call)?;
                self.must_be_party(id, to_call)?;
                return self.attended_transfer(now, id, call, to_call);
            }
            ClientMessage::Ping { data } => {
                self.send_to(id, ServerMessage::Pong { data });
                return Ok(());
            }
            ClientMessage::Room { call, action } => {
                about.call = Some(call);
                if !self.sessions.get(&id).is_some_and(|session| session.calls.contains(&call)) {
                    return Err(no_such_call());
                }
                return self.room_action(now, call, id, action);
            }
            ClientMessage::Answer { call } => (call, Ok(Deed::Answer)),
            ClientMessage::Decline { call, cause } => (call, decline(cause)),
            ClientMessage::Hangup { call } => (call, Ok(Deed::Hangup)),
            ClientMessage::Hold { call } => (call, Ok(Deed::Hold)),
            ClientMessage::Resume { call } => (call, Ok(Deed::Resume)),
            ClientMessage::Mute { call } => (call, Ok(Deed::Mute)),
            ClientMessage::Unmute { call } => (call, Ok(Deed::Unmute)),
            ClientMessage::Dtmf { call, digits } => (call, dtmf(digits)),
            ClientMessage::Record { call, action } => (call, self.may_record(id, action)),
            ClientMessage::Report { call, reception } => (call, report(reception)),
        };
        about.call = Some(call);
        self.must_be_party(id, call)?;
        self.call_input(now, call, CallInput::Party(id, deed?))
    }

    /// A call that this session is no party of is not even looked up, so that nothing can be learned of others' calls.
    fn must_be_party(&self, id: SessionId, call: CallId) -> Result<(), Refusal> {
        let is_party = self.sessions.get(&id).is_some_and(|session| session.calls.contains(&call));
        if is_party { Ok(()) } else { Err(no_such_call()) }
    }
}

impl Exchange {
    fn may_record(&self, id: SessionId, action: RecordAction) -> Result<Deed, Refusal> {
        if self.sessions.get(&id).is_some_and(|session| session.may(Grant::Record)) {
            return Ok(Deed::Record(action));
        }
        Err(Refusal { code: ErrorCode::NotGranted, message: "the token does not grant `record`".to_owned() })
    }
}

fn wrong_state(message: &str) -> Result<(), Refusal> {
    Err(Refusal { code: ErrorCode::WrongState, message: message.to_owned() })
}

fn decline(cause: Option<Cause>) -> Result<Deed, Refusal> {
    match cause.unwrap_or(Cause::Declined) {
        cause @ (Cause::Declined | Cause::Busy) => Ok(Deed::Decline(cause)),
        other => bad_message(format!("a call is declined with `declined` or `busy`; got `{other}`")),
    }
}

fn dtmf(digits: String) -> Result<Deed, Refusal> {
    let is_key = |byte: u8| byte.is_ascii_digit() || b"*#ABCD".contains(&byte);
    if digits.is_empty() || digits.len() > limits::DTMF_DIGITS_MAX || !digits.bytes().all(is_key) {
        return bad_message(format!("`digits` is 1 to {} of 0-9, *, #, A-D", limits::DTMF_DIGITS_MAX));
    }
    Ok(Deed::Dtmf(digits))
}

/// JSON can write numbers beyond what a `f32` holds; they would become infinite and unwritable again.
fn report(reception: Reception) -> Result<Deed, Refusal> {
    if !(reception.jitter_ms.is_finite() && reception.mos.is_finite()) {
        return bad_message("`jitter_ms` and `mos` must be finite numbers");
    }
    Ok(Deed::Report(reception))
}
