//! `services`: the services that tests start, for a person to try things with.

use std::process::Command;

use crate::arguments::Arguments;
use crate::setup;
use crate::shell::{self, Failure};

pub(crate) const HELP: &str = "\
Usage: cargo xtask services [up] [postgres] [redis] [oidc] [s3]

Starts real services on free ports of the loopback address, all of them where none is named, and
prints for each the settings of the programs that take it. Ctrl-C stops them and takes away what they
stored.

  postgres   an empty database: nodes that are started with its URL share one catalog. From the Debian
             package `postgresql`, which is installed where it is missing.
  redis      nodes share their idempotency keys and buckets of quotas in it. From the Debian package
             `redis-server`, which is installed where it is missing.
  oidc       an issuer of bearer tokens. By npm, into the build folder.
  s3         moto, an S3 server without buckets, in memory. By pip, into the user's cache folder.
";

/// The services that can be started.
const SERVICES: [&str; 4] = ["postgres", "redis", "oidc", "s3"];

/// `cargo xtask services`.
///
/// # Errors
/// Where the build or a service fails.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let given = Arguments::read(arguments, &[], &[], 1 + SERVICES.len())?;
    let names = given.positional.iter().map(String::as_str).enumerate();
    let names = names.filter(|(at, name)| (*at, *name) != (0, "up")).map(|(_, name)| name);
    let mut names: Vec<&str> = names.collect();
    if names.is_empty() {
        names.extend(SERVICES);
    }
    let mut python = None;
    for name in &names {
        match *name {
            "postgres" => setup::postgres()?,
            "redis" => setup::redis()?,
            "oidc" => setup::oidc_server()?,
            "s3" => python = Some(setup::packages::python()?),
            other => {
                let known = SERVICES.join(" and ");
                return Err(Failure::usage(format!("there is no service `{other}`, but {known}")));
            }
        }
    }
    let built = shell::build_programs(&["tidegate-services"], &[], &[])?;
    let mut services = Command::new(built.join("tidegate-services"));
    services.envs(python.map(|folder| ("TIDEGATE_TEST_PYTHON", folder)));
    shell::run(services.args(names))
}
