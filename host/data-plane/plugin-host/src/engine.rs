//! The wasmtime engine. The compiling child and the host build theirs from the same function, so
//! that the code of one runs in the other; only the allocator differs.

use std::hash::{Hash, Hasher};

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::limits::Limits;

/// What a component may contain at most; the pool is sized by it.
const MAX_CORE_INSTANCES: u32 = 32;
const MAX_MEMORIES: u32 = 2;
const MAX_TABLES: u32 = 8;

fn tunables() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .cranelift_nan_canonicalization(true)
        .wasm_backtrace_max_frames(None)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20)
        .async_stack_zeroing(true);
    config
}

/// What compiled code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Judging events.
    Run,
    /// Counting instructions as fuel, when a component is certified.
    Certify,
}

impl Purpose {
    /// How the child that compiles is told.
    pub(crate) fn argument(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Certify => "certify",
        }
    }

    pub(crate) fn from_argument(text: &str) -> Option<Self> {
        [Self::Run, Self::Certify].into_iter().find(|purpose| purpose.argument() == text)
    }
}

/// An engine without a pool. It compiles in the child, whose address space a pool would not fit
/// into, and it runs what is certified.
pub(crate) fn without_pool(purpose: Purpose) -> wasmtime::Result<Engine> {
    let mut config = tunables();
    config.consume_fuel(purpose == Purpose::Certify);
    Engine::new(&config)
}

/// The engine that runs.
pub(crate) fn running(limits: &Limits) -> wasmtime::Result<Engine> {
    let mut pool = PoolingAllocationConfig::default();
    let count = limits.max_instances;
    pool.total_component_instances(count)
        .total_core_instances(count.saturating_mul(4))
        .total_memories(count)
        .total_tables(count.saturating_mul(2))
        .total_stacks(count)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_memory_size(limits.memory_bytes)
        .table_elements(limits.table_elements)
        .max_unused_warm_slots(64)
        .linear_memory_keep_resident(64 << 10);
    let mut config = tunables();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

/// Tells apart engines whose compiled code is not interchangeable: other versions, other settings,
/// other CPU features.
pub(crate) fn compatibility(engine: &Engine) -> u64 {
    // Only compared with what this program wrote, so the standard library's hasher will do.
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_compiles_for_the_host() {
        let host = running(&Limits { max_instances: 2, ..Limits::default() }).expect("engine");
        let child = |purpose| compatibility(&without_pool(purpose).expect("engine"));
        assert_eq!(compatibility(&host), child(Purpose::Run));
        assert_ne!(child(Purpose::Run), child(Purpose::Certify), "their code is kept apart");
    }
}
