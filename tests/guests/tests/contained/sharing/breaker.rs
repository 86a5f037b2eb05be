//! A rule that faults too often is not called for a while, and something else judges instead.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_plugin_host::{
    Batch, Clock, FallbackError, Judgement, Limits, Plan, PlanRule, PluginHost, Replaced, StandIn,
};
use tidegate_types::Severity;
use tidegate_types::revision::OnFault;

use crate::support::{
    admit, assert_contained, batch_of, events, fault, honest, host_by, judge, limits, plan, tenant,
};

fn usual() -> Limits {
    let Limits { breaker_faults, breaker_percent, .. } = Limits::default();
    Limits { breaker_faults, breaker_percent, ..limits() }
}

fn panics() -> Value {
    json!({ "mode": "panic" })
}

/// Batches with one poison event each.
async fn poison(plan: &Plan, batches: usize) {
    for _ in 0..batches {
        judge(plan, &events(9, &[4])).await;
    }
}

/// Is the row held, since the breaker is open?
fn refused(judgement: &Judgement) -> bool {
    fault(judgement).is_some_and(|(severity, why)| {
        severity == Severity::Soft && why.contains("its breaker is open, at least until 2")
    })
}

/// P4: five faulted batches in a minute open it; one poison event in a batch is one fault, however
/// many tries it takes to find it. After the backoff one call tells.
#[tokio::test]
async fn it_opens_at_five_faults_and_closes_when_a_call_goes_well() {
    let clock = Clock::manual();
    let host = host_by(usual(), clock.clone());
    let plan = plan(&host, &panics()).await;
    poison(&plan, 4).await;
    assert_contained("closed", &judge(&plan, &events(9, &[])).await, &[], "");
    poison(&plan, 1).await;
    for wait in [0, 900] {
        clock.advance(Duration::from_millis(wait));
        let judgements = judge(&plan, &events(9, &[])).await;
        assert!(judgements.iter().all(refused), "{judgements:?}");
    }
    clock.advance(Duration::from_millis(100));
    assert_contained("the trial", &judge(&plan, &events(9, &[])).await, &[], "");
    poison(&plan, 4).await;
    assert_contained("closed again", &judge(&plan, &events(9, &[])).await, &[], "");
}

/// A trial that faults is one call: the batch is not searched, and the backoff doubles.
#[tokio::test]
async fn a_trial_that_faults_opens_it_for_longer() {
    let clock = Clock::manual();
    let host = host_by(usual(), clock.clone());
    let plan = plan(&host, &panics()).await;
    poison(&plan, 5).await;
    clock.advance(Duration::from_secs(1));
    let trial = judge(&plan, &events(9, &[4])).await;
    assert!(trial.iter().all(refused), "{trial:?}");
    for (wait, open) in [(1, true), (1, false)] {
        clock.advance(Duration::from_secs(wait));
        let judgements = judge(&plan, &events(9, &[])).await;
        assert_eq!(judgements.iter().all(refused), open, "{judgements:?}");
    }
}

/// Faults that lie more than a minute apart do not add up.
#[tokio::test]
async fn old_faults_are_forgotten() {
    let clock = Clock::manual();
    let host = host_by(usual(), clock.clone());
    let plan = plan(&host, &panics()).await;
    for _ in 0..5 {
        poison(&plan, 2).await;
        clock.advance(Duration::from_secs(61));
    }
    assert_contained("closed", &judge(&plan, &events(9, &[])).await, &[], "");
}

/// The breaker is the tenant's own: the same component with the same configuration goes on
/// elsewhere, and so does the component with another configuration.
#[tokio::test]
async fn it_is_the_tenants_and_the_configurations_own() {
    let host = host_by(usual(), Clock::manual());
    let opened = plan(&host, &panics()).await;
    poison(&opened, 5).await;
    assert!(judge(&opened, &events(1, &[])).await.iter().all(refused));
    let theirs = admit(&host, &tenant("other"), "hostile", &panics(), OnFault::Quarantine).await;
    let theirs = Plan::new(vec![theirs.expect("admitted")]).expect("a plan");
    assert_contained("another tenant", &judge(&theirs, &events(3, &[])).await, &[], "");
    let other = plan(&host, &json!({ "mode": "panic", "amount": 1 })).await;
    assert_contained("another configuration", &judge(&other, &events(3, &[])).await, &[], "");
}

async fn rule(host: &PluginHost, config: &Value) -> PlanRule {
    admit(host, &tenant("acme"), "hostile", config, OnFault::Quarantine).await.expect("admitted")
}

/// The earlier version judges, and the verdict says so.
#[tokio::test]
async fn an_earlier_version_judges_while_it_is_open() {
    let clock = Clock::manual();
    let host = host_by(usual(), clock.clone());
    let enriching =
        |mode: &str| json!({ "mode": mode, "enricher": true, "write": "/label", "amount": 3 });
    let mut candidate = rule(&host, &enriching("panic")).await;
    candidate.set_fallback(rule(&host, &enriching("honest")).await).expect("it fits");
    let plan = Plan::new(vec![candidate]).expect("a plan");
    let patches = judge(&plan, &events(3, &[])).await[1].patches.clone();
    assert!(!patches.is_empty());
    poison(&plan, 5).await;
    for (at, judgement) in judge(&plan, &events(3, &[1])).await.into_iter().enumerate() {
        let [marker, seen] = judgement.findings.as_slice() else { panic!("{judgement:?}") };
        assert_eq!((&*marker.code, marker.severity), ("rule-fallback", Severity::Warn));
        let words = marker.detail.split([' ', ',']);
        let named: Vec<&str> = words.filter(|word| word.starts_with("sha256:")).collect();
        assert!(named.len() == 3 && named[0] == named[2] && named[1] != named[0], "{marker:?}");
        assert_eq!((&*seen.code, &*seen.detail), ("seen", at.to_string().as_str()));
        assert_eq!(at == 1, judgement.patches == patches);
    }
    clock.advance(Duration::from_secs(1));
    let judgements = judge(&plan, &events(3, &[])).await;
    assert!(judgements.iter().enumerate().all(|(at, it)| honest(it, at)), "{judgements:?}");
}

/// An event can be judged again as it was, whatever the breaker does by now: by the rule, by its
/// fall-back, or by nobody.
#[tokio::test]
async fn what_was_judged_is_judged_again_as_it_was() {
    let clock = Clock::manual();
    let host = host_by(usual(), clock.clone());
    let mut candidate = rule(&host, &panics()).await;
    candidate
        .set_fallback(rule(&host, &json!({ "mode": "honest", "amount": 7 })).await)
        .expect("it fits");
    let guarded = Plan::new(vec![candidate]).expect("a plan");
    let bare = Plan::new(vec![rule(&host, &panics()).await]).expect("a plan");
    let one = |plan| async move { judge(plan, &events(1, &[])).await.remove(0) };
    let by_rule = one(&guarded).await;
    assert!(by_rule.replaced.is_empty() && honest(&by_rule, 0), "{by_rule:?}");
    poison(&guarded, 5).await;
    let (by_fallback, by_nobody) = (one(&guarded).await, one(&bare).await);
    assert!(matches!(by_fallback.replaced[..], [Replaced { by: StandIn::Fallback { .. }, .. }]));
    assert!(matches!(by_nobody.replaced[..], [Replaced { by: StandIn::OnFault { .. }, .. }]));
    assert!(refused(&by_nobody) && by_fallback.findings.len() == 2, "{by_fallback:?}");
    let again = |plan, was: &Judgement| {
        let row = (batch_of(&tenant("acme"), &events(1, &[])).rows.remove(0), Vec::new());
        let batch = Batch::as_before(tenant("acme"), "node".into(), row, was.replaced.clone());
        async move { Plan::evaluate(plan, batch).await.expect("room").remove(0) }
    };
    for moment in ["open", "closed"] {
        for (plan, was) in [(&guarded, &by_rule), (&guarded, &by_fallback), (&bare, &by_nobody)] {
            let now = again(plan, was).await;
            assert_eq!((&now.findings, &now.patches), (&was.findings, &was.patches), "{moment}");
        }
        // Judging again counts for no breaker: it lets nobody pass too early, and closes in its time.
        assert_eq!(refused(&one(&bare).await), moment == "open", "{moment}");
        clock.advance(Duration::from_secs(1));
    }
    // A fall-back that is not there cannot be had.
    let now = again(&bare, &by_fallback).await;
    assert_ne!(now.findings, by_fallback.findings);
}

/// Where the earlier version faults too often as well, the policy is left.
#[tokio::test]
async fn an_earlier_version_has_a_breaker_of_its_own() {
    let host = host_by(usual(), Clock::manual());
    let mut candidate = rule(&host, &panics()).await;
    candidate
        .set_fallback(rule(&host, &json!({ "mode": "panic", "amount": 1 })).await)
        .expect("it fits");
    let plan = Plan::new(vec![candidate]).expect("a plan");
    poison(&plan, 10).await;
    let judgements = judge(&plan, &events(3, &[])).await;
    assert!(judgements.iter().all(refused), "{judgements:?}");
}

#[tokio::test]
async fn an_earlier_version_may_not_do_more() {
    let host = host_by(usual(), Clock::manual());
    let writes = |pointer: &str| json!({ "mode": "honest", "enricher": true, "write": pointer });
    let mut validator = rule(&host, &panics()).await;
    let same = validator.set_fallback(rule(&host, &panics()).await);
    assert_eq!(same, Err(FallbackError::Same));
    let role = validator.set_fallback(rule(&host, &writes("/a")).await);
    assert_eq!(role, Err(FallbackError::Role));
    let mut enricher = rule(&host, &writes("/a")).await;
    let more = enricher.set_fallback(rule(&host, &writes("/b")).await);
    assert_eq!(more, Err(FallbackError::Writes("/b".into())));
}
