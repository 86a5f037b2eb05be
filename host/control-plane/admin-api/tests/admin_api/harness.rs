//! A gateway's control plane on a free port, a recording data plane, and a client that speaks
//! HTTP/1.1 by hand.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_admin_api::{
    ActiveRule, AdminState, AdminToken, BoxFuture, Certified, ComponentRegistry, DataPlane,
    FailingRevision, HeldDecision, HeldFilter, HeldGroup, Inspection, Limits, LogRequest,
    NotSettled, ParquetLimits, ReplayProgress, ReplayRequest, Rest, ServeError, SettlePage,
    Settled, Verdict, Workbench, serve,
};
use tidegate_catalog::{ArtifactName, BuiltinComponent, CasePolicy, Catalog, Selector, TableCells};
use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::rules::ACTIVE;
use tidegate_types::problem::ProblemPart;
use tidegate_types::revision::RevisionDocument;
use tidegate_types::{Digest, EventId, Problem, ProblemType, TenantId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

pub(crate) const TOKEN: &str = "tg_admin_0123456789abcdef0123456789abcdef";

/// What one publication saw in the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) live_keys: usize,
    /// Tenant and number of every active revision.
    pub(crate) active: Vec<(String, u64)>,
}

/// A data plane that records what it is told and fails when it is told to.
pub(crate) struct Plane {
    catalog: Arc<Catalog>,
    pub(crate) seen: Mutex<Vec<Seen>>,
    pub(crate) refuse: AtomicBool,
    pub(crate) panic: AtomicBool,
    pub(crate) wrong_rules: Mutex<Vec<ProblemPart>>,
    pub(crate) checked: Mutex<Vec<RevisionDocument>>,
    pub(crate) inspected: AtomicUsize,
    /// Each certification takes a permit after its first step.
    pub(crate) trials: Semaphore,
    /// Each publication takes a permit; tests that close the gate hold publications back.
    pub(crate) gate: Semaphore,
    /// Told when a publication stands at the gate.
    pub(crate) waiting: Notify,
    running: AtomicUsize,
    pub(crate) most_running: AtomicUsize,
}

const OPEN: usize = 1_000_000;

impl Plane {
    fn new(catalog: Arc<Catalog>) -> Self {
        Self {
            catalog,
            seen: Mutex::default(),
            refuse: AtomicBool::new(false),
            panic: AtomicBool::new(false),
            wrong_rules: Mutex::default(),
            checked: Mutex::default(),
            inspected: AtomicUsize::new(0),
            trials: Semaphore::new(OPEN),
            gate: Semaphore::new(OPEN),
            waiting: Notify::new(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
        }
    }

    pub(crate) fn close_gate(&self) {
        self.gate.forget_permits(OPEN);
    }

    pub(crate) fn open_gate(&self) {
        self.gate.add_permits(OPEN);
    }

    pub(crate) fn close_trials(&self) {
        self.trials.forget_permits(OPEN);
    }

    pub(crate) fn last_seen(&self) -> Seen {
        self.seen.lock().expect("no panic").last().cloned().expect("a publication")
    }

    async fn look(&self) -> Result<(), Problem> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        self.waiting.notify_one();
        self.gate.acquire().await.expect("the gate is never torn down").forget();
        tokio::task::yield_now().await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        assert!(!self.panic.load(Ordering::SeqCst), "a data plane that panics");
        let keys = self.catalog.all_keys().expect("the keys");
        let active = self.catalog.active_revisions().expect("the active revisions");
        let active = active.iter().map(|a| (a.tenant.to_string(), a.revision.number)).collect();
        let live_keys = keys.iter().filter(|key| key.is_active).count();
        if self.refuse.load(Ordering::SeqCst) {
            return Err(Problem::new(ProblemType::Unavailable, "the data plane refuses"));
        }
        self.seen.lock().expect("no panic").push(Seen { live_keys, active });
        Ok(())
    }
}

impl DataPlane for Plane {
    fn admission_steps(&self) -> &'static [&'static str] {
        &["scanned", "compiled"]
    }

    fn certify(
        &self,
        _tenant: &TenantId,
        component: Bytes,
        cases: CasePolicy,
        done: mpsc::Sender<Value>,
    ) -> BoxFuture<'_, Certified> {
        Box::pin(async move {
            self.inspected.fetch_add(1, Ordering::SeqCst);
            let scanned = json!({ "step": "scanned", "state": "passed" });
            done.send(scanned.clone()).await.ok();
            self.trials.acquire().await.expect("never torn down").forget();
            assert!(!component.ends_with(b"panic"), "a data plane that panics");
            let ended = |verdict, steps: Vec<Value>| Certified { verdict, steps, inspection: None };
            if component.ends_with(b"bad") || cases == CasePolicy::Required {
                let problems = json!([{ "detail": "it is too bad", "mend": "make it good" }]);
                let failed = json!({ "step": "compiled", "state": "failed", "problems": problems });
                return ended(Verdict::Failed, vec![scanned, failed]);
            }
            if component.ends_with(b"trouble") && self.refuse.load(Ordering::SeqCst) {
                return ended(Verdict::Undecided("no room".to_owned()), vec![scanned]);
            }
            let compiled = json!({ "step": "compiled", "state": "passed" });
            let inspection = Inspection {
                imports: vec!["tidegate:rules/batch@1.0.0".to_owned()],
                exports: vec!["tidegate:rules/rules@1.0.0".to_owned()],
                compile_ms: 12,
                code_bytes: component.len() as u64 * 3,
                manifest: None,
                cost: None,
            };
            let certified = ended(Verdict::Admitted, vec![scanned, compiled]);
            Certified { inspection: Some(inspection), ..certified }
        })
    }

    fn check_schema(&self, bytes: &[u8]) -> Result<(), Vec<ProblemPart>> {
        let schema: Value = serde_json::from_slice(bytes).expect("the API has read it as JSON");
        match schema.get("type") {
            Some(Value::Number(_)) => {
                let detail = "is a name or a list of names".to_owned();
                Err(vec![ProblemPart { pointer: "/type".to_owned(), detail }])
            }
            _ => Ok(()),
        }
    }

    fn read_parquet(&self, file: Bytes, limits: &ParquetLimits) -> Result<TableCells, String> {
        // The real reader is the storage's; here a file is what it says.
        let text = std::str::from_utf8(&file).map_err(|error| error.to_string())?;
        let ends = (1..=text.len() as u32).collect::<Vec<_>>();
        if ends.len() > limits.cells {
            return Err("too many cells".to_owned());
        }
        let columns = vec!["k".to_owned(), "v".to_owned()];
        Ok(TableCells { columns, text: text.to_owned(), ends })
    }

    fn check_revision(
        &self,
        _tenant: &TenantId,
        document: &RevisionDocument,
    ) -> BoxFuture<'_, Result<(), Vec<ProblemPart>>> {
        let wrong = self.wrong_rules.lock().expect("no panic").clone();
        self.checked.lock().expect("no panic").push(document.clone());
        Box::pin(async move { if wrong.is_empty() { Ok(()) } else { Err(wrong) } })
    }

    fn publish<'a>(&'a self, _whose: Option<&'a TenantId>) -> BoxFuture<'a, Result<(), Problem>> {
        Box::pin(self.look())
    }

    fn failing(&self) -> Vec<FailingRevision> {
        Vec::new()
    }

    fn check_limits(&self, _of_component: bool, limits: &Value) -> Result<(), String> {
        if limits.get("max_calls").is_some_and(Value::is_string) {
            return Err("max_calls is a number".to_owned());
        }
        Ok(())
    }

    fn plugin_log(&self, _tenant: &TenantId, wanted: &LogRequest) -> Vec<Value> {
        vec![json!({ "level": wanted.level })]
    }

    fn page(&self) -> Page {
        Page::of(|page| page.put(&ACTIVE, &["1.0.0"], 1u64))
    }

    fn observe_rollout(
        &self,
        _tenant: &TenantId,
        _id: u64,
    ) -> Option<serde_json::Map<String, Value>> {
        None
    }

    fn replay<'a>(
        &'a self,
        _tenant: &'a TenantId,
        _request: &'a ReplayRequest,
        _progress: &'a ReplayProgress,
    ) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async {
            self.waiting.notify_one();
            self.trials.acquire().await.expect("never torn down").forget();
            Ok(json!({ "diff": {} }))
        })
    }

    fn explain<'a>(
        &'a self,
        _tenant: &'a TenantId,
        event_id: EventId,
    ) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async move { Ok(json!({ "event_id": event_id, "state": "not-stored" })) })
    }

    fn workbench(&self) -> &dyn Workbench {
        self
    }

    fn active_rules(&self, tenant: &TenantId) -> Vec<ActiveRule> {
        let active = self.catalog.active(tenant).expect("the catalog");
        let Some(active) = active else { return Vec::new() };
        let which = Selector::Digest(active.digest);
        let revision = self.catalog.revision(tenant, &which).expect("the active revision");
        let rules = revision.document.rules.into_iter().map(|rule| ActiveRule {
            name: rule.name,
            component: rule.component,
            contract: "1.0.0".to_owned(),
        });
        rules.collect()
    }

    fn status(&self) -> serde_json::Map<String, serde_json::Value> {
        serde_json::Map::from_iter([("ready".to_owned(), true.into())])
    }
}

/// The reference of the one component that [`Shelf`] has.
pub(crate) const ON_THE_SHELF: &str = "oci://shelf.example/rule@sha256:00";

/// A registry with one component; what is wrong with other references, real registries tell.
struct Shelf;

impl ComponentRegistry for Shelf {
    fn pull(&self, reference: String) -> BoxFuture<'_, Result<Bytes, Problem>> {
        Box::pin(async move {
            match reference.as_str() {
                ON_THE_SHELF => Ok(Bytes::from_static(b"\0asm pulled")),
                _ => Err(Problem::new(ProblemType::RegistryFailed, "the shelf is empty")),
            }
        })
    }
}

/// Nothing is held here: the real quarantine is the storage's.
impl Workbench for Plane {
    fn node(&self) -> &str {
        "node"
    }

    fn durable_end(&self) -> u64 {
        0
    }

    fn open_events<'a>(
        &'a self,
        _tenant: &'a TenantId,
        _filter: &'a HeldFilter,
        _after: Option<&'a str>,
        _limit: u32,
    ) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async { Ok(json!({ "events": [], "next": null })) })
    }

    fn groups<'a>(
        &'a self,
        _tenant: &'a TenantId,
        _filter: &'a HeldFilter,
        _by: HeldGroup,
    ) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async { Ok(json!({ "groups": [] })) })
    }

    fn held<'a>(
        &'a self,
        _tenant: &'a TenantId,
        _event_id: EventId,
    ) -> BoxFuture<'a, Result<String, Problem>> {
        Box::pin(async { Err(Problem::new(ProblemType::NotFound, "nothing is held")) })
    }

    fn settle<'a>(
        &'a self,
        _tenant: &'a TenantId,
        _event_id: EventId,
        _decision: &'a HeldDecision,
        _by: &'a str,
    ) -> BoxFuture<'a, Result<Value, NotSettled>> {
        Box::pin(async { Err(Problem::new(ProblemType::NotFound, "nothing is held").into()) })
    }

    fn settle_page<'a>(
        &'a self,
        _page: SettlePage<'a>,
        _rest: Option<Rest>,
    ) -> BoxFuture<'a, Result<Settled, Problem>> {
        Box::pin(async { Ok(Settled { is_last: true, ..Settled::default() }) })
    }

    fn settled_by<'a>(&'a self, _page: SettlePage<'a>) -> BoxFuture<'a, Result<Settled, Problem>> {
        Box::pin(async { Ok(Settled::default()) })
    }
}

/// A running admin API.
pub(crate) struct Gateway {
    pub(crate) plane: Arc<Plane>,
    pub(crate) state: AdminState,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

pub(crate) const BUILTIN: &[u8] = b"\0asm required";

impl Gateway {
    pub(crate) async fn start(folder: &std::path::Path) -> Self {
        Self::with_limits(folder, Limits::default()).await
    }

    pub(crate) async fn with_limits(folder: &std::path::Path, limits: Limits) -> Self {
        let catalog_limits = tidegate_catalog::Limits {
            table_bytes: 1000,
            component_bytes: 1000,
            schema_bytes: 1000,
            ..tidegate_catalog::Limits::default()
        };
        let catalog = Arc::new(Catalog::open(folder, catalog_limits).expect("the catalog opens"));
        let plane = Arc::new(Plane::new(Arc::clone(&catalog)));
        let required = BuiltinComponent {
            name: ArtifactName::new("required").expect("a name"),
            version: "1.0.0".to_owned(),
            digest: Digest::of(BUILTIN),
            bytes: Bytes::from_static(BUILTIN),
        };
        let token = AdminToken::new(TOKEN).expect("a token");
        let data_plane: Arc<dyn DataPlane> = Arc::clone(&plane) as _;
        let state =
            AdminState::new(Arc::clone(&catalog), data_plane, token, &[required], "node-1", limits);
        let state = state.expect("a state").with_registry(Arc::new(Shelf));
        state.catch_up().await.expect("the catalog is there");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { drop(stopped.await) };
        let served =
            tokio::spawn(serve(listener, tidegate_tls::Security::plain(), state.clone(), shutdown));
        Self { plane, state, catalog, address, stop, served }
    }

    pub(crate) async fn stop(self) -> Result<(), ServeError> {
        self.stop.send(()).expect("the server still runs");
        self.served.await.expect("the server does not panic")
    }

    /// Sends a request with the admin token and reads its answer.
    pub(crate) async fn call(&self, method: &str, path: &str, media: &str, body: &[u8]) -> Reply {
        let head = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: {media}\r\n");
        self.raw(method, path, &head, body).await
    }

    /// Sends a request with another token.
    pub(crate) async fn with_token(&self, token: &str, method: &str, path: &str) -> Reply {
        let head = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        self.raw(method, path, &head, b"").await
    }

    /// Makes an access token; answers its id and text.
    pub(crate) async fn token(&self, tenant: Option<&str>, scopes: &[&str]) -> (String, String) {
        let name = scopes.join(" ");
        let wanted = serde_json::json!({ "name": name, "tenant": tenant, "scopes": scopes });
        let made = self.post("/v1/tokens", wanted).await.expect(201);
        let text =
            |member: &str| made.get(member).and_then(Value::as_str).expect("a text").to_owned();
        (text("id"), text("token"))
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, "text/plain", b"").await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.call("POST", path, "application/json", body.to_string().as_bytes()).await
    }

    /// Uploads a component; answers its job when it is settled.
    pub(crate) async fn push(&self, path: &str, component: &[u8]) -> Value {
        let job = self.call("POST", path, "application/wasm", component).await.expect(202);
        self.settled(job["job"].as_str().expect("a job")).await
    }

    /// A job of the tenant `acme` when it is settled.
    pub(crate) async fn settled(&self, job: &str) -> Value {
        loop {
            let job = self.get(&format!("/v1/tenants/acme/jobs/{job}")).await.expect(200);
            if !matches!(job["state"].as_str(), Some("pending" | "running")) {
                return job;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Sends a request with these header lines.
    pub(crate) async fn raw(&self, method: &str, path: &str, head: &str, body: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.write_all(&request(method, path, head, body)).await.expect("the request is sent");
        read(stream).await
    }
}

pub(crate) fn request(method: &str, path: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let start = format!("{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n");
    let mut out = format!("{start}{head}Content-Length: {length}\r\n\r\n").into_bytes();
    out.extend_from_slice(body);
    out
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// Reads an answer up to the end of the connection.
pub(crate) async fn read(mut stream: TcpStream) -> Reply {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("the answer is read");
    let text = String::from_utf8(bytes).expect("answers are UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let body = serde_json::from_str(body).unwrap_or(Value::Null);
    Reply { status, head: head.to_lowercase(), body }
}

impl Reply {
    /// The answer's body, where its status is this one.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// Asserts a problem: its status, the end of its type, and where it points.
    pub(crate) fn expect_problem(&self, status: u16, slug: &str, pointer: Option<&str>) {
        assert_eq!(self.status, status, "{}", self.body);
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        let member = |name: &str| self.body.get(name).cloned().unwrap_or_default();
        assert_eq!(member("type"), format!("urn:tidegate:problem:{slug}"), "{}", self.body);
        assert_eq!(member("pointer").as_str(), pointer, "{}", self.body);
        assert_eq!(member("status"), status);
        assert!(member("detail").as_str().is_some_and(|text| !text.is_empty()));
    }
}
