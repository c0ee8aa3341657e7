//! How the engines are set up: deterministic, bounded, and without a door to the outside.

use std::time::Duration;

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Most memory an instance of the verifier may have. The largest call, a claim over a context and a
/// plan of 1 MiB each, takes about 12 MiB.
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
/// Most memory that a policy may be given: an interpreter of another language fits.
pub(super) const POLICY_MEMORY_BYTES_MAX: usize = 128 << 20;
/// Most elements of a policy's tables; an interpreter has several thousand functions in one.
pub(super) const POLICY_TABLE_ELEMENTS_MAX: usize = 65_536;
/// Ticks after which a policy is stopped, whatever fuel it has left.
pub(super) const POLICY_TICKS_MAX: u64 = 20;

/// How instances get their memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// As needed: for a command that makes a few calls.
    OnDemand,
    /// From a pool made at start: for a server.
    Pooled,
}

/// The settings of the verifier's engine. Both allocations load the same precompiled code.
pub fn config(allocation: Allocation) -> Config {
    let mut config = bounded();
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

/// The settings of the policies' engine: the verifier's, and fuel, so that how far a policy gets does
/// not depend on the machine it runs on.
pub fn policy_config(allocation: Allocation) -> Config {
    let mut config = bounded();
    config.consume_fuel(true);
    if allocation == Allocation::Pooled {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(INSTANCES_MAX)
            // A component made from Python is 38 core modules; a place for one costs nothing.
            .total_core_instances(INSTANCES_MAX * 64)
            .total_memories(INSTANCES_MAX)
            .total_tables(INSTANCES_MAX * 4)
            .max_core_instances_per_component(64)
            .max_memories_per_component(4)
            .max_tables_per_component(64)
            .table_elements(POLICY_TABLE_ELEMENTS_MAX)
            .max_component_instance_size(4 << 20)
            .max_core_instance_size(4 << 20)
            .max_memory_size(POLICY_MEMORY_BYTES_MAX)
            .linear_memory_keep_resident(256 << 10)
            .table_keep_resident(64 << 10)
            .pagemap_scan(wasmtime::Enabled::Auto);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

fn bounded() -> Config {
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
    config
}
