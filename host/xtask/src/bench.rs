//! `bench`: the benchmarks of `tests/bench`, which print a table and write JSON.

use std::process::Command;

use crate::arguments::Arguments;
use crate::setup;
use crate::shell::{self, Failure, SERVICES};

pub(crate) const HELP: &str = "\
Usage: cargo xtask bench [NAME] [--json FILE]

Runs the benchmarks, or the one called NAME (`plugin-host`, `http`, `identity`, `plugins`, `sinks` or a part of it), and prints a Markdown table: the
value, and its ratio to a reference measured in the same run (a bare HTTP server, serde_json's parse,
the same gateway without what is measured).
The load comes from the same machine, so compare ratios, not values.

  --json FILE  write the same rows as a JSON list of {bench, case, value, unit, reference, ratio}

Needs `wrk`, and the servers of PostgreSQL and Redis; where they are missing, the Debian packages are installed
by apt-get, the OIDC server by npm, and Kafka by Maven. All together take some twenty minutes.
";

/// Our own crates as a release has them, but for LTO. The settings do not touch dependencies, so
/// nothing of them is built twice.
const AS_RELEASED: [(&str, &str); 3] = [
    ("CARGO_PROFILE_DEV_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false"),
    ("CARGO_PROFILE_DEV_OVERFLOW_CHECKS", "false"),
];

/// `cargo xtask bench`.
///
/// # Errors
/// Where the benchmarks cannot be built or run.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let arguments = Arguments::read(arguments, &[], &["--json"], 1)?;
    setup::guest_target()?;
    setup::debian_program("wrk", "wrk")?;
    setup::postgres()?;
    setup::redis()?;
    setup::oidc_server()?;
    setup::kafka_client()?;
    let kafka = setup::packages::kafka()?;
    // The benchmarks start the gateway's own program, which lies beside theirs.
    let built = shell::build_programs(&["tidegate", "tidegate-bench"], &SERVICES, &AS_RELEASED)?;
    let mut command = Command::new(built.join("tidegate-bench"));
    command.args(&arguments.positional).env("TIDEGATE_TEST_KAFKA", kafka);
    if let Some(file) = arguments.value("--json") {
        command.args(["--json", file]);
    }
    shell::run(&mut command)
}
