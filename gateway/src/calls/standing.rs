//! How tenants stand, for the operators' page and the metrics: what they use of their budgets, which roll-outs are watched, which versions
//! were taken back. It watches; nothing is decided here. No personal data passes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tandem_switch::id::TenantId;
use tandem_switch::time::UnixMillis;

use crate::calls::routing::{Finding, Routing, Verdict};
use crate::control::{TakenBack, TenantStanding, WatchedRollOut};
use crate::tenants::model::{Limits, Usage};
use crate::tenants::usage::{Level, Meters, Rate, TenantMeters};

/// Most tenants that the page shows: the busiest. Of the others it says how many there are.
pub const SHOWN_MAX: usize = 50;

/// Most roll-outs that were taken back which the page still shows. The oldest go first; the audit log has all.
const TAKEN_BACK_MAX: usize = 20;

/// How many budgets are shown.
const BUDGETS: usize = 8;

/// How tenants stand.
#[derive(Debug)]
pub struct Standings {
    meters: Arc<Meters>,
    metrics: BudgetMetrics,
    tenants: BTreeMap<TenantId, Standing>,
    /// Newest first.
    taken_back: VecDeque<TakenBack>,
}

#[derive(Debug)]
struct Standing {
    limits: Limits,
    meters: Arc<TenantMeters>,
    watched: Vec<WatchedRollOut>,
    /// What of each budget's refusals is counted in the metrics already.
    counted: [u64; BUDGETS],
}

/// Which budget.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BudgetLabel {
    /// Its name in [`Limits`].
    pub budget: &'static str,
}

/// What is counted about budgets: of all tenants together, for a tenant's name is no label that is bounded.
#[derive(Clone, Debug, Default)]
pub struct BudgetMetrics {
    /// What was refused or dropped because a budget was used up.
    pub refused: Family<BudgetLabel, Counter>,
}

impl BudgetMetrics {
    /// Makes the counters and registers them, under names without the area's prefix (`tandem_budgets_`).
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "What was refused or dropped because a tenant's budget was used up, by budget";
        registry.register("refused", help, metrics.refused.clone());
        metrics
    }
}

impl Standings {
    /// Of no tenant yet.
    pub fn new(meters: Arc<Meters>, metrics: BudgetMetrics) -> Self {
        Self { meters, metrics, tenants: BTreeMap::new(), taken_back: VecDeque::new() }
    }

    /// A tenant's routing is new or changed.
    pub fn routed(&mut self, tenant: &TenantId, routing: &Routing) {
        let (limits, watched) = (routing.limits.clone(), watched(routing));
        match self.tenants.get_mut(tenant) {
            Some(standing) => (standing.limits, standing.watched) = (limits, watched),
            None => {
                let meters = self.meters.of(tenant);
                let counted = budgets(&limits, &meters).map(|(_, usage)| usage.refused);
                self.tenants.insert(tenant.clone(), Standing { limits, meters, watched, counted });
            }
        }
    }

    /// A tenant is gone.
    pub fn forget(&mut self, tenant: &TenantId) {
        self.tenants.remove(tenant);
        self.taken_back.retain(|taken| taken.tenant != tenant.as_str());
    }

    /// Something was found out about a version.
    pub fn judged(&mut self, verdict: &Verdict, now: UnixMillis) {
        let paused = match verdict.finding {
            Finding::Good => return,
            Finding::RolledBack => false,
            Finding::Paused => true,
        };
        self.taken_back.truncate(TAKEN_BACK_MAX - 1);
        self.taken_back.push_front(TakenBack {
            at: now.0,
            tenant: verdict.tenant.to_string(),
            version: format!("{}@{}", verdict.function, verdict.version),
            paused,
        });
    }

    /// The busiest tenants, and how many others there are. Counts refusals.
    pub fn busiest(&mut self) -> (Vec<TenantStanding>, usize) {
        let metrics = &self.metrics;
        let mut all: Vec<TenantStanding> = self.tenants.iter_mut().map(|(id, one)| one.show(id, metrics)).collect();
        // By what it does, then by name.
        all.sort_by_key(|one| std::cmp::Reverse((one.calls, one.invocations, one.sessions)));
        let more = all.len().saturating_sub(SHOWN_MAX);
        all.truncate(SHOWN_MAX);
        (all, more)
    }

    /// Versions that were taken back or paused by themselves, newest first.
    pub fn taken_back(&self) -> Vec<TakenBack> {
        self.taken_back.iter().cloned().collect()
    }
}

impl Standing {
    fn show(&mut self, id: &TenantId, metrics: &BudgetMetrics) -> TenantStanding {
        let budgets = budgets(&self.limits, &self.meters);
        for (counted, (name, usage)) in self.counted.iter_mut().zip(&budgets) {
            let fresh = usage.refused.saturating_sub(std::mem::replace(counted, usage.refused));
            metrics.refused.get_or_create(&BudgetLabel { budget: name }).inc_by(fresh);
        }
        TenantStanding {
            tenant: id.to_string(),
            calls: self.meters.calls.now(),
            sessions: self.meters.sessions.now(),
            invocations: self.meters.invocations.last_second(),
            failures: self.meters.failures.last_second(),
            budgets: budgets.into_iter().map(|(_, usage)| usage).collect(),
            watched: self.watched.clone(),
        }
    }
}

/// What is used of each budget that can be known without asking the store.
fn budgets(limits: &Limits, meters: &TenantMeters) -> [(&'static str, Usage); BUDGETS] {
    let of = |budget: &'static str, limit, used, refused| {
        (budget, Usage { budget: budget.to_owned(), limit, used, refused })
    };
    let level = |budget, limit, level: &Level| of(budget, limit, level.now(), level.refused());
    let rate = |budget, limit, rate: &Rate| of(budget, limit, rate.last_second(), rate.refused());
    let cpu = &meters.cpu_micros;
    [
        level("sessions", limits.sessions, &meters.sessions),
        level("calls", limits.calls, &meters.calls),
        rate("invocations-per-second", limits.invocations_per_second, &meters.invocations),
        level("invocations-at-once", limits.invocations_at_once, &meters.invocations_at_once),
        of("cpu-ms-per-second", limits.cpu_ms_per_second, cpu.last_second().div_ceil(1000), cpu.refused()),
        rate("http-requests-per-second", limits.http_requests_per_second, &meters.http_requests),
        rate("packets-per-second", limits.packets_per_second, &meters.packets),
        rate("bytes-per-second", limits.bytes_per_second, &meters.bytes),
    ]
}

fn watched(routing: &Routing) -> Vec<WatchedRollOut> {
    let watched = routing.functions.values().filter(|deployed| deployed.watched.is_some());
    let rolled_out = watched.filter_map(|deployed| match (&deployed.canary, &deployed.live) {
        (Some((version, percent)), _) => Some((version, *percent)),
        (None, Some(version)) => Some((version, 100)),
        (None, None) => None,
    });
    rolled_out.map(|(version, percent)| WatchedRollOut { version: version.name.to_string(), percent }).collect()
}

#[cfg(test)]
mod tests {
    use tandem_switch::id::FunctionId;

    use super::*;

    fn routing(limits: Limits) -> Routing {
        Routing { bindings: Vec::new(), functions: BTreeMap::new(), variables: Arc::default(), limits }
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn standings() -> (Standings, Arc<Meters>, BudgetMetrics) {
        let (meters, metrics) = (Arc::<Meters>::default(), BudgetMetrics::default());
        (Standings::new(Arc::clone(&meters), metrics.clone()), meters, metrics)
    }

    #[test]
    fn the_busiest_tenants_come_first_and_the_others_are_counted() {
        let (mut standings, meters, _) = standings();
        for number in 0..SHOWN_MAX + 3 {
            standings.routed(&tenant(&format!("t{number:02}")), &routing(Limits::default()));
        }
        meters.of(&tenant("t51")).calls.set(2);
        meters.of(&tenant("t07")).calls.set(1);
        let (shown, more) = standings.busiest();
        let names: Vec<&str> = shown.iter().take(4).map(|one| one.tenant.as_str()).collect();
        assert_eq!((names, shown.len(), more), (vec!["t51", "t07", "t00", "t01"], SHOWN_MAX, 3));
    }

    #[test]
    fn refusals_are_counted_once_by_budget() {
        let (mut standings, meters, metrics) = standings();
        let (acme, limits) = (tenant("acme"), Limits { calls: 7, ..Limits::default() });
        standings.routed(&acme, &routing(limits));
        meters.of(&acme).calls.refuse();
        meters.of(&acme).packets.refuse(5);
        let (shown, _) = standings.busiest();
        let calls = shown[0].budgets.iter().find(|usage| usage.budget == "calls").unwrap();
        assert_eq!((calls.limit, calls.used, calls.refused), (7, 0, 1));
        standings.busiest();
        let counted = |budget| metrics.refused.get_or_create(&BudgetLabel { budget }).get();
        assert_eq!((counted("calls"), counted("packets-per-second"), counted("sessions")), (1, 5, 0));
    }

    #[test]
    fn versions_taken_back_are_shown_newest_first_and_bounded() {
        let (mut standings, _, _) = standings();
        let judged = |finding, version| Verdict {
            tenant: tenant("acme"),
            function: FunctionId::new("main").unwrap(),
            version,
            finding,
            why: "it may name people".into(),
        };
        standings.judged(&judged(Finding::Good, 1), UnixMillis(1));
        assert!(standings.taken_back().is_empty());
        for version in 2..30 {
            standings.judged(&judged(Finding::RolledBack, version), UnixMillis(u64::from(version)));
        }
        standings.judged(&judged(Finding::Paused, 30), UnixMillis(30));
        let taken = standings.taken_back();
        assert_eq!((taken.len(), taken[0].version.as_str(), taken[0].paused), (TAKEN_BACK_MAX, "main@30", true));
        standings.forget(&tenant("acme"));
        assert!(standings.taken_back().is_empty());
    }
}
