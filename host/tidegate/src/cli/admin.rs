//! The words of the commands that speak to the admin API.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Whose things a command is about.
#[derive(Debug, Args)]
pub(crate) struct OfTenant {
    /// The tenant
    #[arg(long, short, value_name = "TENANT")]
    pub(crate) tenant: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Create a tenant
    Create {
        /// 1 to 63 of a-z, 0-9, - and _
        tenant: String,
    },
    /// List all tenants
    List,
    /// Show whether uploaded components must carry golden cases, or set it
    CasePolicy {
        tenant: String,
        /// required or not-required [default: show]
        policy: Option<String>,
    },
    /// Show how much a tenant may send, or set it
    Quotas {
        tenant: String,
        /// JSON file such as {"requests":{"limit":600,"window_seconds":60,"burst":100},"over":"part"},
        /// with requests, events and bytes; null for the gateway's; - for standard input
        #[arg(long, value_name = "FILE")]
        set: Option<PathBuf>,
    },
    /// Show the limits that a tenant and its components have of their own, or set the tenant's
    Limits {
        tenant: String,
        /// JSON file with the limits, {} for the gateway's; - for standard input
        #[arg(long, value_name = "FILE")]
        set: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Create a key and print it: it cannot be shown again
    Create {
        #[command(flatten)]
        of: OfTenant,
        /// What people call it
        #[arg(long)]
        name: String,
        /// events:write, events:write:TYPE or events:read; may be given several times [default: events:write]
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Requests per minute [default: the gateway's]
        #[arg(long, value_name = "NUMBER")]
        rate_limit: Option<u64>,
        /// When it ends, such as 2027-01-01T00:00:00Z [default: never]
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// List a tenant's keys, without their secrets
    List {
        #[command(flatten)]
        of: OfTenant,
    },
    /// Take over keys that another system has made, by their SHA-256
    Import {
        /// CSV with a header: tenant_id, key_hash, and optionally id, name, scopes, rate_limit, is_active,
        /// expires_at
        file: PathBuf,
    },
    /// Set what may be sent with a key besides its requests per minute
    Quotas {
        #[command(flatten)]
        of: OfTenant,
        /// The key's id, as listed
        id: String,
        /// JSON file such as {"events":{"limit":60000}}, null for none; - for standard input
        #[arg(long, value_name = "FILE")]
        set: PathBuf,
    },
    /// Refuse a key from now on
    Revoke {
        #[command(flatten)]
        of: OfTenant,
        /// The key's id, as listed
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Store a JSON Schema; the same content again changes nothing, other content is a new version
    Put {
        #[command(flatten)]
        of: OfTenant,
        name: String,
        /// JSON file; - for standard input
        file: PathBuf,
    },
    /// List a tenant's schemas
    List {
        #[command(flatten)]
        of: OfTenant,
    },
}

/// What a reference table is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TableFormat {
    Csv,
    Ndjson,
    Parquet,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TableCommand {
    /// Store a reference table; other content is a new generation
    Put {
        #[command(flatten)]
        of: OfTenant,
        name: String,
        /// CSV with a header, NDJSON or Parquet; CSV and NDJSON also as .gz and .zst; - for standard
        /// input
        file: PathBuf,
        /// The column that rows are looked up by [default: the first]
        #[arg(long, value_name = "COLUMN")]
        key: Option<String>,
        /// What the file is [default: by its name, .ndjson, .jsonl or .parquet; else csv]
        #[arg(long, value_enum)]
        format: Option<TableFormat>,
    },
    /// List a tenant's reference tables
    List {
        #[command(flatten)]
        of: OfTenant,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Upload a component and follow how the gateway puts it to the proof
    Push {
        #[command(flatten)]
        of: OfTenant,
        name: String,
        /// A component as .wasm, or - for standard input; or oci://HOST/REPOSITORY@sha256:DIGEST for
        /// the gateway to pull
        file: PathBuf,
        /// File with the component's signature [default: FILE.sig, where there is one]
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
        /// Do not wait until it is admitted
        #[arg(long)]
        no_wait: bool,
    },
    /// Put golden cases into a component, in place of those that it has, for the gateway to check
    /// it with
    Pack {
        /// A component as .wasm
        component: PathBuf,
        /// Folder of golden cases, *.json
        #[arg(long, value_name = "FOLDER")]
        cases: PathBuf,
        /// Where to write it [default: over COMPONENT]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    #[command(flatten)]
    Local(LocalPluginCommand),
    /// Show what a tenant's rules log
    Logs {
        #[command(flatten)]
        of: OfTenant,
        /// NAME or NAME@VERSION [default: all of the tenant's rules]
        plugin: Option<String>,
        /// Only this rule of the revision
        #[arg(long)]
        rule: Option<String>,
        /// This level and those above: debug, info, warn or error
        #[arg(long, default_value = "info")]
        level: String,
        /// Go on with the lines to come, until it is interrupted
        #[arg(long, short)]
        follow: bool,
    },
    /// List a tenant's components, the built-in ones among them
    List {
        #[command(flatten)]
        of: OfTenant,
    },
    /// Show what a component declares, reads, writes and costs
    Show {
        #[command(flatten)]
        of: OfTenant,
        /// NAME@VERSION; the version is its number, or sha256:…
        #[arg(value_name = "NAME@VERSION")]
        plugin: String,
    },
    /// Show what a component imports, declares and costs
    Inspect {
        #[command(flatten)]
        of: OfTenant,
        name: String,
        /// The version: its number, or sha256:…
        version: String,
    },
}

/// What is done with components on this machine and with registries, without a gateway.
#[derive(Debug, Subcommand)]
pub(crate) enum LocalPluginCommand {
    /// Make a pair of keys to sign components with: FILE, and FILE.pub for others
    Keygen {
        /// Where the secret key goes; there must be no such file
        file: PathBuf,
    },
    /// Sign a component: FILE.sig holds the signature
    Sign {
        /// The component as .wasm
        file: PathBuf,
        /// The secret key
        #[arg(long, value_name = "KEY")]
        key: PathBuf,
    },
    /// Publish a component to an OCI registry, and print where it is by digest
    Publish {
        /// The component as .wasm; - for standard input
        file: PathBuf,
        /// oci://HOST/REPOSITORY or oci://HOST/REPOSITORY:TAG
        reference: String,
        #[command(flatten)]
        registry: RegistryArguments,
    },
    /// Pull a component from an OCI registry into a file, by digest
    Pull {
        /// oci://HOST/REPOSITORY@sha256:DIGEST
        reference: String,
        /// Where the component goes
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        #[command(flatten)]
        registry: RegistryArguments,
    },
}

/// How a registry is spoken to. TIDEGATE_REGISTRY_USER and TIDEGATE_REGISTRY_PASSWORD win over the file.
#[derive(Clone, Debug, Args)]
pub(crate) struct RegistryArguments {
    /// File with credentials, as `docker login` and `oras login` write it [default:
    /// ~/.docker/config.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) registry_config: Option<PathBuf>,
    /// Speak to this registry without TLS, as is done with loopback addresses
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// Speak TLS also to a loopback address
    #[arg(long, conflicts_with = "plain_http")]
    pub(crate) tls: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RevisionCommand {
    /// Check and store a revision; events are judged by it once it is activated
    Apply {
        #[command(flatten)]
        of: OfTenant,
        /// The revision as JSON; - for standard input
        file: PathBuf,
        /// Activate it as well
        #[arg(long)]
        activate: bool,
    },
    /// Judge events by this revision from now on; with thresholds it is taken back by itself where
    /// it does worse than they allow
    Activate {
        #[command(flatten)]
        of: OfTenant,
        /// Its number, or sha256:…
        revision: String,
        #[command(flatten)]
        thresholds: Thresholds,
    },
    /// Have this revision judge copies of live events, and keep what would change
    Shadow {
        #[command(flatten)]
        of: OfTenant,
        /// Its number, or sha256:…
        revision: String,
    },
    /// Have this revision judge a share of the events; it is taken back by itself where it does
    /// worse than the thresholds allow
    Canary {
        #[command(flatten)]
        of: OfTenant,
        /// Its number, or sha256:…
        revision: String,
        /// Share of the events, 0.01 to 100, by their keys
        #[arg(long, value_name = "PERCENT")]
        percent: f64,
        #[command(flatten)]
        thresholds: Thresholds,
    },
    /// Show the candidate that is tried, and what is known of it
    Rollout {
        #[command(flatten)]
        of: OfTenant,
    },
    /// Stop trying the candidate
    Stop {
        #[command(flatten)]
        of: OfTenant,
        /// For the history
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Have this revision judge stored events again, and tell what would change
    Replay {
        #[command(flatten)]
        of: OfTenant,
        /// Its number, or sha256:…
        revision: String,
        /// Events received since then: 90s, 15m, 1h, 7d ago, or RFC 3339
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Events received before then
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Events of this type; may be given several times
        #[arg(long = "type", value_name = "TYPE")]
        event_types: Vec<String>,
        /// At most so many events
        #[arg(long, value_name = "NUMBER")]
        limit: Option<u64>,
    },
    /// Go back to the revision that was active before
    Rollback {
        #[command(flatten)]
        of: OfTenant,
    },
    /// Show which revision is active
    Status {
        #[command(flatten)]
        of: OfTenant,
    },
    /// List a tenant's revisions
    List {
        #[command(flatten)]
        of: OfTenant,
    },
}

/// When a revision is taken back by itself.
#[derive(Clone, Copy, Debug, Default, Args, serde::Serialize)]
pub(crate) struct Thresholds {
    /// Share of events that may meet a fault of a rule, 0 to 1
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fault_rate: Option<f64>,
    /// How much larger the share of rejected and quarantined events may become, 0 to 1
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    reject_jump: Option<f64>,
    /// How many times as long the slowest hundredth of requests may take to be judged
    #[arg(long, value_name = "RATIO")]
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ratio: Option<f64>,
    /// Judging that takes less is never too slow, in milliseconds
    #[arg(long, value_name = "MILLISECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_floor_ms: Option<f64>,
    /// Events that are judged before anything is concluded
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    min_events: Option<u64>,
}
