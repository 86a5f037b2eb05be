//! Variables of the environment that texts of the file name: `${NAME}`, or `${NAME:-what else}` where it
//! need not be set. `$${` is `${` itself.

use std::collections::HashMap;
use std::path::Path;

use figment::value::{Dict, Value};

use crate::Problem;

/// Puts values in the place of names.
pub(super) struct Names<'a> {
    pub(super) given: HashMap<&'a str, &'a str>,
    /// The file's.
    pub(super) path: &'a Path,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Names<'_> {
    pub(super) fn resolve_all(&mut self, dict: &mut Dict, key: &str) {
        for (name, value) in dict {
            let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            self.resolve(value, &key);
        }
    }

    fn resolve(&mut self, value: &mut Value, key: &str) {
        match value {
            Value::String(_, text) if text.contains("${") => match self.text(text) {
                Ok(resolved) => *text = resolved,
                Err(message) => {
                    let source = Some(self.path.display().to_string());
                    self.problems.push(Problem { key: key.to_owned(), source, message });
                }
            },
            Value::Dict(_, dict) => self.resolve_all(dict, key),
            Value::Array(_, values) => {
                for (at, value) in values.iter_mut().enumerate() {
                    self.resolve(value, &format!("{key}[{at}]"));
                }
            }
            _ => {}
        }
    }

    fn text(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                out.push_str(before);
                out.push_str("${");
                rest = after;
                continue;
            }
            out.push_str(before);
            let (inside, after) = after
                .split_once('}')
                .ok_or("a `${` has no end: write ${NAME}, or $${ for the text itself")?;
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            // What is wrong is not quoted: it may be a part of a secret.
            if !is_name(name) {
                return Err(
                    "what is in `${…}` is no name of a variable: write ${NAME}, or $${ for the \
                            text itself"
                        .to_owned(),
                );
            }
            if default.is_some_and(|default| default.contains("${")) {
                return Err(format!(
                    "what stands for {name} names a variable itself: write a text"
                ));
            }
            let given = self.given.get(name).copied().filter(|value| !value.is_empty());
            out.push_str(given.or(default).ok_or_else(|| {
                format!("the variable {name} is not set: set it, or write ${{{name}:-DEFAULT}}")
            })?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_what_stands_for_them() {
        let given = HashMap::from([("A", "x"), ("EMPTY", ""), ("PORT_2", "8001")]);
        let mut problems = Vec::new();
        let names = Names { given, path: Path::new("f"), problems: &mut problems };
        for (text, expected) in [
            ("${A}", Ok("x")),
            ("0.0.0.0:${PORT_2:-1}", Ok("0.0.0.0:8001")),
            ("${B:-kafka:9092}", Ok("kafka:9092")),
            ("${EMPTY:-d}", Ok("d")),
            ("${EMPTY}", Err("the variable EMPTY is not set: set it, or write ${EMPTY:-DEFAULT}")),
            ("${A}${B:-}${A}", Ok("xx")),
            ("$${A} $A $", Ok("${A} $A $")),
            ("${A", Err("a `${` has no end: write ${NAME}, or $${ for the text itself")),
            (
                "${a b}",
                Err(
                    "what is in `${…}` is no name of a variable: write ${NAME}, or $${ for the text itself",
                ),
            ),
            ("${B:-${A}}", Err("what stands for B names a variable itself: write a text")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(names.text(text), expected, "{text}");
        }
    }
}
