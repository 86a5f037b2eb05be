//! The run: as many senders as connections, each taking a batch and staying with it until every
//! event of it is settled or given up.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;

use crate::batch::{self, Work};
use crate::client::HttpClient;
use crate::options::{ConnectorOptions, InvalidOptions};
use crate::outcome::Settled;
use crate::summary::{Stopped, Summary};

mod sender;

use sender::Sender;

/// Why the input cannot go on; ends the run.
pub type InputError = Box<dyn std::error::Error + Send + Sync>;

/// Posts events to one gateway. Cheap to clone; runs may follow each other or overlap.
#[derive(Clone)]
pub struct Connector {
    options: Arc<ConnectorOptions>,
    client: HttpClient,
}

/// What the senders of one run share.
struct Run {
    options: Arc<ConnectorOptions>,
    client: HttpClient,
    work: Mutex<mpsc::Receiver<Work>>,
    /// Why everything must end now; the first reason stays.
    stop: watch::Sender<Option<Stopped>>,
    requests: AtomicU64,
    retries: AtomicU64,
}

impl Run {
    fn halt(&self, why: Stopped) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(why);
            first
        });
    }
}

impl Connector {
    /// # Errors
    /// Where an option is out of its bounds, or the URL is none.
    pub fn new(options: ConnectorOptions) -> Result<Self, InvalidOptions> {
        options.check()?;
        let client = HttpClient::new(&options.url, Some(&options.credential), options.connections)?;
        Ok(Self { options: Arc::new(options), client })
    }

    /// Posts all events and calls back once for each, in the order they settle. The iterator runs
    /// on a thread of its own and may block; at most about `3 × connections` batches are in memory.
    /// An `Err` of the iterator ends the input: what came before it is still sent.
    ///
    /// Needs a tokio runtime with I/O and time. Dropping the future abandons the run.
    pub async fn post<I>(&self, events: I, on_settled: impl FnMut(Settled)) -> Summary
    where
        I: IntoIterator<Item = Result<Bytes, InputError>>,
        I::IntoIter: Send + 'static,
    {
        self.post_until(events, std::future::pending(), on_settled).await
    }

    /// The same, until `stop` is ready: then requests on their way are abandoned, their events are
    /// reported as unsettled, and the summary so far is returned. Events that were read ahead and
    /// never sent have no outcome.
    pub async fn post_until<I, S>(
        &self,
        events: I,
        stop: S,
        mut on_settled: impl FnMut(Settled),
    ) -> Summary
    where
        I: IntoIterator<Item = Result<Bytes, InputError>>,
        I::IntoIter: Send + 'static,
        S: Future<Output = ()>,
    {
        let started = Instant::now();
        let mut summary = Summary::new();
        let input = match batch::read(events.into_iter(), &self.options) {
            Ok(input) => input,
            Err(error) => {
                summary.stopped = Some(Stopped::Input(error.to_string()));
                return summary;
            }
        };
        let (settled, outcomes) = mpsc::channel(self.options.connections);
        let run = Arc::new(self.run(input.work));
        let senders = (0..self.options.connections)
            .map(|_| Sender::new(Arc::clone(&run), settled.clone()).work())
            .collect();
        drop(settled);

        let on_settled = |settled: Settled| {
            summary.count(&settled);
            on_settled(settled);
        };
        follow(&run, outcomes, stop, on_settled).await;
        join(senders).await;
        summary.stopped = match run.stop.borrow().clone() {
            // A sender that was told to stop leaves the input where it is: it may never end.
            Some(stopped) => Some(stopped),
            None => input.ended.await.map_or_else(
                |_panicked| Some(Stopped::Input("reading it panicked".to_owned())),
                |end| end.err().map(|error| Stopped::Input(error.to_string())),
            ),
        };
        summary.requests = run.requests.load(Ordering::Relaxed);
        summary.retries = run.retries.load(Ordering::Relaxed);
        summary.elapsed = started.elapsed();
        summary
    }

    fn run(&self, work: mpsc::Receiver<Work>) -> Run {
        Run {
            options: Arc::clone(&self.options),
            client: self.client.clone(),
            work: Mutex::new(work),
            stop: watch::Sender::new(None),
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        }
    }
}

/// Passes outcomes on until the last sender is done.
async fn follow(
    run: &Run,
    mut outcomes: mpsc::Receiver<Vec<Settled>>,
    stop: impl Future<Output = ()>,
    mut on_settled: impl FnMut(Settled),
) {
    let mut stop = std::pin::pin!(stop);
    let mut stopping = false;
    loop {
        tokio::select! {
            list = outcomes.recv() => match list {
                Some(list) => list.into_iter().for_each(&mut on_settled),
                None => return,
            },
            () = &mut stop, if !stopping => {
                stopping = true;
                run.halt(Stopped::Asked);
            }
        }
    }
}

/// A sender that panicked has lost events, so the panic goes on here.
async fn join(mut senders: JoinSet<()>) {
    while let Some(ended) = senders.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}
