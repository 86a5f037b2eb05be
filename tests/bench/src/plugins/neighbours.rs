//! One tenant's rules misbehave while another tenant posts at a steady pace: what the other notices.

mod misdeeds;

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use tidegate_testkit::{Gateway, Tenant};

use self::misdeeds::{CONFIGURING, RUNNING};
use super::load::{Load, Measured};
use super::{BUILT_IN, SETTINGS, revision};
use crate::report::Row;

/// How long each misdeed is done, and how long nothing is done before it.
const HELD: Duration = Duration::from_secs(2);
/// A rule that takes long for each batch and breaks no rule.
const SLOW: Duration = Duration::from_secs(4);

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

    /// The bad one posts as fast as it is answered, for a time, under a revision of its own. What
    /// it is answered is its own affair.
    fn misbehave(
        &self,
        config: &Value,
        connections: usize,
        time: Duration,
    ) -> anyhow::Result<Measured> {
        let [bad] = &self.bad;
        bad.activate(&self.gateway, &hostile(config));
        let load = Load {
            gateway: &self.gateway,
            tenants: &self.bad,
            connections,
            batch: 20,
            pace: None,
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
        }
        Ok(())
    }
}

/// Measures a steady tenant beside hostile guests and beside a slow rule.
pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let neighbours = Neighbours::new()?;
    let misdeeds: Vec<(Value, bool)> = RUNNING
        .iter()
        .map(|(mode, amount)| (misdeeds::running(mode, *amount), false))
        .chain(CONFIGURING.iter().map(|mode| (json!({ "configure": mode }), true)))
        .collect();
    let (measured, ()) = neighbours.steady().during(|phase| {
        for (number, (config, configures)) in misdeeds.iter().enumerate() {
            phase.hold(2 * number, HELD);
            phase.set(2 * number + 1);
            match configures {
                true => neighbours.try_to_configure(config, HELD)?,
                false => drop(neighbours.misbehave(config, 2, HELD)?),
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
        format!("p99 beside {count} kinds of hostile guests in turn; against none"),
        "ms",
        &[(loud, quiet)],
    )];
    let mut each = Vec::new();
    for (number, (config, _)) in misdeeds.iter().enumerate() {
        let pair = (measured.p99_ms(2 * number + 1)?, quiet);
        each.push((
            pair.0,
            Row::of("plugins/neighbours", format!("p99 beside {config}"), "ms", &[pair]),
        ));
    }
    each.sort_by(|one, other| other.0.total_cmp(&one.0));
    rows.extend(each.into_iter().take(3).map(|(_, row)| row));
    rows.push(beside_slow(&neighbours, rounds)?);
    Ok(rows)
}

/// Beside a rule that burns CPU time within its limits, posted to at full speed.
fn beside_slow(neighbours: &Neighbours, rounds: usize) -> anyhow::Result<Row> {
    let (measured, answers) = neighbours.steady().during(|phase| {
        let mut answers = Vec::new();
        for round in 0..=rounds {
            phase.hold(2 * round, SLOW);
            phase.set(2 * round + 1);
            answers.push(neighbours.misbehave(&misdeeds::slow(), 8, SLOW)?);
            phase.settle();
        }
        Ok(answers)
    })?;
    ensure!(measured.refused.is_empty(), "the good one was refused: {:?}", measured.refused);
    let told = answers.iter().any(|answer| answer.refused.contains_key(&429));
    ensure!(told, "the slow one was never told to wait");
    let pairs = (1..=rounds)
        .map(|round| Ok((measured.p99_ms(2 * round + 1)?, measured.p99_ms(2 * round)?)));
    let pairs = pairs.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Row::of(
        "plugins/neighbours",
        "p99 beside a slow rule within its limits; against none",
        "ms",
        &pairs,
    ))
}
