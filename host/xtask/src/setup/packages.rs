//! Packages of Python and of Node: each list of them is installed once, pinned, into a folder of its own in
//! the user's cache folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use super::{debian_program, install};
use crate::shell::{self, Failure};

/// What the connector for Python and the examples that are made with it are tested with, an S3 server among
/// it, which the sink Kinesis is tested with as well. From the top folder; the last is the one that is
/// installed, the others are what it names.
const PYTHON: [&str; 2] = [
    "examples/metadata-events/connector/requirements.txt",
    "examples/metadata-events/connector/requirements-test.txt",
];

/// What the connector for TypeScript is compiled with.
const NODE: [&str; 2] =
    ["sdk/connector/typescript/package.json", "sdk/connector/typescript/package-lock.json"];

/// The servers that speak as Kinesis does, which the sink's tests send to.
const KINESIS: [&str; 2] =
    ["host/testkit/kinesis/package.json", "host/testkit/kinesis/package-lock.json"];

/// The folder with Python's programs: `python`, and those of the packages.
///
/// # Errors
/// Where they are missing and cannot be installed: without Python, or without a package registry.
pub(crate) fn python() -> Result<PathBuf, Failure> {
    let lists = PYTHON.map(|list| shell::root().join(list));
    let [.., list] = &lists;
    let home = installed("python", &lists, |home| {
        environment(home)?;
        let mut pip = Command::new(home.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(list);
        shell::run_quietly(&mut pip)
    })?;
    Ok(home.join("bin"))
}

/// The folder `node_modules` with the packages.
///
/// # Errors
/// Where they are missing and cannot be installed: without npm, or without a package registry.
pub(crate) fn node() -> Result<PathBuf, Failure> {
    debian_program("node", "nodejs")?;
    let lists = NODE.map(|list| shell::root().join(list));
    let home = installed("npm", &lists, |home| npm_ci(home, &lists))?;
    Ok(home.join("node_modules"))
}

/// What the broker consists of.
const KAFKA: &str = "host/testkit/kafka/pom.xml";

/// The folder with the jars of Kafka.
///
/// # Errors
/// Where they are missing and cannot be installed: without Maven, or without its repository.
pub(crate) fn kafka() -> Result<PathBuf, Failure> {
    debian_program("java", "default-jre-headless")?;
    let list = shell::root().join(KAFKA);
    let home = installed("kafka", std::slice::from_ref(&list), |home| {
        debian_program("mvn", "maven")?;
        fresh(home)?;
        let mut mvn = Command::new("mvn");
        mvn.args(["--quiet", "--batch-mode", "--file"]).arg(&list);
        mvn.arg("dependency:copy-dependencies");
        mvn.arg(format!("-DoutputDirectory={}", home.join("jars").display()));
        shell::run_quietly(&mut mvn)
    })?;
    Ok(home.join("jars"))
}

/// promtool, which reads metrics and alert rules as Prometheus does: from the Debian package, which is
/// unpacked and not installed, since it would start a server.
///
/// # Errors
/// Where it is missing and apt-get cannot bring it.
pub(crate) fn promtool() -> Result<PathBuf, Failure> {
    if shell::succeeds(Command::new("promtool").arg("--version")) {
        return Ok("promtool".into());
    }
    let home = cache_folder()?.join("prometheus");
    let program = home.join("usr/bin/promtool");
    if shell::succeeds(Command::new(&program).arg("--version")) {
        return Ok(program);
    }
    eprintln!("unpacking promtool of the Debian package prometheus (once)");
    fresh(&home)?;
    let download = || {
        shell::run_quietly(
            Command::new("apt-get").args(["download", "prometheus"]).current_dir(&home),
        )
    };
    if download().is_err() {
        super::debian_lists()?;
        download()?;
    }
    let unpack = "for package in prometheus_*.deb; do dpkg-deb --extract \"$package\" .; done";
    shell::run_quietly(Command::new("sh").args(["-c", unpack]).current_dir(&home))?;
    Ok(program)
}

/// The servers that speak as Kinesis does: npm packages, installed once for each list of them into the
/// build folder, where the tests look for them.
///
/// # Errors
/// Where they are missing and cannot be installed: without npm, or without a package registry.
pub(crate) fn kinesis_servers() -> Result<(), Failure> {
    debian_program("node", "nodejs")?;
    let lists = KINESIS.map(|list| shell::root().join(list));
    let home = shell::target_folder().join("tools/kinesis");
    let (made, digest) = (home.join("made"), digest(&lists)?);
    if fs::read_to_string(&made).is_ok_and(|of| of == digest) {
        return Ok(());
    }
    eprintln!("installing servers of the Kinesis API (once for each list of them)");
    npm_ci(&home, &lists)?;
    fs::write(&made, digest).map_err(|error| broken(&made, &error))
}

/// The packages of a list, exactly as it pins them, in place of what is in the folder.
fn npm_ci(home: &Path, lists: &[PathBuf]) -> Result<(), Failure> {
    debian_program("npm", "npm")?;
    fresh(home)?;
    for list in lists {
        copy(list, &home.join(list.file_name().unwrap_or_default()))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    shell::run_quietly(npm.current_dir(home))
}

/// A folder that is made once for each content of these files.
fn installed(
    kind: &str,
    lists: &[PathBuf],
    make: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<PathBuf, Failure> {
    let digest = digest(lists)?;
    let home = cache_folder()?.join(kind).join(format!("connectors-{digest}"));
    let made = home.join("made");
    if !made.is_file() {
        eprintln!("installing packages of {kind} for tests (once for each list of them)");
        make(&home)?;
        fs::write(&made, "").map_err(|error| broken(&made, &error))?;
    }
    Ok(home)
}

/// A word for the content of these files.
fn digest(lists: &[PathBuf]) -> Result<String, Failure> {
    let mut digest = Sha256::new();
    for list in lists {
        let content = fs::read(list).map_err(|error| broken(list, &error))?;
        digest.update((content.len() as u64).to_le_bytes());
        digest.update(content);
    }
    Ok(digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// A virtual environment of Python without packages, in place of what is in the folder.
pub(super) fn environment(folder: &Path) -> Result<(), Failure> {
    debian_program("python3", "python3")?;
    // Debian keeps a part of Python's virtual environments in a package of its own.
    if !shell::succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        install("python3-venv", "`ensurepip`")?;
    }
    fresh(folder)?;
    shell::run_quietly(Command::new("python3").args(["-m", "venv"]).arg(folder))
}

/// The folder with nothing in it: what was cut off there is not built upon.
///
/// # Errors
/// Where it cannot be made.
pub(crate) fn fresh(folder: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(broken(folder, &error));
        }
        Ok(()) | Err(_) => {}
    }
    fs::create_dir_all(folder).map_err(|error| broken(folder, &error))
}

/// A copy of a file.
///
/// # Errors
/// Where it cannot be made.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::copy(from, to).map(drop).map_err(|error| broken(from, &error))
}

/// Where a user's programs keep what they can fetch again.
pub(super) fn cache_folder() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = set("XDG_CACHE_HOME").map(PathBuf::from);
    let folder = folder.or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let folder =
        folder.ok_or_else(|| Failure::message("neither XDG_CACHE_HOME nor HOME is set"))?;
    Ok(folder.join("tidegate"))
}

fn broken(path: &Path, error: &std::io::Error) -> Failure {
    Failure::message(format!("{}: {error}", path.display()))
}
