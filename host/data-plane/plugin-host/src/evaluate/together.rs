//! Single events of one tenant that are ready at the same time on one worker are judged in one
//! call: a call costs as much as judging some ten events does. Verdicts cannot tell, since what a
//! rule says of a row depends on that row alone; after a fault each row gets a call of its own.
//!
//! The first to come leads: it lets the worker's other ready tasks run, which join it, and then
//! judges for all of them. Nobody waits for an event that has not yet arrived.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::plan::{EvaluateError, Judgement};
use super::pool::worker;
use super::rows::Row;

/// Events that are judged together, at most.
const MOST_ROWS: usize = 64;

type Answer = Result<Judgement, EvaluateError>;

/// Who waits on each worker.
pub(super) struct Together {
    workers: Box<[Mutex<Option<Group>>]>,
}

/// Events that wait for their leader.
#[derive(Default)]
struct Group {
    rows: Vec<Row>,
    answers: Vec<oneshot::Sender<Answer>>,
}

impl Together {
    pub(super) fn new(workers: usize) -> Self {
        Self { workers: (0..workers.max(1)).map(|_| Mutex::default()).collect() }
    }

    fn place(&self, at: usize) -> Option<MutexGuard<'_, Option<Group>>> {
        Some(self.workers.get(at)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Judges a row, with `judge` where it leads: that gets the rows of all who joined.
    ///
    /// # Errors
    /// What `judge` answers the leader.
    pub(super) async fn run<F>(&self, row: Row, judge: impl FnOnce(Vec<Row>) -> F) -> Answer
    where
        F: Future<Output = Result<Vec<Judgement>, EvaluateError>>,
    {
        let at = worker() % self.workers.len();
        match self.join(at, row) {
            Joined::Follower(answer) => answer.await.unwrap_or(Err(EvaluateError::Failed)),
            Joined::Alone(row) => judge(vec![row]).await?.pop().ok_or(EvaluateError::Failed),
            Joined::Leader(row) => {
                let leading = Leading { together: self, at, begun: false };
                tokio::task::yield_now().await;
                let Group { mut rows, answers } = leading.end();
                rows.push(row);
                let judged = judge(rows).await;
                lead(judged, answers)
            }
        }
    }

    fn join(&self, at: usize, row: Row) -> Joined {
        let Some(mut place) = self.place(at) else { return Joined::Alone(row) };
        match &mut *place {
            None => {
                *place = Some(Group::default());
                Joined::Leader(row)
            }
            Some(group) if group.rows.len() + 1 >= MOST_ROWS => Joined::Alone(row),
            Some(group) => {
                let (answer, waits) = oneshot::channel();
                group.rows.push(row);
                group.answers.push(answer);
                Joined::Follower(waits)
            }
        }
    }
}

/// What an event that joins is.
enum Joined {
    Leader(Row),
    Follower(oneshot::Receiver<Answer>),
    /// The group is full.
    Alone(Row),
}

/// Gives the others their answers and answers the leader's own, whose row is the last.
fn lead(
    judged: Result<Vec<Judgement>, EvaluateError>,
    answers: Vec<oneshot::Sender<Answer>>,
) -> Answer {
    let mut judgements = match judged {
        Ok(judgements) => judgements.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error); answers.len() + 1],
    };
    let own = judgements.pop().unwrap_or(Err(EvaluateError::Failed));
    for (answer, judgement) in answers.into_iter().zip(judgements) {
        // One that went away needs no answer.
        drop(answer.send(judgement));
    }
    own
}

/// A leader that has not yet begun to judge. When it is dropped, those who joined learn of it.
struct Leading<'t> {
    together: &'t Together,
    at: usize,
    begun: bool,
}

impl Leading<'_> {
    fn end(mut self) -> Group {
        self.begun = true;
        self.together.place(self.at).and_then(|mut group| group.take()).unwrap_or_default()
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        if !self.begun
            && let Some(mut group) = self.together.place(self.at)
        {
            *group = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::pin::pin;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::task::{Context, Waker};

    use tidegate_event::Document;
    use tidegate_types::{EventId, EventType, UnixMillis};
    use tokio::task::{JoinHandle, LocalSet, spawn_local};

    use super::*;

    fn row(number: u64) -> Row {
        Row {
            document: Arc::new(Document::parse(b"{}".to_vec()).expect("JSON")),
            root: 0,
            event_id: EventId::from_parts(UnixMillis(0), 0, number),
            event_type: EventType::new("t").expect("name"),
            key: None,
        }
    }

    /// Names the row that it judges.
    fn judged(row: &Row) -> Judgement {
        let patches = row.event_id.to_string().into_bytes();
        Judgement { patches, ..Judgement::default() }
    }

    async fn judge(rows: Vec<Row>) -> Result<Vec<Judgement>, EvaluateError> {
        Ok(rows.iter().map(judged).collect())
    }

    async fn fail(_: Vec<Row>) -> Result<Vec<Judgement>, EvaluateError> {
        Err(EvaluateError::Exhausted)
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, future)
    }

    #[test]
    fn what_is_ready_together_is_judged_together_and_each_gets_its_own_answer() {
        let (together, calls) = (Rc::new(Together::new(2)), Rc::new(RefCell::new(Vec::new())));
        let one = |number| {
            let (together, calls) = (Rc::clone(&together), Rc::clone(&calls));
            spawn_local(async move {
                let judge = |rows: Vec<Row>| {
                    calls.borrow_mut().push(rows.len());
                    judge(rows)
                };
                let answer = together.run(row(number), judge).await.expect("judged");
                assert_eq!(answer.patches, judged(&row(number)).patches);
            })
        };
        block_on(async {
            let tasks: Vec<JoinHandle<()>> = (0..100).map(one).collect();
            for task in tasks {
                task.await.expect("no panic");
            }
        });
        let calls = calls.borrow();
        assert_eq!(calls.iter().sum::<usize>(), 100);
        assert!(calls.len() < 50 && calls.iter().all(|rows| *rows <= MOST_ROWS), "{calls:?}");
    }

    #[test]
    fn a_failure_is_everybodys_and_the_next_begin_anew() {
        let together = Rc::new(Together::new(1));
        block_on(async {
            let one = |number| {
                let together = Rc::clone(&together);
                spawn_local(async move { together.run(row(number), fail).await.err() })
            };
            for task in (0..5).map(one).collect::<Vec<_>>() {
                assert_eq!(task.await.expect("no panic"), Some(EvaluateError::Exhausted));
            }
            assert!(together.run(row(9), judge).await.is_ok());
        });
    }

    #[test]
    fn those_who_joined_a_leader_that_went_away_are_not_left_waiting() {
        let together = Together::new(1);
        let mut context = Context::from_waker(Waker::noop());
        block_on(async {
            let mut follower = pin!(together.run(row(2), judge));
            {
                let mut leader = pin!(together.run(row(1), judge));
                assert!(leader.as_mut().poll(&mut context).is_pending());
                assert!(follower.as_mut().poll(&mut context).is_pending());
            }
            assert_eq!(follower.await.err(), Some(EvaluateError::Failed));
            assert!(together.run(row(3), judge).await.is_ok());
        });
    }

    #[test]
    fn those_who_joined_a_leader_that_panics_are_not_left_waiting() {
        let together = Rc::new(Together::new(1));
        async fn panics(_: Vec<Row>) -> Result<Vec<Judgement>, EvaluateError> {
            panic!("while judging")
        }
        block_on(async {
            let one = |number| {
                let together = Rc::clone(&together);
                spawn_local(async move { together.run(row(number), panics).await.err() })
            };
            let (leader, follower) = (one(1), one(2));
            assert!(leader.await.is_err(), "it panicked");
            assert_eq!(follower.await.expect("no panic"), Some(EvaluateError::Failed));
            assert!(together.run(row(3), judge).await.is_ok());
        });
    }
}
