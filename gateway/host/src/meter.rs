//! How long threads work for one invocation: its processor time, measured at each poll, so that waiting costs nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

/// The processor time of one invocation. One thread at a time polls an invocation, and only that thread measures; an invocation that
/// changes threads does so between polls, which orders the accesses.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// What the polls took that are over, nanoseconds.
    spent: AtomicU64,
    /// What the thread's clock showed when the poll under way began, nanoseconds.
    began: AtomicU64,
}

impl Meter {
    /// What the invocation took so far, the poll under way included. Call it inside of a poll of [`Metered`].
    pub(crate) fn during(&self) -> Duration {
        let under_way = thread_time().saturating_sub(self.began.load(Relaxed));
        self.spent() + Duration::from_nanos(under_way)
    }

    /// What its polls took that are over.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Relaxed))
    }
}

/// An invocation whose polls are measured.
pub(crate) struct Metered<F: ?Sized> {
    meter: Arc<Meter>,
    work: Pin<Box<F>>,
}

impl<F: Future> Metered<F> {
    pub(crate) fn new(meter: Arc<Meter>, work: F) -> Self {
        Self { meter, work: Box::pin(work) }
    }
}

impl<F: Future + ?Sized> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let began = thread_time();
        self.meter.began.store(began, Relaxed);
        let polled = self.work.as_mut().poll(cx);
        self.meter.spent.fetch_add(thread_time().saturating_sub(began), Relaxed);
        polled
    }
}

/// The processor time that this thread has had, nanoseconds.
#[cfg(unix)]
fn thread_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// Where a thread's own time cannot be read: the time by the clock, which counts against the function also what others took.
#[cfg(not(unix))]
fn thread_time() -> u64 {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works until the meter has seen it do so for a millisecond.
    fn work(meter: &Meter) {
        let began = meter.during();
        while meter.during() - began < Duration::from_millis(1) {
            std::hint::black_box(());
        }
    }

    #[test]
    fn polls_count_and_the_time_between_them_does_not() {
        let meter = Arc::new(Meter::default());
        let inside = Arc::clone(&meter);
        let mut polls = 0;
        let working = std::future::poll_fn(move |_| {
            work(&inside);
            polls += 1;
            if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
        });
        let mut working = Metered::new(Arc::clone(&meter), working);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut working).poll(&mut cx).is_pending());
        let first = meter.spent();
        assert!(first >= Duration::from_millis(1), "{first:?}");
        // Work of the same thread for somebody else.
        work(&Meter::default());
        assert_eq!(meter.spent(), first);
        assert!(Pin::new(&mut working).poll(&mut cx).is_ready());
        assert!(meter.spent() >= first + Duration::from_millis(1), "{:?}", meter.spent());
    }
}
