//! The words of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use access::{AuditCommand, SigningKeyCommand, TokenCommand};
pub(crate) use admin::{
    KeyCommand, LocalPluginCommand, OfTenant, PluginCommand, RegistryArguments, RevisionCommand,
    SchemaCommand, TableCommand, TableFormat, TenantCommand, Thresholds,
};
pub(crate) use dlq::{DlqCommand, Redrive};
pub(crate) use post::{EndpointName, Format, PostArguments};
pub(crate) use quarantine::{Held, HeldFilter, QuarantineCommand};

mod access;
mod admin;
mod dlq;
mod post;
mod quarantine;

/// An ingestion gateway that runs its tenants' rules as sandboxed WebAssembly.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the gateway is, who asks, and how to answer.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Address of the admin API [default: the one in DIR/addresses.json, or http://127.0.0.1:8081]
    #[arg(long, global = true, value_name = "URL", env = "TIDEGATE_ADMIN_URL")]
    pub(crate) admin_url: Option<String>,
    /// The gateway's data folder: `serve` keeps everything in it; the other commands find addresses
    /// and the admin token there
    #[arg(long, global = true, value_name = "DIR", env = "TIDEGATE_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// File that holds the admin token [default: DIR/admin-token]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// PEM file with certificates of authorities to trust beside the system's, for gateways at https://
    #[arg(long, global = true, value_name = "FILE", env = "TIDEGATE_CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// PEM file with a certificate to show to gateways that ask for one
    #[arg(long, global = true, value_name = "FILE", requires = "client_key")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// PEM file with that certificate's private key
    #[arg(long, global = true, value_name = "FILE", requires = "client_certificate")]
    pub(crate) client_key: Option<PathBuf>,
    /// Print JSON for programs, not tables for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway
    Serve {
        /// TOML file; without it the defaults, and TIDEGATE_… variables
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Compile a component: the gateway starts this itself
    #[command(hide = true)]
    Compile {
        /// Limits, as the gateway passes them
        arguments: Vec<String>,
    },
    /// Tenants
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// API keys of a tenant's producers
    #[command(subcommand)]
    Key(KeyCommand),
    /// Access tokens of the admin API
    #[command(subcommand)]
    Token(TokenCommand),
    /// Keys that sign a tenant's components, and what is asked of signatures
    #[command(subcommand)]
    SigningKey(SigningKeyCommand),
    /// The log of every administrative act
    #[command(subcommand)]
    Audit(AuditCommand),
    /// JSON Schemas of a tenant's events
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Reference tables of a tenant
    #[command(subcommand)]
    Table(TableCommand),
    /// Rule components of a tenant
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Revisions: everything that decides a tenant's events
    #[command(subcommand)]
    Revision(RevisionCommand),
    /// Show why an event was judged as it was, and judge it again to prove it
    Explain {
        #[command(flatten)]
        of: OfTenant,
        /// As in its receipt
        event_id: String,
    },
    /// Events that rules hold: find, show, release and discard them
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Dead letters: events that a sink refused
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// Post events from NDJSON or CSV files
    Post(Box<PostArguments>),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }
}
