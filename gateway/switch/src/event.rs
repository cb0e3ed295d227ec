//! What a routing function is told: an event, and the call so far. Mirrors `wit/voice.wit`; as JSON the names are the contract's own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::room::RoomCause;
use crate::time::UnixMillis;

/// How a party reached the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// WebTransport over QUIC.
    Webtransport,
    /// WebSocket over TLS, where UDP is blocked.
    Websocket,
    /// SIP.
    Sip,
}

/// How the gateway knows that a party is who it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verification {
    /// A token signed with the tenant's key.
    Token,
    /// A trunk that the tenant trusts.
    Trunk,
    /// Not verified.
    None,
}

/// Somebody at one end of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Party {
    /// A user's name, a number in E.164 form or a SIP address.
    pub address: String,
    /// The name to show.
    pub display_name: Option<String>,
    /// How `address` was verified.
    pub verified_by: Verification,
}

/// One header that the caller sent along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    /// Lower case.
    pub name: String,
    /// At most [`crate::limits::HEADER_VALUE_BYTES_MAX`] bytes.
    pub value: String,
}

/// The call, as it is when the function is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Context {
    /// The call's identifier.
    pub call: String,
    /// Who calls.
    pub from: Party,
    /// What the caller dialled.
    pub to: String,
    /// How the caller reached the gateway.
    pub transport: Transport,
    /// The node that carries the call; filled in by the shell.
    pub node: String,
    /// The region of that node; filled in by the shell.
    pub region: String,
    /// What the caller sent along.
    pub headers: Vec<Header>,
    /// When the invitation arrived.
    pub started_at: UnixMillis,
    /// When the event happened.
    pub now: UnixMillis,
    /// The state of this call's last plan.
    pub state: Vec<u8>,
    /// The version of the function that this call runs on; empty until the first answer.
    pub version: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Somebody calls.
    Incoming,
    /// A `consult` step was reached.
    Consulted(Consultation),
    /// The call is over.
    Ended(EndedCall),
}

/// A `consult` step's question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Consultation {
    /// The tag of the `consult` step.
    pub tag: String,
    /// What the step before it brought.
    pub outcome: Outcome,
}

/// What the last step brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing to tell.
    #[default]
    None,
    /// What a `dial` brought.
    Dialled(DialOutcome),
    /// What a `play` brought.
    Played(PlayOutcome),
    /// What a `gather` brought.
    Gathered(GatherOutcome),
    /// What a `voicemail` brought.
    LeftMessage(MessageOutcome),
    /// What a `record` or `tap` brought.
    Started(StartOutcome),
    /// What a `conference`, `broadcast` or `listen` brought.
    Conferenced(RoomOutcome),
    /// What an `enqueue` brought.
    Queued(QueueOutcome),
    /// What a `park` brought.
    Parked(ParkOutcome),
}

/// What a stay in a room or channel brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RoomOutcome {
    /// The room's or channel's name.
    pub room: String,
    /// Why it ended, or why the caller was not let in.
    pub cause: RoomCause,
    /// How long the caller stayed, milliseconds.
    pub stayed: u32,
}

/// What a `play` brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PlayOutcome {
    /// Whether it was played to its end.
    pub finished: bool,
    /// Why not.
    pub failure: Option<String>,
}

/// What a `gather` brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct GatherOutcome {
    /// The keys pressed, without the finish key.
    pub digits: String,
    /// Whether there are at least `min-digits`.
    pub complete: bool,
    /// What ended the entry.
    pub ended_by: GatherEnd,
}

/// What ends an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GatherEnd {
    /// There are `max-digits`.
    MaxDigits,
    /// The finish key.
    FinishKey,
    /// No first key in time.
    FirstDigitTimeout,
    /// No further key in time.
    InterDigitTimeout,
}

/// What a `voicemail` brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct MessageOutcome {
    /// The recording's identifier, when a message was kept.
    pub recording: Option<String>,
    /// How long it is, milliseconds.
    pub duration: u32,
    /// What ended it.
    pub ended_by: MessageEnd,
}

/// What ends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MessageEnd {
    /// The finish key.
    FinishKey,
    /// Nobody spoke for long enough.
    Silence,
    /// It was as long as it may be.
    MaxDuration,
    /// The gateway could not record.
    Failed,
}

/// What a `record` or `tap` brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StartOutcome {
    /// The identifier of the recording or tap.
    pub id: Option<String>,
    /// What went wrong.
    pub failure: Option<String>,
}

/// What an `enqueue` brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct QueueOutcome {
    /// Which queue.
    pub queue: String,
    /// How the caller left it.
    pub result: QueueResult,
    /// How long the caller waited, milliseconds.
    pub waited: u32,
    /// The agent who took the call.
    pub agent: Option<String>,
    /// How long the two talked, milliseconds.
    pub talked: u32,
}

/// How a caller left a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QueueResult {
    /// An agent took the call.
    Connected,
    /// The longest wait was over.
    TimedOut,
    /// As many waited as may.
    Full,
    /// Nobody who could serve the caller is logged on.
    NoAgents,
    /// The caller pressed the queue's exit key.
    LeftByKey,
    /// The queue was removed.
    Removed,
    /// There is no such queue.
    NoSuchQueue,
}

/// What a `park` brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ParkOutcome {
    /// The slot that the call was parked in.
    pub slot: Option<String>,
    /// How it went.
    pub result: ParkResult,
    /// How long the caller waited, milliseconds.
    pub waited: u32,
    /// Who picked the call up.
    pub by: Option<String>,
    /// How long the two talked, milliseconds.
    pub talked: u32,
}

/// How a parked call went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ParkResult {
    /// Somebody picked it up.
    PickedUp,
    /// Nobody did in time.
    TimedOut,
    /// Another call is parked in that slot.
    SlotTaken,
    /// As many calls are parked as may be.
    Full,
}

/// What a `dial` brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DialOutcome {
    /// `normal` when it was answered and the callee hung up; else why it was not answered.
    pub cause: Cause,
    /// Who answered, if somebody did.
    pub answered_by: Option<String>,
    /// How long the parties talked, milliseconds.
    pub talked: u32,
}

/// `call-record` of the contract: what the function learns of an ended call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct EndedCall {
    /// The call's identifier.
    pub call: String,
    /// Who called.
    pub from: String,
    /// What was dialled.
    pub to: String,
    /// When the invitation arrived.
    pub started_at: UnixMillis,
    /// When it was answered, if it was.
    pub answered_at: Option<UnixMillis>,
    /// When it ended.
    pub ended_at: UnixMillis,
    /// Who answered, if somebody did.
    pub answered_by: Option<String>,
    /// Why it ended.
    pub cause: Cause,
}
