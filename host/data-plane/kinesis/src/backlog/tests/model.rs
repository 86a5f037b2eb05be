//! Chance in place of patterns: pushes, time, answers of every kind in any order, messages with a latest
//! moment; whatever comes, what the stream has and what is reported agree.

use proptest::prelude::*;

use super::*;

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Clone, Debug)]
enum Act {
    Push { key: usize, latest_ms: Option<u64> },
    Pass { ms: u64 },
    Answer { which: usize, failing: u32, throttles: bool },
    Fail { which: usize, unknown: bool, throttled: bool, stores: bool },
    Refuse { which: usize },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => (0..KEYS.len(), proptest::option::of(1..3000u64))
            .prop_map(|(key, latest_ms)| Act::Push { key, latest_ms }),
        4 => (0..400u64).prop_map(|ms| Act::Pass { ms }),
        4 => (any::<usize>(), any::<u32>(), any::<bool>())
            .prop_map(|(which, failing, throttles)| Act::Answer { which, failing, throttles }),
        2 => (any::<usize>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(which, unknown, throttled, stores)| Act::Fail { which, unknown, throttled, stores }
        ),
        1 => any::<usize>().prop_map(|which| Act::Refuse { which }),
    ]
}

/// Brings the call that is meant to the front.
fn choose(world: &mut World, which: usize) -> bool {
    if world.open.is_empty() {
        return false;
    }
    let at = which % world.open.len();
    world.open.swap(0, at);
    true
}

fn play(world: &mut World, act: &Act) {
    match act {
        Act::Push { key, latest_ms } => {
            let latest = latest_ms.map(Duration::from_millis);
            world.push(KEYS[*key], latest);
        }
        Act::Pass { ms } => world.pass(Duration::from_millis(*ms)),
        Act::Answer { which, failing, throttles } => {
            if choose(world, *which) {
                let bad = if *throttles { Fate::Throttle } else { Fate::Fail };
                world.answer(|at| if failing >> (at % 32) & 1 == 1 { bad } else { Fate::Store });
            }
        }
        Act::Fail { which, unknown, throttled, stores } => {
            if choose(world, *which) {
                world.fail(*unknown, *throttled, *unknown && *stores);
            }
        }
        Act::Refuse { which } => {
            if choose(world, *which) {
                world.refuse();
            }
        }
    }
    world.step();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn order_reports_and_room_hold_whatever_comes(
        acts in proptest::collection::vec(act(), 1..120),
        records in 1..8usize,
        calls in 1..4usize,
    ) {
        let mut world = World::new(|options| {
            options.batch.records = records;
            options.calls = calls;
        });
        for act in &acts {
            play(&mut world, act);
            prop_assert!(world.open.len() <= calls);
            prop_assert!(world.open.iter().all(|call| call.entries.len() <= records));
        }
        world.finish();
        world.check_stored();
        world.check_reports();
        prop_assert_eq!(world.reports.len(), world.keys.len());
    }

    #[test]
    fn without_order_each_is_reported_once_too(acts in proptest::collection::vec(act(), 1..120)) {
        let mut world = World::new(|options| {
            options.ordering = Ordering::None;
            options.batch.records = 4;
        });
        for act in &acts {
            play(&mut world, act);
        }
        world.finish();
        world.check_reports();
        for message in 0..world.keys.len() {
            let times = world.stored.iter().filter(|stored| **stored == message).count();
            prop_assert!(times <= 1 || world.doubtful.contains(&message));
        }
    }
}
