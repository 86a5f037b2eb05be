//! Words that do not belong in the repository: of unfinished work, and of places outside it.

use crate::Complaint;
use crate::tree::Tree;

/// Whole words, in any case, that promise work instead of doing it.
const UNFINISHED: [&str; 4] =
    [concat!("fix", "me"), concat!("xx", "x"), concat!("st", "ub"), concat!("for", " now")];

/// Pieces of text, as they stand, that promise work or keep a test from running.
const PIECES: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("#[", "ignore"),
];

/// Package registries (a mirror must do as well), and folders of one machine.
const FOREIGN: [&str; 10] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npmjs", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("deb.debian", ".org"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("../sha", "red"),
];

/// Files whose words are not ours.
const NOT_OURS: [&str; 2] = ["Cargo.lock", "LICENSE"];

/// Nothing is left for later.
#[must_use]
pub fn unfinished(tree: &Tree) -> Vec<Complaint> {
    find(tree, |line| {
        let lower_case = line.to_lowercase();
        let word = UNFINISHED.into_iter().find(|word| has_word(&lower_case, word));
        word.or_else(|| PIECES.into_iter().find(|piece| line.contains(piece)))
    })
}

/// The repository knows no registry and no machine.
#[must_use]
pub fn foreign_places(tree: &Tree) -> Vec<Complaint> {
    find(tree, |line| FOREIGN.into_iter().find(|place| line.contains(place)))
}

fn find(tree: &Tree, forbidden: impl Fn(&str) -> Option<&'static str>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for file in tree.files.iter().filter(|file| !NOT_OURS.contains(&file.path.as_str())) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(found) = forbidden(line) {
                let place = format!("{}:{}", file.path, index + 1);
                complaints.push(Complaint::new(place, format!("`{found}` does not belong here")));
            }
        }
    }
    complaints
}

/// Does the line hold the word with neither a letter, a digit nor `_` or `-` beside it?
fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(check: fn(&Tree) -> Vec<Complaint>, line: &str) -> usize {
        check(&Tree::of(&[("host/a.rs", line)])).len()
    }

    #[test]
    fn unfinished_work_is_found_in_any_case() {
        for word in UNFINISHED {
            for line in [format!("// {word}: later"), format!("    {}!()", word.to_uppercase())] {
                assert_eq!(complaints(unfinished, &line), 1, "{line}");
            }
        }
        for piece in PIECES {
            assert_eq!(complaints(unfinished, &format!("    {piece}(later)]")), 1, "{piece}");
        }
    }

    #[test]
    fn parts_of_other_words_are_left_alone() {
        for line in [
            concat!("a st", "ubborn thing"),
            concat!("st", "ub_size"),
            concat!("before now, for", " nowhere"),
            concat!("to", "do = \"warn\""),
        ] {
            assert_eq!(complaints(unfinished, line), 0, "{line}");
        }
    }

    #[test]
    fn foreign_places_are_found() {
        for place in FOREIGN {
            assert_eq!(complaints(foreign_places, &format!("see {place}x")), 1, "{place}");
        }
        let tree = Tree::of(&[("Cargo.lock", FOREIGN[0]), ("host/a.md", "docs.rs")]);
        assert_eq!(foreign_places(&tree), []);
    }

    #[test]
    fn the_place_names_file_and_line() {
        let text = format!("fine\n{}\n", UNFINISHED[0]);
        assert_eq!(unfinished(&Tree::of(&[("a.md", &text)]))[0].place, "a.md:2");
    }
}
