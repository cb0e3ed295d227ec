//! How wasmtime is set up: a pool of instance slots whose memory is mapped copy-on-write from the component, time slices, and limits.
//!
//! Measured settings: instances from the pool with resident pages and the kernel's page scan cost half of the pool's defaults, and epoch
//! interruption costs a tenth of what counting fuel does.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy};

use crate::limits::{self, Limits};

/// Makes the engine that every function of this process runs on, once it is compiled well.
pub(crate) fn engine(limits: &Limits) -> wasmtime::Result<Engine> {
    Engine::new(settings().allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits))))
}

/// Makes an engine that compiles fast, in one pass over the code, and runs what it compiled: its code follows conventions of its own. It is
/// larger, slower, and needs more stack.
///
/// # Errors
/// When that compiler does not know this processor, or the system refuses memory.
pub(crate) fn baseline_engine(limits: &Limits) -> wasmtime::Result<Engine> {
    let mut settings = settings();
    settings
        .strategy(Strategy::Winch)
        .max_wasm_stack(limits::BASELINE_STACK_BYTES_MAX)
        .async_stack_size(limits::BASELINE_FIBER_STACK_BYTES)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    Engine::new(&settings)
}

/// Makes an engine that only compiles, for [`engine`]: as well as it can, on the thread that asks and no other.
pub(crate) fn optimising_compiler() -> wasmtime::Result<Engine> {
    Engine::new(settings().parallel_compilation(false))
}

/// What compiled code depends on: the same wherever it is compiled well, so that what one engine compiles another runs.
fn settings() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .max_wasm_stack(limits::STACK_BYTES_MAX)
        .async_stack_size(limits::FIBER_STACK_BYTES)
        .memory_init_cow(true);
    config
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let places = limits.invocations_max;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(places)
        .total_stacks(places)
        .total_core_instances(places.saturating_mul(limits::CORE_INSTANCES_MAX))
        .max_core_instances_per_component(limits::CORE_INSTANCES_MAX)
        .total_memories(places.saturating_mul(limits::MEMORIES_MAX))
        .max_memories_per_component(limits::MEMORIES_MAX)
        .max_memory_size(limits.memory_bytes_max)
        .total_tables(places.saturating_mul(limits::TABLES_MAX))
        .max_tables_per_component(limits::TABLES_MAX)
        .table_elements(limits::TABLE_ELEMENTS_MAX);
    // Keeping pages resident pays only where the kernel says which were written (Linux 6.7): else each would be cleared.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.linear_memory_keep_resident(limits::MEMORY_KEPT_BYTES)
            .table_keep_resident(limits::TABLE_KEPT_BYTES)
            .pagemap_scan(Enabled::Yes);
    }
    pool
}
