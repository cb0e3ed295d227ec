//! What is due when: at most one point in time for each matter.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{CallId, UserId};
use crate::time::Instant;

/// What can be due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// The agents who were offered this caller rang long enough.
    Ring(CallId),
    /// This caller waited long enough.
    MaxWait(CallId),
    /// This caller is told its position.
    Announce(CallId),
    /// An agent's wrap-up or rest is over.
    Duty(UserId),
}

/// Holds as many entries as there are matters: no timer that was cleared or set anew stays behind.
#[derive(Debug, Default)]
pub(super) struct Timers {
    at: BTreeMap<Due, Instant>,
    order: BTreeSet<(Instant, Due)>,
}

impl Timers {
    pub(super) fn set(&mut self, due: Due, at: Instant) {
        self.clear(&due);
        self.order.insert((at, due.clone()));
        self.at.insert(due, at);
    }

    pub(super) fn clear(&mut self, due: &Due) {
        if let Some((due, at)) = self.at.remove_entry(due) {
            self.order.remove(&(at, due));
        }
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// The first that is due at `now`; it is cleared.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Due> {
        if self.first()? > now {
            return None;
        }
        let (_, due) = self.order.pop_first()?;
        self.at.remove(&due);
        Some(due)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}
