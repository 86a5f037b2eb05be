//! SIGKILL at random moments under load: nothing acknowledged is lost, nothing is stored twice, and
//! what is sent again gets its first event id (B3, D5).

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tidegate_crash::{Ledger, load, log, readings, seed, stored};
use tidegate_testkit::Gateway;

/// Small files, so that segments fill, are published and are truncated between two kills.
const SMALL_FILES: [(&str, &str); 6] = [
    ("INGRESS__MAX_BODY_BYTES", "512KiB"),
    ("WAL__SEGMENT_BYTES", "1MiB"),
    ("WAL__GROUP_BYTES", "256KiB"),
    ("STORAGE__FLUSH_AFTER", "50ms"),
    ("STORAGE__FLUSH_BYTES", "1MiB"),
    ("WAL__SEAL_AFTER", "20ms"),
];

/// A kill in the middle of a write leaves a torn tail, which is told.
const TORN: [&str; 1] = ["torn tail"];

fn cycles() -> usize {
    let given = std::env::var("TIDEGATE_KILL_CYCLES").ok();
    given.map_or(30, |text| text.parse().expect("TIDEGATE_KILL_CYCLES is a number"))
}

#[test]
fn what_was_acknowledged_is_stored_once() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut gateway = Gateway::start_with(&SMALL_FILES);
    let tenant = readings::tenant(&gateway);
    let (ledger, address) = (Ledger::default(), gateway.ingress.clone());
    let mut first_cycle = Vec::new();
    load::under_load(&address, &tenant, &ledger, seed, || {
        for cycle in 0..cycles() {
            pause(&mut random, 20..700);
            if random.random_ratio(1, 4) {
                // While it drains, publishes and seals.
                gateway.ask_to_stop();
                pause(&mut random, 0..100);
            }
            gateway.kill();
            if cycle == 0 {
                first_cycle = ledger.taken();
            }
            if random.random_ratio(1, 3) {
                // Once more while it recovers.
                gateway.launch();
                pause(&mut random, 0..120);
                gateway.kill();
            }
            gateway.restart();
        }
    });
    load::settle(&address, &tenant, &ledger);
    load::replay(&address, &tenant, &ledger, &first_cycle);
    assert!(gateway.terminate(), "{}", gateway.log());
    let stored = stored::read(gateway.folder());
    ledger.check(&stored);
    assert_eq!(stored.len(), ledger.taken().len(), "all is settled");
    assert!(stored.len() > 30 * cycles(), "there was load: {} events", stored.len());
    stored::assert_no_orphans(gateway.folder());
    log::assert_quiet(&gateway.log(), &TORN);
    println!("{} events, {} of the first cycle sent again", stored.len(), first_cycle.len());
}

/// A random moment; nothing is waited for.
fn pause(random: &mut StdRng, millis: std::ops::Range<u64>) {
    std::thread::sleep(Duration::from_micros(
        random.random_range(millis.start * 1000..millis.end * 1000),
    ));
}
