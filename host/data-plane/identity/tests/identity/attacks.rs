//! The attacks of RFC 8725 (section 2) and their like, with keys of our own: each is refused for what
//! it is, and none makes the verifier speak to anybody.

use serde_json::{Value, json};
use tidegate_identity::{Issuers, Refusal};
use tidegate_telemetry::{Format, Page};

use crate::served::{Reply, Served};
use crate::support::{
    ISSUER, Signer, bounds, claims, encode, in_seconds, openssl, options, published, runtime,
};

/// What attackers work with.
struct Scene {
    runtime: tokio::runtime::Runtime,
    rsa: Signer,
    elliptic: Signer,
    edwards: Signer,
    /// Nobody's: the attacker's own.
    foreign: Signer,
    keys: Served,
    issuers: Issuers,
}

impl Scene {
    fn set() -> Self {
        let rsa = Signer::new("rsa", "RS256");
        let elliptic = Signer::new("ec", "ES256");
        let edwards = Signer::new("ed", "EdDSA");
        let foreign = Signer::new("rsa", "RS256");
        let keys = Served::start(Reply::Keys(published(&[&rsa, &elliptic, &edwards])));
        let runtime = runtime();
        let issuers = {
            let _within = runtime.enter();
            Issuers::start(vec![options(keys.source())], &bounds()).unwrap()
        };
        Self { runtime, rsa, elliptic, edwards, foreign, keys, issuers }
    }

    fn verify(&self, token: &str) -> Result<String, Refusal> {
        let identity = self.runtime.block_on(self.issuers.verify(token))?;
        Ok(identity.tenant.to_string())
    }

    fn check(&self, what: &str, token: &str, expected: Result<(), Refusal>) {
        // Twice: what is remembered must not make a difference.
        for _ in 0..2 {
            assert_eq!(self.verify(token).map(drop), expected, "{what}");
        }
    }
}

fn with(mut base: Value, name: &str, value: Value) -> Value {
    base[name] = value;
    base
}

/// HMAC-SHA-256 by openssl, with any bytes as its secret.
fn hmac(secret: &[u8], message: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("message");
    std::fs::write(&path, message).unwrap();
    let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    openssl(&format!("dgst -sha256 -mac HMAC -macopt hexkey:{secret} -binary {}", path.display()))
}

#[test]
fn a_good_token_of_each_kind_of_key_is_believed() {
    let scene = Scene::set();
    for signer in [&scene.rsa, &scene.elliptic, &scene.edwards] {
        scene.check(signer.id(), &signer.good(), Ok(()));
    }
    let text = Page::of(|page| scene.issuers.report(page)).text(Format::Prometheus);
    for line in [
        "tidegate_tokens_total{outcome=\"verified\"} 3",
        "tidegate_tokens_total{outcome=\"remembered\"} 3",
        "tidegate_tokens_total{outcome=\"signature\"} 0",
        "tidegate_issuer_fetches_total{issuer=\"https://id.example\",outcome=\"succeeded\"} 1",
        "tidegate_issuer_keys{issuer=\"https://id.example\"} 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}

#[test]
fn every_algorithm_that_a_key_may_have() {
    let runtime = runtime();
    for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] {
        let signer = Signer::new("k", name);
        let keys = Served::start(Reply::Keys(published(&[&signer])));
        let issuers = {
            let _within = runtime.enter();
            Issuers::start(vec![options(keys.source())], &bounds()).unwrap()
        };
        let verify = |token: &str| runtime.block_on(issuers.verify(token)).map(drop);
        assert_eq!(verify(&signer.good()), Ok(()), "{name}");
        let other = Signer::new("k", name).good();
        assert_eq!(verify(&other), Err(Refusal::Signature), "{name}");
    }
}

#[test]
fn the_header_does_not_say_how_to_verify() {
    let scene = Scene::set();
    let elsewhere = Served::start(Reply::Keys(published(&[&scene.foreign])));
    let (head, body) = (scene.rsa.header(), claims().to_string());
    let foreign = |header: &Value| scene.foreign.sign_text(&header.to_string(), &body);
    let own = |header: &Value| scene.rsa.sign_text(&header.to_string(), &body);
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let header = with(head.clone(), "alg", json!(none)).to_string();
        for signature in [String::new(), encode("x")] {
            let token = format!("{}.{}.{signature}", encode(&header), encode(&body));
            scene.check(none, &token, Err(Refusal::Algorithm));
        }
    }
    // The public key, in the forms that libraries have taken for a secret.
    let message = format!(
        "{}.{}",
        encode(with(head.clone(), "alg", json!("HS256")).to_string()),
        encode(&body)
    );
    for secret in [
        scene.rsa.public["n"].as_str().unwrap().as_bytes().to_vec(),
        scene.rsa.public.to_string().into_bytes(),
        Vec::from([0]),
    ] {
        let token = format!("{message}.{}", encode(hmac(&secret, &message)));
        scene.check("HS256 with a public key", &token, Err(Refusal::Algorithm));
    }
    for (what, token, expected) in [
        ("signed by another", foreign(&head), Err(Refusal::Signature)),
        ("jku", foreign(&with(head.clone(), "jku", json!(elsewhere.url))), Err(Refusal::Signature)),
        ("x5u", foreign(&with(head.clone(), "x5u", json!(elsewhere.url))), Err(Refusal::Signature)),
        (
            "jwk",
            foreign(&with(head.clone(), "jwk", scene.foreign.public.clone())),
            Err(Refusal::Signature),
        ),
        ("x5c", foreign(&with(head.clone(), "x5c", json!(["MIIB"]))), Err(Refusal::Signature)),
        // In a token that is good without them they are not looked at either.
        ("jku beside", own(&with(head.clone(), "jku", json!(elsewhere.url))), Ok(())),
        ("x5c beside", own(&with(head.clone(), "x5c", json!("no list"))), Ok(())),
        ("other family", own(&with(head.clone(), "alg", json!("ES256"))), Err(Refusal::Algorithm)),
        ("other hash", own(&with(head.clone(), "alg", json!("RS512"))), Err(Refusal::Algorithm)),
        ("other padding", own(&with(head.clone(), "alg", json!("PS256"))), Err(Refusal::Algorithm)),
        (
            "alg in lower case",
            own(&with(head.clone(), "alg", json!("rs256"))),
            Err(Refusal::Algorithm),
        ),
        (
            "alg no text",
            own(&with(head.clone(), "alg", json!(["RS256"]))),
            Err(Refusal::MalformedHeader),
        ),
        ("alg missing", own(&json!({ "kid": "rsa" })), Err(Refusal::MalformedHeader)),
        (
            "kid of another key",
            own(&with(head.clone(), "kid", json!("ec"))),
            Err(Refusal::Algorithm),
        ),
        ("kid unknown", own(&with(head.clone(), "kid", json!("other"))), Err(Refusal::UnknownKey)),
        (
            "kid as a path",
            own(&with(head.clone(), "kid", json!("../../../../dev/null"))),
            Err(Refusal::UnknownKey),
        ),
        (
            "kid as a statement",
            own(&with(head.clone(), "kid", json!("rsa' OR '1'='1"))),
            Err(Refusal::UnknownKey),
        ),
        (
            "kid as an address",
            own(&with(head.clone(), "kid", json!(elsewhere.url))),
            Err(Refusal::UnknownKey),
        ),
        ("kid no text", own(&with(head.clone(), "kid", json!(1))), Err(Refusal::MalformedHeader)),
        ("kid missing", own(&json!({ "alg": "RS256" })), Ok(())),
        ("crit", own(&with(head.clone(), "crit", json!(["exp"]))), Err(Refusal::Critical)),
        ("crit empty", own(&with(head.clone(), "crit", json!([]))), Err(Refusal::Critical)),
        (
            "b64",
            own(&with(with(head.clone(), "b64", json!(false)), "crit", json!(["b64"]))),
            Err(Refusal::Critical),
        ),
    ] {
        scene.check(what, &token, expected);
    }
    assert_eq!(elsewhere.asked(), 0);
    // Once at the start: keys that nobody knows were asked for within the interval.
    assert_eq!(scene.keys.asked(), 1);
}

#[test]
fn the_type_is_that_of_an_access_token() {
    let scene = Scene::set();
    let typed = |typ: Value| {
        let header = with(scene.rsa.header(), "typ", typ).to_string();
        scene.rsa.sign_text(&header, &claims().to_string())
    };
    for (typ, expected) in [
        (json!("JWT"), Ok(())),
        (json!("jwt"), Ok(())),
        (json!("application/at+jwt"), Ok(())),
        (json!("at+JWT"), Ok(())),
        (json!("logout+jwt"), Err(Refusal::Type)),
        (json!("dpop+jwt"), Err(Refusal::Type)),
        (json!("secevent+jwt"), Err(Refusal::Type)),
        (json!("JOSE"), Err(Refusal::Type)),
        (json!(""), Err(Refusal::Type)),
        (Value::Null, Err(Refusal::MalformedHeader)),
    ] {
        scene.check(&typ.to_string(), &typed(typ.clone()), expected);
    }
}

#[test]
fn claims_are_those_of_this_issuer_for_this_gateway_and_of_now() {
    let scene = Scene::set();
    for (name, value, expected) in [
        ("iss", json!("https://evil.example"), Err(Refusal::Issuer)),
        ("iss", json!(format!("{ISSUER}/")), Err(Refusal::Issuer)),
        ("aud", json!("other"), Err(Refusal::Audience)),
        ("exp", json!(in_seconds(-20)), Ok(())),
        ("exp", json!(in_seconds(-40)), Err(Refusal::Expired)),
        ("exp", json!(in_seconds(600).to_string()), Err(Refusal::Expiry)),
        ("nbf", json!(in_seconds(20)), Ok(())),
        ("nbf", json!(in_seconds(90)), Err(Refusal::NotYetValid)),
        ("nbf", json!(in_seconds(-90).to_string()), Err(Refusal::NotBefore)),
        ("tenant_id", json!("../other"), Err(Refusal::Tenant)),
    ] {
        let token = scene.rsa.sign(&with(claims(), name, value.clone()));
        scene.check(&format!("{name} {value}"), &token, expected);
    }
    let mut endless = claims();
    endless.as_object_mut().unwrap().remove("exp");
    scene.check("no exp", &scene.rsa.sign(&endless), Err(Refusal::Expiry));
}

#[test]
fn tokens_are_read_strictly() {
    let scene = Scene::set();
    let (good, header, body) =
        (scene.rsa.good(), scene.rsa.header().to_string(), claims().to_string());
    let parts: Vec<&str> = good.split('.').collect();
    let [first, second, third] = parts[..] else { panic!("three parts") };
    let twice = |text: &str, again: &str| text.replacen('{', &format!("{{{again},"), 1);
    let signed = |header: &str, body: &str| scene.rsa.sign_text(header, body);
    let padded = "a".repeat(8 << 10);
    for (what, token, expected) in [
        ("empty", String::new(), Refusal::NotThreeParts),
        ("dots", "..".to_owned(), Refusal::MalformedHeader),
        ("cut in the header", first[..20].to_owned(), Refusal::NotThreeParts),
        ("cut before the signature", format!("{first}.{second}"), Refusal::NotThreeParts),
        ("without its signature", format!("{first}.{second}."), Refusal::Signature),
        ("cut in the signature", good[..good.len() - 2].to_owned(), Refusal::Signature),
        ("one part more", format!("{good}."), Refusal::NotThreeParts),
        ("encrypted", format!("{good}.{first}.{second}"), Refusal::NotThreeParts),
        ("padded", format!("{good}=="), Refusal::Encoding),
        ("with a line break", format!("{first}\n.{second}.{third}"), Refusal::Encoding),
        ("with a space", format!("{first}. {second}.{third}"), Refusal::Encoding),
        ("with the other alphabet", format!("{first}.{second}+/.{third}"), Refusal::Encoding),
        // RS256: 256 bytes in 342 characters, the last of which has four bits that mean nothing.
        ("with bits that mean nothing", other_bits(&good), Refusal::Encoding),
        (
            "too long",
            signed(&header, &twice(&body, &format!("\"x\":\"{padded}\""))),
            Refusal::TooLong,
        ),
        (
            "another header",
            format!("{}.{second}.{third}", encode(header.replace('}', " }"))),
            Refusal::Signature,
        ),
        (
            "another body",
            format!("{first}.{}.{third}", encode(body.replace("acme", "evil"))),
            Refusal::Signature,
        ),
        (
            "header twice alg",
            signed(&twice(&header, r#""alg":"none""#), &body),
            Refusal::MalformedHeader,
        ),
        (
            "header twice kid",
            signed(&twice(&header, r#""kid":"ec""#), &body),
            Refusal::MalformedHeader,
        ),
        (
            "claims twice",
            signed(&header, &twice(&body, r#""tenant_id":"evil""#)),
            Refusal::MalformedClaims,
        ),
        ("header no object", signed("[]", &body), Refusal::MalformedHeader),
        ("header and more", signed(&format!("{header}{header}"), &body), Refusal::MalformedHeader),
        ("claims no object", signed(&header, "\"acme\""), Refusal::MalformedClaims),
        ("claims no JSON", signed(&header, "acme"), Refusal::MalformedClaims),
        ("claims too deep", signed(&header, &"[".repeat(200)), Refusal::MalformedClaims),
        (
            "JSON serialisation",
            json!({ "payload": second, "signature": third }).to_string(),
            Refusal::NotThreeParts,
        ),
        ("not ASCII", format!("{first}.{second}.{third}é"), Refusal::Encoding),
    ] {
        scene.check(what, &token, Err(expected));
    }
    scene.check("as it was", &good, Ok(()));
}

/// The same token with other unused bits at its end, which decodes to the same bytes for who is lax.
fn other_bits(token: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = token.split_at(token.len() - 1);
    let at = alphabet.find(last).unwrap();
    format!("{rest}{}", &alphabet[at + 1..at + 2])
}

#[test]
fn short_rsa_keys_verify_nothing() {
    let runtime = runtime();
    let (mut short, fine) = (Signer::new("short", "RS256"), Signer::new("fine", "ES256"));
    short.public["n"] = json!(encode([0xbf; 128]));
    let keys = Served::start(Reply::Keys(published(&[&short, &fine])));
    let _within = runtime.enter();
    let issuers = Issuers::start(vec![options(keys.source())], &bounds()).unwrap();
    let verify = |token: &str| runtime.block_on(issuers.verify(token)).map(drop);
    assert_eq!(verify(&fine.good()), Ok(()));
    assert_eq!(verify(&short.good()), Err(Refusal::UnknownKey));
}

#[test]
fn an_issuer_vouches_for_none_of_anothers() {
    let runtime = runtime();
    let (ours, theirs) = (Signer::new("k", "ES256"), Signer::new("k", "ES256"));
    let sources = [&ours, &theirs].map(|signer| Served::start(Reply::Keys(published(&[signer]))));
    let mut other = options(sources[1].source());
    other.issuer = "https://other.example".to_owned();
    other.tenants = vec!["other".parse().unwrap()];
    let _within = runtime.enter();
    let issuers = Issuers::start(vec![options(sources[0].source()), other], &bounds()).unwrap();
    let of = |iss: &str, tenant: &str| {
        with(with(claims(), "iss", json!(iss)), "tenant_id", json!(tenant))
    };
    for (signer, claims, expected) in [
        (&ours, of(ISSUER, "acme"), Ok(())),
        (&theirs, of(ISSUER, "acme"), Err(Refusal::Signature)),
        (&theirs, of("https://other.example", "other"), Ok(())),
        (&theirs, of("https://other.example", "acme"), Err(Refusal::Tenant)),
        (&ours, of("https://other.example", "other"), Err(Refusal::Signature)),
    ] {
        let found = runtime.block_on(issuers.verify(&signer.sign(&claims))).map(drop);
        assert_eq!(found, expected, "{claims}");
    }
}

#[test]
fn no_token_with_one_character_changed_is_believed() {
    let scene = Scene::set();
    let good = scene.elliptic.good();
    let believed = |token: &str| scene.runtime.block_on(scene.issuers.verify(token)).is_ok();
    assert!(believed(&good));
    for at in 0..good.len() {
        let (before, after) = (&good[..at], &good[at + 1..]);
        let was = &good[at..=at];
        for other in ["A", "B", "g", "_", ".", "=", " ", "\0", ""].iter().filter(|it| **it != was) {
            let changed = format!("{before}{other}{after}");
            assert!(!believed(&changed), "{other:?} in place of {was:?} at {at}: {changed}");
        }
    }
}

proptest::proptest! {
    /// Whatever somebody sends: it is read or refused.
    #[test]
    fn nothing_breaks_the_reader(
        text in "[A-Za-z0-9_.=+/ é-]{0,300}",
        header in "\\PC{0,80}",
        payload in proptest::collection::vec(proptest::num::u8::ANY, 0..80),
    ) {
        drop(tidegate_identity::Jws::read(&text));
        let token = format!("{}.{}.{}", encode(&header), encode(&payload), encode(&text));
        if let Ok(read) = tidegate_identity::Jws::read(&token) {
            proptest::prop_assert_eq!(read.payload(), payload);
        }
    }
}
