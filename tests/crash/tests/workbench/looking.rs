//! Events in quarantine are listed, counted and shown; what is asked wrongly is told.

use std::process::Command;

use serde_json::{Value, json};
use tidegate_testkit::gateway::binary;

use crate::bench::{Bench, event};

fn groups(bench: &Bench, query: &str) -> Vec<(String, u64)> {
    let counts = bench.get(&format!("/groups?{query}"));
    let groups = counts["groups"].as_array().unwrap().iter();
    groups
        .map(|one| (one["group"].as_str().unwrap().to_owned(), one["events"].as_u64().unwrap()))
        .collect()
}

#[test]
fn what_rules_hold_is_listed_counted_and_shown() {
    let mut bench = Bench::begin(990);
    bench.post(2000);
    bench.gateway.wait_published();
    // These are in the log alone, or on their way.
    bench.post(1000);
    let held: Vec<String> = (0..3000)
        .filter(|number| number % 1000 > 990 || number % 100 == 99)
        .map(|number| bench.ids[&number].clone())
        .collect();
    assert_eq!(held.len(), 27 + 30 - 3);
    let named = |name: &str, events| vec![(name.to_owned(), events)];
    let both = |one: &str, other: &str| [named(one, 27), named(other, 30)].concat();
    assert_eq!(groups(&bench, "by=rule"), both("late", "placed"));
    assert_eq!(groups(&bench, "by=code"), both("late/delay", "placed/gate"));
    assert_eq!(groups(&bench, "by=type"), named("flight", 54));
    assert_eq!(groups(&bench, "by=type&rule=late"), named("flight", 27));
    assert_eq!(groups(&bench, "by=type&rule=late&code=gate"), []);
    assert_eq!(groups(&bench, "by=type&until=1h"), []);
    assert_eq!(groups(&bench, "by=type&since=1h&type=flight"), named("flight", 54));
    assert_eq!(groups(&bench, "by=type&type=other"), []);
    for by in ["hour", "day"] {
        let sum: u64 = groups(&bench, &format!("by={by}")).iter().map(|(_, events)| events).sum();
        assert_eq!(sum, 54, "{by}");
    }
    let path = format!("/v1/tenants/{}/revisions/1", bench.tenant.id);
    let revision = bench.gateway.admin("GET", &path, "application/json", b"").json();
    let digest = revision["digest"].as_str().unwrap();
    let document = &revision["document"];
    assert_eq!(groups(&bench, "by=revision"), named(digest, 54));
    assert_eq!(groups(&bench, &format!("by=type&revision={digest}")), named("flight", 54));
    // Both rules are of one component, and an event counts once for it.
    let component = document["rules"][0]["component"].as_str().unwrap();
    assert_eq!(groups(&bench, "by=plugin"), named(component, 54));
    let schema = document["event_types"]["flight"]["schema"].as_str().unwrap();
    assert_eq!(groups(&bench, "by=schema"), named(schema, 54));

    // Page by page, in the order in which they came.
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = bench.get(&format!("?limit=10{after}"));
        let events = page["events"].as_array().unwrap();
        assert!(events.len() <= 10, "{page}");
        seen.extend(events.iter().map(|one| one["event_id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    // Not that of their ids: those of one millisecond come from several threads.
    assert_eq!(seen, held);

    let view = bench.get(&format!("/{}", bench.ids[&995]));
    assert_eq!((&view["state"], &view["settlement"]), (&json!("open"), &Value::Null));
    assert_eq!((&view["original"], &view["revision"]), (&event(995), &json!(digest)));
    assert_eq!(view["findings"][0]["rule"], "late");
    assert_eq!(bench.call("GET", &format!("/{}", bench.ids[&1]), &Value::Null).status, 404);
}

#[test]
fn what_is_asked_wrongly_is_refused_with_a_reason() {
    let mut bench = Bench::begin(990);
    bench.post(1000);
    let id = bench.ids[&999].clone();
    let other = bench.gateway.admin("POST", "/v1/tenants", "application/json", br#"{"id":"b"}"#);
    assert_eq!(other.status, 201);
    let next = bench.get("?limit=1")["next"].as_str().unwrap().to_owned();
    let elsewhere = format!("/v1/tenants/b/quarantine?after={next}");
    let answer = bench.gateway.admin("GET", &elsewhere, "application/json", b"");
    assert_eq!(answer.status, 400, "a cursor of another tenant: {}", answer.text());
    let release = format!("/{id}/release");
    let discard = format!("/{id}/discard");
    let pointer = |pointer: &str| json!({ "patch": [{ "op": "remove", "pointer": pointer }] });
    for (method, path, body, status, at) in [
        ("GET", "?limit=0", Value::Null, 400, ""),
        ("GET", "?limit=1001", Value::Null, 400, ""),
        ("GET", "?after=zz", Value::Null, 400, ""),
        ("GET", "?since=yesterday", Value::Null, 400, "/since"),
        ("GET", "?revision=abc", Value::Null, 400, "/revision"),
        ("GET", "?rule=", Value::Null, 400, "/rule"),
        ("GET", "?colour=red", Value::Null, 400, ""),
        ("GET", "/groups", Value::Null, 400, ""),
        ("GET", "/groups?by=colour", Value::Null, 400, ""),
        ("GET", "/x", Value::Null, 400, ""),
        ("GET", "/01890a5d-ac96-7abc-8def-0123456789ab", Value::Null, 404, ""),
        ("POST", "/01890a5d-ac96-7abc-8def-0123456789ab/release", Value::Null, 404, ""),
        ("POST", &discard, json!({}), 400, ""),
        ("POST", &discard, json!({ "reason": " " }), 400, "/reason"),
        ("POST", &discard, json!({ "reason": "x".repeat(4097) }), 400, "/reason"),
        ("POST", &release, json!({ "because": "x" }), 400, "/because"),
        ("POST", &release, pointer("gate"), 400, "/patch/0/pointer"),
        ("POST", &release, pointer(""), 400, "/patch/0/pointer"),
        ("POST", &release, pointer("/id"), 400, "/patch"),
        ("POST", &release, pointer("/delay/minutes"), 400, "/patch"),
        ("POST", &release, json!({ "patch": [{ "op": "set", "pointer": "/a" }] }), 400, "/patch/0"),
        (
            "POST",
            &release,
            json!({ "patch": [{ "op": "set", "pointer": "/type", "value": "other" }] }),
            400,
            "/patch",
        ),
        (
            "POST",
            &release,
            json!({ "patch": [{ "op": "set", "pointer": "/id", "value": "f-1" }], "force": true }),
            400,
            "/patch",
        ),
        ("POST", "/jobs", json!({ "action": "keep", "reason": "x" }), 400, "/action"),
        ("POST", "/jobs", json!({ "action": "release" }), 400, ""),
        ("POST", "/jobs", json!({ "action": "discard", "reason": "" }), 400, "/reason"),
        ("POST", "/jobs", json!({ "action": "discard", "reason": "x", "force": true }), 400, ""),
        ("POST", "/jobs", json!({ "action": "release", "reason": "x", "rate": 0 }), 400, "/rate"),
        (
            "POST",
            "/jobs",
            json!({ "action": "release", "reason": "x", "filter": { "since": "soon" } }),
            400,
            "/filter/since",
        ),
        (
            "POST",
            "/jobs",
            json!({ "action": "release", "reason": "x", "filter": { "colour": "red" } }),
            400,
            "/filter/colour",
        ),
        ("GET", "/jobs/999", Value::Null, 404, ""),
        ("DELETE", "/jobs/999", Value::Null, 404, ""),
    ] {
        let answer = bench.call(method, path, &body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.text());
        let problem = answer.json();
        let pointer = problem["pointer"].as_str().unwrap_or_default();
        assert_eq!(pointer, at, "{method} {path} {body}: {problem}");
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
    let nobody = "/v1/tenants/nobody/quarantine";
    let answer = bench.gateway.admin("GET", nobody, "application/json", b"");
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert_eq!(bench.open(), 18, "nothing was decided");
}

#[test]
fn the_command_line_looks_and_decides() {
    let mut bench = Bench::begin(990);
    bench.post(1000);
    let tidegate = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["quarantine", arguments[0], "--tenant", "flights", "--json"]);
        let output = command
            .args(&arguments[1..])
            .env("TIDEGATE_DATA_DIR", bench.gateway.folder())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            output.status.success(),
            serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
            text,
        )
    };
    let ok = |arguments: &[&str]| {
        let (is_good, answer, text) = tidegate(arguments);
        assert!(is_good, "{arguments:?}: {text}");
        answer
    };
    assert_eq!(ok(&["list", "--limit", "7"])["events"].as_array().unwrap().len(), 7);
    let counts = ok(&["groups", "--by", "code", "--rule", "late"]);
    assert_eq!(counts["groups"][0], json!({ "group": "late/delay", "events": 9 }));
    let late = bench.ids[&995].as_str();
    assert_eq!(ok(&["show", late])["state"], "open");
    let (is_good, _, text) = tidegate(&["release", late]);
    assert!(!is_good && text.contains("would not be accepted"), "{text}");
    assert_eq!(ok(&["discard", late, "--reason", "a test"])["action"], "discarded");
    assert!(!tidegate(&["discard", "--all"]).0, "without a reason nothing is discarded");
    assert!(!tidegate(&["release", late, "--all", "--reason", "x"]).0, "one, or all");
    let done = ok(&["release", "--all", "--rule", "placed", "--force", "--reason", "known gates"]);
    assert_eq!((&done["state"], &done["released"]), (&json!("done"), &json!(10)));
    let done = ok(&["discard", "--all", "--reason", "too late", "--rate", "5000"]);
    assert_eq!((&done["state"], &done["discarded"]), (&json!("done"), &json!(7)));
    let jobs = ok(&["jobs"])["jobs"].clone();
    assert_eq!(jobs.as_array().unwrap().len(), 2);
    assert_eq!(jobs[0]["reason"], "too late");
    assert_eq!(bench.open(), 0);
}
