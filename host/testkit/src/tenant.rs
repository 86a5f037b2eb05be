//! A tenant with its key, set up through the admin API as an administrator would.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::{Connection, Response};

/// How long a component may take to be admitted.
const PATIENCE: Duration = Duration::from_secs(120);

/// A tenant that can send.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub id: String,
    /// Its API key.
    pub key: String,
}

fn expect(answer: &Response, statuses: &[u16]) -> Value {
    assert!(statuses.contains(&answer.status), "{} {}", answer.status, answer.text());
    answer.json()
}

impl Tenant {
    /// Makes a tenant and a key that may write and read, as much as it likes.
    #[must_use]
    pub fn create(gateway: &Gateway, id: &str) -> Self {
        let body = json!({ "id": id }).to_string();
        expect(
            &gateway.admin("POST", "/v1/tenants", "application/json", body.as_bytes()),
            &[200, 201],
        );
        let scopes = ["events:write", "events:read"];
        let body =
            json!({ "name": "test", "scopes": scopes, "rate_limit": 1_000_000_000 }).to_string();
        let path = format!("/v1/tenants/{id}/keys");
        let answer =
            expect(&gateway.admin("POST", &path, "application/json", body.as_bytes()), &[201]);
        Self { id: id.to_owned(), key: answer["key"].as_str().expect("the key").to_owned() }
    }

    /// Puts a schema.
    pub fn schema(&self, gateway: &Gateway, name: &str, schema: &Value) {
        let path = format!("/v1/tenants/{}/schemas/{name}", self.id);
        expect(
            &gateway.admin("PUT", &path, "application/json", schema.to_string().as_bytes()),
            &[200, 201],
        );
    }

    /// Puts a reference table.
    pub fn table(&self, gateway: &Gateway, name: &str, csv: &str) {
        let path = format!("/v1/tenants/{}/tables/{name}", self.id);
        expect(&gateway.admin("PUT", &path, "text/csv", csv.as_bytes()), &[200, 201]);
    }

    /// Uploads a component.
    #[must_use]
    pub fn upload(&self, gateway: &Gateway, name: &str, component: &[u8]) -> Response {
        let path = format!("/v1/tenants/{}/plugins/{name}/versions", self.id);
        gateway.admin("POST", &path, "application/wasm", component)
    }

    /// Uploads a component and waits until its job is settled; answers the job.
    #[must_use]
    pub fn upload_settled(&self, gateway: &Gateway, name: &str, component: &[u8]) -> Value {
        let stored = expect(&self.upload(gateway, name, component), &[200, 202]);
        self.settled(gateway, stored["job"].as_str().expect("a job"))
    }

    /// A job when it is settled.
    #[must_use]
    pub fn settled(&self, gateway: &Gateway, job: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let job = self.job(gateway, job);
            if !matches!(job["state"].as_str(), Some("pending" | "running")) {
                return job;
            }
            assert!(Instant::now() < deadline, "the job does not end: {job}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A job as it is now.
    #[must_use]
    pub fn job(&self, gateway: &Gateway, job: &str) -> Value {
        let path = format!("/v1/tenants/{}/jobs/{job}", self.id);
        expect(&gateway.admin("GET", &path, "application/json", b""), &[200])
    }

    /// Stores a revision; the answer as it comes.
    #[must_use]
    pub fn revision(&self, gateway: &Gateway, document: &Value) -> Response {
        let path = format!("/v1/tenants/{}/revisions", self.id);
        gateway.admin("POST", &path, "application/json", document.to_string().as_bytes())
    }

    /// Stores a revision and activates it; answers its digest.
    pub fn activate(&self, gateway: &Gateway, document: &Value) -> String {
        let stored = expect(&self.revision(gateway, document), &[200, 201]);
        let digest = stored["digest"].as_str().expect("a digest").to_owned();
        self.activate_digest(gateway, &digest);
        digest
    }

    /// Activates a stored revision.
    pub fn activate_digest(&self, gateway: &Gateway, digest: &str) {
        let path = format!("/v1/tenants/{}/revisions/{digest}/activate", self.id);
        expect(&gateway.admin("POST", &path, "application/json", b""), &[200, 201]);
    }

    /// The headers of a JSON request.
    #[must_use]
    pub fn headers(&self) -> [(&str, &str); 2] {
        [("x-api-key", &self.key), ("content-type", "application/json")]
    }

    /// Posts one event.
    #[must_use]
    pub fn post(&self, gateway: &Gateway, event: &Value) -> Response {
        gateway.request("POST", "/v1/events", &self.headers(), event.to_string().as_bytes())
    }

    /// Posts a batch.
    #[must_use]
    pub fn post_batch(&self, gateway: &Gateway, events: &[Value]) -> Response {
        self.post_batch_on(&mut gateway.connect(), events).expect("an answer")
    }

    /// Posts a batch on a connection that is open.
    ///
    /// # Errors
    /// Where the gateway goes away before it has answered.
    pub fn post_batch_on(
        &self,
        connection: &mut Connection,
        events: &[Value],
    ) -> std::io::Result<Response> {
        let body = json!({ "events": events }).to_string();
        connection.request("POST", "/v1/events/batch", &self.headers(), body.as_bytes())
    }
}
