//! A client's session: who it is, its link, its calls, and the events that it may ask for again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::event::Transport;
use crate::id::{CallId, LinkId, SessionId, UserId};
use crate::limits;
use crate::signal::{CallEvent, Happening, Seen};
use crate::time::Instant;
use crate::token::{Grant, Identity};

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) identity: Identity,
    pub(super) secret: String,
    pub(super) transport: Transport,
    pub(super) connection: Connection,
    /// When its token expires, and the timer of it goes off.
    pub(super) expiry: Instant,
    /// The calls that it is a party of now: as the caller, ringing, or connected.
    pub(super) calls: BTreeSet<CallId>,
    pub(super) events: EventLog,
    pub(super) watch: Option<Watch>,
    /// Watched users who went offline while this session was away: with a tenant that has no list of users, nothing else would
    /// name them to a client that comes back. At most [`limits::SESSIONS_PER_TENANT_MAX`]; further ones are not kept.
    pub(super) missed_departures: BTreeSet<UserId>,
    pub(super) allowance: Allowance,
    /// How many questions about mailboxes wait for their answer.
    pub(super) asking: usize,
}

/// Whether a session can be spoken to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Connection {
    /// Over this link.
    Attached(LinkId),
    /// Its link is lost. It may come back until `until`.
    Away { until: Instant },
}

/// Whom a session watches.
#[derive(Clone, Debug)]
pub(super) enum Watch {
    Everybody,
    Users(BTreeSet<UserId>),
}

impl Session {
    /// Its link, unless that is lost.
    pub(super) fn link(&self) -> Option<LinkId> {
        match self.connection {
            Connection::Attached(link) => Some(link),
            Connection::Away { .. } => None,
        }
    }

    pub(super) fn may(&self, grant: Grant) -> bool {
        self.identity.grants.contains(&grant)
    }

    pub(super) fn has_room_for_a_call(&self) -> bool {
        self.calls.len() < limits::CALLS_PER_SESSION_MAX
    }

    /// Whether `secret` is this session's, in a time that does not tell how much of it is right.
    pub(super) fn knows(&self, secret: &str) -> bool {
        let differences = self.secret.bytes().zip(secret.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
        self.secret.len() == secret.len() && differences == 0
    }
}

/// Each call's events of one session, numbered, and the latest of them for a client that resumes.
///
/// Events of a live call are kept, whatever the client has seen, so that a reloaded page can be told from the start. Those of a
/// call that is over go when a resume says that its last event was seen. At most [`limits::EVENT_LOG_MAX`] are kept, the oldest
/// go first.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    events: VecDeque<CallEvent>,
    calls: BTreeMap<CallId, Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// The number of the last event.
    last: u32,
    /// How many of its events are kept.
    kept: usize,
    over: bool,
}

/// What a client that resumes has missed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Missed {
    /// Events to send, in their order.
    pub(super) events: Vec<CallEvent>,
    /// Calls of which some missed events are not kept any more.
    pub(super) gaps: BTreeSet<CallId>,
}

impl EventLog {
    /// Numbers and keeps an event.
    pub(super) fn add(&mut self, call: CallId, what: Happening) -> CallEvent {
        if self.events.len() == limits::EVENT_LOG_MAX {
            self.drop_oldest();
        }
        let told = self.calls.entry(call).or_default();
        told.last += 1;
        told.kept += 1;
        let event = CallEvent { call, n: told.last, what };
        self.events.push_back(event.clone());
        event
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.events.pop_front() else { return };
        if let Some(told) = self.calls.get_mut(&oldest.call) {
            told.kept -= 1;
            if told.over && told.kept == 0 {
                self.calls.remove(&oldest.call);
            }
        }
    }

    /// A call is over: no more events of it.
    pub(super) fn over(&mut self, call: CallId) {
        if let Some(told) = self.calls.get_mut(&call) {
            told.over = true;
            if told.kept == 0 {
                self.calls.remove(&call);
            }
        }
    }

    /// What a client missed that has seen `seen`.
    pub(super) fn missed(&mut self, seen: &[Seen]) -> Missed {
        let seen: BTreeMap<CallId, u32> = seen.iter().map(|seen| (seen.call, seen.n)).collect();
        let seen_of = |call: &CallId| seen.get(call).copied().unwrap_or(0);
        self.calls.retain(|call, told| !told.over || seen_of(call) < told.last);
        self.events.retain(|event| self.calls.contains_key(&event.call));
        let mut missed = Missed::default();
        for (call, told) in &self.calls {
            let before_kept = told.last - u32::try_from(told.kept).unwrap_or(u32::MAX);
            if seen_of(call) < before_kept {
                missed.gaps.insert(*call);
            }
        }
        missed.events = self.events.iter().filter(|event| event.n > seen_of(&event.call)).cloned().collect();
        missed
    }
}

/// How many messages a session may still send: a token bucket.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    /// In millionths of a message.
    left: u64,
    at: Instant,
}

const MESSAGE: u64 = 1_000_000;

impl Allowance {
    pub(super) fn full(now: Instant) -> Self {
        Self { left: u64::from(limits::MESSAGE_BURST) * MESSAGE, at: now }
    }

    /// Takes one message, if there is one left.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let micros = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        let regained = micros.saturating_mul(u64::from(limits::MESSAGES_PER_SECOND));
        self.left = self.left.saturating_add(regained).min(u64::from(limits::MESSAGE_BURST) * MESSAGE);
        self.at = self.at.max(now);
        let taken = self.left >= MESSAGE;
        if taken {
            self.left -= MESSAGE;
        }
        taken
    }
}

/// The name and secret that `welcome` shows.
pub(super) fn write_secret(bits: u128) -> String {
    SessionId(bits).to_string()
}
