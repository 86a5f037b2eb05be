//! Rules that are swapped while events are posted at full speed: how long a swap takes, and what it
//! costs those who post.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tidegate_testkit::{Connection, Gateway, Tenant};

use super::load::{Load, p99_ms};
use super::{BUILT_IN, SETTINGS, draft, is_judged_by, revision, stored};
use crate::report::Row;

/// In a round; five rounds make a thousand.
const SWAPS: usize = 200;
const QUIET: Duration = Duration::from_millis(1500);
const NAMES: [&str; 2] = ["red", "blue"];

/// Two revisions of one tenant, and who is asked to swap them.
pub(super) struct Pair {
    pub(super) tenant: Tenant,
    digests: [String; 2],
    count: usize,
}

/// How long a swap took, in microseconds.
pub(super) struct Swap {
    /// Until the call was answered.
    pub(super) call: u64,
    /// Until each of the nodes has answered a batch that the new revision judged.
    pub(super) judged: u64,
    /// A batch of the same size right after it.
    pub(super) probe: u64,
    /// Events that were posted to find out.
    pub(super) posted: u64,
}

impl Pair {
    pub(super) fn new(gateway: &Gateway, id: &str) -> anyhow::Result<Self> {
        let tenant = Tenant::create(gateway, id);
        let [red, blue] = NAMES.map(|name| draft(gateway, &tenant, &revision(name, BUILT_IN)));
        let pair = Self { tenant, digests: [red?, blue?], count: 0 };
        // Both are compiled and were active before anything is measured.
        for digest in &pair.digests {
            pair.tenant.activate_digest(gateway, digest);
        }
        Ok(pair)
    }

    /// Activates the other revision through the first node; waits until all nodes judge by it.
    pub(super) fn swap(&mut self, nodes: &[Gateway]) -> anyhow::Result<Swap> {
        self.count += 1;
        let to = (self.count + 1) % 2;
        let (Some(name), Some(digest)) = (NAMES.get(to), self.digests.get(to)) else {
            anyhow::bail!("there are two revisions")
        };
        let mut connections: Vec<_> = nodes.iter().map(Gateway::connect).collect();
        let mut posted = 0;
        let mut judged_by_it = |connection: &mut Connection| {
            posted += 1;
            let id = format!("probe-{}-{posted}", self.count);
            is_judged_by(connection, &self.tenant, &id, name)
        };
        let asked = Instant::now();
        if let Some(node) = nodes.first() {
            self.tenant.activate_digest(node, digest);
        }
        let call = asked.elapsed();
        for connection in &mut connections {
            while !judged_by_it(connection)? {
                ensure!(asked.elapsed() < Duration::from_secs(30), "a node does not take it");
            }
        }
        let judged = asked.elapsed();
        let probing = Instant::now();
        for connection in &mut connections {
            judged_by_it(connection)?;
        }
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let probe = micros(probing.elapsed());
        Ok(Swap { call: micros(call), judged: micros(judged), probe, posted })
    }
}

/// 99th percentiles of some swaps: the call and the first batch, each beside a batch alone.
pub(super) fn percentiles(swaps: &[Swap]) -> anyhow::Result<[(f64, f64); 2]> {
    let of = |pick: fn(&Swap) -> u64| p99_ms(swaps.iter().map(pick).collect());
    let (call, judged, probe) = (of(|it| it.call)?, of(|it| it.judged)?, of(|it| it.probe)?);
    Ok([(call, probe), (judged, probe)])
}

/// Measures swaps on one node while events are posted at full speed.
pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let nodes = [Gateway::start_with(&SETTINGS)];
    let [gateway] = &nodes;
    let mut pair = Pair::new(gateway, "swap")?;
    let poster = [pair.tenant.clone()];
    let load =
        Load { gateway, tenants: &poster, connections: 3, batch: 100, pace: None, members: "" };
    let mut swaps = Vec::new();
    let (measured, ()) = load.during(|phase| {
        // The first round warms up and does not count.
        for round in 0..=rounds {
            phase.hold(2 * round, QUIET);
            phase.set(2 * round + 1);
            let done: anyhow::Result<Vec<_>> = (0..SWAPS).map(|_| pair.swap(&nodes)).collect();
            swaps.push(done?);
            phase.settle();
        }
        Ok(())
    })?;
    ensure!(measured.refused.is_empty(), "batches were refused: {:?}", measured.refused);
    let sent = measured.sent + swaps.iter().flatten().map(|swap| swap.posted).sum::<u64>();
    let stored = stored::events(gateway)?;
    ensure!(stored == sent, "{stored} events are stored of {sent}");
    let (mut tails, mut calls, mut judged) = (Vec::new(), Vec::new(), Vec::new());
    for (round, swaps) in swaps.iter().enumerate().skip(1) {
        tails.push((measured.p99_ms(2 * round + 1)?, measured.p99_ms(2 * round)?));
        let [call, first] = percentiles(swaps)?;
        calls.push(call);
        judged.push(first);
    }
    let count = rounds * SWAPS;
    Ok(vec![
        Row::of(
            "plugins/swaps",
            format!("batches of 100 at full speed, {count} swaps, p99; against none"),
            "ms",
            &tails,
        ),
        Row::of(
            "plugins/swaps",
            "a swap until the call is answered, p99; against a batch of one",
            "ms",
            &calls,
        ),
        Row::of(
            "plugins/swaps",
            "a swap until a batch is judged by it, p99; against a batch of one",
            "ms",
            &judged,
        ),
        Row::of(
            "plugins/swaps",
            "events stored; against sent",
            "events",
            &[(stored as f64, sent as f64)],
        ),
    ])
}
