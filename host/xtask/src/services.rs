//! `services`: the services that tests start, for a person to try things with.

use std::process::Command;

use crate::arguments::Arguments;
use crate::setup;
use crate::shell::{self, Failure};

pub(crate) const HELP: &str = "\
Usage: cargo xtask services

Starts a PostgreSQL server on a free port of the loopback address, with an empty database, and
prints the database's URL as the setting of the gateway that takes it. Nodes that are started with
the same URL share one catalog. Ctrl-C stops the server and takes away what it stored.

The server comes from the Debian package `postgresql`, which is installed where it is missing.
";

/// `cargo xtask services`.
///
/// # Errors
/// Where the build or a service fails.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    Arguments::read(arguments, &[], &[], 0)?;
    setup::postgres()?;
    let built = shell::build_programs(&["tidegate-services"], &[], &[])?;
    shell::run(&mut Command::new(built.join("tidegate-services")))
}
