//! Catching up from the log: after commits that failed, after a process that ended before it had
//! committed, and not more of the log than that.

use std::time::Duration;

use tempfile::TempDir;
use tidegate_dedup::{Claim, Settled};
use tidegate_testkit::Redis;
use tidegate_types::{EventId, Lsn, UnixMillis};

use crate::support::{
    LONG, Node, PAYLOAD, Spans, claim, eventually, look, new_id, new_prefix, run, server, try_claim,
};

const TWICE: &str = "tidegate_dedup_duplicates_stored_total";
const MADE_UP_FOR: &str = "tidegate_dedup_commits_made_up_for_total";
const LOST: &str = "tidegate_dedup_reservation_lost_total";

fn committed(event_id: EventId) -> Claim {
    Claim::Committed { event_id, first: Settled::Accepted }
}

/// Claims a key, appends its event, and commits.
async fn store(node: &Node, number: u32) -> EventId {
    let id = new_id();
    let (held, answers) = claim(&node.keys, &[(number, PAYLOAD)]).await;
    assert_eq!(answers, [Claim::New], "{number}");
    let logged = held.hand_over(UnixMillis::now()).unwrap();
    node.append(number, id).await;
    logged.commit(&[(0, id, Settled::Accepted)]).await;
    id
}

/// Appends an event and ends, as by a kill, before its key is committed.
fn store_and_die(url: &str, prefix: &str, folder: TempDir, number: u32) -> (TempDir, EventId) {
    run(async {
        let node = Node::open(url, LONG, prefix, folder);
        node.ready().await;
        let (held, answers) = claim(&node.keys, &[(number, PAYLOAD)]).await;
        assert_eq!(answers, [Claim::New]);
        let logged = held.hand_over(UnixMillis::now()).unwrap();
        let id = new_id();
        node.append(number, id).await;
        // Nothing is told to the store any more.
        drop(logged);
        (node.die(), id)
    })
}

#[test]
fn a_commit_that_fails_is_made_up_for() {
    let redis = Redis::start();
    run(async {
        let node = Node::start(&redis.url(), LONG).await;
        for number in 0..3 {
            let (held, _) = claim(&node.keys, &[(number, PAYLOAD)]).await;
            let (logged, id) = (held.hand_over(UnixMillis::now()).unwrap(), new_id());
            node.append(number, id).await;
            match number {
                0 => redis.freeze(),
                1 => redis.kill(),
                _ => redis.set("maxmemory", "1"),
            }
            // It is durable, so it is a yes, and in bounded time.
            let rows = [(0, id, Settled::Accepted)];
            let commit = logged.commit(&rows);
            tokio::time::timeout(Duration::from_secs(2), commit).await.unwrap();
            match number {
                0 => redis.thaw(),
                1 => redis.restart(),
                _ => redis.set("maxmemory", "0"),
            }
            eventually("it is committed", async || {
                let answer = try_claim(&node.keys, &[(number, PAYLOAD)]).await;
                answer.is_ok_and(|(_, answers)| answers == [committed(id)])
            })
            .await;
        }
        eventually("nothing is open", async || {
            node.metric("tidegate_dedup_uncommitted_appends") == 0
        })
        .await;
        assert_eq!((node.metric(TWICE), node.metric(LOST)), (0, 0));
        eventually("the log may forget it", async || node.wal.releasable(Lsn(u64::MAX)) == Lsn(3))
            .await;
    });
}

#[test]
fn what_the_process_before_did_not_commit() {
    let (url, prefix) = (server().url(), new_prefix());
    let (folder, id) = store_and_die(&url, &prefix, tempfile::tempdir().unwrap(), 7);
    run(async {
        let node = Node::open(&url, LONG, &prefix, folder);
        node.keys.recovered().await;
        node.ready().await;
        assert_eq!(look(&node.keys, 7).await, committed(id));
        assert_eq!((node.metric(MADE_UP_FOR), node.metric(TWICE)), (1, 0));
        // And from here on it is known to be.
        let folder = node.stop().await;
        let node = Node::open(&url, LONG, &prefix, folder);
        node.ready().await;
        assert_eq!(node.metric(MADE_UP_FOR), 0);
    });
}

/// The log is not read from its beginning, and not sent again, when all of it is committed.
#[test]
fn what_is_committed_is_not_sent_again() {
    let redis = Redis::start();
    run(async {
        let node = Node::start(&redis.url(), LONG).await;
        for number in 0..200 {
            store(&node, number).await;
        }
        let prefix = node.prefix.clone();
        let folder = node.stop().await;
        let file = std::fs::read(folder.path().join("committed-keys")).unwrap();
        assert_eq!(file[12..20], 200u64.to_le_bytes());
        // Would it be sent, it would be there again.
        assert_eq!(redis.command(&["FLUSHALL"]), "OK");
        let node = Node::open(&redis.url(), LONG, &prefix, folder);
        node.ready().await;
        assert_eq!(redis.command(&["DBSIZE"]), "0");
        // Without the position all is.
        let folder = node.stop().await;
        std::fs::remove_file(folder.path().join("committed-keys")).unwrap();
        let node = Node::open(&redis.url(), LONG, &prefix, folder);
        node.ready().await;
        assert_eq!(redis.command(&["DBSIZE"]), "200");
        assert_eq!(node.metric(MADE_UP_FOR), 200);
    });
}

#[test]
fn nothing_is_answered_before_the_log_is_settled() {
    let redis = Redis::start();
    let prefix = new_prefix();
    let (folder, id) = store_and_die(&redis.url(), &prefix, tempfile::tempdir().unwrap(), 7);
    redis.kill();
    run(async {
        let node = Node::open(&redis.url(), LONG, &prefix, folder);
        assert!(try_claim(&node.keys, &[(8, PAYLOAD)]).await.is_err());
        let waiting = tokio::time::timeout(Duration::from_millis(300), node.keys.recovered());
        assert!(waiting.await.is_err(), "it waits for Redis");
        redis.restart();
        node.keys.recovered().await;
        node.ready().await;
        assert_eq!(look(&node.keys, 7).await, committed(id));
    });
}

/// The node was away for longer than its claims last, and another one has stored the event too: that
/// is one duplicate, it is counted once, and what has been answered stays.
#[test]
fn a_duplicate_is_counted_and_what_was_told_stays() {
    let (url, prefix) = (server().url(), new_prefix());
    let (folder, lost) = store_and_die(&url, &prefix, tempfile::tempdir().unwrap(), 7);
    forget(&prefix);
    run(async {
        let other = Node::open(&url, LONG, &prefix, tempfile::tempdir().unwrap());
        other.ready().await;
        let told = store(&other, 7).await;
        assert_ne!(told, lost);
        let node = Node::open(&url, LONG, &prefix, folder);
        node.ready().await;
        assert_eq!(node.metric(TWICE), 1);
        for node in [&node, &other] {
            assert_eq!(look(&node.keys, 7).await, committed(told));
        }
        assert_eq!(other.metric(TWICE), 0);
    });
}

/// The same where the other one has only claimed the key so far: it finds out when it commits.
#[test]
fn a_duplicate_is_counted_by_the_one_who_comes_second() {
    let (url, prefix) = (server().url(), new_prefix());
    let (folder, first) = store_and_die(&url, &prefix, tempfile::tempdir().unwrap(), 7);
    forget(&prefix);
    run(async {
        let other = Node::open(&url, LONG, &prefix, tempfile::tempdir().unwrap());
        other.ready().await;
        let (held, answers) = claim(&other.keys, &[(7, PAYLOAD)]).await;
        assert_eq!(answers, [Claim::New]);
        let node = Node::open(&url, LONG, &prefix, folder);
        node.ready().await;
        assert_eq!(node.metric(TWICE), 0, "there is one of it so far");
        let logged = held.hand_over(UnixMillis::now()).unwrap();
        other.append(7, new_id()).await;
        logged.commit(&[(0, new_id(), Settled::Accepted)]).await;
        assert_eq!((other.metric(TWICE), other.metric(LOST)), (1, 1));
        assert_eq!(look(&node.keys, 7).await, committed(first));
    });
}

/// Takes a claim out of the shared server, as the end of its lease would.
fn forget(prefix: &str) {
    let pattern = format!("{prefix}acme*");
    let script =
        "local keys = redis.call('KEYS', ARGV[1]) redis.call('DEL', unpack(keys)) return #keys";
    assert_eq!(server().command(&["EVAL", script, "0", &pattern]), "1");
}

/// A claim that is gone when its event is durable is told: leases that are too short, or a server
/// that forgets.
#[test]
fn a_reservation_that_is_gone_is_counted() {
    run(async {
        let node = Node::start(&server().url(), LONG).await;
        let (held, _) = claim(&node.keys, &[(7, PAYLOAD)]).await;
        let logged = held.hand_over(UnixMillis::now()).unwrap();
        forget(&node.prefix);
        let id = new_id();
        node.append(7, id).await;
        logged.commit(&[(0, id, Settled::Accepted)]).await;
        assert_eq!((node.metric(LOST), node.metric(TWICE)), (1, 0));
        assert_eq!(look(&node.keys, 7).await, committed(id));
    });
}

/// What is out of its window is not committed any more.
#[test]
fn what_is_over_stays_over() {
    let spans = Spans { window: Duration::from_millis(300), ..LONG };
    run(async {
        let node = Node::start(&server().url(), spans).await;
        let id = new_id();
        node.append(7, id).await;
        eventually("its window ends", async || UnixMillis::now().0 > id.received_at().0 + 300)
            .await;
        let prefix = node.prefix.clone();
        let folder = node.stop().await;
        std::fs::remove_file(folder.path().join("committed-keys")).unwrap();
        let node = Node::open(&server().url(), spans, &prefix, folder);
        node.ready().await;
        assert_eq!((look(&node.keys, 7).await, node.metric(MADE_UP_FOR)), (Claim::New, 0));
    });
}
