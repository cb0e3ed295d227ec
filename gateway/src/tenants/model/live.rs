//! Live calls, as the control API shows and changes them.

use serde::{Deserialize, Serialize};
use tandem_switch::call::Side;
use tandem_switch::cause::Cause;
use tandem_switch::id::{CallId, UserId};
use tandem_switch::plan::{AudioSource, Plan};
use utoipa::ToSchema;

/// A live call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LiveCall {
    /// Its identifier.
    #[schema(value_type = String)]
    pub call: CallId,
    /// Who calls.
    #[schema(value_type = String)]
    pub from: UserId,
    /// What was dialled.
    pub to: String,
    /// What it is at: `deciding`, `pausing`, `ringing`, `talking`, `playing`, `gathering`, `messaging`, `queued`, `parked`, `tapping`.
    pub state: String,
    /// Since how many seconds.
    pub seconds: u64,
}

/// One side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallSide {
    /// Who called; after a transfer, whoever stayed.
    Caller,
    /// Who answered.
    Callee,
}

impl From<CallSide> for Side {
    fn from(side: CallSide) -> Self {
        match side {
            CallSide::Caller => Self::Caller,
            CallSide::Callee => Self::Callee,
        }
    }
}

/// How a live call is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HangupCall {
    /// What its parties are told.
    #[serde(default = "normal")]
    #[schema(value_type = String, example = "normal")]
    pub cause: Cause,
}

fn normal() -> Cause {
    Cause::Normal
}

/// What a live call goes on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RedirectCall {
    /// The plan, as functions answer it.
    #[schema(value_type = Object)]
    pub plan: Plan,
}

/// Which side is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SideOfCall {
    /// Which.
    pub side: CallSide,
}

/// To whom a call is handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TransferCall {
    /// A user.
    #[schema(value_type = String)]
    pub to: UserId,
    /// Who leaves; the other side is connected to the new party.
    pub leaves: CallSide,
}

/// What a side hears, beside the voices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlayToCall {
    /// Which side.
    pub side: CallSide,
    /// What, as in a plan: `{"prompt": "please-hold"}` or `{"tone": "beep"}`.
    #[schema(value_type = Object)]
    pub source: AudioSource,
}
