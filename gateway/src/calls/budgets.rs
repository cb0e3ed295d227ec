//! A tenant's budgets at work: [`tandem_switch::budget`] with the real time, and a bounded number of invocations at once.
//!
//! Shared by the tenant's invocations under way. The lock is held for a few additions, never across an await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tandem_host::Turns;
use tandem_switch::budget::{Budget, Exhausted, Rates, Reserved};
use tandem_switch::exchange::ConsultFailure;
use tandem_switch::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::tenants::model::Limits;
use crate::tenants::usage::TenantMeters;

/// How long an invocation waits for one of the tenant's places. A decision takes microseconds; whoever waits longer than a caller notices
/// is better served by the safety net.
const PLACE_WAIT: Duration = Duration::from_millis(100);

/// What a tenant's functions may use, and what they used.
#[derive(Debug)]
pub struct Budgets {
    state: Mutex<State>,
    meters: Arc<TenantMeters>,
    turns: Turns,
    started: std::time::Instant,
}

#[derive(Debug)]
struct State {
    budget: Budget,
    at_once: u64,
    places: Arc<Semaphore>,
}

/// A place among the tenant's invocations, and the processor time that is set aside for it. When it is dropped without [`Place::settle`],
/// what was set aside counts as spent.
#[derive(Debug)]
pub struct Place {
    budgets: Arc<Budgets>,
    reserved: Option<Reserved>,
    _permit: OwnedSemaphorePermit,
}

fn rates(limits: &Limits) -> Rates {
    Rates {
        invocations_per_second: limits.invocations_per_second,
        cpu_ms_per_second: limits.cpu_ms_per_second,
        http_requests_per_second: limits.http_requests_per_second,
    }
}

fn places(at_once: u64) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::try_from(at_once).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)))
}

impl Budgets {
    /// Budgets of which nothing is used yet.
    pub fn new(limits: &Limits, meters: Arc<TenantMeters>) -> Self {
        let budget = Budget::new(rates(limits), Instant::default());
        let at_once = limits.invocations_at_once;
        let state = State { budget, at_once, places: places(at_once) };
        Self { state: Mutex::new(state), meters, turns: Turns::default(), started: std::time::Instant::now() }
    }

    /// Other limits from now on. Invocations under way keep the places that they have.
    pub fn change(&self, limits: &Limits) {
        let now = self.now();
        let mut state = self.lock();
        state.budget.change(now, rates(limits));
        if state.at_once != limits.invocations_at_once {
            state.at_once = limits.invocations_at_once;
            state.places = places(limits.invocations_at_once);
        }
    }

    /// What is used, and refused, stands here.
    pub fn meters(&self) -> &TenantMeters {
        &self.meters
    }

    /// Its invocations take turns with each other when they compute long.
    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    /// An invocation wants to begin; it may wait up to [`PLACE_WAIT`].
    ///
    /// # Errors
    /// [`ConsultFailure::OverBudget`], which names the budget.
    pub async fn enter(self: &Arc<Self>) -> Result<Place, ConsultFailure> {
        let now = self.now();
        let (admitted, at_once, places) = {
            let mut state = self.lock();
            (state.budget.admit(now), state.at_once, Arc::clone(&state.places))
        };
        let reserved = admitted.map_err(|exhausted| self.refused(exhausted))?;
        let Ok(Ok(permit)) = tokio::time::timeout(PLACE_WAIT, places.acquire_owned()).await else {
            self.lock().budget.settle(self.now(), reserved, Duration::ZERO);
            self.meters.invocations_at_once.refuse();
            return Err(ConsultFailure::OverBudget(format!("invocations-at-once ({at_once})")));
        };
        self.meters.invocations.count(1);
        self.meters.invocations_at_once.enter();
        Ok(Place { budgets: Arc::clone(self), reserved: Some(reserved), _permit: permit })
    }

    fn refused(&self, exhausted: Exhausted) -> ConsultFailure {
        match exhausted {
            Exhausted::Invocations(_) => self.meters.invocations.refuse(1),
            Exhausted::Cpu(_) => self.meters.cpu_micros.refuse(1),
            Exhausted::HttpRequests(_) => self.meters.http_requests.refuse(1),
        }
        ConsultFailure::OverBudget(exhausted.to_string())
    }

    /// A function wants to send an HTTP request.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn request(&self) -> Result<(), Exhausted> {
        let now = self.now();
        let answer = self.lock().budget.request(now);
        match answer {
            Ok(()) => self.meters.http_requests.count(1),
            Err(_) => self.meters.http_requests.refuse(1),
        }
        answer
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The invocation is over and took so much processor time.
    pub fn settle(mut self, spent: Duration) {
        if let Some(reserved) = self.reserved.take() {
            let now = self.budgets.now();
            self.budgets.lock().budget.settle(now, reserved, spent);
            self.budgets.meters.cpu_micros.count(u64::try_from(spent.as_micros()).unwrap_or(u64::MAX));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.budgets.meters.invocations_at_once.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets(limits: Limits) -> Arc<Budgets> {
        Arc::new(Budgets::new(&limits, Arc::default()))
    }

    fn over(budget: &str) -> Option<ConsultFailure> {
        Some(ConsultFailure::OverBudget(budget.into()))
    }

    #[tokio::test]
    async fn an_invocation_waits_a_moment_for_a_place_and_is_then_refused() {
        let budgets = budgets(Limits { invocations_at_once: 1, ..Limits::default() });
        let first = budgets.enter().await.expect("a place");
        assert_eq!(budgets.enter().await.err(), over("invocations-at-once (1)"));
        assert_eq!(
            (budgets.meters().invocations_at_once.now(), budgets.meters().invocations_at_once.refused()),
            (1, 1)
        );
        let (second, ()) = tokio::join!(budgets.enter(), async { first.settle(Duration::ZERO) });
        assert!(second.is_ok(), "the place came free while it waited");
    }

    #[tokio::test]
    async fn each_refusal_names_its_budget_and_is_counted() {
        let none = budgets(Limits { invocations_per_second: 0, ..Limits::default() });
        assert_eq!(none.enter().await.err(), over("invocations-per-second (0)"));
        assert_eq!(none.meters().invocations.refused(), 1);

        let spent = budgets(Limits { cpu_ms_per_second: 1, ..Limits::default() });
        spent.enter().await.expect("a place").settle(Duration::from_secs(3600));
        assert_eq!(spent.enter().await.err(), over("cpu-ms-per-second (1)"));
        assert_eq!((spent.meters().cpu_micros.total(), spent.meters().cpu_micros.refused()), (3_600_000_000, 1));

        let silent = budgets(Limits { http_requests_per_second: 0, ..Limits::default() });
        assert_eq!(silent.request(), Err(Exhausted::HttpRequests(0)));
        assert_eq!(silent.meters().http_requests.refused(), 1);
    }

    #[tokio::test]
    async fn other_limits_hold_from_the_next_invocation_on() {
        let limits = Limits { invocations_at_once: 1, ..Limits::default() };
        let budgets = budgets(limits.clone());
        let _first = budgets.enter().await.expect("a place");
        budgets.change(&Limits { invocations_at_once: 2, ..limits });
        assert!(budgets.enter().await.is_ok());
    }
}
