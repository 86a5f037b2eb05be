//! What a call costs, without reading a clock for each.
//!
//! A call that is longer than a slice is measured by its meter, each time. A shorter one never left
//! its thread: one in sixteen, taken by chance, is timed by the thread's CPU clock and stands for
//! sixteen. Timing all of them would put two calls of the kernel into each call of one event. By the
//! clock on the wall, a tenant would pay sixteenfold for the moments when the machine runs others.

use std::cell::Cell;
use std::time::Duration;

use crate::guest::meter::thread_cpu_nanos;

/// Short calls that one timed call stands for.
const STANDS_FOR: u32 = 16;

thread_local! {
    static RANDOM: Cell<u32> = Cell::new(getrandom::u32().unwrap_or(1) | 1);
}

/// Chosen by chance, so that no pattern of calls evades it.
fn is_chosen() -> bool {
    RANDOM.with(|random| {
        let mut x = random.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        random.set(x);
        x % STANDS_FOR == 0
    })
}

/// What the thread's CPU clock said, in nanoseconds, where the call was chosen.
pub(super) struct Watch(Option<u64>);

/// CPU time of a call, and how many calls it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) each: Duration,
    pub(crate) calls: u32,
}

impl Cost {
    pub(crate) fn all(self) -> Duration {
        self.each * self.calls
    }
}

impl Watch {
    pub(super) fn start() -> Self {
        Self(is_chosen().then(thread_cpu_nanos))
    }

    /// The cost, where the call was long or chosen. `measured` is what its meter says.
    pub(super) fn stop(self, measured: Option<Duration>) -> Option<Cost> {
        match (measured, self.0) {
            (Some(each), _) => Some(Cost { each, calls: 1 }),
            (None, Some(started)) => {
                let each = Duration::from_nanos(thread_cpu_nanos().saturating_sub(started));
                Some(Cost { each, calls: STANDS_FOR })
            }
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_calls_stand_for_all() {
        const CALLS: u32 = 100_000;
        let costs = (0..CALLS).filter_map(|_| Watch::start().stop(None));
        let counted: u32 = costs.map(|cost| cost.calls).sum();
        assert!(counted.abs_diff(CALLS) < CALLS / 10, "{counted}");
        let long = Watch::start().stop(Some(Duration::from_millis(7)));
        assert_eq!(long.map(Cost::all), Some(Duration::from_millis(7)), "each counts for itself");
    }
    #[test]
    fn a_call_that_does_not_run_costs_nothing() {
        let watch = std::iter::repeat_with(Watch::start).find(|watch| watch.0.is_some());
        std::thread::sleep(Duration::from_millis(200));
        let cost = watch.and_then(|watch| watch.stop(None)).map(Cost::all);
        assert!(cost.is_some_and(|cost| cost < Duration::from_millis(100)), "{cost:?}");
    }
}
