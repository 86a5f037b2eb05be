//! Work that outlives its client. The HTTP library drops a handler when its client goes away; work
//! that has begun must end all the same. It runs in the task that reads its connection or stream,
//! which needs no waking between two tasks, and moves to a task of its own only when it is dropped.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// What a panic carries.
pub(super) type Panic = Box<dyn Any + Send>;

/// A future that goes on when it is dropped.
pub(super) struct Outlive<F: Future + Send + 'static>
where
    F::Output: Send,
{
    /// `None` once it has ended.
    work: Option<Pin<Box<F>>>,
    /// Counts the work as one of the tracker's tasks.
    token: TaskTrackerToken,
}

impl<F: Future + Send + 'static> Outlive<F>
where
    F::Output: Send,
{
    /// To be made, and dropped, within a runtime.
    pub(super) fn new(tracker: &TaskTracker, work: F) -> Self {
        Self { work: Some(Box::pin(work)), token: tracker.token() }
    }
}

impl<F: Future + Send + 'static> Future for Outlive<F>
where
    F::Output: Send,
{
    /// A panic of the work is told and not passed on: it must not take the connection with it.
    type Output = Result<F::Output, Panic>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = self.work.as_mut() else {
            return Poll::Ready(Err(Box::new("polled after its end")));
        };
        // After a panic the work is dropped and never looked at again.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        let ended = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(panic),
        };
        self.work = None;
        Poll::Ready(ended)
    }
}

impl<F: Future + Send + 'static> Drop for Outlive<F>
where
    F::Output: Send,
{
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        // Without a runtime the process is ending, and what is not durable is not acknowledged.
        if let Ok(runtime) = Handle::try_current() {
            let token = self.token.clone();
            runtime.spawn(async move {
                drop(work.await);
                drop(token);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(future)
    }

    #[test]
    fn work_that_is_dropped_goes_on_and_is_waited_for() {
        block_on(async {
            let tracker = TaskTracker::new();
            let (begin, begun) = oneshot::channel::<()>();
            let (end, ended) = oneshot::channel();
            let mut work = Box::pin(Outlive::new(&tracker, async move {
                begun.await.expect("told to begin");
                end.send("done").expect("somebody waits");
            }));
            let waited = tokio::time::timeout(Duration::from_millis(1), &mut work).await;
            assert!(waited.is_err(), "it waits");
            drop(work);
            assert_eq!(tracker.len(), 1);
            begin.send(()).expect("the work goes on");
            tracker.close();
            tracker.wait().await;
            assert_eq!(ended.await, Ok("done"));
        });
    }

    #[test]
    fn work_that_ends_answers_and_panics_stay_inside() {
        block_on(async {
            let tracker = TaskTracker::new();
            assert_eq!(Outlive::new(&tracker, async { 7 }).await.ok(), Some(7));
            let panicked = Outlive::new(&tracker, async { panic!("inside") }).await;
            let panicked: Result<(), Panic> = panicked;
            assert_eq!(panicked.expect_err("a panic").downcast_ref(), Some(&"inside"));
            assert!(tracker.is_empty());
        });
    }
}
