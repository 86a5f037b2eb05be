//! The tools that hold the published contract to its word: Spectral, which lints OpenAPI documents, and
//! Schemathesis, which attacks a gateway by them. Each is installed once, in its version, into the user's
//! cache folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::debian_program;
use super::packages::{cache_folder, environment, fresh};
use crate::shell::{self, Failure};

const SPECTRAL: &str = "@stoplight/spectral-cli";
const SPECTRAL_VERSION: &str = "6.16.3";

const SCHEMATHESIS: &str = "schemathesis";
const SCHEMATHESIS_VERSION: &str = "4.32.5";

/// From the top folder.
const DOCUMENTS: [&str; 2] = ["host/docs/openapi/public.json", "host/docs/openapi/admin.json"];

/// Lints the OpenAPI documents: hints fail as well.
///
/// # Errors
/// Where there is something to mend, or no Spectral to be had.
pub(crate) fn lint() -> Result<(), Failure> {
    let mut lint = Command::new(spectral()?);
    lint.args(["lint", "--fail-severity=hint", "--ruleset", ".config/spectral.yaml"]);
    shell::run(lint.args(DOCUMENTS).current_dir(shell::root()))
}

/// The program Spectral, by npm where it is missing.
fn spectral() -> Result<PathBuf, Failure> {
    let folder = cache_folder()?.join(format!("npm/spectral-{SPECTRAL_VERSION}"));
    let program = folder.join("node_modules/.bin/spectral");
    if tells(&program, SPECTRAL_VERSION) {
        return Ok(program);
    }
    debian_program("npm", "npm")?;
    eprintln!("installing Spectral {SPECTRAL_VERSION} (once)");
    fresh(&folder)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]);
    npm.arg(&folder).arg(format!("{SPECTRAL}@{SPECTRAL_VERSION}"));
    shell::run_quietly(npm.current_dir(&folder))?;
    Ok(program)
}

/// The program Schemathesis, by pip where it is missing.
///
/// # Errors
/// Where it is missing and cannot be installed: without Python, or without a package registry.
pub(crate) fn schemathesis() -> Result<PathBuf, Failure> {
    let folder = cache_folder()?.join(format!("python/schemathesis-{SCHEMATHESIS_VERSION}"));
    let program = folder.join("bin/schemathesis");
    if tells(&program, SCHEMATHESIS_VERSION) {
        return Ok(program);
    }
    eprintln!("installing Schemathesis {SCHEMATHESIS_VERSION} (once)");
    environment(&folder)?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]);
    shell::run_quietly(pip.arg(format!("{SCHEMATHESIS}=={SCHEMATHESIS_VERSION}")))?;
    Ok(program)
}

/// Does a program start, and tell that it has this version?
fn tells(program: &Path, version: &str) -> bool {
    let told = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    told.is_ok_and(|told| String::from_utf8_lossy(&told.stdout).contains(version))
}
