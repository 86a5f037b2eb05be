//! Reads a command's options: flags, and options with a value as `--name VALUE` or `--name=VALUE`.

use crate::shell::Failure;

/// What a command was called with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    flags: Vec<String>,
    values: Vec<(String, String)>,
    /// What is no option, in order.
    pub(crate) positional: Vec<String>,
}

impl Arguments {
    /// Reads `arguments`, of which `flags` and `valued` are the known options, with their dashes.
    ///
    /// # Errors
    /// `Failure::Usage` names an unknown option, one without its value, and more than
    /// `most_positional` other words.
    pub(crate) fn read(
        arguments: &[String],
        flags: &[&str],
        valued: &[&str],
        most_positional: usize,
    ) -> Result<Self, Failure> {
        let mut out = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (name, inline) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            if flags.contains(&argument.as_str()) {
                out.flags.push(argument.clone());
            } else if valued.contains(&name) {
                let value = inline.or_else(|| rest.next().cloned());
                let value = value.ok_or_else(|| Failure::usage(format!("{name} needs a value")))?;
                out.values.push((name.to_owned(), value));
            } else if argument.starts_with('-') || out.positional.len() == most_positional {
                return Err(Failure::usage(format!("`{argument}` is not known here")));
            } else {
                out.positional.push(argument.clone());
            }
        }
        Ok(out)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.flags.iter().any(|flag| flag == name)
    }

    /// The last value given for an option.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Arguments, Failure> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        Arguments::read(&words, &["--keep"], &["--json"], 1)
    }

    #[test]
    fn known_options_in_any_order() {
        for words in ["http --keep --json a.json", "--json=a.json http --keep"] {
            let arguments = read(words).unwrap();
            assert!(arguments.flag("--keep"));
            assert_eq!(arguments.value("--json"), Some("a.json"));
            assert_eq!(arguments.positional, ["http"]);
        }
        assert_eq!(read("").unwrap(), Arguments::default());
    }

    #[test]
    fn the_rest_is_refused() {
        for words in ["--kep", "-k", "--keep=yes", "--json", "one two"] {
            assert!(matches!(read(words), Err(Failure::Usage(_))), "{words}");
        }
    }
}
