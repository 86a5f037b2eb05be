//! Secrets that were shown to the gateway, looked for in everything that it writes and answers.

use std::path::Path;

use arrow_array::cast::AsArray as _;
use serde_json::json;
use tidegate_e2e::revision;
use tidegate_testkit::{Gateway, Response};

use crate::{make_key, post_with, start_with};

/// What must not be found, as it is and as it may have been encoded.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    vec![secret.as_bytes().to_vec(), hex.clone().into_bytes(), hex.to_uppercase().into_bytes()]
}

fn assert_none(place: &str, bytes: &[u8], secrets: &[String]) {
    for secret in secrets {
        for form in forms(secret) {
            let found = bytes.windows(form.len()).any(|window| window == form);
            assert!(!found, "{place} holds {secret}");
        }
    }
}

/// Every value of a Parquet file, as text.
fn unpacked(path: &Path) -> Vec<u8> {
    let file = std::fs::File::open(path).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
    let mut out = Vec::new();
    for batch in reader.unwrap().build().unwrap() {
        for column in batch.unwrap().columns() {
            if let Some(texts) = column.as_string_opt::<i32>() {
                texts.iter().flatten().for_each(|text| out.extend_from_slice(text.as_bytes()));
            } else if let Some(blobs) = column.as_binary_opt::<i32>() {
                blobs.iter().flatten().for_each(|blob| out.extend_from_slice(blob));
            }
        }
    }
    out
}

/// Reads every file below a folder; answers how many there were.
fn look(folder: &Path, secrets: &[String]) -> usize {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            seen += look(&path, secrets);
        } else if entry.file_name() != "admin-token" {
            // The one file that is there to hold one.
            let place = path.display().to_string();
            assert_none(&place, &std::fs::read(&path).unwrap(), secrets);
            if path.extension().is_some_and(|kind| kind == "parquet") {
                assert_none(&place, &unpacked(&path), secrets);
            }
            seen += 1;
        }
    }
    seen
}

fn text_of(answer: &Response) -> Vec<u8> {
    let headers = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
    [headers.collect::<String>().as_bytes(), &answer.body].concat()
}

/// D8: keys and tokens, right, wrong and in the wrong place, are in no log, metric, answer or
/// file, at the most talkative level.
#[test]
fn secrets_are_nowhere() {
    let settings = [
        ("LOG__FORMAT", "json"),
        ("LOG__ACCESS", "all"),
        ("LOG__LEVEL", "trace"),
        ("LOG__ACCESS_LINES", "100000"),
        ("STORAGE__FLUSH_AFTER", "50ms"),
    ];
    let (mut gateway, tenant) = start_with(&settings);
    tenant.activate(&gateway, &revision::plain());
    let admin_token = std::fs::read_to_string(gateway.folder().join("admin-token")).unwrap();
    let made = make_key(&gateway, &tenant, &json!({ "name": "canary" }));
    let token = gateway.admin(
        "POST",
        "/v1/tokens",
        "application/json",
        json!({ "name": "canary", "scopes": ["rollout:write"] }).to_string().as_bytes(),
    );
    let token = token.json()["token"].as_str().unwrap().to_owned();
    // What stands after the last id: the part of a key that nobody else may know.
    let secret_of = |key: &str| key.rsplit('_').nth(1).unwrap().to_owned();
    let (key, wrong) = (made["key"].as_str().unwrap().to_owned(), "canary-wrong-key".to_owned());
    let secrets = [
        admin_token.trim().to_owned(),
        token.clone(),
        secret_of(&tenant.key),
        secret_of(&key),
        wrong.clone(),
        "canary-bearer".to_owned(),
        "canary-query".to_owned(),
        "canary-cookie".to_owned(),
        "canary-basic".to_owned(),
    ];
    assert!(secrets.iter().all(|secret| secret.len() > 10), "{secrets:?}");

    let mut answers = Vec::new();
    answers.push(post_with(&gateway, &[&key]));
    assert_eq!(answers[0].status, 202);
    answers.push(post_with(&gateway, &[&wrong]));
    answers.push(post_with(&gateway, &[&format!("{key}x")]));
    answers.push(post_with(&gateway, &[&key, &key]));
    for (name, value) in [
        ("authorization", "Bearer canary-bearer"),
        ("authorization", "Basic canary-basic"),
        ("cookie", "session=canary-cookie"),
        ("content-type", &wrong),
        ("content-encoding", &wrong),
        ("traceparent", &wrong),
        ("x-request-id", "\u{7f}canary-cookie"),
    ] {
        for with_key in [true, false] {
            let mut headers = vec![(name, value)];
            headers.extend(with_key.then_some(("x-api-key", key.as_str())));
            if let Ok(answer) = gateway.connect().request("POST", "/v1/events", &headers, b"{") {
                answers.push(answer);
            }
        }
    }
    for path in ["/v1/events?key=canary-query", "/v1/canary-query", "/v1/events/canary-query"] {
        answers.push(gateway.request("GET", path, &[("x-api-key", &key)], b""));
        answers.push(gateway.admin("GET", path, "application/json", b""));
    }
    answers.push(gateway.admin("GET", "/v1/tenants/acme/keys", "application/json", b""));
    answers.push(gateway.admin("GET", "/v1/tokens", "application/json", b""));
    answers.push(gateway.admin("GET", "/v1/audit", "application/json", b""));
    answers.push(gateway.admin("GET", "/v1/status", "application/json", b""));
    let metrics = gateway.admin("GET", "/metrics", "application/json", b"");
    assert_eq!(metrics.status, 200);
    answers.push(metrics);
    for token in [&token, &wrong] {
        let mut admin = tidegate_testkit::Connection::open(&gateway.admin).unwrap();
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        answers.push(admin.request("DELETE", "/v1/tokens/none", &headers, b"").unwrap());
    }
    // A problem may quote the path and the type that its own client has sent, nothing else.
    for answer in &answers {
        let known = ["canary-query", &wrong];
        let secrets: Vec<_> =
            secrets.iter().filter(|s| !known.contains(&s.as_str())).cloned().collect();
        assert_none(&format!("answer {}", answer.status), &text_of(answer), &secrets);
    }
    gateway.wait_published();
    check(&mut gateway, &secrets);
}

fn check(gateway: &mut Gateway, secrets: &[String]) {
    let seen = look(gateway.folder(), secrets);
    assert!(seen > 5, "{seen}");
    assert!(gateway.terminate());
    look(gateway.folder(), secrets);
    assert!(gateway.log().lines().count() > 20);
    assert_none("the log", gateway.log().as_bytes(), secrets);
}
