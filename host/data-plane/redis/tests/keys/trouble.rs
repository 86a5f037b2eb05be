//! Trouble with the server: nothing is accepted while idempotency cannot be had, and all goes through
//! when it can be had again (A10).

use std::time::{Duration, Instant};

use tidegate_dedup::{Claim, Settled};
use tidegate_testkit::redis::wire::{Fate, Way, is_claim};
use tidegate_testkit::{Redis, Wire};
use tidegate_types::UnixMillis;

use crate::support::{LONG, Node, PAYLOAD, claim, eventually, look, new_id, run, try_claim};

/// Claims a key until it is refused, which must not take long each time; answers the last refusal.
async fn refused(node: &Node, number: u32) -> String {
    let mut refusal = None;
    eventually("a claim is refused", async || {
        let begun = Instant::now();
        let answer = try_claim(&node.keys, &[(number, PAYLOAD)]).await;
        assert!(begun.elapsed() < Duration::from_secs(2), "took {:?}", begun.elapsed());
        refusal = answer.err();
        refusal.is_some()
    })
    .await;
    refusal.unwrap().detail
}

/// Waits until a key can be claimed, and commits it.
async fn goes_through(node: &Node, number: u32) {
    let mut held = None;
    eventually("a claim goes through", async || {
        match try_claim(&node.keys, &[(number, PAYLOAD)]).await {
            Ok((guard, answers)) if answers == [Claim::New] => held = Some(guard),
            Ok((_, answers)) => assert!(!matches!(answers[0], Claim::Committed { .. })),
            Err(_) => {}
        }
        held.is_some()
    })
    .await;
    let logged = held.unwrap().hand_over(UnixMillis::now()).unwrap();
    logged.commit(&[(0, new_id(), Settled::Accepted)]).await;
    assert!(matches!(look(&node.keys, number).await, Claim::Committed { .. }));
}

#[test]
fn a_server_that_is_gone_and_comes_back() {
    let redis = Redis::start();
    run(async {
        let node = Node::start(&redis.url(), LONG).await;
        goes_through(&node, 1).await;
        redis.kill();
        refused(&node, 2).await;
        eventually("it is known", async || node.keys.failing().is_some()).await;
        let begun = Instant::now();
        refused(&node, 2).await;
        assert!(begun.elapsed() < Duration::from_millis(200), "told at once");
        redis.restart();
        goes_through(&node, 2).await;
        assert!(matches!(look(&node.keys, 1).await, Claim::Committed { .. }));
    });
}

/// Not even a node that starts needs it to be there.
#[test]
fn a_server_that_comes_late() {
    let redis = Redis::start();
    redis.kill();
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::open(&redis.url(), LONG, "late:", folder);
        node.keys.recovered().await;
        refused(&node, 1).await;
        redis.restart();
        goes_through(&node, 1).await;
    });
}

/// What a claim did on the server although nobody heard its answer is undone when it can be.
#[test]
fn a_server_that_stands_still() {
    let redis = Redis::start();
    run(async {
        let node = Node::start(&redis.url(), LONG).await;
        redis.freeze();
        let (first, second) = tokio::join!(
            try_claim(&node.keys, &[(1, PAYLOAD)]),
            try_claim(&node.keys, &[(2, PAYLOAD)])
        );
        assert!(first.is_err() && second.is_err());
        refused(&node, 3).await;
        redis.thaw();
        for number in 1..=3 {
            // Far sooner than the lease of 30 s ends.
            goes_through(&node, number).await;
        }
    });
}

#[test]
fn a_server_that_is_full() {
    let redis = Redis::start();
    run(async {
        let node = Node::start(&redis.url(), LONG).await;
        goes_through(&node, 1).await;
        redis.set("maxmemory", "1");
        let (held, answers) = claim(&node.keys, &[(2, PAYLOAD)]).await;
        assert_eq!(answers, [Claim::Full]);
        drop(held);
        redis.set("maxmemory", "0");
        goes_through(&node, 2).await;
        assert_eq!(node.metric("tidegate_dedup_claims_total{outcome=\"full\"}"), 1);
    });
}

#[test]
fn a_server_that_would_forget_keys() {
    let redis = Redis::start_with(&[("maxmemory-policy", "allkeys-lru")]);
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::open(&redis.url(), LONG, "policy:", folder);
        for number in 1..=2 {
            eventually("the policy is named", async || {
                node.keys.failing().is_some_and(|why| why.contains("noeviction"))
            })
            .await;
            refused(&node, number).await;
            redis.set("maxmemory-policy", "noeviction");
            goes_through(&node, number).await;
            redis.set("maxmemory-policy", "volatile-ttl");
        }
    });
}

#[test]
fn a_server_that_became_a_replica() {
    let redis = Redis::start();
    run(async {
        let node = Node::start(&redis.url(), LONG).await;
        goes_through(&node, 1).await;
        assert_eq!(redis.command(&["REPLICAOF", "127.0.0.1", "1"]), "OK");
        refused(&node, 2).await;
        eventually("it is known", async || {
            node.keys.failing().is_some_and(|why| why.contains("replica"))
        })
        .await;
        assert_eq!(redis.command(&["REPLICAOF", "NO", "ONE"]), "OK");
        goes_through(&node, 2).await;
    });
}

/// The connection breaks after the server has taken the claim and before its answer is here: on the
/// next connection the claim is known as our own.
#[test]
fn an_answer_that_is_lost() {
    let redis = Redis::start();
    let wire = Wire::to(&redis.address());
    run(async {
        let node = Node::start(&redis.url_by(wire.port()), LONG).await;
        let (mut claims, mut cuts) = (0, 0);
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        wire.watch(move |way, bytes| {
            if way == Way::ToServer && is_claim(bytes) {
                claims += 1;
            }
            if way == Way::ToClient && claims == 1 && cuts == 0 {
                cuts += 1;
                tell.send(()).unwrap();
                return Fate::Cut;
            }
            Fate::Pass
        });
        let (held, answers) = claim(&node.keys, &[(1, PAYLOAD), (2, PAYLOAD)]).await;
        assert_eq!(answers, [Claim::New; 2]);
        told.try_recv().expect("the answer was cut");
        let id = new_id();
        let logged = held.hand_over(UnixMillis::now()).unwrap();
        logged.commit(&[(0, id, Settled::Accepted), (1, id, Settled::Accepted)]).await;
        let committed = Claim::Committed { event_id: id, first: Settled::Accepted };
        assert_eq!(look(&node.keys, 2).await, committed);
        assert_eq!(node.metric("tidegate_redis_errors_total{reason=\"lost\"}"), 1);
        assert_eq!(node.metric("tidegate_dedup_reservation_lost_total"), 0);
    });
}

/// A server that was restarted, or told to, does not know our scripts.
#[test]
fn scripts_that_are_forgotten() {
    let redis = Redis::start();
    run(async {
        let node = Node::start(&redis.url(), LONG).await;
        for _ in 0..3 {
            let (held, answers) = claim(&node.keys, &[(1, PAYLOAD)]).await;
            assert_eq!(answers, [Claim::New]);
            held.release().await;
            assert_eq!(redis.command(&["SCRIPT", "FLUSH"]), "OK");
        }
        assert_eq!(redis.command(&["DBSIZE"]), "0");
    });
}

/// Every key carries its tenant, and ends by itself.
#[test]
fn what_stands_in_redis() {
    let redis = Redis::start();
    run(async {
        let node = Node::start(&redis.url(), LONG).await;
        let (held, _) = claim(&node.keys, &[(1, PAYLOAD)]).await;
        let pattern = format!("{}acme*", node.prefix);
        assert_eq!(redis.command(&["DBSIZE"]), "1");
        let count = "return #redis.call('KEYS', ARGV[1])";
        assert_eq!(redis.command(&["EVAL", count, "0", &pattern]), "1");
        let info = redis.command(&["INFO", "keyspace"]);
        assert!(info.contains("keys=1,expires=1"), "{info}");
        let logged = held.hand_over(UnixMillis::now()).unwrap();
        logged.commit(&[(0, new_id(), Settled::Accepted)]).await;
        let info = redis.command(&["INFO", "keyspace"]);
        assert!(info.contains("keys=1,expires=1"), "{info}");
    });
}
