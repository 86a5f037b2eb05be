//! Builds the components of `programs` for Wasm with a nested cargo, as the first-party rules are built:
//! into a target folder of its own, `guest` beside the profile's folder, so that it does not wait
//! for the outer build's lock.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "guest";
const PROGRAMS: [&str; 3] = ["hostile", "golden", "preview"];

fn main() {
    let root = variable("CARGO_MANIFEST_DIR").join("../..");
    let root = root.canonicalize().expect("the workspace's root exists");
    for watched in ["Cargo.toml", "Cargo.lock", "wit", "tests/guests/wit", "tests/guests/programs"]
    {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let out = variable("OUT_DIR");
    // OUT_DIR is <target>/<profile>/build/<package>-<hash>/out.
    let target = out.ancestors().nth(4).expect("OUT_DIR is four folders deep").join("guest");
    build(&root, &target);
    for program in PROGRAMS {
        let built =
            target.join(TARGET).join(PROFILE).join(format!("tidegate_guest_{program}.wasm"));
        fs::copy(&built, out.join(format!("{program}.wasm"))).expect("the component was built");
    }
}

/// Runs the nested cargo. What the outer build wants of its own code (flags, wrappers such as
/// clippy's, the target folder) is not wanted of the component.
fn build(root: &Path, target: &Path) {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["build", "--profile", PROFILE, "--target", TARGET]);
    for program in PROGRAMS {
        cargo.arg("--package").arg(format!("tidegate-guest-{program}"));
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
        fail(&String::from_utf8_lossy(&answer.stderr));
    }
}

fn variable(name: &str) -> PathBuf {
    env::var_os(name).expect("cargo sets it for build scripts").into()
}

/// Ends the build with a message that cargo shows.
#[allow(clippy::print_stderr, reason = "cargo shows a failed build script's standard error")]
fn fail(errors: &str) -> ! {
    eprintln!(
        "error: the components of the tests do not build (`rustup target add {TARGET}` adds the target):\n{errors}"
    );
    std::process::exit(1)
}
