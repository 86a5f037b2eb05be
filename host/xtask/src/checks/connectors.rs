//! The tests that are not Rust: connectors for Python and TypeScript, and the example that is made with the
//! first.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::setup::packages;
use crate::shell::{self, Failure, SERVICES};

const PYTHON: &str = "sdk/connector/python";
const TYPESCRIPT: &str = "sdk/connector/typescript";
const EXAMPLE: &str = "examples/metadata-events/connector";

/// What must go well, one after the other; tests print their counts as in the Test Anything Protocol.
type Commands = Result<Vec<Command>, Failure>;
type Make = fn() -> Commands;

/// The tests of each, by name.
pub(super) const ALL: [(&str, Make); 3] = [
    ("connector for Python", python),
    ("connector for TypeScript", typescript),
    ("example metadata-events", example),
];

fn python() -> Commands {
    let python = packages::python()?.join("python");
    let types = typed(&python, PYTHON, &["--python-version", "3.9", "src", "tests"]);
    Ok(vec![types, tests(&python, PYTHON)])
}

fn example() -> Commands {
    let python = packages::python()?.join("python");
    // Its gateway shares what it knows in Redis, and takes tokens.
    shell::build_programs(&["tidegate-services"], &SERVICES, &[])?;
    let mut types = typed(&python, EXAMPLE, &["metadata_connector", "tests"]);
    types.env("MYPYPATH", shell::root().join(PYTHON).join("src"));
    Ok(vec![types, tests(&python, EXAMPLE)])
}

/// The types of a folder, checked.
fn typed(python: &Path, folder: &str, words: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.current_dir(shell::root().join(folder)).args(["-B", "-m", "mypy", "--strict"]);
    command.arg("--cache-dir").arg(shell::target_folder().join("mypy").join(folder)).args(words);
    command
}

fn tests(python: &Path, folder: &str) -> Command {
    let mut command = Command::new(python);
    command.args(["-B", "-m", "tests"]).current_dir(shell::root().join(folder));
    command.env("TIDEGATE_PROGRAM", gateway());
    command
}

fn typescript() -> Commands {
    let modules = packages::node()?;
    let folder = shell::root().join(TYPESCRIPT);
    let out = shell::target_folder().join("connector-typescript");
    // What an earlier run has compiled may have no source any more.
    packages::fresh(&out)?;
    packages::copy(&folder.join("package.json"), &out.join("package.json"))?;
    let mut compile = Command::new("node");
    compile.arg(modules.join("typescript/bin/tsc")).args(["--project", "."]);
    compile.arg("--typeRoots").arg(modules.join("@types")).arg("--outDir").arg(&out);
    compile.current_dir(&folder);
    let mut tests = Command::new("sh");
    tests.args(["-c", "exec node --test --test-reporter=tap \"$0\"/test/*.test.js"]).arg(&out);
    tests.current_dir(&folder).env("TIDEGATE_PROGRAM", gateway());
    Ok(vec![compile, tests])
}

fn gateway() -> PathBuf {
    shell::target_folder().join("debug/tidegate")
}
