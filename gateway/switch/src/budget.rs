//! A tenant's budgets for its functions: what an invocation may take is asked before it begins, what it took is told afterwards.
//!
//! Rates are token buckets that hold one second's worth. Processor time is known only when it is spent, so it is reserved by what the
//! tenant's last invocations took and settled afterwards: a tenant whose functions loop overdraws its budget once, is refused until that
//! is paid back, and from then on is held to its rate. It knows no clock: `now` is passed in.

use std::time::Duration;

use crate::time::Instant;

/// Micro-tokens in a token: a bucket of one token a second regains one of them in each microsecond.
const PARTS: i128 = 1_000_000;

/// What a first invocation is taken to cost, microseconds: four times what a small function costs.
const ESTIMATE: u64 = 200;

/// A rate: so much a second, and in a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    per_second: u64,
    /// What is left, in micro-tokens; below zero when it is overdrawn.
    level: i128,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn full(per_second: u64, now: Instant) -> Self {
        Self { per_second, level: i128::from(per_second) * PARTS, at: now }
    }

    /// Another rate from now on; a debt stays.
    pub fn change(&mut self, now: Instant, per_second: u64) {
        self.refill(now);
        self.per_second = per_second;
        self.level = self.level.min(self.capacity());
    }

    /// Takes one, if it is there.
    pub fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let there = self.level >= PARTS;
        if there {
            self.level -= PARTS;
        }
        there
    }

    /// Whether anything is left.
    pub fn has_left(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.level > 0
    }

    /// Takes what was used already, there or not.
    pub fn charge(&mut self, now: Instant, amount: u64) {
        self.refill(now);
        self.level -= i128::from(amount) * PARTS;
    }

    /// Gives back what was taken too much.
    pub fn refund(&mut self, now: Instant, amount: u64) {
        self.refill(now);
        self.level = (self.level + i128::from(amount) * PARTS).min(self.capacity());
    }

    /// How much was used of a second's worth; more than the rate while it is overdrawn.
    pub fn used(&mut self, now: Instant) -> u64 {
        self.refill(now);
        u64::try_from((self.capacity() - self.level) / PARTS).unwrap_or(u64::MAX)
    }

    fn refill(&mut self, now: Instant) {
        let micros = i128::from(now.as_micros().saturating_sub(self.at.as_micros()));
        self.level = (self.level + i128::from(self.per_second) * micros).min(self.capacity());
        self.at = self.at.max(now);
    }

    fn capacity(&self) -> i128 {
        i128::from(self.per_second) * PARTS
    }
}

/// How much a tenant's functions may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Most invocations a second, and in a burst.
    pub invocations_per_second: u64,
    /// Processor time, milliseconds a second.
    pub cpu_ms_per_second: u64,
    /// Most outgoing HTTP requests a second, and in a burst.
    pub http_requests_per_second: u64,
}

/// A budget that is used up; its text names it as the tenant's limits do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// Too many invocations.
    #[error("invocations-per-second ({0})")]
    Invocations(u64),
    /// Too much processor time.
    #[error("cpu-ms-per-second ({0})")]
    Cpu(u64),
    /// Too many outgoing requests.
    #[error("http-requests-per-second ({0})")]
    HttpRequests(u64),
}

/// Processor time that an invocation under way may take, microseconds. Has to come back with [`Budget::settle`].
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub struct Reserved(u64);

/// What a tenant's functions have left.
#[derive(Clone, Debug)]
pub struct Budget {
    rates: Rates,
    invocations: Bucket,
    /// In microseconds.
    cpu: Bucket,
    http_requests: Bucket,
    /// What the next invocation is taken to cost: as much as the dearest of late.
    estimate: u64,
}

impl Budget {
    /// A budget of which nothing is used.
    pub fn new(rates: Rates, now: Instant) -> Self {
        Self {
            rates,
            invocations: Bucket::full(rates.invocations_per_second, now),
            cpu: Bucket::full(cpu_micros(rates), now),
            http_requests: Bucket::full(rates.http_requests_per_second, now),
            estimate: ESTIMATE,
        }
    }

    /// Other rates from now on.
    pub fn change(&mut self, now: Instant, rates: Rates) {
        self.rates = rates;
        self.invocations.change(now, rates.invocations_per_second);
        self.cpu.change(now, cpu_micros(rates));
        self.http_requests.change(now, rates.http_requests_per_second);
    }

    /// An invocation wants to begin.
    ///
    /// # Errors
    /// Names the budget that is used up; then nothing is taken.
    pub fn admit(&mut self, now: Instant) -> Result<Reserved, Exhausted> {
        if !self.cpu.has_left(now) {
            return Err(Exhausted::Cpu(self.rates.cpu_ms_per_second));
        }
        if !self.invocations.take(now) {
            return Err(Exhausted::Invocations(self.rates.invocations_per_second));
        }
        self.cpu.charge(now, self.estimate);
        Ok(Reserved(self.estimate))
    }

    /// An invocation is over and took so much processor time.
    pub fn settle(&mut self, now: Instant, reserved: Reserved, spent: Duration) {
        let spent = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
        let Reserved(reserved) = reserved;
        self.cpu.charge(now, spent.saturating_sub(reserved));
        self.cpu.refund(now, reserved.saturating_sub(spent));
        self.estimate = spent.max(self.estimate - self.estimate / 8);
    }

    /// A function wants to send a request.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn request(&mut self, now: Instant) -> Result<(), Exhausted> {
        let limit = self.rates.http_requests_per_second;
        if self.http_requests.take(now) { Ok(()) } else { Err(Exhausted::HttpRequests(limit)) }
    }
}

fn cpu_micros(rates: Rates) -> u64 {
    rates.cpu_ms_per_second.saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const RATES: Rates = Rates { invocations_per_second: 10, cpu_ms_per_second: 200, http_requests_per_second: 2 };

    fn at_ms(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    #[test]
    fn a_bucket_gives_a_burst_and_then_its_rate() {
        let mut bucket = Bucket::full(10, at_ms(0));
        let taken = |bucket: &mut Bucket, millis| (0..100).filter(|_| bucket.take(at_ms(millis))).count();
        for (millis, expected) in [(0, 10), (50, 0), (100, 1), (350, 2), (400, 1), (90_000, 10)] {
            assert_eq!(taken(&mut bucket, millis), expected, "at {millis} ms");
        }
        assert_eq!(taken(&mut bucket, 80_000), 0, "time that goes backwards gives nothing");
    }

    #[test]
    fn a_rate_of_nothing_gives_nothing() {
        let mut bucket = Bucket::full(0, at_ms(0));
        assert!(!bucket.take(at_ms(1_000_000)) && !bucket.has_left(at_ms(1_000_000)));
    }

    #[test]
    fn each_budget_that_is_used_up_is_named() {
        let mut budget = Budget::new(RATES, at_ms(0));
        let admitted: Vec<_> = (0..10).filter_map(|_| budget.admit(at_ms(0)).ok()).collect();
        assert_eq!(admitted.len(), 10);
        assert_eq!(budget.admit(at_ms(0)), Err(Exhausted::Invocations(10)));
        assert_eq!((budget.request(at_ms(0)), budget.request(at_ms(0))), (Ok(()), Ok(())));
        assert_eq!(budget.request(at_ms(0)).map_err(|it| it.to_string()), Err("http-requests-per-second (2)".into()));
        for reserved in admitted {
            budget.settle(at_ms(0), reserved, Duration::from_millis(100));
        }
        assert_eq!(budget.admit(at_ms(3900)), Err(Exhausted::Cpu(200)), "ten times 100 ms take 4 s to pay back");
        assert!(budget.admit(at_ms(4001)).is_ok());
    }

    #[test]
    fn cheap_invocations_are_not_held_back_by_what_is_reserved_for_them() {
        let mut budget = Budget::new(Rates { invocations_per_second: 1000, ..RATES }, at_ms(0));
        for _ in 0..1000 {
            let reserved = budget.admit(at_ms(0)).expect("within the budget");
            budget.settle(at_ms(0), reserved, Duration::from_micros(30));
        }
    }

    #[test]
    fn other_rates_hold_at_once() {
        let mut budget = Budget::new(RATES, at_ms(0));
        budget.change(at_ms(0), Rates { invocations_per_second: 1, ..RATES });
        assert!(budget.admit(at_ms(0)).is_ok());
        assert_eq!(budget.admit(at_ms(0)), Err(Exhausted::Invocations(1)));
        budget.change(at_ms(0), Rates { invocations_per_second: 1000, ..RATES });
        assert!(budget.admit(at_ms(100)).is_ok());
    }

    /// A tenant that begins as many invocations as it may, 64 at once, each of which computes to its limit of 100 ms.
    #[test]
    fn a_tenant_whose_functions_loop_is_held_to_its_budget() {
        let rates = Rates { invocations_per_second: 1000, ..RATES };
        let mut budget = Budget::new(rates, at_ms(0));
        let mut under_way: BTreeMap<u64, Vec<Reserved>> = BTreeMap::new();
        let mut spent_ms = 0;
        let (minutes, cost_ms) = (10, 100);
        for millis in 0..minutes * 60_000 {
            for reserved in under_way.remove(&millis).unwrap_or_default() {
                budget.settle(at_ms(millis), reserved, Duration::from_millis(cost_ms));
            }
            while under_way.values().map(Vec::len).sum::<usize>() < 64
                && let Ok(reserved) = budget.admit(at_ms(millis))
            {
                spent_ms += cost_ms;
                under_way.entry(millis + cost_ms).or_default().push(reserved);
            }
        }
        let allowed = minutes * 60 * rates.cpu_ms_per_second;
        // Its budget, a second's burst and one invocation beyond it.
        assert!(spent_ms <= allowed + rates.cpu_ms_per_second + cost_ms, "{spent_ms} of {allowed} ms");
        assert!(spent_ms >= allowed * 9 / 10, "{spent_ms} of {allowed} ms");
    }

    proptest! {
        #[test]
        fn no_bucket_gives_more_than_its_burst_and_its_rate(
            per_second in 0u64..5000,
            steps in proptest::collection::vec(0u64..2_000_000, 1..300),
        ) {
            let mut bucket = Bucket::full(per_second, Instant::default());
            let (mut micros, mut taken) = (0u128, 0u128);
            for step in steps {
                micros += u128::from(step);
                taken += u128::from(bucket.take(Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))));
            }
            prop_assert!(taken <= u128::from(per_second) + u128::from(per_second) * micros / 1_000_000 + 1);
        }

        #[test]
        fn what_is_settled_as_reserved_leaves_the_budget_as_if_charged(spent in proptest::collection::vec(0u64..500_000, 1..50)) {
            let rates = Rates { invocations_per_second: 1000, cpu_ms_per_second: u64::MAX / 1_000_000, ..RATES };
            let mut budget = Budget::new(rates, Instant::default());
            for micros in &spent {
                let reserved = budget.admit(Instant::default()).expect("far within the budget");
                budget.settle(Instant::default(), reserved, Duration::from_micros(*micros));
            }
            prop_assert_eq!(budget.cpu.used(Instant::default()), spent.iter().sum::<u64>());
        }
    }
}
