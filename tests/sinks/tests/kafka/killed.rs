//! The gateway is killed at random moments while it forwards, and the broker restarted: everything that
//! was acknowledged is in the topic, and what is there twice has the same event id (D7, D9).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use tidegate_sink_tests::{read_topic, sink_status, wait_until};
use tidegate_testkit::{Connection, Kafka, Tenant};

use crate::{Rig, event};

const KILLS: usize = 8;

/// Posts batches until told to stop; notes what was acknowledged, with its event id.
fn post(
    address: &str,
    tenant: &Tenant,
    poster: usize,
    stop: &AtomicBool,
    taken: &Mutex<BTreeMap<String, String>>,
) {
    let mut round = 0;
    while !stop.load(Ordering::SeqCst) {
        let events: Vec<Value> = (0..25)
            .map(|number| event(&format!("{poster}-{round:05}-{number:02}"), &format!("p{poster}")))
            .collect();
        let answer = Connection::open(address)
            .and_then(|mut connection| tenant.post_batch_on(&mut connection, &events));
        let Ok(answer) = answer else {
            // The same again: who was not answered asks once more.
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let body = answer.json();
        let receipts = body["receipts"].as_array().cloned().unwrap_or_default();
        let mut again = answer.status != 202;
        for (event, receipt) in events.iter().zip(&receipts) {
            match receipt["status"].as_str() {
                Some("accepted" | "duplicate") => {
                    let id = receipt["event_id"].as_str().unwrap().to_owned();
                    taken.lock().unwrap().insert(event["id"].as_str().unwrap().to_owned(), id);
                }
                _ => again = true,
            }
        }
        round += usize::from(!again);
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_what_is_there_twice_says_so() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let broker = Kafka::start();
    let mut rig = Rig::start_by("killed", broker.bootstrap(), "", &[]);
    rig.activate("durable");
    let (stop, taken) = (AtomicBool::new(false), Mutex::new(BTreeMap::new()));
    let (address, tenant) = (rig.gateway.ingress.clone(), &rig.tenant);
    std::thread::scope(|scope| {
        for poster in 0..3 {
            let (address, stop, taken) = (&address, &stop, &taken);
            scope.spawn(move || post(address, tenant, poster, stop, taken));
        }
        for kill in 0..KILLS {
            std::thread::sleep(Duration::from_millis(random.random_range(100..900)));
            rig.gateway.kill();
            rig.gateway.launch();
            rig.gateway.wait_ready();
            if kill == KILLS / 2 {
                broker.kill();
                std::thread::sleep(Duration::from_millis(random.random_range(0..2000)));
                broker.restart();
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
    wait_until("the sink has all", || sink_status(&rig.gateway, "audit")["lag"] == 0);
    let records = read_topic(&rig.bootstrap, &rig.topic);
    let taken = taken.into_inner().unwrap();
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut firsts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in &records {
        let name = record.json()["id"].as_str().unwrap().to_owned();
        let known = ids.entry(name.clone()).or_default();
        if known.is_empty() {
            firsts.entry(record.key.clone()).or_default().push(name);
        }
        known.insert(record.event_id().to_owned());
    }
    let missing: Vec<_> = taken.keys().filter(|name| !ids.contains_key(*name)).take(5).collect();
    assert!(missing.is_empty(), "acknowledged and not there: {missing:?}");
    for (name, ids) in &ids {
        assert_eq!(ids.len(), 1, "{name} was taken once: {ids:?}");
        assert!(taken.get(name).is_none_or(|id| ids.contains(id)), "{name} has its receipt's id");
    }
    for (key, order) in &firsts {
        assert!(order.is_sorted(), "{key} is out of order");
    }
    println!("{} events, {} records, {KILLS} kills", ids.len(), records.len());
    assert!(ids.len() > 100, "there was load");
}
