//! `tidy`, `test` and `ci`: a list of steps that all run, also where one before has failed, so that
//! one run tells everything that is wrong.

mod connectors;
mod tally;

use std::process::Command;

use crate::arguments::Arguments;
use crate::setup::{self, contract, packages};
use crate::shell::{self, Failure, SERVICES};
use tally::Tally;

pub(crate) const TIDY_HELP: &str = "\
Usage: cargo xtask tidy

Checks the rules of the repository: what lies where, file lengths, which crate may depend on what,
one table of dependencies and lints, and words that do not belong here. Takes seconds.
";

pub(crate) const TEST_HELP: &str = "\
Usage: cargo xtask test

Runs the rules of the repository, the formatter's check, the linter with warnings as errors, the
linter of the OpenAPI documents, a build of everything, and all tests, also those of the connectors
for Python and TypeScript and of the examples that are made with the first. Every step runs, also where
one before has failed.

The last line is `N passed, N failed`: the sum over all test programs; a step without tests of its
own that fails counts as one failed. The status is 0 only where nothing failed.

The guests' target is brought by rustup where it is missing; the servers of PostgreSQL and Redis, Python, Node
and npm, Java and Maven, and what the client of Kafka is built with, by apt-get. Kafka itself is fetched by
Maven, once, into the user's cache folder. The OCI registry that tests speak to is built by Go, and the servers
of OIDC and of the Kinesis API installed by npm, once, into the build folder. What tests need of Python's and
Node's packages (Spectral, which lints OpenAPI documents, Schemathesis, which attacks a gateway by them, moto,
which speaks as AWS does, and what the connectors are tested with) is installed by npm and pip, pinned, once,
into the user's cache folder. CARGO_TARGET_DIR is honoured.
";

pub(crate) const CI_HELP: &str = "\
Usage: cargo xtask ci

Runs `cargo xtask test`, and cargo-deny over licences, sources and banned crates
(`.config/deny.toml`). Where cargo-deny is not installed it is built once, into the build folder;
where that cannot be, the step is left out and the output says so.
";

/// `cargo xtask tidy`.
///
/// # Errors
/// Where a rule is broken.
pub(crate) fn tidy(arguments: &[String]) -> Result<(), Failure> {
    Arguments::read(arguments, &[], &[], 0)?;
    let mut command = shell::cargo();
    command.args(["test", "--quiet", "--package", "tidegate-tidy"]);
    shell::run(&mut command)
}

/// `cargo xtask test`.
///
/// # Errors
/// Where a step or a test fails.
pub(crate) fn test(arguments: &[String]) -> Result<(), Failure> {
    Arguments::read(arguments, &[], &[], 0)?;
    conclude(all_steps()?)
}

/// `cargo xtask ci`.
///
/// # Errors
/// Where a step or a test fails.
pub(crate) fn ci(arguments: &[String]) -> Result<(), Failure> {
    Arguments::read(arguments, &[], &[], 0)?;
    let mut report = all_steps()?;
    match setup::cargo_deny() {
        Ok(mut deny) => {
            deny.current_dir(shell::root());
            deny.args(["--config", ".config/deny.toml", "check", "bans", "licenses", "sources"]);
            report.step("cargo-deny", shell::run(&mut deny));
        }
        Err(failure) => report.left_out.push(told("cargo-deny", failure)),
    }
    conclude(report)
}

/// What the steps came to.
#[derive(Debug, Default)]
struct Report {
    tally: Tally,
    failed_steps: Vec<String>,
    left_out: Vec<String>,
}

impl Report {
    fn step(&mut self, name: &str, result: Result<(), Failure>) {
        if let Err(failure) = result {
            self.tally.failed += 1;
            self.failed_steps.push(told(name, failure));
        }
    }

    /// Runs tests to their end and adds what they count.
    fn tests(&mut self, name: &str, command: &mut Command) -> Result<(), Failure> {
        let (tally, ended_well) = tally::run(command, &mut std::io::stdout().lock())?;
        self.tally.passed += tally.passed;
        self.tally.failed += tally.failed;
        if !ended_well && tally.failed == 0 {
            let call = shell::text(command);
            let reason = Failure::message(format!("`{call}` ended badly, and counts no failure"));
            self.step(name, Err(reason));
        }
        Ok(())
    }
}

/// A step's name with what went wrong, where that is not told yet.
fn told(name: &str, failure: Failure) -> String {
    match failure {
        Failure::Message(message) => format!("{name}: {message}"),
        Failure::Usage(_) | Failure::Reported | Failure::Ended(_) => name.to_owned(),
    }
}

fn all_steps() -> Result<Report, Failure> {
    setup::guest_target()?;
    setup::formatter_and_linter()?;
    setup::postgres()?;
    setup::redis()?;
    setup::kafka_client()?;
    let mut report = Report::default();
    eprintln!("-- rules of the repository");
    report.step("tidy", tidy(&[]));
    eprintln!("-- format");
    report.step("format", shell::run(shell::cargo().args(["fmt", "--all", "--check"])));
    eprintln!("-- lints");
    let mut lints = shell::cargo();
    lints.args(["clippy", "--workspace", "--all-targets"]).args(SERVICES);
    report.step("lints", shell::run(lints.args(["--", "-D", "warnings"])));
    eprintln!("-- lints of the default features");
    let lints = ["clippy", "--workspace", "--bins", "--", "-D", "warnings"];
    report.step("lints of the default features", shell::run(shell::cargo().args(lints)));
    eprintln!("-- published contract");
    report.step("published contract", contract::lint());
    eprintln!("-- build");
    let mut build = shell::cargo();
    build.args(["test", "--workspace", "--no-run"]).args(SERVICES);
    let built = shell::run(&mut build);
    let is_built = built.is_ok();
    report.step("build", built);
    if is_built {
        eprintln!("-- services");
        report.step("OCI registry", setup::oci_registry().map(drop));
        report.step("OIDC server", setup::oidc_server());
        report.step("Kinesis servers", packages::kinesis_servers());
        report.step("openssl", setup::debian_program("openssl", "openssl"));
        let schemathesis = contract::schemathesis();
        let kafka = packages::kafka();
        let python = packages::python();
        let promtool = packages::promtool();
        eprintln!("-- tests");
        let mut tests = shell::cargo();
        tests.args(["test", "--workspace", "--no-fail-fast"]).args(SERVICES);
        if let Ok(program) = &schemathesis {
            tests.env("TIDEGATE_TEST_SCHEMATHESIS", program);
        }
        if let Ok(jars) = &kafka {
            tests.env("TIDEGATE_TEST_KAFKA", jars);
        }
        if let Ok(program) = &promtool {
            tests.env("TIDEGATE_TEST_PROMTOOL", program);
        }
        report.step("promtool", promtool.map(drop));
        report.step("Schemathesis", schemathesis.map(drop));
        report.step("Kafka", kafka.map(drop));
        if let Ok(programs) = &python {
            tests.env("TIDEGATE_TEST_PYTHON", programs);
        }
        report.step("packages of Python", python.map(drop));
        report.tests("tests", &mut tests)?;
        for (name, commands) in connectors::ALL {
            eprintln!("-- {name}");
            match commands() {
                Ok(commands) => {
                    for mut command in commands {
                        report.tests(name, &mut command)?;
                    }
                }
                Err(failure) => report.step(name, Err(failure)),
            }
        }
    }
    Ok(report)
}

/// Prints what failed, then the sum as the last line.
fn conclude(report: Report) -> Result<(), Failure> {
    println!();
    for step in &report.left_out {
        println!("left out: {step}");
    }
    for step in &report.failed_steps {
        println!("failed: {step}");
    }
    println!("{} passed, {} failed", report.tally.passed, report.tally.failed);
    if report.tally.failed == 0 { Ok(()) } else { Err(Failure::Reported) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_run_and_is_counted() {
        let mut report = Report::default();
        report.tally.passed = 5;
        report.step("format", Ok(()));
        assert_eq!(report.tally, Tally { passed: 5, failed: 0 });
        report.step("lints", Err(Failure::message("a warning")));
        assert_eq!(report.tally, Tally { passed: 5, failed: 1 });
        assert_eq!(report.failed_steps, ["lints: a warning"]);
        assert_eq!(conclude(report), Err(Failure::Reported));
        assert_eq!(conclude(Report::default()), Ok(()));
    }
}
