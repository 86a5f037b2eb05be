//! Runs other programs and knows the folders of the checkout.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// Why a command did not do its work.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was called in a way that it does not know.
    Usage(String),
    /// It failed and has not said so.
    Message(String),
    /// It failed and the reader has been told.
    Reported,
    /// The command that it was asked to run has ended with this status, and has said why.
    Ended(u8),
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub(crate) fn message(message: impl Into<String>) -> Self {
        Self::Message(message.into())
    }
}

/// The top folder of the checkout. Cargo tells it at run time; a build folder that several
/// checkouts share may hold a program that was built in another one.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let here = std::env::var_os("CARGO_MANIFEST_DIR");
        let here = here.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        here.join("../..").canonicalize().expect("the checkout that this was started from is there")
    });
    &ROOT
}

/// Where cargo builds to: `CARGO_TARGET_DIR`, otherwise `target` in the top folder.
pub(crate) fn target_folder() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) if !folder.is_empty() => root().join(folder),
        _ => root().join("target"),
    }
}

/// A call of cargo from the top folder.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    // Cargo sets these for the program that it runs; handed on they would make its builds differ
    // from those that a person starts.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// What tests, lints and benchmarks are built with beside the default: every service that a release
/// has. Nothing heavy that others are built without.
pub(crate) const SERVICES: [&str; 2] = [
    "--features",
    "tidegate/postgres,tidegate/redis,tidegate/oci,tidegate/jwt,tidegate/tls,tidegate/kafka,tidegate/kinesis,tidegate/s3,tidegate/otlp",
];

/// Builds programs of the workspace; answers the folder that they are in. With `--workspace`
/// dependencies have the features that the tests build them with, so nothing is built twice.
/// `features` are arguments such as [`SERVICES`], `settings` environment variables of the build.
///
/// # Errors
/// Where the build fails.
pub(crate) fn build_programs(
    names: &[&str],
    features: &[&str],
    settings: &[(&str, &str)],
) -> Result<PathBuf, Failure> {
    let mut build = cargo();
    build.args(["build", "--workspace"]).args(features).envs(settings.iter().copied());
    for name in names {
        build.args(["--bin", name]);
    }
    run(&mut build)?;
    Ok(target_folder().join("debug"))
}

/// Runs a program to its end; its output is the reader's.
///
/// # Errors
/// Where it cannot be started, or ends with another status than 0.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::message(format!("`{}` ended with {status}", text(command))))
    }
}

/// Runs a program to its end, whose status is then ours.
///
/// # Errors
/// Where it cannot be started, or ends with another status than 0.
pub(crate) fn run_for_status(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Failure::Ended(u8::try_from(code).unwrap_or(1))),
        None => Err(Failure::message(format!("`{}` ended with {status}", text(command)))),
    }
}

/// Runs a program quietly: its output is kept and shown only where it fails.
///
/// # Errors
/// Where it cannot be started, or ends with another status than 0.
pub(crate) fn run_quietly(command: &mut Command) -> Result<(), Failure> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| cannot_start(command, &error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let (command, said) = (text(command), said.trim());
    Err(Failure::message(format!("`{command}` ended with {}:\n{said}", output.status)))
}

/// Does the program start and end well? Its output goes nowhere.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure::message(format!("`{}` cannot be started: {error}", text(command)))
}

/// The call as a person would type it.
pub(crate) fn text(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_folder_has_the_workspace() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }

    #[test]
    fn a_failure_tells_the_call_and_what_was_said() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo broken >&2; exit 3"]);
        let Err(Failure::Message(message)) = run_quietly(&mut command) else {
            panic!("exit status 3 is a failure");
        };
        assert!(message.contains("exit status: 3") && message.contains("broken"), "{message}");
        assert!(run(&mut Command::new("no-such-program-anywhere")).is_err());
        let mut command = Command::new("sh");
        assert_eq!(run_for_status(command.args(["-c", "exit 3"])), Err(Failure::Ended(3)));
        assert_eq!(run_for_status(&mut Command::new("true")), Ok(()));
        assert!(!succeeds(&mut Command::new("no-such-program-anywhere")));
    }
}
