//! What rule components and schemas may use.

use std::path::PathBuf;
use std::time::Duration;

use crate::rule::{UnderDataDir, count, size, time};
use crate::section::section;

section! {
    /// The limits of rule components. `epoch_tick` and `max_instances` are fixed at the start.
    Plugins in "plugins" {
        /// How often running components look whether they must yield.
        epoch_tick: Duration = time("1ms", "100us", "100ms");
        /// How long a component runs before it yields to other work.
        slice: Duration = time("2ms", "100us", "1s");
        /// CPU time of one call, its host functions included.
        call_budget: Duration = time("50ms", "1ms", "10s");
        /// Wall time of one call, waiting included.
        call_wall: Duration = time("5s", "1ms", "10m");
        /// Bytes of memory of one instance.
        memory_bytes: usize = size("16MiB", "1MiB", "1GiB");
        /// Elements of one instance's tables of functions.
        table_elements: usize = count("20000", "100", "10000000");
        /// Bytes that one call may pass to the host.
        hostcall_bytes: usize = size("8MiB", "64KiB", "1GiB");
        /// Component handles that one instance may hold.
        max_handles: usize = count("1024", "16", "1000000");
        /// Bytes of events that one call is given; larger batches are split.
        call_input_bytes: usize = size("1MiB", "1KiB", "256MiB");
        /// Bytes of findings and patches that one call may answer.
        max_output_bytes: usize = size("4MiB", "1KiB", "256MiB");
        /// Findings for one event by one rule.
        max_findings_per_row: usize = count("64", "1", "10000");
        /// Bytes of one finding's detail.
        max_detail_bytes: usize = size("1KiB", "0", "64KiB");
        /// Log lines of one call; more are counted and dropped.
        log_lines_per_call: usize = count("32", "0", "10000");
        /// Bytes of log lines of one call; more are counted and dropped.
        log_bytes_per_call: usize = size("4KiB", "0", "1MiB");
        /// Calls after which an instance is replaced, about.
        retire_after_calls: u32 = count("1024", "1", "1000000");
        /// Instances that exist at once.
        max_instances: u32 = count("2048", "1", "100000");
        /// Calls of one tenant that run at once; more wait.
        max_calls_per_tenant: usize = count("16", "1", "10000");
        /// Calls of one tenant that wait at once; more are answered 429.
        max_waiting_per_tenant: usize = count("256", "1", "100000");
        /// CPU time that one tenant's rules may take in each second of each worker; who takes more is answered 429 until it is earned.
        tenant_cpu_share: Duration = time("500ms", "1ms", "1s");
        /// CPU time that a tenant can save up.
        tenant_cpu_burst: Duration = time("2s", "10ms", "10m");
        /// Log lines of one tenant's rules in a second; ten seconds' worth can be saved up, more are counted and dropped.
        tenant_log_lines: u64 = count("100", "1", "1000000");
        /// Bytes of memory of all instances together; where it is more, idle ones go.
        warm_memory_bytes: usize = size("1GiB", "1MiB", "1TiB");
        /// Faulted batches of a rule in 60 s after which it is not called for a while.
        breaker_faults: u32 = count("5", "1", "4294967295");
        /// Percent of a rule's batches in 60 s; more of them faulted do the same, of 100 at least.
        breaker_percent: u32 = count("1", "0", "100");
        /// Versions that one tenant may upload.
        max_versions_per_tenant: u64 = count("1000", "1", "1000000");
        /// Bytes of all versions that one tenant may upload.
        max_bytes_per_tenant: u64 = size("1GiB", "64KiB", "1TiB");
        /// What compiling and testing one tenant's uploads may take in any hour.
        admission_per_hour: Duration = time("10m", "1s", "1h");
    }
}

section! {
    /// The compilation of components, in a process of its own.
    Compile in "compile" {
        /// Bytes of a component.
        component_bytes: usize = size("4MiB", "4KiB", "256MiB");
        /// Bytes of address space of the process.
        memory_bytes: u64 = size("2GiB", "256MiB", "64GiB");
        /// CPU time of the process, in whole seconds.
        cpu_time: Duration = time("60s", "1s", "1h");
        /// Wall time of the process.
        wall_time: Duration = time("120s", "1s", "2h");
        /// The folder of compiled code.
        cache_directory: PathBuf = UnderDataDir("compiled");
    }
}

section! {
    /// The limits of JSON Schemas.
    Schemas in "schemas" {
        /// Bytes of a schema.
        max_bytes: usize = size("256KiB", "1KiB", "16MiB");
        /// References (`$ref`, `$dynamicRef`) of a schema.
        max_references: usize = count("256", "0", "100000");
        /// Bytes that one compiled regular expression may take.
        regex_bytes: usize = size("1MiB", "16KiB", "256MiB");
    }
}
