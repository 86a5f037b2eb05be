//! Decisions are written down with what they rest on.

use crate::Complaint;
use crate::tree::Tree;

const DECISIONS: &str = "host/docs/adr/";

/// What every decision tells.
const SECTIONS: [&str; 3] = ["## Context", "## Decision", "## Alternatives"];

/// Every page under `host/docs/adr/` is `NNNN-subject.md`, numbered without a gap, and has the three
/// sections.
#[must_use]
pub fn decisions(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let pages = tree.files.iter().filter(|file| file.path.starts_with(DECISIONS));
    for (page, number) in pages.zip(1..) {
        let name = page.path.trim_start_matches(DECISIONS);
        if !name.starts_with(&format!("{number:04}-")) || !name.ends_with(".md") {
            let message = format!("is named `{number:04}-subject.md`, numbered without a gap");
            complaints.push(Complaint::new(&page.path, message));
        }
        for section in SECTIONS {
            if !page.text.lines().any(|line| line.starts_with(section)) {
                complaints.push(Complaint::new(&page.path, format!("has no section `{section}`")));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# 1. Log\n\n## Context\n\n## Decision\n\n## Alternatives and why not\n";

    #[test]
    fn decisions_are_numbered_and_whole() {
        let first = ("host/docs/adr/0001-log.md", PAGE);
        assert_eq!(decisions(&Tree::of(&[first, ("host/docs/adr/0002-rules.md", PAGE)])), []);
        for strange in
            ["host/docs/adr/0003-rules.md", "host/docs/adr/log.md", "host/docs/adr/0002-a.txt"]
        {
            assert_eq!(decisions(&Tree::of(&[first, (strange, PAGE)])).len(), 1, "{strange}");
        }
        for section in SECTIONS {
            let without = PAGE.replace(section, "## Else");
            let tree = Tree::of(&[("host/docs/adr/0001-log.md", &without)]);
            assert_eq!(decisions(&tree).len(), 1, "{section}");
        }
    }
}
