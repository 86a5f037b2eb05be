//! Rust sources say what they are for, and are short.

use crate::Complaint;
use crate::tree::{File, Tree};

/// No source has more lines than this, its tests not counted.
pub const MOST_LINES: usize = 800;

/// A source with more lines than this, its tests not counted, is long.
pub const LONG: usize = 400;

/// At most one source in so many is long.
const LONG_IS_ONE_IN: usize = 10;

/// The first line says what the file is for.
#[must_use]
pub fn purpose(tree: &Tree) -> Vec<Complaint> {
    let silent = tree.sources().filter(|file| {
        let first = file.text.lines().next().unwrap_or_default();
        first.strip_prefix("//!").is_none_or(|rest| rest.trim().is_empty())
    });
    silent
        .map(|file| Complaint::new(&file.path, "the first line is `//!` and says what it is for"))
        .collect()
}

/// No source is very long and few are long.
#[must_use]
pub fn length(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for file in tree.sources().filter(|file| lines(file) > MOST_LINES) {
        let message =
            format!("{} lines without tests, the most is {MOST_LINES}: split it", lines(file));
        complaints.push(Complaint::new(&file.path, message));
    }
    let (long, all) = (long(tree).len(), tree.sources().count());
    if long * LONG_IS_ONE_IN > all {
        let message = format!("{long} of {all} sources have more than {LONG} lines: split some");
        complaints.push(Complaint::new("all sources", message));
    }
    complaints
}

/// The long sources with their lengths, longest first.
#[must_use]
pub fn long(tree: &Tree) -> Vec<(usize, &str)> {
    let mut long: Vec<(usize, &str)> = tree
        .sources()
        .map(|file| (lines(file), file.path.as_str()))
        .filter(|(lines, _)| *lines > LONG)
        .collect();
    long.sort_by(|a, b| b.cmp(a));
    long
}

/// The lines before a file's test module.
fn lines(file: &File) -> usize {
    let mut count = 0;
    let mut rest = file.text.lines().peekable();
    while let Some(line) = rest.next() {
        let next = rest.peek().copied().unwrap_or_default();
        if line == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{') {
            break;
        }
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_lines(count: usize) -> String {
        format!("//! Long.\n{}", "// line\n".repeat(count - 1))
    }

    #[test]
    fn the_first_line_tells_the_purpose() {
        let good = Tree::of(&[("a.rs", "//! Adds.\n"), ("page.md", "Adds.")]);
        assert_eq!(purpose(&good), []);
        for text in ["", "use a::b;\n", "// Adds.\n", "//!\n", "\n//! Adds.\n"] {
            assert_eq!(purpose(&Tree::of(&[("a.rs", text)])).len(), 1, "{text:?}");
        }
    }

    #[test]
    fn a_source_ends_before_its_tests() {
        let tests = "#[cfg(test)]\nmod tests {\n}\n";
        let fits = format!("{}{tests}", with_lines(800));
        let too_long = with_lines(801);
        let mut files = vec![("a.rs", fits.as_str())];
        files.extend([("b.rs", "//! B.\n"); 9]);
        assert_eq!(length(&Tree::of(&files)), []);
        files.push(("c.rs", &too_long));
        files.extend([("d.rs", "//! D.\n"); 9]);
        let complaints = length(&Tree::of(&files));
        assert_eq!(complaints.len(), 1);
        assert_eq!(complaints[0].place, "c.rs");
    }

    #[test]
    fn a_tenth_may_be_long() {
        let long = with_lines(401);
        let mut files = vec![("a.rs", long.as_str())];
        files.extend([("b.rs", "//! B.\n"); 8]);
        assert_eq!(length(&Tree::of(&files)).len(), 1);
        files.push(("c.rs", "//! C.\n"));
        assert_eq!(length(&Tree::of(&files)), []);
        assert_eq!(super::long(&Tree::of(&files)), [(401, "a.rs")]);
    }
}
