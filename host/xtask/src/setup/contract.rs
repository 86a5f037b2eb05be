//! The tools that hold the published contract to its word: Spectral, which lints OpenAPI documents, and
//! Schemathesis, which attacks a gateway by them. Each is installed once, in its version, into the user's
//! cache folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{debian_program, install};
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
    let folder = fresh(&folder)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]);
    npm.arg(folder).arg(format!("{SPECTRAL}@{SPECTRAL_VERSION}"));
    shell::run_quietly(npm.current_dir(folder))?;
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
    debian_program("python3", "python3")?;
    // Debian keeps a part of Python's virtual environments in a package of its own.
    if !shell::succeeds(Command::new("python3").args(["-c", "import ensurepip"])) {
        install("python3-venv", "`ensurepip`")?;
    }
    eprintln!("installing Schemathesis {SCHEMATHESIS_VERSION} (once)");
    let folder = fresh(&folder)?;
    shell::run_quietly(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
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

/// The folder with nothing in it: what was cut off there is not built upon.
fn fresh(folder: &Path) -> Result<&Path, Failure> {
    drop(std::fs::remove_dir_all(folder));
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::message(format!("cannot make {}: {error}", folder.display())))?;
    Ok(folder)
}

/// Where a user's programs keep what they can fetch again.
fn cache_folder() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = set("XDG_CACHE_HOME").map(PathBuf::from);
    let folder = folder.or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let folder =
        folder.ok_or_else(|| Failure::message("neither XDG_CACHE_HOME nor HOME is set"))?;
    Ok(folder.join("tidegate"))
}
