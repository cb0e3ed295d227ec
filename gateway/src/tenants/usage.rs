//! What each tenant uses of its budgets, and how often one was reached: numbers that the parts which enforce a budget write down, and
//! that the control API, the operators' page and the metrics read. Nothing is enforced here.
//!
//! Every figure is an atomic: writing one takes no lock. Look a tenant's meters up once ([`Meters::of`] takes a lock for a moment) and
//! keep them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::Instant;

use tandem_switch::id::TenantId;

/// The meters of all tenants.
#[derive(Debug, Default)]
pub struct Meters {
    tenants: RwLock<HashMap<TenantId, Arc<TenantMeters>>>,
}

/// What one tenant uses. Each field is named for its budget in [`super::model::Limits`].
#[derive(Debug, Default)]
pub struct TenantMeters {
    /// Sessions now.
    pub sessions: Level,
    /// Calls now.
    pub calls: Level,
    /// Invocations, each when it begins.
    pub invocations: Rate,
    /// Invocations under way.
    pub invocations_at_once: Level,
    /// Processor time of functions, microseconds.
    pub cpu_micros: Rate,
    /// The most memory that an invocation had since the node started, bytes.
    pub memory_bytes: Level,
    /// Keys in key-value stores.
    pub kv_keys: Level,
    /// Bytes in key-value stores.
    pub kv_bytes: Level,
    /// The largest component that was taken since the node started, bytes.
    pub component_bytes: Level,
    /// Functions.
    pub functions: Level,
    /// Outgoing HTTP requests.
    pub http_requests: Rate,
    /// Voice packets received from its sessions.
    pub packets: Rate,
    /// Voice bytes received from its sessions.
    pub bytes: Rate,
    /// Prompts that were refused.
    pub prompts: Level,
    /// Prompts that were refused for their bytes.
    pub prompt_bytes: Level,
    /// Recordings that were not begun.
    pub recordings: Level,
    /// Recordings that were not begun for want of bytes.
    pub recording_bytes: Level,
    /// Mailboxes that were not made.
    pub mailboxes: Level,
    /// Messages that no mailbox took.
    pub mailbox_messages: Level,
    /// Invocations that failed, whatever the reason.
    pub failures: Rate,
}

impl Meters {
    /// A tenant's meters, made when they are missing.
    pub fn of(&self, tenant: &TenantId) -> Arc<TenantMeters> {
        let known = self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant).map(Arc::clone);
        known.unwrap_or_else(|| {
            let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tenants.entry(tenant.clone()).or_default())
        })
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<(TenantId, Arc<TenantMeters>)> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        tenants.iter().map(|(tenant, meters)| (tenant.clone(), Arc::clone(meters))).collect()
    }

    /// Forgets a tenant that is gone.
    pub fn forget(&self, tenant: &TenantId) {
        self.tenants.write().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }
}

/// How much there is of something now.
#[derive(Debug, Default)]
pub struct Level {
    now: AtomicU64,
    refused: AtomicU64,
}

impl Level {
    /// There are this many.
    pub fn set(&self, now: u64) {
        self.now.store(now, Relaxed);
    }

    /// One more.
    pub fn enter(&self) {
        self.now.fetch_add(1, Relaxed);
    }

    /// One less; it was there before.
    pub fn leave(&self) {
        let _ = self.now.fetch_update(Relaxed, Relaxed, |now| Some(now.saturating_sub(1)));
    }

    /// At least this many: for high-water marks.
    pub fn at_least(&self, seen: u64) {
        self.now.fetch_max(seen, Relaxed);
    }

    /// Something was refused because of the limit.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// So many were refused since the node started: for what is counted elsewhere.
    pub fn set_refused(&self, refused: u64) {
        self.refused.store(refused, Relaxed);
    }

    /// How many there are.
    pub fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }

    /// How often something was refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

/// Slots of a [`Rate`]: the second that runs and the one before are read, so two would do; four leave a late writer room.
const SLOTS: usize = 4;

/// How many bits of a slot count; those above them say which second it is of (24 bits: half a year, then they wrap). 2^40 of anything in
/// a second is a terabyte.
const COUNT_BITS: u32 = 40;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const SECOND_MAX: u64 = (1 << (64 - COUNT_BITS)) - 1;

/// How much of something happens in a second.
#[derive(Debug, Default)]
pub struct Rate {
    slots: [AtomicU64; SLOTS],
    total: AtomicU64,
    refused: AtomicU64,
}

impl Rate {
    /// So much has happened just now.
    pub fn count(&self, much: u64) {
        self.count_at(seconds(), much);
    }

    /// So much was refused or dropped because of the limit.
    pub fn refuse(&self, much: u64) {
        self.refused.fetch_add(much, Relaxed);
    }

    /// What happened in the last second: in the one that runs or the one before, whichever had more.
    pub fn last_second(&self) -> u64 {
        self.last_second_at(seconds())
    }

    /// What happened since the node started.
    pub fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// How much was refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    fn count_at(&self, second: u64, much: u64) {
        self.total.fetch_add(much, Relaxed);
        let mark = second & SECOND_MAX;
        let _ = self.slot(second).fetch_update(Relaxed, Relaxed, |slot| {
            let so_far = if slot >> COUNT_BITS == mark { slot & COUNT_MAX } else { 0 };
            Some(mark << COUNT_BITS | so_far.saturating_add(much).min(COUNT_MAX))
        });
    }

    fn last_second_at(&self, second: u64) -> u64 {
        let of = |second: u64| {
            let slot = self.slot(second).load(Relaxed);
            if slot >> COUNT_BITS == second & SECOND_MAX { slot & COUNT_MAX } else { 0 }
        };
        of(second).max(of(second - 1))
    }

    fn slot(&self, second: u64) -> &AtomicU64 {
        &self.slots[(second % SLOTS as u64) as usize]
    }
}

/// Seconds since the first rate was counted, from 1, so that a fresh slot is of no second.
fn seconds() -> u64 {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    STARTED.elapsed().as_secs() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_busier_of_two_seconds() {
        let rate = Rate::default();
        let table = [(1, 5, 5), (1, 2, 7), (2, 1, 7), (3, 4, 4), (4, 0, 4), (5, 0, 0), (9, 3, 3)];
        for (second, much, expected) in table {
            rate.count_at(second, much);
            assert_eq!(rate.last_second_at(second), expected, "second {second}");
        }
        assert_eq!(rate.total(), 15);
    }

    #[test]
    fn a_rate_that_is_beyond_its_slot_stays_at_its_most() {
        let rate = Rate::default();
        rate.count_at(1, u64::MAX);
        rate.count_at(1, 1);
        assert_eq!(rate.last_second_at(1), COUNT_MAX);
    }

    #[test]
    fn a_tenant_has_one_set_of_meters_until_it_is_forgotten() {
        let meters = Meters::default();
        let acme = TenantId::new("acme").unwrap();
        meters.of(&acme).calls.enter();
        assert_eq!(meters.of(&acme).calls.now(), 1);
        meters.forget(&acme);
        assert_eq!(meters.of(&acme).calls.now(), 0);
    }

    #[test]
    fn a_level_does_not_fall_below_nothing() {
        let level = Level::default();
        level.leave();
        level.enter();
        assert_eq!(level.now(), 1);
    }
}
