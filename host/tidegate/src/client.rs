//! Speaks to a gateway's admin API: finds its address and token, asks, and turns problems into
//! errors that people can act on.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_config::Config;
use tidegate_connector::{Credential, HttpClient, Identity, ProblemBody, TlsOptions, json_content};
use tokio::runtime::Runtime;

use crate::cli::Global;
use crate::output::{cell, printable};

const DEFAULT_ADMIN_URL: &str = "http://127.0.0.1:8081";
const DEFAULT_INGRESS_URL: &str = "http://127.0.0.1:8080";
/// Longer than the gateway takes to compile the largest component that it takes.
const TIME_LIMIT: Duration = Duration::from_secs(300);
/// The most rows that the API gives at once.
const PAGE_ROWS: usize = 1000;
/// What RFC 3986 calls unreserved stays as it is in a path.
const PATH_SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A client of one gateway's admin API.
pub(crate) struct Admin {
    client: HttpClient,
    runtime: Runtime,
}

/// What a request carries.
pub(crate) enum Body {
    Nothing,
    Json(Value),
    Bytes {
        content_type: &'static str,
        bytes: Vec<u8>,
    },
    Wasm {
        bytes: Vec<u8>,
        content_digest: HeaderValue,
        signature: Option<HeaderValue>,
    },
    /// Where the gateway pulls a component from.
    Pull {
        oci: String,
        signature: Option<HeaderValue>,
    },
}

/// The gateway said no.
#[derive(Debug)]
pub(crate) struct Refused(ProblemBody);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(problem) = self;
        f.write_str(&printable(&problem.title))?;
        if !problem.detail.is_empty() {
            write!(f, ": {}", printable(&problem.detail))?;
        }
        if let Some(pointer) = &problem.pointer
            && !problem.errors.iter().any(|part| part.pointer == *pointer)
        {
            write!(f, "\n  at {}", printable(pointer))?;
        }
        for part in &problem.errors {
            let place = if part.pointer.is_empty() { "(whole)" } else { &part.pointer };
            write!(f, "\n  {}: {}", printable(place), printable(&part.detail))?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

impl Admin {
    pub(crate) fn new(global: &Global) -> anyhow::Result<Self> {
        let url = admin_url(global)?;
        let token = read_secret(&token_file(global)?).context(
            "the admin token cannot be read; name the gateway's data folder with --data-dir, or the token's file with --token-file",
        )?;
        let client = HttpClient::with_tls(&url, Some(&Credential::Bearer(token)), 1, &tls(global))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { client, runtime })
    }

    /// One request; the JSON that comes back, or null where nothing does.
    pub(crate) fn call(&self, method: Method, path: &str, body: Body) -> anyhow::Result<Value> {
        let signed = |signature| (HeaderName::from_static("x-signature"), signature);
        let typed = |media| (CONTENT_TYPE, HeaderValue::from_static(media));
        let (headers, bytes): (Vec<_>, Bytes) = match body {
            Body::Nothing => (Vec::new(), Bytes::new()),
            Body::Json(value) => (vec![json_content()], value.to_string().into()),
            Body::Bytes { content_type, bytes } => (vec![typed(content_type)], bytes.into()),
            Body::Wasm { bytes, content_digest, signature } => {
                let digest = (HeaderName::from_static("content-digest"), content_digest);
                let headers = [typed("application/wasm"), digest].into_iter();
                (headers.chain(signature.map(signed)).collect(), bytes.into())
            }
            Body::Pull { oci, signature } => {
                let headers = std::iter::once(json_content()).chain(signature.map(signed));
                (headers.collect(), json!({ "oci": oci }).to_string().into())
            }
        };
        let request = self.client.send(method, path, &headers, bytes, TIME_LIMIT);
        let answer = self.runtime.block_on(request)?;
        if !answer.status.is_success() {
            return Err(Refused(ProblemBody::of(&answer)).into());
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).with_context(|| {
            format!(
                "{} answered something that is not JSON; is it the admin API?",
                self.client.base()
            )
        })
    }

    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, Body::Nothing)
    }

    /// A list that comes in pages, gathered: `cursor` is the query's parameter and where in the last
    /// row its next value is. The gateway bounds how long its lists can be.
    pub(crate) fn get_all(
        &self,
        path: &str,
        list: &str,
        cursor: (&str, &str),
    ) -> anyhow::Result<Value> {
        let mut all = Vec::new();
        let mut query = format!("?limit={PAGE_ROWS}");
        loop {
            let mut page = self.get(&format!("{path}{query}"))?;
            let rows = page.get_mut(list).and_then(Value::as_array_mut);
            let rows = rows.with_context(|| format!("the gateway's answer holds no {list}"))?;
            let is_last = rows.len() < PAGE_ROWS;
            all.append(rows);
            if is_last {
                return Ok(json!({ list: all }));
            }
            let next = all.last().map(|row| cell(row, cursor.1)).unwrap_or_default();
            query = format!("?limit={PAGE_ROWS}&{}={}", cursor.0, encode(&next));
        }
    }

    pub(crate) fn post(&self, path: &str, body: Body) -> anyhow::Result<Value> {
        self.call(Method::POST, path, body)
    }
}

/// A path below `/v1` of these segments.
pub(crate) fn path(segments: &[&str]) -> String {
    let encoded = segments.iter().map(|segment| format!("/{}", encode(segment)));
    std::iter::once("/v1".to_owned()).chain(encoded).collect()
}

/// A query of these names and values.
pub(crate) fn query(parts: &[(&str, &str)]) -> String {
    let all = parts.iter().map(|(name, value)| format!("{name}={}", encode(value)));
    format!("?{}", all.collect::<Vec<_>>().join("&"))
}

/// Percent-encoded for a path segment or a query's value.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, PATH_SEGMENT).to_string()
}

/// A file that holds one secret line.
pub(crate) fn read_secret(file: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let secret = text.trim();
    if secret.is_empty() {
        bail!("{}: the file is empty", file.display());
    }
    Ok(secret.to_owned())
}

/// What a running gateway writes into its data folder as `addresses.json`.
#[derive(Deserialize)]
struct Addresses {
    ingress: String,
    admin: String,
    #[serde(default)]
    ingress_tls: bool,
    #[serde(default)]
    admin_tls: bool,
}

fn url(address: &str, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// Whom to trust, and who to be.
pub(crate) fn tls(global: &Global) -> TlsOptions {
    let (certificate, key) = (global.client_certificate.clone(), global.client_key.clone());
    let identity = certificate
        .zip(key)
        .map(|(certificate_file, key_file)| Identity { certificate_file, key_file });
    TlsOptions { ca_file: global.ca_file.clone(), identity }
}

/// The folder that is named, or the one that a gateway without configuration uses.
fn data_dir(global: &Global) -> anyhow::Result<PathBuf> {
    match &global.data_dir {
        Some(folder) => Ok(folder.clone()),
        None => Ok(Config::from_toml("")?.data_dir),
    }
}

/// `None` where the gateway has not written its addresses there.
fn addresses(global: &Global) -> anyhow::Result<Option<Addresses>> {
    let file = data_dir(global)?.join("addresses.json");
    match fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).with_context(|| {
            format!("{}: it does not hold a gateway's addresses; restart the gateway, or name --admin-url or --url", file.display())
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| file.display().to_string()),
    }
}

fn admin_url(global: &Global) -> anyhow::Result<String> {
    if let Some(url) = &global.admin_url {
        return Ok(url.clone());
    }
    let found = addresses(global)?.map(|found| url(&found.admin, found.admin_tls));
    Ok(found.unwrap_or_else(|| DEFAULT_ADMIN_URL.to_owned()))
}

/// Where events are posted to when no address is given.
pub(crate) fn ingress_url(global: &Global) -> anyhow::Result<String> {
    let found = addresses(global)?.map(|found| url(&found.ingress, found.ingress_tls));
    Ok(found.unwrap_or_else(|| DEFAULT_INGRESS_URL.to_owned()))
}

fn token_file(global: &Global) -> anyhow::Result<PathBuf> {
    match &global.token_file {
        Some(file) => Ok(file.clone()),
        None => Ok(data_dir(global)?.join("admin-token")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_segments_cannot_break_out() {
        assert_eq!(path(&["tenants", "acme"]), "/v1/tenants/acme");
        assert_eq!(path(&["a/../b", "x y?z#é"]), "/v1/a%2F..%2Fb/x%20y%3Fz%23%C3%A9");
        assert_eq!(path(&["sha256:00"]), "/v1/sha256%3A00");
    }

    #[test]
    fn addresses_come_from_the_flag_then_the_folder_then_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let global = |url: Option<&str>, dir: bool| Global {
            admin_url: url.map(str::to_owned),
            data_dir: dir.then(|| folder.path().to_owned()),
            token_file: None,
            ca_file: None,
            client_certificate: None,
            client_key: None,
            json: false,
        };
        assert_eq!(admin_url(&global(None, true)).unwrap(), DEFAULT_ADMIN_URL);
        fs::write(
            folder.path().join("addresses.json"),
            r#"{"ingress":"127.0.0.1:5","admin":"127.0.0.1:6"}"#,
        )
        .unwrap();
        assert_eq!(admin_url(&global(None, true)).unwrap(), "http://127.0.0.1:6");
        assert_eq!(ingress_url(&global(None, true)).unwrap(), "http://127.0.0.1:5");
        assert_eq!(admin_url(&global(Some("http://x"), true)).unwrap(), "http://x");
        assert_eq!(admin_url(&global(None, false)).unwrap(), DEFAULT_ADMIN_URL);
        let secured = r#"{"ingress":"127.0.0.1:5","admin":"127.0.0.1:6","ingress_tls":true,"admin_tls":true}"#;
        fs::write(folder.path().join("addresses.json"), secured).unwrap();
        assert_eq!(admin_url(&global(None, true)).unwrap(), "https://127.0.0.1:6");
        assert_eq!(ingress_url(&global(None, true)).unwrap(), "https://127.0.0.1:5");
        fs::write(folder.path().join("addresses.json"), "{").unwrap();
        assert!(admin_url(&global(None, true)).unwrap_err().to_string().contains("addresses.json"));
    }
}
