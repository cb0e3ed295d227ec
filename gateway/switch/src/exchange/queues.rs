//! Queues of the exchange: between the calls that wait, the devices that ring, and the machines that say who rings for whom.
//!
//! What a call does in a queue is handed on at once; what queues want is done after the input that brought it about, in a loop rather
//! than a recursion: an agent without a device is offered a call, misses it, and the next one is offered it, through a thousand agents.

use std::collections::{BTreeMap, BTreeSet};

use crate::call::{Command, Input as CallInput, QueueDeed, QueueNews, Refusal};
use crate::id::{CallId, QueueId, SessionId, TenantId, UserId};
use crate::plan::Enqueue;
use crate::queue::{Input as QueueInput, LiveQueue, Output as QueueOutput, Queues, Refused, Settings};
use crate::signal::{AgentAction, ErrorCode, PresenceState, ServerMessage};
use crate::time::Instant;
use crate::token::Grant;

use super::{Exchange, Timer};

/// The queues of every tenant that has any.
#[derive(Debug, Default)]
pub(super) struct AllQueues {
    tenants: BTreeMap<TenantId, Queues>,
    /// Tenants whose queues were told something and may want something.
    told: BTreeSet<TenantId>,
    /// When each tenant's queues are due next.
    due: BTreeMap<TenantId, Instant>,
    order: BTreeSet<(Instant, TenantId)>,
    /// The timer that is set for the first of them.
    timer: Option<Instant>,
}

impl AllQueues {
    /// Whether nothing but settings is kept.
    pub(super) fn is_idle(&self) -> bool {
        self.told.is_empty() && self.order.is_empty() && self.tenants.values().all(Queues::is_idle)
    }
}

impl Exchange {
    /// A tenant's queues have other settings.
    pub(super) fn configure_queues(&mut self, now: Instant, tenant: &TenantId, wanted: &BTreeMap<QueueId, Settings>) {
        if wanted.is_empty() && !self.queues.tenants.contains_key(tenant) {
            return;
        }
        let queues = self.queues_of(tenant);
        let gone: Vec<QueueId> = queues.names().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        for queue in gone {
            let _ = queues.handle(now, QueueInput::Remove { queue });
        }
        for (queue, settings) in wanted {
            if queues.settings(queue) != Some(settings) {
                let (queue, settings) = (queue.clone(), Box::new(settings.clone()));
                // The number of queues is checked where they are made; one too many is left out here.
                let _ = queues.handle(now, QueueInput::Configure { queue, settings });
            }
        }
        self.queues.told.insert(tenant.clone());
    }

    /// A tenant is gone, and its calls with it.
    pub(super) fn forget_queues(&mut self, tenant: &TenantId) {
        self.queues.tenants.remove(tenant);
        self.queues.told.remove(tenant);
        if let Some(at) = self.queues.due.remove(tenant) {
            self.queues.order.remove(&(at, tenant.clone()));
        }
        self.set_queue_timer();
    }

    /// A tenant's queues; made, when there are none.
    fn queues_of(&mut self, tenant: &TenantId) -> &mut Queues {
        let mut seed = [0; 32];
        if !self.queues.tenants.contains_key(tenant) {
            seed[..16].copy_from_slice(&self.draw().to_le_bytes());
        }
        self.queues.tenants.entry(tenant.clone()).or_insert_with(|| Queues::new(seed))
    }

    fn tell_queues(&mut self, now: Instant, tenant: &TenantId, input: QueueInput) -> Result<(), Refused> {
        let Some(queues) = self.queues.tenants.get_mut(tenant) else { return Err(Refused::NotLoggedOn) };
        self.queues.told.insert(tenant.clone());
        queues.handle(now, input)
    }

    /// A call does something in its queue.
    pub(super) fn queue_deed(&mut self, now: Instant, caller: CallId, deed: QueueDeed) {
        let Some(tenant) = self.calls.get(&caller).map(|entry| entry.call.invitation().tenant.clone()) else { return };
        let input = match deed {
            QueueDeed::Join(step) => {
                let Enqueue { queue, priority, max_wait, needs, music } = *step;
                // A tenant without queues is as one that has some, and not this one.
                let own = self.queues_of(&tenant).settings(&queue).and_then(|settings| settings.music.clone());
                if let (None, Some(own), Some(entry)) = (music, own, self.calls.get_mut(&caller)) {
                    // Only a party's deed is ever refused.
                    let _ = entry.call.handle(now, CallInput::Queue(QueueNews::Music(own)));
                }
                QueueInput::Join { queue, caller, priority, needs, max_wait: Some(max_wait) }
            }
            QueueDeed::Leave => QueueInput::Leave { caller },
            QueueDeed::Key(key) => QueueInput::Key { caller, key },
            QueueDeed::Answered(agent) => QueueInput::Answered { caller, agent },
            QueueDeed::Missed(agent) => QueueInput::Missed { caller, agent },
            QueueDeed::Finished(agent) => QueueInput::Finished { agent },
        };
        // Of these only an answer is ever refused, and nobody answers who was not offered the call.
        let _ = self.tell_queues(now, &tenant, input);
    }

    /// An agent says something.
    pub(super) fn agent(
        &mut self,
        now: Instant,
        id: SessionId,
        queue: Option<QueueId>,
        action: AgentAction,
    ) -> Result<(), Refusal> {
        let refuse = |code, message: &str| Err(Refusal { code, message: message.to_owned() });
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        if !session.may(Grant::Answer) {
            return refuse(ErrorCode::NotGranted, "the token does not grant `answer`");
        }
        let (tenant, agent) = (session.identity.tenant.clone(), session.identity.user.clone());
        let input = match (action, queue) {
            (AgentAction::LogOn, Some(queue)) => {
                let occupied = self.state_of(&tenant, &agent) == PresenceState::Talking;
                if !self.queues.tenants.contains_key(&tenant) {
                    return refuse(ErrorCode::WrongState, &Refused::NoSuchQueue(queue).to_string());
                }
                QueueInput::LogOn { queue, agent: agent.clone(), occupied }
            }
            (AgentAction::LogOn, None) => return refuse(ErrorCode::BadMessage, "`log-on` needs a `queue`"),
            (AgentAction::LogOff, queue) => QueueInput::LogOff { queue, agent: agent.clone() },
            (AgentAction::Pause, _) => QueueInput::Pause { agent: agent.clone() },
            (AgentAction::Resume, _) => QueueInput::Resume { agent: agent.clone() },
        };
        if let Err(refused) = self.tell_queues(now, &tenant, input) {
            return refuse(ErrorCode::WrongState, &refused.to_string());
        }
        self.serve_queues(now);
        let told = self.agent_message(&tenant, &agent);
        self.send_to(id, told);
        Ok(())
    }

    fn agent_message(&self, tenant: &TenantId, agent: &UserId) -> ServerMessage {
        let queues = self.queues.tenants.get(tenant);
        let state = queues.map_or(crate::queue::AgentState::LoggedOff, |queues| queues.agent_state(agent));
        let queues = queues.into_iter().flat_map(|queues| queues.queues_of(agent)).cloned().collect();
        ServerMessage::AgentState { state, queues }
    }

    /// A user's presence has changed: whether they are in some call matters to the queues that they serve, and nobody serves who is gone.
    pub(super) fn presence_of_agent(&mut self, now: Instant, tenant: &TenantId, user: &UserId, state: PresenceState) {
        let serves = self.queues.tenants.get(tenant).is_some_and(|queues| queues.queues_of(user).next().is_some());
        if !serves {
            return;
        }
        let agent = user.clone();
        let input = match state {
            PresenceState::Offline => QueueInput::LogOff { queue: None, agent },
            PresenceState::Talking => QueueInput::Occupied { agent, occupied: true },
            PresenceState::Available => QueueInput::Occupied { agent, occupied: false },
        };
        let _ = self.tell_queues(now, tenant, input);
    }

    /// Does what queues want, until none wants anything, and sets their timer.
    pub(super) fn serve_queues(&mut self, now: Instant) {
        while let Some(tenant) = self.queues.told.pop_first() {
            while let Some(output) = self.queues.tenants.get_mut(&tenant).and_then(Queues::poll) {
                self.serve(now, &tenant, output);
            }
            let due = self.queues.tenants.get(&tenant).and_then(Queues::poll_timeout);
            let before = match due {
                Some(at) => self.queues.due.insert(tenant.clone(), at),
                None => self.queues.due.remove(&tenant),
            };
            if let Some(before) = before {
                self.queues.order.remove(&(before, tenant.clone()));
            }
            if let Some(at) = due {
                self.queues.order.insert((at, tenant));
            }
        }
        self.set_queue_timer();
    }

    fn set_queue_timer(&mut self) {
        let first = self.queues.order.first().map(|(at, _)| *at);
        if let Some(before) = std::mem::replace(&mut self.queues.timer, first) {
            self.timers.remove(&(before, Timer::Queues));
        }
        self.timers.extend(first.map(|at| (at, Timer::Queues)));
    }

    fn serve(&mut self, now: Instant, tenant: &TenantId, output: QueueOutput) {
        let (caller, news) = match output {
            QueueOutput::Offer { caller, agents, queue: _, waited: _ } => (caller, QueueNews::Offer(agents)),
            QueueOutput::Withdraw { caller, agents } => (caller, QueueNews::Withdraw(agents)),
            QueueOutput::Position { caller, position, estimate } => (caller, QueueNews::Position(position, estimate)),
            QueueOutput::Exit { caller, exit, .. } => (caller, QueueNews::Exit(exit)),
            QueueOutput::Agent { agent, .. } => {
                let message = self.agent_message(tenant, &agent);
                let sessions: Vec<SessionId> =
                    self.tenants.get(tenant).map(|tenant| tenant.sessions_of(&agent).collect()).unwrap_or_default();
                for session in sessions {
                    self.send_to(session, message.clone());
                }
                return;
            }
            QueueOutput::Changed(_) => return,
        };
        // A caller that is over has left its queue; what was on its way comes too late.
        let _ = self.call_input(now, caller, CallInput::Queue(news));
    }

    /// The queues' timer went off.
    pub(super) fn queues_due(&mut self, now: Instant) {
        self.queues.timer = None;
        let due: Vec<TenantId> =
            self.queues.order.iter().take_while(|(at, _)| *at <= now).map(|(_, tenant)| tenant.clone()).collect();
        for tenant in due {
            if let Some(queues) = self.queues.tenants.get_mut(&tenant) {
                queues.handle_timeout(now);
            }
            self.queues.told.insert(tenant);
        }
    }

    /// A queue of a tenant as it is now.
    pub fn queue(&self, now: Instant, tenant: &TenantId, queue: &QueueId) -> Option<LiveQueue<'_>> {
        self.queues.tenants.get(tenant)?.live(now, queue)
    }

    /// How many wait in a queue of a tenant; `None`: there is no such queue.
    pub fn queue_length(&self, tenant: &TenantId, queue: &QueueId) -> Option<usize> {
        self.queues.tenants.get(tenant)?.length(queue)
    }

    /// Something is done to a call of a tenant from outside. Afterwards drain [`Exchange::poll`].
    ///
    /// # Errors
    /// When the tenant has no such call, or it does not fit the call's state; nothing has changed then.
    pub fn command(&mut self, now: Instant, tenant: &TenantId, call: CallId, command: Command) -> Result<(), Refusal> {
        // Another tenant's call is none.
        let is_own = self.calls.get(&call).is_some_and(|entry| entry.call.invitation().tenant == *tenant);
        if !is_own {
            let message = "there is no such live call".to_owned();
            return Err(Refusal { code: ErrorCode::NoSuchCall, message });
        }
        let done = self.call_input(now, call, CallInput::Command(command));
        self.follow_up(now);
        done
    }
}
