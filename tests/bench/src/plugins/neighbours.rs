//! One tenant's rules misbehave while another tenant posts at a steady pace: what the other notices,
//! against the same traffic of both under rules that behave.

mod misdeeds;

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use tidegate_testkit::{Gateway, Tenant};

use self::misdeeds::{CONFIGURING, RUNNING, honest};
use super::load::{Load, Measured};
use super::{BUILT_IN, SETTINGS, revision};
use crate::report::Row;

/// How long each misdeed is done, and how long the component behaves before it.
const HELD: Duration = Duration::from_secs(2);
/// The same for a rule that takes long for each batch and breaks no rule.
const SLOW: Duration = Duration::from_secs(4);
/// From one try to configure a component to the next.
const BETWEEN: Duration = Duration::from_millis(50);

/// A revision of the hostile component alone.
fn hostile(config: &Value) -> Value {
    json!({
        "default_type": "thing",
        "event_types": { "thing": {} },
        "rules": [{ "name": "hostile", "component": "misbehaving", "config": config }],
        "tables": { "table": "latest" }
    })
}

struct Neighbours {
    gateway: Gateway,
    good: [Tenant; 1],
    bad: [Tenant; 1],
}

impl Neighbours {
    fn new() -> anyhow::Result<Self> {
        let gateway = Gateway::start_with(&SETTINGS);
        let [good, bad] = ["good", "bad"].map(|id| Tenant::create(&gateway, id));
        good.activate(&gateway, &revision("good", BUILT_IN));
        bad.table(&gateway, "table", &format!("key,value\nk,{}\n", "x".repeat(1 << 20)));
        let job = bad.upload_settled(&gateway, "misbehaving", tidegate_guests::HOSTILE);
        ensure!(job["state"] == "admitted", "{job}");
        Ok(Self { gateway, good: [good], bad: [bad] })
    }

    /// Who posts at a steady pace: 8,000 events a second.
    fn steady(&self) -> Load<'_> {
        Load {
            gateway: &self.gateway,
            tenants: &self.good,
            connections: 4,
            batch: 20,
            pace: Some(Duration::from_millis(10)),
            members: "",
        }
    }

    /// The bad one posts 100 batches a second from each two connections, for a time, under a revision
    /// of its own, and waits where it is told to. What it is answered is its own affair.
    fn post(&self, config: &Value, connections: usize, time: Duration) -> anyhow::Result<Measured> {
        let [bad] = &self.bad;
        bad.activate(&self.gateway, &hostile(config));
        let load = Load {
            gateway: &self.gateway,
            tenants: &self.bad,
            connections,
            batch: 20,
            pace: Some(Duration::from_millis(20)),
            members: r#","poison":true,"text":"some text","json":[1]"#,
        };
        let (measured, ()) = load.during(|_| {
            std::thread::sleep(time);
            Ok(())
        })?;
        Ok(measured)
    }

    /// The bad one tries to store revisions whose component misbehaves when it is configured.
    fn try_to_configure(&self, config: &Value, time: Duration) -> anyhow::Result<()> {
        let [bad] = &self.bad;
        let begun = std::time::Instant::now();
        while begun.elapsed() < time {
            let answer = bad.revision(&self.gateway, &hostile(config));
            ensure!(answer.status < 500, "{config}: {} {}", answer.status, answer.text());
            std::thread::sleep(BETWEEN);
        }
        Ok(())
    }
}

/// Measures a steady tenant beside each hostile guest in turn. One round has thousands of batches.
pub(crate) fn run(_rounds: usize) -> anyhow::Result<Vec<Row>> {
    let neighbours = Neighbours::new()?;
    let misdeeds: Vec<(Value, bool)> = RUNNING
        .iter()
        .map(|(mode, amount)| (misdeeds::running(mode, *amount), false))
        .chain(CONFIGURING.iter().map(|mode| (json!({ "configure": mode }), true)))
        .collect();
    let (measured, ()) = neighbours.steady().during(|phase| {
        for (number, (config, configures)) in misdeeds.iter().enumerate() {
            phase.set(2 * number);
            neighbours.post(&honest(), 2, HELD)?;
            phase.set(2 * number + 1);
            match configures {
                true => neighbours.try_to_configure(config, HELD)?,
                false => drop(neighbours.post(config, 2, HELD)?),
            }
            phase.settle();
        }
        Ok(())
    })?;
    ensure!(measured.refused.is_empty(), "the good one was refused: {:?}", measured.refused);
    let count = misdeeds.len();
    let quiet = measured.pooled_p99_ms((0..count).map(|number| 2 * number))?;
    let loud = measured.pooled_p99_ms((0..count).map(|number| 2 * number + 1))?;
    let mut rows = vec![Row::of(
        "plugins/neighbours",
        format!("p99 beside {count} kinds of hostile guests in turn; against honest ones"),
        "ms",
        &[(loud, quiet)],
    )];
    let mut each = Vec::new();
    for (number, (config, _)) in misdeeds.iter().enumerate() {
        let pair = (measured.p99_ms(2 * number + 1)?, measured.p99_ms(2 * number)?);
        each.push(Row::of("plugins/neighbours", format!("p99 beside {config}"), "ms", &[pair]));
    }
    each.sort_by(|one, other| one.ratio.total_cmp(&other.ratio));
    let middle = each.get(count / 2).cloned();
    rows.extend(middle.map(|row| Row { case: "the same, the middle one of them".into(), ..row }));
    // Two seconds have eight hundred batches: the worst ones are as often the disk's.
    rows.extend(each.into_iter().rev().take(5));
    Ok(rows)
}

/// Measures it beside a rule that burns CPU time within its limits: 1.6 processors' worth, asked for.
pub(crate) fn slow(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let neighbours = Neighbours::new()?;
    let (measured, answers) = neighbours.steady().during(|phase| {
        let mut answers = Vec::new();
        for round in 0..=rounds {
            phase.set(2 * round);
            neighbours.post(&honest(), 8, SLOW)?;
            phase.set(2 * round + 1);
            answers.push(neighbours.post(&misdeeds::slow(), 8, SLOW)?);
            phase.settle();
        }
        Ok(answers)
    })?;
    ensure!(measured.refused.is_empty(), "the good one was refused: {:?}", measured.refused);
    let taken: u64 = answers.iter().map(|answer| answer.taken).sum();
    let told: u64 =
        answers.iter().filter_map(|answer| answer.refused.get(&429)).map(|(count, _)| count).sum();
    let pairs = (1..=rounds)
        .map(|round| Ok((measured.p99_ms(2 * round + 1)?, measured.p99_ms(2 * round)?)));
    let pairs = pairs.collect::<anyhow::Result<Vec<_>>>()?;
    let case = format!(
        "p99 beside a slow rule within its limits ({taken} of its batches taken, {told} told to wait); against an honest one"
    );
    Ok(vec![Row::of("plugins/slow", case, "ms", &pairs)])
}
