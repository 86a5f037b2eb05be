//! What each administering command asks for, and what it prints.

use std::sync::{Arc, Mutex};

use crate::server::{Request, serve};
use crate::support::{Ran, data_dir, run, write};

/// Runs one command against one answer; what was asked, and what came out.
fn ask(arguments: &[&str], input: &str, answer: &'static str) -> (Request, Ran) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let address = serve(move |request| {
        seen.lock().unwrap().push(request.clone());
        Some((200, answer.to_owned()))
    });
    let folder = data_dir(address);
    write(&folder, "file", "from a file");
    let ran = run(folder.path(), arguments, input.as_bytes());
    let mut asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 1, "{arguments:?}: {}", ran.err);
    (asked.remove(0), ran)
}

#[test]
fn commands_ask_and_print() {
    const STORED: &str = r#"{"version":2,"generation":7,"rows":3,"number":4,"digest":"sha256:ab","policy":"required"}"#;
    for (arguments, line, body, out) in [
        (
            &["tenant", "create", "acme"][..],
            "POST /v1/tenants",
            r#"{"id":"acme"}"#,
            "created tenant acme\n",
        ),
        (
            &["tenant", "case-policy", "acme", "required"],
            "PUT /v1/tenants/acme/case-policy",
            r#"{"policy":"required"}"#,
            "required\n",
        ),
        (&["tenant", "case-policy", "acme"], "GET /v1/tenants/acme/case-policy", "", "required\n"),
        (
            &["key", "revoke", "-t", "acme", "k/1"],
            "DELETE /v1/tenants/acme/keys/k%2F1",
            "",
            "revoked key k/1\n",
        ),
        (
            &["schema", "put", "-t", "acme", "flight", "-"],
            "PUT /v1/tenants/acme/schemas/flight",
            "from stdin",
            "schema flight version 2 sha256:ab\n",
        ),
        (
            &["table", "put", "-t", "acme", "planes", "file", "--key", "tail num"],
            "PUT /v1/tenants/acme/tables/planes?key=tail%20num",
            "from a file",
            "table planes generation 7, 3 rows sha256:ab\n",
        ),
        (
            &["plugin", "push", "--tenant", "acme", "mine", "file"],
            "POST /v1/tenants/acme/plugins/mine/versions",
            "from a file",
            "plugin mine version 2 sha256:ab\n",
        ),
        (
            &["revision", "activate", "-t", "acme", "sha256:ab"],
            "POST /v1/tenants/acme/revisions/sha256%3Aab/activate",
            "",
            "active: revision 4 sha256:ab\n",
        ),
        (
            &["revision", "rollback", "-t", "acme"],
            "POST /v1/tenants/acme/rollback",
            "",
            "active: revision 4 sha256:ab\n",
        ),
    ] {
        let (request, ran) = ask(arguments, "from stdin", STORED);
        assert_eq!((ran.code, ran.out.as_str()), (0, out), "{arguments:?}: {}", ran.err);
        assert_eq!((request.line.as_str(), request.text()), (line, body), "{arguments:?}");
        assert_eq!(request.header("authorization"), "Bearer the-token");

        let (_, ran) = ask(&[arguments, &["--json"]].concat(), "from stdin", STORED);
        let printed: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(
            printed,
            serde_json::from_str::<serde_json::Value>(STORED).unwrap(),
            "{arguments:?}"
        );
    }
}

#[test]
fn content_is_labelled() {
    for (arguments, media) in [
        (&["schema", "put", "-t", "a", "n", "file"][..], "application/schema+json"),
        (&["table", "put", "-t", "a", "n", "file"], "text/csv"),
        (&["plugin", "push", "-t", "a", "n", "file"], "application/wasm"),
        (&["tenant", "create", "a"], "application/json"),
    ] {
        let (request, _) = ask(arguments, "", "{}");
        assert_eq!(request.header("content-type"), media);
        // The SHA-256 of "from a file", as RFC 9530 writes it.
        let digest = if media == "application/wasm" {
            "sha-256=:VStJ3LI7RVgCHfj9oQJy3kWYa85p3YAoP8CyovpXwgk=:"
        } else {
            ""
        };
        assert_eq!(request.header("content-digest"), digest, "{media}");
    }
}

#[test]
fn lists_and_facts_are_for_people() {
    for (arguments, answer, expected) in [
        (
            &["tenant", "list"][..],
            r#"{"tenants":[{"id":"acme","created_at":"2026-01-01T00:00:00.000Z"}]}"#,
            "TENANT  CREATED\nacme    2026-01-01T00:00:00.000Z\n",
        ),
        (
            &["schema", "list", "-t", "acme"],
            r#"{"schemas":[]}"#,
            "NAME  VERSION  DIGEST  BYTES  CREATED\n",
        ),
        (
            &["plugin", "inspect", "-t", "acme", "required", "1.0.0"],
            r#"{"name":"required","version":"1.0.0","digest":"sha256:ab","bytes":9,"builtin":true,
                "inspection":{"imports":["a","b"],"compile_ms":12}}"#,
            "name        required\nversion     1.0.0\nbuilt in    true\ndigest      sha256:ab\nbytes       9\nimports     a, b\ncompile ms  12\n",
        ),
        (
            &["revision", "status", "-t", "acme"],
            r#"{"tenant":"acme","active":null}"#,
            "no revision is active\n",
        ),
        (
            &["revision", "status", "-t", "acme"],
            r#"{"active":{"number":2,"digest":"sha256:ab","at":"2026","by":"admin"},"rollback_to":{"number":1},
                "rules":[{"name":"ids","plugin":"mine","version":"3","digest":"sha256:cd","contract":"1.1.0"}],"nodes":[]}"#,
            "revision     2\ndigest       sha256:ab\nsince        2026\nby           admin\nrollback to  1\n\n\
             RULE  PLUGIN  VERSION  CONTRACT  DIGEST\nids   mine    3        1.1.0     sha256:cd\n",
        ),
    ] {
        let (_, ran) = ask(arguments, "", answer);
        assert_eq!((ran.code, ran.out.as_str()), (0, expected), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn a_new_key_stands_alone_on_standard_output() {
    let arguments = [
        "key", "create", "-t", "acme", "--name", "edge 1", "--scope", "events:write",
        "--rate-limit", "60",
    ];
    let answer = r#"{"id":"k1","key":"tg_live_secret"}"#;
    let (request, ran) = ask(&arguments, "", answer);
    assert_eq!(request.line, "POST /v1/tenants/acme/keys");
    let body: serde_json::Value = serde_json::from_str(request.text()).unwrap();
    assert_eq!(
        body,
        serde_json::json!({"name": "edge 1", "scopes": ["events:write"], "rate_limit": 60})
    );
    assert_eq!(ran.out, "tg_live_secret\n");
    assert!(ran.err.contains("k1") && !ran.err.contains("tg_live"), "{}", ran.err);
}

#[test]
fn applying_may_activate_and_reads_files_before_it_asks() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&lines);
    let address = serve(move |request| {
        seen.lock().unwrap().push(format!("{} {}", request.line, request.text()));
        Some((201, r#"{"number":1,"digest":"sha256:cd"}"#.to_owned()))
    });
    let folder = data_dir(address);
    write(&folder, "revision.json", "{ \"event_types\": {} }");
    let apply = ["revision", "apply", "-t", "acme", "revision.json"];
    assert_eq!(run(folder.path(), &apply, b"").out, "revision 1 sha256:cd\n");
    let ran = run(folder.path(), &[&apply[..], &["--activate"]].concat(), b"");
    assert_eq!(ran.out, "active: revision 1 sha256:cd\n");
    let apply = r#"POST /v1/tenants/acme/revisions {"event_types":{}}"#;
    let activate = "POST /v1/tenants/acme/revisions/sha256%3Acd/activate ";
    assert_eq!(*lines.lock().unwrap(), [apply, apply, activate]);

    write(&folder, "revision.json", "{");
    let ran = run(folder.path(), &["revision", "apply", "-t", "acme", "revision.json"], b"");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("revision.json is not JSON"), "{}", ran.err);
    assert_eq!(lines.lock().unwrap().len(), 3);
}

#[test]
fn long_lists_are_gathered_from_their_pages() {
    let address = serve(|request| {
        let page = |from: u64, to: u64| {
            let rows: Vec<_> =
                (from..to).map(|n| serde_json::json!({ "id": format!("t{n:04}") })).collect();
            Some((200, serde_json::json!({ "tenants": rows }).to_string()))
        };
        match request.line.as_str() {
            "GET /v1/tenants?limit=1000" => page(0, 1000),
            "GET /v1/tenants?limit=1000&after=t0999" => page(1000, 1002),
            other => Some((400, other.to_owned())),
        }
    });
    let folder = data_dir(address);
    let ran = run(folder.path(), &["tenant", "list"], b"");
    assert_eq!((ran.code, ran.out.lines().count()), (0, 1003), "{}", ran.err);
    assert!(ran.out.ends_with("t1001\n"));
}
