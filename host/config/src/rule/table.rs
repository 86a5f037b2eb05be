//! Lists of tables: `[[section.key]]`, each table with keys of its own that are declared as those of
//! sections are. In the environment such a list is written as in TOML: `[{name = "…", …}]`.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use figment::value::{Dict, Value};

use super::Rule;
use crate::section::{Base, Described};

/// Most tables of one list.
const MOST_TABLES: usize = 100;

/// One table of a list.
pub(crate) trait Table: Sized {
    /// `[[section.key]]` without the brackets.
    const PATH: &'static str;

    /// Reads a table whose keys are known.
    fn read(given: &Dict, base: &Base) -> Result<Self, String>;
    /// What must hold beyond the single keys.
    fn check(&self) -> Result<(), String>;
    /// What no other table of the list may have.
    fn name(&self) -> &str;
    fn describe() -> Vec<Described>;
}

/// The value of a key of a table.
pub(crate) fn read_key<R: Rule>(
    given: &Dict,
    key: &str,
    rule: &R,
    base: &Base,
) -> Result<R::Out, String> {
    match given.get(key) {
        None => Ok(rule.default(base)),
        Some(value) => rule.parse(value).map_err(|what| format!("`{key}`: {what}")),
    }
}

/// `/// doc` `Name in "section.key" { /// doc` `field: Type = rule; }`
macro_rules! table {
    ($(#[doc = $about:literal])+ $name:ident in $path:literal {
        $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $rule:expr;)+
    }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl $crate::rule::table::Table for $name {
            const PATH: &'static str = $path;

            fn read(
                given: &figment::value::Dict,
                base: &$crate::section::Base,
            ) -> Result<Self, String> {
                let known = [$(stringify!($field)),+];
                if let Some(strange) = given.keys().find(|key| !known.contains(&key.as_str())) {
                    return Err(format!(
                        "there is no key `{strange}`; there are {}", known.join(", ")
                    ));
                }
                Ok(Self {
                    $($field: $crate::rule::table::read_key(
                        given, stringify!($field), &$rule, base,
                    )?,)+
                })
            }

            fn check(&self) -> Result<(), String> {
                Self::check(self)
            }

            fn name(&self) -> &str {
                self.name.as_str()
            }

            fn describe() -> Vec<$crate::section::Described> {
                vec![$($crate::section::describe::<$type, _>(
                    stringify!($field), concat!($($doc),+), &$rule,
                )),+]
            }
        }
    };
}
pub(crate) use table;

/// A list of tables.
pub(crate) struct Tables<T>(PhantomData<fn() -> T>);

pub(crate) fn tables<T: Table>() -> Tables<T> {
    Tables(PhantomData)
}

/// The tables of a list, which may be text that the environment gave; `None` where it is no list of
/// tables.
pub(crate) fn dicts(value: &Value) -> Option<Vec<Dict>> {
    let written;
    let value = match value {
        Value::String(_, text) if text.trim().is_empty() => return Some(Vec::new()),
        // Text that is no list stays text.
        Value::String(_, text) => {
            let Ok(read) = text.parse::<Value>();
            written = read;
            &written
        }
        other => other,
    };
    value.as_array()?.iter().map(|table| table.as_dict().cloned()).collect()
}

impl<T: Table> Rule for Tables<T> {
    type Out = Vec<T>;

    fn default(&self, _: &Base) -> Vec<T> {
        Vec::new()
    }

    fn parse(&self, value: &Value) -> Result<Vec<T>, String> {
        let path = T::PATH;
        let dicts = dicts(value).ok_or_else(|| {
            format!("this is no list of tables: write a section [[{path}]] for each")
        })?;
        if dicts.len() > MOST_TABLES {
            return Err(format!("there are more than {MOST_TABLES} tables"));
        }
        let mut names = BTreeSet::new();
        let mut all = Vec::with_capacity(dicts.len());
        for (at, dict) in dicts.iter().enumerate() {
            let placed = |what: String| format!("table {}: {what}", at + 1);
            let table = T::read(dict, &Base::default()).map_err(placed)?;
            table.check().map_err(placed)?;
            if !names.insert(table.name().to_owned()) {
                return Err(placed(format!("`{}` is there twice", table.name())));
            }
            all.push(table);
        }
        Ok(all)
    }

    fn default_text(&self) -> String {
        "none".to_owned()
    }

    fn bounds_text(&self) -> String {
        format!("up to {MOST_TABLES} tables")
    }
}
