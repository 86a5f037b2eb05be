//! Uploads, compiling included.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tidegate_crash::{log, seed};
use tidegate_testkit::gateway::binary;
use tidegate_testkit::{Gateway, Tenant};
use tidegate_types::Digest;

use crate::{JSON, TORN, list, pause, post_and_kill};

const UPLOADS: usize = 6;
/// How long a compiler may outlive its gateway on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A good component of its own, which has to be compiled: the built-in rule with one case, which
/// holds this text.
fn component(text: &str) -> Vec<u8> {
    let required = tidegate_plugins::find("required").unwrap().component;
    tidegate_testkit::component::of_its_own(required, text)
}

/// The version and the job of a component.
type Told = (String, String);

struct Uploads {
    gateway: Gateway,
    tenant: Tenant,
    /// The components, each with what was answered.
    sent: Vec<(Vec<u8>, Option<Told>)>,
}

impl Uploads {
    fn path(&self) -> String {
        format!("/v1/tenants/{}/plugins/mine/versions", self.tenant.id)
    }

    /// Uploads a component and kills the gateway at some moment of its admission.
    fn upload_and_kill(&mut self, at: usize, random: &mut StdRng) {
        let (bytes, path) = (self.sent[at].0.clone(), self.path());
        // Often while the bytes arrive and are stored, else while they are put to the proof.
        let moment = if random.random_ratio(1, 3) { 0..25 } else { 25..900 };
        let content = ("application/wasm", bytes.as_slice());
        let kill_after = || pause(random, moment);
        let answer = post_and_kill(&mut self.gateway, &path, content, kill_after);
        if let Some((status, body)) = answer {
            assert!(matches!(status, 200 | 202), "{status} {body}");
            self.heard(at, &body);
        }
    }

    fn heard(&mut self, at: usize, body: &Value) {
        let text = |member: &str| body[member].as_str().unwrap().to_owned();
        let told = (text("version"), text("job"));
        let known = self.sent[at].1.get_or_insert(told.clone());
        assert_eq!(*known, told, "the same bytes are the same version: {body}");
    }

    fn versions(&self) -> Vec<Value> {
        let answer = self.gateway.admin("GET", &self.path(), JSON, b"");
        // Before the first one is stored there is no such plugin.
        if answer.status == 404 { Vec::new() } else { list(&answer.json(), "versions") }
    }

    /// What is listed is whole: each version is one of the components that were sent, and has a job.
    fn check(&self) {
        let (listed, mut digests) = (self.versions(), BTreeMap::new());
        for version in &listed {
            let (number, digest) =
                (version["version"].as_str().unwrap(), version["digest"].as_str().unwrap());
            let before = digests.insert(digest.to_owned(), number.to_owned());
            assert!(before.is_none(), "twice: {listed:?}");
            let job = self.tenant.job(&self.gateway, version["job"].as_str().unwrap());
            let (state, of_job) =
                (version["state"].as_str().unwrap(), job["state"].as_str().unwrap());
            let agree = match of_job {
                "admitted" => matches!(state, "pending" | "admitted"),
                "pending" | "running" | "error" => state == "pending",
                _ => false,
            };
            assert!(agree, "{version} {job}");
            // A version that was admitted before the look at its job is so for good.
            assert!(state != "admitted" || of_job == "admitted", "{version} {job}");
        }
        for (bytes, told) in &self.sent {
            let number = digests.remove(&Digest::of(bytes).to_string());
            let told = told.as_ref().map(|(version, _)| version);
            assert!(told.is_none() || number.as_ref() == told, "{told:?}: {listed:?}");
        }
        assert!(digests.is_empty(), "nobody sent {digests:?}");
    }

    /// Sends a component again: it ends as admitted, and judges events.
    fn settle(&mut self, at: usize) {
        let answer = self.tenant.upload(&self.gateway, "mine", &self.sent[at].0);
        assert!(matches!(answer.status, 200 | 202), "{}", answer.text());
        self.heard(at, &answer.json());
        let (version, job) = self.sent[at].1.clone().unwrap();
        let job = self.tenant.settled(&self.gateway, &job);
        assert_eq!(job["state"], "admitted", "{job:#}");
        let passed = list(&job, "steps").iter().filter(|step| step["state"] == "passed").count();
        assert_eq!(passed, 6, "{job:#}");
        let revision = json!({
            "default_type": "event",
            "event_types": { "event": {} },
            "rules": [{ "name": "ids", "component": format!("mine@{version}"),
                "config": { "fields": [{ "pointer": "/id" }] } }],
        });
        self.tenant.activate(&self.gateway, &revision);
        assert_eq!(self.tenant.post(&self.gateway, &json!({ "id": 1 })).status, 202);
        assert_eq!(self.tenant.post(&self.gateway, &json!({ "no": 1 })).status, 400);
    }
}

/// P6: an upload that a kill interrupts is stored with its job or is not there, its job comes to an
/// end, and the same bytes are the same version whenever they are sent.
#[test]
fn an_admission_is_carried_out_or_was_never_asked_for() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let gateway = Gateway::start();
    let tenant = Tenant::create(&gateway, "acme");
    let sent = (0..UPLOADS).map(|at| (component(&format!("{seed} {at}")), None)).collect();
    let mut uploads = Uploads { gateway, tenant, sent };
    for at in 0..UPLOADS {
        uploads.upload_and_kill(at, &mut random);
        if random.random_ratio(1, 3) {
            // Once more while it begins anew.
            uploads.gateway.launch();
            pause(&mut random, 0..300);
            uploads.gateway.kill();
        }
        uploads.gateway.restart();
        uploads.check();
    }
    let answered = uploads.sent.iter().filter(|(_, told)| told.is_some()).count();
    (0..UPLOADS).for_each(|at| uploads.settle(at));
    uploads.check();
    let versions = uploads.versions();
    assert_eq!(versions.len(), UPLOADS, "{versions:?}");
    assert!(versions.iter().all(|version| version["state"] == "admitted"), "{versions:?}");
    // A job that went down with three processes is given up, and begun again by the same upload.
    let given_up = "admission given up";
    log::assert_quiet(&uploads.gateway.log(), &[&TORN[..], &[given_up]].concat());
    println!("{answered} of {UPLOADS} uploads answered before the kill");
}

/// A gateway that is killed cannot end the compiler that it has started: that ends by itself as soon
/// as nobody reads its output, also in the midst of its work (here: waiting for the component).
#[test]
fn a_compiler_ends_with_its_gateway() {
    let mut compiler = Command::new(binary())
        .args(["compile", "4000000000", "60", "1000000", "run"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = compiler.stdin.take().unwrap();
    input.write_all(b"\0asm").unwrap();
    assert!(compiler.try_wait().unwrap().is_none(), "it waits for the rest");
    drop(compiler.stdout.take());
    let deadline = Instant::now() + PATIENCE;
    while compiler.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            compiler.kill().unwrap();
            panic!("a compiler outlives its gateway");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut said = String::new();
    compiler.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "it had nothing against its work");
    drop(input);
}
