//! Queues: who waits for whom. All queues of one tenant and the agents who serve them, as one machine, because an agent may serve several
//! queues and is offered one call at a time.
//!
//! `handle(now, Input)`, drain `poll()`, `poll_timeout()`, `handle_timeout(now)`. It knows callers by their calls' names and agents by their
//! users' names; devices, music and voices are not its business. What it promises:
//!
//! - a caller who joins either leaves by itself ([`Input::Leave`]) or gets [`Output::Exit`], exactly once;
//! - higher priority goes first, then who came first. Nobody is overtaken but by those whom a free agent can serve and who it can not;
//! - an agent is offered one call at a time, and none while talking, wrapping up, resting, paused, or in a call that is not a queue's;
//! - who misses calls (does not answer, declines, has no device) rests for [`limits::AGENT_REST`] after each, and is set aside after as many
//!   in a row as the queue says, until the agent resumes.
//!
//! **Estimated wait**: position × mean handling time / agents on duty. The position counts from 1; handling is talk and wrap-up, its mean an
//! exponential one that weighs each new call by 1/8; on duty is who is logged on to the queue and not paused or set aside. There is no
//! estimate until a call was handled, or while nobody is on duty.

mod agent;
mod choose;
mod dispatch;
mod figures;
mod interface;
mod line;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::id::{CallId, QueueId, UserId};
use crate::limits;
use crate::time::Instant;

use self::agent::Agent;
pub use self::figures::{Figures, WAIT_BOUNDS_SECONDS};
pub use self::interface::{AgentState, Exit, Input, Output, Refused};
use self::line::{Line, Place, Waiting};
pub(crate) use self::settings::check_skills;
pub use self::settings::{BadSettings, Settings, Skills, Strategy, WhenEmpty};
pub use self::status::{LiveAgent, LiveCaller, LiveQueue};
use self::timers::{Due, Timers};

/// All queues of a tenant, and who serves them.
#[derive(Debug)]
pub struct Queues {
    random: ChaCha20Rng,
    lines: BTreeMap<QueueId, Line>,
    agents: BTreeMap<UserId, Agent>,
    /// Agents whom a call could be offered now.
    free: BTreeSet<UserId>,
    /// Where each caller waits.
    callers: BTreeMap<CallId, (QueueId, Place)>,
    /// How many callers ever joined: the order of their coming.
    arrivals: u64,
    timers: Timers,
    /// What agents were last told of themselves.
    told: BTreeMap<UserId, AgentState>,
    touched_agents: BTreeSet<UserId>,
    touched_queues: BTreeSet<QueueId>,
    outputs: VecDeque<Output>,
}

impl Queues {
    /// No queues yet. `seed` draws for [`Strategy::Random`].
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            random: ChaCha20Rng::from_seed(seed),
            lines: BTreeMap::new(),
            agents: BTreeMap::new(),
            free: BTreeSet::new(),
            callers: BTreeMap::new(),
            arrivals: 0,
            timers: Timers::default(),
            told: BTreeMap::new(),
            touched_agents: BTreeSet::new(),
            touched_queues: BTreeSet::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input. Afterwards drain [`Queues::poll`].
    ///
    /// # Errors
    /// When it cannot be done as things stand; nothing has changed then.
    pub fn handle(&mut self, now: Instant, input: Input) -> Result<(), Refused> {
        let done = self.take(now, input);
        self.settle(now);
        done
    }

    fn take(&mut self, now: Instant, input: Input) -> Result<(), Refused> {
        match input {
            Input::Configure { queue, settings } => return self.configure(now, queue, *settings),
            Input::Remove { queue } => self.remove(now, &queue),
            Input::Join { queue, caller, priority, needs, max_wait } => {
                return self.join(now, queue, caller, priority, needs, max_wait);
            }
            Input::Leave { caller } => self.leave(caller),
            Input::Key { caller, key } => self.key(now, caller, key),
            Input::LogOn { queue, agent, occupied } => return self.log_on(now, queue, agent, occupied),
            Input::LogOff { queue: Some(queue), agent } => return self.log_off(now, &queue, &agent),
            Input::LogOff { queue: None, agent } => self.log_off_everywhere(now, &agent),
            Input::Pause { agent } => return self.pause(&agent),
            Input::Resume { agent } => return self.resume(now, &agent),
            Input::Answered { caller, agent } => return self.answered(now, caller, &agent),
            Input::Missed { caller, agent } => self.missed(now, caller, &agent),
            Input::Finished { agent } => self.finished(now, &agent),
            Input::Occupied { agent, occupied } => self.occupied(&agent, occupied),
        }
        Ok(())
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Queues::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first()
    }

    /// Does everything that is due at `now`. Afterwards drain [`Queues::poll`].
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(due) = self.timers.take_due(now) {
            match due {
                Due::Ring(caller) => self.rung_out(now, caller),
                Due::MaxWait(caller) => self.exit(now, caller, Exit::TimedOut),
                Due::Announce(caller) => self.announce(now, caller),
                Due::Duty(agent) => self.on_duty_again(now, &agent),
            }
            self.settle(now);
        }
    }

    /// Offers what can be offered, and says what has changed.
    fn settle(&mut self, now: Instant) {
        self.dispatch(now);
        for id in std::mem::take(&mut self.touched_agents) {
            let state = self.agent_state(&id);
            let before = match state {
                AgentState::LoggedOff => self.told.remove(&id),
                state => self.told.insert(id.clone(), state),
            };
            if before.unwrap_or(AgentState::LoggedOff) != state {
                self.outputs.push_back(Output::Agent { agent: id, state });
            }
        }
        for queue in std::mem::take(&mut self.touched_queues) {
            self.outputs.push_back(Output::Changed(queue));
        }
    }

    fn configure(&mut self, now: Instant, id: QueueId, settings: Settings) -> Result<(), Refused> {
        if !self.lines.contains_key(&id) && self.lines.len() >= limits::QUEUES_PER_TENANT_MAX {
            return Err(Refused::TooManyQueues);
        }
        self.touched_queues.insert(id.clone());
        let line = self.lines.entry(id.clone()).or_insert_with(|| Line::new(Settings::default()));
        line.settings = settings;
        let gone: Vec<UserId> =
            line.logged_on.iter().filter(|agent| !line.settings.agents.contains_key(agent)).cloned().collect();
        for agent in gone {
            let _ = self.log_off(now, &id, &agent);
        }
        Ok(())
    }

    fn remove(&mut self, now: Instant, id: &QueueId) {
        let Some(line) = self.lines.get(id) else { return };
        let callers: Vec<CallId> = line.waiting.values().map(|waiting| waiting.caller).collect();
        let agents: Vec<UserId> = line.logged_on.iter().cloned().collect();
        for caller in callers {
            self.exit(now, caller, Exit::Removed);
        }
        for agent in agents {
            let _ = self.log_off(now, id, &agent);
        }
        self.lines.remove(id);
        self.touched_queues.insert(id.clone());
    }

    fn join(
        &mut self,
        now: Instant,
        id: QueueId,
        caller: CallId,
        priority: u8,
        needs: Skills,
        max_wait: Option<std::time::Duration>,
    ) -> Result<(), Refused> {
        if self.callers.contains_key(&caller) {
            return Err(Refused::WaitsAlready);
        }
        let exit = |exit, position| Output::Exit { caller, exit, waited: std::time::Duration::ZERO, position };
        let Some(line) = self.lines.get_mut(&id) else {
            self.outputs.push_back(exit(Exit::NoSuchQueue, 0));
            return Ok(());
        };
        self.touched_queues.insert(id.clone());
        line.figures.joined += 1;
        let most = line.settings.callers_max.min(limits::QUEUE_CALLERS_MAX);
        let refused = if line.waiting.len() >= most {
            Some(Exit::Full)
        } else if line.settings.when_empty == WhenEmpty::Leave && !line.can_be_served(&needs) {
            Some(Exit::NoAgents)
        } else {
            None
        };
        if let Some(refused) = refused {
            line.figures.left(&refused);
            self.outputs.push_back(exit(refused, 0));
            return Ok(());
        }
        let place = Place::new(priority, self.arrivals);
        self.arrivals += 1;
        let max_wait = max_wait.unwrap_or(line.settings.max_wait).min(line.settings.max_wait);
        self.timers.set(Due::MaxWait(caller), now + max_wait);
        line.waiting.insert(place, Waiting::new(caller, now, needs));
        self.callers.insert(caller, (id, place));
        self.announce(now, caller);
        Ok(())
    }

    /// Tells a caller its position, and sets when that is told again.
    fn announce(&mut self, now: Instant, caller: CallId) {
        let Some((id, place)) = self.callers.get(&caller) else { return };
        let Some(line) = self.lines.get(id) else { return };
        let position = line.position(*place);
        let estimate = self.estimate(line, position);
        if let Some(every) = line.settings.announce_every {
            self.timers.set(Due::Announce(caller), now + every);
        }
        self.outputs.push_back(Output::Position { caller, position, estimate });
    }

    /// See the module's documentation for the formula.
    fn estimate(&self, line: &Line, position: u32) -> Option<std::time::Duration> {
        let on_duty = line.logged_on.iter().filter(|agent| self.agents.get(*agent).is_some_and(Agent::is_on_duty));
        let on_duty = u32::try_from(on_duty.count()).unwrap_or(u32::MAX);
        let whole = line.figures.mean_handling?.saturating_mul(position);
        whole.checked_div(on_duty)
    }

    /// A caller hung up.
    fn leave(&mut self, caller: CallId) {
        if let Some((id, _)) = self.take_caller(caller)
            && let Some(line) = self.lines.get_mut(&id)
        {
            line.figures.abandoned += 1;
        }
    }

    fn key(&mut self, now: Instant, caller: CallId, key: char) {
        let Some((id, _)) = self.callers.get(&caller) else { return };
        if self.lines.get(id).is_some_and(|line| line.settings.exit_key == Some(key)) {
            self.exit(now, caller, Exit::Key(key));
        }
    }

    /// A caller leaves the queue without an agent.
    fn exit(&mut self, now: Instant, caller: CallId, exit: Exit) {
        let position = self.callers.get(&caller).and_then(|(id, place)| Some(self.lines.get(id)?.position(*place)));
        let Some((id, waiting)) = self.take_caller(caller) else { return };
        if let Some(line) = self.lines.get_mut(&id) {
            line.figures.left(&exit);
        }
        let waited = now.since(waiting.joined);
        self.outputs.push_back(Output::Exit { caller, exit, waited, position: position.unwrap_or(0) });
    }

    /// Takes a caller out of its queue; whoever was offered it is free again.
    fn take_caller(&mut self, caller: CallId) -> Option<(QueueId, Waiting)> {
        let (id, place) = self.callers.remove(&caller)?;
        for due in [Due::Ring(caller), Due::MaxWait(caller), Due::Announce(caller)] {
            self.timers.clear(&due);
        }
        let waiting = self.lines.get_mut(&id)?.waiting.remove(&place)?;
        for agent in &waiting.offered_to {
            self.release(agent);
        }
        self.touched_queues.insert(id.clone());
        Some((id, waiting))
    }
}
