//! Load: connections that post batches, as fast as they are answered or at a steady pace, and how
//! long each batch took in which phase of the run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tidegate_testkit::{Connection, Gateway, Tenant};

/// Numbers events of all loads of a run, so that no id comes twice.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A load. Who is told to come again after some time does so.
pub(crate) struct Load<'a> {
    pub(crate) gateway: &'a Gateway,
    /// Who posts: each connection goes over all of them in turn.
    pub(crate) tenants: &'a [Tenant],
    pub(crate) connections: usize,
    /// Events in a batch.
    pub(crate) batch: usize,
    /// The time from one batch of a connection to its next; `None` is as fast as it is answered.
    pub(crate) pace: Option<Duration>,
    /// What each event has beside its `id`: JSON members, with a comma before.
    pub(crate) members: &'a str,
}

/// The phase that batches are counted to from now on.
pub(crate) struct Phase(AtomicUsize);

impl Phase {
    /// Batches of this one are not counted.
    const NONE: usize = usize::MAX;

    /// Goes on to a phase for a time.
    pub(crate) fn hold(&self, phase: usize, time: Duration) {
        self.set(phase);
        std::thread::sleep(time);
    }

    pub(crate) fn set(&self, phase: usize) {
        self.0.store(phase, Ordering::Relaxed);
    }

    /// Counts nothing until what one phase has left behind is done with.
    pub(crate) fn settle(&self) {
        self.hold(Self::NONE, Duration::from_millis(300));
    }
}

/// What became of a load.
#[derive(Default)]
pub(crate) struct Measured {
    /// Microseconds that the batches of each phase took. At a steady pace a batch begins when it is
    /// due, also where the one before it is not answered yet.
    micros: BTreeMap<usize, Vec<u64>>,
    /// Events sent.
    pub(crate) sent: u64,
    /// Batches that were answered 202.
    pub(crate) taken: u64,
    /// Answers that were not 202, by status: how many, and the first of them.
    pub(crate) refused: BTreeMap<u16, (u64, String)>,
}

impl Measured {
    /// The 99th percentile of a phase.
    pub(crate) fn p99_ms(&self, phase: usize) -> anyhow::Result<f64> {
        p99_ms(self.micros.get(&phase).cloned().unwrap_or_default())
    }

    /// The 99th percentile of several phases together.
    pub(crate) fn pooled_p99_ms(&self, phases: impl Iterator<Item = usize>) -> anyhow::Result<f64> {
        p99_ms(phases.filter_map(|phase| self.micros.get(&phase)).flatten().copied().collect())
    }

    fn add(&mut self, other: Self) {
        for (phase, micros) in other.micros {
            self.micros.entry(phase).or_default().extend(micros);
        }
        for (status, (count, first)) in other.refused {
            self.refused.entry(status).or_insert((0, first)).0 += count;
        }
        self.sent += other.sent;
        self.taken += other.taken;
    }
}

/// Waits for so long, or until all is over.
fn wait(time: Duration, over: &AtomicBool) {
    let until = Instant::now() + time;
    while Instant::now() < until && !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The 99th percentile in milliseconds, by nearest rank.
pub(crate) fn p99_ms(mut micros: Vec<u64>) -> anyhow::Result<f64> {
    micros.sort_unstable();
    let rank = (micros.len() * 99).div_ceil(100).checked_sub(1).context("nothing was measured")?;
    Ok(micros.get(rank).copied().unwrap_or_default() as f64 / 1e3)
}

impl Load<'_> {
    /// Posts while `act` runs; answers what both came to.
    pub(crate) fn during<R>(
        &self,
        act: impl FnOnce(&Phase) -> anyhow::Result<R>,
    ) -> anyhow::Result<(Measured, R)> {
        let (phase, stop) = (Phase(AtomicUsize::new(Phase::NONE)), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let posters: Vec<_> = (0..self.connections)
                .map(|number| {
                    let (phase, stop) = (&phase, &stop);
                    scope.spawn(move || self.post(number, phase, stop))
                })
                .collect();
            let done = act(&phase);
            stop.store(true, Ordering::Relaxed);
            let mut measured = Measured::default();
            for poster in posters {
                let one = poster.join().map_err(|_| anyhow::anyhow!("a poster panicked"))?;
                measured.add(one?);
            }
            Ok((measured, done?))
        })
    }

    fn post(&self, number: usize, phase: &Phase, stop: &AtomicBool) -> anyhow::Result<Measured> {
        let mut connection = Connection::open(&self.gateway.ingress)?;
        let mut measured = Measured::default();
        // Connections at a steady pace do not all send at once.
        let shift = |pace: Duration| {
            pace * u32::try_from(number).unwrap_or(0) / u32::try_from(self.connections).unwrap_or(1)
        };
        let mut due = Instant::now() + self.pace.map(shift).unwrap_or_default();
        let mut tenants =
            self.tenants.iter().cycle().skip(number * self.tenants.len() / self.connections);
        while !stop.load(Ordering::Relaxed) {
            match self.pace {
                Some(pace) => {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    due += pace;
                }
                None => due = Instant::now(),
            }
            let begun = self.pace.map_or(due, |pace| due - pace);
            let phase = phase.0.load(Ordering::Relaxed);
            let tenant = tenants.next().context("somebody posts")?;
            let body = self.body();
            let answer = connection.request(
                "POST",
                "/v1/events/batch",
                &tenant.headers(),
                body.as_bytes(),
            )?;
            let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            measured.sent += self.batch as u64;
            if answer.status == 202 {
                measured.taken += 1;
            } else {
                let text = || (0, format!("{}: {}", tenant.id, answer.text()));
                measured.refused.entry(answer.status).or_insert_with(text).0 += 1;
                let seconds = answer.header("retry-after").and_then(|text| text.parse().ok());
                wait(Duration::from_secs(seconds.unwrap_or(0)), stop);
                due = Instant::now();
            }
            if phase != Phase::NONE {
                measured.micros.entry(phase).or_default().push(micros);
            }
        }
        Ok(measured)
    }

    fn body(&self) -> String {
        let first = NEXT.fetch_add(self.batch as u64, Ordering::Relaxed);
        let mut body = String::from("{\"events\":[");
        for number in first..first + self.batch as u64 {
            let comma = if number == first { "" } else { "," };
            body.push_str(&format!("{comma}{{\"id\":\"e-{number}\"{}}}", self.members));
        }
        body.push_str("]}");
        body
    }
}
