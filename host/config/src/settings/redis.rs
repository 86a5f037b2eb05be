//! The Redis that nodes share.

use std::fmt;
use std::time::Duration;

use figment::value::Value;

use crate::rule::choice::Word;
use crate::rule::text::{Secret, SecretText};
use crate::rule::{Rule, text_of, time};
use crate::section::{Base, section};

section! {
    /// The Redis that nodes share: version 7.0 or later, with `maxmemory-policy noeviction`.
    Redis in "redis" {
        /// Where it is, with user and password where it wants them: the URL, or `file:` and the path of
        /// a file that holds it. `rediss` is with TLS, by the certificates that the system trusts.
        url: RedisUrl = ServerUrl;
        /// What all keys begin with. Nodes with the same one share their keys.
        prefix: String = Prefix("tidegate:");
        /// How long connecting may take.
        connect_timeout: Duration = time("1s", "10ms", "1m");
        /// How long an answer may take; beyond, events are answered 503.
        response_timeout: Duration = time("250ms", "1ms", "10s");
    }
}

/// Where something is kept that several nodes may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateStore {
    InProcess,
    Redis,
}

impl Word for StateStore {
    const ALL: &'static [(&'static str, Self)] =
        &[("in-process", Self::InProcess), ("redis", Self::Redis)];
}

/// The URL of a Redis, or where it is read from. Its `Debug` form hides the password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RedisUrl(Secret);

impl RedisUrl {
    /// Nothing was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The URL with the password, read from the file where one is named.
    ///
    /// # Errors
    /// Where the file cannot be read, or holds no such URL.
    pub fn reveal(&self) -> Result<String, String> {
        let url = self.0.reveal()?;
        let place = self.0.file().unwrap_or("the setting");
        if url.is_empty() || is_url(&url) {
            Ok(url)
        } else {
            Err(format!("{place} does not hold {FORM}"))
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "(Redis)" })
    }
}

const FORM: &str = "redis://USER:PASSWORD@HOST:PORT/DATABASE";

fn is_url(text: &str) -> bool {
    ["redis://", "rediss://"].iter().any(|scheme| text.starts_with(scheme))
}

/// How the URL is written: as other secrets are.
const SECRET: SecretText = SecretText { nothing: "empty: none" };

pub(crate) struct ServerUrl;

impl Rule for ServerUrl {
    type Out = RedisUrl;

    fn default(&self, _: &Base) -> RedisUrl {
        RedisUrl::default()
    }

    fn parse(&self, value: &Value) -> Result<RedisUrl, String> {
        let fits =
            |url: &Secret| url.is_empty() || url.file().is_some() || is_url(url.as_written());
        // What was written is not quoted: it may hold a password.
        let refused =
            || format!("this is not the URL of a Redis: write \"{FORM}\", or \"file:PATH\"");
        SECRET.parse(value).ok().filter(fits).map(RedisUrl).ok_or_else(refused)
    }

    fn default_text(&self) -> String {
        "empty: none".to_owned()
    }

    fn bounds_text(&self) -> String {
        format!("`{FORM}`, `rediss://…`, `file:PATH`, or empty")
    }
}

/// What keys begin with.
pub(crate) struct Prefix(&'static str);

const MOST_BYTES: usize = 64;

impl Rule for Prefix {
    type Out = String;

    fn default(&self, _: &Base) -> String {
        self.0.to_owned()
    }

    fn parse(&self, value: &Value) -> Result<String, String> {
        let fits = |text: &String| {
            text.len() <= MOST_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        // Braces would put all keys of a cluster in one place.
        let fits = |text: &String| fits(text) && !text.contains(['{', '}']);
        let refused = || format!("this is no prefix: write {}", self.bounds_text());
        text_of(value).filter(fits).ok_or_else(refused)
    }

    fn default_text(&self) -> String {
        self.0.to_owned()
    }

    fn bounds_text(&self) -> String {
        format!("up to {MOST_BYTES} visible ASCII characters without braces")
    }
}
