//! Three gateways that share a catalog in a real PostgreSQL: how long a swap takes until all three
//! judge by it.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;
use tidegate_testkit::{Gateway, Postgres, Tenant};

use super::SETTINGS;
use super::load::Load;
use super::swaps::{Pair, percentiles};
use crate::report::Row;

/// In a round.
const SWAPS: usize = 40;
const NAMES: [&str; 3] = ["first", "second", "third"];

/// Measures swaps on three nodes with a little load on each.
pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let postgres = Postgres::start();
    let url = postgres.create_database();
    let nodes = NAMES.map(|name| {
        let own = [("CATALOG__URL", url.as_str()), ("NODE__NAME", name)];
        Gateway::start_with(&[&SETTINGS[..], &own].concat())
    });
    let [first, second, third] = &nodes;
    let mut pair = Pair::new(first, "nodes")?;
    wait_until_all_judge(&nodes, &pair.tenant)?;
    let poster = [pair.tenant.clone()];
    let load = |gateway| Load {
        gateway,
        tenants: &poster,
        connections: 1,
        batch: 20,
        pace: Some(Duration::from_millis(10)),
        members: "",
    };
    let (mut calls, mut judged) = (Vec::new(), Vec::new());
    // All three have something to do meanwhile.
    let (_, (_, (_, ()))) = load(first).during(|_| {
        load(second).during(|_| {
            load(third).during(|_| {
                // The first round warms up and does not count.
                for round in 0..=rounds {
                    let done: anyhow::Result<Vec<_>> =
                        (0..SWAPS).map(|_| pair.swap(&nodes)).collect();
                    let [call, all] = percentiles(&done?)?;
                    if round > 0 {
                        calls.push(call);
                        judged.push(all);
                    }
                }
                Ok(())
            })
        })
    })?;
    Ok(vec![
        Row::of(
            "plugins/nodes",
            "three nodes: a swap until the call is answered, p99; against a batch of one on each",
            "ms",
            &calls,
        ),
        Row::of(
            "plugins/nodes",
            "three nodes: a swap until all judge by it, p99; against a batch of one on each",
            "ms",
            &judged,
        ),
    ])
}

/// A node that has just started has to hear of the tenant first.
fn wait_until_all_judge(nodes: &[Gateway], tenant: &Tenant) -> anyhow::Result<()> {
    let begun = Instant::now();
    for node in nodes {
        while tenant.post(node, &json!({ "id": "first" })).status != 202 {
            ensure!(begun.elapsed() < Duration::from_secs(30), "a node does not take the tenant");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}
