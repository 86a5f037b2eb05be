//! Bodies that are no JSON, or JSON that readers could disagree on.

use serde_json::{Value, json};
use tidegate_e2e::{findings, problem};

use crate::{assert_unharmed, post, start};

fn nested(depth: usize) -> Vec<u8> {
    format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1)).into_bytes()
}

/// More members than are compared one by one, the last one repeated.
fn many_members() -> Vec<u8> {
    let members: Vec<_> = (0..100).map(|n| format!("\"n{n}\":{n}")).collect();
    format!("{{{},\"n\\u0039\\u0039\":0}}", members.join(",")).into_bytes()
}

/// Each body with the place that its problem names.
fn not_json() -> Vec<(Vec<u8>, &'static str)> {
    let mut cases: Vec<(Vec<u8>, &'static str)> = Vec::new();
    let mut add = |texts: &[&str], pointer| {
        cases.extend(texts.iter().map(|text| (text.as_bytes().to_vec(), pointer)))
    };
    // Nothing, or not all of it.
    add(&["", " \r\n\t ", "{", "{\"a\"", "\"abc", "tru", "-", "{,", "}", "]"], "");
    add(&["[", "[,"], "/0");
    add(&["{\"a\":", "{\"a\":1", "{\"a\":\"", "{\"a\":\"\\", "{\"a\":tru", "{\"a\":-"], "/a");
    add(&["{\"a\":[1,", "{\"a\":[1", "{\"a\":[1 2]}"], "/a/0");
    // More than one value.
    add(&["{}}", "{} {}", "{}x", "1 2", "{}\0"], "");
    // What other notations allow.
    add(&["{'a':1}", "{a:1}", "//\n{}", "\u{feff}{}"], "");
    add(&["{\"a\":1,}", "{\"a\":'b'}", "{\"a\":0x10}", "{\"a\":/**/1}", "{\"a\":undefined}"], "/a");
    // Numbers.
    add(
        &[
            "{\"a\":01}", "{\"a\":1.}", "{\"a\":.5}", "{\"a\":+1}", "{\"a\":1e}", "{\"a\":1e+}",
            "{\"a\":--1}", "{\"a\":00}",
        ],
        "/a",
    );
    add(&["{\"a\":NaN}", "{\"a\":Infinity}", "{\"a\":-Infinity}", "{\"a\":1_000}"], "/a");
    // Texts: control characters, escapes, surrogates without their other half.
    add(&["{\"a\":\"\n\"}", "{\"a\":\"\0\"}", "{\"a\":\"\u{1f}\"}"], "/a");
    add(
        &["{\"a\":\"\\x41\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\'\"}"],
        "/a",
    );
    add(
        &[
            "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00\"}", "{\"a\":\"\\ud800\\u0041\"}",
            "{\"a\":\"\\ud800\\ud800\"}",
        ],
        "/a",
    );
    // Names that come twice, also when they are written differently.
    add(&["{\"a\":1,\"a\":1}", "{\"a\":1,\"\\u0061\":2}", "{\"\\u0061\":1,\"a\":2}"], "/a");
    add(&["{\"\":1,\"\":2}"], "/");
    add(&["{\"x\":{\"a/b\":1,\"a\\/b\":2}}"], "/x/a~1b");
    add(&["{\"x\":[{},{\"~\":1,\"~\":2}]}"], "/x/1/~0");
    cases.push((many_members(), "/n99"));
    // Bytes that are no UTF-8: lone, overlong, a surrogate, beyond Unicode, UTF-16.
    for bytes in [
        &b"{\"a\":\"\xff\"}"[..],
        b"{\"a\":\"\xc0\xaf\"}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"{\"a\":\"\xf4\x90\x80\x80\"}",
        b"{\"a\xfe\":1}",
    ] {
        cases.push((bytes.to_vec(), ""));
    }
    cases.push((b"\xff\xfe{\0}\0".to_vec(), ""));
    cases
}

/// A malformed body is 400 `malformed-json`; the pointer names the innermost value that was read.
#[test]
fn bodies_that_are_no_json() {
    let (gateway, tenant) = start(&[]);
    for (body, pointer) in not_json() {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let answer = post(&gateway, &tenant, "/v1/events", "application/json", &body);
        let problem = problem(&answer, 400, "malformed-json");
        assert_eq!(problem["pointer"], pointer, "{shown:?}: {problem}");
    }
    assert_unharmed(&gateway, &tenant);
}

/// Up to the limit an event is nested, and not beyond, however far beyond.
#[test]
fn nesting() {
    let (gateway, tenant) = start(&[]);
    for depth in [1, 2, 63, 64] {
        let answer =
            post(&gateway, &tenant, "/v1/events", "application/json", &nested(depth.max(2)));
        assert_eq!(answer.status, 202, "{depth}: {}", answer.text());
    }
    for depth in [65, 66, 127, 128, 129, 300, 1000, 100_000] {
        let answer = post(&gateway, &tenant, "/v1/events", "application/json", &nested(depth));
        let problem = problem(&answer, 400, "malformed-json");
        assert!(
            problem["pointer"].as_str().is_some_and(|pointer| pointer.starts_with("/a/0/0")),
            "{depth}: {problem}"
        );
    }
    let open = vec![b'['; 1 << 20];
    problem(
        &post(&gateway, &tenant, "/v1/events", "application/json", &open),
        400,
        "malformed-json",
    );
    assert_unharmed(&gateway, &tenant);
}

/// JSON that is unusual and right is taken.
#[test]
fn strange_but_valid_events() {
    let (gateway, tenant) = start(&[]);
    let long = format!("{{\"{}\":\"{}\"}}", "n".repeat(60_000), "v".repeat(60_000));
    let digits =
        format!("{{\"a\":{}.{}e-{}}}", "9".repeat(4000), "1".repeat(4000), "3".repeat(300));
    for body in [
        "{}",
        " {\t\"a\"\r\n:1 } ",
        "{\"\":{\"\":[]}}",
        "{\"a\":\"\\ud83d\\ude00\\u0000\\/\"}",
        "{\"a\":\"\u{7f}\u{2028}\u{fffe}😀\"}",
        "{\"a\":1e400}",
        "{\"a\":-1e400}",
        "{\"a\":1e-400}",
        "{\"a\":123456789012345678901234567890}",
        "{\"a\":-0}",
        "{\"a\":1E+2}",
        "{\"a\":1e99999999999999999999}",
        "{\"__proto__\":{\"constructor\":1}}",
        "{\"a\":1,\"A\":1,\"á\":1,\"a\u{301}\":1}",
        &long,
        &digits,
    ] {
        let answer = post(&gateway, &tenant, "/v1/events", "application/json", body.as_bytes());
        assert_eq!(
            answer.status,
            202,
            "{}: {}",
            body.chars().take(80).collect::<String>(),
            answer.text()
        );
    }
    assert_unharmed(&gateway, &tenant);
}

/// A3, D4: a schema judges numbers of any size without failing, and every violated place is named.
#[test]
fn numbers_against_a_schema() {
    let (gateway, tenant) = start(&[]);
    tenant.schema(
        &gateway,
        "numbers",
        &json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "n": { "type": "number", "minimum": -1000, "maximum": 1000 },
                "i": { "type": "integer" },
                "m": { "multipleOf": 0.01 },
                "e": { "enum": [1, 2.5, "x"] },
                "c": { "const": 1e3 },
                "u": { "uniqueItems": true },
            },
        }),
    );
    tenant.activate(
        &gateway,
        &json!({
            "default_type": "n", "event_types": { "n": { "schema": "numbers" } },
        }),
    );
    let check = |body: &str, wrong: &[&str]| {
        let answer = post(&gateway, &tenant, "/v1/events", "application/json", body.as_bytes());
        if wrong.is_empty() {
            assert_eq!(answer.status, 202, "{body}: {}", answer.text());
            return;
        }
        let rejected = problem(&answer, 400, "event-rejected");
        let mut places: Vec<_> =
            findings(&rejected).into_iter().map(|(_, pointer)| pointer).collect();
        places.sort();
        assert_eq!(places, wrong, "{body}: {rejected}");
    };
    check(r#"{"n":1e3,"i":9007199254740993,"m":0.1,"e":1.0,"c":1000,"u":[1,2]}"#, &[]);
    check(r#"{"n":1e400}"#, &["/n"]);
    check(r#"{"n":-1e400}"#, &["/n"]);
    check(r#"{"n":1e-400}"#, &[]);
    check(r#"{"n":123456789012345678901234567890}"#, &["/n"]);
    check(r#"{"i":1.5}"#, &["/i"]);
    check(r#"{"i":123456789012345678901234567890}"#, &[]);
    check(r#"{"e":1e999}"#, &["/e"]);
    check(r#"{"c":1e-999}"#, &["/c"]);
    check(r#"{"u":[1,1.0]}"#, &["/u"]);
    check(r#"{"n":"x","i":"y","e":null}"#, &["/e", "/i", "/n"]);
    // These need only be judged: whichever way, not with a failure.
    for body in [
        r#"{"m":1e400}"#,
        r#"{"m":1e-400}"#,
        r#"{"u":[1e400,1e401,-1e400]}"#,
        r#"{"i":1e99999999999}"#,
    ] {
        let answer = post(&gateway, &tenant, "/v1/events", "application/json", body.as_bytes());
        assert!(matches!(answer.status, 202 | 400), "{body}: {}", answer.text());
    }
    assert_unharmed(&gateway, &tenant);
}

/// What is JSON and no event is rejected as the event that it is.
#[test]
fn values_that_are_no_events() {
    let (gateway, tenant) = start(&[]);
    for body in ["[]", "[{}]", "1", "null", "true", "\"text\""] {
        let answer = post(&gateway, &tenant, "/v1/events", "application/json", body.as_bytes());
        let rejected = problem(&answer, 400, "event-rejected");
        assert_eq!(findings(&rejected), [("not-an-object".to_owned(), String::new())], "{body}");
        assert_eq!(rejected["event_status"], Value::from("rejected"), "{body}");
    }
    let large = json!({ "a": "x".repeat(256 << 10) }).to_string();
    let rejected = problem(
        &post(&gateway, &tenant, "/v1/events", "application/json", large.as_bytes()),
        400,
        "event-rejected",
    );
    assert_eq!(findings(&rejected), [("event-too-large".to_owned(), String::new())]);
    assert_unharmed(&gateway, &tenant);
}
