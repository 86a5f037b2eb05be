//! Single decisions: each is made once, and stored as it was made.

use serde_json::{Value, json};

use crate::bench::{Bench, event, revision};

fn set(pointer: &str, value: &Value) -> Value {
    json!({ "patch": [{ "op": "set", "pointer": pointer, "value": value }] })
}

#[test]
fn an_event_is_settled_once_and_released_under_its_own_id() {
    let mut bench = Bench::begin(990);
    bench.post(1000);
    // 995 is late, 99 and 199 have no gate, 999 is both.
    let (status, again) = bench.settle(995, "release", &Value::Null);
    assert_eq!((status, &again["type"]), (409, &json!("urn:tidegate:problem:held-again")));
    assert_eq!(again["findings"][0]["rule"], "late");
    assert_eq!(again["event_status"], "quarantined");
    assert_eq!(bench.open(), 18, "it stays open");

    let mended = bench.tenant.activate(&bench.gateway, &revision(999));
    let (status, done) = bench.settle(995, "release", &json!({ "reason": "mended" }));
    assert_eq!((status, &done["action"]), (200, &json!("released")), "{done}");
    assert_eq!((&done["revision"], &done["findings"]), (&json!(mended), &json!([])));
    let (status, second) = bench.settle(995, "release", &json!({ "reason": "once more" }));
    assert_eq!((status, &second["lsn"]), (200, &done["lsn"]), "the first one's answer");
    assert_eq!(second["reason"], "mended");
    let (status, refused) = bench.settle(995, "discard", &json!({ "reason": "no" }));
    assert_eq!((status, &refused["type"]), (409, &json!("urn:tidegate:problem:already-settled")));
    assert_eq!(refused["settlement"], second);

    assert_eq!(bench.settle(99, "release", &Value::Null).0, 409);
    let (status, patched) = bench.settle(99, "release", &set("/gate", &json!("B")));
    assert_eq!((status, &patched["action"]), (200, &json!("patched_and_released")), "{patched}");
    let mut forced = set("/note", &json!("seen"));
    forced["force"] = true.into();
    let (status, forced) = bench.settle(199, "release", &forced);
    assert_eq!((status, &forced["findings"][0]["rule"]), (200, &json!("placed")), "{forced}");
    let (status, gone) = bench.settle(999, "discard", &json!({ "reason": "a test" }));
    assert_eq!((status, &gone["action"]), (200, &json!("discarded")));
    let (status, same) = bench.settle(999, "discard", &json!({ "reason": "another" }));
    assert_eq!((status, &same["lsn"], &same["reason"]), (200, &gone["lsn"], &json!("a test")));
    assert_eq!(bench.settle(999, "release", &json!({ "force": true })).0, 409);
    assert_eq!(bench.open(), 14);

    let views = |bench: &Bench| {
        [995, 99, 199, 999].map(|number| bench.get(&format!("/{}", bench.ids[&number])))
    };
    let before = views(&bench);
    let states = before.iter().map(|view| view["state"].as_str().unwrap());
    let expected = ["released", "patched_and_released", "patched_and_released", "discarded"];
    assert!(states.eq(expected), "{before:?}");
    assert_eq!(before[1]["mended"]["gate"], "B");
    assert_eq!(before[1]["original"], event(99));
    assert_eq!(before[3]["settlement"]["by"], "admin");
    bench.gateway.wait_published();
    assert_eq!(views(&bench), before, "from Parquet");
    bench.gateway.kill();
    bench.gateway.restart();
    assert_eq!(views(&bench), before, "after a crash");

    let ids = bench.ids.clone();
    let stored = bench.stored();
    for (number, expected) in [
        (995, Some(event(995))),
        (99, Some(json!({ "id": "f-99", "delay": 99, "gate": "B" }))),
        (199, Some(json!({ "id": "f-199", "delay": 199, "gate": "Z", "note": "seen" }))),
        (999, None),
        (299, None),
    ] {
        let [held, accepted] = &stored[&ids[&number]];
        assert_eq!(held.as_ref().unwrap().original, event(number), "as it came in");
        assert_eq!(accepted.as_ref().map(|one| one.original.clone()), expected, "{number}");
        if let Some(accepted) = accepted {
            assert_eq!(accepted.revision, mended);
            assert_eq!(accepted.delivered["limit"], 999, "its rules' patches");
            assert_eq!(accepted.findings.len(), usize::from(number == 199));
        }
    }
    assert_eq!(stored.values().filter(|[held, _]| held.is_some()).count(), 18);
}

/// An event that nobody judged, since the rule's breaker was open, is released by what judges it now:
/// each verdict is stored with what it depended on.
#[test]
fn a_release_has_a_context_of_its_own() {
    let mut bench = Bench::begin(990);
    let path = "/v1/tenants/flights/plugins/expectations/versions";
    let versions = bench.gateway.admin("GET", path, "application/json", b"").json();
    let digest = versions["versions"][0]["digest"].as_str().unwrap().to_owned();
    let limit = |bench: &Bench, limits: &[u8]| {
        let path = format!("{path}/{digest}/limits");
        assert_eq!(bench.gateway.admin("PUT", &path, "application/json", limits).status, 200);
    };
    // One batch with late flights is one fault of the rule; the sixth is not judged by it.
    limit(&bench, br#"{"max_findings_per_row": 0, "breaker_faults": 1}"#);
    bench.post(1000);
    bench.post(1);
    let held = bench.get(&format!("/{}", bench.ids[&1000]));
    assert_eq!(held["findings"][0]["code"], "rule-fault", "{held}");
    let why = held["findings"][0]["detail"].as_str().unwrap();
    assert!(why.contains("its breaker is open"), "{why}");
    assert_eq!(held["context"]["replaced"][0], json!({ "rule": "late", "on_fault": why }));

    limit(&bench, b"{}");
    assert!(bench.gateway.terminate(), "{}", bench.gateway.log());
    bench.gateway.restart();
    let (status, released) = bench.settle(1000, "release", &json!({ "reason": "it is well now" }));
    assert_eq!((status, &released["findings"]), (200, &json!([])), "{released}");
    let id = bench.ids[&1000].clone();
    let [held, accepted] = &bench.stored()[&id];
    assert_eq!(held.as_ref().unwrap().context["replaced"][0]["rule"], "late");
    assert_eq!(accepted.as_ref().unwrap().context, Value::Null, "the rule itself judged");
}
