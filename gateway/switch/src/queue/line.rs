//! One queue: who waits in it, in which order, and who serves it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::id::{CallId, UserId};
use crate::time::Instant;

use super::figures::Figures;
use super::settings::{Settings, Skills};

/// A caller's place: higher priority first, then who came first. Places of all queues of a tenant compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    priority: Reverse<u8>,
    arrival: u64,
}

impl Place {
    pub(super) fn new(priority: u8, arrival: u64) -> Self {
        Self { priority: Reverse(priority), arrival }
    }

    pub(super) fn priority(self) -> u8 {
        self.priority.0
    }
}

/// A caller who waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) caller: CallId,
    pub(super) joined: Instant,
    pub(super) needs: Skills,
    /// Who rings for the caller now.
    pub(super) offered_to: BTreeSet<UserId>,
    /// Who missed the caller already: others go first.
    pub(super) missed_by: BTreeSet<UserId>,
}

impl Waiting {
    pub(super) fn new(caller: CallId, joined: Instant, needs: Skills) -> Self {
        Self { caller, joined, needs, offered_to: BTreeSet::new(), missed_by: BTreeSet::new() }
    }
}

/// A queue.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) settings: Settings,
    pub(super) waiting: BTreeMap<Place, Waiting>,
    pub(super) logged_on: BTreeSet<UserId>,
    /// Whom a caller was offered to last, for taking turns.
    pub(super) last_offered: Option<UserId>,
    pub(super) figures: Figures,
}

impl Line {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            waiting: BTreeMap::new(),
            logged_on: BTreeSet::new(),
            last_offered: None,
            figures: Figures::default(),
        }
    }

    /// From 1.
    pub(super) fn position(&self, place: Place) -> u32 {
        u32::try_from(self.waiting.range(..=place).count()).unwrap_or(u32::MAX)
    }

    /// Whether an agent can do what a caller needs, and as well.
    pub(super) fn fits(&self, agent: &UserId, needs: &Skills) -> bool {
        let Some(skills) = self.settings.agents.get(agent) else { return false };
        needs.iter().all(|(skill, level)| skills.get(skill).is_some_and(|has| has >= level))
    }

    /// Whether anybody is logged on who fits.
    pub(super) fn can_be_served(&self, needs: &Skills) -> bool {
        self.logged_on.iter().any(|agent| self.fits(agent, needs))
    }
}
