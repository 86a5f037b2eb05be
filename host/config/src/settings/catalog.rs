//! Where the node keeps what administrators told it.

use std::fmt;
use std::time::Duration;

use figment::value::Value;

use crate::rule::choice::{OneOf, Word};
use crate::rule::{Rule, text_of, time};
use crate::section::{Base, section};

section! {
    /// What tenants, keys, schemas, tables, components and revisions there are.
    Catalog in "catalog" {
        /// The database. Nodes that name the same one share the catalog; content is kept in the data
        /// folder as well. Empty is a file in the data folder, for a node that is alone.
        url: CatalogUrl = DatabaseUrl;
        /// How long connecting to PostgreSQL may take.
        connect_timeout: Duration = time("5s", "100ms", "1m");
        /// How long one statement may take in PostgreSQL. A transaction whose node stands still for
        /// a third of it is ended, so that other nodes can write.
        statement_timeout: Duration = time("30s", "1s", "10m");
        /// PostgreSQL tells nodes of changes at once; so often they look where it could not.
        poll_interval: Duration = time("5s", "100ms", "1h");
        /// Nodes that share a catalog are lost when they were not seen for this long. Each reports six
        /// times in it.
        node_lost_after: Duration = time("30s", "600ms", "1h");
        /// How many of the nodes that are not lost must have a revision ready before it becomes active.
        activation_quorum: ActivationQuorum = OneOf(ActivationQuorum::Majority);
        /// How long they may take; then the activation is answered 503.
        activation_timeout: Duration = time("60s", "100ms", "10m");
    }
}

/// How many nodes must be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationQuorum {
    One,
    Majority,
    All,
}

impl Word for ActivationQuorum {
    const ALL: &'static [(&'static str, Self)] =
        &[("one", Self::One), ("majority", Self::Majority), ("all", Self::All)];
}

/// The URL of a database. Its `Debug` form hides the password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CatalogUrl(String);

impl CatalogUrl {
    /// The URL with the password; empty for SQLite.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CatalogUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(SQLite)" } else { "(PostgreSQL)" })
    }
}

pub(crate) struct DatabaseUrl;

const FORM: &str = "postgres://USER:PASSWORD@HOST:PORT/DATABASE";

impl Rule for DatabaseUrl {
    type Out = CatalogUrl;

    fn default(&self, _: &Base) -> CatalogUrl {
        CatalogUrl::default()
    }

    fn parse(&self, value: &Value) -> Result<CatalogUrl, String> {
        let fits = |text: &String| {
            text.is_empty() || ["postgres://", "postgresql://"].iter().any(|s| text.starts_with(s))
        };
        // What was written is not quoted: it may hold a password.
        let refused = || {
            format!("this is not the URL of a database: write \"{FORM}\", or nothing for SQLite")
        };
        text_of(value).filter(fits).map(CatalogUrl).ok_or_else(refused)
    }

    fn default_text(&self) -> String {
        "empty: SQLite in `data_dir`/catalog".to_owned()
    }

    fn bounds_text(&self) -> String {
        format!("`{FORM}`, or empty")
    }
}
