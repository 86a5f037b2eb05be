//! Bounds of what a component may use. All of them can be changed while the host runs: a call
//! reads them when it begins.

use std::time::Duration;

/// Bounds of one call, and of what lies around it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How often the epoch advances. Fixed when the host starts.
    pub epoch_tick: Duration,
    /// A guest that runs longer than this yields to other work.
    pub slice: Duration,
    /// CPU time of one call, the host functions that it calls included.
    pub call_budget: Duration,
    /// Wall time of one call. A guest cannot wait for anything, so a call that takes this long
    /// has been kept waiting: the host is overloaded, and answers that it has no room.
    pub call_wall: Duration,
    /// Linear memory of one instance, in bytes. While the host runs it can be lowered, not raised
    /// above what it was when the host started.
    pub memory_bytes: usize,
    /// Elements of one instance's tables; changes as memory does.
    pub table_elements: usize,
    /// Bytes that one call may pass to the host.
    pub hostcall_bytes: usize,
    /// Component handles that one instance may hold.
    pub max_handles: usize,
    /// Bytes of events that one call is given; a larger batch is split.
    pub call_input_bytes: usize,
    /// Bytes of findings, and of patches, that one call may return: their texts and values, with
    /// codes and pointers written out.
    pub max_output_bytes: usize,
    pub max_findings_per_row: usize,
    /// Bytes of one finding's detail.
    pub max_detail_bytes: usize,
    pub log_lines_per_call: usize,
    pub log_bytes_per_call: usize,
    /// A store is replaced after about so many calls (a quarter more or less).
    pub retire_after_calls: u32,
    /// Instances that exist at once, of all tenants. Fixed when the host starts.
    pub max_instances: u32,
    /// Calls of one tenant that run at once; more wait. Fixed when a tenant's first rule is admitted.
    pub max_calls_per_tenant: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            epoch_tick: Duration::from_millis(1),
            slice: Duration::from_millis(2),
            call_budget: Duration::from_millis(50),
            call_wall: Duration::from_secs(5),
            memory_bytes: 16 << 20,
            table_elements: 20_000,
            hostcall_bytes: 8 << 20,
            max_handles: 1024,
            call_input_bytes: 1 << 20,
            max_output_bytes: 4 << 20,
            max_findings_per_row: 64,
            max_detail_bytes: 1024,
            log_lines_per_call: 32,
            log_bytes_per_call: 4096,
            retire_after_calls: 1024,
            max_instances: 512,
            max_calls_per_tenant: 16,
        }
    }
}

impl Limits {
    pub(crate) fn slice_ticks(&self) -> u64 {
        let tick = self.epoch_tick.as_micros().max(1);
        u64::try_from(self.slice.as_micros() / tick).unwrap_or(u64::MAX).max(1)
    }
}
