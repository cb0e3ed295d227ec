//! What the exchange is told and what it wants done: its contract with the shell.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rooms::RoomVoice;
use crate::audio::{AudioCommand, AudioEvent, Destination};
use crate::event::{Context, Event, Transport};
use crate::id::{CallId, FlowId, LinkId, QueueId, RoomId, SessionId, TenantId, UserId};
use crate::limits;
use crate::mailbox::Question;
use crate::media::stats::Reception;
use crate::plan::{Accepted, Plan};
use crate::queue;
use crate::record::{CallRecord, Instead};
use crate::signal::{ClientMessage, DecodeError, GoodbyeReason, Hello, ServerMessage};
use crate::token::{Identity, TokenError};

/// What the exchange is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A tenant's settings are new or changed.
    Tenant {
        /// Whose.
        tenant: TenantId,
        /// All of them.
        settings: Box<TenantSettings>,
    },
    /// A tenant is gone: its sessions and calls end. No token of it may be taken for good any more.
    Forget {
        /// Whose.
        tenant: TenantId,
    },
    /// A link said `hello` with a good token.
    Attach {
        /// The link; the shell never uses its number again.
        link: LinkId,
        /// What it runs on.
        transport: Transport,
        /// What the token proved.
        identity: Box<Identity>,
        /// The message; its token is not looked at.
        hello: Box<Hello>,
    },
    /// A message other than `hello` and `renew` came in.
    Message {
        /// Over which link.
        link: LinkId,
        /// What it says.
        message: Box<ClientMessage>,
    },
    /// A `renew` came in and its token was checked.
    Renew {
        /// Over which link.
        link: LinkId,
        /// What the check brought.
        token: Box<Result<Identity, TokenError>>,
    },
    /// A line came in that is no message.
    Undecodable {
        /// Over which link.
        link: LinkId,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// A link is gone.
    Lost {
        /// Which.
        link: LinkId,
    },
    /// The function answered, or failed to.
    Planned {
        /// Which call.
        call: CallId,
        /// Which question, of [`Consult::consultation`].
        consultation: u32,
        /// The answer.
        answer: Box<Result<Answer, ConsultFailure>>,
    },
    /// The codec threads tell of a playback, a silence, a recording or a tap.
    Audio(AudioEvent),
    /// Who speaks in a room has changed.
    Speaking {
        /// Which room.
        room: RoomId,
        /// The voices of those who speak, the loudest first.
        flows: Vec<FlowId>,
    },
    /// An answer to [`Output::Mailbox`].
    Told {
        /// Who asked.
        session: SessionId,
        /// The answer.
        message: Box<ServerMessage>,
    },
    /// A user's messages have changed.
    Waiting {
        /// Whose user.
        tenant: TenantId,
        /// Who.
        user: UserId,
        /// How many nobody has heard yet.
        waiting: u64,
        /// How many there are.
        messages: u64,
    },
    /// What the gateway received so far of a routed flow.
    Measured {
        /// The talker's link.
        from: LinkId,
        /// The flow.
        flow: FlowId,
        /// Counters since the route was made.
        reception: Reception,
    },
    /// The node is going to stop: no new sessions and calls.
    Drain,
    /// The node stops now: every call ends with [`Cause::Shutdown`], every session with `goodbye`.
    Shutdown,
}

/// What a function answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What to do; not yet checked.
    pub plan: Plan,
    /// The version that answered.
    pub version: String,
    /// Another version was asked before this one, and failed: the call goes on with the last good version from here.
    pub instead_of: Option<Failed>,
}

/// A version that gave no usable plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Which.
    pub version: String,
    /// How it failed, in plain words.
    pub failure: String,
}

/// Why a function gave no plan. The call goes on with the tenant's default plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsultFailure {
    /// The tenant has none.
    #[error("the tenant has no function")]
    NoFunction,
    /// It trapped.
    #[error("the function trapped: {0}")]
    Trapped(String),
    /// It ran longer than it may.
    #[error("the function did not answer within {0:?}")]
    DeadlineExceeded(Duration),
    /// It wanted more memory than it may have.
    #[error("the function wanted more memory than its limit of {0} bytes")]
    OutOfMemory(u64),
    /// Its answer was too large.
    #[error("the function's answer was too large: {0}")]
    AnswerTooLarge(String),
    /// Its plan breaks a rule of the contract.
    #[error("the plan was refused: {0}")]
    PlanRefused(String),
    /// It failed again and again before, so it was not asked; names the version.
    #[error("{0} is paused: it failed again and again")]
    Paused(String),
    /// A budget of the tenant is used up; names it.
    #[error("the tenant is over its limit: {0}")]
    OverBudget(String),
    /// It answered with its own error.
    #[error("the function answered with an error: {0}")]
    Refused(String),
    /// Too many invocations are under way.
    #[error("too many invocations are under way")]
    Overloaded,
    /// The host failed.
    #[error("the function host failed: {0}")]
    Host(String),
}

/// What the shell must do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a message.
    Send {
        /// Over which link.
        link: LinkId,
        /// What.
        message: Box<ServerMessage>,
    },
    /// Send `goodbye` and close.
    Close {
        /// Which link.
        link: LinkId,
        /// Why.
        reason: GoodbyeReason,
    },
    /// Ask the function. For [`Event::Ended`] the answer is ignored.
    Consult(Box<Consult>),
    /// Forward a flow; replaces an earlier route of the same `from` and `flow` and keeps its counters.
    Route {
        /// For which call.
        call: CallId,
        /// Whose voice it is.
        speaker: UserId,
        /// The talker's link.
        from: LinkId,
        /// The flow, the same at both ends.
        flow: FlowId,
        /// Everybody and everything that hears it, in a fixed order.
        to: Vec<Destination>,
        /// Whether packets pass.
        gate: Gate,
    },
    /// Stop forwarding a flow. Its counters belong to the call's record.
    Unroute {
        /// For which call.
        call: CallId,
        /// Whose voice it was.
        speaker: UserId,
        /// The talker's link.
        from: LinkId,
        /// The flow.
        flow: FlowId,
    },
    /// Have the codec threads do something.
    Audio(AudioCommand),
    /// Who talks and who hears in a room has changed.
    Room {
        /// Which room.
        room: RoomId,
        /// What is new.
        change: RoomVoice,
    },
    /// A user asks something about a mailbox of their own; answer with [`Input::Told`].
    Mailbox(Box<Question>),
    /// A session has begun or come back: tell how many messages wait for its user with [`Input::Waiting`], if any do.
    Waits {
        /// Whose user.
        tenant: TenantId,
        /// Who.
        user: UserId,
    },
    /// A call is over; comes after all of its `Unroute`s, once for each call.
    Record(Box<CallRecord>),
}

/// A question to a tenant's function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consult {
    /// Which call.
    pub call: CallId,
    /// Which question of this call, from 1.
    pub consultation: u32,
    /// Whose function.
    pub tenant: TenantId,
    /// The version that the call runs on; `None` at its first question.
    pub version: Option<String>,
    /// The call so far. `node` and `region` are empty: the shell fills them in.
    pub context: Context,
    /// What happened.
    pub event: Event,
}

/// Whether a route's packets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// They pass.
    Open,
    /// They are counted and dropped: muted, held, or the listener is away.
    Closed,
}

/// What an operator or tenant set for a tenant.
#[derive(Clone, Debug)]
pub struct TenantSettings {
    /// The tenant's users and the names to show. Empty: any user whose token is good.
    pub users: BTreeMap<UserId, Option<String>>,
    /// Its queues.
    pub queues: BTreeMap<QueueId, queue::Settings>,
    /// What happens when the function fails or there is none.
    pub default_plan: DefaultPlan,
    /// Most sessions on this node.
    pub sessions_max: usize,
    /// Most calls on this node.
    pub calls_max: usize,
    /// Most members of a room.
    pub room_members_max: usize,
    /// How many talkers of a room are heard at once.
    pub room_speakers: usize,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self {
            users: BTreeMap::new(),
            queues: BTreeMap::new(),
            default_plan: DefaultPlan::RingDialled { ring_timeout: Duration::from_secs(30) },
            sessions_max: limits::SESSIONS_PER_TENANT_MAX,
            calls_max: limits::CALLS_PER_TENANT_MAX,
            room_members_max: limits::ROOM_MEMBERS_MAX,
            room_speakers: limits::ROOM_SPEAKERS,
        }
    }
}

/// What happens to a call whose function fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultPlan {
    /// Ring the user that was dialled.
    RingDialled {
        /// How long.
        ring_timeout: Duration,
    },
    /// A plan of the tenant's.
    Plan(Accepted),
    /// Refuse it with [`Cause::FunctionFailed`].
    Refuse,
}

impl DefaultPlan {
    /// What a call to this address gets of it: a plan to carry out, or a rejection.
    pub fn instead(&self, dialled: &str) -> Instead {
        match self {
            Self::RingDialled { .. } if UserId::new(dialled).is_err() => Instead::Rejection,
            Self::RingDialled { .. } | Self::Plan(_) => Instead::DefaultPlan,
            Self::Refuse => Instead::Rejection,
        }
    }
}

/// Why a deadline is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The function has to answer.
    Consult(CallId),
    /// A pause step ends.
    Pause(CallId),
    /// The devices have rung long enough.
    Ring(CallId),
    /// The parties have talked long enough.
    TimeLimit(CallId),
    /// A step has taken long enough: a playback, a digit, a message.
    Step(CallId),
    /// A room's news are told.
    Room(RoomId),
    /// Queues have something to do.
    Queues,
    /// A session without a link is given up.
    Grace(SessionId),
    /// A session's token expires.
    TokenExpiry(SessionId),
}
