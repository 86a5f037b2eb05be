//! Builds the first-party rule components for Wasm with a nested cargo, and writes the table of
//! them that `lib.rs` includes.
//!
//! The nested build has a target folder of its own, `guest` beside the profile's folder, so that
//! it neither waits for the outer build's lock nor is thrown away with the outer profile.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "guest";
const RULES: [&str; 3] = ["required", "expectations", "normalize"];

fn main() {
    let root = variable("CARGO_MANIFEST_DIR").join("../..");
    let root = root.canonicalize().expect("the workspace's root exists");
    for watched in ["Cargo.toml", "Cargo.lock", "sdk/rust/Cargo.toml", "sdk/rust/src", "wit"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    for rule in RULES {
        for watched in ["Cargo.toml", "src", "cases"] {
            let path = root.join("plugins").join(rule).join(watched);
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    require_target();
    let out = variable("OUT_DIR");
    // OUT_DIR is <target>/<profile>/build/<package>-<hash>/out.
    let target = out.ancestors().nth(4).expect("OUT_DIR is four folders deep").join("guest");
    build(&root, &target);
    let built = target.join(TARGET).join(PROFILE);
    fs::write(out.join("table.rs"), table(&root, &built, &out)).expect("OUT_DIR can be written");
}

/// Ends the build with the mend where the toolchain has no standard library for the target.
fn require_target() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .expect("rustc runs");
    let folder = String::from_utf8_lossy(&answer.stdout);
    if !answer.status.success() || !Path::new(folder.trim()).is_dir() {
        fail(&format_args!(
            "the rule components need Rust's {TARGET} target: rustup target add {TARGET}"
        ));
    }
}

/// Runs the nested cargo. What the outer build wants of its own code (flags, wrappers such as
/// clippy's, the target folder) is not wanted of the components.
fn build(root: &Path, target: &Path) {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["build", "--profile", PROFILE, "--target", TARGET]);
    for rule in RULES {
        cargo.args(["--package", &format!("tidegate-rule-{rule}")]);
    }
    cargo.arg("--target-dir").arg(target);
    for unwanted in [
        "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "CARGO_INCREMENTAL",
    ] {
        cargo.env_remove(unwanted);
    }
    let answer = cargo.output().expect("cargo runs");
    if !answer.status.success() {
        fail(&format_args!(
            "the rule components do not build:\n{}",
            String::from_utf8_lossy(&answer.stderr)
        ));
    }
}

/// The Rust text of the table of components. Each carries its golden cases.
fn table(root: &Path, built: &Path, out: &Path) -> String {
    let mut text = String::from("&[\n");
    for rule in RULES {
        let folder = root.join("plugins").join(rule).join("cases");
        let cases = tidegate_golden::read_folder(&folder).unwrap_or_else(|error| fail(&error));
        let component = fs::read(built.join(format!("tidegate_rule_{rule}.wasm")));
        let component = component.expect("the component was built");
        let packed = tidegate_golden::pack(&component, cases.clone());
        let packed = packed.unwrap_or_else(|error| fail(&error));
        let component = out.join(format!("{rule}.wasm"));
        fs::write(&component, packed).expect("OUT_DIR can be written");
        let version = env::var("CARGO_PKG_VERSION").expect("cargo sets it");
        let mut entry = format!(
            "Builtin {{ name: {rule:?}, version: {version:?}, component: include_bytes!({component:?}), cases: &[\n"
        );
        for case in &cases {
            let path = folder.join(&case.file);
            let name = case.file.trim_end_matches(".json");
            writeln!(entry, "    ({name:?}, include_str!({path:?})),").expect("text can grow");
        }
        text += &entry;
        text += "] },\n";
    }
    text + "]\n"
}

fn variable(name: &str) -> PathBuf {
    env::var_os(name).expect("cargo sets it for build scripts").into()
}

/// Ends the build with a message that cargo shows.
#[allow(clippy::print_stderr, reason = "cargo shows a failed build script's standard error")]
fn fail(message: &dyn std::fmt::Display) -> ! {
    eprintln!("error: {message}");
    std::process::exit(1)
}
