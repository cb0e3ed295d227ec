//! What an invocation saw of the world: enough to run it again and come to the same answer.

use serde::{Deserialize, Serialize};

use crate::outside::{Question, Reply};

/// Everything that reached an invocation from outside of its instance, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// What its random numbers were drawn from: 64 hexadecimal digits. Who reads this can recompute all of them.
    pub seed: String,
    /// What its clocks showed at each reading, microseconds since the invocation began; at most [`crate::limits::CLOCK_READINGS_MAX`],
    /// further readings show one microsecond more each.
    pub clock: Vec<u64>,
    /// Its host calls, at most [`crate::limits::HOST_CALLS_MAX`], with at most [`crate::limits::TRACE_BYTES_MAX`] together; a further one is
    /// refused.
    pub calls: Vec<HostCall>,
}

/// One host call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCall {
    /// What was asked.
    pub question: Question,
    /// What was answered.
    pub reply: Reply,
    /// How long the answer took, microseconds.
    pub micros: u64,
}
