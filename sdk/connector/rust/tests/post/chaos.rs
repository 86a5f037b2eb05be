//! Against a gateway that breaks connections, is busy, and answers `retry`: every event is settled
//! once, stored once, and sent no more than needed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::server::{Got, Reply, serve};
use crate::support::{Ledger, events_of, numbered, options, receipt, receipts};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tidegate_connector::Connector;
use tidegate_types::Status;

/// A gateway with a store of keys and a bad day.
struct BadDay {
    random: SmallRng,
    stored: BTreeSet<String>,
    /// Events that were stored, and whose answer was then lost.
    unanswered: u64,
}

impl BadDay {
    fn reply(&mut self, got: &Got) -> Reply {
        assert_eq!((got.path.as_str(), got.api_key.as_str()), ("/v1/events/batch", "tg_live_test"));
        match self.random.random_range(0..10) {
            0 => Reply::Break,
            1 => Reply::Answer(503, r#"{"title":"busy","retry_after_ms":1}"#.to_owned()),
            2 => Reply::Answer(429, String::new()),
            3 => {
                let before = self.stored.len();
                self.take(&got.body, false);
                self.unanswered += (self.stored.len() - before) as u64;
                Reply::Break
            }
            4 | 5 => Reply::Answer(202, self.take(&got.body, true)),
            _ => Reply::Answer(202, self.take(&got.body, false)),
        }
    }

    fn take(&mut self, body: &str, partly: bool) -> String {
        let mut list = Vec::new();
        for event in events_of(body) {
            let key = event["key"].as_str().unwrap().to_owned();
            if partly && self.random.random_bool(0.5) {
                list.push(receipt("retry"));
            } else if self.stored.insert(key) {
                list.push(receipt("accepted"));
            } else {
                list.push(receipt("duplicate"));
            }
        }
        receipts(&list)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_settled_and_stored_once() {
    for seed in 0..12 {
        let count = 700 + seed * 13;
        let random = SmallRng::seed_from_u64(seed);
        let day = BadDay { random, stored: BTreeSet::new(), unanswered: 0 };
        let day = Arc::new(Mutex::new(day));
        let gateway = Arc::clone(&day);
        let address = serve(move |got| gateway.lock().unwrap().reply(&got)).await;

        let mut options = options(address);
        options.batch_events = 1 + (seed as usize * 17) % 60;
        options.connections = 1 + seed as usize % 8;
        let mut ledger = Ledger::default();
        let connector = Connector::new(options).unwrap();
        let summary = connector.post(numbered(count), |settled| ledger.record(settled)).await;

        assert_eq!(summary.stopped, None, "seed {seed}");
        assert!(summary.all_taken(), "seed {seed}");
        assert_eq!(ledger.0.len() as u64, count);
        assert_eq!(ledger.0.keys().copied().collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
        let day = day.lock().unwrap();
        assert_eq!(day.stored.len() as u64, count);
        // Nothing is sent again that had its answer.
        assert_eq!(summary.status(Status::Duplicate), day.unanswered, "seed {seed}");
        assert_eq!(summary.status(Status::Accepted), count - day.unanswered, "seed {seed}");
        assert_eq!(ledger.count("duplicate") as u64, day.unanswered);
        assert!(summary.retries > 0 && summary.requests > summary.retries, "seed {seed}");
    }
}
