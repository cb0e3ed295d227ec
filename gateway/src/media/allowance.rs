//! How much voice a tenant may send: packets and bytes a second, over all of its links on all shards.
//!
//! A packet meets neither a lock nor, as a rule, memory that other shards write: a link draws a [`Lease`] on many packets from its
//! tenant's [`Allowance`] at once, and spends it alone. What is beyond is dropped and counted; nothing waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tandem_switch::id::TenantId;
use tandem_switch::time::Instant;

use crate::tenants::usage::{Meters, TenantMeters};

use super::limits;

/// What one tenant's links may receive, together.
#[derive(Debug)]
pub struct Allowance {
    packets: Pool,
    bytes: Pool,
    meters: Arc<TenantMeters>,
}

impl Allowance {
    /// An allowance of so much a second; what is used of it is written to `meters`.
    pub fn new(packets_per_second: u64, bytes_per_second: u64, meters: Arc<TenantMeters>) -> Self {
        let largest = limits::DATAGRAM_BYTES_MAX as u64;
        Self { packets: Pool::new(packets_per_second, 1), bytes: Pool::new(bytes_per_second, largest), meters }
    }

    /// Another rate, from now on.
    pub fn set(&self, packets_per_second: u64, bytes_per_second: u64) {
        self.packets.per_second.store(packets_per_second, Relaxed);
        self.bytes.per_second.store(bytes_per_second, Relaxed);
    }
}

/// The allowances of all tenants that have any. The driver's: no packet passes here.
#[derive(Debug)]
pub struct Allowances {
    meters: Arc<Meters>,
    tenants: HashMap<TenantId, Arc<Allowance>>,
}

impl Allowances {
    /// None yet.
    pub fn new(meters: Arc<Meters>) -> Self {
        Self { meters, tenants: HashMap::new() }
    }

    /// Sets a tenant's rates; its links notice at their next lease.
    pub fn set(&mut self, tenant: &TenantId, packets_per_second: u64, bytes_per_second: u64) {
        if let Some(allowance) = self.tenants.get(tenant) {
            return allowance.set(packets_per_second, bytes_per_second);
        }
        let allowance = Allowance::new(packets_per_second, bytes_per_second, self.meters.of(tenant));
        self.tenants.insert(tenant.clone(), Arc::new(allowance));
    }

    /// What a tenant's links share; `None` for a tenant whose rates were never set.
    pub fn of(&self, tenant: &TenantId) -> Option<Arc<Allowance>> {
        self.tenants.get(tenant).map(Arc::clone)
    }

    /// Forgets a tenant that is gone.
    pub fn forget(&mut self, tenant: &TenantId) {
        self.tenants.remove(tenant);
    }
}

/// So much a second, refilled by time. One atomic, as in the generic cell rate algorithm (ITU-T I.371): the moment until which all of the
/// rate has been drawn.
#[derive(Debug)]
struct Pool {
    per_second: AtomicU64,
    /// Nanoseconds since a day before the shards' common start, so that there is a past to draw from.
    drawn_until: AtomicU64,
    /// What must always fit a burst, however low the rate.
    least: u64,
}

/// A lease takes at most this part of what there is.
const LEASE_SHARE: u64 = 8;

/// See [`Pool::drawn_until`].
const DAY_NANOS: u64 = 24 * 60 * 60 * 1_000_000_000;

impl Pool {
    fn new(per_second: u64, least: u64) -> Self {
        Self { per_second: AtomicU64::new(per_second), drawn_until: AtomicU64::new(0), least }
    }

    /// As much of `want` as there is; nothing when that is less than `need`.
    fn draw(&self, now: Instant, need: u64, want: u64) -> u64 {
        let now = now.as_micros().saturating_mul(1000).saturating_add(DAY_NANOS);
        let rate = self.per_second.load(Relaxed);
        if rate == 0 {
            return 0;
        }
        let burst = time_for(self.least, rate).max(limits::VOICE_BURST.as_nanos() as u64);
        let mut granted = 0;
        let drawn = self.drawn_until.fetch_update(Relaxed, Relaxed, |until| {
            let from = until.max(now.saturating_sub(burst));
            let free = amount(now.saturating_sub(from), rate);
            // Of little left nobody gets much: links that hold leases must not starve the others.
            granted = free.min(want).min((free / LEASE_SHARE).max(need));
            (granted >= need).then(|| from + time_for(granted, rate))
        });
        drawn.map_or(0, |_| granted)
    }

    /// Takes back what was drawn and not used.
    fn give_back(&self, unused: u64) {
        let rate = self.per_second.load(Relaxed);
        if unused > 0 && rate > 0 {
            let time = time_for(unused, rate);
            let _ = self.drawn_until.fetch_update(Relaxed, Relaxed, |until| Some(until.saturating_sub(time)));
        }
    }
}

/// What comes in so many nanoseconds at a rate a second.
fn amount(nanos: u64, rate: u64) -> u64 {
    let much = u128::from(nanos) * u128::from(rate) / 1_000_000_000;
    u64::try_from(much).unwrap_or(u64::MAX)
}

/// How many nanoseconds so much takes at a rate a second, which is not 0; at most a day.
fn time_for(much: u64, rate: u64) -> u64 {
    let nanos = u128::from(much) * 1_000_000_000 / u128::from(rate);
    u64::try_from(nanos).unwrap_or(u64::MAX).min(DAY_NANOS)
}

/// What one link may still receive before it has to draw again. Lives on the link's shard.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    of: Option<Arc<Allowance>>,
    left: Traffic,
    /// When what is left is void: a quiet link must not hoard.
    until: Instant,
    /// After a draw that brought too little: when it is tried again. Until then the shared atomics are left alone.
    retry_at: Instant,
    /// What passed, and what was dropped, that the meters do not know of yet.
    passed: Traffic,
    dropped: Traffic,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Traffic {
    packets: u64,
    bytes: u64,
}

impl Traffic {
    fn add(&mut self, length: u64) {
        (self.packets, self.bytes) = (self.packets + 1, self.bytes + length);
    }
}

impl Lease {
    /// Draws from this allowance from now on. Before the first one there is no bound: a link without a session has no route either.
    pub(crate) fn draw_from(&mut self, allowance: Arc<Allowance>) {
        // The one before is settled when it is dropped.
        *self = Self { of: Some(allowance), ..Self::default() };
    }

    /// Whether a packet of `length` bytes may pass.
    pub(crate) fn take(&mut self, now: Instant, length: usize) -> Verdict {
        if self.of.is_none() {
            return Verdict::Passes;
        }
        let length = length as u64;
        if now >= self.until || !self.covers(length) && now >= self.retry_at {
            self.renew(now, length);
        }
        if !self.covers(length) {
            self.dropped.add(length);
            return Verdict::OverBudget;
        }
        (self.left.packets, self.left.bytes) = (self.left.packets - 1, self.left.bytes - length);
        self.passed.add(length);
        Verdict::Passes
    }

    fn covers(&self, length: u64) -> bool {
        self.left.packets > 0 && self.left.bytes >= length
    }

    fn renew(&mut self, now: Instant, length: u64) {
        self.settle();
        let Some(allowance) = &self.of else { return };
        let left = std::mem::take(&mut self.left);
        if now < self.until {
            allowance.packets.give_back(left.packets);
            allowance.bytes.give_back(left.bytes);
        }
        self.left.packets = allowance.packets.draw(now, 1, limits::LEASE_PACKETS);
        if self.left.packets > 0 {
            self.left.bytes = allowance.bytes.draw(now, length, limits::LEASE_BYTES);
        }
        let (lives, pause) = match self.covers(length) {
            true => (limits::LEASE_TIME, Duration::ZERO),
            false => (limits::LEASE_RETRY, limits::LEASE_RETRY),
        };
        (self.until, self.retry_at) = (now + lives, now + pause);
    }

    /// Tells the meters what passed and what did not.
    fn settle(&mut self) {
        let Some(allowance) = &self.of else { return };
        let (passed, dropped) = (std::mem::take(&mut self.passed), std::mem::take(&mut self.dropped));
        if passed.packets > 0 {
            allowance.meters.packets.count(passed.packets);
            allowance.meters.bytes.count(passed.bytes);
        }
        if dropped.packets > 0 {
            allowance.meters.packets.refuse(dropped.packets);
            allowance.meters.bytes.refuse(dropped.bytes);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.settle();
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on.
    Passes,
    /// It is dropped: its tenant's allowance is used up.
    OverBudget,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    fn allowance(packets: u64, bytes: u64) -> (Arc<Allowance>, Arc<TenantMeters>) {
        let meters = Arc::new(TenantMeters::default());
        (Arc::new(Allowance::new(packets, bytes, Arc::clone(&meters))), meters)
    }

    fn lease(of: &Arc<Allowance>) -> Lease {
        let mut lease = Lease::default();
        lease.draw_from(Arc::clone(of));
        lease
    }

    /// How many of a talker's packets pass, one every `every` milliseconds.
    fn passed(lease: &mut Lease, span: std::ops::Range<u64>, every: usize, length: usize) -> u64 {
        span.step_by(every).filter(|&millis| lease.take(at(millis), length) == Verdict::Passes).count() as u64
    }

    #[test]
    fn a_talker_within_the_rate_loses_nothing() {
        let (tenant, meters) = allowance(50, 10_000);
        assert_eq!(passed(&mut lease(&tenant), 0..60_000, 20, 160), 3_000);
        assert_eq!((meters.packets.refused(), meters.bytes.refused()), (0, 0));
    }

    #[test]
    fn a_flood_is_held_to_the_rate_and_one_burst() {
        for (packets, bytes, each_second) in
            [(1_000, u64::MAX, 1_000), (u64::MAX, 80_000, 800), (2, u64::MAX, 2), (u64::MAX, 100, 1)]
        {
            let (tenant, meters) = allowance(packets, bytes);
            let mut links: Vec<_> = (0..4).map(|_| lease(&tenant)).collect();
            let mut through = 0;
            for millis in 0..10_000 {
                through += links.iter_mut().map(|link| passed(link, millis..millis + 1, 1, 100)).sum::<u64>();
            }
            drop(links);
            let burst = (each_second / 4).max(12);
            assert!(through <= each_second * 10 + burst, "{through} packets at {packets} and {bytes} bytes a second");
            assert!(through >= each_second * 9, "{through} packets at {packets} and {bytes} bytes a second");
            assert_eq!(
                (meters.packets.total(), meters.packets.refused()),
                (through, 40_000 - through),
                "all is counted"
            );
        }
    }

    #[test]
    fn quiet_links_use_what_they_send_and_not_what_they_hold() {
        // 400 links send one packet a second each; held leases alone would be 16 times the rate.
        let (tenant, meters) = allowance(500, u64::MAX);
        let mut links: Vec<_> = (0..400).map(|_| lease(&tenant)).collect();
        for second in 0..20 {
            for (index, link) in links.iter_mut().enumerate() {
                link.take(at(second * 1_000 + index as u64 * 2), 100);
            }
        }
        drop(links);
        assert!(meters.packets.refused() < 400, "{} dropped", meters.packets.refused());
    }

    #[test]
    fn a_quiet_link_does_not_hoard() {
        let (tenant, _meters) = allowance(1_000, u64::MAX);
        let mut links: Vec<_> = (0..1_000).map(|_| lease(&tenant)).collect();
        for (index, link) in links.iter_mut().enumerate() {
            link.take(at(index as u64 * 20), 100);
        }
        let later = 60_000;
        let through = links.iter_mut().filter_map(|link| {
            Some((0..20).filter(|_| link.take(at(later), 100) == Verdict::Passes).count()).filter(|&count| count > 0)
        });
        let (through, most) = (through.sum::<usize>(), 1_000 / 4);
        assert!(through <= most, "{through} at once");
    }

    #[test]
    fn a_packet_larger_than_what_is_left_draws_again() {
        let (tenant, _meters) = allowance(1_000, 1_000_000);
        let mut link = lease(&tenant);
        for _ in 0..100 {
            assert_eq!(link.take(at(1_000), limits::DATAGRAM_BYTES_MAX), Verdict::Passes);
        }
    }

    #[test]
    fn nothing_passes_at_a_rate_of_nothing_and_everything_without_an_allowance() {
        let (tenant, meters) = allowance(0, 0);
        assert_eq!(passed(&mut lease(&tenant), 0..1_000, 20, 160), 0);
        assert_eq!(meters.packets.refused(), 50);
        assert_eq!(passed(&mut Lease::default(), 0..1_000, 20, 160), 50);
    }

    #[test]
    fn another_rate_holds_from_the_next_lease_on() {
        let mut allowances = Allowances::new(Arc::default());
        let tenant = TenantId::new("acme").unwrap();
        assert!(allowances.of(&tenant).is_none());
        allowances.set(&tenant, 50, 10_000);
        let mut link = lease(&allowances.of(&tenant).unwrap());
        assert_eq!(passed(&mut link, 0..1_000, 20, 160), 50);
        allowances.set(&tenant, 0, 0);
        assert_eq!(passed(&mut link, 3_000..4_000, 20, 160), 0);
    }

    #[test]
    fn a_link_that_ends_tells_the_meters_what_passed() {
        let (tenant, meters) = allowance(64, u64::MAX);
        for _ in 0..8 {
            assert_eq!(lease(&tenant).take(at(1_000), 160), Verdict::Passes);
        }
        assert_eq!((meters.packets.total(), meters.bytes.total()), (8, 8 * 160));
    }
}
