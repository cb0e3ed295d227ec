//! Queues, as the control API shows them and the store keeps them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_switch::id::{CallId, QueueId, UserId};
use tandem_switch::queue::{self, AgentState, BadSettings, LiveQueue, Skills, Strategy, WhenEmpty};
use utoipa::ToSchema;

/// A queue: callers wait in it until an agent takes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Queue {
    /// Its name: what `enqueue` steps and agents say.
    #[schema(value_type = String)]
    pub name: QueueId,
    /// How it works.
    #[serde(default)]
    pub settings: QueueSettings,
}

/// How a queue works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct QueueSettings {
    /// Whom a caller is offered to: `ring-all`, `longest-idle`, `round-robin`, `fewest-calls`, `random` or `skills` (who is best at what the
    /// caller needs).
    #[schema(value_type = String, example = "longest-idle")]
    pub strategy: Strategy,
    /// Who may log on, with the skills that they have and how good they are at each, 0 to 255.
    #[schema(value_type = BTreeMap<String, BTreeMap<String, u8>>)]
    pub agents: BTreeMap<UserId, Skills>,
    /// How long an agent's devices ring, seconds; 1 to 600.
    pub ring_seconds: u64,
    /// How long an agent is left alone after a call, seconds; 0 to 1800.
    pub wrap_up_seconds: u64,
    /// Most callers who wait at once; 1 to 1000. Further ones leave at once, as `full`.
    pub callers_max: u64,
    /// The longest wait, seconds; 1 to 14400. A plan may ask for less.
    pub max_wait_seconds: u64,
    /// How often a caller is told its position after the first time, seconds, 5 to 600; without it: not again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announce_seconds: Option<u64>,
    /// The prompt that callers hear while they wait, unless the plan names another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub music: Option<String>,
    /// A key by which a caller leaves the queue: 0-9, *, #, A-D.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_key: Option<char>,
    /// After how many missed calls in a row an agent is set aside until they resume; 0: never.
    pub misses_max: u32,
    /// Who is answered within this many seconds was answered in time; 1 to 14400.
    pub service_level_seconds: u64,
    /// What happens to callers while nobody who could serve them is logged on: `leave` or `wait`.
    #[schema(value_type = String, example = "leave")]
    pub when_empty: WhenEmpty,
}

impl Default for QueueSettings {
    fn default() -> Self {
        let queue::Settings {
            strategy,
            agents,
            ring_time,
            wrap_up,
            callers_max,
            max_wait,
            announce_every,
            music,
            exit_key,
            misses_max,
            service_level,
            when_empty,
        } = queue::Settings::default();
        Self {
            strategy,
            agents,
            ring_seconds: ring_time.as_secs(),
            wrap_up_seconds: wrap_up.as_secs(),
            callers_max: callers_max as u64,
            max_wait_seconds: max_wait.as_secs(),
            announce_seconds: announce_every.map(|every| every.as_secs()),
            music,
            exit_key,
            misses_max,
            service_level_seconds: service_level.as_secs(),
            when_empty,
        }
    }
}

impl QueueSettings {
    /// As the core takes them.
    ///
    /// # Errors
    /// Names the first setting that is out of its bounds.
    pub fn parse(&self) -> Result<queue::Settings, BadSettings> {
        let settings = queue::Settings {
            strategy: self.strategy,
            agents: self.agents.clone(),
            ring_time: Duration::from_secs(self.ring_seconds),
            wrap_up: Duration::from_secs(self.wrap_up_seconds),
            callers_max: usize::try_from(self.callers_max).unwrap_or(usize::MAX),
            max_wait: Duration::from_secs(self.max_wait_seconds),
            announce_every: self.announce_seconds.map(Duration::from_secs),
            music: self.music.clone(),
            exit_key: self.exit_key,
            misses_max: self.misses_max,
            service_level: Duration::from_secs(self.service_level_seconds),
            when_empty: self.when_empty,
        };
        settings.check()?;
        Ok(settings)
    }
}

/// A queue as it is now, on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct QueueState {
    /// Which.
    #[schema(value_type = String)]
    pub name: QueueId,
    /// Who waits, first who is next.
    pub callers: Vec<QueueCaller>,
    /// Who is logged on, by name.
    pub agents: Vec<QueueAgent>,
    /// How it served its callers since the node started.
    pub figures: QueueFigures,
}

/// A caller who waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct QueueCaller {
    /// Which call.
    #[schema(value_type = String)]
    pub call: CallId,
    /// Its priority: higher goes first.
    pub priority: u8,
    /// How long it has waited, milliseconds.
    pub waited_ms: u64,
    /// Who rings for it.
    #[schema(value_type = Vec<String>)]
    pub offered_to: Vec<UserId>,
}

/// An agent who is logged on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct QueueAgent {
    /// Who.
    #[schema(value_type = String)]
    pub user: UserId,
    /// `available`, `occupied` (in another call), `offered`, `talking`, `wrap-up`, `resting` (missed a call just now), `paused`, or `set-aside`
    /// (missed too many).
    #[schema(value_type = String, example = "available")]
    pub state: AgentState,
    /// Calls of this queue that they answered since they logged on.
    pub calls: u32,
}

/// How a queue served its callers since the node started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct QueueFigures {
    /// Callers who joined, those who were refused at once included.
    pub joined: u64,
    /// Callers whom an agent took.
    pub answered: u64,
    /// Of them, those within the service level's time.
    pub answered_in_time: u64,
    /// Callers who hung up while they waited.
    pub abandoned: u64,
    /// Callers whose longest wait was over.
    pub timed_out: u64,
    /// Callers who were refused because too many waited.
    pub full: u64,
    /// Callers who left because nobody who could serve them was logged on.
    pub no_agents: u64,
    /// Callers who left by the exit key.
    pub left_by_key: u64,
    /// The mean wait of those who were answered, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_wait_ms: Option<u64>,
    /// The longest wait of those who were answered, milliseconds.
    pub longest_wait_ms: u64,
    /// How long a call takes its agent, talk and wrap-up, milliseconds: an exponential mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_handling_ms: Option<u64>,
    /// How many of those who were answered waited at most so long, in growing order.
    pub waits: Vec<QueueWaits>,
}

/// One bucket of waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct QueueWaits {
    /// Its upper bound, seconds; the last bucket has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_to_seconds: Option<u64>,
    /// How many waited longer than the bucket before says, and not longer than this one.
    pub callers: u64,
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl From<LiveQueue<'_>> for QueueState {
    fn from(live: LiveQueue<'_>) -> Self {
        let caller = |caller: queue::LiveCaller| QueueCaller {
            call: caller.caller,
            priority: caller.priority,
            waited_ms: millis(caller.waited),
            offered_to: caller.offered_to,
        };
        let agent = |agent: queue::LiveAgent| QueueAgent { user: agent.agent, state: agent.state, calls: agent.calls };
        Self {
            name: live.queue.clone(),
            callers: live.callers.into_iter().map(caller).collect(),
            agents: live.agents.into_iter().map(agent).collect(),
            figures: live.figures.into(),
        }
    }
}

impl From<&queue::Figures> for QueueFigures {
    fn from(figures: &queue::Figures) -> Self {
        let bounds = queue::WAIT_BOUNDS_SECONDS.into_iter().map(Some).chain([None]);
        let waits = bounds.zip(figures.waits).map(|(up_to_seconds, callers)| QueueWaits { up_to_seconds, callers });
        Self {
            joined: figures.joined,
            answered: figures.answered,
            answered_in_time: figures.answered_in_time,
            abandoned: figures.abandoned,
            timed_out: figures.timed_out,
            full: figures.full,
            no_agents: figures.no_agents,
            left_by_key: figures.left_by_key,
            mean_wait_ms: figures.mean_wait().map(millis),
            longest_wait_ms: millis(figures.longest_wait),
            mean_handling_ms: figures.mean_handling.map(millis),
            waits: waits.collect(),
        }
    }
}
