//! What queues are told and what they want done: their contract with the exchange.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{CallId, QueueId, UserId};
use crate::limits;

use super::settings::{Settings, Skills};

/// What queues are told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A queue is new or has other settings. They are checked already.
    Configure {
        /// Which.
        queue: QueueId,
        /// All of them.
        settings: Box<Settings>,
    },
    /// A queue is no more.
    Remove {
        /// Which.
        queue: QueueId,
    },
    /// A caller joins.
    Join {
        /// Which queue.
        queue: QueueId,
        /// Who.
        caller: CallId,
        /// Higher goes first.
        priority: u8,
        /// What an agent must be able to do, and how well.
        needs: Skills,
        /// The longest wait, when it shall be shorter than the queue's.
        max_wait: Option<Duration>,
    },
    /// A caller left by itself: no [`Output::Exit`] follows.
    Leave {
        /// Who.
        caller: CallId,
    },
    /// A caller pressed a key.
    Key {
        /// Who.
        caller: CallId,
        /// Which.
        key: char,
    },
    /// A user begins to serve a queue.
    LogOn {
        /// Which.
        queue: QueueId,
        /// Who.
        agent: UserId,
        /// Whether they are in some call now.
        occupied: bool,
    },
    /// A user serves a queue no more; `None`: none of them.
    LogOff {
        /// Which.
        queue: Option<QueueId>,
        /// Who.
        agent: UserId,
    },
    /// An agent is to be offered no calls.
    Pause {
        /// Who.
        agent: UserId,
    },
    /// An agent takes calls again: after a pause, being set aside, or in the middle of a wrap-up.
    Resume {
        /// Who.
        agent: UserId,
    },
    /// An agent took the caller who was offered.
    Answered {
        /// Which caller.
        caller: CallId,
        /// Who.
        agent: UserId,
    },
    /// An agent declined the caller who was offered, or has no device that rings.
    Missed {
        /// Which caller.
        caller: CallId,
        /// Who.
        agent: UserId,
    },
    /// An agent is done with the caller whom they took.
    Finished {
        /// Who.
        agent: UserId,
    },
    /// Whether a user is in some call has changed.
    Occupied {
        /// Who.
        agent: UserId,
        /// Whether they are.
        occupied: bool,
    },
}

/// What queues want done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ring these agents for this caller, until one answers or [`Output::Withdraw`] or [`Output::Exit`] comes.
    Offer {
        /// Who waits.
        caller: CallId,
        /// In which queue.
        queue: QueueId,
        /// Whom to ring, at least one.
        agents: Vec<UserId>,
        /// How long the caller has waited.
        waited: Duration,
    },
    /// Ring these agents no more; the caller waits on.
    Withdraw {
        /// Who waits.
        caller: CallId,
        /// Whom.
        agents: Vec<UserId>,
    },
    /// Tell a caller its position: when it joins, and then as often as the queue says.
    Position {
        /// Whom.
        caller: CallId,
        /// From 1.
        position: u32,
        /// How long the wait may take, when that can be told.
        estimate: Option<Duration>,
    },
    /// A caller waits no more; whoever rings for it stops, but for the agent who took it.
    Exit {
        /// Who.
        caller: CallId,
        /// How.
        exit: Exit,
        /// How long the caller waited.
        waited: Duration,
        /// The position that it had, from 1; 0: it never waited.
        position: u32,
    },
    /// An agent's state is another: tell them.
    Agent {
        /// Who.
        agent: UserId,
        /// What it is now.
        state: AgentState,
    },
    /// Something that [`super::LiveQueue`] shows has changed.
    Changed(QueueId),
}

/// How a caller left a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// An agent took the call.
    Connected(UserId),
    /// The longest wait is over.
    TimedOut,
    /// As many wait as may.
    Full,
    /// Nobody who could serve the caller is logged on.
    NoAgents,
    /// The caller pressed the exit key.
    Key(char),
    /// The queue is no more.
    Removed,
    /// There is no such queue.
    NoSuchQueue,
}

/// What an agent is doing, as far as queues go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentState {
    /// Serves no queue.
    LoggedOff,
    /// Waits for callers.
    Available,
    /// In a call that is not a queue's.
    Occupied,
    /// Rings for a caller.
    Offered,
    /// Talks to a caller.
    Talking,
    /// Is left alone after a call.
    WrapUp,
    /// Is left alone after a missed call.
    Resting,
    /// Paused by themselves.
    Paused,
    /// Missed too many calls; `resume` ends it.
    SetAside,
}

/// Why something cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such queue.
    #[error("there is no queue {0}")]
    NoSuchQueue(QueueId),
    /// Not named by the queue's settings.
    #[error("{agent} is no agent of queue {queue}; the queue's settings name its agents")]
    NotAnAgent {
        /// Which queue.
        queue: QueueId,
        /// Who.
        agent: UserId,
    },
    /// Not logged on.
    #[error("you are not logged on to that queue; `log-on` first")]
    NotLoggedOn,
    /// The caller waits in a queue already.
    #[error("the caller waits in a queue already")]
    WaitsAlready,
    /// This caller is not offered to this agent (any more).
    #[error("this call is not offered to you any more")]
    NotOffered,
    /// Too many queues.
    #[error("a tenant has at most {max} queues", max = limits::QUEUES_PER_TENANT_MAX)]
    TooManyQueues,
}
