//! Brings what a command needs and this machine lacks: parts of the Rust toolchain, Debian
//! packages, tools of cargo. Says nothing where nothing is missing.

pub(crate) mod contract;
pub(crate) mod packages;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::shell::{self, Failure};

/// The target of the guests.
const GUEST_TARGET: &str = "wasm32-wasip2";

/// Another version may read `.config/deny.toml` differently.
const CARGO_DENY_VERSION: &str = "0.20.2";

const OCI_REGISTRY_MODULE: &str = "github.com/distribution/distribution/v3/cmd/registry";
const OCI_REGISTRY_VERSION: &str = "v3.1.2";

const OIDC_PACKAGE: &str = "oauth2-mock-server";
/// The last that runs on Node.js 20, which Debian has.
const OIDC_VERSION: &str = "8.2.3";

/// The standard library of the guests' target, by rustup where it is missing.
///
/// # Errors
/// Where it is missing and rustup cannot bring it.
pub(crate) fn guest_target() -> Result<(), Failure> {
    let mut rustc = Command::new("rustc");
    let output = rustc.args(["--print", "sysroot"]).current_dir(shell::root()).output();
    let sysroot = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let sysroot = PathBuf::from(sysroot.unwrap_or_default());
    if sysroot.join("lib/rustlib").join(GUEST_TARGET).join("lib").is_dir() {
        return Ok(());
    }
    rustup(&["target", "add", GUEST_TARGET])
}

/// Formatter and linter, by rustup where they are missing.
///
/// # Errors
/// Where one is missing and rustup cannot bring it.
pub(crate) fn formatter_and_linter() -> Result<(), Failure> {
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !shell::succeeds(shell::cargo().args([tool, "--version"])) {
            rustup(&["component", "add", component])?;
        }
    }
    Ok(())
}

fn rustup(arguments: &[&str]) -> Result<(), Failure> {
    let mut command = Command::new("rustup");
    command.args(arguments).current_dir(shell::root());
    shell::run_quietly(&mut command).map_err(|failure| match failure {
        Failure::Message(message) => Failure::message(format!(
            "the toolchain lacks a part, and rustup does not bring it: {message}"
        )),
        other => other,
    })
}

/// A program of a Debian package, by apt-get where it is missing.
///
/// # Errors
/// Where it is missing and apt-get cannot bring it.
pub(crate) fn debian_program(program: &str, package: &str) -> Result<(), Failure> {
    if shell::succeeds(Command::new("sh").args(["-c", "command -v \"$0\"", program])) {
        return Ok(());
    }
    install(package, &format!("`{program}`"))
}

fn install(package: &str, what: &str) -> Result<(), Failure> {
    eprintln!("installing the Debian package {package}, which has {what}");
    let install = ["apt-get", "install", "--yes", "--no-install-recommends", package];
    if shell::run_quietly(&mut as_root(&install)).is_ok() {
        return Ok(());
    }
    debian_lists()?;
    shell::run_quietly(&mut as_root(&install))
}

/// What packages Debian has now.
fn debian_lists() -> Result<(), Failure> {
    shell::run_quietly(&mut as_root(&["apt-get", "update"]))
}

/// The server of PostgreSQL, which Debian does not put on the path, by apt-get where it is missing.
/// What the package starts by itself is not used: tests start servers of their own.
///
/// # Errors
/// Where it is missing and apt-get cannot bring it.
pub(crate) fn postgres() -> Result<(), Failure> {
    let programs = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut programs = programs.map(|version| version.path().join("bin/initdb"));
    if programs.any(|initdb| initdb.is_file()) {
        return Ok(());
    }
    install("postgresql", "`initdb`")
}

/// The server of Redis, by apt-get where it is missing. What the package starts by itself is not
/// used.
///
/// # Errors
/// Where it is missing and apt-get cannot bring it.
pub(crate) fn redis() -> Result<(), Failure> {
    debian_program("redis-server", "redis-server")
}

/// What the client of Kafka is built with, by apt-get where it is missing.
///
/// # Errors
/// Where it is missing and apt-get cannot bring it.
pub(crate) fn kafka_client() -> Result<(), Failure> {
    debian_program("make", "make")?;
    debian_program("pkg-config", "pkg-config")?;
    for (library, package) in [("openssl", "libssl-dev"), ("zlib", "zlib1g-dev")] {
        if !shell::succeeds(Command::new("pkg-config").args(["--exists", library])) {
            install(package, &format!("the headers of {library}"))?;
        }
    }
    Ok(())
}

fn as_root(words: &[&str]) -> Command {
    let mut command = Command::new("env");
    if !shell::succeeds(Command::new("sh").args(["-c", "test \"$(id -u)\" = 0"])) {
        command = Command::new("sudo");
        command.args(["--non-interactive", "env"]);
    }
    command.arg("DEBIAN_FRONTEND=noninteractive").args(words);
    command
}

/// The registry that the tests of distribution speak to: CNCF `distribution`, which Go builds once
/// from its module proxy into the build folder, where the tests look for it.
///
/// # Errors
/// Where it is not there and cannot be built: without Go, or without a module proxy.
pub(crate) fn oci_registry() -> Result<PathBuf, Failure> {
    let folder = shell::target_folder().join("tools/bin");
    let program = folder.join("registry");
    let told = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
    let is_it =
        |output: &Output| String::from_utf8_lossy(&output.stdout).contains(OCI_REGISTRY_VERSION);
    if told.as_ref().is_ok_and(is_it) {
        return Ok(program);
    }
    eprintln!("building the OCI registry {OCI_REGISTRY_VERSION} (once; this takes some minutes)");
    let mut install = Command::new("go");
    install.arg("install").arg(format!("{OCI_REGISTRY_MODULE}@{OCI_REGISTRY_VERSION}"));
    // From a folder without a module, and for the machine that the tests run on.
    install.current_dir(std::env::temp_dir()).env("GOBIN", &folder);
    install.env_remove("GOOS").env_remove("GOARCH").env("GOFLAGS", "-mod=mod");
    shell::run_quietly(&mut install).map_err(|failure| match failure {
        Failure::Message(message) => Failure::message(format!(
            "the tests need an OCI registry, which Go builds from its module proxy; install Go, see \
             that GOPROXY can be reached, and start again: {message}"
        )),
        other => other,
    })?;
    Ok(program)
}

/// The server of OpenID Connect that tests of bearer tokens speak to: an npm package, installed once
/// into the build folder, where the tests look for it.
///
/// # Errors
/// Where it is not there and npm cannot bring it.
pub(crate) fn oidc_server() -> Result<(), Failure> {
    debian_program("node", "nodejs")?;
    let folder = shell::target_folder().join("tools/oidc");
    let manifest = folder.join("node_modules").join(OIDC_PACKAGE).join("package.json");
    let wanted = format!("\"version\": \"{OIDC_VERSION}\"");
    if std::fs::read_to_string(manifest).is_ok_and(|text| text.contains(&wanted)) {
        return Ok(());
    }
    debian_program("npm", "npm")?;
    let mut install = Command::new("npm");
    install.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts"]);
    install.arg("--prefix").arg(&folder).arg(format!("{OIDC_PACKAGE}@{OIDC_VERSION}"));
    shell::run_quietly(&mut install)
}

/// cargo-deny: the one on the path, otherwise one that is built once into the build folder. The
/// answer is how to call it.
///
/// # Errors
/// Where there is none and it cannot be built.
pub(crate) fn cargo_deny() -> Result<Command, Failure> {
    if shell::succeeds(Command::new("cargo-deny").arg("--version")) {
        return Ok(Command::new("cargo-deny"));
    }
    let folder = shell::target_folder().join("tools");
    let program = folder.join("bin/cargo-deny");
    if !shell::succeeds(Command::new(&program).arg("--version")) {
        eprintln!("building cargo-deny {CARGO_DENY_VERSION} (once; this takes several minutes)");
        let mut install = shell::cargo();
        install.args(["install", "--quiet", "--locked", "cargo-deny"]);
        install.args(["--version", CARGO_DENY_VERSION, "--root"]).arg(&folder);
        shell::run_quietly(&mut install)?;
    }
    Ok(Command::new(program))
}
