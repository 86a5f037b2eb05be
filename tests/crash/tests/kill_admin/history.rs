//! What a gateway must tell of a tenant's revisions, kept beside it: which acts were done, and what
//! therefore is active, rolled out, in the histories and in the audit log.

use serde_json::Value;
use tidegate_testkit::Gateway;

use crate::{get, list};

/// What an administrator asks for.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Activate(String),
    RollBack,
    /// A stage (`shadow` or `canary`) and a candidate.
    TryOut(&'static str, String),
    Stop,
}

impl Act {
    /// The path under the tenant's, and the body.
    pub(crate) fn request(&self) -> (String, &'static str) {
        match self {
            Self::Activate(digest) => (format!("revisions/{digest}/activate"), ""),
            Self::RollBack => ("rollback".to_owned(), ""),
            Self::TryOut(stage, digest) => {
                let body = if *stage == "canary" { r#"{"percent":40}"# } else { "" };
                (format!("revisions/{digest}/{stage}"), body)
            }
            Self::Stop => ("rollout/stop".to_owned(), ""),
        }
    }
}

/// All that was done for a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// Kind and digest of each activation, oldest first.
    activations: Vec<(&'static str, String)>,
    /// Where going back leads, the active one last.
    line: Vec<String>,
    /// Stage and candidate of each rollout, and how it ended.
    rollouts: Vec<(&'static str, String, Option<&'static str>)>,
    /// Acts that changed something.
    acts: usize,
}

impl History {
    pub(crate) fn active(&self) -> Option<&String> {
        self.line.last()
    }

    /// Can one go back?
    pub(crate) fn has_target(&self) -> bool {
        self.line.len() > 1
    }

    pub(crate) fn running(&self) -> Option<(&'static str, &String)> {
        let last = self.rollouts.last().filter(|(_, _, ended)| ended.is_none());
        last.map(|(stage, digest, _)| (*stage, digest))
    }

    /// Who may judge events.
    pub(crate) fn judges(&self) -> Vec<String> {
        let canary = self.running().filter(|(stage, _)| *stage == "canary");
        self.active().into_iter().chain(canary.map(|(_, digest)| digest)).cloned().collect()
    }

    fn end(&mut self, how: &'static str) {
        if let Some((_, _, ended @ None)) = self.rollouts.last_mut() {
            *ended = Some(how);
        }
    }

    /// The same after an act.
    pub(crate) fn after(&self, act: &Act) -> Self {
        let mut after = self.clone();
        after.acts += 1;
        let running = self.running().map(|(_, digest)| digest.clone());
        match act {
            Act::Activate(digest) => {
                after.end(if running.as_ref() == Some(digest) { "promoted" } else { "replaced" });
                after.line.push(digest.clone());
                after.activations.push(("activate", digest.clone()));
            }
            Act::RollBack => {
                after.end("replaced");
                after.line.pop();
                after.activations.extend(after.active().cloned().map(|back| ("rollback", back)));
            }
            Act::TryOut(stage, digest) => {
                after.end(if running.as_ref() == Some(digest) { "advanced" } else { "replaced" });
                after.rollouts.push((stage, digest.clone(), None));
            }
            Act::Stop => after.end("stopped"),
        }
        after
    }

    /// Why what the gateway tells is not this; `None` where all of it agrees.
    pub(crate) fn differs(&self, gateway: &Gateway, tenant: &str) -> Option<String> {
        let path = |rest: &str| format!("/v1/tenants/{tenant}/{rest}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let status = get(gateway, &path("status"));
        let target = self.line.iter().rev().nth(1);
        let running = self.running().map(|(stage, digest)| (stage.to_owned(), digest.clone()));
        let rollout = &status["rollout"];
        let told =
            (!rollout.is_null()).then(|| (text(&rollout["stage"]), text(&rollout["digest"])));
        if Some(text(&status["active"]["digest"])) != self.active().cloned()
            || text(&status["rollback_to"]["digest"]) != target.cloned().unwrap_or_default()
            || told != running
        {
            return Some(format!("status: {status}"));
        }
        let told = list(&get(gateway, &path("activations?limit=1000")), "activations");
        assert!(told.iter().all(|entry| entry["withdrawn"] == false), "{told:?}");
        let of = |entry: &Value| (text(&entry["kind"]), text(&entry["digest"]));
        let known =
            self.activations.iter().map(|(kind, digest)| ((*kind).to_owned(), digest.clone()));
        if !told.iter().rev().map(of).eq(known) {
            return Some(format!("activations: {told:?}"));
        }
        let told = list(&get(gateway, &path("rollouts?limit=1000")), "rollouts");
        let of = |entry: &Value| {
            let how = entry["ended"]["how"].as_str().map(str::to_owned);
            (text(&entry["stage"]), text(&entry["digest"]), how)
        };
        let known = self.rollouts.iter().map(|(stage, digest, how)| {
            ((*stage).to_owned(), digest.clone(), how.map(str::to_owned))
        });
        if !told.iter().rev().map(of).eq(known) {
            return Some(format!("rollouts: {told:?}"));
        }
        let noted = audited(gateway, tenant);
        (noted != self.acts).then(|| format!("audit log: {noted} changes"))
    }
}

/// Changes of a tenant's revisions in the audit log.
fn audited(gateway: &Gateway, tenant: &str) -> usize {
    let entries = list(&get(gateway, &format!("/v1/audit?limit=1000&tenant={tenant}")), "entries");
    let words = ["/activate", "/rollback", "/shadow", "/canary", "/rollout/stop"];
    let is_act = |entry: &&Value| {
        let route = entry["entry"]["route"].as_str().unwrap();
        entry["entry"]["kind"] == "change" && words.iter().any(|word| route.ends_with(word))
    };
    entries.iter().filter(is_act).count()
}
