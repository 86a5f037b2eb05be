//! The list of issuers as operators write it, in a file or in the environment.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is a failure told"
)]

use std::path::PathBuf;
use std::time::Duration;

use tidegate_config::{Config, ConfigError, KeysFrom};

const LEAST: &str = r#"
    [[jwt.issuers]]
    issuer = "https://id.example/"
    audiences = ["tidegate"]
    keys = "https://id.example/jwks.json"
"#;

#[test]
fn the_least_that_is_written_has_its_defaults() {
    assert_eq!(Config::from_toml("").unwrap().jwt.issuers, []);
    let config = Config::from_toml(LEAST).unwrap();
    let [issuer] = &config.jwt.issuers[..] else { panic!("one issuer") };
    assert_eq!(issuer.issuer, "https://id.example/");
    assert_eq!(issuer.audiences, ["tidegate"]);
    assert_eq!(issuer.keys, KeysFrom::Url("https://id.example/jwks.json".to_owned()));
    assert_eq!((&*issuer.tenant_claim, &*issuer.scope_claim), ("tenant_id", "scope"));
    assert_eq!(issuer.leeway, Duration::from_secs(30));
    let types = [None, Some("jwt".to_owned()), Some("at+jwt".to_owned())];
    assert_eq!(issuer.types, types);
    assert!(issuer.tenants.is_empty() && issuer.scope_prefix.is_empty());
    assert_eq!((config.jwt.keys_interval, config.jwt.ca_file), (Duration::from_secs(30), None));
}

#[test]
fn everything_can_be_written_and_in_the_environment_too() {
    let file = r#"
        [jwt]
        ca_file = "/etc/tidegate/ca.pem"
        [[jwt.issuers]]
        issuer = "https://a.example"
        audiences = ["one", "two"]
        keys = "/etc/tidegate/a.json"
        tenant_claim = "/org/id"
        tenants = ["acme", "other_1"]
        scope_claim = "https://a.example/roles"
        scope_prefix = "tide/"
        types = ["none", "application/AT+jwt"]
        leeway = "0s"
        [jwt.issuers.scope_names]
        producer = "events:write"
        [[jwt.issuers]]
        issuer = "b"
        audiences = ["one"]
        keys = "http://[::1]:9000/jwks"
    "#;
    let variable = r#"[{issuer="https://a.example",audiences=[one,"two"],keys="/etc/tidegate/a.json",
        tenant_claim="/org/id", tenants=[acme, other_1], scope_claim="https://a.example/roles",
        scope_prefix="tide/", types=[none, "application/AT+jwt"], leeway="0s",
        scope_names={producer="events:write"}}, {issuer=b,audiences=[one],keys="http://[::1]:9000/jwks"}]"#;
    let name = "TIDEGATE_JWT__ISSUERS".to_owned();
    let from_file = Config::from_toml(file).unwrap().jwt;
    let from_variable = Config::load_with(None, [(name.clone(), variable.to_owned())]).unwrap().jwt;
    assert_eq!(from_file.issuers, from_variable.issuers);
    assert_eq!(Config::load_with(None, [(name, String::new())]).unwrap().jwt.issuers, []);
    assert_eq!(from_file.ca_file, Some(PathBuf::from("/etc/tidegate/ca.pem")));
    let [issuer, second] = &from_file.issuers[..] else { panic!("two issuers") };
    assert_eq!(issuer.audiences, ["one", "two"]);
    assert_eq!(issuer.keys, KeysFrom::File("/etc/tidegate/a.json".into()));
    assert_eq!(issuer.tenant_claim, "/org/id");
    let tenants: Vec<_> = issuer.tenants.iter().map(|tenant| tenant.as_str()).collect();
    assert_eq!(tenants, ["acme", "other_1"]);
    assert_eq!((&*issuer.scope_claim, &*issuer.scope_prefix), ("https://a.example/roles", "tide/"));
    assert_eq!(issuer.scope_names["producer"], "events:write");
    assert_eq!(
        (&issuer.types[..], issuer.leeway),
        (&[None, Some("at+jwt".to_owned())][..], Duration::ZERO)
    );
    assert_eq!(second.keys, KeysFrom::Url("http://[::1]:9000/jwks".to_owned()));
}

#[test]
fn wrong_issuers_are_told_by_number() {
    let with = |line: &str| format!("{LEAST}\n{line}");
    let instead = |from: &str, to: &str| LEAST.replace(from, to);
    for (text, expected) in [
        ("[jwt]\nissuers = 7".to_owned(), "no list of tables"),
        ("[jwt]\nissuers = [\"https://id.example\"]".to_owned(), "no list of tables"),
        (
            with("colour = 1"),
            "issuer 1: there is no key `colour`; there are issuer, audiences, keys,",
        ),
        (instead("issuer =", "scope_claim ="), "issuer 1: `issuer` is missing"),
        (instead("[\"tidegate\"]", "[]"), "issuer 1: `audiences` is missing"),
        (instead("[\"tidegate\"]", "\"tidegate\""), "issuer 1: `audiences` is no list"),
        (instead("[\"tidegate\"]", "[\"\"]"), "issuer 1: `audiences` is no list"),
        (instead("keys = ", "scope_claim = "), "issuer 1: `keys` is missing"),
        (
            instead("https://id.example/jwks.json", "http://id.example/jwks.json"),
            "plain http is for loopback",
        ),
        (
            instead("https://id.example/jwks.json", "http://localhost.evil/"),
            "plain http is for loopback",
        ),
        (
            instead("https://id.example/jwks.json", "ftp://id.example/"),
            "must be an https address or a file",
        ),
        (
            instead("https://id.example/jwks.json", "https://a:b@id.example/"),
            "no address of the form",
        ),
        (instead("https://id.example/jwks.json", "https:///jwks.json"), "no address of the form"),
        (with("tenant_claim = \"/a~2b\""), "issuer 1: `tenant_claim` is neither"),
        (with("scope_claim = \"\""), "issuer 1: `scope_claim` is neither"),
        (with("tenants = [\"Acme\"]"), "issuer 1: `Acme` in `tenants` is no tenant"),
        (with("scope_names = [\"a\"]"), "issuer 1: `scope_names` is no table"),
        (with("types = []"), "issuer 1: `types` is empty"),
        (with("leeway = \"61s\""), "issuer 1: `leeway`: `61s` is out of bounds: write 0s to 60s"),
        (format!("{LEAST}{LEAST}"), "issuer 2: `https://id.example/` is there twice"),
        (with("[[jwt.issuers]]\nissuer = \"b\""), "issuer 2: `audiences` is missing"),
    ] {
        let Err(ConfigError::Invalid(problems)) = Config::from_toml(&text) else {
            panic!("{text} is wrong")
        };
        assert_eq!(problems[0].key, "jwt.issuers", "{text}");
        assert!(problems[0].message.contains(expected), "{text}: {}", problems[0].message);
    }
}
