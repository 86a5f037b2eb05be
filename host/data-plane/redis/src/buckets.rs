//! Buckets of quotas in Redis, one Redis key for each, so that all nodes take from the same.
//!
//! The arithmetic of [`tidegate_quota::State`] is done there, by Redis's clock ([`run`]). What is asked
//! while an answer is under way is gathered and goes together next: one pipeline for all requests, and
//! in it one run of the script for each bucket, which serves those who ask one after the other. So a
//! tenant that all connections send for costs Redis about as much as one request.
//!
//! Nothing waits for long: the server's time is bounded ([`Link`]), and so is how many requests wait
//! here. Where the answer is not known nothing may be sent; what was taken meanwhile comes in again.

mod run;

use std::collections::HashMap;
use std::time::Duration;

use redis::{Pipeline, Value};
use tidegate_quota::{Ask, BoxFuture, Bucket, Buckets, Got, Unavailable};
use tidegate_types::quota::Quota;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::connection::{Link, LinkError, Script};
use run::Run;

/// Requests that wait to be asked for.
const WAITING: usize = 4096;

/// Requests that are asked for together.
const TOGETHER: usize = 512;

/// When a sender is to try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The buckets of all nodes in one Redis.
pub struct RedisBuckets {
    sender: mpsc::Sender<Call>,
    task: JoinHandle<()>,
}

type Answer = Result<Vec<Got>, Unavailable>;

/// What one request wants.
enum Call {
    Take(Vec<Ask>, oneshot::Sender<Answer>),
    PutBack(Vec<(Bucket, Quota, u64)>),
}

impl RedisBuckets {
    /// Within a runtime. `prefix` is what all keys begin with. The buckets end with the value.
    #[must_use]
    pub fn start(link: Link, prefix: &str) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let asker = Asker { link, prefix: prefix.to_owned(), script: Script::new(run::SCRIPT) };
        Self { sender, task: tokio::spawn(asker.run(receiver)) }
    }
}

impl Drop for RedisBuckets {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Buckets for RedisBuckets {
    fn take<'a>(&'a self, asks: &'a [Ask]) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let sent = self.sender.try_send(Call::Take(asks.to_vec(), answer));
            sent.map_err(|_| unavailable("too many requests wait for the store of quotas"))?;
            answered.await.unwrap_or_else(|_| Err(unavailable("the gateway stops")))
        })
    }

    fn put_back<'a>(&'a self, what: &'a [(Bucket, Quota, u64)]) -> BoxFuture<'a, ()> {
        if !what.is_empty() {
            // Nobody waits for it; where there is no room the buckets are poorer for a while.
            drop(self.sender.try_send(Call::PutBack(what.to_vec())));
        }
        Box::pin(std::future::ready(()))
    }
}

fn unavailable(reason: &str) -> Unavailable {
    Unavailable { reason: reason.into(), retry_after: RETRY_AFTER }
}

/// Asks for all requests, one pipeline at a time.
struct Asker {
    link: Link,
    prefix: String,
    script: Script,
}

impl Asker {
    async fn run(self, mut receiver: mpsc::Receiver<Call>) {
        let mut calls = Vec::new();
        while receiver.recv_many(&mut calls, TOGETHER).await > 0 {
            let (runs, parts) = gather(&calls);
            let replies = self.ask(&runs).await;
            if let Some(why) = replies.iter().flatten().find_map(run::refusal) {
                self.link.note_refusal("count", &why);
            }
            for (call, parts) in calls.drain(..).zip(&parts) {
                if let Call::Take(asks, answer) = call {
                    // The request may be gone.
                    drop(answer.send(told(&asks, parts, &runs, &replies)));
                }
            }
        }
    }

    async fn ask(&self, runs: &[Run]) -> Result<Vec<Value>, LinkError> {
        let mut pipeline = Pipeline::with_capacity(runs.len());
        for run in runs {
            let command = pipeline.cmd("EVALSHA").arg(self.script.digest()).arg(1);
            command.arg(run::key(&self.prefix, &run.bucket)).arg(run.argument());
        }
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        self.link.run(&[&self.script], &pipeline, self.link.deadline()).await
    }
}

/// Where an ask went: which run, and its place in it.
type Part = (usize, usize);

/// One run for each bucket and quota, in the order in which they were asked first.
fn gather(calls: &[Call]) -> (Vec<Run>, Vec<Vec<Part>>) {
    let mut runs: Vec<Run> = Vec::new();
    let mut places: HashMap<(&Bucket, Quota), usize, ahash::RandomState> = HashMap::default();
    let mut place = |bucket, quota, step| {
        let at = *places.entry((bucket, quota)).or_insert_with(|| {
            runs.push(Run::new(bucket.clone(), quota));
            runs.len() - 1
        });
        (at, runs.get_mut(at).map_or(0, |run| run.add(step)))
    };
    let parts = calls.iter().map(|call| match call {
        Call::Take(asks, _) => asks
            .iter()
            .map(|ask| place(&ask.bucket, ask.quota, run::Step::take(ask)))
            .collect::<Vec<_>>(),
        Call::PutBack(what) => what
            .iter()
            .map(|(bucket, quota, tokens)| place(bucket, *quota, run::Step::put_back(*tokens)))
            .collect(),
    });
    let parts = parts.collect();
    (runs, parts)
}

/// What a request got.
fn told(
    asks: &[Ask],
    parts: &[Part],
    runs: &[Run],
    replies: &Result<Vec<Value>, LinkError>,
) -> Answer {
    let replies = match replies {
        Ok(replies) => replies,
        Err(LinkError::Down(_)) => {
            return Err(unavailable("the store of quotas cannot be used right now"));
        }
        Err(LinkError::Timeout | LinkError::Lost) => {
            return Err(unavailable("the store of quotas did not answer in time"));
        }
    };
    let got = asks.iter().zip(parts).map(|(ask, (run, place))| {
        let reply = replies.get(*run).zip(runs.get(*run));
        let outcome = reply.and_then(|(reply, run)| run.outcome(reply, *place));
        outcome.map(|left| Got::new(&ask.quota, ask.want, left.granted, left.tokens))
    });
    let got: Option<Vec<Got>> = got.collect();
    got.ok_or_else(|| unavailable("the store of quotas refused the request"))
}

#[cfg(test)]
mod tests;
