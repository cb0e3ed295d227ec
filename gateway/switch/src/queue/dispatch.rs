//! Offering waiting callers to free agents.

use crate::id::{QueueId, UserId};
use crate::time::Instant;

use super::Queues;
use super::agent::Duty;
use super::choose::choose;
use super::interface::Output;
use super::line::Place;
use super::settings::Strategy;
use super::timers::Due;

impl Queues {
    /// Offers callers to agents until nobody is free whom a caller waits for. Callers are looked at in the order of their places, over all
    /// queues; one whom no free agent can serve is passed over.
    pub(super) fn dispatch(&mut self, now: Instant) {
        if self.free.is_empty() {
            return;
        }
        for (place, queue) in self.in_order() {
            if self.free.is_empty() {
                return;
            }
            self.offer(now, &queue, place);
        }
    }

    /// Callers who are offered to nobody, of the queues that a free agent serves.
    fn in_order(&self) -> Vec<(Place, QueueId)> {
        let served = self.free.iter().filter_map(|agent| self.agents.get(agent)).flat_map(|agent| agent.queues.keys());
        let served: std::collections::BTreeSet<&QueueId> = served.collect();
        let mut places = Vec::new();
        for id in served {
            let Some(line) = self.lines.get(id) else { continue };
            let unoffered = line.waiting.iter().filter(|(_, waiting)| waiting.offered_to.is_empty());
            places.extend(unoffered.map(|(place, _)| (*place, id.clone())));
        }
        places.sort_unstable();
        places
    }

    fn offer(&mut self, now: Instant, queue: &QueueId, place: Place) {
        let Some(line) = self.lines.get_mut(queue) else { return };
        let Some(waiting) = line.waiting.get(&place) else { return };
        let fits = |agent: &&UserId| line.logged_on.contains(*agent) && line.fits(agent, &waiting.needs);
        let free: Vec<&UserId> = self.free.iter().filter(fits).collect();
        if free.is_empty() {
            return;
        }
        let chosen: Vec<UserId> = if line.settings.strategy == Strategy::RingAll {
            free.into_iter().cloned().collect()
        } else {
            // Who missed this caller comes after those who did not yet.
            let fresh: Vec<&UserId> =
                free.iter().copied().filter(|agent| !waiting.missed_by.contains(*agent)).collect();
            let among = if fresh.is_empty() { free } else { fresh };
            choose(line, queue, &waiting.needs, &among, &self.agents, &mut self.random).into_iter().collect()
        };
        if chosen.is_empty() {
            return;
        }
        let ring_time = line.settings.ring_time;
        line.last_offered = chosen.last().cloned();
        let Some(waiting) = line.waiting.get_mut(&place) else { return };
        waiting.offered_to.extend(chosen.iter().cloned());
        let (caller, waited) = (waiting.caller, now.since(waiting.joined));
        self.timers.set(Due::Ring(caller), now + ring_time);
        for id in &chosen {
            if let Some(agent) = self.agents.get_mut(id) {
                agent.duty = Duty::Offered { caller };
            }
            self.touch(id);
        }
        self.touched_queues.insert(queue.clone());
        self.outputs.push_back(Output::Offer { caller, queue: queue.clone(), agents: chosen, waited });
    }
}
