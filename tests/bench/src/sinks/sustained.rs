//! A given rate for a minute, open loop: each request has its moment, and its latency counts from there,
//! so that a pause of the server is not hidden by a client that waits for it (D9).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidegate_testkit::{Connection, Gateway, Tenant, kafka};

use super::gateway;
use crate::http::{batch, event};
use crate::report::Row;

const CONNECTIONS: u64 = 64;
const TIME: Duration = Duration::from_secs(60);

/// What one case came to.
struct Measured {
    rate: f64,
    p99_ms: f64,
}

fn load(
    gateway: &Gateway,
    tenant: &Tenant,
    path: &str,
    template: &str,
    per_second: u64,
) -> anyhow::Result<Measured> {
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now() + Duration::from_millis(100);
    let run = format!("{:?}", std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_nanos());
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (next, run) = (Arc::clone(&next), &run);
                scope.spawn(move || -> anyhow::Result<Vec<Duration>> {
                    let mut connection = Connection::open(&gateway.ingress)?;
                    let mut times = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let due =
                            begun + Duration::from_secs_f64(number as f64 / per_second as f64);
                        if due >= begun + TIME {
                            return Ok(times);
                        }
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        let body = template.replace("{key}", &format!("{run}-{number}"));
                        let answer =
                            connection.request("POST", path, &tenant.headers(), body.as_bytes())?;
                        anyhow::ensure!(answer.status == 202, "{}", answer.text());
                        times.push(due.elapsed());
                    }
                })
            })
            .collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))?);
        joined.collect::<anyhow::Result<Vec<_>>>().map(|all| all.into_iter().flatten().collect())
    })?;
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    Ok(Measured { rate, p99_ms: p99.as_secs_f64() * 1000.0 })
}

/// One round each: a minute says enough.
pub(crate) fn run(_: usize) -> anyhow::Result<Vec<Row>> {
    let broker = kafka::shared().bootstrap();
    let mut rows = Vec::new();
    for ack in ["durable", "delivered"] {
        let (gateway, tenant) = gateway(&broker, &format!("sustained-{ack}"), ack);
        for (case, path, template, per_second, bound) in [
            ("single events", "/v1/events", event(""), 5000, 100.0),
            ("batches of 100", "/v1/events/batch", batch(), 50, 500.0),
        ] {
            let Measured { rate, p99_ms } = load(&gateway, &tenant, path, &template, per_second)?;
            let case = format!("{ack}, {case}, {CONNECTIONS} connections, 60 s");
            let (rates, tails) = ([(rate, per_second as f64)], [(p99_ms, bound)]);
            rows.push(Row::of("sinks/sustained", case.clone(), "requests/s", &rates));
            rows.push(Row::of(
                "sinks/sustained",
                format!("{case}, p99 against its bound"),
                "ms",
                &tails,
            ));
        }
    }
    Ok(rows)
}
