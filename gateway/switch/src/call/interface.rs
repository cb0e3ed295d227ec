//! What a call is told and what it wants done: its contract with the exchange.

use std::sync::Arc;

use crate::cause::Cause;
use crate::event::{Header, Transport};
use crate::exchange::{Answer, Consult, ConsultFailure, DefaultPlan};
use crate::id::{CallId, SessionId, TenantId, UserId};
use crate::media::stats::Reception;
use crate::record::CallRecord;
use crate::signal::{ErrorCode, Happening};

/// Who calls, and how they reached the gateway.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The session that sent the invitation.
    pub session: SessionId,
    /// Whose.
    pub user: UserId,
    /// The name to show.
    pub name: Option<String>,
    /// What the session runs on.
    pub transport: Transport,
}

/// An invitation: what a call begins with.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// The call's name.
    pub call: CallId,
    /// Whose call it is.
    pub tenant: TenantId,
    /// Who calls.
    pub caller: Caller,
    /// What was dialled.
    pub to: String,
    /// What the caller sent along.
    pub headers: Vec<Header>,
    /// What happens when the function fails, as the tenant's settings are when the call begins.
    pub default_plan: Arc<DefaultPlan>,
}

/// What a call is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The function answered question number `.0`, or failed to.
    Planned(u32, Box<Result<Answer, ConsultFailure>>),
    /// The answer to [`Output::Find`]: each user with what there is of them.
    Found(Vec<(UserId, Found)>),
    /// A party did something.
    Party(SessionId, Deed),
    /// A session is over.
    Gone(SessionId, Gone),
    /// The node stops.
    Shutdown,
}

/// What a party may do to a call.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Takes it.
    Answer,
    /// Refuses it.
    Decline(Cause),
    /// Leaves it.
    Hangup,
    /// Holds.
    Hold,
    /// Holds no more.
    Resume,
    /// Is not to be heard.
    Mute,
    /// Is to be heard again.
    Unmute,
    /// Presses keys; checked already.
    Dtmf(String),
    /// Says how well the other party is heard.
    Report(Reception),
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Its client said `bye`: as if it hung up.
    Bye,
    /// Its link was lost and did not come back, or its token expired.
    Lost,
}

/// What there is of a dialled user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Devices to ring; at least one.
    Devices(Vec<SessionId>),
    /// The tenant has no such user.
    Unknown,
    /// No device that takes calls is connected.
    Away,
    /// Every device is a party of as many calls as it may be.
    Full,
}

/// What the exchange must do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Ask the function.
    Consult(Box<Consult>),
    /// Say what there is of these users, with [`Input::Found`], at once.
    Find(Vec<UserId>),
    /// Tell a party.
    Tell(SessionId, Happening),
    /// Allot flows, tell both parties `connected` and route their voices.
    Connect {
        /// Who answered.
        callee: SessionId,
    },
    /// Whose voice passes has changed; see [`Call::passes`].
    Gates,
    /// Stop both voices.
    Disconnect,
    /// The call is over.
    Record(Box<CallRecord>),
}

/// Why a party's deed is refused; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of error.
    pub code: ErrorCode,
    /// What was wrong and what would be right.
    pub message: String,
}

/// One side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Who called.
    Caller,
    /// Who answered.
    Callee,
}

impl Side {
    /// Both, the caller first.
    pub const BOTH: [Self; 2] = [Self::Caller, Self::Callee];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}
