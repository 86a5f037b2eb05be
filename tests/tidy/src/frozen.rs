//! Released versions of the contract are frozen: a component that was built against one must find
//! the same one for ever. `wit/frozen.sha256` lists every file of every released folder, in the form
//! of `sha256sum`, and only grows.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::Complaint;
use crate::tree::Tree;

/// The list; its paths are relative to its folder.
pub const LIST: &str = "wit/frozen.sha256";

/// Every file of a version's folder is listed with the digest that it has, and every listed file is
/// there.
#[must_use]
pub fn contract(tree: &Tree) -> Vec<Complaint> {
    let listed = listed(tree);
    let mut complaints = Vec::new();
    for file in &tree.files {
        let Some(path) = file.path.strip_prefix("wit/").filter(|path| path.contains('/')) else {
            continue;
        };
        let digest: String =
            Sha256::digest(file.text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let message = match listed.get(path) {
            Some(known) if *known == digest => continue,
            Some(_) => "is of a released version and must not change: undo it, or add a version",
            None => &format!(
                "is not frozen: when its version is released, add `{digest}  {path}` to {LIST}"
            ),
        };
        complaints.push(Complaint::new(&file.path, message));
    }
    let gone = listed.keys().filter(|path| tree.text(&format!("wit/{path}")).is_none());
    complaints.extend(gone.map(|path| {
        Complaint::new(format!("wit/{path}"), "is of a released version and must stay")
    }));
    complaints
}

/// Paths with their digests.
fn listed(tree: &Tree) -> BTreeMap<&str, &str> {
    let lines = tree.text(LIST).unwrap_or_default().lines();
    lines.filter_map(|line| line.split_once("  ")).map(|(digest, path)| (path, digest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "package a;".
    const DIGEST: &str = "b89c79d93ce70279c1379d3fb5660059e4a53dee6fcdcb59f99cce0b6f75872c";

    fn breaches(files: &[(&str, &str)]) -> Vec<String> {
        contract(&Tree::of(files)).into_iter().map(|complaint| complaint.to_string()).collect()
    }

    #[test]
    fn a_released_folder_stays_as_it_is() {
        let list = format!("{DIGEST}  v1.0.0/rules.wit\n");
        let (list, wit) = ((LIST, list.as_str()), ("wit/v1.0.0/rules.wit", "package a;"));
        assert_eq!(breaches(&[list, wit]), Vec::<String>::new());
        for (files, why) in [
            (vec![list, ("wit/v1.0.0/rules.wit", "package a; ")], "must not change"),
            (vec![list], "must stay"),
            (vec![list, wit, ("wit/v1.0.0/more.wit", "")], "is not frozen"),
            (vec![wit], &format!("add `{DIGEST}  v1.0.0/rules.wit` to {LIST}")),
        ] {
            let found = breaches(&files);
            assert!(found.len() == 1 && found[0].contains(why), "{found:?}");
        }
    }
}
