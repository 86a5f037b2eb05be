//! Holds this repository to its rules. The output names every breach.

use std::path::Path;

use tidegate_tidy::{CHECKS, Tree, sources};

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
