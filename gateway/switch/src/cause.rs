//! Why a call or an attempt ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a call or one of its attempts ended: an expected outcome, never an error. Mirrors `cause` of `wit/voice.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Somebody hung up after talking.
    Normal,
    /// The caller gave up before anybody answered.
    Cancelled,
    /// The callee is on another call and wants no second one.
    Busy,
    /// It rang until the ring timeout and nobody answered.
    NoAnswer,
    /// The callee refused the call.
    Declined,
    /// Another device or person answered first.
    AnsweredElsewhere,
    /// No such user, number or address.
    NotFound,
    /// The user exists and has no device connected.
    Unreachable,
    /// The caller may not make this call.
    Forbidden,
    /// The caller dialled their own address.
    OwnAddress,
    /// Nobody takes calls at this hour or place.
    Closed,
    /// The caller was told to call another address.
    Redirected,
    /// The call reached its maximum length.
    TimeLimit,
    /// A party's connection was lost and did not come back in time.
    ConnectionLost,
    /// The routing function failed, and there was no default plan to fall back on.
    FunctionFailed,
    /// The plan ended without connecting the caller to anybody.
    NoRoute,
    /// A limit of the tenant or of the node was reached.
    Overloaded,
    /// The node is shutting down.
    Shutdown,
    /// Something in the gateway broke its promise.
    InternalError,
}

impl Cause {
    /// Every cause, in the order of the contract.
    pub const ALL: [Self; 19] = [
        Self::Normal,
        Self::Cancelled,
        Self::Busy,
        Self::NoAnswer,
        Self::Declined,
        Self::AnsweredElsewhere,
        Self::NotFound,
        Self::Unreachable,
        Self::Forbidden,
        Self::OwnAddress,
        Self::Closed,
        Self::Redirected,
        Self::TimeLimit,
        Self::ConnectionLost,
        Self::FunctionFailed,
        Self::NoRoute,
        Self::Overloaded,
        Self::Shutdown,
        Self::InternalError,
    ];

    /// The word used in signalling, records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Cancelled => "cancelled",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Declined => "declined",
            Self::AnsweredElsewhere => "answered-elsewhere",
            Self::NotFound => "not-found",
            Self::Unreachable => "unreachable",
            Self::Forbidden => "forbidden",
            Self::OwnAddress => "own-address",
            Self::Closed => "closed",
            Self::Redirected => "redirected",
            Self::TimeLimit => "time-limit",
            Self::ConnectionLost => "connection-lost",
            Self::FunctionFailed => "function-failed",
            Self::NoRoute => "no-route",
            Self::Overloaded => "overloaded",
            Self::Shutdown => "shutdown",
            Self::InternalError => "internal-error",
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_json_agree() {
        for cause in Cause::ALL {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.as_str());
        }
    }
}
