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
        /// What it may do; may be given several times [default: events:write]
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

#[derive(Debug, Subcommand)]
pub(crate) enum TableCommand {
    /// Store a reference table; other content is a new generation
    Put {
        #[command(flatten)]
        of: OfTenant,
        name: String,
        /// CSV file with a header, also .gz and .zst; - for standard input
        file: PathBuf,
        /// The column that rows are looked up by [default: the first]
        #[arg(long, value_name = "COLUMN")]
        key: Option<String>,
    },
    /// List a tenant's reference tables
    List {
        #[command(flatten)]
        of: OfTenant,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Upload a component; the gateway scans, compiles and links it
    Push {
        #[command(flatten)]
        of: OfTenant,
        name: String,
        /// A component as .wasm; - for standard input
        file: PathBuf,
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
    /// List a tenant's components, the built-in ones among them
    List {
        #[command(flatten)]
        of: OfTenant,
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
    /// Judge events by this revision from now on
    Activate {
        #[command(flatten)]
        of: OfTenant,
        /// Its number, or sha256:…
        revision: String,
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
