//! Turns for calls that are longer than a slice, of all tenants. There are fewer than workers, so
//! that short calls always find one. Tenants take turns, not calls: one with a hundred long calls
//! holds up another's no longer than one with a single call does.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

#[derive(Debug)]
pub(crate) struct LongCalls {
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    free: usize,
    /// Tenants with calls that wait, the next one first.
    order: VecDeque<u64>,
    waiting: HashMap<u64, VecDeque<oneshot::Sender<LongTurn>>>,
}

/// One slice of a long call. Goes to the next tenant when dropped.
#[derive(Debug)]
pub(crate) struct LongTurn(Option<Arc<LongCalls>>);

impl LongCalls {
    pub(crate) fn new(turns: usize) -> Self {
        let queue =
            Queue { free: turns.max(1), order: VecDeque::new(), waiting: HashMap::default() };
        Self { queue: Mutex::new(queue) }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is this tenant's turn, and this call's among the tenant's.
    pub(crate) async fn turn(self: &Arc<Self>, tenant: u64) -> LongTurn {
        let waits = {
            let mut queue = self.queue();
            if queue.free > 0 {
                queue.free -= 1;
                return LongTurn(Some(Arc::clone(self)));
            }
            let (turn, waits) = oneshot::channel();
            let calls = queue.waiting.entry(tenant).or_default();
            calls.push_back(turn);
            if calls.len() == 1 {
                queue.order.push_back(tenant);
            }
            waits
        };
        // A sender is dropped only with the queue, whose last user is this call.
        waits.await.unwrap_or(LongTurn(None))
    }

    /// The next call of the next tenant; none where nobody waits, and the turn is free then.
    fn next(&self) -> Option<oneshot::Sender<LongTurn>> {
        let mut queue = self.queue();
        let next = queue.pop();
        if next.is_none() {
            queue.free += 1;
        }
        next
    }
}

impl Queue {
    fn pop(&mut self) -> Option<oneshot::Sender<LongTurn>> {
        let tenant = self.order.pop_front()?;
        let calls = self.waiting.get_mut(&tenant)?;
        let call = calls.pop_front();
        if calls.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.order.push_back(tenant);
        }
        call
    }
}

impl Drop for LongTurn {
    fn drop(&mut self) {
        let Some(calls) = self.0.take() else { return };
        while let Some(next) = calls.next() {
            match next.send(LongTurn(Some(Arc::clone(&calls)))) {
                Ok(()) => return,
                // The call is gone: the turn is still ours to give.
                Err(mut turn) => drop(turn.0.take()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Call = Pin<Box<dyn Future<Output = LongTurn>>>;

    fn call(calls: &Arc<LongCalls>, tenant: u64) -> Call {
        let calls = Arc::clone(calls);
        let mut call: Call = Box::pin(async move { calls.turn(tenant).await });
        assert!(poll(&mut call).is_none(), "all turns are taken");
        call
    }

    fn poll(call: &mut Call) -> Option<LongTurn> {
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn tenants_take_turns_not_calls() {
        let calls = Arc::new(LongCalls::new(1));
        let mut turn = Some(calls.turn(1).await);
        let mut waiting: Vec<(u64, Call)> =
            [1, 1, 1, 1, 2, 3, 3].map(|tenant| (tenant, call(&calls, tenant))).into();
        let mut served = Vec::new();
        while !waiting.is_empty() {
            drop(turn.take());
            let ready = waiting.iter_mut().position(|(_, call)| {
                turn = poll(call);
                turn.is_some()
            });
            served.push(waiting.remove(ready.expect("one is next")).0);
        }
        assert_eq!(served, [1, 2, 3, 1, 3, 1, 1]);
    }

    #[tokio::test]
    async fn a_turn_is_not_lost_to_a_call_that_went_away() {
        let calls = Arc::new(LongCalls::new(2));
        let (first, second) = (calls.turn(1).await, calls.turn(1).await);
        let (gone, mut late, mut last) = (call(&calls, 2), call(&calls, 3), call(&calls, 3));
        drop(gone);
        drop(first);
        let third = poll(&mut late).expect("the turn passes the one that is gone");
        // Given, but never taken up.
        drop(second);
        drop(poll(&mut last).expect("a turn"));
        drop(third);
        assert_eq!(calls.queue().free, 2);
    }
}
