//! The words of `tidegate quarantine`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::OfTenant;

/// Which events in quarantine are meant.
#[derive(Debug, Default, Args, Serialize)]
pub(crate) struct HeldFilter {
    /// With a finding of this rule
    #[arg(long, value_name = "RULE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// With a finding of this code
    #[arg(long, value_name = "CODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// Of this type
    #[arg(long = "type", value_name = "TYPE")]
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    /// Judged by this revision, sha256:…
    #[arg(long, value_name = "DIGEST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    /// Received since then: 90s, 15m, 1h, 7d ago, or RFC 3339
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Received before then
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

/// One event, or all that a filter finds.
#[derive(Debug, Args)]
pub(crate) struct Held {
    /// The event, as in its receipt
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) event_id: Option<String>,
    /// All events that are in quarantine now and that the filters find, as a job that goes on also
    /// when this command is interrupted
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) filter: HeldFilter,
    /// With --all: events per second [default: the gateway's, 1000]
    #[arg(long, value_name = "NUMBER", requires = "all")]
    pub(crate) rate: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List events that rules hold, in the order in which they came
    List {
        #[command(flatten)]
        of: OfTenant,
        #[command(flatten)]
        filter: HeldFilter,
        /// At most so many events
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: usize,
    },
    /// Count the events that rules hold, in groups
    Groups {
        #[command(flatten)]
        of: OfTenant,
        /// rule, code, plugin, schema, type, revision, hour or day
        #[arg(long, value_name = "WHAT", default_value = "rule")]
        by: String,
        #[command(flatten)]
        filter: HeldFilter,
    },
    /// Show one event, why it is held, and what was decided about it
    Show {
        #[command(flatten)]
        of: OfTenant,
        /// As in its receipt
        event_id: String,
    },
    /// Judge events again under the active revision, and take those that it accepts
    Release {
        #[command(flatten)]
        of: OfTenant,
        #[command(flatten)]
        held: Held,
        /// For the history; needed with --all
        #[arg(long, value_name = "TEXT", required_if_eq("all", "true"))]
        reason: Option<String>,
        /// Changes to make first, as JSON: [{"op":"set","pointer":"/a","value":1}]; - for standard
        /// input
        #[arg(long, value_name = "FILE")]
        patch: Option<PathBuf>,
        /// Take them whatever is found
        #[arg(long)]
        force: bool,
    },
    /// Decide that events are not taken
    Discard {
        #[command(flatten)]
        of: OfTenant,
        #[command(flatten)]
        held: Held,
        /// For the history
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List jobs over many events
    Jobs {
        #[command(flatten)]
        of: OfTenant,
    },
    /// Follow a job to its end
    Follow {
        #[command(flatten)]
        of: OfTenant,
        /// Its id, as listed
        job: u64,
    },
    /// Stop a job; what it has settled stays so
    Cancel {
        #[command(flatten)]
        of: OfTenant,
        /// Its id, as listed
        job: u64,
    },
}
