//! Where values come from: the file and the environment, merged by figment, which remembers for
//! each value where it was found.

mod names;

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};

use names::Names;

use crate::section::keys_of;
use crate::{ConfigError, Problem};

/// How the names of our variables begin.
pub(crate) const PREFIX: &str = "TIDEGATE_";

/// The most bytes of a configuration file.
const MAX_FILE_BYTES: u64 = 1 << 20;

const ENVIRONMENT: &str = "environment";

/// A configuration file that has been read.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

pub(crate) fn read_file(path: &Path) -> Result<File, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(unreadable(std::io::Error::other("it has more than 1 MiB")));
    }
    Ok(File { path: path.to_owned(), text })
}

/// All values that were given.
pub(crate) struct Sources {
    figment: Figment,
    values: Dict,
}

impl Sources {
    pub(crate) fn merge(
        file: Option<File>,
        environment: impl IntoIterator<Item = (String, String)>,
        problems: &mut Vec<Problem>,
    ) -> Result<Self, ConfigError> {
        let environment: Vec<(String, String)> = environment.into_iter().collect();
        let mut figment = Figment::new();
        let path = file.as_ref().map(|file| file.path.clone()).unwrap_or_default();
        if let Some(file) = file {
            let given: HashMap<_, _> =
                environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let mut names = Names { given, path: &path, problems: &mut *problems };
            let mut data = file.data()?;
            for dict in data.values_mut() {
                names.resolve_all(dict, "");
            }
            // What a text that cannot be read would have been is not known to the rules.
            if !problems.is_empty() {
                return Err(ConfigError::Invalid(std::mem::take(problems)));
            }
            figment = figment.merge(Resolved { path: path.clone(), data });
        }
        figment = figment.merge(Environment::collect(environment, problems));
        let values = figment
            .find_value("")
            .map_err(|error| syntax(&path, &error))?
            .into_dict()
            .unwrap_or_default();
        Ok(Self { figment, values })
    }

    pub(crate) fn values(&self) -> &Dict {
        &self.values
    }

    /// Where a value was found: the file's path or the variable's name.
    pub(crate) fn origin(&self, tag: Tag, section: &str, key: &str) -> Option<String> {
        let metadata = self.figment.get_metadata(tag)?;
        if metadata.name == ENVIRONMENT {
            return Some(variable(section, key));
        }
        Some(metadata.name.clone().into_owned())
    }

    /// The same for a value that may not have been given.
    pub(crate) fn origin_of(&self, section: &str, key: &str) -> Option<String> {
        let value = self.values.get(section)?.find_ref(key)?;
        self.origin(value.tag(), section, key)
    }
}

/// The variable of a key; an empty section for a key outside of sections.
pub(crate) fn variable(section: &str, key: &str) -> String {
    let separator = if section.is_empty() { "" } else { "__" };
    format!("{PREFIX}{section}{separator}{key}").to_ascii_uppercase()
}

impl File {
    fn data(&self) -> Result<Map<Profile, Dict>, ConfigError> {
        Toml::string(&self.text).data().map_err(|error| syntax(&self.path, &error))
    }
}

/// figment's message, without the blank lines at its end.
fn syntax(path: &Path, error: &figment::Error) -> ConfigError {
    let message = error.to_string().trim_end().to_owned();
    ConfigError::Syntax { path: path.to_owned(), message }
}

/// A file whose texts name no variables any more.
struct Resolved {
    path: PathBuf,
    data: Map<Profile, Dict>,
}

impl Provider for Resolved {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.path.display().to_string())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(self.data.clone())
    }
}

/// Values as the texts that they are; each rule reads its own form out of a text.
struct Environment(Dict);

impl Environment {
    fn collect(
        environment: impl IntoIterator<Item = (String, String)>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut dict = Dict::new();
        for (name, value) in environment {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let rest = rest.to_ascii_lowercase();
            if let Some((section, key)) = rest.split_once("__") {
                let entry = dict.entry(section.to_owned()).or_insert_with(|| Dict::new().into());
                if let Value::Dict(_, keys) = entry {
                    keys.insert(key.to_owned(), value.into());
                }
            } else if rest == "data_dir" {
                dict.insert(rest, value.into());
            } else if let Some((section, key)) = as_meant(&rest) {
                let message =
                    format!("section and key are joined by `__`: write {}", variable(section, key));
                problems.push(Problem {
                    key: format!("{section}.{key}"),
                    source: Some(name),
                    message,
                });
            }
        }
        Self(dict)
    }
}

/// The key that a name means whose author wrote one underscore for two.
fn as_meant(rest: &str) -> Option<(&'static str, &'static str)> {
    keys_of().find(|(section, key)| {
        rest.strip_prefix(section).and_then(|rest| rest.strip_prefix('_')) == Some(*key)
    })
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named(ENVIRONMENT)
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.0.clone())]))
    }
}
