//! Reading a configuration: every problem is reported with its place and the mend, and reading
//! goes on after a problem, so that a person gets all of them at once.

use std::cell::RefCell;

use serde_json::{Map, Value};

use crate::outcome::Severity;

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the configuration: a JSON pointer.
    pub pointer: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// Stands for a problem that has been reported; only [`Config::problem`] makes one.
#[derive(Debug)]
pub struct Invalid(());

/// Problems after this many are not reported.
const MOST_PROBLEMS: usize = 100;

/// The host columns that say something of the event itself.
const HOST_COLUMNS: [&str; 6] =
    ["@tenant", "@event_id", "@event_type", "@key", "@node", "@received_at"];

/// A place in the configuration.
#[derive(Clone, Debug)]
pub struct Config<'a> {
    value: &'a Value,
    pointer: String,
    problems: &'a RefCell<Vec<Problem>>,
}

/// An object in the configuration.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    place: Config<'a>,
    map: &'a Map<String, Value>,
}

impl<'a> Config<'a> {
    pub(crate) fn root(value: &'a Value, problems: &'a RefCell<Vec<Problem>>) -> Self {
        Self { value, pointer: String::new(), problems }
    }

    /// Reports that something is wrong here: say what, and what to write instead.
    pub fn problem(&self, message: impl Into<String>) -> Invalid {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < MOST_PROBLEMS {
            problems.push(Problem { pointer: self.pointer.clone(), message: message.into() });
        }
        Invalid(())
    }

    /// The JSON value itself.
    #[must_use]
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// An object with no other keys than the known ones.
    ///
    /// # Errors
    /// Where it is no object. Unknown keys are reported, each at its place, and reading goes on.
    pub fn object(&self, known: &[&str]) -> Result<Object<'a>, Invalid> {
        let Value::Object(map) = self.value else {
            return Err(self.must_be("an object"));
        };
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            self.at(key, self.value).problem(format!(
                "there is no such key: leave it out, or write one of {}",
                known.join(", ")
            ));
        }
        Ok(Object { place: self.clone(), map })
    }

    /// The items of an array of at least one and at most `most`.
    ///
    /// # Errors
    /// Where it is no array, empty, or longer.
    pub fn list(&self, most: usize) -> Result<Vec<Config<'a>>, Invalid> {
        match self.value {
            Value::Array(items) if items.len() > most => {
                let count = items.len();
                Err(self.problem(format!("{count} items are too many: write at most {most}")))
            }
            Value::Array(items) if !items.is_empty() => {
                let item = |(index, value): (usize, &'a Value)| self.at(&index.to_string(), value);
                Ok(items.iter().enumerate().map(item).collect())
            }
            _ => Err(self.must_be("an array of at least one item")),
        }
    }

    /// Reads every item of an array of at least one and at most `most`, going on after an item
    /// with a problem.
    ///
    /// # Errors
    /// Where any item has one, or the array itself.
    pub fn each<T>(
        &self,
        most: usize,
        mut read: impl FnMut(&Config<'a>) -> Result<T, Invalid>,
    ) -> Result<Vec<T>, Invalid> {
        let all: Vec<_> = self.list(most)?.iter().map(&mut read).collect();
        all.into_iter().collect()
    }

    /// Text.
    ///
    /// # Errors
    /// Where it is none.
    pub fn text(&self) -> Result<&'a str, Invalid> {
        self.value.as_str().ok_or_else(|| self.must_be("text"))
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn boolean(&self) -> Result<bool, Invalid> {
        self.value.as_bool().ok_or_else(|| self.must_be("true or false"))
    }

    /// A number.
    ///
    /// # Errors
    /// Where it is none.
    pub fn number(&self) -> Result<f64, Invalid> {
        self.value.as_f64().ok_or_else(|| self.must_be("a number"))
    }

    /// A whole number, 0 or more.
    ///
    /// # Errors
    /// Where it is none.
    pub fn count(&self) -> Result<u64, Invalid> {
        self.value.as_u64().ok_or_else(|| self.must_be("a whole number, 0 or more"))
    }

    /// One of a few words.
    ///
    /// # Errors
    /// Where it is none of them.
    pub fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Invalid> {
        let word = self.value.as_str();
        let found = words.iter().find(|(known, _)| Some(*known) == word);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.must_be(&format!("one of {}", words.join(", ")))
        })
    }

    /// A severity: `info`, `warn`, `soft` or `hard`.
    ///
    /// # Errors
    /// Where it is none.
    pub fn severity(&self) -> Result<Severity, Invalid> {
        self.one_of(&[
            ("info", Severity::Info),
            ("warn", Severity::Warn),
            ("soft", Severity::Soft),
            ("hard", Severity::Hard),
        ])
    }

    /// A JSON pointer (RFC 6901) to a field below the root, such as `/actor/id`.
    ///
    /// # Errors
    /// Where it is none.
    pub fn pointer(&self) -> Result<&'a str, Invalid> {
        match self.value.as_str() {
            Some(text) if is_pointer(text) => Ok(text),
            _ => Err(self.must_be("a JSON pointer to a field, such as `/actor/id`")),
        }
    }

    /// A field that can be read: a JSON pointer below the root, or a host column of text or number
    /// (`@tenant`, `@event_id`, `@event_type`, `@key`, `@node`, `@received_at`).
    ///
    /// # Errors
    /// Where it is neither.
    pub fn field(&self) -> Result<&'a str, Invalid> {
        match self.value.as_str() {
            Some(text) if is_pointer(text) || HOST_COLUMNS.contains(&text) => Ok(text),
            _ => Err(self.must_be(&format!(
                "a JSON pointer to a field, such as `/actor/id`, or one of {}",
                HOST_COLUMNS.join(", ")
            ))),
        }
    }

    /// A finding's code or a counter's name: lower-case words of letters and digits joined by
    /// `-`, `_` or `.`, at most 64 bytes.
    ///
    /// # Errors
    /// Where it is none.
    pub fn code(&self) -> Result<&'a str, Invalid> {
        match self.value.as_str() {
            Some(text) if is_code(text) => Ok(text),
            _ => Err(self.must_be(
                "lower-case words of a-z and 0-9 joined by -, _ or ., at most 64 bytes, such as `tailnum-known`",
            )),
        }
    }

    /// Reports that something else should stand here.
    pub fn must_be(&self, what: &str) -> Invalid {
        let mut found = self.value.to_string();
        if found.len() > 80 {
            found.truncate(found.floor_char_boundary(80));
            found.push('…');
        }
        self.problem(format!("this must be {what}, not `{found}`"))
    }

    fn at(&self, key: &str, value: &'a Value) -> Config<'a> {
        let key = key.replace('~', "~0").replace('/', "~1");
        Config { value, pointer: format!("{}/{key}", self.pointer), problems: self.problems }
    }
}

impl<'a> Object<'a> {
    /// The value of a key that must be there.
    ///
    /// # Errors
    /// Where it is not.
    pub fn required(&self, key: &str) -> Result<Config<'a>, Invalid> {
        self.optional(key).ok_or_else(|| {
            self.place.at(key, self.place.value).problem(format!("`{key}` is missing: add it"))
        })
    }

    /// The value of a key that may be left out.
    #[must_use]
    pub fn optional(&self, key: &str) -> Option<Config<'a>> {
        self.map.get(key).map(|value| self.place.at(key, value))
    }

    /// The place of the object itself, for problems that are about it as a whole.
    #[must_use]
    pub fn place(&self) -> &Config<'a> {
        &self.place
    }
}

/// Is it a JSON pointer to something below the root?
pub(crate) fn is_pointer(text: &str) -> bool {
    let mut tildes = text.split('~');
    tildes.next().is_some_and(|first| first.starts_with('/'))
        && tildes.all(|rest| rest.starts_with(['0', '1']))
}

pub(crate) fn is_code(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    text.len() <= 64 && text.split(['-', '_', '.']).all(word)
}
