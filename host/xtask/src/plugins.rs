//! `plugins`: builds every first-party rule component and lists name, size and digest.

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::arguments::Arguments;
use crate::setup;
use crate::shell::{self, Failure};

pub(crate) const HELP: &str = "\
Usage: cargo xtask plugins

Builds the first-party rule components, packs their golden cases into them, and prints, for each, its name, its size in bytes, its
SHA-256 digest and where it lies, ready for `tidegate plugin push`.
";

/// `cargo xtask plugins`.
///
/// # Errors
/// Where a component cannot be built or read.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    Arguments::read(arguments, &[], &[], 0)?;
    setup::guest_target()?;
    let names = names(&shell::root().join("plugins"))?;
    let target = shell::target_folder().join("guest");
    let mut build = shell::cargo();
    build.args(["build", "--quiet", "--profile", "guest", "--target", "wasm32-wasip2"]);
    build.arg("--target-dir").arg(&target);
    for name in &names {
        build.args(["--package", &package(name)]);
    }
    shell::run(&mut build)?;
    for name in &names {
        let file = format!("{}.wasm", package(name).replace('-', "_"));
        let path = target.join("wasm32-wasip2/guest").join(file);
        let component = std::fs::read(&path);
        let component = component.map_err(|error| {
            Failure::message(format!("{} is not there: {error}", path.display()))
        })?;
        let cases =
            tidegate_golden::read_folder(&shell::root().join("plugins").join(name).join("cases"));
        let packed = cases.and_then(|cases| tidegate_golden::pack(&component, cases));
        let component = packed.map_err(|error| Failure::message(format!("{name}: {error}")))?;
        let path = target.join(format!("{name}.wasm"));
        std::fs::write(&path, &component).map_err(|error| {
            Failure::message(format!("{} cannot be written: {error}", path.display()))
        })?;
        let (size, digest) = (component.len(), digest(&component));
        println!("{name:<14} {size:>8}  {digest}  {}", path.display());
    }
    Ok(())
}

/// The package of a component whose folder is `plugins/NAME`.
fn package(name: &str) -> String {
    format!("tidegate-rule-{name}")
}

/// The folders that hold a component; `bundle` holds the crate that embeds them.
fn names(folder: &Path) -> Result<Vec<String>, Failure> {
    let unreadable =
        |error| Failure::message(format!("{} cannot be read: {error}", folder.display()));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "bundle" && entry.path().join("Cargo.toml").is_file() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn digest(bytes: &[u8]) -> String {
    let mut out = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        write!(out, "{byte:02x}").expect("writing to a string cannot fail");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_found_by_their_folders() {
        let names = names(&shell::root().join("plugins")).unwrap();
        assert!(names.contains(&"required".to_owned()), "{names:?}");
        assert!(!names.contains(&"bundle".to_owned()), "{names:?}");
        for name in names {
            let manifest = shell::root().join("plugins").join(&name).join("Cargo.toml");
            let manifest = std::fs::read_to_string(manifest).unwrap();
            assert!(manifest.contains(&format!("name = \"{}\"", package(&name))), "{name}");
        }
    }

    #[test]
    fn digests_are_written_as_everywhere() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(b""), empty);
    }
}
