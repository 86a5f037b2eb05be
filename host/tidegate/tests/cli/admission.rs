//! `plugin push` follows its job; `plugin show` prints what an admin decides by.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::server::serve;
use crate::support::{Ran, data_dir, run, write};

const STEPS: [&str; 3] = [
    r#"{"job":"7","version":"2","digest":"sha256:ab","state":"pending","steps":[{"step":"scanned","state":"pending"}]}"#,
    r#"{"job":"7","version":"2","digest":"sha256:ab","state":"running","steps":[{"step":"scanned","state":"passed","duration_ms":3},{"step":"compiled","state":"running"}]}"#,
    r#"{"job":"7","version":"2","digest":"sha256:ab","state":"failed","steps":[{"step":"scanned","state":"passed","duration_ms":3},
        {"step":"compiled","state":"failed","duration_ms":9,"problems":[{"detail":"too large","place":{"byte":4},"mend":"make it smaller"}]},
        {"step":"linked","state":"skipped","note":"a step before it failed","duration_ms":0}]}"#,
];

/// Pushes to a gateway whose job comes along by one step with each question.
fn push(more: &[&str], last: usize) -> (usize, Ran) {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let address = serve(move |request| {
        if request.line.starts_with("POST") {
            ASKED.store(0, Ordering::SeqCst);
            return Some((202, STEPS[0].to_owned()));
        }
        assert_eq!(request.line, "GET /v1/tenants/acme/jobs/7");
        let asked = ASKED.fetch_add(1, Ordering::SeqCst) + 1;
        Some((200, STEPS[asked.min(last)].to_owned()))
    });
    let folder = data_dir(address);
    write(&folder, "mine.wasm", "bytes");
    let ran = run(
        folder.path(),
        &[&["plugin", "push", "-t", "acme", "mine", "mine.wasm"], more].concat(),
        b"",
    );
    (ASKED.load(Ordering::SeqCst), ran)
}

#[test]
fn a_push_follows_its_job() {
    let (asked, ran) = push(&[], 2);
    assert_eq!((asked, ran.code), (2, 1), "{}", ran.err);
    let expected = "scanned      passed   3 ms\n\
                    compiled     failed   9 ms\n  too large\n    at: {\"byte\":4}\n    \
                    mend: make it smaller\n\
                    linked       skipped  a step before it failed\n\
                    plugin mine version 2 sha256:ab failed\n";
    assert_eq!(ran.out, expected);

    let (asked, ran) = push(&["--no-wait"], 2);
    assert_eq!(
        (asked, ran.code, ran.out.as_str()),
        (0, 0, "plugin mine version 2 sha256:ab pending\n")
    );

    let (_, ran) = push(&["--json"], 2);
    let printed: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &printed["state"]), (1, &serde_json::json!("failed")));
}

#[test]
fn what_a_version_declares_and_costs_is_shown() {
    let address = serve(|request| {
        assert_eq!(request.line, "GET /v1/tenants/acme/plugins/mine/versions/2");
        let answer = r#"{"name":"mine","version":"2","state":"admitted","inspection":{
            "manifest":{"role":"validator","reads":[{"pointer":"/a","cell":"text"}],"writes":[],
                "tables":[{"name":"planes","columns":[{"name":"year","cell":"integer"}]}],"codes":["bad"]},
            "cost":{"fuel_per_event":{"p50":10,"p99":20}}}}"#;
        Some((200, answer.to_owned()))
    });
    let folder = data_dir(address);
    let ran = run(folder.path(), &["plugin", "show", "-t", "acme", "mine@2"], b"");
    let expected = "name                 mine\n\
                    version              2\n\
                    state                admitted\n\
                    role                 validator\n\
                    codes                bad\n\
                    fuel per event, p50  10\n\
                    fuel per event, p99  20\n\
                    reads  /a (text)\n\
                    table  planes: year (integer)\n";
    assert_eq!((ran.code, ran.out.as_str()), (0, expected), "{}", ran.err);
    let ran = run(folder.path(), &["plugin", "show", "-t", "acme", "mine"], b"");
    assert!(ran.code == 1 && ran.err.contains("mine@VERSION"), "{}", ran.err);
}
