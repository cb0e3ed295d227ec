//! Two lanes, so that a function that computes long slows nobody else. An invocation begins where it is called; what is not done after its
//! first [`limits::TIME_SLICE`] goes on in the slow lane: few threads, which the system runs only when nobody else wants the processor
//! much. Nearly every decision ends in its first slice and never leaves its thread.
//!
//! There is no queue of its own to bound: who is in the slow lane holds a place of the host's ([`limits::INVOCATIONS_MAX`]).

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Handle, Runtime};
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
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get) / limits::SLOW_LANE_SHARE;
        let slow = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("function-slow")
            .on_thread_start(step_back)
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

/// Lets others go first, where the system has a priority for each thread.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, limits::SLOW_LANE_NICE) {
        tracing::warn!(%error, "a thread for long computations runs at the priority of all others");
    }
}

impl SlowLane {
    /// Runs `work` here for its first time slice, and there for the rest. Dropping the future ends the work, wherever it is.
    ///
    /// # Errors
    /// When the work panicked there.
    pub(crate) async fn run<F>(&self, meter: &Arc<Meter>, work: F) -> Result<F::Output, JoinError>
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
        task.spawn_on(Moved { origin: Handle::current(), work }, &self.0);
        task.join_next().await.expect("a set of one task has one result")
    }

    /// Runs something short there. What it gives is nobody's.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.spawn(work));
    }

    /// Drops something there: what takes long to give back.
    pub(crate) fn drop_there(&self, what: impl Send + 'static) {
        self.spawn(async move { drop(what) });
    }
}

/// Work that began on another runtime. While it is polled, that runtime is the current one: what it starts (a timer, a connection that
/// others share) stays off the slow lane.
struct Moved<F: Future> {
    origin: Handle,
    work: Metered<F>,
}

impl<F: Future> Future for Moved<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { origin, work } = &mut *self;
        let _guard = origin.enter();
        Pin::new(work).poll(cx)
    }
}
