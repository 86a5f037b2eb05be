//! The tape: one flat list of nodes for a whole body.
//!
//! A container is followed by its content: an array by its elements, an object by pairs of a key
//! node and a value. `next` skips over a node and all that it contains. Text without escapes is
//! read from the source itself; text with escapes is unescaped once, into `unescaped`.

/// What a JSON value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    False,
    True,
    Number,
    String,
    Array,
    Object,
}

/// One entry of the tape. Offsets are bytes into the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Index of the entry after this value.
    pub(crate) next: u32,
    /// Array: elements. Object: members. Escaped string: bytes of text.
    pub(crate) count: u32,
    /// Escaped string: where its text starts in `unescaped`.
    pub(crate) text: u32,
    pub(crate) kind: Kind,
    pub(crate) escaped: bool,
    pub(crate) key: bool,
    pub(crate) depth: u8,
}

/// Stands in where an index is out of range, which no index of ours is.
const ABSENT: Entry = Entry {
    start: 0,
    end: 0,
    next: u32::MAX,
    count: 0,
    text: 0,
    kind: Kind::Null,
    escaped: false,
    key: false,
    depth: 0,
};

/// A parsed body. Holds one or more root values.
#[derive(Debug, Default)]
pub struct Document {
    pub(crate) source: String,
    pub(crate) unescaped: String,
    pub(crate) entries: Vec<Entry>,
}

impl Document {
    /// Parses one value with the default limits.
    ///
    /// # Errors
    /// Where the bytes are not one JSON value, or break a limit or the rule of distinct names.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, crate::JsonError> {
        let mut builder = crate::Builder::new(bytes, crate::Limits::default())?;
        builder.whole()?;
        match builder.take_flaws().into_iter().next() {
            Some(flaw) => Err(flaw.into()),
            None => Ok(builder.finish()),
        }
    }

    /// The first value.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        self.at(0)
    }

    /// The value at an index of the tape that `Node::index` or the builder gave.
    #[must_use]
    pub fn at(&self, index: u32) -> Node<'_> {
        Node { document: self, index }
    }

    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn entry(&self, index: u32) -> Entry {
        self.entries.get(index as usize).copied().unwrap_or(ABSENT)
    }

    fn text_of(&self, entry: Entry) -> &str {
        let text = if entry.escaped {
            let start = entry.text as usize;
            self.unescaped.get(start..start + entry.count as usize)
        } else {
            self.source.get(entry.start as usize + 1..(entry.end as usize).saturating_sub(1))
        };
        text.unwrap_or_default()
    }

    fn text_bytes_of(&self, entry: Entry) -> &[u8] {
        let bytes = if entry.escaped {
            let start = entry.text as usize;
            self.unescaped.as_bytes().get(start..start + entry.count as usize)
        } else {
            let end = (entry.end as usize).saturating_sub(1);
            self.source.as_bytes().get(entry.start as usize + 1..end)
        };
        bytes.unwrap_or_default()
    }
}

/// A value of a document: a cheap handle.
#[derive(Clone, Copy, Debug)]
pub struct Node<'d> {
    pub(crate) document: &'d Document,
    pub(crate) index: u32,
}

impl<'d> Node<'d> {
    pub(crate) fn entry(&self) -> Entry {
        self.document.entry(self.index)
    }

    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.entry().kind
    }

    /// Where the value stands in the source, in bytes.
    #[must_use]
    pub fn span(&self) -> std::ops::Range<usize> {
        let entry = self.entry();
        entry.start as usize..entry.end as usize
    }

    /// The value as the producer wrote it.
    #[must_use]
    pub fn lexeme(&self) -> &'d str {
        self.document.source.get(self.span()).unwrap_or_default()
    }

    /// The text of a string, unescaped.
    #[must_use]
    pub fn as_str(&self) -> Option<&'d str> {
        let entry = self.entry();
        (entry.kind == Kind::String).then(|| self.document.text_of(entry))
    }

    /// The bytes of a string's text; cheaper than `as_str`.
    #[must_use]
    pub fn as_text_bytes(&self) -> Option<&'d [u8]> {
        let entry = self.entry();
        (entry.kind == Kind::String).then(|| self.document.text_bytes_of(entry))
    }

    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.kind() {
            Kind::True => Some(true),
            Kind::False => Some(false),
            Kind::Null | Kind::Number | Kind::String | Kind::Array | Kind::Object => None,
        }
    }

    /// Elements of an array, members of an object, 0 otherwise.
    #[must_use]
    pub fn len(&self) -> u32 {
        let entry = self.entry();
        match entry.kind {
            Kind::Array | Kind::Object => entry.count,
            Kind::Null | Kind::False | Kind::True | Kind::Number | Kind::String => 0,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The member of an object with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Node<'d>> {
        self.find(name.as_bytes()).map(|key| self.document.at(key + 1))
    }

    /// Index of the key entry with this name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<u32> {
        let entry = self.entry();
        if entry.kind != Kind::Object {
            return None;
        }
        let mut at = self.index + 1;
        for _ in 0..entry.count {
            let key = self.document.entry(at);
            if self.document.text_bytes_of(key) == name {
                return Some(at);
            }
            at = self.document.entry(at + 1).next;
        }
        None
    }

    /// The same, looking first where the name stood in the object before.
    pub(crate) fn find_hinted(&self, name: &[u8], hint: &mut u32) -> Option<u32> {
        let entry = self.entry();
        let guess = self.index + *hint;
        if entry.kind == Kind::Object && *hint > 0 && guess < entry.next {
            let key = self.document.entry(guess);
            // A key of the same depth within the object's range is a key of this object.
            if key.key
                && key.depth == entry.depth.saturating_add(1)
                && self.document.text_bytes_of(key) == name
            {
                return Some(guess);
            }
        }
        let found = self.find(name)?;
        *hint = found - self.index;
        Some(found)
    }

    /// Values within this one, names of members among them.
    pub(crate) fn descendants(&self) -> u32 {
        self.entry().next.saturating_sub(self.index + 1)
    }

    /// Bytes of the longest name within this value, as written or unescaped.
    pub(crate) fn longest_name(&self) -> usize {
        let within = self.index as usize..self.entry().next as usize;
        let names = self.document.entries.get(within).unwrap_or_default().iter();
        let length = |name: &Entry| match name.escaped {
            true => name.count,
            false => name.end.saturating_sub(name.start),
        };
        names.filter(|entry| entry.key).map(length).max().unwrap_or_default() as usize
    }

    /// The members of an object, in order; nothing for other values.
    #[must_use]
    pub fn members(&self) -> Members<'d> {
        let left = if self.kind() == Kind::Object { self.len() } else { 0 };
        Members { document: self.document, at: self.index + 1, left }
    }

    /// The elements of an array, in order; nothing for other values.
    #[must_use]
    pub fn elements(&self) -> Elements<'d> {
        let left = if self.kind() == Kind::Array { self.len() } else { 0 };
        Elements { document: self.document, at: self.index + 1, left }
    }
}

/// The members of an object: name and value.
#[derive(Clone, Debug)]
pub struct Members<'d> {
    document: &'d Document,
    at: u32,
    left: u32,
}

impl<'d> Iterator for Members<'d> {
    type Item = (Node<'d>, Node<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let pair = (self.document.at(self.at), self.document.at(self.at + 1));
        self.at = self.document.entry(self.at + 1).next;
        Some(pair)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

/// The elements of an array.
#[derive(Clone, Debug)]
pub struct Elements<'d> {
    document: &'d Document,
    at: u32,
    left: u32,
}

impl<'d> Iterator for Elements<'d> {
    type Item = Node<'d>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let element = self.document.at(self.at);
        self.at = self.document.entry(self.at).next;
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}
