//! The tests that are not Rust: connectors for Python and TypeScript, and the examples that are made with the
//! first.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::setup::packages;
use crate::shell::{self, Failure, SERVICES};

const PYTHON: &str = "sdk/connector/python";
const TYPESCRIPT: &str = "sdk/connector/typescript";
const METADATA_EVENTS: &str = "examples/metadata-events/connector";
const AUDIT_EVENTS: &str = "examples/audit-events";
const PRODUCT_EVENTS: &str = "examples/product-events";

/// What the tests of examples share, and the client that examples post with: folders of packages.
const OF_EXAMPLES: [&str; 2] = ["examples", "sdk/connector/python/src"];

/// What must go well, one after the other; tests print their counts as in the Test Anything Protocol.
type Commands = Result<Vec<Command>, Failure>;
type Make = fn() -> Commands;

/// The tests of each, by name.
pub(super) const ALL: [(&str, Make); 5] = [
    ("connector for Python", python),
    ("connector for TypeScript", typescript),
    ("example metadata-events", metadata_events),
    ("example audit-events", audit_events),
    ("example product-events", product_events),
];

fn python() -> Commands {
    let python = packages::python()?.join("python");
    let types = typed(&python, PYTHON, &["--python-version", "3.9", "src", "tests"]);
    Ok(vec![types, tests(&python, PYTHON)])
}

/// Over Redis, an issuer of tokens, Kinesis and CloudWatch.
fn metadata_events() -> Commands {
    let sources = ["metadata_connector", "tests", "../consumer/metadata_consumer", "../demo.py"];
    example(METADATA_EVENTS, &sources, &["examples/metadata-events/consumer"])
}

/// Over PostgreSQL, Redis and Kafka.
fn audit_events() -> Commands {
    let sources = ["generator/audit_generator", "tests", "demo.py"];
    with_kafka(example(AUDIT_EVENTS, &sources, &["examples/audit-events/generator"])?)
}

/// Over Kafka.
fn product_events() -> Commands {
    with_kafka(example(PRODUCT_EVENTS, &["tests", "demo.py"], &[])?)
}

/// The same commands that know where Kafka's programs are.
fn with_kafka(mut commands: Vec<Command>) -> Commands {
    let kafka = packages::kafka()?;
    for command in &mut commands {
        command.env("TIDEGATE_TEST_KAFKA", &kafka);
    }
    Ok(commands)
}

/// The types of an example's sources, which import from the folders `paths` as well, and its tests, which
/// start services.
fn example(folder: &str, sources: &[&str], paths: &[&str]) -> Commands {
    let programs = packages::python()?;
    let python = programs.join("python");
    shell::build_programs(&["tidegate-services"], &SERVICES, &[])?;
    let mut types = typed(&python, folder, sources);
    let mut folders: Vec<&str> = OF_EXAMPLES.to_vec();
    folders.extend(paths);
    let joined = std::env::join_paths(folders.iter().map(|path| shell::root().join(path)));
    let joined = joined.map_err(|error| Failure::message(format!("the checkout: {error}")))?;
    types.env("MYPYPATH", joined);
    let mut tests = tests(&python, folder);
    tests.env("TIDEGATE_TEST_PYTHON", programs);
    Ok(vec![types, tests])
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
