//! The process, and how its telemetry fares.

use crate::metric::metrics;

metrics! {
    /// 1, with the version of the program.
    BUILD: gauge "tidegate_build_info" [version];
    /// When the process was started, in seconds since 1970.
    STARTED: gauge "process_start_time_seconds" [];
    /// CPU time that the process has used.
    CPU: counter "process_cpu_seconds_total" [];
    /// Memory that the process has in RAM.
    RESIDENT: gauge "process_resident_memory_bytes" [];
    /// File descriptors that are open.
    OPEN_FILES: gauge "process_open_fds" [];
    /// File descriptors that may be open.
    MOST_FILES: gauge "process_max_fds" [];
    /// Spans and metrics that the collector has taken.
    EXPORTED: counter "tidegate_telemetry_exported_total" [signal];
    /// Spans and metrics that are lost: the collector was not there, or refused them, or too many waited.
    LOST: counter "tidegate_telemetry_lost_total" [signal, reason];
}
