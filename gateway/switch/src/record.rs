//! What remains of a call: the call detail record.

use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::event::Transport;
use crate::id::{CallId, TenantId, UserId};
use crate::media::stats::Reception;
use crate::time::UnixMillis;

/// The call detail record; exactly one for each call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The call.
    pub call: CallId,
    /// Whose call it was.
    pub tenant: TenantId,
    /// Who called.
    pub from: UserId,
    /// What was dialled.
    pub to: String,
    /// How the caller reached the gateway.
    pub transport: Transport,
    /// When the invitation arrived.
    pub started_at: UnixMillis,
    /// When the first device was rung.
    pub ringing_at: Option<UnixMillis>,
    /// When it was answered (the last time, if several dials were).
    pub answered_at: Option<UnixMillis>,
    /// When it ended.
    pub ended_at: UnixMillis,
    /// Who answered (the last one).
    pub answered_by: Option<UserId>,
    /// Why it ended.
    pub cause: Cause,
    /// Which side ended it.
    pub ended_by: EndedBy,
    /// The call in which one of its parties went on, when the other one handed them over: the end of an attended transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub went_to: Option<CallId>,
    /// Every question to the function, in order.
    pub consultations: Vec<ConsultationRecord>,
    /// What the gateway received of each leg's voice: caller first, then each callee that was connected. The core leaves it
    /// empty; the shell, which holds the forwarding tables, fills it in.
    pub voice: Vec<VoiceRecord>,
}

/// Which side ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndedBy {
    /// The caller.
    Caller,
    /// The callee.
    Callee,
    /// The plan: `reject`, `hangup`, or its end.
    Plan,
    /// The gateway: a time limit, a lost connection, a shutdown.
    Gateway,
}

/// One question to the function and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsultationRecord {
    /// `incoming`, or the tag of the consult step.
    pub about: String,
    /// The version that answered; empty when none did.
    pub version: String,
    /// How long the answer took, microseconds.
    pub micros: u64,
    /// What went wrong, when something else than the version's own plan was carried out.
    pub failure: Option<String>,
    /// What was carried out instead, when something went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<Instead>,
}

/// What a call goes on with when its function failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Instead {
    /// The plan of the last version that worked; names it.
    LastGoodVersion(String),
    /// The tenant's default plan.
    DefaultPlan,
    /// Nothing: the call was refused politely, or ended.
    Rejection,
}

/// What the gateway received of one leg's voice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VoiceRecord {
    /// Whose voice.
    pub user: UserId,
    /// Counters and quality.
    pub reception: Reception,
}
