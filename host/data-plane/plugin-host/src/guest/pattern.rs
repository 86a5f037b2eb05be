//! A pattern that a rule matches texts with, and how long a text it takes.
//!
//! Matching is linear in the text, but what a byte costs grows with the compiled pattern: up to
//! about 0.1 µs for each KiB of it, where its automaton does not fit into its cache. A match
//! cannot be interrupted, so a large pattern takes short texts alone.

use regex::{Regex, RegexBuilder};

/// The smallest and the largest bound, in bytes, that a compiled pattern is tried with.
const MIN_BYTES: usize = 16 << 10;
const MAX_BYTES: usize = 1 << 20;
/// Bytes of the automaton's cache.
const CACHE_BYTES: usize = 1 << 20;
/// Bytes of the compiled pattern times bytes of the text: at worst about half a second.
const MAX_WORK: usize = 4 << 30;

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    max_text: usize,
}

impl Pattern {
    /// Compiles a pattern; the error is for people.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let mut bytes = MIN_BYTES;
        loop {
            let mut builder = RegexBuilder::new(text);
            match builder.size_limit(bytes).dfa_size_limit(CACHE_BYTES).build() {
                Ok(regex) => return Ok(Self { regex, max_text: MAX_WORK / bytes }),
                Err(regex::Error::CompiledTooBig(_)) if bytes < MAX_BYTES => bytes *= 2,
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Does the text contain a match? The error says that the text is too long.
    pub(super) fn is_match(&self, text: &str) -> Result<bool, String> {
        if text.len() > self.max_text {
            let (bytes, limit) = (text.len(), self.max_text);
            return Err(format!(
                "a text of {bytes} bytes is too long for the pattern: it takes {limit}"
            ));
        }
        Ok(self.regex.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_the_pattern_the_shorter_the_text() {
        let small = Pattern::compile("^[a-z]+@[a-z]+$").expect("a pattern");
        let large = Pattern::compile("(?:[ab]{1,100}){60}[^ab]").expect("a pattern");
        assert_eq!(small.max_text, MAX_WORK / MIN_BYTES);
        assert!(large.max_text <= 64 << 10);
        assert_eq!(large.is_match(&"ab".repeat(100)), Ok(false));
        assert!(large.is_match(&"ab".repeat(1 << 19)).is_err());
        assert_eq!(small.is_match(&"a".repeat(1 << 18)), Ok(false));
        assert!(Pattern::compile("(((\\w{100}){100}){100}){100}").is_err());
    }
}
