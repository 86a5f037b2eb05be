//! Looks at the world around: clocks, random numbers, environment, files; and waits.

use std::time::{Duration, Instant, SystemTime};

use crate::bindings::exports::tidegate::rules::rules::Outcome;
use crate::outcome::add_finding;

/// What it sees, as one finding with code `probed` on the first row.
pub(crate) fn report(outcome: &mut Outcome) {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let started = Instant::now();
    let random = wasi::random();
    let seen = format!(
        "time={} elapsed={} random={random:x?} args={} vars={} file={} list={} input={}",
        since.map_or(0, |since| since.as_secs()),
        started.elapsed().as_nanos(),
        std::env::args().count(),
        std::env::vars().count(),
        std::fs::write("/tmp/seen", b"x").is_ok() || std::fs::read("/etc/passwd").is_ok(),
        std::fs::read_dir("/").is_ok(),
        std::io::read_to_string(std::io::stdin()).map_or(0, |text| text.len()),
    );
    add_finding(&mut outcome.findings, 0, 1, u32::MAX, seen.as_bytes());
}

/// Counts how far it comes before a timer runs out: a clock, if timers ran.
pub(crate) fn poll_timer() {
    std::thread::sleep(Duration::from_millis(1));
}

/// Yields to the host for ever with timers that have run out.
pub(crate) fn poll_for_ever() {
    loop {
        wasi::poll(0);
    }
}

/// Takes handles and gives none back.
pub(crate) fn hoard_handles() {
    loop {
        wasi::hoard(0);
    }
}

mod wasi {
    //! The functions of WASI that the standard library does not offer in this form.
    wit_bindgen::generate!({
        path: "wit",
        world: "probe",
        generate_all,
    });

    use self::wasi::clocks::monotonic_clock::subscribe_duration;
    use self::wasi::random::random::{get_random_bytes, get_random_u64};

    pub(super) fn random() -> (u64, Vec<u8>) {
        (get_random_u64(), get_random_bytes(20))
    }

    pub(super) fn poll(nanoseconds: u64) {
        subscribe_duration(nanoseconds).block();
    }

    pub(super) fn hoard(nanoseconds: u64) {
        std::mem::forget(subscribe_duration(nanoseconds));
    }
}
