//! Strategies: which one of several free agents gets a caller. Where a strategy makes no difference, who has been idle longest goes first,
//! then the first by name.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;

use crate::id::{QueueId, UserId};

use super::agent::Agent;
use super::line::Line;
use super::settings::{Skills, Strategy};

/// Chooses one of `among`, which are sorted by name, are all free, and all fit.
pub(super) fn choose(
    line: &Line,
    queue: &QueueId,
    needs: &Skills,
    among: &[&UserId],
    agents: &BTreeMap<UserId, Agent>,
    random: &mut ChaCha20Rng,
) -> Option<UserId> {
    let idle_since = |id: &UserId| agents.get(id).map(|agent| agent.idle_since);
    let chosen = match line.settings.strategy {
        // Whoever comes first is as good as another where all ring.
        Strategy::RingAll => among.first().copied(),
        Strategy::LongestIdle => among.iter().copied().min_by_key(|id| idle_since(id)),
        Strategy::RoundRobin => next_by_name(among, line.last_offered.as_ref()),
        Strategy::FewestCalls => {
            let calls = |id: &UserId| agents.get(id).and_then(|agent| agent.queues.get(queue).copied());
            among.iter().copied().min_by_key(|id| (calls(id), idle_since(id)))
        }
        Strategy::Random => {
            let count = u64::try_from(among.len()).unwrap_or(u64::MAX).max(1);
            let drawn = usize::try_from(random.next_u64() % count).unwrap_or(0);
            among.get(drawn).copied()
        }
        Strategy::Skills => among.iter().copied().min_by_key(|id| (Reverse(skill(line, id, needs)), idle_since(id))),
    };
    chosen.cloned()
}

/// The first by name after `last`, else the first of all.
fn next_by_name<'a>(among: &[&'a UserId], last: Option<&UserId>) -> Option<&'a UserId> {
    let after = last.map_or(Bound::Unbounded, Bound::Excluded);
    let is_after = |id: &&&UserId| match after {
        Bound::Excluded(last) => **id > last,
        _ => true,
    };
    among.iter().find(is_after).or(among.first()).copied()
}

/// How good an agent is at what a caller needs; at everything that the agent can do, when the caller needs nothing in particular.
fn skill(line: &Line, id: &UserId, needs: &Skills) -> u32 {
    let Some(skills) = line.settings.agents.get(id) else { return 0 };
    let counts = |skill: &String| needs.is_empty() || needs.contains_key(skill);
    skills.iter().filter(|(skill, _)| counts(skill)).map(|(_, level)| u32::from(*level)).sum()
}
