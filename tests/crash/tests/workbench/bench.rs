//! A tenant whose rules hold flights that are late, or whose gate is unknown.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_crash::{Stored, stored};
use tidegate_testkit::{Gateway, Response, Tenant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Holds flights that are later than a maximum, or whose gate is not known.
pub(crate) fn revision(max: i64) -> Value {
    json!({
        "default_type": "flight",
        "event_types": { "flight": { "key": "/id", "schema": "flight" }, "other": {} },
        "type_pointer": "/type",
        "rules": [
            { "name": "late", "component": "expectations", "config": { "expectations": [
                { "name": "delay", "field": "/delay", "expect": { "range": { "max": max } }, "severity": "soft_fail" }] } },
            { "name": "placed", "component": "expectations", "config": { "expectations": [
                { "name": "gate", "field": "/gate", "expect": { "set": ["A", "B"] }, "severity": "soft_fail" }] } },
            { "name": "mark", "component": "normalize", "config": { "steps": [{ "set": "/limit", "constant": max }] } }
        ]
    })
}

/// Of a thousand in a row nine are later than 990, ten have no gate, and one is both.
pub(crate) fn event(number: usize) -> Value {
    let gate = if number % 100 == 99 { "Z" } else { "A" };
    json!({ "id": format!("f-{number}"), "delay": number % 1000, "gate": gate })
}

pub(crate) struct Bench {
    pub(crate) gateway: Gateway,
    pub(crate) tenant: Tenant,
    /// Event ids by number.
    pub(crate) ids: BTreeMap<usize, String>,
}

impl Bench {
    pub(crate) fn begin(max: i64) -> Self {
        Self::with(max, &[("STORAGE__FLUSH_AFTER", "200ms")])
    }

    pub(crate) fn with(max: i64, settings: &[(&str, &str)]) -> Self {
        let gateway = Gateway::start_with(settings);
        let tenant = Tenant::create(&gateway, "flights");
        let schema = json!({ "properties": { "delay": { "type": "integer" } } });
        tenant.schema(&gateway, "flight", &schema);
        tenant.activate(&gateway, &revision(max));
        Self { gateway, tenant, ids: BTreeMap::new() }
    }

    /// Posts the next events.
    pub(crate) fn post(&mut self, count: usize) {
        let mut connection = self.gateway.connect();
        let first = self.ids.len();
        for from in (first..first + count).step_by(100) {
            let numbers = from..(first + count).min(from + 100);
            let events: Vec<Value> = numbers.clone().map(event).collect();
            let answer = self.tenant.post_batch_on(&mut connection, &events).unwrap();
            assert_eq!(answer.status, 202, "{}", answer.text());
            let receipts = answer.json()["receipts"].as_array().unwrap().clone();
            let ids = receipts.iter().map(|one| one["event_id"].as_str().unwrap().to_owned());
            self.ids.extend(numbers.zip(ids));
        }
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Response {
        let path = format!("/v1/tenants/{}/quarantine{path}", self.tenant.id);
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.gateway.admin(method, &path, "application/json", &bytes)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, &Value::Null);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// How the answer to a decision about an event is.
    pub(crate) fn settle(&self, number: usize, how: &str, body: &Value) -> (u16, Value) {
        let answer = self.call("POST", &format!("/{}/{how}", self.ids[&number]), body);
        (answer.status, answer.json())
    }

    pub(crate) fn open(&self) -> u64 {
        self.get("/groups?by=rule")["events"].as_u64().unwrap()
    }

    /// Begins a job; answers its path.
    pub(crate) fn begin_job(&self, body: &Value) -> String {
        let begun = self.call("POST", "/jobs", body);
        assert_eq!(begun.status, 202, "{}", begun.text());
        let path = format!("/jobs/{}", begun.json()["id"]);
        let location = format!("/v1/tenants/{}/quarantine{path}", self.tenant.id);
        assert_eq!(begun.header("location"), Some(location.as_str()));
        path
    }

    /// A job, as soon as it has ended.
    pub(crate) fn ended(&self, job: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let view = self.get(job);
            if view["state"] != "running" {
                return view;
            }
            assert!(Instant::now() < deadline, "it does not end: {view}");
            std::thread::yield_now();
        }
    }

    /// Stops the gateway; what is stored of the tenant, by event id: as it was held, and as it was
    /// accepted.
    pub(crate) fn stored(&mut self) -> BTreeMap<String, [Option<Stored>; 2]> {
        assert!(self.gateway.terminate(), "{}", self.gateway.log());
        let mut all: BTreeMap<String, [Option<Stored>; 2]> = BTreeMap::new();
        for event in stored::read(self.gateway.folder()) {
            if event.tenant != self.tenant.id {
                continue;
            }
            let both = all.entry(event.event_id.to_string()).or_default();
            let place = &mut both[usize::from(!event.quarantined)];
            assert!(place.is_none(), "stored twice: {event:?}");
            *place = Some(event);
        }
        all
    }
}
