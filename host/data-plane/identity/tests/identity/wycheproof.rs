//! Every vector of Wycheproof's `json_web_signature_test.json`: what is valid is accepted, what is not
//! is refused, but for what our policy forbids.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use tidegate_identity::{Jws, KeySet, Refusal};

/// Vectors that Wycheproof calls valid and we refuse, with why.
const FORBIDDEN: [(&[u64], Refusal, &str); 4] = [
    (
        &[1, 348, 352, 357, 358, 359, 376, 377],
        Refusal::Algorithm,
        "HMAC: a secret that verifies can sign as well, so it is no issuer's key",
    ),
    (
        &[372, 373],
        Refusal::Encoding,
        "a question mark within base64url, which a strict reader does not take",
    ),
    (
        &[346, 350],
        Refusal::Algorithm,
        "the key is for PS256 and the token says PS384: a key has one algorithm",
    ),
    (
        &[347, 351],
        Refusal::Algorithm,
        "P-521 with ES512, which the library does not have; the key even calls it ES521",
    ),
];

/// They lie beside the repository, or beside a folder above it.
fn vectors() -> Option<Value> {
    let file = "shared/vectors/wycheproof/json_web_signature_test.json";
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let bytes = above.map(|folder| folder.join(file)).find_map(|path| std::fs::read(path).ok())?;
    Some(serde_json::from_slice(&bytes).unwrap())
}

/// The way of a token's signature through the verifier.
fn verify(token: &str, keys: &KeySet) -> Result<(), Refusal> {
    Jws::read(token)?.verify(keys).map(drop)
}

#[test]
#[allow(clippy::print_stderr, reason = "says that it did nothing")]
fn every_vector_comes_out_as_it_must() {
    let Some(vectors) = vectors() else {
        eprintln!("no vectors of Wycheproof in `shared/vectors` above the repository: skipped");
        return;
    };
    let mut forbidden: BTreeMap<u64, Refusal> = FORBIDDEN
        .iter()
        .flat_map(|(ids, refusal, _)| ids.iter().map(move |id| (*id, *refusal)))
        .collect();
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for group in vectors["testGroups"].as_array().unwrap() {
        // What an issuer would publish: the public key, or the one there is.
        let key = group.get("public").unwrap_or(&group["private"]);
        let keys = KeySet::parse(json!({ "keys": [key] }).to_string().into_bytes()).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let id = test["tcId"].as_u64().unwrap();
            let token = test["jws"].as_str().unwrap();
            let found = verify(token, &keys);
            let as_it_must_be = match (test["result"].as_str().unwrap(), found) {
                ("valid", Ok(())) => !forbidden.contains_key(&id),
                ("valid", Err(refusal)) => forbidden.remove(&id) == Some(refusal),
                ("invalid", Err(_)) => true,
                _ => false,
            };
            if !as_it_must_be {
                wrong.push(format!("{id} {} {}: {found:?}", test["comment"], test["result"]));
            }
            *(if found.is_ok() { &mut accepted } else { &mut refused }) += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(forbidden.is_empty(), "rows that nothing needs: {forbidden:?}");
    assert_eq!(accepted + refused, vectors["numberOfTests"].as_u64().unwrap());
    assert!(accepted >= 30, "only {accepted} were accepted");
}
