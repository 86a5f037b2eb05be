//! Calls of one tenant that run at once: so many, which can be changed while they run. The others
//! wait, first come first served, so many at most and so long at most.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};

#[derive(Debug)]
pub(crate) struct Turns {
    semaphore: Semaphore,
    size: Mutex<usize>,
    /// Turns that are to be no more as soon as they come back.
    surplus: AtomicUsize,
    waiting: AtomicUsize,
}

/// A call's turn. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn<'t> {
    turns: &'t Turns,
    permit: Option<SemaphorePermit<'t>>,
    /// How long it was waited for.
    pub(crate) waited: Option<Duration>,
}

/// Too many wait, or one waited too long.
#[derive(Debug)]
pub(crate) struct Busy;

impl Turns {
    pub(crate) fn new(size: usize) -> Self {
        let size = size.max(1);
        Self {
            semaphore: Semaphore::new(size),
            size: Mutex::new(size),
            surplus: AtomicUsize::default(),
            waiting: AtomicUsize::default(),
        }
    }

    /// More from now on, or fewer as soon as those that are running end.
    pub(crate) fn resize(&self, wanted: usize) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = wanted.clamp(1, Semaphore::MAX_PERMITS);
        if wanted > *size {
            let mut more = wanted - *size;
            while more > 0 && self.take_surplus() {
                more -= 1;
            }
            self.semaphore.add_permits(more);
        } else {
            let fewer = *size - wanted;
            let gone = self.semaphore.forget_permits(fewer);
            self.surplus.fetch_add(fewer - gone, Ordering::Relaxed);
        }
        *size = wanted;
    }

    fn take_surplus(&self) -> bool {
        let one_less = |surplus: usize| surplus.checked_sub(1);
        self.surplus.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    /// Waits for a turn behind at most `most` others, and at most `wall`.
    pub(crate) async fn acquire(&self, most: usize, wall: Duration) -> Result<Turn<'_>, Busy> {
        match self.semaphore.try_acquire() {
            Ok(permit) => Ok(Turn { turns: self, permit: Some(permit), waited: None }),
            // Never closed.
            Err(TryAcquireError::Closed) => Err(Busy),
            Err(TryAcquireError::NoPermits) => Box::pin(self.wait(most, wall)).await,
        }
    }

    async fn wait(&self, most: usize, wall: Duration) -> Result<Turn<'_>, Busy> {
        let waiting = Waiting::new(&self.waiting);
        if waiting.before >= most {
            return Err(Busy);
        }
        let since = Instant::now();
        match tokio::time::timeout(wall, self.semaphore.acquire()).await {
            Ok(Ok(permit)) => {
                Ok(Turn { turns: self, permit: Some(permit), waited: Some(since.elapsed()) })
            }
            Ok(Err(_)) | Err(_) => Err(Busy),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.turns.surplus.load(Ordering::Relaxed) > 0
            && self.turns.take_surplus()
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
        }
    }
}

/// Counted while it waits.
struct Waiting<'w> {
    count: &'w AtomicUsize,
    before: usize,
}

impl<'w> Waiting<'w> {
    fn new(count: &'w AtomicUsize) -> Self {
        Self { count, before: count.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use proptest::prelude::*;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn now(turns: &Turns) -> Option<Turn<'_>> {
        let mut call = pin!(turns.acquire(0, LONG));
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => turn.ok(),
            Poll::Pending => None,
        }
    }

    proptest! {
        /// However the size changes while turns are held: never more are given than the size, and
        /// whoever asks gets one where fewer are held.
        #[test]
        fn as_many_as_there_may_be(steps in proptest::collection::vec((0usize..3, 0usize..9), 1..60)) {
            let (turns, mut held, mut size) = (Turns::new(4), Vec::new(), 4);
            for (what, number) in steps {
                match what {
                    0 => {
                        size = number.max(1);
                        turns.resize(number);
                    }
                    1 => {
                        let free = held.len() < size;
                        let turn = now(&turns);
                        prop_assert_eq!(turn.is_some(), free);
                        held.extend(turn);
                    }
                    _ if held.is_empty() => {}
                    _ => drop(held.swap_remove(number % held.len())),
                }
            }
        }
    }

    #[tokio::test]
    async fn those_who_wait_are_bounded_and_served_when_there_are_more() {
        let turns = Turns::new(1);
        let held = turns.acquire(1, LONG).await.expect("the first");
        let mut second = pin!(turns.acquire(1, LONG));
        let mut context = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(turns.acquire(1, LONG).await.is_err(), "one waits already");
        turns.resize(2);
        let second = second.await.expect("there are two now");
        assert!(second.waited.is_some() && held.waited.is_none());
        assert!(turns.acquire(1, Duration::ZERO).await.is_err(), "it waits no longer than it may");
    }
}
