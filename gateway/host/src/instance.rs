//! One instance's surroundings: its place among the invocations that may be under way, and its store with every limit set.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use tandem_switch::time::UnixMillis;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Engine, Store, UpdateDeadline};

use crate::capabilities::Sandbox;
use crate::invoke::Conditions;
use crate::lanes::SlowLane;
use crate::limits::{self, Limits};
use crate::meter::Meter;
use crate::outcome::CpuTimeSpent;
use crate::ticker::{Running, Ticker};

/// What every instance of a host has in common. Clones are the same.
#[derive(Clone)]
pub(crate) struct Nursery {
    /// Runs what was compiled well.
    pub(crate) engine: Engine,
    /// Compiles fast and runs that, where there is such a compiler.
    pub(crate) baseline: Option<Engine>,
    pub(crate) limits: Limits,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) ticker: Arc<Ticker>,
    pub(crate) slow: SlowLane,
}

/// The right to have one instance. While it exists, time slices are counted.
pub(crate) struct Place {
    _share: Option<OwnedSemaphorePermit>,
    _place: OwnedSemaphorePermit,
    _running: Running,
}

impl Nursery {
    /// Waits for a place, first for one of the function's own `share`, then for one of the host's; `None` when there is none in
    /// [`Limits::permit_wait_max`].
    pub(crate) async fn place(&self, share: Option<&Arc<Semaphore>>) -> Option<Place> {
        let permits = async {
            let share = match share {
                Some(share) => Some(Arc::clone(share).acquire_owned().await.ok()?),
                None => None,
            };
            Some((share, Arc::clone(&self.places).acquire_owned().await.ok()?))
        };
        let (share, place) = tokio::time::timeout(self.limits.permit_wait_max, permits).await.ok()??;
        Some(Place { _share: share, _place: place, _running: self.ticker.run() })
    }

    /// Whether this host runs what was compiled for an engine.
    pub(crate) fn runs(&self, engine: &Engine) -> bool {
        std::iter::once(&self.engine).chain(&self.baseline).any(|own| Engine::same(own, engine))
    }

    /// A fresh world for one instance on an engine of this host, whose wall clock begins at `now`, with every limit set.
    pub(crate) fn instance(
        &self,
        engine: &Engine,
        conditions: &Conditions,
        now: UnixMillis,
        meter: Arc<Meter>,
        place: Place,
    ) -> Instance {
        let mut store = Store::new(engine, Sandbox::new(conditions, now));
        store.limiter(|sandbox| &mut sandbox.memory);
        store.set_hostcall_fuel(self.limits.answer_bytes_max);
        store.set_max_component_handles(limits::HANDLES_MAX);
        store.set_epoch_deadline(1);
        let cpu_time_max = conditions.cpu_time_max;
        store.epoch_deadline_callback(move |_| next_slice(meter.during(), cpu_time_max));
        Instance { store: Some(Placed { store, _place: place }), slow: self.slow.clone() }
    }
}

/// What happens at a tick of the clock. It ticks for all, so the first one may come early in a slice; then the function goes on.
fn next_slice(spent: Duration, max: Duration) -> wasmtime::Result<UpdateDeadline> {
    if spent >= max {
        return Err(CpuTimeSpent(max).into());
    }
    Ok(if spent < limits::TIME_SLICE { UpdateDeadline::Continue(1) } else { UpdateDeadline::Yield(1) })
}

/// The store of one instance. What is large is given back on the slow lane.
pub(crate) struct Instance {
    /// Taken when this is dropped, at no other time.
    store: Option<Placed>,
    slow: SlowLane,
}

/// The store goes before its place.
struct Placed {
    store: Store<Sandbox>,
    _place: Place,
}

impl Deref for Instance {
    type Target = Store<Sandbox>;

    fn deref(&self) -> &Store<Sandbox> {
        &self.store.as_ref().expect("there until dropped").store
    }
}

impl DerefMut for Instance {
    fn deref_mut(&mut self) -> &mut Store<Sandbox> {
        &mut self.store.as_mut().expect("there until dropped").store
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(placed) = self.store.take()
            && placed.store.data().memory.bytes > limits::MEMORY_DROPPED_HERE_BYTES
        {
            self.slow.drop_there(placed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_ends_a_slice_only_when_it_was_used() {
        let (slice, max) = (limits::TIME_SLICE, limits::TIME_SLICE * 10);
        assert!(matches!(next_slice(Duration::ZERO, max), Ok(UpdateDeadline::Continue(1))));
        assert!(matches!(next_slice(slice - Duration::from_nanos(1), max), Ok(UpdateDeadline::Continue(1))));
        assert!(matches!(next_slice(slice, max), Ok(UpdateDeadline::Yield(1))));
        assert!(matches!(next_slice(max - slice, max), Ok(UpdateDeadline::Yield(1))));
        assert!(next_slice(max, max).is_err_and(|error| error.is::<CpuTimeSpent>()));
    }
}
