//! The run: as many senders as connections, each taking a batch and staying with it until every
//! event of it is settled or given up.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use self::batch::Work;
use self::summary::{Stopped, Summary};
use crate::delivery::{Delivery, Owner, Persistence, Sender};
use crate::exchange::client::HttpClient;
use crate::options::{ConnectorOptions, InvalidOptions};
use crate::outcome::{Held, Settled};

mod batch;
pub(crate) mod summary;

/// Why the input cannot go on; ends the run.
pub type InputError = Box<dyn std::error::Error + Send + Sync>;

/// Posts events to one gateway. Cheap to clone; runs may follow each other or overlap.
#[derive(Clone)]
pub struct Connector {
    options: Arc<ConnectorOptions>,
    client: HttpClient,
}

/// A run holds nothing beyond what its senders are at.
struct Nothing;

impl Owner for Nothing {
    fn held(&self) -> Held {
        Held::default()
    }

    fn halted(&self, _why: &Stopped) {}
}

/// Works until there is no more work, or the run is stopped.
async fn work(mut sender: Sender, work: Arc<Mutex<mpsc::Receiver<Work>>>) {
    let next = async || work.lock().await.recv().await;
    while let Ok(Some(work)) = sender.unless_halted(next()).await {
        match work {
            Work::Batch(events) => sender.settle(events).await,
            Work::Refused(settled) => sender.report(vec![*settled]).await,
        }
    }
}

impl Connector {
    /// # Errors
    /// Where an option is out of its bounds, or the URL is none.
    pub fn new(options: ConnectorOptions) -> Result<Self, InvalidOptions> {
        options.check()?;
        let client = options.http_client()?;
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
        let (options, http) = (Arc::clone(&self.options), self.client.clone());
        let run = Arc::new(Delivery::new(options, http, Persistence::EndRun, Arc::new(Nothing)));
        let input_work = Arc::new(Mutex::new(input.work));
        let mut senders = (0..self.options.connections)
            .map(|_| {
                let sender = Sender::new(Arc::clone(&run), settled.clone());
                work(sender, Arc::clone(&input_work))
            })
            .collect();
        drop((settled, input_work));

        let on_settled = |settled: Settled| {
            summary.count(&settled);
            on_settled(settled);
        };
        follow(&run, outcomes, stop, on_settled).await;
        join(&mut senders).await;
        summary.stopped = match run.stopped() {
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
}

/// Passes outcomes on until the last sender is done.
async fn follow(
    run: &Delivery,
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
pub(crate) async fn join(senders: &mut JoinSet<()>) {
    while let Some(ended) = senders.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}
