//! Activations, candidates, promotions and rollbacks under load.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tidegate_crash::{Ledger, Stored, load, log, readings, seed, stored};
use tidegate_testkit::{Gateway, Tenant};
use tidegate_types::UnixMillis;

use crate::history::{Act, History};
use crate::{JSON, TORN, pause, post_and_kill};

const CYCLES: usize = 16;
const NAMES: [&str; 4] = ["red", "green", "blue", "white"];

/// A request that has read what is in force ends on it; so long after a swap it may still judge.
const LAST_REQUEST_MS: u64 = 500;

/// Decides readings as they must be, and leaves its name in each event's findings.
fn revision(name: &str) -> Value {
    let mut document = readings::revision();
    let seen = json!({ "name": "seen", "component": "expectations", "config": { "expectations": [
        { "name": name, "field": "/id", "expect": { "set": ["none"] }, "severity": "warn" }] } });
    document["rules"].as_array_mut().unwrap().push(seen);
    document
}

/// When a revision may judge.
struct Term {
    digest: String,
    from: UnixMillis,
    until: Option<UnixMillis>,
}

struct Trial {
    gateway: Gateway,
    tenant: Tenant,
    /// Names by digest.
    names: HashMap<String, &'static str>,
    history: History,
    terms: Vec<Term>,
    outcomes: HashMap<&'static str, usize>,
}

impl Trial {
    fn begin() -> Self {
        let settings = [("STORAGE__FLUSH_AFTER", "50ms"), ("INGRESS__MAX_BODY_BYTES", "512KiB")];
        let gateway = Gateway::start_with(&settings);
        let tenant = readings::tenant(&gateway);
        // The one that has no name is where going back ends.
        let path = format!("/v1/tenants/{}/status", tenant.id);
        let first = crate::get(&gateway, &path)["active"]["digest"].as_str().unwrap().to_owned();
        let mut names = HashMap::new();
        for name in NAMES {
            let stored = tenant.revision(&gateway, &revision(name)).json();
            names.insert(stored["digest"].as_str().unwrap().to_owned(), name);
        }
        let history = History::default().after(&Act::Activate(first.clone()));
        let from = UnixMillis(0);
        let terms = vec![Term { digest: first, from, until: None }];
        Self { gateway, tenant, names, history, terms, outcomes: HashMap::new() }
    }

    fn choose(&self, random: &mut StdRng) -> Act {
        let (active, running) = (self.history.active(), self.history.running());
        let candidate = running.map(|(_, digest)| digest);
        let mut others: Vec<_> = self.names.keys().collect();
        others.retain(|digest| Some(*digest) != active && Some(*digest) != candidate);
        others.sort();
        let other = (*others.choose(random).unwrap()).clone();
        match (random.random_range(0..10), running) {
            // A canary is promoted, a shadow goes on as a canary.
            (0..4, Some(("canary", candidate))) => Act::Activate(candidate.clone()),
            (0..4, Some((_, candidate))) => Act::TryOut("canary", candidate.clone()),
            (4, Some(_)) => Act::Stop,
            (0..5, _) => Act::TryOut(["shadow", "canary"].choose(random).unwrap(), other),
            (5..7, _) if self.history.has_target() => Act::RollBack,
            _ => Act::Activate(other),
        }
    }

    /// Asks for something and kills; then it is done, as all that is told of it says, or it is not.
    fn cycle(&mut self, random: &mut StdRng) {
        pause(random, 0..60);
        let act = self.choose(random);
        let (path, body) = act.request();
        let path = format!("/v1/tenants/{}/{path}", self.tenant.id);
        let after = self.history.after(&act);
        self.begin_terms(&after);
        let (gateway, content) = (&mut self.gateway, (JSON, body.as_bytes()));
        let answer = post_and_kill(gateway, &path, content, || pause(random, 0..12));
        if let Some((status, body)) = &answer {
            assert_eq!(*status, 200, "{act:?}: {body}");
        }
        if random.random_ratio(1, 4) {
            self.gateway.launch();
            pause(random, 0..120);
            self.gateway.kill();
        }
        self.gateway.restart();
        let outcome = match after.differs(&self.gateway, &self.tenant.id) {
            None => {
                self.history = after;
                if answer.is_some() { "answered" } else { "done" }
            }
            Some(why) => {
                assert!(answer.is_none(), "{act:?} was answered: {why}");
                let half = self.history.differs(&self.gateway, &self.tenant.id);
                assert!(half.is_none(), "{act:?} is half done: {half:?}, and {why}");
                "not done"
            }
        };
        *self.outcomes.entry(outcome).or_default() += 1;
        self.end_terms();
    }

    fn begin_terms(&mut self, after: &History) {
        let from = UnixMillis::now();
        for digest in after.judges() {
            if !self.terms.iter().any(|term| term.until.is_none() && term.digest == digest) {
                self.terms.push(Term { digest, from, until: None });
            }
        }
    }

    fn end_terms(&mut self) {
        let (judges, now) = (self.history.judges(), UnixMillis::now());
        let over = |term: &&mut Term| term.until.is_none() && !judges.contains(&term.digest);
        self.terms.iter_mut().filter(over).for_each(|term| term.until = Some(now));
    }

    /// One revision judged the event, which leaves its name, and it was or may have been in force.
    fn check_judge(&self, event: &Stored) {
        let names: Vec<_> =
            event.findings.iter().filter(|one| one.rule.as_str() == "seen").collect();
        let name = self.names.get(&event.revision);
        assert_eq!(names.len(), usize::from(name.is_some()), "{event:?}");
        assert!(names.iter().all(|one| Some(&*one.code) == name.copied()), "{event:?}");
        let at = event.event_id.received_at();
        let in_term = |term: &&Term| {
            let last = term.until.map(|until| UnixMillis(until.0 + LAST_REQUEST_MS));
            term.digest == event.revision && term.from <= at && last.is_none_or(|last| at <= last)
        };
        assert!(self.terms.iter().any(|term| in_term(&term)), "not in force then: {event:?}");
    }
}

/// P3, D5: after a kill the active revision is the one before or the one asked for, and the one asked
/// for where that was answered; status, histories and audit log tell the same. Every acknowledged
/// event is stored once, judged by one revision that was in force.
#[test]
fn a_swap_is_done_or_is_not() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut trial = Trial::begin();
    let (ledger, address) = (Ledger::default(), trial.gateway.ingress.clone());
    let tenant = trial.tenant.clone();
    load::under_load(&address, &tenant, &ledger, seed, || {
        (0..CYCLES).for_each(|_| trial.cycle(&mut random));
    });
    load::settle(&address, &tenant, &ledger);
    assert!(trial.gateway.terminate(), "{}", trial.gateway.log());
    let stored = stored::read(trial.gateway.folder());
    ledger.check(&stored);
    assert!(stored.len() > 20 * CYCLES, "there was load: {} events", stored.len());
    stored.iter().for_each(|event| trial.check_judge(event));
    let judges: std::collections::HashSet<_> = stored.iter().map(|event| &event.revision).collect();
    assert!(judges.len() > 1, "the revisions had load: {judges:?}");
    log::assert_quiet(&trial.gateway.log(), &TORN);
    println!("{} events by {} revisions, acts: {:?}", stored.len(), judges.len(), trial.outcomes);
}
