//! What an invocation's clocks show. The wall clock begins at `context.now` and the monotonic clock at zero, so that neither says anything
//! about the node; both go by the same readings, which are recorded, so that a replay shows them again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tandem_switch::time::UnixMillis;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

use crate::invoke::Clock;
use crate::limits;

/// What clocks show is told in microseconds, so that a recorded reading is the whole of it.
const RESOLUTION: Duration = Duration::from_micros(1);

/// The readings of one invocation, shared by its clocks.
#[derive(Clone, Debug)]
pub(crate) struct Readings(Arc<Mutex<Shown>>);

#[derive(Debug)]
struct Shown {
    clock: Clock,
    began: Instant,
    /// How often a clock was read.
    count: usize,
    /// What it showed last, microseconds since the invocation began.
    last: u64,
    /// The first [`limits::CLOCK_READINGS_MAX`] readings.
    kept: Vec<u64>,
}

impl Shown {
    fn read(&mut self) -> u64 {
        let next = match &self.clock {
            Clock::Real if self.count < limits::CLOCK_READINGS_MAX => micros(self.began.elapsed()),
            Clock::Recorded(recorded) if self.count < recorded.len() => recorded[self.count],
            // Beyond what is recorded each reading shows one microsecond more, at first and in a replay alike.
            Clock::Real | Clock::Recorded(_) => self.last.saturating_add(1),
        };
        self.last = next;
        self.count += 1;
        if self.kept.len() < limits::CLOCK_READINGS_MAX {
            self.kept.push(next);
        }
        next
    }
}

impl Readings {
    pub(crate) fn new(clock: Clock) -> Self {
        Self(Arc::new(Mutex::new(Shown { clock, began: Instant::now(), count: 0, last: 0, kept: Vec::new() })))
    }

    /// Microseconds since the invocation began.
    fn read(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read()
    }

    /// What the clocks showed so far.
    pub(crate) fn take(&self) -> Vec<u64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).kept)
    }
}

/// The invocation's wall clock.
pub(crate) struct Wall {
    pub(crate) readings: Readings,
    /// What it shows when the invocation begins.
    pub(crate) begins_at: UnixMillis,
}

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        RESOLUTION
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.begins_at.0).saturating_add(Duration::from_micros(self.readings.read()))
    }
}

/// The invocation's monotonic clock.
pub(crate) struct Monotonic(pub(crate) Readings);

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        1000
    }

    fn now(&self) -> u64 {
        self.0.read().saturating_mul(1000)
    }
}

/// Whole microseconds.
pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_show_what_was_recorded_and_then_go_on() {
        let readings = Readings::new(Clock::Recorded(vec![5, 70]));
        let wall = Wall { readings: readings.clone(), begins_at: UnixMillis(1000) };
        let monotonic = Monotonic(readings.clone());
        assert_eq!(wall.now(), Duration::from_micros(1_000_005));
        assert_eq!(monotonic.now(), 70_000);
        assert_eq!(monotonic.now(), 71_000);
        assert_eq!(wall.now(), Duration::from_micros(1_000_072));
        assert_eq!(readings.take(), [5, 70, 71, 72]);
    }

    #[test]
    fn readings_beyond_the_bound_go_on_as_a_replay_of_them_does() {
        let real = Readings::new(Clock::Real);
        let shown: Vec<u64> = (0..limits::CLOCK_READINGS_MAX + 3).map(|_| real.read()).collect();
        let kept = real.take();
        assert_eq!(kept, shown[..limits::CLOCK_READINGS_MAX]);
        let replayed = Readings::new(Clock::Recorded(kept));
        assert!(shown.iter().all(|reading| replayed.read() == *reading));
        assert!(shown.is_sorted());
    }

    #[test]
    fn a_wall_clock_at_the_end_of_time_does_not_panic() {
        let wall = Wall { readings: Readings::new(Clock::Recorded(vec![u64::MAX])), begins_at: UnixMillis(u64::MAX) };
        assert!(wall.now() > Duration::from_millis(u64::MAX));
        assert_eq!(Monotonic(wall.readings).now(), u64::MAX);
    }
}
