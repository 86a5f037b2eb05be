//! Tells the catalog when keys were used last: now and then, many at a time, for events do not wait for
//! it.

use std::sync::Arc;
use std::time::Duration;

use tidegate_ingest::ApiKey;
use tidegate_types::UnixMillis;

use crate::serve::data_plane::Node;

/// Keys of one transaction.
const AT_A_TIME: usize = 500;

/// Tells until it is dropped.
pub(in super::super) async fn run(node: Arc<Node>, every: Duration) {
    let mut turn = tokio::time::interval(every);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        tell(&node).await;
    }
}

/// Tells what the catalog does not know yet. What could not be told is told the next time.
pub(in super::super) async fn tell(node: &Node) {
    let snapshot = node.gateway.snapshot();
    let used: Vec<(Arc<ApiKey>, UnixMillis)> = snapshot
        .keys()
        .filter_map(|key| Some((Arc::clone(key), key.last_used.untold()?)))
        .collect();
    for some in used.chunks(AT_A_TIME) {
        let uses: Vec<_> = some.iter().map(|(key, at)| (key.id.to_string(), *at)).collect();
        if let Err(error) = node.ask(move |catalog| catalog.note_key_use(&uses)).await {
            tracing::info!(error = format!("{error:#}"), "last use of keys not noted");
            return;
        }
        some.iter().for_each(|(key, at)| key.last_used.tell(*at));
    }
}
