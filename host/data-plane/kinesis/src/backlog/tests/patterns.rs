//! Every pattern of entries that fail, over several rounds.

use super::*;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// Two records of each of four keys; in three rounds, each of the four first records fails or not:
/// 16^3 ways.
#[test]
fn only_what_failed_goes_again_and_nothing_overtakes() {
    for ways in 0..16u32.pow(3) {
        let mut world = World::new(|_| {});
        for key in KEYS.into_iter().chain(KEYS) {
            world.push(key, None);
        }
        for round in 0..3 {
            world.pass(Duration::from_secs(10));
            world.step();
            let failing = (ways >> (4 * round)) & 15;
            while !world.open.is_empty() {
                let sent = World::messages(&world.open[0]);
                let delivered = world.delivered();
                assert!(sent.iter().all(|message| !delivered.contains(message)));
                let keys: Vec<&str> = sent.iter().map(|message| world.keys[*message]).collect();
                world.answer(|at| {
                    let bit = KEYS.iter().position(|key| *key == keys[at]).unwrap();
                    if failing >> bit & 1 == 1 { Fate::Fail } else { Fate::Store }
                });
            }
        }
        world.finish();
        assert_eq!(world.delivered().len(), 8);
        assert_eq!(world.stored.len(), 8, "each is stored once");
        world.check_stored();
    }
}

/// The same for up to six records in one call without order: all patterns, round after round until all
/// are stored.
#[test]
fn without_order_too_only_what_failed_goes_again() {
    for count in 1..=6usize {
        for first in 0..1u32 << count {
            for second in [0, first / 2, first] {
                let mut world = World::new(|options| options.ordering = Ordering::None);
                for _ in 0..count {
                    world.push("same", None);
                }
                for failing in [first, second] {
                    world.pass(Duration::from_secs(10));
                    world.step();
                    while !world.open.is_empty() {
                        world.answer(|at| {
                            if failing >> at & 1 == 1 { Fate::Throttle } else { Fate::Store }
                        });
                    }
                }
                world.finish();
                assert_eq!((world.delivered().len(), world.stored.len()), (count, count));
            }
        }
    }
}
