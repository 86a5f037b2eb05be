//! Waits for a future on the calling thread. What the future waits for is moved along by another
//! thread, so the caller needs no runtime, and may be a thread of any.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

/// The future's outcome; `None` where it is not there by the deadline.
pub(super) fn wait<T>(future: impl Future<Output = T>, deadline: Instant) -> Option<T> {
    let waker = Waker::from(Arc::new(Caller(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut context) {
            return Some(outcome);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}

struct Caller(Thread);

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn outcomes_come_from_other_threads_and_deadlines_are_kept() {
        let soon = || Instant::now() + Duration::from_secs(60);
        assert_eq!(wait(std::future::ready(1), soon()), Some(1));
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| sender.send(2).unwrap());
            assert_eq!(wait(receiver, soon()), Some(Ok(2)));
        });
        let deadline = Instant::now() + Duration::from_millis(20);
        assert_eq!(wait(std::future::pending::<()>(), deadline), None);
        assert!(Instant::now() >= deadline);
    }
}
