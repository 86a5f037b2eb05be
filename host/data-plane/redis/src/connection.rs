//! One connection to Redis that all tasks share: made, looked after and made anew by a task of its
//! own.
//!
//! Commands are only ever sent to a server that was found fit ([`check`]): of a version that knows
//! what we ask, writable, and configured to refuse writes rather than forget keys when its memory is
//! full. That is looked at on every new connection and once a second from then on; a server that
//! does not answer in time, or not as it must, is left, and connected to anew.
//!
//! Waits are bounded: a command is given up at its own deadline, also where the server takes bytes
//! and says nothing. Where there is no connection callers are told at once, except in the first
//! moments after it was lost.

mod check;
mod script;
mod stats;

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, Pipeline, Value};
use tidegate_telemetry::Page;
use tokio::sync::{Notify, watch};
use tokio::time::timeout_at;

pub(crate) use script::Script;
use stats::LinkStats;

/// How often a connection is looked at.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The pauses between attempts to connect: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Requests that wait to be written to the connection; more wait before it.
const WAITING: usize = 1024;

/// Bytes that are gathered before they are written.
const WRITE_BYTES: usize = 256 << 10;

/// Where Redis is, and how long it may take.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://` or `rediss://`, with user and password where the server wants them.
    pub url: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub response_timeout: Duration,
}

/// Why a command was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// There is no connection: nothing was sent.
    #[error("Redis cannot be used: {0}")]
    Down(Arc<str>),
    /// The command may have been run.
    #[error("Redis did not answer in time")]
    Timeout,
    /// The command may have been run.
    #[error("the connection to Redis was lost")]
    Lost,
}

impl LinkError {
    /// May the server have run the command?
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        !matches!(self, Self::Down(_))
    }
}

#[derive(Clone)]
enum State {
    Up { connection: MultiplexedConnection, number: u64 },
    Down { reason: Arc<str>, since: Instant },
}

/// The connection. Clones share it; the task ends with the last of them.
#[derive(Clone)]
pub struct Link(Arc<Shared>);

struct Shared {
    place: String,
    response_timeout: Duration,
    state: watch::Receiver<State>,
    /// Wakes the task that looks after the connection.
    wake: Arc<Notify>,
    stats: Arc<LinkStats>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// Starts to connect, within a runtime; does not wait for it.
    ///
    /// # Errors
    /// Where the URL is none of Redis.
    pub fn start(options: &RedisOptions) -> Result<Self, redis::RedisError> {
        // A provider that the process has chosen before stays.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::open(options.url.as_str())?;
        let info = client.get_connection_info();
        let place = format!("{}/{}", info.addr(), info.redis_settings().db());
        let first =
            State::Down { reason: "it is being connected to".into(), since: Instant::now() };
        let (sender, state) = watch::channel(first);
        let (wake, stats) = (Arc::new(Notify::new()), Arc::new(LinkStats::default()));
        let keeper = Keeper {
            client,
            connect_timeout: options.connect_timeout,
            // A check that takes a little long is not worth a connection.
            check_timeout: options.response_timeout.saturating_mul(4),
            state: sender,
            wake: Arc::clone(&wake),
            stats: Arc::clone(&stats),
            numbers: 0,
        };
        let task = tokio::spawn(keeper.run());
        let response_timeout = options.response_timeout;
        Ok(Self(Arc::new(Shared { place, response_timeout, state, wake, stats, task })))
    }

    /// Which Redis it is: host, port and database.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.0.place
    }

    /// When an answer to a command that is sent now must have come.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.0.response_timeout
    }

    /// Sends commands together and answers their replies, errors of the server among them. Where the
    /// connection is lost they are sent again on the next one: they must bear to be run twice.
    ///
    /// # Errors
    /// Where the replies have not all come by `until`.
    pub async fn send(&self, pipeline: &Pipeline, until: Instant) -> Result<Vec<Value>, LinkError> {
        let mut sent = false;
        loop {
            let (mut connection, number) = match self.connection(until).await {
                Ok(up) => up,
                Err(down) => return Err(if sent { LinkError::Lost } else { down }),
            };
            sent = true;
            let replies = connection.req_packed_commands(pipeline, 0, pipeline.len());
            let lost = match timeout_at(until.into(), replies).await {
                Err(_) => {
                    self.0.stats.timed_out();
                    self.0.wake.notify_one();
                    return Err(LinkError::Timeout);
                }
                Ok(Ok(replies)) => {
                    if replies.iter().any(is_unfit) {
                        self.0.wake.notify_one();
                    }
                    return Ok(replies);
                }
                Ok(Err(error)) => error,
            };
            tracing::debug!(error = %lost, "redis connection lost");
            self.0.stats.lost();
            self.0.wake.notify_one();
            // The task has to see it before there can be another one.
            let mut state = self.0.state.clone();
            let is_other = |state: &State| match state {
                State::Up { number: now, .. } => *now != number,
                State::Down { .. } => true,
            };
            if timeout_at(until.into(), state.wait_for(is_other)).await.is_err() {
                return Err(LinkError::Lost);
            }
        }
    }

    /// The same for commands that run scripts by their digest. Scripts that the server does not know,
    /// as after its restart, are made known to it, and what was not run for that is sent again.
    pub(crate) async fn run(
        &self,
        scripts: &[&Script],
        pipeline: &Pipeline,
        until: Instant,
    ) -> Result<Vec<Value>, LinkError> {
        let mut replies = self.send(pipeline, until).await?;
        let commands = pipeline.cmd_iter().zip(&mut replies);
        let missing: Vec<_> = commands.filter(|(_, reply)| is_script_missing(reply)).collect();
        if missing.is_empty() {
            return Ok(replies);
        }
        let mut again = Pipeline::with_capacity(scripts.len() + missing.len());
        for script in scripts {
            again.cmd("SCRIPT").arg("LOAD").arg(script.code());
        }
        for (command, _) in &missing {
            again.add_command((*command).clone());
        }
        // Others have been run: where this fails, those that were not keep their error.
        if let Ok(late) = self.send(&again, until).await {
            let late = late.into_iter().skip(scripts.len());
            missing.into_iter().zip(late).for_each(|((_, reply), late)| *reply = late);
        }
        Ok(replies)
    }

    /// The connection; where it was lost only just now, the next one.
    async fn connection(&self, until: Instant) -> Result<(MultiplexedConnection, u64), LinkError> {
        let mut state = self.0.state.clone();
        loop {
            let (reason, since) = match &*state.borrow_and_update() {
                State::Up { connection, number } => return Ok((connection.clone(), *number)),
                State::Down { reason, since } => (Arc::clone(reason), *since),
            };
            let patience = until.min(since + self.0.response_timeout);
            let changed = timeout_at(patience.into(), state.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                self.0.stats.refused();
                return Err(LinkError::Down(reason));
            }
        }
    }

    /// Waits until there is a connection.
    pub async fn up(&self) {
        let mut state = self.0.state.clone();
        // The sender lives as long as the task, and that as long as this.
        drop(state.wait_for(|state| matches!(state, State::Up { .. })).await);
    }

    /// Why there is no connection, where there is none.
    #[must_use]
    pub fn failing(&self) -> Option<Arc<str>> {
        match &*self.0.state.borrow() {
            State::Up { .. } => None,
            State::Down { reason, .. } => Some(Arc::clone(reason)),
        }
    }

    /// Notes that the server answered a command with an error, or with what is none of its replies.
    pub(crate) fn note_refusal(&self, command: &str, why: &str) {
        if self.0.stats.rejected(Instant::now()) {
            tracing::warn!(command, why, "redis refused a command");
        }
    }

    /// Tells its counters.
    pub fn report(&self, page: &mut Page) {
        self.0.stats.report(self.failing().is_none(), page);
    }
}

/// Does the reply say that the server is not the one that it was when it was checked?
fn is_unfit(reply: &Value) -> bool {
    let Value::ServerError(error) = reply else { return false };
    matches!(error.code(), "READONLY" | "LOADING" | "MASTERDOWN" | "NOAUTH" | "NOPERM")
}

fn is_script_missing(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

/// The task that looks after the connection.
struct Keeper {
    client: Client,
    connect_timeout: Duration,
    check_timeout: Duration,
    state: watch::Sender<State>,
    wake: Arc<Notify>,
    stats: Arc<LinkStats>,
    numbers: u64,
}

impl Keeper {
    async fn run(mut self) {
        let mut pause = PAUSES.0;
        loop {
            match self.connect().await {
                Ok(connection) => {
                    pause = PAUSES.0;
                    self.numbers += 1;
                    self.stats.connected();
                    tracing::info!("redis connected");
                    let up = State::Up { connection: connection.clone(), number: self.numbers };
                    self.state.send_replace(up);
                    let reason = self.watch(connection).await;
                    self.down(reason);
                }
                Err(reason) => {
                    self.down(reason);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(WAITING)
            .set_write_backpressure_boundary(WRITE_BYTES);
        // The library's limit ends with the connection, and greeting the server comes after it.
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let connected = tokio::time::timeout(self.connect_timeout, connecting).await;
        let connected =
            connected.map_err(|_| "it does not accept connections in time".to_owned())?;
        let mut connection = connected.map_err(|error| error.to_string())?;
        self.check(&mut connection).await?;
        Ok(connection)
    }

    async fn check(&self, connection: &mut MultiplexedConnection) -> Result<(), String> {
        let info = redis::cmd("INFO");
        let answer = info.query_async::<String>(connection);
        let answer = tokio::time::timeout(self.check_timeout, answer).await;
        let text = answer.map_err(|_| "it does not answer in time".to_owned())?;
        let text = text.map_err(|error| error.to_string())?;
        check::check(&text).map_err(|unfit| unfit.to_string())
    }

    /// Looks at the connection until it cannot be used any more; answers why.
    async fn watch(&self, mut connection: MultiplexedConnection) -> String {
        loop {
            drop(tokio::time::timeout(CHECK_EVERY, self.wake.notified()).await);
            if let Err(reason) = self.check(&mut connection).await {
                return reason;
            }
        }
    }

    fn down(&self, reason: String) {
        self.state.send_if_modified(|state| {
            if let State::Down { reason: before, since } = state {
                if **before == *reason {
                    return false;
                }
                *state = State::Down { reason: reason.as_str().into(), since: *since };
            } else {
                *state = State::Down { reason: reason.as_str().into(), since: Instant::now() };
            }
            tracing::warn!(reason, "redis cannot be used");
            true
        });
    }
}
