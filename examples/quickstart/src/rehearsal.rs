//! The life of a candidate, on a tenant of its own: a stricter revision sees January as a shadow, is
//! replayed over what was stored, judges a tenth of the events as a canary, is promoted, and rolled
//! back. What each stage must come to is known of the data.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use serde_json::Value;
use tidegate_connector::{Connector, ConnectorOptions};

use crate::data;
use crate::data::expected::{Flight, JANUARY};
use crate::data::flights::Flights;
use crate::gateway::Gateway;
use crate::{setup, stored};

pub(crate) const TENANT: &str = "nyc-trial";
/// Flights of January that left more than ten hours late and were not held anyway.
const FLIPS: u64 = 3;
/// Events that are posted after promotion and after rollback.
const FEW: usize = 1000;
/// Per cent of the events that the canary judges.
const PERCENT: u64 = 10;
/// How long a shadow may take to catch up.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);

/// What came of it.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    revisions: [String; 2],
    pub(crate) shadow: Compared,
    pub(crate) replay: Compared,
    /// Events that the canary judged, of all in that stage.
    pub(crate) canary: (u64, u64),
}

/// A comparison of verdicts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compared {
    pub(crate) seen: u64,
    pub(crate) compared: u64,
    pub(crate) flipped: u64,
}

impl Compared {
    fn of(diff: &Value) -> Self {
        let number = |name: &str| diff.get(name).and_then(Value::as_u64).unwrap_or_default();
        Self { seen: number("seen"), compared: number("compared"), flipped: number("flipped") }
    }
}

/// Runs it all; the gateway is running.
///
/// # Errors
/// Where a command fails, or events are not taken.
pub(crate) fn run(
    gateway: &Gateway,
    options: impl Fn(&str) -> ConnectorOptions,
) -> Result<Rehearsal> {
    let (key, revisions) = setup::tenant(gateway, TENANT, ["revision-2.json", "revision-3.json"])?;
    let [_, candidate] = &revisions;
    let of = |words: &[&str]| -> Result<Value> {
        let words: Vec<&str> = words.iter().copied().chain(["--tenant", TENANT]).collect();
        let told = gateway.command(&words)?;
        serde_json::from_str(&told).with_context(|| format!("the command printed no JSON: {told}"))
    };
    of(&["revision", "shadow", candidate])?;
    post(&options(&key), "a", usize::MAX)?;
    let shadow = caught_up(|| of(&["revision", "rollout"]))?;
    let replay = of(&["revision", "replay", candidate])?;
    let replay = Compared::of(replay.get("diff").context("the replay has no diff")?);

    of(&["revision", "canary", candidate, "--percent", &PERCENT.to_string()])?;
    post(&options(&key), "b", usize::MAX)?;
    let rollout = of(&["revision", "rollout"])?;
    let count = |name: &str| {
        let at = format!("/counts/candidate/{name}");
        rollout.pointer(&at).and_then(Value::as_u64).unwrap_or_default()
    };
    let canary = (count("accepted") + count("quarantined"), JANUARY.events);
    setup::activate(gateway, TENANT, candidate)?;
    post(&options(&key), "c", FEW)?;
    of(&["revision", "rollback"])?;
    post(&options(&key), "d", FEW)?;
    Ok(Rehearsal { revisions, shadow, replay, canary })
}

/// Posts January, or its first flights, each id with a prefix that makes it another event.
fn post(options: &ConnectorOptions, prefix: &'static str, most: usize) -> Result<()> {
    let flights = Flights::open(&data::january())?.take(most);
    let events = flights.map(|flight| flight.map(|flight| renamed(&flight, prefix)));
    let events = events.map(|event| event.map_err(Into::into));
    let connector = Connector::new(options.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let summary = runtime.block_on(connector.post(events, |_| {}));
    ensure!(summary.stopped.is_none(), "posting ended early: {:?}", summary.stopped);
    ensure!(summary.refused == 0 && summary.unsettled == 0, "not all was taken: {summary:?}");
    Ok(())
}

fn renamed(flight: &Bytes, prefix: &str) -> Bytes {
    let text = String::from_utf8_lossy(flight);
    text.replacen("\"id\":\"", &format!("\"id\":\"{prefix}/"), 1).into_bytes().into()
}

/// Waits until the shadow has looked at everything.
fn caught_up(look: impl Fn() -> Result<Value>) -> Result<Compared> {
    let begun = Instant::now();
    loop {
        let rollout = look()?;
        let diff = rollout.get("diff").context("the shadow has no diff")?;
        let compared = Compared::of(diff);
        let number = |name: &str| diff.get(name).and_then(Value::as_u64).unwrap_or_default();
        if compared.seen == compared.compared + number("shed") + number("failed") {
            return Ok(compared);
        }
        ensure!(begun.elapsed() < PATIENCE, "the shadow does not catch up: {diff}");
        std::thread::sleep(LOOK);
    }
}

impl Rehearsal {
    /// Everything that is not as it must be; what is stored is read.
    ///
    /// # Errors
    /// Where what is stored cannot be read.
    pub(crate) fn failures(&self, storage: &Path) -> Result<Vec<String>> {
        let mut failures = Vec::new();
        let mut must_be = |what: &str, found: u64, expected: u64| {
            if found != expected {
                failures.push(format!("{what}: {found}, expected {expected}"));
            }
        };
        must_be("events that the shadow saw", self.shadow.seen, JANUARY.events);
        // What it shed is for the replay to tell.
        if self.shadow.compared == self.shadow.seen {
            must_be("verdicts that the shadow would change", self.shadow.flipped, FLIPS);
        }
        must_be("events replayed", self.replay.compared, JANUARY.events);
        must_be("verdicts that the replay would change", self.replay.flipped, FLIPS);
        let (judged, all) = self.canary;
        let expected = all * PERCENT / 100;
        if judged.abs_diff(expected) > expected / 5 {
            failures.push(format!("the canary judged {judged} of {all} events"));
        }
        // By stage: how many events each of the two revisions judged.
        let mut stages: BTreeMap<String, [u64; 2]> = BTreeMap::new();
        stored::read(storage, TENANT, |row| {
            let flight: Flight<'_> = serde_json::from_slice(row.original)?;
            let stage = flight.id.split('/').next().unwrap_or_default().to_owned();
            let judge = self.revisions.iter().position(|digest| digest == row.revision);
            let judge = judge.context("an event was judged by an unknown revision")?;
            if let Some(count) = stages.entry(stage).or_default().get_mut(judge) {
                *count += 1;
            }
            Ok(())
        })?;
        let (few, all) = (FEW as u64, JANUARY.events);
        let wanted =
            [("a", [all, 0]), ("b", [all - judged, judged]), ("c", [0, few]), ("d", [few, 0])];
        for (stage, expected) in wanted {
            let found = stages.get(stage).copied().unwrap_or_default();
            if found != expected {
                failures.push(format!("judged in stage {stage}: {found:?}, expected {expected:?}"));
            }
        }
        Ok(failures)
    }

    /// For people.
    pub(crate) fn summary(&self) -> String {
        let Self { shadow, replay, canary: (judged, all), .. } = self;
        format!(
            "\nA candidate on tenant `{TENANT}`: revision 3, which holds flights more than ten hours late\n  \
             shadow     {} of {} events compared, {} verdicts would change\n  \
             replay     {} stored events, {} verdicts would change\n  \
             canary     judged {judged} of {all} events ({PERCENT} % asked for), by their keys\n  \
             promoted   and rolled back, {FEW} events each\n",
            shadow.compared, shadow.seen, shadow.flipped, replay.compared, replay.flipped
        )
    }
}
