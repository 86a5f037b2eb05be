//! From the checked configuration to the options of each part.

pub(super) mod registries;
pub(super) mod tokens;

use std::time::Duration;

use anyhow::Context as _;
use tidegate_admin_api::Quorum;
use tidegate_config::{AccessLog, ActivationQuorum, ClientAddress, Config, Endpoint, OverQuota};
use tidegate_dedup::DedupOptions;
use tidegate_event::SchemaLimits;
use tidegate_ingest::{Anonymous, IngressOptions, WriteScope};
use tidegate_plugin_host::compile::CompileOptions;
use tidegate_plugin_host::{HostOptions, Limits};
use tidegate_storage::{BucketOptions, StorageOptions};
use tidegate_types::quota::{Over, Quota, Quotas};
use tidegate_wal::WalOptions;

pub(super) fn ingress(config: &Config) -> anyhow::Result<IngressOptions> {
    let from = &config.ingress;
    Ok(IngressOptions {
        endpoints: from.endpoints.iter().map(|endpoint| self::endpoint(*endpoint)).collect(),
        max_body_bytes: from.max_body_bytes,
        max_compression_ratio: from.max_compression_ratio,
        max_batch_events: from.max_batch_events,
        max_event_bytes: from.max_event_bytes,
        max_depth: from.max_depth,
        max_headers: from.max_headers,
        max_header_bytes: from.max_header_bytes,
        max_connections: from.max_connections,
        max_in_flight_requests: from.max_in_flight_requests,
        max_http2_streams: from.max_http2_streams,
        header_timeout: from.header_timeout,
        body_timeout: from.body_timeout,
        request_timeout: from.request_timeout,
        drain_timeout: from.drain_timeout,
        max_auth_failures: from.max_auth_failures,
        trusted_proxies: from.trusted_proxies.clone(),
        client_address: match from.client_address {
            ClientAddress::Forwarded => tidegate_ingest::ClientAddress::Forwarded,
            ClientAddress::XForwardedFor => tidegate_ingest::ClientAddress::XForwardedFor,
            ClientAddress::ProxyProtocol => tidegate_ingest::ClientAddress::ProxyProtocol,
        },
        max_receipt_reads: from.max_receipt_reads,
        access_log: match config.log.access {
            AccessLog::None => tidegate_ingest::AccessLog::None,
            AccessLog::Refused => tidegate_ingest::AccessLog::Refused,
            AccessLog::All => tidegate_ingest::AccessLog::All,
        },
        access_lines: config.log.access_lines,
        in_flight_status: http::StatusCode::from_u16(from.in_flight_status.code())?,
        anonymous: anonymous(config),
    })
}

/// The path that takes events without a credential, where the settings name one.
fn anonymous(config: &Config) -> Option<Anonymous> {
    let from = &config.anonymous;
    let tenant = from.tenant.clone().filter(|_| !from.path.is_empty())?;
    Some(Anonymous {
        // Read once, and as long as the process: routes are named by it in metrics and traces.
        path: String::leak(from.path.clone()),
        tenant,
        write: match from.event_types.as_slice() {
            [] => WriteScope::All,
            types => WriteScope::Types(types.into()),
        },
        requests_per_address: from.requests_per_address,
        origins: from.origins.clone(),
        preflight_age: from.preflight_age,
    })
}

fn endpoint(endpoint: Endpoint) -> tidegate_ingest::Endpoint {
    match endpoint {
        Endpoint::Events => tidegate_ingest::Endpoint::Events,
        Endpoint::Receipts => tidegate_ingest::Endpoint::Receipts,
        Endpoint::Batch => tidegate_ingest::Endpoint::Batch,
        Endpoint::Ping => tidegate_ingest::Endpoint::Ping,
        Endpoint::Health => tidegate_ingest::Endpoint::Health,
        Endpoint::Livez => tidegate_ingest::Endpoint::Livez,
        Endpoint::Readyz => tidegate_ingest::Endpoint::Readyz,
        Endpoint::Openapi => tidegate_ingest::Endpoint::Openapi,
        Endpoint::Metrics => tidegate_ingest::Endpoint::Metrics,
    }
}

/// What tenants without quotas of their own may send.
pub(super) fn quotas(config: &Config) -> anyhow::Result<Quotas> {
    let from = &config.quotas;
    let a_minute = |limit: u64| match limit {
        0 => Ok(None),
        _ => Quota::new(limit, Duration::from_secs(60), limit).map(Some),
    };
    let quotas = || {
        Ok::<_, String>(Quotas {
            requests: a_minute(from.tenant_requests)?,
            events: a_minute(from.tenant_events)?,
            bytes: a_minute(from.tenant_bytes)?,
            over: match from.over {
                OverQuota::Part => Over::Part,
                OverQuota::Nothing => Over::Nothing,
            },
        })
    };
    quotas().map_err(anyhow::Error::msg)
}

pub(super) fn plugins(config: &Config) -> anyhow::Result<HostOptions> {
    let (from, compile) = (&config.plugins, &config.compile);
    let program = std::env::current_exe().context("the path of this program cannot be found")?;
    let program =
        program.to_str().context("the path of this program is not valid UTF-8")?.to_owned();
    Ok(HostOptions {
        compile: CompileOptions {
            command: vec![program, "compile".to_owned()],
            cache: compile.cache_directory.clone(),
            component_bytes: compile.component_bytes,
            memory_bytes: compile.memory_bytes,
            cpu_seconds: compile.cpu_time.as_secs(),
            wall: compile.wall_time,
        },
        limits: Limits {
            epoch_tick: from.epoch_tick,
            slice: from.slice,
            call_budget: from.call_budget,
            call_wall: from.call_wall,
            memory_bytes: from.memory_bytes,
            table_elements: from.table_elements,
            hostcall_bytes: from.hostcall_bytes,
            max_handles: from.max_handles,
            call_input_bytes: from.call_input_bytes,
            max_output_bytes: from.max_output_bytes,
            max_findings_per_row: from.max_findings_per_row,
            max_detail_bytes: from.max_detail_bytes,
            log_lines_per_call: from.log_lines_per_call,
            log_bytes_per_call: from.log_bytes_per_call,
            retire_after_calls: from.retire_after_calls,
            max_instances: from.max_instances,
            max_calls_per_tenant: from.max_calls_per_tenant,
            max_waiting_per_tenant: from.max_waiting_per_tenant,
            tenant_cpu_share: from.tenant_cpu_share,
            tenant_cpu_burst: from.tenant_cpu_burst,
            tenant_log_lines: from.tenant_log_lines,
            warm_memory_bytes: from.warm_memory_bytes,
            breaker_faults: from.breaker_faults,
            breaker_percent: from.breaker_percent,
        },
        workers: config.workers.threads,
    })
}

pub(super) fn dedup(config: &Config) -> DedupOptions {
    let from = &config.dedup;
    DedupOptions { window: from.window, lease: from.lease, max_keys: from.max_keys }
}

pub(super) fn wal(config: &Config) -> WalOptions {
    let from = &config.wal;
    let mut options = WalOptions::new(&from.directory);
    options.segment_bytes = from.segment_bytes;
    options.max_bytes = from.max_bytes;
    options.low_water_bytes = from.low_water_bytes;
    options.group_bytes = from.group_bytes;
    options.queue_bytes = from.queue_bytes;
    options.seal_after = from.seal_after;
    options
}

pub(super) fn storage(config: &Config) -> anyhow::Result<StorageOptions> {
    let from = &config.storage;
    let mut options = StorageOptions::new(&from.directory);
    options.bucket = bucket(config)?;
    options.flush_bytes = from.flush_bytes;
    options.flush_after = from.flush_after;
    options.max_open_partitions = from.max_open_partitions;
    options.dedup_window = config.dedup.window;
    Ok(options)
}

/// The node's prefix in the bucket, where the settings name one.
fn bucket(config: &Config) -> anyhow::Result<Option<BucketOptions>> {
    let from = &config.storage;
    if from.url.is_empty() {
        return Ok(None);
    }
    if cfg!(not(feature = "s3")) {
        anyhow::bail!(
            "storage.url is given, and this program was built without S3: build it with `--features s3`, \
             or leave it empty"
        );
    }
    let secret = from.secret_access_key.reveal().map_err(anyhow::Error::msg);
    Ok(Some(BucketOptions {
        region: from.region.clone(),
        endpoint: from.endpoint.clone(),
        access_key_id: from.access_key_id.clone(),
        secret_access_key: secret.context("storage.secret_access_key")?,
        connect_timeout: from.connect_timeout,
        request_timeout: from.request_timeout,
        ..BucketOptions::new(&from.url).of_node(&config.node.name)
    }))
}

pub(super) fn schemas(config: &Config) -> SchemaLimits {
    let from = &config.schemas;
    SchemaLimits {
        bytes: from.max_bytes,
        references: from.max_references,
        regex_bytes: from.regex_bytes,
    }
}

pub(super) fn database(config: &Config) -> tidegate_catalog::DatabaseOptions {
    let from = &config.catalog;
    tidegate_catalog::DatabaseOptions {
        url: from.url.reveal().to_owned(),
        connect_timeout: from.connect_timeout,
        statement_timeout: from.statement_timeout,
    }
}

pub(super) fn catalog(config: &Config) -> tidegate_catalog::Limits {
    tidegate_catalog::Limits {
        schema_bytes: config.schemas.max_bytes as u64,
        component_bytes: config.compile.component_bytes as u64,
        component_versions_per_tenant: config.plugins.max_versions_per_tenant,
        component_bytes_per_tenant: config.plugins.max_bytes_per_tenant,
        admission_ms_per_hour: millis(config.plugins.admission_per_hour),
        ..tidegate_catalog::Limits::default()
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How much the admin API takes, and when the fleet is ready.
pub(super) fn admin(config: &Config) -> tidegate_admin_api::Limits {
    tidegate_admin_api::Limits {
        node_lost_after: config.catalog.node_lost_after,
        activation_quorum: match config.catalog.activation_quorum {
            ActivationQuorum::One => Quorum::One,
            ActivationQuorum::Majority => Quorum::Majority,
            ActivationQuorum::All => Quorum::All,
        },
        activation_timeout: config.catalog.activation_timeout,
        key_environment: config.keys.environment.as_str().into(),
        ..tidegate_admin_api::Limits::default()
    }
}
