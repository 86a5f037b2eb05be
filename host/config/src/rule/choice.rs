//! Rules of values that are one, or some, of a few words.

use figment::value::Value;

use super::{Rule, quoted, text_of};
use crate::section::Base;

/// A type whose values have names.
pub(crate) trait Word: Copy + PartialEq + 'static {
    /// Every value with the word for it.
    const ALL: &'static [(&'static str, Self)];
}

fn find<T: Word>(text: &str) -> Option<T> {
    T::ALL.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}

fn words<T: Word>(join: &str) -> String {
    T::ALL.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(join)
}

/// One word.
pub(crate) struct OneOf<T>(pub(crate) T);

impl<T: Word> Rule for OneOf<T> {
    type Out = T;

    fn default(&self, _: &Base) -> T {
        self.0
    }

    fn parse(&self, value: &Value) -> Result<T, String> {
        let found = text_of(value).and_then(|text| find(&text));
        found.ok_or_else(|| format!("{} is not known: write {}", quoted(value), words::<T>(" or ")))
    }

    fn default_text(&self) -> String {
        let word = T::ALL.iter().find(|(_, value)| *value == self.0).map(|(word, _)| *word);
        word.unwrap_or_default().to_owned()
    }

    fn bounds_text(&self) -> String {
        words::<T>(", ")
    }
}

/// A list of words, at least one; in the environment joined by commas. The default is all but these.
pub(crate) struct SomeOf<T: 'static>(&'static [T]);

pub(crate) fn some_of<T: Word>(but: &'static [T]) -> SomeOf<T> {
    SomeOf(but)
}

fn parse_words<T: Word>(texts: &[String]) -> Result<Vec<T>, String> {
    let all = words::<T>(", ");
    let mut found = Vec::new();
    for text in texts {
        let value =
            find(text).ok_or_else(|| format!("`{text}` is not known: write a list of {all}"))?;
        if !found.contains(&value) {
            found.push(value);
        }
    }
    if found.is_empty() {
        return Err(format!("the list is empty: write one or more of {all}"));
    }
    Ok(found)
}

impl<T: Word> Rule for SomeOf<T> {
    type Out = Vec<T>;

    fn default(&self, _: &Base) -> Vec<T> {
        let all = T::ALL.iter().map(|(_, value)| *value);
        all.filter(|value| !self.0.contains(value)).collect()
    }

    fn parse(&self, value: &Value) -> Result<Vec<T>, String> {
        let texts: Vec<String> = match value {
            Value::Array(_, values) => {
                values.iter().map(|value| text_of(value).unwrap_or_default()).collect()
            }
            other => {
                let text = text_of(other).ok_or_else(|| {
                    format!("this is no list: write a list of {}", words::<T>(", "))
                })?;
                text.split(',').map(|word| word.trim().to_owned()).collect()
            }
        };
        parse_words(&texts)
    }

    fn default_text(&self) -> String {
        let named = |(word, value): &(&'static str, T)| self.0.contains(value).then_some(*word);
        let but: Vec<_> = T::ALL.iter().filter_map(named).collect();
        if but.is_empty() { "all".to_owned() } else { format!("all but {}", but.join(", ")) }
    }

    fn bounds_text(&self) -> String {
        format!("some of {}", words::<T>(", "))
    }
}
