//! `services`: the services that tests start, for a person to try things with.

use std::process::Command;

use crate::arguments::Arguments;
use crate::setup;
use crate::shell::{self, Failure};

pub(crate) const HELP: &str = "\
Usage: cargo xtask services [up] [postgres] [redis] [oidc] [s3] [kafka] [kinesis] [dynamodb] [sqs]
                                  [cloudwatch]

Starts real services on free ports of the loopback address, all of them where none is named, and
prints for each the settings of the programs that take it. Ctrl-C stops them and takes away what they
stored.

  postgres   an empty database: nodes that are started with its URL share one catalog. From the Debian
             package `postgresql`, which is installed where it is missing.
  redis      nodes share their idempotency keys and buckets of quotas in it. From the Debian package
             `redis-server`, which is installed where it is missing.
  oidc       an issuer of bearer tokens. By npm, into the build folder.
  kafka      one broker. By Maven, into the user's cache folder; Java from the Debian package
             `default-jre-headless`, which is installed where it is missing.
  kinesis    three servers that speak as Kinesis does, each lax where another is strict: moto, kinesalite and
             kinesis-local, without streams. By pip and npm.
  dynamodb, sqs, cloudwatch
             moto, without tables and queues, in memory. By pip, into the user's cache folder.
  s3         moto, an S3 server without buckets, in memory. By pip, into the user's cache folder.
";

/// The services that can be started.
const SERVICES: [&str; 9] =
    ["postgres", "redis", "oidc", "s3", "kafka", "kinesis", "dynamodb", "sqs", "cloudwatch"];

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
    let (mut python, mut kafka) = (None, None);
    for name in &names {
        match *name {
            "postgres" => setup::postgres()?,
            "redis" => setup::redis()?,
            "oidc" => setup::oidc_server()?,
            "s3" | "dynamodb" | "sqs" | "cloudwatch" => {
                python = Some(setup::packages::python()?);
            }
            "kinesis" => {
                python = Some(setup::packages::python()?);
                setup::packages::kinesis_servers()?;
            }
            "kafka" => kafka = Some(setup::packages::kafka()?),
            other => {
                let known = SERVICES.join(" and ");
                return Err(Failure::usage(format!("there is no service `{other}`, but {known}")));
            }
        }
    }
    let built = shell::build_programs(&["tidegate-services"], &[], &[])?;
    let mut services = Command::new(built.join("tidegate-services"));
    services.envs(python.map(|folder| ("TIDEGATE_TEST_PYTHON", folder)));
    services.envs(kafka.map(|folder| ("TIDEGATE_TEST_KAFKA", folder)));
    shell::run(services.args(names))
}
