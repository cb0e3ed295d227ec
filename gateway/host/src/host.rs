//! The host: one for the process.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmtime::component::Linker;

use crate::cache::Cache;
use crate::capabilities::{self, Sandbox};
use crate::compile::Optimiser;
use crate::engine::{baseline_engine, engine, optimising_compiler};
use crate::instance::Nursery;
use crate::lanes::Lanes;
use crate::limits::Limits;
use crate::ticker::Ticker;

/// How a host is set up.
#[derive(Clone, Debug, Default)]
pub struct HostConfig {
    /// What one invocation may use.
    pub limits: Limits,
    /// Where compiled components are kept from one start to the next; without it each start compiles anew. The directory is made if
    /// it is missing. Whoever may write to it may run code in this process: it must belong to the gateway alone.
    pub cache: Option<PathBuf>,
}

/// Why there is no host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// wasmtime refuses its settings, or the system refuses it memory.
    #[error("the function host cannot start: {0}")]
    Engine(String),
    /// The thread that counts time slices does not start.
    #[error("the function host cannot start its clock: {0}")]
    Clock(#[source] std::io::Error),
    /// The threads for functions that compute long do not start.
    #[error("the function host cannot start its slow lane: {0}")]
    SlowLane(#[source] std::io::Error),
    /// The thread that compiles in the background does not start.
    #[error("the function host cannot start its compiler: {0}")]
    Compiler(#[source] std::io::Error),
    /// The cache directory cannot be made.
    #[error("the cache of compiled functions, {path}, cannot be used: {source}", path = path.display())]
    Cache {
        /// Which directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Loads functions and invokes them. Make one for the process, share it in an `Arc`.
pub struct Host {
    pub(crate) nursery: Nursery,
    /// What functions may import, of the engine that runs what was compiled well.
    pub(crate) linker: Linker<Sandbox>,
    /// The same for `nursery.baseline`.
    pub(crate) baseline_linker: Option<Linker<Sandbox>>,
    pub(crate) cache: Option<Arc<Cache>>,
    /// Compiles well, in the background.
    pub(crate) optimiser: Optimiser,
    /// The threads of `nursery.slow`.
    _lanes: Lanes,
}

impl Host {
    /// Sets the engine up and starts its clock.
    ///
    /// # Errors
    /// When the system gives no thread or address space, or the cache directory cannot be made.
    pub fn new(config: HostConfig) -> Result<Self, HostError> {
        let refused = |error: wasmtime::Error| HostError::Engine(format!("{error:#}"));
        let HostConfig { limits, cache } = config;
        let engine = engine(&limits).map_err(refused)?;
        let linker = capabilities::linker(&engine).map_err(refused)?;
        let cache = cache
            .map(|path| Cache::open(path.clone(), &engine).map_err(|source| HostError::Cache { path, source }))
            .transpose()?
            .map(Arc::new);
        let baseline = baseline_engine(&limits)
            .inspect_err(|error| {
                tracing::info!(error = format!("{error:#}"), "functions are compiled well at once, which takes longer");
            })
            .ok();
        let baseline_linker = baseline.as_ref().map(capabilities::linker).transpose().map_err(refused)?;
        let optimising = optimising_compiler().map_err(refused)?;
        let optimiser =
            Optimiser::start(optimising, engine.clone(), linker.clone(), cache.clone(), limits.optimising_bytes_max)
                .map_err(HostError::Compiler)?;
        let engines = std::iter::once(&engine).chain(&baseline).cloned().collect();
        let ticker = Arc::new(Ticker::start(engines).map_err(HostError::Clock)?);
        let lanes = Lanes::start().map_err(HostError::SlowLane)?;
        let places = Arc::new(Semaphore::new(limits.invocations_max as usize));
        let nursery = Nursery { engine, baseline, limits, places, ticker, slow: lanes.slow().clone() };
        Ok(Self { nursery, linker, baseline_linker, cache, optimiser, _lanes: lanes })
    }

    /// What one invocation may use.
    pub fn limits(&self) -> &Limits {
        &self.nursery.limits
    }

    /// Waits until every function that was loaded so far is compiled well, and kept in the cache: for benchmarks and tests. Blocks.
    pub fn settle(&self) {
        self.optimiser.settle();
    }

    /// How many invocations are under way.
    pub fn invocations_under_way(&self) -> usize {
        (self.limits().invocations_max as usize).saturating_sub(self.nursery.places.available_permits())
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("limits", self.limits()).finish_non_exhaustive()
    }
}
