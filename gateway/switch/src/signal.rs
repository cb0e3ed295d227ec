//! Signalling: what clients and the gateway say to each other.
//!
//! One bidirectional WebTransport stream (or WebSocket text frames) of newline-delimited JSON; a line is at most
//! [`limits::LINE_BYTES_MAX`] bytes. Every message has a `type`; those of a call have `call`. The first message of a link is
//! `hello`, answered by `welcome` or by `error` and the link's end. Fields that a receiver does not know are ignored, so that
//! either side may grow.
//!
//! Events of a call carry a number `n` that counts up from 1 for each call and session, without gaps. A client that resumes
//! its session says the last it saw of each call and is sent the rest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::event::Header;
use crate::id::{CallId, FlowId, MailboxId, QueueId, RoomName, SessionId, TenantId, UserId};
use crate::limits;
use crate::mailbox::{MailboxRequest, Message};
use crate::media::stats::Reception;
use crate::plan::RecordAction;
use crate::queue::AgentState;
use crate::room::{RoomAction, RoomCause, RoomKind, RoomNews};
use crate::time::UnixMillis;

/// The protocol version that `hello` and `welcome` carry.
pub const VERSION: u32 = 1;

/// From a client to the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ClientMessage {
    /// The first message of a link.
    Hello(Hello),
    /// Keeps the session beyond its token's expiry.
    Renew {
        /// A new token for the same tenant and user.
        token: String,
    },
    /// Calls somebody. Answered by `calling` or by `error` with the same `ref`.
    Invite {
        /// Chosen by the client, to match the answer; at most 128 bytes.
        #[serde(rename = "ref")]
        reference: String,
        /// What was dialled.
        to: String,
        /// Passed to the routing function.
        #[serde(default)]
        headers: Vec<Header>,
    },
    /// Takes an incoming call.
    Answer {
        /// Which call.
        call: CallId,
    },
    /// Refuses an incoming call.
    Decline {
        /// Which call.
        call: CallId,
        /// `declined` (the default) or `busy`.
        #[serde(default)]
        cause: Option<Cause>,
    },
    /// Ends a call; before it is answered, the caller's way to cancel.
    Hangup {
        /// Which call.
        call: CallId,
    },
    /// Puts the other party on hold: no voice either way.
    Hold {
        /// Which call.
        call: CallId,
    },
    /// Ends this party's hold.
    Resume {
        /// Which call.
        call: CallId,
    },
    /// Stops this party's voice at the gateway.
    Mute {
        /// Which call.
        call: CallId,
    },
    /// Lets this party's voice through again.
    Unmute {
        /// Which call.
        call: CallId,
    },
    /// Starts, stops, pauses or resumes the recording of a call. Needs the grant `record`.
    Record {
        /// Which call.
        call: CallId,
        /// What to do.
        action: RecordAction,
    },
    /// Does something to the room that the call is in.
    Room {
        /// Which call.
        call: CallId,
        /// What.
        #[serde(flatten)]
        action: RoomAction,
    },
    /// Keys pressed.
    Dtmf {
        /// Which call.
        call: CallId,
        /// Of `0-9`, `*`, `#`, `A-D`.
        digits: String,
    },
    /// Hands the other party over to somebody else, and leaves. When that one cannot be reached, the call comes back.
    Transfer {
        /// Which call.
        call: CallId,
        /// To whom: a user.
        to: UserId,
    },
    /// Connects the other party of `call` with the other party of `to_call`, and leaves both: an attended transfer. `call` goes on, `to_call`
    /// ends. Both must be conversations.
    AttendedTransfer {
        /// The call whose other party is handed over.
        call: CallId,
        /// The call whose other party they are handed over to.
        to_call: CallId,
    },
    /// Parks the other party, and leaves: somebody of the tenant picks the call up, or it comes back after a while.
    Park {
        /// Which call.
        call: CallId,
        /// Where; without it wherever there is room. Answered by `parked-in`.
        #[serde(default)]
        slot: Option<String>,
        /// After how long it comes back, milliseconds, 1 s to 1 h; without it 2 min.
        #[serde(default)]
        timeout_ms: Option<u32>,
    },
    /// Takes a parked call: `incoming` and `connected` follow at once.
    Pickup {
        /// Of the slot.
        slot: String,
    },
    /// Serves a queue, or not any more. Answered by `agent-state`.
    Agent {
        /// Which queue, for `log-on`; for `log-off` without it: all of them. For the others it is not looked at.
        #[serde(default)]
        queue: Option<QueueId>,
        /// What to do.
        action: AgentAction,
    },
    /// How well the other party is heard; for the record and for the other party's display.
    Report {
        /// Which call.
        call: CallId,
        /// What this client received.
        reception: Reception,
    },
    /// Asks something about one of the user's own mailboxes. Needs the grant `messages`.
    Mailbox {
        /// Chosen by the client, to match the answer; at most 128 bytes.
        #[serde(rename = "ref")]
        reference: String,
        /// Which; the one with the user's name if it is not named.
        #[serde(default)]
        mailbox: Option<MailboxId>,
        /// What is asked.
        #[serde(flatten)]
        request: MailboxRequest,
    },
    /// Asks to be told who is reachable, now and whenever it changes. Replaces the previous `watch`.
    Watch {
        /// Whom; empty means everybody that the tenant's settings name.
        #[serde(default)]
        users: Vec<UserId>,
    },
    /// Asks for `pong`.
    Ping {
        /// Given back.
        #[serde(default)]
        data: u64,
    },
    /// Ends the session at once, with its calls; without it a lost link may be resumed.
    Bye,
}

/// The first message of a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u32,
    /// A token signed with the tenant's key.
    pub token: String,
    /// The client's name and version, for support.
    #[serde(default)]
    pub client: String,
    /// The session to go on with, if there was one.
    #[serde(default)]
    pub resume: Option<ResumeSession>,
}

/// Which session to go on with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResumeSession {
    /// Of `welcome`.
    pub session: SessionId,
    /// Of `welcome`.
    pub secret: String,
    /// The last event number seen of each call; calls that are not named are told from the start.
    #[serde(default)]
    pub seen: Vec<Seen>,
}

/// The last event seen of a call.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// Which call.
    pub call: CallId,
    /// Its last event's number.
    pub n: u32,
}

/// From the gateway to a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ServerMessage {
    /// The session stands.
    Welcome {
        /// [`VERSION`].
        version: u32,
        /// The session's name.
        session: SessionId,
        /// What a resuming client shows; keep it secret.
        secret: String,
        /// Whose session.
        tenant: TenantId,
        /// Whose session.
        user: UserId,
        /// Whether an earlier session goes on. When a client asked for it and this is false, its calls are over.
        resumed: bool,
        /// How long the session outlives its link, milliseconds.
        grace_ms: u64,
        /// When the token expires; renew it before.
        expires_at: UnixMillis,
    },
    /// The invitation was taken; the routing function is being asked.
    Calling {
        /// Of `invite`.
        #[serde(rename = "ref")]
        reference: String,
        /// The call's name from here on.
        call: CallId,
    },
    /// Something happened to a call.
    Event(CallEvent),
    /// Who is reachable: all that is watched right after `watch`, then what changes.
    Presence {
        /// Each with its state.
        users: Vec<Presence>,
    },
    /// What is new in the room that a call is in. Not numbered: one who resumes is told everything anew.
    RoomNews {
        /// Which call.
        call: CallId,
        /// The news.
        #[serde(flatten)]
        news: Box<RoomNews>,
    },
    /// How well the other party hears this client, and how well the gateway does; about every five seconds.
    Quality {
        /// Which call.
        call: CallId,
        /// What the gateway received from this client.
        uplink: Option<Reception>,
        /// What the other party reported last.
        peer: Option<Reception>,
    },
    /// A page of a mailbox's messages, the newest first.
    Messages {
        /// Of `mailbox`.
        #[serde(rename = "ref")]
        reference: String,
        /// Whose messages these are.
        mailbox: MailboxId,
        /// The page.
        messages: Vec<Message>,
        /// Asks for the next page; none after the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    },
    /// A message was changed: this is how it is now.
    Message {
        /// Of `mailbox`.
        #[serde(rename = "ref")]
        reference: String,
        /// Where it is.
        mailbox: MailboxId,
        /// The message.
        message: Message,
    },
    /// A message was deleted.
    MessageDeleted {
        /// Of `mailbox`.
        #[serde(rename = "ref")]
        reference: String,
    },
    /// How many messages wait for the user, in all of the user's mailboxes: right after `welcome` when there are any, and whenever it changes.
    Waiting {
        /// How many nobody has heard yet.
        waiting: u64,
        /// How many there are.
        messages: u64,
    },
    /// What this user is doing as an agent: after `agent`, and whenever it changes.
    AgentState {
        /// What.
        state: AgentState,
        /// The queues that they are logged on to.
        queues: Vec<QueueId>,
    },
    /// The call that this session parked is there.
    ParkedIn {
        /// Which call.
        call: CallId,
        /// The slot to pick it up from.
        slot: String,
    },
    /// Answer to `ping`.
    Pong {
        /// Of `ping`.
        data: u64,
    },
    /// The token was renewed.
    Renewed {
        /// The new expiry.
        expires_at: UnixMillis,
    },
    /// A message could not be obeyed. The session goes on unless `goodbye` follows.
    Error {
        /// What kind of error.
        code: ErrorCode,
        /// What was wrong and what would be right.
        message: String,
        /// Of the message that was wrong, if it had one.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        /// Of the message that was wrong, if it had one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<CallId>,
    },
    /// The last message of a link.
    Goodbye {
        /// Why.
        reason: GoodbyeReason,
    },
}

/// Something happened to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallEvent {
    /// Which call.
    pub call: CallId,
    /// The event's number within this call and session, from 1.
    pub n: u32,
    /// What happened.
    #[serde(flatten)]
    pub what: Happening,
}

/// What happened to a call, as one party is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Happening {
    /// Somebody calls this user: ring.
    Incoming {
        /// The caller's address, or the caller id that the plan set.
        from: String,
        /// The caller's name.
        #[serde(default)]
        name: Option<String>,
        /// What the caller dialled.
        to: String,
        /// The call that this one goes on from, which ends right after: nothing rings, `connected` follows at once, and who was muted there is
        /// muted here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        continues: Option<CallId>,
    },
    /// Comes after `incoming`: a queue offers this call.
    Offered {
        /// Which queue.
        queue: QueueId,
        /// How long the caller has waited, milliseconds.
        waited_ms: u64,
    },
    /// This caller waits in a queue.
    Queued {
        /// Which queue.
        queue: QueueId,
        /// From 1.
        position: u32,
        /// How long the wait may take, milliseconds, when that can be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        estimate_ms: Option<u64>,
    },
    /// This caller is parked.
    Parked {
        /// Where.
        slot: String,
    },
    /// The caller may hear a ring-back tone.
    Ringing,
    /// Voice flows from here. May come again in one call, with another peer.
    Connected {
        /// The other party.
        peer: String,
        /// Send voice under this flow identifier.
        send: FlowId,
        /// Receive voice under this one.
        receive: FlowId,
    },
    /// The gateway itself answered, or speaks again after a dial: prompts are heard, and this party's voice is taken in. May come again in one
    /// call; each time it says all that is sent and received from here on.
    Answered {
        /// Send voice under this flow identifier.
        send: FlowId,
        /// Receive the gateway's voice under this one.
        receive: FlowId,
    },
    /// A further voice is heard from here, beside those that are heard already: mix them.
    Hear {
        /// Receive it under this flow identifier.
        receive: FlowId,
        /// Whose it is: a user, or `gateway`.
        who: String,
    },
    /// A further voice is heard no more.
    Unhear {
        /// Its flow identifier.
        receive: FlowId,
    },
    /// This party is in a room, or waits to be let in: it may be heard from here, and hears every member's voice under that member's flow. Who
    /// they are is told by `room-news` messages.
    Entered {
        /// Which room.
        room: RoomName,
        /// What sort of a room.
        kind: RoomKind,
        /// Send voice under this flow identifier.
        send: FlowId,
    },
    /// This party is not in the room any more, or was not let in; voice stops and the plan goes on.
    Exited {
        /// Which room.
        room: RoomName,
        /// Why.
        cause: RoomCause,
        /// Why, in words, where the word is not enough.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A recording of this party's voice began (`true`) or went on, or it paused or ended (`false`).
    Recorded {
        /// Whether it is recorded from here.
        on: bool,
    },
    /// Call this address instead; `ended` follows.
    Redirected {
        /// Whom to call.
        to: String,
    },
    /// A dial that was answered is over and the plan goes on; voice stops.
    Disconnected,
    /// The other party holds.
    Held,
    /// The other party's hold is over.
    Unheld,
    /// The other party is muted.
    Muted,
    /// The other party is not muted any more.
    Unmuted,
    /// The other party pressed keys.
    Dtmf {
        /// Which.
        digits: String,
    },
    /// The other party's connection is lost; it may come back.
    PeerLost,
    /// The other party's connection is back.
    PeerBack,
    /// The call is over for this party; its last event, unless a later step of the plan rings this device again.
    Ended {
        /// Why.
        cause: Cause,
        /// In words, when the plan gave some.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// What an agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentAction {
    /// Takes calls of a queue.
    LogOn,
    /// Does not any more.
    LogOff,
    /// Is to be offered no calls for now.
    Pause,
    /// Takes calls again: after a pause, being set aside, or in the middle of a wrap-up.
    Resume,
}

/// A user and whether they can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Presence {
    /// Who.
    pub user: UserId,
    /// The name to show, when the tenant's settings have one.
    #[serde(default)]
    pub name: Option<String>,
    /// Their state.
    pub state: PresenceState,
}

/// Whether a user can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PresenceState {
    /// No device is connected.
    Offline,
    /// A device is connected.
    Available,
    /// In a call.
    Talking,
}

/// What kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// Not JSON, no known `type`, or a field is missing or wrong.
    BadMessage,
    /// The line is too long.
    TooLong,
    /// The message does not fit the state: `hello` twice, `answer` to a call that does not ring.
    WrongState,
    /// No such call for this session.
    NoSuchCall,
    /// No such mailbox or message for this user.
    NoSuchMessage,
    /// The token was refused.
    BadToken,
    /// The token does not grant this.
    NotGranted,
    /// The protocol version is not spoken here.
    BadVersion,
    /// A limit was reached.
    Overloaded,
    /// Too many messages a second.
    TooManyMessages,
    /// The node is shutting down.
    ShuttingDown,
}

/// Why a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GoodbyeReason {
    /// The client said `bye`.
    Bye,
    /// The token expired and was not renewed.
    TokenExpired,
    /// The session goes on over a newer link.
    Replaced,
    /// The first message was not a good `hello`, or did not come in time.
    NotWelcome,
    /// The client broke the protocol in a way that cannot be mended: a line that is too long.
    ProtocolViolation,
    /// The client does not read what it is sent.
    TooSlow,
    /// The node is shutting down.
    Shutdown,
}

/// Why a line could not be read. The text is meant for the one who wrote the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The line is too long.
    #[error("a line is at most {max} bytes; got {0}", max = limits::LINE_BYTES_MAX)]
    TooLong(usize),
    /// Not a message.
    #[error("not a message: {0}")]
    NotAMessage(String),
}

impl DecodeError {
    /// The error code that answers it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TooLong(_) => ErrorCode::TooLong,
            Self::NotAMessage(_) => ErrorCode::BadMessage,
        }
    }
}

fn decode<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, DecodeError> {
    if line.len() > limits::LINE_BYTES_MAX {
        return Err(DecodeError::TooLong(line.len()));
    }
    serde_json::from_slice(line).map_err(|error| DecodeError::NotAMessage(error.to_string()))
}

fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("messages have string keys only");
    line.push(b'\n');
    line
}

impl ClientMessage {
    /// Reads one line, without or with its newline.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn decode(line: &[u8]) -> Result<Self, DecodeError> {
        decode(line)
    }

    /// Writes one line, with its newline.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

impl ServerMessage {
    /// Reads one line, without or with its newline.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn decode(line: &[u8]) -> Result<Self, DecodeError> {
        decode(line)
    }

    /// Writes one line, with its newline.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}
