//! An `enqueue` step: the caller hears music until an agent takes the call.
//!
//! Who rings when is [`crate::queue::Queues`]' to say; here are the caller and the devices. An agent misses a call when none of their devices
//! rings any more. When the agent who took it hangs up first, the plan goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::audio::Sound;
use crate::call::music::Music;
use crate::call::talk::{Brings, Talk};
use crate::call::{Call, Found, Output, State};
use crate::cause::Cause;
use crate::event::{Outcome, QueueOutcome, QueueResult};
use crate::id::{QueueId, SessionId, UserId};
use crate::limits;
use crate::plan::Enqueue;
use crate::queue::Exit;
use crate::signal::Happening;
use crate::time::Instant;

/// A caller who waits in a queue.
#[derive(Debug)]
pub(super) struct Queued {
    queue: QueueId,
    joined: Instant,
    music: Music,
    /// The agents' devices that ring.
    ringing: BTreeMap<SessionId, UserId>,
}

impl Queued {
    pub(super) fn rings(&self, session: SessionId) -> bool {
        self.ringing.contains_key(&session)
    }

    pub(super) fn into_ringing(self) -> impl Iterator<Item = SessionId> {
        self.ringing.into_keys()
    }
}

/// What a call does in the queue that it waits in, or of which an agent took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueDeed {
    /// Joins.
    Join(Box<Enqueue>),
    /// Leaves: the caller hung up, or goes elsewhere.
    Leave,
    /// The caller pressed a key.
    Key(char),
    /// An agent answered.
    Answered(UserId),
    /// No device of an agent rings any more.
    Missed(UserId),
    /// An agent is done with the caller.
    Finished(UserId),
}

/// What a call is told by the queue that it waits in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueNews {
    /// Ring these agents.
    Offer(Vec<UserId>),
    /// Ring them no more.
    Withdraw(Vec<UserId>),
    /// The caller's position, from 1, and how long the wait may take.
    Position(u32, Option<Duration>),
    /// The queue has music of its own, a prompt of this name, and the plan named none.
    Music(String),
    /// The caller waits no more.
    Exit(Exit),
}

impl Call {
    pub(super) fn enqueue(&mut self, now: Instant, step: Enqueue) {
        self.speak(now);
        let music = self.start_music(step.music.clone());
        let queue = step.queue.clone();
        self.enter(now, State::Queued(Queued { queue, joined: now, music, ringing: BTreeMap::new() }));
        self.outputs.push_back(Output::Queue(QueueDeed::Join(Box::new(step))));
    }

    /// The queue says something.
    pub(super) fn queue_news(&mut self, now: Instant, news: QueueNews) {
        let State::Queued(queued) = &mut self.state else { return };
        match news {
            QueueNews::Offer(agents) => self.outputs.push_back(Output::Find(agents)),
            QueueNews::Withdraw(agents) => {
                let (gone, ringing) =
                    std::mem::take(&mut queued.ringing).into_iter().partition(|(_, agent)| agents.contains(agent));
                queued.ringing = ringing;
                self.stop_ringing(gone, Cause::NoAnswer);
            }
            QueueNews::Position(position, estimate) => {
                let queue = queued.queue.clone();
                let estimate_ms = estimate.map(|estimate| u64::try_from(estimate.as_millis()).unwrap_or(u64::MAX));
                self.tell(self.invitation.caller.session, Happening::Queued { queue, position, estimate_ms });
            }
            QueueNews::Music(name) => {
                let music = self.start_music(Some(Sound::Prompt(name)));
                if let State::Queued(queued) = &mut self.state {
                    queued.music = music;
                }
            }
            QueueNews::Exit(exit) => self.leave_queue(now, &exit),
        }
    }

    /// What there is of the agents whom the caller is offered to.
    pub(super) fn agents_found(&mut self, now: Instant, found: Vec<(UserId, Found)>) {
        let State::Queued(queued) = &mut self.state else { return };
        let waited_ms = u64::try_from(now.since(queued.joined).as_millis()).unwrap_or(u64::MAX);
        let mut rung = Vec::new();
        for (agent, found) in found {
            let room = limits::DIAL_LEGS_MAX.saturating_sub(queued.ringing.len());
            match found {
                Found::Devices(devices) if room > 0 => {
                    rung.extend(devices.iter().take(room));
                    queued.ringing.extend(devices.into_iter().take(room).map(|session| (session, agent.clone())));
                }
                Found::Devices(_) | Found::Unknown | Found::Away | Found::Full => {
                    self.outputs.push_back(Output::Queue(QueueDeed::Missed(agent)));
                }
            }
        }
        let (caller, queue) = (&self.invitation.caller, queued.queue.clone());
        let (from, name, to) = (caller.user.to_string(), caller.name.clone(), self.invitation.to.clone());
        let incoming = Happening::Incoming { from, name, to, continues: None };
        let offered = Happening::Offered { queue, waited_ms };
        for device in rung {
            self.tell(device, incoming.clone());
            self.tell(device, offered.clone());
            self.ringing_at.get_or_insert(now);
        }
    }

    /// An agent's device answers: the others stop ringing.
    pub(super) fn agent_answered(&mut self, now: Instant, session: SessionId) {
        let State::Queued(queued) = &mut self.state else { return };
        let Some(agent) = queued.ringing.remove(&session) else { return };
        let others = std::mem::take(&mut queued.ringing);
        let outcome = QueueOutcome {
            queue: queued.queue.to_string(),
            result: QueueResult::Connected,
            waited: millis(now.since(queued.joined)),
            agent: Some(agent.to_string()),
            talked: 0,
        };
        self.answered_elsewhere(others.into_keys());
        self.outputs.push_back(Output::Queue(QueueDeed::Answered(agent.clone())));
        self.connect_with(now, Talk::after_step(now, session, agent, Brings::Queue(outcome)));
    }

    /// An agent's device rings no more: it declined, or is gone.
    pub(super) fn agent_leg_failed(&mut self, session: SessionId, cause: Cause) {
        let State::Queued(queued) = &mut self.state else { return };
        let Some(agent) = queued.ringing.remove(&session) else { return };
        let was_last = !queued.ringing.values().any(|other| *other == agent);
        self.tell(session, Happening::Ended { cause, reason: None });
        if was_last {
            self.outputs.push_back(Output::Queue(QueueDeed::Missed(agent)));
        }
    }

    /// The caller pressed keys.
    pub(super) fn queue_keys(&mut self, keys: &str) {
        self.outputs.extend(keys.chars().map(|key| Output::Queue(QueueDeed::Key(key))));
    }

    /// A playback to the caller is over.
    pub(super) fn queue_played(&mut self, playback: u32, failure: Option<String>) {
        let State::Queued(mut queued) = std::mem::replace(&mut self.state, State::Deciding) else { return };
        queued.music = self.music_over(queued.music, playback, failure);
        self.state = State::Queued(queued);
    }

    fn leave_queue(&mut self, now: Instant, exit: &Exit) {
        let result = match exit {
            // The device answered before: the call is in conversation already.
            Exit::Connected(_) => return,
            Exit::TimedOut => QueueResult::TimedOut,
            Exit::Full => QueueResult::Full,
            Exit::NoAgents => QueueResult::NoAgents,
            Exit::Key(_) => QueueResult::LeftByKey,
            Exit::Removed => QueueResult::Removed,
            Exit::NoSuchQueue => QueueResult::NoSuchQueue,
        };
        let State::Queued(queued) = &mut self.state else { return };
        let (queue, waited) = (queued.queue.to_string(), millis(now.since(queued.joined)));
        let ringing = std::mem::take(&mut queued.ringing);
        self.stop_ringing(ringing, Cause::Cancelled);
        self.hush_caller();
        self.outcome = Outcome::Queued(QueueOutcome { queue, result, waited, agent: None, talked: 0 });
        self.advance(now);
    }

    fn stop_ringing(&mut self, devices: BTreeMap<SessionId, UserId>, cause: Cause) {
        for session in devices.into_keys() {
            self.tell(session, Happening::Ended { cause, reason: None });
        }
    }
}

pub(super) fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}
