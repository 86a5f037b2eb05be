//! What may lie where.

use std::collections::{BTreeMap, BTreeSet};

use crate::Complaint;
use crate::tree::{Tree, folder};

/// What the top folder holds beside dotted files and folders.
const TOP_LEVEL: [&str; 11] = [
    "Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "examples", "host", "plugins",
    "rust-toolchain.toml", "sdk", "tests", "wit",
];

/// More sources than this in one folder want a folder of their own.
const MOST_SOURCES_IN_A_FOLDER: usize = 9;

/// Nothing new at the top.
#[must_use]
pub fn top_level(tree: &Tree) -> Vec<Complaint> {
    let entries: BTreeSet<&str> =
        tree.files.iter().filter_map(|file| file.path.split('/').next()).collect();
    let strange = entries.into_iter().filter(|entry| {
        !entry.starts_with('.') && !TOP_LEVEL.contains(entry) && !entry.ends_with(".log")
    });
    let message = "does not belong at the top: see \"The code map\" in host/ARCHITECTURE.md";
    strange.map(|entry| Complaint::new(entry, message)).collect()
}

/// Few sources in each folder.
#[must_use]
pub fn folders(tree: &Tree) -> Vec<Complaint> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for file in tree.sources() {
        *counts.entry(folder(&file.path)).or_default() += 1;
    }
    let full = counts.into_iter().filter(|(_, count)| *count > MOST_SOURCES_IN_A_FOLDER);
    full.map(|(folder, count)| {
        let most = MOST_SOURCES_IN_A_FOLDER;
        Complaint::new(folder, format!("has {count} sources, the most is {most}: group them"))
    })
    .collect()
}

/// A module with parts is `name.rs` beside `name/`. Test and example folders, whose every file is
/// a program, share code by `name/mod.rs`: there too, a crate of its own or `name.rs` serves.
#[must_use]
pub fn module_files(tree: &Tree) -> Vec<Complaint> {
    let found = tree.sources().filter(|file| file.path.ends_with("/mod.rs"));
    found
        .map(|file| Complaint::new(&file.path, "a module is `name.rs`, its parts lie in `name/`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_entries_at_the_top() {
        let tree =
            Tree::of(&[("README.md", ""), (".ci/run", ""), ("host/a.rs", ""), ("run.log", "")]);
        assert_eq!(top_level(&tree), []);
        let tree = Tree::of(&[("docs/a.md", ""), ("docs/b.md", ""), ("notes.txt", "")]);
        let places: Vec<String> = top_level(&tree).into_iter().map(|c| c.place).collect();
        assert_eq!(places, ["docs", "notes.txt"]);
    }

    #[test]
    fn nine_sources_fill_a_folder() {
        let paths: Vec<String> = (0..10).map(|n| format!("host/x/src/m{n}.rs")).collect();
        let mut files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
        let full = folders(&Tree::of(&files));
        assert_eq!(full.len(), 1);
        assert_eq!(full[0].place, "host/x/src");
        files.pop();
        files.push(("host/x/src/part/m9.rs", ""));
        files.push(("host/x/src/page.md", ""));
        assert_eq!(folders(&Tree::of(&files)), []);
    }

    #[test]
    fn module_files_have_names() {
        let tree = Tree::of(&[("host/a/src/wal/mod.rs", ""), ("host/a/src/model.rs", "")]);
        let complaints = module_files(&tree);
        assert_eq!(complaints.len(), 1);
        assert_eq!(complaints[0].place, "host/a/src/wal/mod.rs");
    }
}
