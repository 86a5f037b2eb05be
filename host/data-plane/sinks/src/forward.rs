//! The forwarder: reads the log for one sink, from a durable cursor of its own.
//!
//! It sends group after group of the log, without waiting for the one before, as long as what is under
//! way is within bounds. The cursor is the position below which every message is delivered or buried;
//! it is made durable now and then, and the log keeps everything from there on. After a crash what
//! stands behind the cursor is sent again: those are the duplicates that a consumer may see, under the
//! same event id.
//!
//! | report on a message | what is done |
//! |---|---|
//! | delivered | the cursor may pass it |
//! | rejected | it is buried: sent as a dead letter with the reason; a letter that is too large goes without its body |
//! | a dead letter rejected | logged and counted; the event is in the node's files |
//! | errored | nothing more is sent; when all that is under way is reported, what errored is sent again in its order, after a pause that grows |
//!
//! An event whose route cannot be read stops the forwarder until it can: nothing is skipped.

mod chunk;
mod dead;
mod pause;
mod run;
mod shared;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidegate_types::Lsn;
use tidegate_wal::{Cursor, Wal};

use crate::outlet::Outlet;
use crate::route::Routing;
pub use dead::DeadOptions;
use run::Run;
pub use shared::ForwardStats;
use shared::Shared;

/// How the log is forwarded.
#[derive(Clone, Debug)]
pub struct ForwardOptions {
    /// The file with the cursor.
    pub cursor_file: PathBuf,
    /// Bytes of the log whose messages may be under way. 32 MiB.
    pub in_flight_bytes: usize,
    /// How often the cursor is made durable. 500 ms.
    pub cursor_every: Duration,
    /// The pause before what errored is sent again; it doubles up to `retry_at_most`. 100 ms.
    pub retry_after: Duration,
    /// 10 s.
    pub retry_at_most: Duration,
    pub dead: DeadOptions,
}

impl ForwardOptions {
    /// The defaults that the fields' documentation gives.
    #[must_use]
    pub fn new(cursor_file: impl Into<PathBuf>) -> Self {
        Self {
            cursor_file: cursor_file.into(),
            in_flight_bytes: 32 << 20,
            cursor_every: Duration::from_millis(500),
            retry_after: Duration::from_millis(100),
            retry_at_most: Duration::from_secs(10),
            dead: DeadOptions::default(),
        }
    }
}

/// The forwarder of one sink. Dropping it stops it where it is.
pub struct Forwarder {
    shared: Arc<Shared>,
    outlet: Arc<Outlet>,
    wal: Wal,
    thread: Option<JoinHandle<()>>,
}

/// A forwarder that holds its place in the log and does not send yet.
pub struct Placed {
    outlet: Arc<Outlet>,
    wal: Wal,
    options: ForwardOptions,
    cursor: Cursor,
    from: Lsn,
    hold: tidegate_wal::Hold,
}

impl Forwarder {
    /// Reads the cursor and holds the log from there on. To be called before anything is truncated.
    #[must_use]
    pub fn place(outlet: Arc<Outlet>, wal: Wal, options: ForwardOptions) -> Placed {
        let name = outlet.name().as_str();
        let (cursor, written) = Cursor::open(options.cursor_file.clone(), &["sink", name]);
        let first = wal.first();
        if written < first && cursor.written().is_some() {
            // The sink was not among the settings for a time, and the log went on without it.
            tracing::error!(
                sink = name, cursor = %written, log = %first,
                "the log no longer has all that the sink lacks; the rest is in the node's files alone"
            );
        }
        let from = written.max(first);
        let hold = wal.hold(from);
        Placed { outlet, wal, options, cursor, from, hold }
    }

    /// The sink that it serves.
    #[must_use]
    pub fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    /// How far it is.
    #[must_use]
    pub fn stats(&self) -> ForwardStats {
        self.shared.stats(self.wal.durable_end())
    }

    /// Waits until everything is forwarded that is durable now, up to a moment, and stops. Answers
    /// whether it is. Blocks.
    pub fn drain(&mut self, until: Instant) -> bool {
        self.shared.stop_at(self.wal.durable_end(), until);
        self.join();
        self.shared.stats(self.wal.durable_end()).lag == 0
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of its own has been told where it happened.
            drop(thread.join());
        }
    }
}

impl Placed {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub fn start(self, routing: Arc<dyn Routing>) -> std::io::Result<Forwarder> {
        let Self { outlet, wal, options, cursor, from, hold } = self;
        let shared = Arc::new(Shared::new(from));
        let name = format!("sink-{}", outlet.name());
        let run = Run::new(
            (Arc::clone(&outlet), wal.clone(), routing),
            (cursor, hold, from),
            options,
            Arc::clone(&shared),
        );
        let thread = std::thread::Builder::new().name(name).spawn(move || run.run())?;
        Ok(Forwarder { shared, outlet, wal, thread: Some(thread) })
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.shared.stop_at(Lsn(0), Instant::now());
        self.join();
    }
}
