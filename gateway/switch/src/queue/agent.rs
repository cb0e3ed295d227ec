//! Agents: logging on and off, pausing, and what a call does to them.

use std::collections::BTreeMap;

use crate::id::{CallId, QueueId, UserId};
use crate::limits;
use crate::time::Instant;

use super::Queues;
use super::interface::{AgentState, Exit, Output, Refused};
use super::settings::WhenEmpty;
use super::timers::Due;

/// A user who serves queues.
#[derive(Debug)]
pub(super) struct Agent {
    /// Those that they are logged on to, and how many calls of each they answered since.
    pub(super) queues: BTreeMap<QueueId, u32>,
    pub(super) duty: Duty,
    pub(super) paused: Option<PausedBy>,
    /// Whether they are in some call.
    pub(super) occupied: bool,
    /// Calls missed in a row.
    pub(super) misses: u32,
    /// Since when they have had no call.
    pub(super) idle_since: Instant,
}

/// What an agent does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    Idle,
    Offered { caller: CallId },
    Talking { queue: QueueId, since: Instant },
    WrapUp,
    Resting,
}

/// Who paused an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PausedBy {
    Agent,
    Misses,
}

impl Agent {
    fn new(now: Instant, occupied: bool) -> Self {
        Self { queues: BTreeMap::new(), duty: Duty::Idle, paused: None, occupied, misses: 0, idle_since: now }
    }

    /// Whether they take calls, now or in a while.
    pub(super) fn is_on_duty(&self) -> bool {
        self.paused.is_none()
    }

    /// Whether a call can be offered to them now.
    pub(super) fn is_free(&self) -> bool {
        self.duty == Duty::Idle && self.paused.is_none() && !self.occupied && !self.queues.is_empty()
    }

    fn state(&self) -> AgentState {
        match (&self.duty, self.paused) {
            (Duty::Talking { .. }, _) => AgentState::Talking,
            _ if self.queues.is_empty() => AgentState::LoggedOff,
            (Duty::Offered { .. }, _) => AgentState::Offered,
            (_, Some(PausedBy::Agent)) => AgentState::Paused,
            (_, Some(PausedBy::Misses)) => AgentState::SetAside,
            (Duty::WrapUp, None) => AgentState::WrapUp,
            (Duty::Resting, None) => AgentState::Resting,
            (Duty::Idle, None) if self.occupied => AgentState::Occupied,
            (Duty::Idle, None) => AgentState::Available,
        }
    }
}

impl Queues {
    /// What a user is doing as an agent.
    pub fn agent_state(&self, agent: &UserId) -> AgentState {
        self.agents.get(agent).map_or(AgentState::LoggedOff, Agent::state)
    }

    /// The queues that a user is logged on to.
    pub fn queues_of(&self, agent: &UserId) -> impl Iterator<Item = &QueueId> {
        self.agents.get(agent).into_iter().flat_map(|agent| agent.queues.keys())
    }

    pub(super) fn log_on(&mut self, now: Instant, queue: QueueId, id: UserId, occupied: bool) -> Result<(), Refused> {
        let Some(line) = self.lines.get_mut(&queue) else { return Err(Refused::NoSuchQueue(queue)) };
        if !line.settings.agents.contains_key(&id) {
            return Err(Refused::NotAnAgent { queue, agent: id });
        }
        line.logged_on.insert(id.clone());
        let agent = self.agents.entry(id.clone()).or_insert_with(|| Agent::new(now, occupied));
        agent.occupied = occupied;
        agent.queues.entry(queue).or_insert(0);
        self.touch(&id);
        Ok(())
    }

    pub(super) fn log_off(&mut self, now: Instant, queue: &QueueId, id: &UserId) -> Result<(), Refused> {
        let on = self.lines.get_mut(queue).is_some_and(|line| line.logged_on.remove(id));
        if !on {
            return Err(Refused::NotLoggedOn);
        }
        self.touch(id);
        let Some(agent) = self.agents.get_mut(id) else { return Ok(()) };
        agent.queues.remove(queue);
        if let Duty::Offered { caller } = agent.duty
            && self.callers.get(&caller).is_some_and(|(of, _)| of == queue)
        {
            self.withdraw(caller, id);
        }
        self.dismiss(id);
        self.touched_queues.insert(queue.clone());
        self.let_go(now, queue);
        Ok(())
    }

    pub(super) fn log_off_everywhere(&mut self, now: Instant, id: &UserId) {
        let queues: Vec<QueueId> = self.queues_of(id).cloned().collect();
        for queue in queues {
            let _ = self.log_off(now, &queue, id);
        }
    }

    /// Callers whom nobody who is logged on could serve leave, where the queue says so.
    fn let_go(&mut self, now: Instant, queue: &QueueId) {
        let Some(line) = self.lines.get(queue) else { return };
        if line.settings.when_empty == WhenEmpty::Wait {
            return;
        }
        let stranded = line.waiting.values().filter(|waiting| !line.can_be_served(&waiting.needs));
        let stranded: Vec<CallId> = stranded.map(|waiting| waiting.caller).collect();
        for caller in stranded {
            self.exit(now, caller, Exit::NoAgents);
        }
    }

    pub(super) fn pause(&mut self, id: &UserId) -> Result<(), Refused> {
        let Some(agent) = self.agents.get_mut(id) else { return Err(Refused::NotLoggedOn) };
        agent.paused = Some(PausedBy::Agent);
        if let Duty::Offered { caller } = agent.duty {
            self.withdraw(caller, id);
        }
        self.touch(id);
        Ok(())
    }

    pub(super) fn resume(&mut self, now: Instant, id: &UserId) -> Result<(), Refused> {
        let Some(agent) = self.agents.get_mut(id) else { return Err(Refused::NotLoggedOn) };
        agent.paused = None;
        agent.misses = 0;
        if matches!(agent.duty, Duty::WrapUp | Duty::Resting) {
            self.on_duty_again(now, id);
            self.timers.clear(&Due::Duty(id.clone()));
        }
        self.touch(id);
        Ok(())
    }

    pub(super) fn answered(&mut self, now: Instant, caller: CallId, id: &UserId) -> Result<(), Refused> {
        let offered = self.offer_of(caller).is_some_and(|waiting| waiting.offered_to.contains(id));
        if !offered {
            return Err(Refused::NotOffered);
        }
        let position = self.callers.get(&caller).and_then(|(of, place)| Some(self.lines.get(of)?.position(*place)));
        let Some((queue, waiting)) = self.take_caller(caller) else { return Err(Refused::NotOffered) };
        let waited = now.since(waiting.joined);
        if let Some(line) = self.lines.get_mut(&queue) {
            let service_level = line.settings.service_level;
            line.figures.answered(waited, service_level);
        }
        if let Some(agent) = self.agents.get_mut(id) {
            agent.misses = 0;
            if let Some(calls) = agent.queues.get_mut(&queue) {
                *calls = calls.saturating_add(1);
            }
            agent.duty = Duty::Talking { queue, since: now };
        }
        self.touch(id);
        let exit = Exit::Connected(id.clone());
        self.outputs.push_back(Output::Exit { caller, exit, waited, position: position.unwrap_or(0) });
        Ok(())
    }

    /// An agent did not take a caller who was offered.
    pub(super) fn missed(&mut self, now: Instant, caller: CallId, id: &UserId) {
        let Some(waiting) = self.offer_of(caller) else { return };
        if !waiting.offered_to.remove(id) {
            return;
        }
        waiting.missed_by.insert(id.clone());
        if waiting.offered_to.is_empty() {
            self.timers.clear(&Due::Ring(caller));
        }
        let Some((queue, _)) = self.callers.get(&caller) else { return };
        let misses_max = self.lines.get(queue).map_or(0, |line| line.settings.misses_max);
        self.touched_queues.insert(queue.clone());
        if let Some(agent) = self.agents.get_mut(id) {
            agent.misses = agent.misses.saturating_add(1);
            if misses_max > 0 && agent.misses >= misses_max && agent.paused.is_none() {
                agent.paused = Some(PausedBy::Misses);
            }
            agent.duty = Duty::Resting;
            self.timers.set(Due::Duty(id.clone()), now + limits::AGENT_REST);
        }
        self.touch(id);
    }

    /// The agents who were offered a caller rang long enough.
    pub(super) fn rung_out(&mut self, now: Instant, caller: CallId) {
        let Some(waiting) = self.offer_of(caller) else { return };
        let agents: Vec<UserId> = waiting.offered_to.iter().cloned().collect();
        for agent in &agents {
            self.missed(now, caller, agent);
        }
        self.outputs.push_back(Output::Withdraw { caller, agents });
    }

    /// An agent who was offered a caller is to ring no more, without having missed it.
    fn withdraw(&mut self, caller: CallId, id: &UserId) {
        if let Some(waiting) = self.offer_of(caller)
            && waiting.offered_to.remove(id)
        {
            if waiting.offered_to.is_empty() {
                self.timers.clear(&Due::Ring(caller));
            }
            self.outputs.push_back(Output::Withdraw { caller, agents: vec![id.clone()] });
        }
        self.release(id);
    }

    pub(super) fn finished(&mut self, now: Instant, id: &UserId) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        let Duty::Talking { queue, since } = agent.duty.clone() else { return };
        let mut wrap_up = std::time::Duration::ZERO;
        if let Some(line) = self.lines.get_mut(&queue) {
            wrap_up = line.settings.wrap_up;
            line.figures.handled(now.since(since) + wrap_up);
        }
        agent.idle_since = now;
        agent.duty = if wrap_up.is_zero() { Duty::Idle } else { Duty::WrapUp };
        if !wrap_up.is_zero() {
            self.timers.set(Due::Duty(id.clone()), now + wrap_up);
        }
        self.touch(id);
        self.dismiss(id);
    }

    pub(super) fn occupied(&mut self, id: &UserId, occupied: bool) {
        if let Some(agent) = self.agents.get_mut(id) {
            agent.occupied = occupied;
            self.touch(id);
        }
    }

    /// A wrap-up or rest is over.
    pub(super) fn on_duty_again(&mut self, now: Instant, id: &UserId) {
        if let Some(agent) = self.agents.get_mut(id) {
            agent.duty = Duty::Idle;
            agent.idle_since = now;
            self.touch(id);
        }
    }

    /// An agent does not ring any more. How long they have been idle goes on.
    pub(super) fn release(&mut self, id: &UserId) {
        if let Some(agent) = self.agents.get_mut(id) {
            if matches!(agent.duty, Duty::Offered { .. }) {
                agent.duty = Duty::Idle;
            }
            self.touch(id);
        }
    }

    /// Forgets an agent who serves no queue and has no caller.
    fn dismiss(&mut self, id: &UserId) {
        let Some(agent) = self.agents.get(id) else { return };
        if agent.queues.is_empty() && !matches!(agent.duty, Duty::Talking { .. }) {
            self.agents.remove(id);
            self.timers.clear(&Due::Duty(id.clone()));
            self.touch(id);
        }
    }

    fn offer_of(&mut self, caller: CallId) -> Option<&mut super::Waiting> {
        let (queue, place) = self.callers.get(&caller)?;
        self.lines.get_mut(queue)?.waiting.get_mut(place)
    }

    /// Something about an agent has changed.
    pub(super) fn touch(&mut self, id: &UserId) {
        if self.agents.get(id).is_some_and(Agent::is_free) {
            self.free.insert(id.clone());
        } else {
            self.free.remove(id);
        }
        if let Some(agent) = self.agents.get(id) {
            self.touched_queues.extend(agent.queues.keys().cloned());
        }
        self.touched_agents.insert(id.clone());
    }
}
