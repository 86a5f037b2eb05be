//! The task that makes calls when it is time, and looks after those under way.

use std::sync::Arc;
use std::time::Instant;

use aws_sdk_kinesis::Client;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::{Shared, call, watch};
use crate::backlog::Place;
use crate::client;

/// Runs until it is aborted; calls and watches end with it.
pub(super) async fn run(shared: Arc<Shared>) {
    let config = client::configure(&shared.options.access, shared.options.call_timeout).await;
    let client = Client::new(&config);
    let mut watches = JoinSet::new();
    for place in Place::ALL {
        if let Some(stream) = shared.stream(place) {
            watches.spawn(watch::run(
                Arc::clone(&shared),
                client.clone(),
                place,
                stream.to_owned(),
            ));
        }
    }
    let mut calls = JoinSet::new();
    loop {
        let step = shared.inner().backlog.step(Instant::now());
        shared.report(step.reports);
        for next in step.calls {
            calls.spawn(call::run(Arc::clone(&shared), client.clone(), next));
        }
        tokio::select! {
            () = shared.wake.notified() => {}
            // Each has settled what it had.
            Some(_) = calls.join_next() => {}
            () = sleep_until(step.wake.unwrap_or_else(Instant::now).into()), if step.wake.is_some() => {}
        }
    }
}

impl Shared {
    pub(super) fn stream(&self, place: Place) -> Option<&str> {
        match place {
            Place::Events => Some(&self.options.stream),
            Place::DeadLetters => self.options.dead_letters.as_deref(),
        }
    }
}
