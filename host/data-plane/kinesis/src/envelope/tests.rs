//! Messages and what they are as records.

use serde_json::{Value, json};
use tidegate_sinks::Reason;
use tidegate_types::{Digest, EventId, UnixMillis};

use super::*;

fn message(body: &[u8]) -> Message<'_> {
    Message {
        event_id: EventId::from_parts(UnixMillis(1_700_000_000_000), 7, 9),
        tenant: "acme",
        event_type: "flight.landed",
        source: "/airports/\"ber\"",
        event_time: Some(UnixMillis(1_600_000_000_123)),
        partition_key: "LH1",
        revision: Digest::of(b"revision"),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        kind: Kind::Accepted,
        cloud_event: false,
        body,
        latest: None,
        generation: None,
    }
}

fn read(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", text(bytes)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The attributes of [`message`].
fn attributes_of(id: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/airports/\"ber\"", "type": "flight.landed",
        "time": "2020-09-13T12:26:40.123Z", "datacontenttype": "application/json", "tenantid": "acme",
        "receivedat": "2023-11-14T22:13:20.000Z",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tidegaterevision": Digest::of(b"revision").to_string(),
    })
}

#[test]
fn an_event_is_data_byte_for_byte() {
    let body = br#"{ "gate" : 1.50, "s":"\u00e9" }"#;
    let message = message(body);
    let record = encode(&message, Envelope::CloudEvents).unwrap();
    assert!(text(&record).ends_with(&format!("\"data\":{}}}", text(body))), "{}", text(&record));
    let mut expected = attributes_of(&message.event_id.to_string());
    expected["data"] = json!({ "gate": 1.5, "s": "é" });
    assert_eq!(read(&record), expected);
    let bare = Message { event_time: None, traceparent: None, body: b"[1]", ..message };
    let record = read(&encode(&bare, Envelope::CloudEvents).unwrap());
    assert_eq!((record.get("time"), record.get("traceparent")), (None, None));
    assert_eq!(record["data"], json!([1]));
}

#[test]
fn held_and_dead_ones_say_so_in_either_envelope() {
    for envelope in [Envelope::CloudEvents, Envelope::Event] {
        let kind = Kind::Quarantined { findings: br#"[{"rule":"r"}]"# };
        let record = read(&encode(&Message { kind, ..message(b"{}") }, envelope).unwrap());
        assert_eq!(record["tidegatestatus"], "quarantined");
        assert_eq!(record["tidegatefindings"], r#"[{"rule":"r"}]"#);
        let kind = Kind::Quarantined { findings: b"" };
        let record = read(&encode(&Message { kind, ..message(b"{}") }, envelope).unwrap());
        assert_eq!(record.get("tidegatefindings"), None);
        for (stands_for, count) in [(1, None), (40, Some(json!(40)))] {
            let reason = Reason { code: "too-large", detail: "a \"b\"", sink: "main", stands_for };
            let kind = Kind::Dead(reason);
            let record = read(&encode(&Message { kind, ..message(b"{}") }, envelope).unwrap());
            assert_eq!(record["tidegatedeadreason"], "too-large");
            assert_eq!(record["tidegatedeaddetail"], "a \"b\"");
            assert_eq!(record["tidegatedeadsink"], "main");
            assert_eq!(record.get("tidegatedeadcount"), count.as_ref());
        }
    }
}

#[test]
fn a_cloud_event_keeps_its_own_members_and_gets_what_it_lacks() {
    let body =
        br#" {"specversion":"1.0","id" : "a-1","source":"/s","type":"t","data":{"id":2,"n":1e2}} "#;
    let message = Message { cloud_event: true, ..message(body) };
    let record = encode(&message, Envelope::CloudEvents).unwrap();
    let kept = text(body);
    let kept = kept.trim_end().trim_end_matches('}');
    assert!(text(&record).starts_with(kept), "{}", text(&record));
    let record = read(&record);
    assert_eq!((&record["id"], &record["source"]), (&json!("a-1"), &json!("/s")));
    assert_eq!(
        (&record["tenantid"], &record["time"]),
        (&json!("acme"), &json!("2020-09-13T12:26:40.123Z"))
    );
    assert_eq!(record.get("datacontenttype"), None, "it says itself what its data is");
    let empty = Message { body: b"{ }", ..message };
    let mut expected = attributes_of(&message.event_id.to_string());
    expected.as_object_mut().unwrap().remove("datacontenttype");
    assert_eq!(read(&encode(&empty, Envelope::CloudEvents).unwrap()), expected);
}

#[test]
fn what_is_the_gateways_word_is_not_the_senders() {
    let body = br#"{"id":"1","tenantid":"other","tidegatestatus":"quarantined","tidegate\u0064eadsink":"x","x":[1, 2]}"#;
    let message = Message { cloud_event: true, ..message(body) };
    let record = encode(&message, Envelope::CloudEvents).unwrap();
    for name in ["tenantid", "\"id\"", "\"x\""] {
        assert_eq!(text(&record).matches(name).count(), 1, "{name} in {}", text(&record));
    }
    assert!(text(&record).contains("\"x\":[1, 2]"));
    let record = read(&record);
    assert_eq!(record["tenantid"], "acme");
    assert_eq!((record.get("tidegatestatus"), record.get("tidegatedeadsink")), (None, None));
}

#[test]
fn the_event_alone_carries_its_tenant() {
    for (body, expected) in [
        (r#"{"a":1}"#, Some(r#"{"a":1,"tenantId":"acme"}"#)),
        (r"{ }", Some(r#"{ "tenantId":"acme"}"#)),
        (r#"{"tenantId" : "own", "a":1} "#, Some(r#"{"tenantId" : "own", "a":1} "#)),
        (r#"{"in":{"tenantId":"x"}}"#, Some(r#"{"in":{"tenantId":"x"},"tenantId":"acme"}"#)),
        (r#"{"a":"}"}"#, Some(r#"{"a":"}","tenantId":"acme"}"#)),
        (r#"{"tenant\u0049d":"own"}"#, Some(r#"{"tenant\u0049d":"own"}"#)),
        ("[1]", None),
        ("\"{}\"", None),
        ("", None),
    ] {
        let record = encode(&message(body.as_bytes()), Envelope::Event);
        assert_eq!(record.map(|bytes| text(&bytes)).ok().as_deref(), expected, "{body}");
    }
}

#[test]
fn a_cloud_event_that_is_no_object_is_refused() {
    let message = Message { cloud_event: true, ..message(b"[{}]") };
    assert_eq!(encode(&message, Envelope::CloudEvents), Err(NotAnObject));
}
