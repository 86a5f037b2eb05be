//! Any poison rows in a batch of any size: they fault, and the others are judged as alone.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use serde_json::json;
use tidegate_plugin_host::{Judgement, Plan, PluginHost};

use crate::support::{
    assert_contained, batch_of, events, fault, honest, host, judge, limits, plan, tenant,
};

/// The host's reason where it ran out of tries.
const GIVEN_UP: &str = "failed too often";

struct Poisoned {
    runtime: tokio::runtime::Runtime,
    _host: PluginHost,
    plan: Plan,
}

fn poisoned() -> &'static Poisoned {
    static ONCE: OnceLock<Poisoned> = OnceLock::new();
    ONCE.get_or_init(|| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let host = host(limits());
        let plan = runtime.block_on(plan(&host, &json!({ "mode": "panic" })));
        Poisoned { runtime, _host: host, plan }
    })
}

fn judged(count: usize, poison: &[usize]) -> Vec<Judgement> {
    let it = poisoned();
    it.runtime.block_on(judge(&it.plan, &events(count, poison)))
}

/// The calls that halving takes to find every poison row of `rows`.
fn tries(rows: std::ops::Range<usize>, poison: &BTreeSet<usize>) -> usize {
    if rows.len() == 1 || poison.range(rows.clone()).next().is_none() {
        return 1;
    }
    let middle = rows.start + rows.len() / 2;
    1 + tries(rows.start..middle, poison) + tries(middle..rows.end, poison)
}

/// The bound that the host documents.
fn bound(rows: usize) -> usize {
    2 * rows.next_power_of_two().ilog2() as usize + 2
}

#[test]
fn one_poison_row_is_found_wherever_it_stands() {
    for count in [1, 2, 3, 5, 7, 8, 9, 63, 100, 129, 200] {
        for at in 0..count {
            for (row, judgement) in judged(count, &[at]).iter().enumerate() {
                match fault(judgement) {
                    Some((_, why)) => assert!(
                        row == at && !why.contains(GIVEN_UP),
                        "{row} of {count}, poison {at}: {why}"
                    ),
                    None => assert!(
                        row != at && honest(judgement, row),
                        "{row} of {count}, poison {at}"
                    ),
                }
            }
        }
    }
}

/// Single events that meet on a worker are judged in one call; one that faults costs the others
/// nothing, however many there are.
#[test]
fn joined_events_are_judged_as_alone() {
    let it = poisoned();
    let (tenant, node) = (tenant("acme"), Arc::<str>::from("node"));
    let every: Vec<usize> = (0..8).collect();
    for (count, poison) in [(4, &[0, 2][..]), (64, &[0, 63]), (64, &[]), (8, &every), (9, &[4])] {
        let rows = batch_of(&tenant, &events(count, poison)).rows;
        let judgements = it.runtime.block_on(async {
            let one = |row| {
                let (tenant, node) = (tenant.clone(), Arc::clone(&node));
                tokio::spawn(async move { it.plan.evaluate_one(&tenant, &node, row).await })
            };
            let mut judgements = Vec::new();
            for task in rows.into_iter().map(one).collect::<Vec<_>>() {
                judgements.push(task.await.expect("no panic").expect("room"));
            }
            judgements
        });
        assert_contained(&format!("{count} joined"), &judgements, poison, "wasm trap");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn poison_rows_fault_and_the_others_are_judged_as_alone(
        count in 1usize..=200,
        places in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let poison: BTreeSet<usize> = places.iter().map(|place| place.index(count)).collect();
        let judgements = judged(count, &poison.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(judgements.len(), count);
        let found = tries(0..count, &poison) <= bound(count);
        for (row, judgement) in judgements.iter().enumerate() {
            match fault(judgement) {
                // What is left when the tries are used up takes the policy, the innocent as well.
                Some((_, why)) if why.contains(GIVEN_UP) => prop_assert!(!found, "row {} was given up", row),
                Some(_) => prop_assert!(poison.contains(&row), "row {} is innocent", row),
                None => prop_assert!(!poison.contains(&row) && honest(judgement, row), "row {}", row),
            }
        }
    }
}
