//! Claims as a table: what is typed as it must be, and what is only nearly so.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::{Claim, KeySource};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn options() -> IssuerOptions {
    IssuerOptions {
        issuer: "https://id.example".to_owned(),
        audiences: vec!["tidegate".to_owned(), "events".to_owned()],
        keys: KeySource::File("keys.json".into()),
        tenant: Claim::Name("tenant_id".to_owned()),
        tenants: Vec::new(),
        scopes: Claim::Name("scope".to_owned()),
        scope_prefix: String::new(),
        scope_names: BTreeMap::new(),
        types: vec![None],
        leeway: Duration::from_secs(30),
    }
}

fn good() -> Value {
    json!({
        "iss": "https://id.example", "aud": "tidegate", "exp": 1_800_000_060,
        "tenant_id": "acme", "scope": "events:write events:read",
    })
}

fn read(text: &str, options: &IssuerOptions) -> Result<Identity, Refusal> {
    Claims::read(text.as_bytes())?.identify(options, NOW)
}

fn check(name: &str, value: Value, expected: Result<(), Refusal>) {
    let mut claims = good();
    claims[name] = value;
    let found = read(&claims.to_string(), &options()).map(drop);
    assert_eq!(found, expected, "{name} = {}", claims[name]);
}

#[test]
fn what_is_typed_as_it_must_be_is_believed() {
    let identity = read(&good().to_string(), &options()).unwrap();
    assert_eq!(identity.tenant.as_str(), "acme");
    assert_eq!(identity.scopes, ["events:write", "events:read"]);
    assert_eq!(identity.expires_at, UnixMillis(1_800_000_090_000));
}

#[test]
fn each_claim_has_its_type_and_its_bounds() {
    for (name, value, expected) in [
        ("iss", json!("https://id.example/"), Err(Refusal::Issuer)),
        ("iss", json!(["https://id.example"]), Err(Refusal::Issuer)),
        ("iss", json!(7), Err(Refusal::Issuer)),
        ("iss", Value::Null, Err(Refusal::Issuer)),
        ("aud", json!("events"), Ok(())),
        ("aud", json!(["other", "tidegate"]), Ok(())),
        ("aud", json!("other"), Err(Refusal::Audience)),
        ("aud", json!("tidegate events"), Err(Refusal::Audience)),
        ("aud", json!([]), Err(Refusal::Audience)),
        ("aud", json!(["tidegate", 7]), Err(Refusal::Audience)),
        ("aud", json!([["tidegate"]]), Err(Refusal::Audience)),
        ("aud", json!({ "tidegate": true }), Err(Refusal::Audience)),
        ("aud", Value::Null, Err(Refusal::Audience)),
        // Leeway: 30 s.
        ("exp", json!(1_799_999_971), Ok(())),
        ("exp", json!(1_799_999_970.5), Ok(())),
        ("exp", json!(1_799_999_970), Err(Refusal::Expired)),
        ("exp", json!(0), Err(Refusal::Expired)),
        ("exp", json!(-1), Err(Refusal::Expired)),
        ("exp", json!(1e300), Ok(())),
        ("exp", json!("1800000060"), Err(Refusal::Expiry)),
        ("exp", json!(true), Err(Refusal::Expiry)),
        ("exp", json!([1_800_000_060]), Err(Refusal::Expiry)),
        ("exp", Value::Null, Err(Refusal::Expiry)),
        ("nbf", json!(1_800_000_030), Ok(())),
        ("nbf", json!(1_800_000_031), Err(Refusal::NotYetValid)),
        ("nbf", json!(1e300), Err(Refusal::NotYetValid)),
        ("nbf", json!("0"), Err(Refusal::NotBefore)),
        ("nbf", Value::Null, Err(Refusal::NotBefore)),
        ("tenant_id", json!("Acme"), Err(Refusal::Tenant)),
        ("tenant_id", json!("../acme"), Err(Refusal::Tenant)),
        ("tenant_id", json!(["acme"]), Err(Refusal::Tenant)),
        ("tenant_id", Value::Null, Err(Refusal::Tenant)),
        ("scope", json!(""), Ok(())),
        ("scope", json!(["events:write"]), Ok(())),
        ("scope", json!([7]), Err(Refusal::Scopes)),
        ("scope", json!({ "events:write": true }), Err(Refusal::Scopes)),
        ("scope", Value::Null, Err(Refusal::Scopes)),
    ] {
        check(name, value, expected);
    }
    for (name, refusal) in [
        ("iss", Refusal::Issuer),
        ("aud", Refusal::Audience),
        ("exp", Refusal::Expiry),
        ("tenant_id", Refusal::Tenant),
    ] {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(read(&claims.to_string(), &options()), Err(refusal), "without {name}");
    }
}

#[test]
fn claims_are_one_object_of_distinct_names() {
    let text = good().to_string();
    let twice = |again: &str| text.replacen('{', &format!("{{{again},"), 1);
    for bad in [
        twice(r#""tenant_id":"other""#),
        // The same name, escaped.
        twice(r#""tenant\u005fid":"other""#),
        twice(r#""exp":1"#),
        twice(r#""nested":{"a":1,"a":2}"#),
        format!("[{text}]"),
        format!("{text}{text}"),
        text.replace('}', ""),
        String::new(),
        "null".to_owned(),
    ] {
        assert_eq!(read(&bad, &options()), Err(Refusal::MalformedClaims), "{bad}");
    }
    assert_eq!(Claims::read(b"{\"iss\":\"\xff\"}").map(drop), Err(Refusal::MalformedClaims));
}

#[test]
fn tenant_and_scopes_are_where_the_issuer_was_configured_to_have_them() {
    let mut options = options();
    options.tenant = Claim::Pointer("/https:~1~1acme.example/org/id".parse().unwrap());
    options.scopes = Claim::Name("https://acme.example/roles".to_owned());
    options.scope_prefix = "tide/".to_owned();
    options.scope_names = BTreeMap::from([("producer".to_owned(), "events:write".to_owned())]);
    let mut claims = good();
    claims["https://acme.example"] = json!({ "org": { "id": "acme" } });
    claims["https://acme.example/roles"] =
        json!(["tide/producer", "producer", "tide/events:read", "admin of all", "tide/two words"]);
    let identity = read(&claims.to_string(), &options).unwrap();
    assert_eq!(identity.tenant.as_str(), "acme");
    assert_eq!(identity.scopes, ["events:write", "events:read", "two words"]);
}

#[test]
fn an_issuer_speaks_for_its_tenants_alone() {
    let mut options = options();
    for (tenants, expected) in [
        (vec!["acme"], Ok(())),
        (vec!["other", "acme"], Ok(())),
        (vec!["other"], Err(Refusal::Tenant)),
    ] {
        options.tenants = tenants.iter().map(|id| TenantId::new(id).unwrap()).collect();
        let found = read(&good().to_string(), &options).map(drop);
        assert_eq!(found, expected, "{tenants:?}");
    }
}
