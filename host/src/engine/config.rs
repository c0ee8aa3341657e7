//! The settings of the engines: deterministic, with resource limits, and without access to the
//! outside.

use std::time::Duration;

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Maximum memory of a verifier instance. The largest call, a claim over a context and a plan of 1
/// MiB each, takes about 12 MiB.
pub(super) const MEMORY_BYTES_MAX: usize = 64 << 20;
/// An instance that grew above this size is dropped after the call, so that one large context does
/// not occupy memory permanently.
pub(super) const MEMORY_BYTES_KEPT: usize = 4 << 20;
/// The watchdog's tick interval.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Ticks after which a call is stopped. The largest call takes a small part of that time; input is
/// bounded.
pub(super) const TICKS_MAX: u64 = 50;
/// Maximum number of concurrent instances in the pooling allocator.
pub(super) const INSTANCES_MAX: u32 = 128;
/// Maximum memory of a policy: enough for an interpreter of another language.
pub(crate) const POLICY_MEMORY_BYTES_MAX: usize = signoff_core::module::MEMORY_BYTES_MAX;
/// Maximum number of elements in a policy's tables; an interpreter has several thousand functions
/// in one.
pub(crate) const POLICY_TABLE_ELEMENTS_MAX: usize = 65_536;
/// Ticks after which a policy is stopped, regardless of its remaining fuel.
pub(crate) const POLICY_TICKS_MAX: u64 = 20;

/// How the memory of instances is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// On demand: for a command that makes a few calls.
    OnDemand,
    /// From a pool allocated at start: for a server.
    Pooled,
}

/// Returns the settings of the verifier's engine. Both allocations load the same precompiled code.
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
            // Each instance initializes the function table, which fits in these pages.
            .table_keep_resident(64 << 10)
            .pagemap_scan(wasmtime::Enabled::Auto);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

/// Returns the settings of the policies' engine: those of the verifier, and fuel, so that a
/// policy's budget does not depend on the machine.
pub fn policy_config(allocation: Allocation) -> Config {
    let mut config = bounded();
    config.consume_fuel(true);
    if allocation == Allocation::Pooled {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(INSTANCES_MAX)
            // A component compiled from Python consists of 38 core modules; a slot costs nothing.
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
        // Enabled by default; it makes each call four times slower.
        .concurrency_support(false)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .epoch_interruption(true)
        .generate_address_map(false)
        .max_wasm_stack(512 << 10);
    config
}
