//! Where components may be pulled from.

use std::path::PathBuf;
use std::time::Duration;

use figment::value::Value;

use crate::rule::{Rule, UnderDataDir, text_of, time};
use crate::section::{Base, section};

section! {
    /// OCI registries that the gateway pulls components from when a tenant names one by digest.
    Registries in "registries" {
        /// Every host that may be spoken to: registries, their token services, and where they keep
        /// what they send us on to. Empty: nothing is pulled.
        allowed: Vec<String> = Hosts;
        /// Those of them that are spoken to without TLS.
        plain_http: Vec<String> = Hosts;
        /// Users and passwords in the form of `~/.docker/config.json`; nobody's where there is no
        /// such file.
        credentials_file: PathBuf = UnderDataDir("registries.json");
        /// How long one request to a registry may take.
        request_timeout: Duration = time("60s", "1s", "10m");
    }
}

/// A list of hosts; in the environment joined by commas.
pub(crate) struct Hosts;

const MOST_HOSTS: usize = 100;
const MOST_BYTES: usize = 260;
const FORM: &str = "write a list of HOST or HOST:PORT, such as [\"ghcr.io\"]";

fn is_host(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    (1..=MOST_BYTES).contains(&text.len()) && text.bytes().all(fits)
}

impl Rule for Hosts {
    type Out = Vec<String>;

    fn default(&self, _: &Base) -> Vec<String> {
        Vec::new()
    }

    fn parse(&self, value: &Value) -> Result<Vec<String>, String> {
        let texts: Option<Vec<String>> = match value {
            Value::Array(_, values) => values.iter().map(text_of).collect(),
            other => text_of(other).map(|text| {
                let words = text.split(',').map(|word| word.trim().to_owned());
                words.filter(|word| !word.is_empty()).collect()
            }),
        };
        let texts = texts.ok_or_else(|| format!("this is no list of hosts: {FORM}"))?;
        if texts.len() > MOST_HOSTS {
            return Err(format!("this list has more than {MOST_HOSTS} hosts"));
        }
        match texts.iter().find(|text| !is_host(text)) {
            Some(text) => {
                let quoted: String = text.chars().take(60).collect();
                Err(format!("`{quoted}` is no host: {FORM}"))
            }
            None => Ok(texts.iter().map(|text| text.to_ascii_lowercase()).collect()),
        }
    }

    fn default_text(&self) -> String {
        "none".to_owned()
    }

    fn bounds_text(&self) -> String {
        format!("up to {MOST_HOSTS} of HOST or HOST:PORT")
    }
}
