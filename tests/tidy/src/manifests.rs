//! One table of versions and lints: the manifests of the members take both from the workspace.

use toml::{Table, Value};

use crate::Complaint;
use crate::tree::{Tree, folder};

/// The kinds of dependency table.
pub const KINDS: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];

/// The manifest of one member of the workspace.
#[derive(Debug)]
pub struct Manifest {
    /// The folder, from the top.
    pub folder: String,
    /// The package's name; empty where it has none.
    pub name: String,
    pub table: Table,
}

impl Manifest {
    /// Every dependency: its kind, its name in the manifest, and what stands behind it. Tables
    /// under `[target.…]` count as well.
    #[must_use]
    pub fn dependencies(&self) -> Vec<(&'static str, &str, &Value)> {
        let mut tables = vec![&self.table];
        if let Some(Value::Table(targets)) = self.table.get("target") {
            tables.extend(targets.values().filter_map(Value::as_table));
        }
        let mut out = Vec::new();
        for table in tables {
            for kind in KINDS {
                let Some(Value::Table(list)) = table.get(kind) else { continue };
                out.extend(list.iter().map(|(name, value)| (kind, name.as_str(), value)));
            }
        }
        out
    }
}

/// The manifests below the top that can be read; `members` complains of the others.
#[must_use]
pub fn read(tree: &Tree) -> Vec<Manifest> {
    let below = tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    let manifests = below.filter_map(|file| {
        let table: Table = file.text.parse().ok()?;
        let name = table.get("package")?.get("name")?.as_str()?.to_owned();
        Some(Manifest { folder: folder(&file.path).to_owned(), name, table })
    });
    manifests.collect()
}

/// Versions and lints stand in the top manifest alone.
#[must_use]
pub fn one_table(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for manifest in read(tree) {
        let place = format!("{}/Cargo.toml", manifest.folder);
        for (_, name, value) in manifest.dependencies() {
            if !is_inherited(value) {
                let message = format!(
                    "`{name}` has a version or path of its own: put it into the top manifest's \
                     [workspace.dependencies] and write `{name}.workspace = true`"
                );
                complaints.push(Complaint::new(&place, message));
            }
        }
        if !manifest.table.get("lints").is_some_and(is_inherited) {
            let message = "takes no part in the workspace's lints: add [lints] workspace = true";
            complaints.push(Complaint::new(&place, message));
        }
    }
    complaints
}

/// Every manifest can be read and is a member, so that no crate escapes lints and tests.
#[must_use]
pub fn members(tree: &Tree) -> Vec<Complaint> {
    let top: Table = tree.text("Cargo.toml").and_then(|text| text.parse().ok()).unwrap_or_default();
    let listed = top.get("workspace").and_then(|table| table.get("members")?.as_array());
    let listed: Vec<&str> = listed.into_iter().flatten().filter_map(Value::as_str).collect();
    let mut complaints = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        if file.text.parse::<Table>().is_err() {
            complaints.push(Complaint::new(&file.path, "is not valid TOML"));
        } else if !listed.contains(&folder(&file.path)) {
            let message = "is no member: add its folder to `members` in the top manifest";
            complaints.push(Complaint::new(&file.path, message));
        }
    }
    complaints
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "package.name = \"a\"\n\
        [dependencies]\nserde.workspace = true\nb = { workspace = true, features = [\"x\"] }\n\
        [target.'cfg(unix)'.dependencies]\nrustix.workspace = true\n\
        [lints]\nworkspace = true\n";

    fn complaints(manifest: &str) -> Vec<String> {
        let found = one_table(&Tree::of(&[("host/a/Cargo.toml", manifest)]));
        found.into_iter().map(|complaint| complaint.message).collect()
    }

    #[test]
    fn versions_and_lints_are_inherited() {
        assert_eq!(complaints(GOOD), Vec::<String>::new());
        for (from, to, word) in [
            ("serde.workspace = true", "serde = \"1\"", "`serde`"),
            ("serde.workspace = true", "serde = { path = \"../serde\" }", "`serde`"),
            ("rustix.workspace = true", "rustix = \"1\"", "`rustix`"),
            ("[lints]\nworkspace = true", "[lints.rust]\nunsafe_code = \"allow\"", "lints"),
            ("[lints]\nworkspace = true", "", "lints"),
        ] {
            let found = complaints(&GOOD.replace(from, to));
            assert_eq!(found.len(), 1, "{to}");
            assert!(found[0].contains(word), "{found:?}");
        }
    }

    #[test]
    fn every_manifest_is_a_member() {
        let top = ("Cargo.toml", "[workspace]\nmembers = [\"host/a\"]\n");
        assert_eq!(members(&Tree::of(&[top, ("host/a/Cargo.toml", GOOD)])), []);
        for strange in [("host/b/Cargo.toml", GOOD), ("host/a/Cargo.toml", "[broken")] {
            assert_eq!(members(&Tree::of(&[top, strange])).len(), 1, "{}", strange.0);
        }
    }
}
