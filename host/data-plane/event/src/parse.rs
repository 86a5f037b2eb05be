//! From bytes to tape. The lexing is jiter's; what is added is the tape, the depth limit, and the
//! check that the names of an object are distinct after unescaping (RFC 8259 leaves that open, and
//! readers that disagree on it can be played against each other).

use std::collections::HashSet;

use jiter::{Jiter, JiterError, JiterErrorType, Peek};

use crate::document::{Document, Entry, Kind};
use crate::pointer::push_step;

/// Bounds of what is parsed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Containers within containers in one event; at most 128.
    pub depth: u8,
    /// Containers around each event: flaws are told once for each value at this depth.
    pub event_depth: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, event_depth: 0 }
    }
}

/// Bytes that are not JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct JsonError {
    pub what: String,
    /// From the start of the source.
    pub offset: usize,
    /// The innermost value that was being read: a JSON pointer.
    pub pointer: String,
}

/// Something that is wrong with one value, while the rest can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    pub kind: FlawKind,
    /// From the start of the source.
    pub offset: usize,
    /// From the root value that it is in: a JSON pointer.
    pub pointer: String,
}

/// What a flaw is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlawKind {
    DuplicateName,
    TooDeep,
}

impl FlawKind {
    /// For people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::DuplicateName => "the name occurs twice in its object",
            Self::TooDeep => "the value is nested too deeply",
        }
    }
}

impl From<Flaw> for JsonError {
    fn from(flaw: Flaw) -> Self {
        Self { what: flaw.kind.describe().into(), offset: flaw.offset, pointer: flaw.pointer }
    }
}

/// An open container.
struct Frame {
    entry: u32,
    object: bool,
    /// The key entry of the member that is being read.
    key: u32,
    /// One bit for each name so far: a name whose bit is not set is a new one.
    seen: u64,
    /// Hashes of the names so far, once there are too many to compare each with each.
    names: Option<HashSet<u64>>,
    /// A name has come twice: one flaw tells it, and nothing more is compared.
    repeated: bool,
}

/// Bytes of a flaw's pointer.
const MAX_POINTER_BYTES: usize = 1024;

/// Up to here the names of an object are compared one by one.
const COMPARED_NAMES: u32 = 24;

/// Where reading goes on.
enum Then {
    Value(Peek),
    Key,
    Element,
}

/// Builds a document out of one source with one or more values.
#[derive(Debug)]
pub struct Builder {
    document: Document,
    limits: Limits,
    flaws: Vec<Flaw>,
    /// The event, or the space between events, that the last flaw was in.
    flawed: Option<Option<u32>>,
    scratch: Vec<u8>,
    hasher: ahash::RandomState,
}

impl Builder {
    /// Takes the bytes of a body.
    ///
    /// # Errors
    /// Where they are not UTF-8, or 4 GiB or more.
    pub fn new(bytes: Vec<u8>, limits: Limits) -> Result<Self, JsonError> {
        let fail =
            |what: &str, offset| JsonError { what: what.into(), offset, pointer: String::new() };
        if u32::try_from(bytes.len()).is_err() {
            return Err(fail("the body is larger than 4 GiB", 0));
        }
        let source = String::from_utf8(bytes).map_err(|error| {
            fail("the text is not valid UTF-8", error.utf8_error().valid_up_to())
        })?;
        // An event of ordinary shape has an entry for each ten bytes or more.
        let entries = Vec::with_capacity(source.len() / 8 + 8);
        let document = Document { source, unescaped: String::new(), entries };
        Ok(Self {
            document,
            limits,
            flaws: Vec::new(),
            flawed: None,
            scratch: Vec::new(),
            hasher: ahash::RandomState::new(),
        })
    }

    #[must_use]
    pub fn source(&self) -> &str {
        &self.document.source
    }

    /// Reads the whole source as one value; answers its index.
    ///
    /// # Errors
    /// Where it is no JSON value. What was read of it stays unreachable.
    pub fn whole(&mut self) -> Result<u32, JsonError> {
        self.value(0..self.document.source.len())
    }

    /// Reads a range of the source as one value; answers its index.
    ///
    /// # Errors
    /// As for `whole`.
    pub fn value(&mut self, range: std::ops::Range<usize>) -> Result<u32, JsonError> {
        // The source moves out so that the lexer may borrow it while the tape grows.
        let source = std::mem::take(&mut self.document.source);
        let root = self.document.entries.len();
        let base = range.start;
        let text = source.get(range).unwrap_or_default();
        let mut reader = Reader {
            jiter: Jiter::with_tape(text.as_bytes(), std::mem::take(&mut self.scratch)),
            skipped: 0,
            text,
            base,
            stack: Vec::with_capacity(8),
            source: &source,
            builder: self,
        };
        let result = reader.read().map_err(|error| reader.locate(&error));
        let scratch = reader.jiter.into_tape();
        self.scratch = scratch;
        if result.is_err() {
            self.document.entries.truncate(root);
        }
        self.document.source = source;
        result.map(|()| u32::try_from(root).unwrap_or(u32::MAX))
    }

    /// The flaws met so far, the first of each event, in the order of their offsets.
    #[must_use]
    pub fn take_flaws(&mut self) -> Vec<Flaw> {
        std::mem::take(&mut self.flaws)
    }

    #[must_use]
    pub fn finish(self) -> Document {
        self.document
    }
}

struct Reader<'s, 'b> {
    jiter: Jiter<'s>,
    /// Where in `text` the lexer began.
    skipped: usize,
    text: &'s str,
    base: usize,
    stack: Vec<Frame>,
    source: &'s str,
    builder: &'b mut Builder,
}

impl Reader<'_, '_> {
    /// Where reading is, from the start of `text`.
    fn index(&self) -> usize {
        self.skipped + self.jiter.current_index()
    }

    fn read(&mut self) -> Result<(), JiterError> {
        let mut then = Then::Value(self.jiter.peek()?);
        loop {
            then = match then {
                Then::Value(peek) => match self.value(peek)? {
                    Some(then) => then,
                    None => match self.stack.last() {
                        None => break,
                        Some(frame) if frame.object => Then::Key,
                        Some(_) => Then::Element,
                    },
                },
                Then::Key => self.key(false)?,
                Then::Element => match self.jiter.array_step()? {
                    Some(peek) => {
                        self.count_child();
                        Then::Value(peek)
                    }
                    None => self.close(),
                },
            };
            if self.stack.is_empty() && !matches!(then, Then::Value(_)) {
                break;
            }
        }
        self.jiter.finish()
    }

    /// Reads a scalar whole (then `None`), or opens a container.
    fn value(&mut self, peek: Peek) -> Result<Option<Then>, JiterError> {
        let start = self.index();
        let depth = self.stack.len();
        match peek {
            Peek::Object | Peek::Array if depth >= self.max_depth() => {
                self.flaw(FlawKind::TooDeep, start);
                self.skip(peek)?;
                self.push(Kind::Null, start);
                return Ok(None);
            }
            Peek::Object => {
                self.open(start, true);
                return self.key(true).map(Some);
            }
            Peek::Array => {
                self.open(start, false);
                return Ok(Some(match self.jiter.known_array()? {
                    Some(peek) => {
                        self.count_child();
                        Then::Value(peek)
                    }
                    None => self.close(),
                }));
            }
            Peek::String => {
                let text = self.jiter.known_str()?;
                let escaped = escaped(self.text, text, &mut self.builder.document.unescaped);
                self.push_text(start, escaped, false);
            }
            Peek::Null => {
                self.jiter.known_null()?;
                self.push(Kind::Null, start);
            }
            Peek::True => {
                self.jiter.known_bool(peek)?;
                self.push(Kind::True, start);
            }
            Peek::False => {
                self.jiter.known_bool(peek)?;
                self.push(Kind::False, start);
            }
            _ => {
                self.number(peek, start)?;
                let end = self.index();
                self.push_entry(Kind::Number, start, end, None, false);
            }
        }
        Ok(None)
    }

    /// Containers that may be open at once.
    fn max_depth(&self) -> usize {
        let limits = self.builder.limits;
        usize::from(limits.depth.min(128)) + usize::from(limits.event_depth)
    }

    /// Reads over a container and keeps nothing of it: a byte of memory for each level.
    fn skip(&mut self, peek: Peek) -> Result<(), JiterError> {
        let mut objects = Vec::new();
        let mut next = Some(peek);
        loop {
            if let Some(peek) = next.take() {
                next = self.skip_into(peek, &mut objects)?;
            }
            if next.is_some() {
                continue;
            }
            // A value has ended.
            next = match objects.last() {
                None => return Ok(()),
                Some(true) if self.jiter.next_key()?.is_some() => Some(self.jiter.peek()?),
                Some(true) => None,
                Some(false) => self.jiter.array_step()?,
            };
            if next.is_none() {
                objects.pop();
            }
        }
    }

    /// Reads over a scalar or an empty container, or answers the first value in a container.
    fn skip_into(
        &mut self,
        peek: Peek,
        objects: &mut Vec<bool>,
    ) -> Result<Option<Peek>, JiterError> {
        let first = match peek {
            Peek::Object => match self.jiter.known_object()?.is_some() {
                true => Some(self.jiter.peek()?),
                false => None,
            },
            Peek::Array => self.jiter.known_array()?,
            Peek::String => self.jiter.known_str().map(|_| None)?,
            Peek::Null => self.jiter.known_null().map(|()| None)?,
            Peek::True | Peek::False => self.jiter.known_bool(peek).map(|_| None)?,
            _ => self.number(peek, self.index()).map(|()| None)?,
        };
        if first.is_some() {
            objects.push(peek == Peek::Object);
        }
        Ok(first)
    }

    fn number(&mut self, peek: Peek, start: usize) -> Result<(), JiterError> {
        match self.jiter.known_number_bytes(peek) {
            Ok(_) => Ok(()),
            Err(error) => self.long_number(start, error),
        }
    }

    /// The lexer refuses integers of more than some thousand digits, which are valid JSON. It has no
    /// state but its place, so a new one goes on behind the number.
    fn long_number(&mut self, start: usize, error: JiterError) -> Result<(), JiterError> {
        let rest = self.text.get(start..).unwrap_or_default();
        let is_part = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().take_while(|b| is_part(b)).count();
        let digits = rest.get(..length).unwrap_or_default();
        let digits = digits.strip_prefix('-').unwrap_or(digits);
        let is_integer = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        if digits.is_empty() || !is_integer {
            return Err(error);
        }
        self.skipped = start + length;
        self.jiter = Jiter::new(self.text.get(self.skipped..).unwrap_or_default().as_bytes());
        Ok(())
    }

    /// Reads the next name of the innermost object, or closes it.
    fn key(&mut self, first: bool) -> Result<Then, JiterError> {
        let text = self.text;
        let name = if first { self.jiter.known_object()? } else { self.jiter.next_key()? };
        let Some(name) = name else { return Ok(self.close()) };
        let unescaped = &mut self.builder.document.unescaped;
        let escaped = escaped(text, name, unescaped);
        // Where the name stands is known from the text itself; an escaped one needs no place.
        let start = match escaped {
            Some(_) => 0,
            None => (name.as_ptr() as usize).saturating_sub(text.as_ptr() as usize + 1),
        };
        let end = if escaped.is_some() { start } else { start + name.len() + 2 };
        let bit = 1u64 << (short_hash(name.as_bytes()) & 63);
        let at = self.push_text_span(start, end, escaped, true);
        let is_new = self.stack.last_mut().is_some_and(|frame| {
            frame.key = at;
            let is_new = frame.seen & bit == 0 && frame.names.is_none();
            frame.seen |= bit;
            is_new
        });
        if !is_new {
            self.check_distinct(at);
        }
        self.count_child();
        Ok(Then::Value(self.jiter.peek()?))
    }

    fn check_distinct(&mut self, key: u32) {
        let Some(mut frame) = self.stack.pop() else { return };
        let repeated = !frame.repeated && self.is_repeated(&mut frame, key);
        frame.repeated |= repeated;
        self.stack.push(frame);
        if repeated {
            let offset = self.index();
            self.flaw(FlawKind::DuplicateName, offset);
        }
    }

    fn is_repeated(&self, frame: &mut Frame, key: u32) -> bool {
        let name = self.name(key);
        if self.builder.document.entry(frame.entry).count >= COMPARED_NAMES {
            let hash = |at| self.builder.hasher.hash_one(self.name(at));
            let known = || self.keys(frame.entry).map(hash).collect();
            if frame.names.get_or_insert_with(known).insert(hash(key)) {
                return false;
            }
        }
        self.keys(frame.entry).any(|at| self.name(at) == name)
    }

    /// The key entries of the members that an open object has so far.
    fn keys(&self, object: u32) -> impl Iterator<Item = u32> + '_ {
        let document = &self.builder.document;
        let mut at = object + 1;
        (0..document.entry(object).count).map(move |_| {
            let key = at;
            at = document.entry(at + 1).next;
            key
        })
    }

    /// The text of a key while the source is out of the document.
    fn name(&self, key: u32) -> &[u8] {
        let entry = self.builder.document.entry(key);
        let bytes = if entry.escaped {
            let start = entry.text as usize;
            self.builder.document.unescaped.as_bytes().get(start..start + entry.count as usize)
        } else {
            let end = (entry.end as usize).saturating_sub(1);
            self.source.as_bytes().get(entry.start as usize + 1..end)
        };
        bytes.unwrap_or_default()
    }

    fn open(&mut self, start: usize, object: bool) {
        let kind = if object { Kind::Object } else { Kind::Array };
        let entry = self.push(kind, start);
        self.stack.push(Frame { entry, object, key: 0, seen: 0, names: None, repeated: false });
    }

    fn close(&mut self) -> Then {
        let end = narrow(self.base + self.index());
        let next = narrow(self.builder.document.entries.len());
        if let Some(frame) = self.stack.pop()
            && let Some(entry) = self.builder.document.entries.get_mut(frame.entry as usize)
        {
            entry.end = end;
            entry.next = next;
        }
        match self.stack.last() {
            Some(frame) if frame.object => Then::Key,
            Some(_) | None => Then::Element,
        }
    }

    fn count_child(&mut self) {
        if let Some(frame) = self.stack.last()
            && let Some(entry) = self.builder.document.entries.get_mut(frame.entry as usize)
        {
            entry.count += 1;
        }
    }

    fn push(&mut self, kind: Kind, start: usize) -> u32 {
        let end = self.index();
        self.push_entry(kind, start, end, None, false)
    }

    fn push_text(&mut self, start: usize, escaped: Option<(u32, u32)>, key: bool) {
        let end = self.index();
        self.push_text_span(start, end, escaped, key);
    }

    fn push_text_span(
        &mut self,
        start: usize,
        end: usize,
        escaped: Option<(u32, u32)>,
        key: bool,
    ) -> u32 {
        self.push_entry(Kind::String, start, end, escaped, key)
    }

    fn push_entry(
        &mut self,
        kind: Kind,
        start: usize,
        end: usize,
        escaped: Option<(u32, u32)>,
        key: bool,
    ) -> u32 {
        let entries = &mut self.builder.document.entries;
        let index = narrow(entries.len());
        let (text, count) = escaped.unwrap_or((0, 0));
        entries.push(Entry {
            start: narrow(self.base + start),
            end: narrow(self.base + end),
            next: index + 1,
            count,
            text,
            kind,
            escaped: escaped.is_some(),
            key,
            depth: u8::try_from(self.stack.len()).unwrap_or(u8::MAX),
        });
        index
    }

    fn flaw(&mut self, kind: FlawKind, at: usize) {
        let depth = usize::from(self.builder.limits.event_depth);
        let event = self.stack.get(depth).map(|frame| frame.entry);
        if self.builder.flawed.replace(event) != Some(event) {
            let (offset, pointer) = (self.base + at, self.pointer());
            self.builder.flaws.push(Flaw { kind, offset, pointer });
        }
    }

    /// The pointer to the value that is being read.
    fn pointer(&self) -> String {
        let mut out = String::new();
        for frame in &self.stack {
            if frame.object {
                if frame.key > 0 {
                    push_step(&mut out, &String::from_utf8_lossy(self.name(frame.key)));
                }
            } else {
                let count = self.builder.document.entry(frame.entry).count;
                push_step(&mut out, &count.saturating_sub(1).to_string());
            }
            if out.len() > MAX_POINTER_BYTES {
                out.truncate(out.floor_char_boundary(MAX_POINTER_BYTES));
                out.push('…');
                break;
            }
        }
        out
    }

    fn locate(&self, error: &JiterError) -> JsonError {
        let what = match &error.error_type {
            JiterErrorType::JsonError(kind) => kind.to_string(),
            other => other.to_string(),
        };
        JsonError { what, offset: self.base + self.skipped + error.index, pointer: self.pointer() }
    }
}

/// Tells most names of one object apart by their length and a few of their bytes.
fn short_hash(name: &[u8]) -> u32 {
    let byte = |at: usize| name.get(at).copied().map_or(0, u32::from);
    let last = byte(name.len().wrapping_sub(1));
    let word = byte(0) | byte(name.len() / 2) << 8 | last << 16 | (name.len() as u32) << 24;
    word.wrapping_mul(0x9E37_79B1) >> 26
}

/// Text that the lexer had to unescape does not lie in the source: it is copied, and its place in
/// `unescaped` answered.
fn escaped(source: &str, text: &str, unescaped: &mut String) -> Option<(u32, u32)> {
    let (from, at) = (source.as_ptr() as usize, text.as_ptr() as usize);
    if at >= from && at + text.len() <= from + source.len() {
        return None;
    }
    let start = narrow(unescaped.len());
    unescaped.push_str(text);
    Some((start, narrow(text.len())))
}

/// Sizes fit: the source is smaller than 4 GiB, and the tape has at most an entry a byte.
fn narrow(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
