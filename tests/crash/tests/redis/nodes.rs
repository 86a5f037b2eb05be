//! Two gateways on one Redis are sent the same events at once, and killed meanwhile: each event is
//! stored once in sum.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tidegate_crash::{Ledger, load, log, readings, seed, stored};
use tidegate_testkit::{Gateway, Redis};

use crate::{duplicates, settings};

/// Claims last longer than a gateway needs to come back.
const LEASE: [(&str, &str); 2] = [("DEDUP__LEASE", "20s"), ("INGRESS__REQUEST_TIMEOUT", "20s")];

fn cycles() -> usize {
    let given = std::env::var("TIDEGATE_KILL_CYCLES").ok();
    given.map_or(6, |text| text.parse().expect("TIDEGATE_KILL_CYCLES is a number"))
}

fn check(mut one: Gateway, mut other: Gateway, ledger: &Ledger) {
    assert_eq!(duplicates(&one) + duplicates(&other), 0);
    assert!(one.terminate(), "{}", one.log());
    assert!(other.terminate(), "{}", other.log());
    let mut both = stored::read(one.folder());
    let of_one = both.len();
    both.extend(stored::read(other.folder()));
    ledger.check(&both);
    assert_eq!(both.len(), ledger.taken().len(), "all is settled");
    assert!(of_one > 0 && both.len() > of_one, "both had their part: {of_one} of {}", both.len());
    println!("{of_one} and {} events", both.len() - of_one);
    for gateway in [&one, &other] {
        log::assert_quiet(&gateway.log(), &["torn tail", "redis cannot be used"]);
    }
}

#[test]
fn the_same_events_at_both_while_one_is_killed() {
    let (seed, redis) = (seed(), Redis::start());
    let (mut random, url) = (StdRng::seed_from_u64(seed), redis.url());
    let mut one = Gateway::start_with(&settings(&url, &LEASE));
    let other = Gateway::start_with(&settings(&url, &LEASE));
    let (of_one, of_other) = (readings::tenant(&one), readings::tenant(&other));
    let ledger = Ledger::default();
    let (at_one, at_other) = (one.ingress.clone(), other.ingress.clone());
    // The same seed makes the same keys.
    load::under_load(&at_one, &of_one, &ledger, seed, || {
        load::under_load(&at_other, &of_other, &ledger, seed, || {
            for _ in 0..cycles() {
                std::thread::sleep(Duration::from_millis(random.random_range(50..700)));
                one.kill();
                one.restart();
            }
        });
    });
    load::settle(&at_other, &of_other, &ledger);
    let taken = ledger.taken();
    load::replay(&at_one, &of_one, &ledger, &taken);
    load::replay(&at_other, &of_other, &ledger, &taken);
    check(one, other, &ledger);
}
