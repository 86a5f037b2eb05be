//! Holds this repository to its rules. The output names every breach.

use std::path::Path;
use std::process::Command;

use tidegate_tidy::{CHECKS, Tree, frozen, sources};

#[test]
fn the_repository_keeps_its_rules() {
    // Cargo runs tests in the folder of their crate.
    let root = Path::new("../..").canonicalize().unwrap();
    let tree = Tree::read(&root).unwrap();
    assert!(tree.sources().count() > 10, "{} holds no checkout", root.display());
    for (lines, path) in sources::long(&tree) {
        println!("long: {lines:>4} lines  {path}");
    }
    let mut breaches = Vec::new();
    for (rule, check) in CHECKS {
        breaches
            .extend(check(&tree).into_iter().map(|complaint| format!("  [{rule}] {complaint}\n")));
    }
    assert!(breaches.is_empty(), "the rules of the repository are broken:\n{}", breaches.concat());
}

/// No line ever leaves the list of frozen files, nor changes, in the whole history; a source without
/// a history (an archive) has only the list itself.
#[test]
fn the_list_of_frozen_files_only_grows() {
    let log = ["log", "--format=", "--patch", "--no-renames", "HEAD", "--", frozen::LIST];
    let changes = ["diff", "HEAD", "--", frozen::LIST];
    for arguments in [log.as_slice(), &changes] {
        let git = Command::new("git").current_dir("../..").args(arguments).output();
        let Ok(answer) = git else { return };
        if !answer.status.success() {
            return;
        }
        let patch = String::from_utf8_lossy(&answer.stdout);
        let lost: Vec<&str> = patch
            .lines()
            .filter(|line| line.starts_with('-') && !line.starts_with("---"))
            .collect();
        assert!(lost.is_empty(), "{} lost:\n{}", frozen::LIST, lost.join("\n"));
    }
}
