//! Words for dead letters.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tidegate_types::SinkName;

#[derive(Debug, Subcommand)]
pub(crate) enum DlqCommand {
    /// Move dead letters of a Kafka sink back to its topic, each event once
    ///
    /// Letters and how far they have been moved are one transaction, so a redrive that is cut off goes
    /// on where it was. Consumers of the topic must read committed records only.
    Redrive(Redrive),
}

#[derive(Debug, Args)]
pub(crate) struct Redrive {
    /// The sink, as the gateway's configuration names it
    #[arg(long, value_name = "NAME")]
    pub(crate) sink: SinkName,
    /// The gateway's TOML file; without it TIDEGATE_… variables
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Move at most so many
    #[arg(long, value_name = "NUMBER", default_value_t = u64::MAX, hide_default_value = true)]
    pub(crate) limit: u64,
    /// Move about so many in a second
    #[arg(long, value_name = "NUMBER", default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) per_second: u32,
    /// Only tell what would be moved
    #[arg(long)]
    pub(crate) dry_run: bool,
}
