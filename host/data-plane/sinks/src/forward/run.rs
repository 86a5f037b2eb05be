//! The forwarder's thread.

mod burial;
mod sending;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tidegate_types::Lsn;
use tidegate_wal::{Cursor, Group, Hold, Reader, Wal};

use super::ForwardOptions;
use super::chunk::Chunk;
use super::dead::Compactor;
use super::pause::Pause;
use super::shared::{Part, Shared, Told};
use crate::outlet::Outlet;
use crate::route::Routing;

/// How long the thread waits for more of the log, or for reports, before it looks around.
const IDLE: Duration = Duration::from_millis(50);
/// The same while messages are under way and the log may grow at any moment.
const BUSY: Duration = Duration::from_millis(2);

pub(super) struct Run {
    outlet: Arc<Outlet>,
    wal: Wal,
    routing: Arc<dyn Routing>,
    reader: Reader,
    cursor: Cursor,
    hold: Hold,
    options: ForwardOptions,
    shared: Arc<Shared>,
    /// In the order of the log: those that are not done, and done ones behind them.
    chunks: VecDeque<Chunk>,
    next_chunk: u64,
    in_flight_bytes: usize,
    compactor: Compactor,
    /// After messages that errored.
    again: Pause,
    /// After what kept us from sending at all.
    stuck: Pause,
    cursor_due: Instant,
    /// Something errored: nothing new is sent.
    mending: bool,
    /// The generation of the sink that events are sent to.
    generation: u64,
}

impl Run {
    pub(super) fn new(
        (outlet, wal, routing): (Arc<Outlet>, Wal, Arc<dyn Routing>),
        (cursor, hold, from): (Cursor, Hold, Lsn),
        options: ForwardOptions,
        shared: Arc<Shared>,
    ) -> Self {
        let now = Instant::now();
        let pause = || Pause::new(options.retry_after, options.retry_at_most);
        Self {
            reader: wal.reader(from),
            compactor: Compactor::new(options.dead, now),
            again: pause(),
            stuck: pause(),
            cursor_due: now + options.cursor_every,
            chunks: VecDeque::new(),
            next_chunk: 0,
            in_flight_bytes: 0,
            mending: false,
            generation: outlet.sink().generation(),
            outlet,
            wal,
            routing,
            cursor,
            hold,
            options,
            shared,
        }
    }

    pub(super) fn run(mut self) {
        while !self.is_over() {
            self.hear();
            self.keep_cursor(false);
            self.write_counts(false);
            if self.mending {
                self.mend();
            } else if self.in_flight_bytes >= self.options.in_flight_bytes {
                self.shared.wait_told(IDLE);
            } else {
                self.forward();
            }
        }
        self.write_counts(true);
        self.keep_cursor(true);
    }

    /// Is it to stop, and has it done what it is to do before?
    fn is_over(&self) -> bool {
        let Some((lsn, until)) = self.shared.stop() else { return false };
        self.shared.acknowledged() >= lsn || Instant::now() >= until
    }

    /// Sends the next group of the log, or waits for one.
    fn forward(&mut self) {
        match self.reader.next() {
            Ok(Some(group)) => self.send_group(group),
            Ok(None) if self.chunks.is_empty() => {
                self.wal.wait_durable(self.reader.position(), IDLE);
            }
            Ok(None) => self.shared.wait_told(BUSY),
            Err(error) => self.wait_stuck(&error),
        }
    }

    fn send_group(&mut self, group: Group) {
        let (number, bytes, end) = (self.next_chunk, group.bytes(), group.end());
        self.next_chunk += 1;
        self.in_flight_bytes += bytes;
        self.chunks.push_back(Chunk::new(number, end, group));
        self.send_events(number, None);
        self.advance();
    }

    /// Says why nothing goes on, and waits.
    fn wait_stuck(&mut self, why: &dyn std::fmt::Display) {
        let pause = self.stuck.next();
        let again_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let sink = self.outlet.name().as_str();
        tracing::error!(sink, %why, again_ms, "cannot forward the log");
        self.shared.set_stuck(Some(why.to_string()));
        self.shared.pause(pause);
    }

    fn unstuck(&mut self) {
        if self.stuck.reset() {
            self.shared.set_stuck(None);
        }
    }

    /// Takes in what was reported.
    fn hear(&mut self) {
        for Told { chunk: number, part, reports } in self.shared.heard() {
            if reports.is_empty() {
                self.again.reset();
            }
            let Some(chunk) = self.chunk_mut(number) else { continue };
            chunk.open = chunk.open.saturating_sub(1);
            let (errored, letters) = match part {
                Part::Events => chunk.note_events(reports),
                Part::Letters => self.note_letters(number, reports),
            };
            self.mending |= errored;
            self.bury(number, letters);
        }
        self.advance();
    }

    fn chunk_mut(&mut self, number: u64) -> Option<&mut Chunk> {
        // They are in order, and none is missing between two of them.
        let first = self.chunks.front()?.number;
        let at = usize::try_from(number.checked_sub(first)?).ok()?;
        self.chunks.get_mut(at)
    }

    /// The cursor may pass what is done at the front.
    fn advance(&mut self) {
        for chunk in &mut self.chunks {
            if chunk.is_done() {
                self.in_flight_bytes -= chunk.release();
            }
        }
        while self.chunks.front().is_some_and(Chunk::is_done) {
            if let Some(chunk) = self.chunks.pop_front() {
                self.shared.acknowledge(chunk.end);
            }
        }
    }

    /// Sends again what errored, once everything is reported.
    fn mend(&mut self) {
        if self.chunks.iter().any(|chunk| chunk.open > 0) {
            self.shared.wait_told(IDLE);
            return;
        }
        let pause = self.again.next();
        let errored: usize = self.chunks.iter().map(|chunk| chunk.errored()).sum();
        let again_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let (sink, why) = (self.outlet.name().as_str(), self.outlet.sink().failing());
        let why = why.unwrap_or_default();
        tracing::warn!(sink, errored, again_ms, why, "messages errored and are sent again");
        self.shared.pause(pause);
        self.shared.resent.fetch_add(errored as u64, Ordering::Relaxed);
        self.mending = false;
        // Everything that went to the one before is known.
        self.generation = self.outlet.sink().generation();
        let again: Vec<_> = self.chunks.iter_mut().map(Chunk::take_errored).collect();
        for (number, events, letters) in again {
            if !events.is_empty() {
                self.send_events(number, Some(&events));
            }
            self.bury(number, letters);
        }
    }

    /// Makes the cursor durable, where it is time or the end.
    fn keep_cursor(&mut self, end: bool) {
        let (acknowledged, now) = (self.shared.acknowledged(), Instant::now());
        if !end && now < self.cursor_due {
            return;
        }
        self.cursor_due = now + self.options.cursor_every;
        if self.cursor.written() == Some(acknowledged) {
            return;
        }
        match self.cursor.write(acknowledged) {
            Ok(()) => self.hold.release_before(acknowledged),
            Err(error) => {
                let sink = self.outlet.name().as_str();
                tracing::warn!(sink, %error, "the sink's position in the log was not written");
            }
        }
    }
}
