//! How the engine is set up: deterministic, bounded, and without a door to the outside.

use std::time::Duration;

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Most memory an instance may have. The largest call, a claim over a context and a plan of 1 MiB
/// each, takes about 12 MiB.
pub(super) const MEMORY_BYTES_MAX: usize = 64 << 20;
/// An instance that grew above this is dropped after the call, so that one large context does not
/// hold memory for good.
pub(super) const MEMORY_BYTES_KEPT: usize = 4 << 20;
/// How often the watchdog looks.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Ticks after which a call is stopped. The largest call takes a small part of it; input is bounded.
pub(super) const TICKS_MAX: u64 = 50;
/// Most instances alive at once under the pooling allocator.
pub(super) const INSTANCES_MAX: u32 = 128;

/// How instances get their memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// As needed: for a command that makes a few calls.
    OnDemand,
    /// From a pool made at start: for a server.
    Pooled,
}

/// The settings of an engine. Both allocations load the same precompiled code.
pub fn config(allocation: Allocation) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // On by default, and it makes each call four times slower.
        .concurrency_support(false)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .epoch_interruption(true)
        .generate_address_map(false)
        .max_wasm_stack(512 << 10);
    if allocation == Allocation::Pooled {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(INSTANCES_MAX)
            .total_core_instances(INSTANCES_MAX)
            .total_memories(INSTANCES_MAX)
            .total_tables(INSTANCES_MAX)
            .max_memory_size(MEMORY_BYTES_MAX)
            .linear_memory_keep_resident(256 << 10)
            // The table of functions is filled anew by each instance, on its one page.
            .table_keep_resident(64 << 10)
            .pagemap_scan(wasmtime::Enabled::Auto);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}
