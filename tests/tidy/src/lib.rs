//! The rules of the repository as a test: what lies where, how long files are, which crate may
//! depend on what, and which words do not belong here. `tests/repository.rs` holds the real tree to
//! them; each rule's own test shows on a made-up tree that it can fail.

pub mod dependencies;
pub mod frozen;
pub mod layout;
pub mod manifests;
pub mod pages;
pub mod sources;
pub mod tree;
pub mod words;

pub use tree::Tree;

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The file, from the top folder, and the line where there is one: `host/a.rs:12`.
    pub place: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Complaint {
    #[must_use]
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// A rule: all breaches of it in a tree.
pub type Check = fn(&Tree) -> Vec<Complaint>;

/// Every rule with its name.
pub const CHECKS: &[(&str, Check)] = &[
    ("top level", layout::top_level),
    ("folders", layout::folders),
    ("module files", layout::module_files),
    ("purpose", sources::purpose),
    ("length", sources::length),
    ("words", words::unfinished),
    ("places", words::foreign_places),
    ("one table", manifests::one_table),
    ("members", manifests::members),
    ("planes", dependencies::planes),
    ("heavy dependencies", dependencies::heavy),
    ("decisions", pages::decisions),
    ("frozen contract", frozen::contract),
];
