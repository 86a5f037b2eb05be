//! Sections: a macro that makes struct, reader and reference of one declaration, and the reader.

use std::collections::BTreeSet;
use std::path::PathBuf;

use figment::value::{Dict, Value};

use crate::rule::{Rule, text_of};
use crate::source::Sources;
use crate::{Problem, with_sections};

const DEFAULT_DATA_DIR: &str = "tidegate-data";

/// What defaults depend on.
pub(crate) struct Base {
    pub(crate) data_dir: PathBuf,
    pub(crate) cores: usize,
    pub(crate) host_name: String,
}

impl Base {
    pub(crate) fn detect(data_dir: PathBuf) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { data_dir, cores, host_name }
    }
}

impl Default for Base {
    fn default() -> Self {
        Self::detect(PathBuf::from(DEFAULT_DATA_DIR))
    }
}

/// One section as declared.
pub(crate) trait Section {
    const NAME: &'static str;
    const KEYS: &'static [&'static str];

    fn read(reader: &mut Reader<'_>) -> Self;
    /// What the section is about, and its keys.
    fn describe() -> (&'static str, Vec<Described>);
}

/// One key, for the reference.
pub(crate) struct Described {
    pub(crate) key: &'static str,
    pub(crate) about: &'static str,
    pub(crate) default: String,
    pub(crate) bounds: String,
}

/// Ties a rule to the type of its field.
pub(crate) fn describe<T, R: Rule<Out = T>>(
    key: &'static str,
    about: &'static str,
    rule: &R,
) -> Described {
    Described { key, about, default: rule.default_text(), bounds: rule.bounds_text() }
}

/// `/// doc` `Name in "section" { /// doc` `field: Type = rule; }`
macro_rules! section {
    ($(#[doc = $about:literal])+ $name:ident in $section:literal {
        $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $rule:expr;)+
    }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[doc = $doc])+
            #[doc = concat!("\n\nDefault and bounds: `", stringify!($rule), "`.")]
            pub $field: $type,)+
        }

        impl $crate::section::Section for $name {
            const NAME: &'static str = $section;
            const KEYS: &'static [&'static str] = &[$(stringify!($field)),+];

            fn read(reader: &mut $crate::section::Reader<'_>) -> Self {
                Self { $($field: reader.read(stringify!($field), &$rule),)+ }
            }

            fn describe() -> (&'static str, Vec<$crate::section::Described>) {
                let keys = vec![$($crate::section::describe::<$type, _>(
                    stringify!($field), concat!($($doc),+), &$rule,
                )),+];
                (concat!($($about),+), keys)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $crate::section::defaults()
            }
        }
    };
}
pub(crate) use section;

/// A section where nothing was given.
pub(crate) fn defaults<S: Section>() -> S {
    let mut problems = Vec::new();
    S::read(&mut Reader {
        section: S::NAME,
        given: None,
        sources: None,
        base: &Base::default(),
        problems: &mut problems,
        known: BTreeSet::new(),
    })
}

/// Reads the keys of one section and notes what is wrong.
pub(crate) struct Reader<'a> {
    section: &'static str,
    given: Option<&'a Dict>,
    sources: Option<&'a Sources>,
    base: &'a Base,
    problems: &'a mut Vec<Problem>,
    known: BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        section: &'static str,
        sources: &'a Sources,
        base: &'a Base,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        let given = match sources.values().get(section) {
            Some(Value::Dict(_, given)) => Some(given),
            Some(other) => {
                let source = sources.origin(other.tag(), "", section);
                let message = format!("this is a section: write `[{section}]` and its keys below");
                problems.push(Problem { key: section.to_owned(), source, message });
                None
            }
            None => None,
        };
        Self { section, given, sources: Some(sources), base, problems, known: BTreeSet::new() }
    }

    /// The value of a key. Where it is wrong, that is noted and the default given.
    pub(crate) fn read<R: Rule>(&mut self, key: &'static str, rule: &R) -> R::Out {
        self.known.insert(key);
        let Some(value) = self.given.and_then(|given| given.get(key)) else {
            return rule.default(self.base);
        };
        rule.parse(value).unwrap_or_else(|message| {
            self.note(key, value, message);
            rule.default(self.base)
        })
    }

    fn note(&mut self, key: &str, value: &Value, message: String) {
        let source =
            self.sources.and_then(|sources| sources.origin(value.tag(), self.section, key));
        self.problems.push(Problem { key: format!("{}.{key}", self.section), source, message });
    }

    /// To be called after all keys were read.
    pub(crate) fn refuse_unknown_keys(mut self) {
        let known = self.known.iter().copied().collect::<Vec<_>>().join(", ");
        for (key, value) in self.given.into_iter().flatten() {
            if !self.known.contains(key.as_str()) {
                let message = format!("there is no such key; [{}] has {known}", self.section);
                self.note(key, value, message);
            }
        }
    }
}

/// Every section and key.
pub(crate) fn keys_of() -> impl Iterator<Item = (&'static str, &'static str)> {
    sections().into_iter().flat_map(|(section, keys)| keys.iter().map(move |key| (section, *key)))
}

fn sections() -> Vec<(&'static str, &'static [&'static str])> {
    use crate::{
        Admin, Anonymous, Catalog, Compile, Dedup, Ingress, Jwt, Keys, Log, Node, Plugins, Quotas,
        Redis, Registries, Schemas, Sinks, Storage, Telemetry, Tls, Wal, Workers,
    };
    macro_rules! list {
        ($($field:ident: $section:ident),+) => { vec![$(($section::NAME, $section::KEYS)),+] };
    }
    with_sections!(list)
}

pub(crate) fn refuse_unknown_sections(sources: &Sources, problems: &mut Vec<Problem>) {
    let known: Vec<_> = sections().into_iter().map(|(name, _)| name).collect();
    for (name, value) in sources.values() {
        if name != "data_dir" && !known.contains(&name.as_str()) {
            // An inner key, where there is one, tells the variable's whole name.
            let inner = value.as_dict().and_then(|keys| keys.iter().next());
            let source = match inner {
                Some((key, inner)) => sources.origin(inner.tag(), name, key),
                None => sources.origin(value.tag(), "", name),
            };
            let message =
                format!("there is no such section; there are data_dir and {}", known.join(", "));
            problems.push(Problem { key: name.clone(), source, message });
        }
    }
}

/// The one key outside of sections.
pub(crate) fn data_dir(sources: &Sources, problems: &mut Vec<Problem>) -> PathBuf {
    let Some(value) = sources.values().get("data_dir") else { return DEFAULT_DATA_DIR.into() };
    if let Some(text) = text_of(value).filter(|text| !text.is_empty()) {
        return text.into();
    }
    let message = "this is not a folder: write a path, such as \"/var/lib/tidegate\"".to_owned();
    let source = sources.origin(value.tag(), "", "data_dir");
    problems.push(Problem { key: "data_dir".to_owned(), source, message });
    DEFAULT_DATA_DIR.into()
}
