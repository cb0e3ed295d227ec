//! What a queue looks like now, for supervisors, functions and the control API.

use std::time::Duration;

use crate::id::{CallId, QueueId, UserId};
use crate::time::Instant;

use super::Queues;
use super::figures::Figures;
use super::interface::AgentState;
use super::settings::Settings;

/// A queue as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveQueue<'a> {
    /// Which.
    pub queue: &'a QueueId,
    /// Its settings.
    pub settings: &'a Settings,
    /// Who waits, first who is next.
    pub callers: Vec<LiveCaller>,
    /// Who is logged on, by name.
    pub agents: Vec<LiveAgent>,
    /// How it served its callers.
    pub figures: &'a Figures,
}

/// A caller who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveCaller {
    /// Which call.
    pub caller: CallId,
    /// Its priority.
    pub priority: u8,
    /// How long it has waited.
    pub waited: Duration,
    /// Who rings for it.
    pub offered_to: Vec<UserId>,
}

/// An agent who is logged on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveAgent {
    /// Who.
    pub agent: UserId,
    /// What they are doing.
    pub state: AgentState,
    /// Calls of this queue that they answered since they logged on.
    pub calls: u32,
}

impl Queues {
    /// A queue as it is now.
    pub fn live(&self, now: Instant, queue: &QueueId) -> Option<LiveQueue<'_>> {
        let (queue, line) = self.lines.get_key_value(queue)?;
        let callers = line.waiting.iter().map(|(place, waiting)| LiveCaller {
            caller: waiting.caller,
            priority: place.priority(),
            waited: now.since(waiting.joined),
            offered_to: waiting.offered_to.iter().cloned().collect(),
        });
        let calls = |id: &UserId| self.agents.get(id).and_then(|agent| agent.queues.get(queue).copied());
        let agents = line.logged_on.iter().map(|id| LiveAgent {
            agent: id.clone(),
            state: self.agent_state(id),
            calls: calls(id).unwrap_or(0),
        });
        let (callers, agents) = (callers.collect(), agents.collect());
        Some(LiveQueue { queue, settings: &line.settings, callers, agents, figures: &line.figures })
    }

    /// The names of all queues.
    pub fn names(&self) -> impl Iterator<Item = &QueueId> {
        self.lines.keys()
    }

    /// The settings of a queue.
    pub fn settings(&self, queue: &QueueId) -> Option<&Settings> {
        self.lines.get(queue).map(|line| &line.settings)
    }

    /// How many wait in a queue; `None`: there is no such queue.
    pub fn length(&self, queue: &QueueId) -> Option<usize> {
        self.lines.get(queue).map(|line| line.waiting.len())
    }

    /// Whether nothing but settings and figures is kept: nobody waits, nobody is logged on, nothing is due.
    pub fn is_idle(&self) -> bool {
        self.callers.is_empty() && self.agents.is_empty() && self.timers.is_empty() && self.outputs.is_empty()
    }
}
