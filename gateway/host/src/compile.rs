//! Compiling in two stages. A component is first compiled as fast as possible, so that a tenant's new logic answers calls within a moment of
//! its upload; then, on a thread of its own that lets everything else go first, as well as possible, and invocations from then on run that.
//! Only what was compiled well is kept in the cache.
//!
//! What is compiled fast runs on an engine of its own, whose code has other conventions. What is compiled well is compiled by an engine that never
//! runs anything, for the one that does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::cache::Cache;
use crate::capabilities::Sandbox;
use crate::digest::Digest;
use crate::lanes;
use crate::limits;
use crate::load::Function;
use crate::world::World;

/// Code that a compiler of this process made for the engine that runs functions.
pub(crate) struct Code(Vec<u8>);

impl Code {
    /// Compiles a component, as the compiler's settings say.
    pub(crate) fn of(compiler: &Engine, bytes: &[u8]) -> wasmtime::Result<Self> {
        compiler.precompile_component(bytes).map(Self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The component, to be run on this engine.
    #[expect(unsafe_code, reason = "wasmtime takes compiled code only through an unsafe function")]
    pub(crate) fn component(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes are what wasmtime's compiler gave in this process, unchanged: nothing but `of` makes a `Code`, and nothing
        // changes one. wasmtime compares its version and the settings of both engines.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}

/// What the thread works with.
struct Workshop {
    compiler: Engine,
    engine: Engine,
    linker: Linker<Sandbox>,
    cache: Option<Arc<Cache>>,
}

/// Compiles well what was compiled fast. Its thread ends after what it is at when this is dropped.
pub(crate) struct Optimiser {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
    bytes_max: usize,
    _thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    is_idle: Condvar,
    stop: AtomicBool,
}

/// What waits to be compiled, what is being compiled included.
#[derive(Clone, Copy, Default)]
struct Waiting {
    components: usize,
    bytes: usize,
}

/// Room for one component among those that wait.
pub(crate) struct Room {
    shared: Arc<Shared>,
    bytes: usize,
}

struct Job {
    /// Whoever uploads again and again drops what was uploaded before: that is not worth compiling.
    function: Weak<Function>,
    bytes: Vec<u8>,
    _room: Room,
}

impl Optimiser {
    pub(crate) fn start(
        compiler: Engine,
        engine: Engine,
        linker: Linker<Sandbox>,
        cache: Option<Arc<Cache>>,
        bytes_max: usize,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(limits::OPTIMISING_COMPONENTS_MAX);
        let shared = Arc::new(Shared::default());
        let (workshop, seen) = (Workshop { compiler, engine, linker, cache }, Arc::clone(&shared));
        let thread = thread::Builder::new().name("function-compile".into()).spawn(move || {
            lanes::step_back();
            work(&workshop, &queue, &seen);
        })?;
        Ok(Self { jobs, shared, bytes_max, _thread: thread })
    }

    /// Room for a component of this size; `None` when too much waits already. Whoever gets none compiles it well at once.
    pub(crate) fn room(&self, bytes: usize) -> Option<Room> {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = waiting.components < limits::OPTIMISING_COMPONENTS_MAX
            && waiting.bytes.saturating_add(bytes) <= self.bytes_max;
        fits.then(|| {
            waiting.components += 1;
            waiting.bytes += bytes;
            Room { shared: Arc::clone(&self.shared), bytes }
        })
    }

    /// Has a function compiled well, in its turn.
    pub(crate) fn improve(&self, function: &Arc<Function>, bytes: Vec<u8>, room: Room) {
        // There are as many places in the queue as rooms; an error means that the thread has ended, and the function runs as it is.
        let _ = self.jobs.try_send(Job { function: Arc::downgrade(function), bytes, _room: room });
    }

    /// Waits until nothing waits.
    pub(crate) fn settle(&self) {
        let waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.shared.is_idle.wait_while(waiting, |waiting| waiting.components > 0));
    }
}

impl Drop for Optimiser {
    fn drop(&mut self) {
        // The thread is not waited for: a large component takes it seconds, and a file of the cache is there whole or not at all.
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.components -= 1;
        waiting.bytes -= self.bytes;
        self.shared.is_idle.notify_all();
    }
}

fn work(workshop: &Workshop, queue: &Receiver<Job>, shared: &Shared) {
    while let Ok(job) = queue.recv() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let Some(function) = job.function.upgrade() else { continue };
        match workshop.compiled_well(&function, &job.bytes) {
            Ok(world) => function.improve(world),
            Err(error) => {
                tracing::warn!(digest = %function.digest(), error = format!("{error:#}"), "a function stays compiled fast, not well");
            }
        }
    }
}

impl Workshop {
    fn compiled_well(&self, function: &Function, bytes: &[u8]) -> wasmtime::Result<World> {
        let code = Code::of(&self.compiler, bytes)?;
        let component = self.kept(function.digest(), &code).map_or_else(|| code.component(&self.engine), Ok)?;
        World::new(function.kind(), self.linker.instantiate_pre(&component)?)
    }

    /// From the cache, its code is mapped and not on the heap.
    fn kept(&self, digest: Digest, code: &Code) -> Option<Component> {
        let cache = self.cache.as_ref()?;
        cache.keep(digest, code.bytes());
        cache.find(&self.engine, digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{engine, optimising_compiler};
    use crate::limits::Limits;

    #[test]
    fn what_waits_is_bounded_in_number_and_bytes() {
        let engine = engine(&Limits { invocations_max: 1, ..Limits::default() }).unwrap();
        let linker = Linker::new(&engine);
        let optimiser = Optimiser::start(optimising_compiler().unwrap(), engine, linker, None, 1000).unwrap();
        let most = optimiser.room(1000);
        assert!(most.is_some() && optimiser.room(1).is_none(), "no byte more");
        drop(most);
        let many: Vec<_> = (0..limits::OPTIMISING_COMPONENTS_MAX).map_while(|_| optimiser.room(1)).collect();
        assert_eq!(many.len(), limits::OPTIMISING_COMPONENTS_MAX);
        assert!(optimiser.room(1).is_none(), "no component more");
        drop(many);
        optimiser.settle();
        assert!(optimiser.room(1000).is_some(), "what is done makes room");
    }
}
