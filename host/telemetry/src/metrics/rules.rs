//! Tenants' rules.

use crate::metric::metrics;

metrics! {
    /// Calls of the rule.
    CALLS: counter "tidegate_plugin_calls_total" [tenant, plugin, rule, digest];
    /// Events given to the rule, again at each try.
    EVENTS: counter "tidegate_plugin_events_total" [tenant, plugin, rule, digest];
    /// Events not judged: breaker open.
    REFUSED_EVENTS: counter "tidegate_plugin_refused_events_total" [tenant, plugin, rule, digest];
    /// The most that one instance held.
    MEMORY_PEAK: gauge "tidegate_plugin_memory_peak_bytes" [tenant, plugin, rule, digest];
    /// Instances started for calls.
    STARTS: counter "tidegate_plugin_instance_starts_total" [tenant, plugin, rule, digest];
    /// Log lines kept.
    LOG_LINES: counter "tidegate_plugin_log_lines_total" [tenant, plugin, rule, digest];
    /// Log lines dropped.
    LOG_LINES_DROPPED: counter "tidegate_plugin_log_lines_dropped_total" [tenant, plugin, rule, digest];
    /// Instances of the component that wait.
    WARM_INSTANCES: gauge "tidegate_plugin_warm_instances" [tenant, plugin, rule, digest];
    /// Open breakers of the component.
    BREAKERS_OPEN: gauge "tidegate_plugin_breakers_open" [tenant, plugin, rule, digest];
    /// Findings by severity.
    FINDINGS: counter "tidegate_plugin_findings_total" [tenant, plugin, rule, digest, severity];
    /// Findings by code.
    CODES: counter "tidegate_plugin_codes_total" [tenant, plugin, rule, digest, code];
    /// Faulted calls by kind.
    FAULTS: counter "tidegate_plugin_faults_total" [tenant, plugin, rule, digest, kind];
    /// What the rule itself counted.
    COUNTERS: counter "tidegate_plugin_counter_total" [tenant, plugin, rule, digest, metric];
    /// CPU time of calls, short ones sampled.
    CPU: histogram "tidegate_plugin_cpu_seconds" [tenant, plugin, rule, digest];
    /// How long calls waited for a turn.
    QUEUE_WAIT: histogram "tidegate_plugin_queue_wait_seconds" [tenant, plugin, rule, digest];
    /// Calls not run: the tenant is over its share of CPU time.
    HELD_UP: counter "tidegate_plugin_tenant_held_up_total" [tenant];
    /// Rules of active revisions by the version of the contract that they need.
    ACTIVE: gauge "tidegate_active_rules" [contract];
}
