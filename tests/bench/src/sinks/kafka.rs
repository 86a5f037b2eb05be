//! `acks=all` before the answer: the gateway, whose linger nobody has set, against the bare server at the
//! best of some lingers, in the same rounds.

use tidegate_testkit::kafka;

use super::bare::TOPIC;
use super::gateway;
use crate::http::{BATCH, Bare, batch, event};
use crate::report::Row;
use crate::wrk;

const SECONDS: u32 = 4;
/// Of the bare server, in milliseconds.
const LINGERS: [&str; 4] = ["0", "0.5", "1", "5"];

pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let broker = kafka::shared().bootstrap();
    let (gateway, tenant) = gateway(&broker, "delivered", "delivered");
    let bare: Vec<(&str, Bare)> = LINGERS
        .into_iter()
        .map(|linger| Ok((linger, Bare::start("bare-kafka", &[&broker, linger])?)))
        .collect::<anyhow::Result<_>>()?;
    let (single, batch) = (event(""), batch());
    let mut rows = Vec::new();
    for (case, path, template, factor, connections) in [
        ("single event", "/v1/events", &single, 1.0, 64),
        ("single event", "/v1/events", &single, 1.0, 1),
        ("single event", "/v1/events", &single, 1.0, 512),
        ("batches of 100 as 100 records", "/v1/events/batch", &batch, BATCH as f64, 64),
    ] {
        let headers = tenant.headers();
        let load =
            |address: &str| wrk::run_with(connections, address, path, template, &headers, SECONDS);
        // Which linger suits the bare server best; that warms everything up too.
        let mut best = (LINGERS[0], 0.0);
        for (linger, bare) in &bare {
            let rate = load(&bare.address)?.requests_per_second;
            if rate > best.1 {
                best = (*linger, rate);
            }
        }
        load(&gateway.ingress)?;
        let Some((linger, bare)) = bare.iter().find(|(linger, _)| *linger == best.0) else {
            continue;
        };
        let (mut rates, mut tails) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (reference, value) = (load(&bare.address)?, load(&gateway.ingress)?);
            rates
                .push((value.requests_per_second * factor, reference.requests_per_second * factor));
            tails.push((value.p99_ms, reference.p99_ms));
        }
        let case = format!(
            "{case}, {connections} connections, 2 server threads, bare `{TOPIC}` at linger {linger} ms"
        );
        rows.push(Row::of("sinks/kafka", case.clone(), "events/s", &rates));
        rows.push(Row::of("sinks/kafka", format!("{case}, p99"), "ms", &tails));
    }
    Ok(rows)
}
