//! Dead letters are moved back, each event once (G2).

use std::collections::BTreeSet;
use std::process::Command;

use rand::Rng as _;
use serde_json::Value;
use tidegate_sink_tests::{read_topic, set_topic, wait_records, write_record};
use tidegate_testkit::gateway;

use crate::{Rig, event};

/// `tidegate dlq redrive` for the sink `audit`; what it says.
fn redrive(rig: &Rig, more: &[&str]) -> Value {
    let sinks =
        format!(r#"[{{name="audit",topic="{}",bootstrap="{}"}}]"#, rig.topic, rig.bootstrap);
    let mut command = Command::new(gateway::binary());
    command.args(["--json", "dlq", "redrive", "--sink", "audit"]).args(more);
    let output = command.env("TIDEGATE_SINKS__KAFKA", sinks).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {output:?}"))
}

/// Text that does not become smaller.
fn noise(bytes: usize) -> String {
    let mut random = rand::rng();
    (0..bytes).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
}

#[test]
fn dead_letters_are_moved_back_once_and_a_redrive_goes_on_where_it_was() {
    let rig = Rig::start("redriven", &[]);
    rig.activate("durable");
    assert_eq!(rig.tenant.post(&rig.gateway, &event("first", "ann")).status, 202);
    drop(wait_records(&rig.bootstrap, &rig.topic, 1));
    set_topic(&rig.bootstrap, &rig.topic, "max.message.bytes", "3000");
    for number in 0..5 {
        let mut event = event(&format!("large-{number}"), "ann");
        event["more"] = noise(8000).into();
        assert_eq!(rig.tenant.post(&rig.gateway, &event).status, 202);
    }
    let dead = format!("{}.dlq", rig.topic);
    let letters = wait_records(&rig.bootstrap, &dead, 5);
    assert!(letters.iter().all(|letter| letter.value.len() > 8000), "{letters:?}");
    set_topic(&rig.bootstrap, &rig.topic, "max.message.bytes", "1000000");
    let dry = redrive(&rig, &["--dry-run"]);
    assert_eq!((&dry["moved"], &dry["reasons"]["too-large"]), (&5.into(), &5.into()), "{dry}");
    assert_eq!(redrive(&rig, &["--limit", "2"])["moved"], 2);
    assert_eq!(redrive(&rig, &[])["moved"], 3);
    // A letter that is written once more, as after a crash, is not moved once more.
    write_record(&rig.bootstrap, &dead, &letters[0]);
    let again = redrive(&rig, &[]);
    assert_eq!((&again["moved"], &again["repeated"]), (&0.into(), &1.into()), "{again}");
    let moved: Vec<_> = read_topic(&rig.bootstrap, &rig.topic)
        .into_iter()
        .filter(|record| record.headers.contains_key("tidegate-redriven"))
        .collect();
    let ids: BTreeSet<&str> = moved.iter().map(|record| record.event_id()).collect();
    assert_eq!((moved.len(), ids.len()), (5, 5));
    for record in &moved {
        assert!(record.json()["id"].as_str().unwrap().starts_with("large-"));
        assert_eq!(record.key, "ann");
        assert!(record.headers.keys().all(|name| !name.starts_with("tidegate-dead-")));
    }
}
