//! The clock of time slices: a thread that moves the engines' epochs on while functions run, and sleeps while none does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use wasmtime::Engine;

use crate::limits;

/// Ticks while it lives. Its thread ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// An invocation under way: while it exists, the epoch moves.
#[derive(Debug)]
pub(crate) struct Running(Arc<Shared>);

impl Ticker {
    pub(crate) fn start(engines: Vec<Engine>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let ticking = Arc::clone(&shared);
        let thread = thread::Builder::new().name("function-clock".into()).spawn(move || tick(&engines, &ticking))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Notes that an invocation begins, and wakes the clock if it sleeps.
    pub(crate) fn run(&self) -> Running {
        // Sequential consistency on both sides: either this thread sees that the clock sleeps, or the clock sees that something runs.
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
        Running(Arc::clone(&self.shared))
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // It cannot panic: it counts and sleeps.
            let _ = thread.join();
        }
    }
}

fn tick(engines: &[Engine], shared: &Shared) {
    let mut idle_slices = 0;
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.running.load(Ordering::SeqCst) > 0 {
            idle_slices = 0;
        } else if idle_slices < limits::IDLE_SLICES {
            idle_slices += 1;
        } else {
            sleep(shared);
            idle_slices = 0;
            continue;
        }
        thread::park_timeout(limits::TIME_SLICE);
        engines.iter().for_each(Engine::increment_epoch);
    }
}

fn sleep(shared: &Shared) {
    shared.asleep.store(true, Ordering::SeqCst);
    if shared.running.load(Ordering::SeqCst) == 0 && !shared.stop.load(Ordering::SeqCst) {
        thread::park();
    }
    shared.asleep.store(false, Ordering::SeqCst);
}
