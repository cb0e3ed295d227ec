//! Two lanes, so that a function that computes long slows nobody else. An invocation begins where it is called; what is not done after its
//! first [`limits::TIME_SLICE`] goes on in the slow lane: few threads, which the system runs only when nobody else wants the processor
//! much. Nearly every decision ends in its first slice and never leaves its thread.
//!
//! In the slow lane tenants take turns, not invocations: who has 64 under way there goes on no faster for it, and holds up nobody who has
//! one ([`Turns`]).
//!
//! There is no queue of its own to bound: who is in the slow lane holds a place of the host's ([`limits::INVOCATIONS_MAX`]).

use std::cell::Cell;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

use crate::limits;
use crate::meter::{Meter, Metered};

/// The threads of the slow lane. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// Taken when this is dropped, at no other time.
    slow: Option<Runtime>,
    lane: SlowLane,
}

/// The way into the slow lane.
#[derive(Clone, Debug)]
pub(crate) struct SlowLane(Handle);

impl Lanes {
    pub(crate) fn start() -> std::io::Result<Self> {
        let slow = Builder::new_multi_thread()
            .worker_threads(threads())
            .thread_name("function-slow")
            .on_thread_start(|| {
                IS_SLOW.set(true);
                step_back();
            })
            .enable_time()
            .build()?;
        let lane = SlowLane(slow.handle().clone());
        Ok(Self { slow: Some(slow), lane })
    }

    pub(crate) fn slow(&self) -> &SlowLane {
        &self.lane
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        if let Some(slow) = self.slow.take() {
            // Waiting for its threads here would block the caller's runtime.
            slow.shutdown_background();
        }
    }
}

thread_local! {
    /// Whether this thread is one of a slow lane.
    static IS_SLOW: Cell<bool> = const { Cell::new(false) };
}

/// How many threads the slow lane has.
fn threads() -> usize {
    (std::thread::available_parallelism().map_or(1, NonZeroUsize::get) / limits::SLOW_LANE_SHARE).max(1)
}

/// Turns in the slow lane: of the invocations that share them (a tenant's), as many compute there at once as half of its threads, and at
/// least one; after a time slice the next one does. Clones are the same.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new((threads() / 2).max(1))))
    }
}

/// Lets others go first, where the system has a priority for each thread.
pub(crate) fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, limits::SLOW_LANE_NICE) {
        tracing::warn!(%error, "a thread for long computations runs at the priority of all others");
    }
}

impl SlowLane {
    /// Runs `work` here for its first time slice, and there for the rest, in turn. Dropping the future ends the work, wherever it is.
    ///
    /// # Errors
    /// When the work panicked there.
    pub(crate) async fn run<F>(&self, meter: &Arc<Meter>, turns: &Turns, work: F) -> Result<F::Output, JoinError>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let mut work = Metered::new(Arc::clone(meter), work);
        let begun = poll_fn(|cx| match Pin::new(&mut work).poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if meter.spent() >= limits::TIME_SLICE => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        if let Some(done) = begun.await {
            return Ok(done);
        }
        // The set ends its task when it is dropped.
        let mut task = JoinSet::new();
        task.spawn_on(moved(Handle::current(), turns.clone(), work), &self.0);
        task.join_next().await.expect("a set of one task has one result")
    }

    /// Runs something short there. What it gives is nobody's.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.spawn(work));
    }

    /// Drops something there: what takes long to give back. Who is there already does it now, so that it counts as its own work.
    pub(crate) fn drop_there(&self, what: impl Send + 'static) {
        match IS_SLOW.get() {
            true => drop(what),
            false => self.spawn(async move { drop(what) }),
        }
    }
}

/// Work that began on another runtime. While it is polled, that runtime is the current one: what it starts (a timer, a connection that
/// others share) stays off the slow lane. It holds a turn only while it computes, not while it waits.
async fn moved<F: Future>(origin: Handle, Turns(turns): Turns, mut work: Metered<F>) -> F::Output {
    loop {
        // Nobody closes them.
        let turn = turns.acquire().await;
        // Who has a turn stands in line with those of other tenants, and all others of its own wait until it is over.
        stand_in_line().await;
        let polled = poll_fn(|cx| {
            let _guard = origin.enter();
            Poll::Ready(Pin::new(&mut work).poll(cx))
        });
        let polled = polled.await;
        drop(turn);
        match polled {
            Poll::Ready(done) => return done,
            Poll::Pending => woken().await,
        }
    }
}

/// Lets those go first who stand in line already.
async fn stand_in_line() {
    let mut stands = false;
    poll_fn(|cx| match std::mem::replace(&mut stands, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

/// Waits until somebody wakes this task: whatever the work that it polled just before waits for.
async fn woken() {
    let mut is_asleep = false;
    poll_fn(|_| match std::mem::replace(&mut is_asleep, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// Computes for so many time slices, as a function does: it lets others go on after each.
    async fn compute(slices: usize, computed: Arc<AtomicUsize>) {
        for _ in 0..slices {
            let meter = Meter::default();
            let began = meter.during();
            while meter.during() - began < limits::TIME_SLICE {
                std::hint::black_box(());
            }
            computed.fetch_add(1, Relaxed);
            let mut has_yielded = false;
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if std::mem::replace(&mut has_yielded, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    }

    /// Without turns, the other one would wait for a slice of each of them at each of its own.
    #[tokio::test]
    async fn who_has_many_under_way_holds_up_nobody_who_has_one() {
        const SLICES: usize = 20;
        let many = 64 * threads();
        let lanes = Lanes::start().unwrap();
        let (turns, theirs) = (Turns::default(), Arc::new(AtomicUsize::new(0)));
        let mut loopers = JoinSet::new();
        for _ in 0..many {
            let (slow, turns, theirs) = (lanes.slow().clone(), turns.clone(), Arc::clone(&theirs));
            loopers.spawn(async move { slow.run(&Arc::default(), &turns, compute(usize::MAX, theirs)).await });
        }
        while theirs.load(Relaxed) < 2 * many {
            tokio::task::yield_now().await;
        }
        let before = theirs.load(Relaxed);
        let meter = Arc::new(Meter::default());
        lanes.slow().run(&meter, &Turns::default(), compute(SLICES, Arc::default())).await.unwrap();
        let meanwhile = theirs.load(Relaxed) - before;
        assert!(meanwhile < SLICES * 16 * threads(), "{meanwhile} slices of others during {SLICES} of its own");
        loopers.shutdown().await;
    }
}
