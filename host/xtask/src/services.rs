//! `services`: the services that tests start, for a person to try things with, or for a command that needs
//! them.

use std::process::Command;

use crate::arguments::Arguments;
use crate::setup;
use crate::shell::{self, Failure};

pub(crate) const HELP: &str = "\
Usage: cargo xtask services [up] [postgres] [redis] [oidc] [s3] [kafka] [kinesis] [dynamodb] [sqs]
                                  [cloudwatch]
       cargo xtask services run SERVICE... -- COMMAND [ARGUMENT...]

`up` starts real services on free ports of the loopback address, all of them where none is named, and
prints for each the settings of the programs that take it. Ctrl-C stops them and takes away what they
stored.

`run` starts them, runs the command from the top folder with these settings in its environment, stops
them, and ends with the command's status. Besides, the command is told:

  TOKENS_URL                 oidc: where tokens are asked for
  KAFKA_SERVER               kafka: HOST:PORT of the broker; TIDEGATE_TEST_KAFKA is the folder of its jars
  KINESIS_ENDPOINT           kinesis: the URL of kinesalite, the strict one; AWS_ENDPOINT_URL_KINESIS as well
  AWS_ACCESS_KEY_ID, ...     credentials and region for all of these
  TIDEGATE_TEST_PYTHON       s3, kinesis, dynamodb, sqs, cloudwatch: the folder of a Python that has boto3

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
    let (arguments, command) = split(arguments)?;
    let given = Arguments::read(arguments, &[], &[], 1 + SERVICES.len())?;
    let mut names: Vec<&str> = given.positional.iter().map(String::as_str).collect();
    if names.first().is_some_and(|first| matches!(*first, "up" | "run")) {
        names.remove(0);
    }
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
    services.args(names).current_dir(shell::root());
    match command {
        None => shell::run(&mut services),
        Some(command) => shell::run_for_status(services.arg("--").args(command)),
    }
}

/// The arguments before `--`, and the command behind it, which `run` alone has.
fn split(arguments: &[String]) -> Result<(&[String], Option<&[String]>), Failure> {
    let mut parts = arguments.splitn(2, |word| word == "--");
    let before = parts.next().unwrap_or_default();
    let command = parts.next();
    let is_run = before.first().is_some_and(|first| first == "run");
    match command {
        Some([]) | None if is_run => {
            Err(Failure::usage("`run` needs `--` and a command behind the services"))
        }
        Some(_) if !is_run => Err(Failure::usage("`--` and a command are for `run`")),
        Some(_) | None => Ok((before, command)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_belongs_to_run() {
        let split = |words: &str| {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            split(&words).map(|(before, command)| (before.to_vec(), command.map(<[_]>::to_vec)))
        };
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let run = split("run redis -- sh -c -- x");
        assert_eq!(run, Ok((words("run redis"), Some(words("sh -c -- x")))));
        assert_eq!(split("up redis"), Ok((words("up redis"), None)));
        assert_eq!(split("redis"), Ok((words("redis"), None)));
        for wrong in ["run redis", "run redis --", "up redis -- sh", "-- sh"] {
            assert!(matches!(split(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
    }
}
