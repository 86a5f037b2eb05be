//! The words of the commands about who may administer and what was done.

use std::path::PathBuf;

use clap::Subcommand;

use super::OfTenant;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create an access token and print it, this once
    Create {
        /// What people call it
        name: String,
        /// plugins:upload, revisions:write, rollout:write or admin; may be given several times
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
        /// The one tenant that it is for [default: all]
        #[arg(long, short, value_name = "TENANT")]
        tenant: Option<String>,
        /// When it ends, RFC 3339 [default: never]
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// List access tokens, without the tokens themselves
    List,
    /// Revoke an access token, for good
    Revoke {
        /// Its id
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SigningKeyCommand {
    /// Register a public key whose signatures count for a tenant
    Add {
        #[command(flatten)]
        of: OfTenant,
        /// What people call it
        name: String,
        /// The public key, as `tidegate plugin keygen` writes it
        file: PathBuf,
    },
    /// List a tenant's keys
    List {
        #[command(flatten)]
        of: OfTenant,
    },
    /// Take a key away
    Remove {
        #[command(flatten)]
        of: OfTenant,
        /// Its id
        id: String,
    },
    /// Show what is asked of signatures, or set it
    Policy {
        #[command(flatten)]
        of: OfTenant,
        /// none, any-known-key, or a key's id [default: show]
        policy: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List what was done, newest first
    List {
        /// About one tenant alone
        #[arg(long, short, value_name = "TENANT")]
        tenant: Option<String>,
        /// At most so many entries
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        /// Only entries before this one
        #[arg(long, value_name = "SEQUENCE")]
        before: Option<u64>,
    },
    /// Check that no entry is missing or changed, and print the last one's sequence and hash
    Verify {
        /// What an earlier `verify` printed: that entry must still be there as it was
        #[arg(long, value_name = "SEQUENCE:HASH")]
        expect: Option<String>,
    },
}
