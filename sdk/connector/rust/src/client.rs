//! A client that takes events one by one and delivers them in the background: from memory, or from a
//! spool that outlives the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use self::queue::{Queue, is_unsettled};
use crate::delivery::{Delivery, Owner as _, Persistence, Sender};
use crate::event::{InvalidEvent, prepare};
use crate::options::{ClientOptions, InvalidOptions};
use crate::outcome::{Held, Outcome, Settled, Unsettled};
use crate::post::join;
use crate::post::summary::Stopped;
use crate::spool::{Spool, SpoolError};

mod queue;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Options(#[from] InvalidOptions),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error(transparent)]
    Invalid(#[from] InvalidEvent),
    /// There was no room in the time that was given.
    #[error("there is no room for the event")]
    Full,
    #[error("the client is closed")]
    Closed,
    /// The client takes and delivers nothing more.
    #[error("{0}")]
    Stopped(Stopped),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// What [`Client::close`] leaves behind.
#[derive(Debug)]
pub struct CloseReport {
    /// Events from memory that were given up because of the deadline.
    pub undelivered: Vec<Settled>,
    /// Events that stay in the spool, for the next client that opens it.
    pub spooled: usize,
}

/// Takes events and delivers them in the background. Several tasks may share it.
pub struct Client {
    key_field: Option<String>,
    queue: Arc<Queue>,
    delivery: Arc<Delivery>,
    senders: JoinSet<()>,
    teller: JoinHandle<Vec<Settled>>,
    closing: Arc<AtomicBool>,
}

impl Client {
    /// Opens the spool, where there is one, and begins to deliver what it holds. Calls back once for each
    /// event that has come to its end, one at a time and not before its batch has its answer; a spooled
    /// event is taken from the spool after that. A callback that panics stops the client.
    ///
    /// Needs a tokio runtime with I/O and time. Dropping the client abandons what it holds in memory.
    ///
    /// # Errors
    /// Where an option is out of its bounds, or the spool is damaged or another client's.
    pub async fn open(
        options: ClientOptions,
        on_settled: impl FnMut(&Settled) + Send + 'static,
    ) -> Result<Self, OpenError> {
        options.check()?;
        let connector = Arc::new(options.connector.clone());
        let http = connector.http_client().map_err(InvalidOptions::from)?;
        let spool = match options.spool.clone() {
            None => None,
            Some(folder) => {
                let most = options.spool_bytes;
                let opened = tokio::task::spawn_blocking(move || Spool::open(&folder, most)).await;
                Some(opened.map_err(|error| SpoolError::Failed(error.to_string()))??)
            }
        };
        let queue = Arc::new(Queue::new(&options, spool));
        let persistence =
            if queue.is_durable() { Persistence::Forever } else { Persistence::NextBatch };
        let owner = Arc::clone(&queue);
        let delivery = Delivery::new(Arc::clone(&connector), http, persistence, owner);
        let delivery = Arc::new(delivery);
        let (settled, outcomes) = mpsc::channel(connector.connections);
        let senders = (0..connector.connections)
            .map(|_| {
                let sender = Sender::new(Arc::clone(&delivery), settled.clone());
                work(sender, Arc::clone(&queue), Arc::clone(&delivery))
            })
            .collect();
        let closing = Arc::new(AtomicBool::new(false));
        let teller = Teller {
            queue: Arc::clone(&queue),
            delivery: Arc::clone(&delivery),
            closing: Arc::clone(&closing),
            lost: Vec::new(),
            on_settled,
        };
        let teller = tokio::spawn(teller.run(outcomes));
        let key_field = connector.key_field.clone();
        Ok(Self { key_field, queue, delivery, senders, teller, closing })
    }

    /// Takes an event and answers its key; waits where there is no room. With a spool the event is on the
    /// disk when this returns. Dropped while it waits for room, the event was not taken; dropped later it
    /// may have been.
    ///
    /// # Errors
    /// Where the event was not taken, or with a spool is not known to be kept.
    pub async fn send(&self, event: impl Into<Bytes>) -> Result<Option<String>, SendError> {
        self.put(event.into(), None).await
    }

    /// The same, with a limit on the wait for room.
    ///
    /// # Errors
    /// As [`Client::send`]; [`SendError::Full`] where there was no room in time.
    pub async fn send_within(
        &self,
        event: impl Into<Bytes>,
        limit: Duration,
    ) -> Result<Option<String>, SendError> {
        self.put(event.into(), Some(limit)).await
    }

    async fn put(
        &self,
        event: Bytes,
        limit: Option<Duration>,
    ) -> Result<Option<String>, SendError> {
        let prepared = prepare(event, self.key_field.as_deref())?;
        self.queue.put(prepared.text, limit).await?;
        Ok(prepared.key)
    }

    /// Waits until everything that was taken is settled. False where that is not so in time, or the client
    /// has stopped.
    pub async fn flush(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.queue.flush()).await.unwrap_or(false)
    }

    /// What was taken and is not settled.
    #[must_use]
    pub fn held(&self) -> Held {
        self.queue.held()
    }

    /// Bytes that were cut from the end of the spool when it was opened: what a crash left.
    #[must_use]
    pub fn torn_bytes(&self) -> u64 {
        self.queue.torn_bytes()
    }

    /// Why the client takes and delivers nothing more.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        self.queue.stopped()
    }

    /// Takes nothing more, delivers what is held, and gives up after the limit. Answers what was not
    /// delivered.
    pub async fn close(self, limit: Duration) -> CloseReport {
        let Self { queue, delivery, mut senders, teller, closing, .. } = self;
        closing.store(true, Ordering::Relaxed);
        queue.close();
        if tokio::time::timeout(limit, join(&mut senders)).await.is_err() {
            delivery.halt(Stopped::Asked);
            join(&mut senders).await;
        }
        let undelivered = match teller.await {
            Ok(lost) => lost,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Vec::new(),
        };
        let spooled = if queue.is_durable() { queue.held().events } else { 0 };
        CloseReport { undelivered, spooled }
    }
}

/// One sender: until there is nothing more to send, or everything must end.
async fn work(mut sender: Sender, queue: Arc<Queue>, delivery: Arc<Delivery>) {
    let _ended = StopAtEnd(Arc::clone(&delivery));
    loop {
        match sender.unless_halted(queue.take()).await {
            Ok(Ok(Some(events))) => sender.settle(events).await,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(error)) => return delivery.halt(Stopped::Spool(error.to_string())),
        }
    }
}

/// Passes outcomes on and makes room.
struct Teller<F> {
    queue: Arc<Queue>,
    delivery: Arc<Delivery>,
    closing: Arc<AtomicBool>,
    /// What the deadline of closing cost.
    lost: Vec<Settled>,
    on_settled: F,
}

impl<F: FnMut(&Settled)> Teller<F> {
    /// Until the last sender is done; then what never reached one is told as well.
    async fn run(mut self, mut outcomes: mpsc::Receiver<Vec<Settled>>) -> Vec<Settled> {
        let _ended = StopAtEnd(Arc::clone(&self.delivery));
        while let Some(list) = outcomes.recv().await {
            self.tell(list).await;
        }
        let why = match self.queue.stopped() {
            None | Some(Stopped::Asked) => Unsettled::Stopped,
            Some(why) => Unsettled::GaveUp(format!("not sent: {why}")),
        };
        let left = self.queue.release().into_iter();
        let left = left.map(|event| event.settle(Outcome::Unsettled(why.clone()), Duration::ZERO));
        self.tell(left.collect()).await;
        self.lost
    }

    async fn tell(&mut self, list: Vec<Settled>) {
        let keeps = self.queue.is_durable();
        for settled in &list {
            if !(keeps && is_unsettled(settled)) {
                (self.on_settled)(settled);
            }
        }
        if let Err(error) = self.queue.settle(&list).await {
            self.delivery.halt(Stopped::Spool(error.to_string()));
        }
        if !keeps && self.closing.load(Ordering::Relaxed) {
            self.lost.extend(list.into_iter().filter(is_unsettled));
        }
    }
}

/// Stops the client where a callback panics: what the task had in hand will never be settled, and nobody
/// else would say so.
struct StopAtEnd(Arc<Delivery>);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.halt(Stopped::Callback);
        }
    }
}
