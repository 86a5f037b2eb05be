//! Against the real gateway: what a receipt says is what was stored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_connector::{Client, ClientOptions, Connector, Encoding, Outcome, Settled};
use tidegate_testkit::{Gateway, Tenant};
use tidegate_types::Status;

fn tenant(gateway: &Gateway) -> Tenant {
    let tenant = Tenant::create(gateway, "edge");
    let schema = json!({
        "type": "object",
        "required": ["idempotencyKey", "n"],
        "properties": { "idempotencyKey": { "type": "string" }, "n": { "type": "integer" } },
    });
    tenant.schema(gateway, "reading", &schema);
    let revision = json!({
        "default_type": "reading",
        "event_types": { "reading": { "schema": "reading", "key": "/idempotencyKey" } },
        "rules": [],
    });
    tenant.activate(gateway, &revision);
    tenant
}

fn options(gateway: &Gateway, tenant: &Tenant) -> ClientOptions {
    let mut options = ClientOptions::new(format!("http://{}", gateway.ingress), &tenant.key);
    options.connector.retry.first_delay = Duration::from_millis(10);
    options.connector.retry.max_delay = Duration::from_millis(100);
    options
}

async fn posted(options: &ClientOptions, events: Vec<String>) -> Vec<Settled> {
    let mut told = BTreeMap::new();
    let connector = Connector::new(options.connector.clone()).unwrap();
    let events = events.into_iter().map(|event| Ok(event.into()));
    let summary = connector.post(events, |settled| drop(told.insert(settled.index, settled))).await;
    assert_eq!(summary.stopped, None);
    told.into_values().collect()
}

fn status(settled: &Settled) -> &'static str {
    match &settled.outcome {
        Outcome::Receipt(receipt) => receipt.status.as_str(),
        Outcome::Refused(_) => "refused",
        Outcome::Unsettled(_) => "undelivered",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_status_arrives_where_it_belongs() {
    let gateway = Gateway::start();
    let tenant = tenant(&gateway);
    let mut options = options(&gateway, &tenant);
    options.connector.connections = 1;
    let first = json!({ "idempotencyKey": "s-1", "n": 1 });
    let events = [
        first.clone(),
        json!({ "idempotencyKey": "s-2" }),
        first.clone(),
        json!({ "idempotencyKey": "s-1", "n": 2 }),
        json!({ "idempotencyKey": "s-3", "n": 3, "pad": "x".repeat(5 << 20) }),
        json!({ "n": 5 }),
    ];
    let outcomes = posted(&options, events.iter().map(Value::to_string).collect()).await;
    let statuses: Vec<_> = outcomes.iter().map(status).collect();
    assert_eq!(statuses, ["accepted", "rejected", "duplicate", "conflict", "refused", "accepted"]);
    let minted = String::from_utf8(outcomes[5].event.to_vec()).unwrap();
    options.connector.encoding = Encoding::Zstd;
    let filler =
        (0..300).map(|n| json!({ "n": n, "pad": (n * 7919).to_string().repeat(20) }).to_string());
    let again =
        posted(&options, [first.to_string(), minted].into_iter().chain(filler).collect()).await;
    let statuses: Vec<_> = again.iter().take(3).map(status).collect();
    assert_eq!(statuses, ["duplicate", "duplicate", "accepted"]);
    let Outcome::Receipt(receipt) = &again[1].outcome else { panic!("{:?}", again[1]) };
    assert_eq!(receipt.first_status, Some(Status::Accepted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_survive_a_gateway_that_is_killed() {
    let mut gateway = Gateway::start();
    let tenant = tenant(&gateway);
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(&gateway, &tenant);
    options.connector.batch_events = 20;
    options.spool = Some(folder.path().to_owned());
    let told: Arc<Mutex<BTreeMap<String, Vec<Settled>>>> = Arc::default();
    let (halfway, reached) = tokio::sync::oneshot::channel();
    let (teller, mut halfway) = (Arc::clone(&told), Some(halfway));
    let client = Client::open(options.clone(), move |settled| {
        let event: Value = serde_json::from_slice(&settled.event).unwrap();
        let key = event["idempotencyKey"].as_str().unwrap().to_owned();
        let mut told = teller.lock().unwrap();
        told.entry(key).or_default().push(settled.clone());
        if told.len() == 500
            && let Some(halfway) = halfway.take()
        {
            halfway.send(()).unwrap();
        }
    });
    let client = Arc::new(client.await.unwrap());
    let feeder = Arc::clone(&client);
    let feeding = tokio::spawn(async move {
        for n in 0..2000 {
            let event = json!({ "idempotencyKey": format!("g-{n}"), "n": n });
            feeder.send(event.to_string()).await.unwrap();
        }
    });
    reached.await.unwrap();
    let gateway = tokio::task::spawn_blocking(move || {
        gateway.kill();
        gateway.restart();
        gateway
    });
    let gateway = gateway.await.unwrap();
    feeding.await.unwrap();
    assert!(client.flush(Duration::from_secs(60)).await);
    let told = std::mem::take(&mut *told.lock().unwrap());
    assert_eq!(told.len(), 2000);
    let taken = |settled: &Settled| matches!(status(settled), "accepted" | "duplicate");
    assert!(told.values().all(|list| list.len() == 1 && list.iter().all(taken)));
    let events = told.values().flatten();
    let events = events.map(|settled| String::from_utf8(settled.event.to_vec()).unwrap()).collect();
    let again = posted(&options, events).await;
    assert!(again.iter().all(|settled| status(settled) == "duplicate"));
    drop(gateway);
}
