//! What a call costs, without reading a clock for each.
//!
//! A call that is longer than a slice is measured by its meter, each time. A shorter one never left
//! its thread, so its wall time is a good guess at its CPU time: one in sixteen, taken by chance, is
//! timed and stands for sixteen. Timing all of them would put two readings of a clock into each call of one event.

use std::cell::Cell;
use std::time::{Duration, Instant};

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

pub(super) struct Watch(Option<Instant>);

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
        Self(is_chosen().then(Instant::now))
    }

    /// The cost, where the call was long or chosen. `measured` is what its meter says.
    pub(super) fn stop(self, measured: Option<Duration>) -> Option<Cost> {
        match (measured, self.0) {
            (Some(each), _) => Some(Cost { each, calls: 1 }),
            (None, Some(started)) => Some(Cost { each: started.elapsed(), calls: STANDS_FOR }),
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
}
