//! How wasmtime is set up: a pool of instance slots whose memory is mapped copy-on-write from the component, time slices, and limits.
//!
//! Measured settings: instances from the pool with resident pages and the kernel's page scan cost half of the pool's defaults, and epoch
//! interruption costs a tenth of what counting fuel does.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, RegallocAlgorithm,
};

use crate::limits::{self, Limits};

/// Makes the engine that every function of this process runs on.
pub(crate) fn engine(limits: &Limits) -> wasmtime::Result<Engine> {
    Engine::new(settings().allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits))))
}

/// Makes an engine that only compiles, for the one that runs: as fast as it can. Its code is larger, and slower to run.
pub(crate) fn baseline_compiler() -> wasmtime::Result<Engine> {
    let mut settings = settings();
    settings.cranelift_opt_level(OptLevel::None).cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    Engine::new(&settings)
}

/// Makes an engine that only compiles, for the one that runs: as well as it can, on the thread that asks and no other.
pub(crate) fn optimising_compiler() -> wasmtime::Result<Engine> {
    Engine::new(settings().parallel_compilation(false))
}

/// What compiled code depends on: the same for all three, so that what one compiles another runs.
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
