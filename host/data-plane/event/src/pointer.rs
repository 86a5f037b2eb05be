//! JSON pointers (RFC 6901).

use std::fmt;
use std::str::FromStr;

use crate::document::{Kind, Node};

/// A parsed pointer.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Pointer {
    text: Box<str>,
    steps: Box<[Step]>,
}

/// One reference token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// Unescaped.
    pub name: Box<str>,
    /// The token as an array index, where it has that form.
    pub index: Option<u32>,
}

/// A text that is no pointer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no JSON pointer: {why}")]
pub struct InvalidPointer {
    text: String,
    why: &'static str,
}

/// The longest pointer that is taken, in bytes.
pub const MAX_BYTES: usize = 1024;
/// The most steps that a pointer may have.
pub const MAX_STEPS: usize = 64;

impl Pointer {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Is it the whole value?
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    /// The value it points to, where there is one.
    #[must_use]
    pub fn resolve<'d>(&self, root: Node<'d>) -> Option<Node<'d>> {
        let mut node = root;
        for step in &self.steps {
            node = node.child(step)?;
        }
        Some(node)
    }

    /// The same for many values of like shape: `hints` remembers where each step was found.
    #[must_use]
    pub fn resolve_hinted<'d>(&self, root: Node<'d>, hints: &mut Hints) -> Option<Node<'d>> {
        hints.0.resize(self.steps.len(), 0);
        let mut node = root;
        for (step, hint) in self.steps.iter().zip(&mut hints.0) {
            node = if node.kind() == Kind::Object {
                node.document.at(node.find_hinted(step.name.as_bytes(), hint)? + 1)
            } else {
                node.child(step)?
            };
        }
        Some(node)
    }

    /// Does one of the two lie on the way to the other, or are they the same?
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.steps.iter().zip(&other.steps).all(|(a, b)| a.name == b.name)
    }
}

/// Where the steps of a pointer were found last.
#[derive(Clone, Debug, Default)]
pub struct Hints(Vec<u32>);

impl<'d> Node<'d> {
    pub(crate) fn child(&self, step: &Step) -> Option<Node<'d>> {
        match self.kind() {
            Kind::Object => self.get(&step.name),
            Kind::Array => self.elements().nth(step.index? as usize),
            Kind::Null | Kind::False | Kind::True | Kind::Number | Kind::String => None,
        }
    }
}

impl FromStr for Pointer {
    type Err = InvalidPointer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |why| InvalidPointer { text: text.chars().take(80).collect(), why };
        if text.len() > MAX_BYTES {
            return Err(fail("it is longer than 1024 bytes"));
        }
        if text.is_empty() {
            return Ok(Self { text: text.into(), steps: Box::default() });
        }
        let rest =
            text.strip_prefix('/').ok_or_else(|| fail("it must be empty or begin with `/`"))?;
        let steps = rest
            .split('/')
            .map(|token| unescape(token).map(Step::new))
            .collect::<Option<Box<[Step]>>>()
            .ok_or_else(|| fail("`~` must be followed by 0 or 1"))?;
        if steps.len() > MAX_STEPS {
            return Err(fail("it has more than 64 steps"));
        }
        Ok(Self { text: text.into(), steps })
    }
}

impl Step {
    fn new(name: String) -> Self {
        let plain =
            name == "0" || (!name.starts_with('0') && name.bytes().all(|b| b.is_ascii_digit()));
        let index = if plain { name.parse().ok() } else { None };
        Self { name: name.into(), index }
    }
}

fn unescape(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}

/// Appends a step to the text of a pointer.
pub fn push_step(out: &mut String, name: &str) {
    out.push('/');
    for c in name.chars() {
        match c {
            '~' => out.push_str("~0"),
            '/' => out.push_str("~1"),
            c => out.push(c),
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    /// The examples of RFC 6901, section 5.
    #[test]
    fn examples_of_the_rfc() {
        let text = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
        let document = Document::parse(text.into()).expect("valid");
        for (pointer, lexeme) in [
            ("", text),
            ("/foo", r#"["bar","baz"]"#),
            ("/foo/0", "\"bar\""),
            ("/", "0"),
            ("/a~1b", "1"),
            ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"),
            ("/i\\j", "5"),
            ("/k\"l", "6"),
            ("/ ", "7"),
            ("/m~0n", "8"),
        ] {
            let pointer: Pointer = pointer.parse().expect("valid");
            assert_eq!(
                pointer.resolve(document.root()).map(|n| n.lexeme()),
                Some(lexeme),
                "{pointer}"
            );
        }
        for absent in ["/foo/2", "/foo/-", "/foo/00", "/foo/0/x", "/x", "/foo/4294967296"] {
            let pointer: Pointer = absent.parse().expect("valid");
            assert!(pointer.resolve(document.root()).is_none(), "{absent}");
        }
        for bad in ["foo", "/~", "/~2", &"/a".repeat(65), &format!("/{}", "a".repeat(1024))] {
            assert!(bad.parse::<Pointer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hint_never_finds_the_name_of_a_nested_object() {
        let pointer: Pointer = "/a".parse().expect("valid");
        let mut hints = Hints::default();
        for (text, expected) in [
            (r#"{"x":1,"a":2}"#, Some("2")),
            (r#"{"o":{"a":5}}"#, None),
            (r#"{"o":{"a":5},"a":6}"#, Some("6")),
            (r#"{"x":"a","y":1}"#, None),
            (r#"{"x":0,"y":1,"a":"z"}"#, Some("\"z\"")),
            (r#"["a"]"#, None),
        ] {
            let document = Document::parse(text.into()).expect("valid");
            let found = pointer.resolve_hinted(document.root(), &mut hints).map(|n| n.lexeme());
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn overlap() {
        let p = |text: &str| text.parse::<Pointer>().expect("valid");
        assert!(
            p("/a").overlaps(&p("/a/b"))
                && p("/a/b").overlaps(&p("/a"))
                && p("").overlaps(&p("/x"))
        );
        assert!(!p("/a").overlaps(&p("/ab")) && !p("/a/b").overlaps(&p("/a/c")));
    }
}
