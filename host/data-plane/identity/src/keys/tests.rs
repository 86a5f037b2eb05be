//! Published keys: what each may verify, which are left out and why, and which one a header means.

use serde_json::{Value, json};

use super::*;

/// 2048 bits, odd.
fn modulus() -> String {
    "v".repeat(341) + "w"
}

fn rsa(more: &Value) -> Value {
    let mut jwk = json!({ "kty": "RSA", "kid": "r", "n": modulus(), "e": "AQAB" });
    for (name, value) in more.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

/// RFC 7515, appendix A.3.
fn p256() -> Value {
    json!({
        "kty": "EC", "kid": "e", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

/// RFC 8037, appendix A.2.
fn ed25519() -> Value {
    json!({
        "kty": "OKP", "kid": "o", "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    })
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

fn parse(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().into_bytes()).unwrap()
}

#[test]
fn the_key_alone_says_what_it_verifies() {
    for (jwk, expected) in [
        (rsa(&json!({})), Ok(Algorithm::RS256)),
        (rsa(&json!({ "alg": "RS512" })), Ok(Algorithm::RS512)),
        (rsa(&json!({ "alg": "PS384", "use": "sig" })), Ok(Algorithm::PS384)),
        (rsa(&json!({ "key_ops": ["verify", "encrypt"] })), Ok(Algorithm::RS256)),
        (rsa(&json!({ "alg": "ES256" })), Err(Unusable::Unsupported)),
        (rsa(&json!({ "alg": "HS256" })), Err(Unusable::Unsupported)),
        (rsa(&json!({ "alg": "none" })), Err(Unusable::Unsupported)),
        (rsa(&json!({ "alg": "RSA-OAEP" })), Err(Unusable::Unsupported)),
        (rsa(&json!({ "alg": 256 })), Err(Unusable::Malformed)),
        (rsa(&json!({ "use": "enc" })), Err(Unusable::OtherUse)),
        (rsa(&json!({ "key_ops": ["encrypt"] })), Err(Unusable::OtherUse)),
        (rsa(&json!({ "key_ops": "verify" })), Err(Unusable::Malformed)),
        (rsa(&json!({ "kid": 7 })), Err(Unusable::Malformed)),
        (rsa(&json!({ "d": "AQAB" })), Err(Unusable::Secret)),
        // 2047 bits; 2048 with leading zeros; 4096; 8208; even.
        (rsa(&json!({ "n": format!("f{}", &modulus()[1..]) })), Err(Unusable::RsaSize)),
        (rsa(&json!({ "n": format!("AAAA{}", modulus()) })), Ok(Algorithm::RS256)),
        (rsa(&json!({ "n": "v".repeat(682) + "0" })), Ok(Algorithm::RS256)),
        (rsa(&json!({ "n": "v".repeat(1368) })), Err(Unusable::RsaSize)),
        (rsa(&json!({ "n": "v".repeat(341) + "g" })), Err(Unusable::RsaSize)),
        (rsa(&json!({ "n": "AQAB" })), Err(Unusable::RsaSize)),
        (rsa(&json!({ "n": modulus() + "=" })), Err(Unusable::Malformed)),
        (rsa(&json!({ "e": "AQ" })), Err(Unusable::RsaSize)),
        (rsa(&json!({ "e": "Aw" })), Ok(Algorithm::RS256)),
        (rsa(&json!({ "e": "Ag" })), Err(Unusable::RsaSize)),
        (rsa(&json!({ "e": "AwAAAAE" })), Err(Unusable::RsaSize)),
        (p256(), Ok(Algorithm::ES256)),
        (with(p256(), "alg", json!("ES256")), Ok(Algorithm::ES256)),
        (with(p256(), "alg", json!("ES384")), Err(Unusable::Unsupported)),
        (with(p256(), "crv", json!("P-521")), Err(Unusable::Unsupported)),
        (with(p256(), "crv", json!("secp256k1")), Err(Unusable::Unsupported)),
        (with(p256(), "crv", json!("P-384")), Err(Unusable::Length)),
        (with(p256(), "y", Value::Null), Err(Unusable::Malformed)),
        (ed25519(), Ok(Algorithm::EdDSA)),
        (with(ed25519(), "alg", json!("EdDSA")), Ok(Algorithm::EdDSA)),
        (with(ed25519(), "alg", json!("Ed25519")), Ok(Algorithm::EdDSA)),
        (with(ed25519(), "crv", json!("Ed448")), Err(Unusable::Unsupported)),
        (with(ed25519(), "x", json!("11qYAYKxCrfV")), Err(Unusable::Length)),
        (json!({ "kty": "oct", "k": "c2VjcmV0" }), Err(Unusable::Secret)),
        (json!({ "kty": "PQ" }), Err(Unusable::Unsupported)),
        (json!({ "kid": "r" }), Err(Unusable::Malformed)),
        (json!("RSA"), Err(Unusable::Malformed)),
    ] {
        let set = parse(std::slice::from_ref(&jwk));
        let found = set.keys.first().map(|key| key.algorithm());
        let found = found.ok_or_else(|| set.unusable[0]);
        assert_eq!(found, expected, "{jwk}");
    }
}

#[test]
fn one_bad_key_does_not_cost_the_others() {
    let set = parse(&[json!(null), p256(), json!({ "kty": "oct", "k": "c2VjcmV0" }), ed25519()]);
    assert_eq!((set.len(), set.unusable.len()), (2, 2));
}

#[test]
fn what_is_no_set_is_told() {
    let many: Vec<Value> = std::iter::repeat_n(p256(), 101).collect();
    for (text, expected) in [
        (json!({ "keys": [] }).to_string(), None),
        (json!({ "keys": many }).to_string(), Some(InvalidKeySet::TooMany(101))),
        (json!({ "keys": {} }).to_string(), Some(InvalidKeySet::Shape)),
        (json!([p256()]).to_string(), Some(InvalidKeySet::Shape)),
        (p256().to_string(), Some(InvalidKeySet::Shape)),
    ] {
        assert_eq!(KeySet::parse(text.clone().into_bytes()).err(), expected, "{text}");
    }
    for text in ["", "<html>", r#"{"keys":[],"keys":[]}"#] {
        let error = KeySet::parse(text.into()).unwrap_err();
        assert!(matches!(error, InvalidKeySet::Json(_)), "{error}");
    }
}

#[test]
fn a_header_means_one_key_or_none() {
    let nameless = |mut jwk: Value| {
        jwk.as_object_mut().unwrap().remove("kid");
        jwk
    };
    let named = parse(&[rsa(&json!({})), p256(), with(ed25519(), "kid", json!("e"))]);
    let alone = parse(&[nameless(p256())]);
    let two = parse(&[p256(), with(p256(), "kid", json!("f"))]);
    let (rs, es, ed) = (Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA);
    for (set, id, algorithm, expected) in [
        (&named, Some("r"), rs, Ok(Algorithm::RS256)),
        (&named, Some("r"), Algorithm::PS256, Err(Refusal::Algorithm)),
        (&named, Some("r"), es, Err(Refusal::Algorithm)),
        (&named, Some("e"), es, Ok(Algorithm::ES256)),
        (&named, Some("e"), ed, Ok(Algorithm::EdDSA)),
        (&named, Some("R"), rs, Err(Refusal::UnknownKey)),
        (&named, Some(""), rs, Err(Refusal::UnknownKey)),
        (&named, None, rs, Ok(Algorithm::RS256)),
        (&two, None, es, Err(Refusal::NoKeyNamed)),
        (&two, None, rs, Err(Refusal::Algorithm)),
        (&alone, None, es, Ok(Algorithm::ES256)),
        (&alone, Some("e"), es, Err(Refusal::UnknownKey)),
        (&KeySet::default(), None, es, Err(Refusal::UnknownKey)),
    ] {
        let found = set.choose(id, algorithm).map(|key| key.algorithm());
        assert_eq!(found, expected, "{id:?} {algorithm:?}");
    }
}

#[test]
fn a_key_that_stays_is_the_same_and_one_that_goes_is_gone() {
    let first = parse(&[rsa(&json!({})), p256()]);
    let held: Vec<_> = first.keys.iter().map(Arc::downgrade).collect();
    let bytes = json!({ "keys": [ed25519(), p256()] }).to_string().into_bytes();
    let second = KeySet::parse_after(bytes, &first).unwrap();
    drop(first);
    assert_eq!(held.iter().map(std::sync::Weak::strong_count).collect::<Vec<_>>(), [0, 1]);
    // The same name with another key, and the same key under another name, are others.
    let bytes = json!({ "keys": [with(p256(), "kid", json!("o"))] }).to_string().into_bytes();
    let third = KeySet::parse_after(bytes, &second).unwrap();
    drop(second);
    assert_eq!((held[1].strong_count(), third.len()), (0, 1));
}
