//! The configuration of a node: every limit, with its default and bounds.
//!
//! Sources, the later winning: the defaults, a TOML file, the environment. The environment names
//! a key `TIDEGATE_SECTION__KEY`, and `data_dir` `TIDEGATE_DATA_DIR`; other variables that begin
//! with `TIDEGATE_` belong to the command line and are not read here. A text of the file may name a
//! variable of any name: `"${KAFKA_SERVER}"`, or `"${KAFKA_SERVER:-kafka:9092}"` with what stands for it
//! where it is not set or empty; `$${` is `${` itself.
//!
//! Sizes are written as bytes or like `"64MiB"`, times like `"30s"`. All that is wrong is told at
//! once: which key, from which source, what is wrong and what to write. Unknown keys are errors.
//!
//! Each section is declared once, in `settings/`: the fields, the reader, the checks of bounds and
//! the reference (`reference.md`) come from that declaration.

mod error;
mod reference;
mod relations;
mod rule;
mod section;
mod settings;
mod source;
mod units;

use std::path::{Path, PathBuf};

pub use error::{ConfigError, Problem};
pub use rule::text::Secret;
pub use settings::catalog::{ActivationQuorum, Catalog, CatalogUrl};
pub use settings::durability::{Dedup, Storage, Wal};
pub use settings::jwt::Jwt;
pub use settings::jwt::issuers::{Issuer, KeysFrom};
pub use settings::plugins::{Compile, Plugins, Schemas};
pub use settings::redis::{Redis, RedisUrl, StateStore};
pub use settings::registries::Registries;
pub use settings::serving::{
    AccessLog, Admin, ClientAddress, Endpoint, InFlightStatus, Ingress, Keys, Log, LogFormat,
    LogLevel, Node, OverQuota, Quotas, Tls, Workers,
};

pub use settings::serving::anonymous::Anonymous;
pub use settings::serving::telemetry::Telemetry;
pub use settings::sinks::Sinks;
pub use settings::sinks::kafka::{Compression, KafkaSink, Linger, SaslMechanism, Switch};
pub use settings::sinks::kinesis::{Envelope, KinesisSink, Ordering};

use section::{Base, Reader, Section};
use source::Sources;

/// A checked configuration. Only [`Config::load`] and its kin make one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The folder of everything that the node keeps. Relative to the working directory.
    pub data_dir: PathBuf,
    pub node: Node,
    pub workers: Workers,
    pub ingress: Ingress,
    pub admin: Admin,
    pub anonymous: Anonymous,
    pub tls: Tls,
    pub keys: Keys,
    pub quotas: Quotas,
    pub jwt: Jwt,
    pub catalog: Catalog,
    pub dedup: Dedup,
    pub wal: Wal,
    pub storage: Storage,
    pub plugins: Plugins,
    pub compile: Compile,
    pub schemas: Schemas,
    pub registries: Registries,
    pub redis: Redis,
    pub sinks: Sinks,
    pub log: Log,
    pub telemetry: Telemetry,
}

/// Calls a macro with every section: the one list of them.
macro_rules! with_sections {
    ($then:ident) => {
        $then! {
            node: Node, workers: Workers, ingress: Ingress, admin: Admin, anonymous: Anonymous, tls: Tls, keys: Keys, quotas: Quotas, jwt: Jwt,
            catalog: Catalog, dedup: Dedup, wal: Wal, storage: Storage, plugins: Plugins, compile: Compile,
            schemas: Schemas, registries: Registries, redis: Redis, sinks: Sinks, log: Log,
            telemetry: Telemetry
        }
    };
}
use with_sections;

impl Config {
    /// The defaults, then the file (where one is named), then the environment.
    ///
    /// # Errors
    /// Where the file cannot be read or is not TOML, and where any key is unknown or wrong.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let environment = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value)));
        Self::load_with(path, environment)
    }

    /// The same with an environment that is given: pairs of name and value.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let file = path.map(source::read_file).transpose()?;
        Self::from_sources(file, environment)
    }

    /// The defaults and the text of a TOML file; the environment is not read.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let file = source::File { path: PathBuf::from("configuration"), text: text.to_owned() };
        Self::from_sources(Some(file), [])
    }

    fn from_sources(
        file: Option<source::File>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let sources = Sources::merge(file, environment, &mut problems)?;
        let data_dir = section::data_dir(&sources, &mut problems);
        let config = Self::read(&sources, &Base::detect(data_dir), &mut problems);
        section::refuse_unknown_sections(&sources, &mut problems);
        if problems.is_empty() {
            relations::check(&config, &sources, &mut problems);
        }
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(problems)) }
    }

    fn read(sources: &Sources, base: &Base, problems: &mut Vec<Problem>) -> Self {
        macro_rules! read_all {
            ($($field:ident: $section:ident),+) => {
                Self {
                    data_dir: base.data_dir.clone(),
                    $($field: {
                        let mut reader = Reader::new($section::NAME, sources, base, problems);
                        let section = $section::read(&mut reader);
                        reader.refuse_unknown_keys();
                        section
                    },)+
                }
            };
        }
        with_sections!(read_all)
    }

    /// All keys with defaults and bounds, as Markdown.
    #[must_use]
    pub fn reference() -> String {
        reference::markdown()
    }
}

fn lossy(text: std::ffi::OsString) -> String {
    text.to_string_lossy().into_owned()
}
