//! `services`: the services that tests start, for a person to try things with.

use std::process::Command;

use crate::arguments::Arguments;
use crate::setup;
use crate::shell::{self, Failure};

pub(crate) const HELP: &str = "\
Usage: cargo xtask services [up] [postgres] [redis]

Starts real services on free ports of the loopback address, all of them where none is named, and
prints for each the settings of the gateway that takes it. Nodes that are started with the same
settings share one catalog (postgres), and one set of idempotency keys and buckets of quotas (redis).
Ctrl-C stops them and takes away what they stored.

They come from the Debian packages `postgresql` and `redis-server`, which are installed where they
are missing.
";

/// The services that can be started.
const SERVICES: [&str; 2] = ["postgres", "redis"];

/// `cargo xtask services`.
///
/// # Errors
/// Where the build or a service fails.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let given = Arguments::read(arguments, &[], &[], 3)?;
    let names = given.positional.iter().map(String::as_str).enumerate();
    let names = names.filter(|(at, name)| (*at, *name) != (0, "up")).map(|(_, name)| name);
    let mut names: Vec<&str> = names.collect();
    if names.is_empty() {
        names.extend(SERVICES);
    }
    for name in &names {
        match *name {
            "postgres" => setup::postgres()?,
            "redis" => setup::redis()?,
            other => {
                let known = SERVICES.join(" and ");
                return Err(Failure::usage(format!("there is no service `{other}`, but {known}")));
            }
        }
    }
    let built = shell::build_programs(&["tidegate-services"], &[], &[])?;
    shell::run(Command::new(built.join("tidegate-services")).args(names))
}
