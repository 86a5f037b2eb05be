//! The list of issuers: tables with keys of their own, all checked where they are read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use figment::value::{Dict, Value};
use tidegate_types::{TenantId, is_json_pointer};

use crate::rule::table::dicts;
use crate::rule::{Rule, text_of, time};
use crate::section::Base;

/// One issuer of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issuer {
    /// Exactly what `iss` must be.
    pub issuer: String,
    /// `aud` must name one of these.
    pub audiences: Vec<String>,
    pub keys: KeysFrom,
    /// The claim that names the tenant; a JSON pointer where it begins with `/`.
    pub tenant_claim: String,
    /// The tenants that it may speak for; empty: all of them.
    pub tenants: Vec<TenantId>,
    /// The claim that has the scopes; a JSON pointer where it begins with `/`.
    pub scope_claim: String,
    /// What its scopes begin with; it is taken off, and others are left out.
    pub scope_prefix: String,
    /// Its names of scopes, without the prefix, with ours.
    pub scope_names: BTreeMap<String, String>,
    /// Values of `typ` in lower case; `None` for tokens without one.
    pub types: Vec<Option<String>>,
    /// How far its clock and ours may be apart.
    pub leeway: Duration,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysFrom {
    Url(String),
    File(PathBuf),
}

/// The rule of the list. In the environment it is written as in TOML: `[{issuer = "…", …}]`.
pub(crate) struct Issuers;

const MOST_ISSUERS: usize = 100;
/// Of a list within an issuer.
const MOST_WORDS: usize = 1000;
const MOST_BYTES: usize = 2000;
/// The keys of a table, for the reference: name, default, bounds, meaning.
pub(crate) const KEYS: [(&str, &str, &str, &str); 10] = [
    ("issuer", "", "a text", "Exactly what `iss` of its tokens is."),
    (
        "audiences",
        "",
        "a list",
        "What `aud` must name one of: this gateway, as the issuer calls it.",
    ),
    (
        "keys",
        "",
        "`https://…`, or a path",
        "Its keys: the address of its JWK set, or a file with one. Plain `http://` is for loopback addresses alone.",
    ),
    ("tenant_claim", "tenant_id", "a name, or a JSON pointer", "The claim that names the tenant."),
    (
        "tenants",
        "all",
        "a list",
        "The tenants that it may speak for. Name them wherever an issuer is not yours.",
    ),
    (
        "scope_claim",
        "scope",
        "a name, or a JSON pointer",
        "The claim that has the scopes: a text with spaces between them, or a list.",
    ),
    (
        "scope_prefix",
        "",
        "a text",
        "What its scopes begin with. It is taken off; scopes without it are left out.",
    ),
    (
        "scope_names",
        "",
        "a table",
        "Its names of scopes, without the prefix, with the gateway's: `{ producer = \"events:write\" }`.",
    ),
    (
        "types",
        "none, JWT, at+jwt",
        "a list",
        "What `typ` in the header may be; `none` is for tokens without one.",
    ),
    ("leeway", "30s", "0s to 60s", "How far its clock and the gateway's may be apart."),
];
const NO_TYPE: &str = "none";

impl Rule for Issuers {
    type Out = Vec<Issuer>;

    fn default(&self, _: &Base) -> Vec<Issuer> {
        Vec::new()
    }

    fn parse(&self, value: &Value) -> Result<Vec<Issuer>, String> {
        let tables = dicts(value).ok_or_else(|| {
            "this is no list of tables: write a section [[jwt.issuers]] for each".to_owned()
        })?;
        if tables.len() > MOST_ISSUERS {
            return Err(format!("there are more than {MOST_ISSUERS} issuers"));
        }
        let mut seen = BTreeSet::new();
        let mut all = Vec::with_capacity(tables.len());
        for (at, table) in tables.iter().enumerate() {
            let issuer =
                Table(table).read().map_err(|what| format!("issuer {}: {what}", at + 1))?;
            if !seen.insert(issuer.issuer.clone()) {
                return Err(format!("issuer {}: `{}` is there twice", at + 1, issuer.issuer));
            }
            all.push(issuer);
        }
        Ok(all)
    }

    fn default_text(&self) -> String {
        "none".to_owned()
    }

    fn bounds_text(&self) -> String {
        format!("up to {MOST_ISSUERS} tables")
    }
}

/// One table, as it was written.
struct Table<'a>(&'a Dict);

impl Table<'_> {
    fn read(&self) -> Result<Issuer, String> {
        let known = KEYS.map(|(key, ..)| key);
        if let Some(strange) = self.0.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("there is no key `{strange}`; there are {}", known.join(", ")));
        }
        let audiences = self.texts("audiences")?.unwrap_or_default();
        if audiences.is_empty() {
            return Err("`audiences` is missing: write what `aud` must name, as a list".to_owned());
        }
        Ok(Issuer {
            issuer: self.required("issuer", "exactly what `iss` is")?,
            audiences,
            keys: keys_from(&self.required("keys", "the address of the JWK set, or a file")?)?,
            tenant_claim: self.claim("tenant_claim", "tenant_id")?,
            tenants: self.tenants()?,
            scope_claim: self.claim("scope_claim", "scope")?,
            scope_prefix: self.text("scope_prefix")?.unwrap_or_default(),
            scope_names: self.scope_names()?,
            types: self.types()?,
            leeway: self.leeway()?,
        })
    }

    fn text(&self, key: &str) -> Result<Option<String>, String> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let text = text_of(value).filter(|text| text.len() <= MOST_BYTES);
        text.map(Some).ok_or_else(|| format!("`{key}` is no text of at most {MOST_BYTES} bytes"))
    }

    fn required(&self, key: &str, what: &str) -> Result<String, String> {
        let text = self.text(key)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| format!("`{key}` is missing: write {what}"))
    }

    fn texts(&self, key: &str) -> Result<Option<Vec<String>>, String> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let list = value.as_array().filter(|list| list.len() <= MOST_WORDS);
        let texts: Option<Vec<String>> = list.and_then(|list| {
            let text = |value| text_of(value).filter(|text| !text.is_empty());
            list.iter().map(text).collect()
        });
        texts.map(Some).ok_or_else(|| format!("`{key}` is no list of at most {MOST_WORDS} texts"))
    }

    fn claim(&self, key: &str, default: &str) -> Result<String, String> {
        let text = self.text(key)?.unwrap_or_else(|| default.to_owned());
        if text.is_empty() || (text.starts_with('/') && !is_json_pointer(&text)) {
            return Err(format!(
                "`{key}` is neither the name of a claim nor a JSON pointer, such as \"/org/id\""
            ));
        }
        Ok(text)
    }

    fn tenants(&self) -> Result<Vec<TenantId>, String> {
        let tenants = self.texts("tenants")?.unwrap_or_default();
        let refused =
            |text: &String| format!("`{text}` in `tenants` is no tenant: write their ids");
        tenants.iter().map(|text| TenantId::new(text).map_err(|_| refused(text))).collect()
    }

    fn scope_names(&self) -> Result<BTreeMap<String, String>, String> {
        let Some(value) = self.0.get("scope_names") else { return Ok(BTreeMap::new()) };
        let pairs: Option<BTreeMap<String, String>> = value.as_dict().and_then(|names| {
            names.iter().map(|(theirs, ours)| Some((theirs.clone(), text_of(ours)?))).collect()
        });
        pairs.ok_or_else(|| {
            "`scope_names` is no table: write { \"THEIRS\" = \"events:write\" }".to_owned()
        })
    }

    fn types(&self) -> Result<Vec<Option<String>>, String> {
        let default = || [NO_TYPE, "jwt", "at+jwt"].map(str::to_owned).to_vec();
        let words = self.texts("types")?.unwrap_or_else(default);
        if words.is_empty() {
            return Err(format!("`types` is empty: write \"{NO_TYPE}\", \"JWT\" and the like"));
        }
        let media = |word: String| {
            let word = word.to_ascii_lowercase();
            let short = word.strip_prefix("application/").map(str::to_owned).unwrap_or(word);
            (short != NO_TYPE).then_some(short)
        };
        Ok(words.into_iter().map(media).collect())
    }

    fn leeway(&self) -> Result<Duration, String> {
        let rule = time("30s", "0s", "60s");
        match self.0.get("leeway") {
            None => Ok(rule.default(&Base::default())),
            Some(value) => rule.parse(value).map_err(|what| format!("`leeway`: {what}")),
        }
    }
}

fn keys_from(text: &str) -> Result<KeysFrom, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(KeysFrom::File(text.into()));
    };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let fits =
        text.bytes().all(|b| b.is_ascii_graphic()) && !host.is_empty() && !host.contains('@');
    match scheme {
        _ if !fits => Err("`keys` is no address of the form https://HOST/PATH".to_owned()),
        "https" => Ok(KeysFrom::Url(text.to_owned())),
        "http" if is_loopback(host) => Ok(KeysFrom::Url(text.to_owned())),
        _ => Err("`keys` must be an https address or a file; plain http is for loopback \
                  addresses alone"
            .to_owned()),
    }
}

fn is_loopback(host: &str) -> bool {
    let port = |(_, port): &(&str, &str)| port.bytes().all(|b| b.is_ascii_digit());
    let host = host.rsplit_once(':').filter(port).map_or(host, |(host, _)| host);
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}
