//! Who we are to registries. From a file in the form of `~/.docker/config.json`, which `docker login`
//! and `oras login` write: `{"auths": {"HOST": {"auth": "BASE64(USER:PASSWORD)"}}}`; its helper
//! programs are not started. Or from the environment, which wins: `TIDEGATE_REGISTRY_USER` and
//! `TIDEGATE_REGISTRY_PASSWORD`, for every registry that this process speaks to.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::DistributionError;

const MAX_FILE_BYTES: u64 = 1 << 20;

/// User and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    pub user: String,
    pub password: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}, …)", self.user)
    }
}

impl Credential {
    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.password)))
    }
}

/// Credentials by registry.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    everywhere: Option<Credential>,
    by_host: BTreeMap<String, Credential>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
}

impl Credentials {
    /// None: what registries give to everybody.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// One for every registry.
    #[must_use]
    pub fn everywhere(credential: Credential) -> Self {
        Self { everywhere: Some(credential), by_host: BTreeMap::new() }
    }

    /// Those of a file; none where there is no file.
    ///
    /// # Errors
    /// Where the file cannot be read or is not of that form.
    pub fn from_file(path: &Path) -> Result<Self, DistributionError> {
        let failed =
            |cause: String| DistributionError::Credentials { path: path.to_owned(), cause };
        let mut text = String::new();
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::anonymous()),
            Err(error) => return Err(failed(error.to_string())),
        };
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(|e| failed(e.to_string()))?;
        // The parser's own message may quote a password.
        let file: File = serde_json::from_str(&text).map_err(|error| {
            failed(format!("not of the form of ~/.docker/config.json, near line {}", error.line()))
        })?;
        let mut by_host = BTreeMap::new();
        for (host, entry) in file.auths {
            if let Some(credential) = entry.read() {
                by_host.insert(plain_host(&host), credential);
            }
        }
        Ok(Self { everywhere: None, by_host })
    }

    /// The same, and where both variables are set, they win.
    #[must_use]
    pub fn or_environment(mut self, user: Option<String>, password: Option<String>) -> Self {
        if let (Some(user), Some(password)) = (user, password) {
            self.everywhere = Some(Credential { user, password });
        }
        self
    }

    pub(crate) fn of(&self, registry: &str) -> Option<&Credential> {
        self.everywhere.as_ref().or_else(|| self.by_host.get(registry))
    }
}

impl Entry {
    /// `None` for an entry whose secret is in a helper program.
    fn read(self) -> Option<Credential> {
        if let (Some(user), Some(password)) = (self.username, self.password) {
            return Some(Credential { user, password });
        }
        let text = String::from_utf8(STANDARD.decode(self.auth?.trim()).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Credential { user: user.to_owned(), password: password.to_owned() })
    }
}

/// Docker writes hosts also as URLs, `https://HOST/v1/`.
fn plain_host(text: &str) -> String {
    let text =
        text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    text.split('/').next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_docker_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert!(Credentials::from_file(&path).unwrap().of("ghcr.io").is_none());
        std::fs::write(
            &path,
            r#"{"auths": {"ghcr.io": {"auth": "bWU6czpjcmV0"}, "https://Index.example/v1/": {"username": "u", "password": "p"},
                "helped.example": {}, "odd.example": {"auth": "!"}}, "credsStore": "desktop"}"#,
        )
        .unwrap();
        let read = Credentials::from_file(&path).unwrap();
        let found = |host| read.of(host).map(|found| format!("{}/{}", found.user, found.password));
        assert_eq!(found("ghcr.io").as_deref(), Some("me/s:cret"));
        assert_eq!(found("index.example").as_deref(), Some("u/p"));
        assert_eq!((found("helped.example"), found("odd.example"), found("x")), (None, None, None));
        let set = read.clone().or_environment(Some("e".to_owned()), Some("q".to_owned()));
        assert_eq!(set.of("ghcr.io").unwrap().user, "e");
        let half = read.or_environment(Some("e".to_owned()), None);
        assert_eq!(half.of("ghcr.io").unwrap().user, "me");

        std::fs::write(&path, r#"{"auths": {"ghcr.io": {"auth": 12345678}}}"#).unwrap();
        let error = Credentials::from_file(&path).unwrap_err().to_string();
        assert!(error.contains("config.json") && !error.contains("12345678"), "{error}");
    }
}
