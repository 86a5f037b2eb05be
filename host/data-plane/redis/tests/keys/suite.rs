//! What both stores answer alike (A4).

use std::time::Duration;

use tidegate_dedup::{Claim, Moment, Settled, Wanted};
use tidegate_types::{TenantId, UnixMillis};

use crate::support::{
    LONG, OTHER, PAYLOAD, Spans, acme, claim, eventually, key, look, new_id, on_both, try_claim,
    wanted,
};

fn is_in_flight(claim: Claim) -> bool {
    matches!(claim, Claim::InFlight { retry_after_ms: 1..=1000 })
}

#[test]
fn what_is_committed_is_replayed_and_another_payload_is_a_conflict() {
    on_both(LONG, async |keys| {
        for (number, settled) in [(1, Settled::Accepted), (2, Settled::Quarantined)] {
            let (held, answers) = claim(keys, &[(number, PAYLOAD)]).await;
            assert_eq!(answers, [Claim::New]);
            assert!(held.lease_deadline().is_some());
            let id = new_id();
            held.hand_over(UnixMillis::now()).unwrap().commit(&[(0, id, settled)]).await;
            let (_, answers) = claim(keys, &[(number, PAYLOAD), (number, OTHER)]).await;
            assert_eq!(
                answers,
                [Claim::Committed { event_id: id, first: settled }, Claim::Conflict]
            );
        }
        let other = TenantId::new("other").unwrap();
        let asked = Wanted {
            row: 0,
            key: tidegate_dedup::DedupKey::of(&other, "", "1"),
            fingerprint: OTHER,
        };
        let (_, answers) = keys.claim(&other, &[asked], Moment::now()).await.unwrap();
        assert_eq!(answers, [Claim::New], "another tenant's");
    });
}

#[test]
fn what_another_has_is_in_flight_until_it_is_given_back() {
    on_both(LONG, async |keys| {
        let asked = [(1, PAYLOAD), (2, PAYLOAD), (3, PAYLOAD)];
        let (held, _) = claim(keys, &asked).await;
        let (mut other, answers) = claim(keys, &[(1, PAYLOAD), (2, OTHER), (4, PAYLOAD)]).await;
        assert!(is_in_flight(answers[0]) && is_in_flight(answers[1]), "{answers:?}");
        assert_eq!(answers[2], Claim::New);
        other.release_row(2);
        other.release().await;
        assert_eq!(look(keys, 4).await, Claim::New);
        held.release().await;
        let (held, answers) = claim(keys, &asked).await;
        assert_eq!(answers, [Claim::New; 3]);
        // Handed over and refused by the log.
        held.hand_over(UnixMillis::now()).unwrap().release().await;
        let (held, answers) = claim(keys, &asked).await;
        assert_eq!(answers, [Claim::New; 3]);
        drop(held);
        for number in 1..=3 {
            eventually("a claim that was dropped is given back", async || {
                look(keys, number).await == Claim::New
            })
            .await;
        }
    });
}

#[test]
fn repeats_within_a_request_are_answered_by_their_first() {
    on_both(LONG, async |keys| {
        let asked = [(1, PAYLOAD), (2, PAYLOAD), (1, PAYLOAD), (1, OTHER), (2, PAYLOAD)];
        let (held, answers) = claim(keys, &asked).await;
        let expected = [
            Claim::New,
            Claim::New,
            Claim::Own { row: 0 },
            Claim::OwnConflict,
            Claim::Own { row: 1 },
        ];
        assert_eq!(answers, expected);
        let (first, second) = (new_id(), new_id());
        let rows = [(0, first, Settled::Accepted), (1, second, Settled::Quarantined)];
        held.hand_over(UnixMillis::now()).unwrap().commit(&rows).await;
        let (_, answers) = claim(keys, &[(1, OTHER), (1, PAYLOAD), (2, PAYLOAD)]).await;
        let expected = [
            Claim::Conflict,
            Claim::Committed { event_id: first, first: Settled::Accepted },
            Claim::Committed { event_id: second, first: Settled::Quarantined },
        ];
        assert_eq!(answers, expected);
    });
}

#[test]
fn rows_that_are_not_stored_are_free_when_the_rest_is_settled() {
    on_both(LONG, async |keys| {
        let asked: Vec<_> = (0..300).map(|number| (number, PAYLOAD)).collect();
        let (mut held, _) = claim(keys, &asked).await;
        // In two passes, as the stages do it.
        (0..300).filter(|row| row % 3 == 0).for_each(|row| held.release_row(row));
        (0..300).filter(|row| row % 3 == 1).for_each(|row| held.release_row(row));
        let id = new_id();
        let rows: Vec<_> =
            (0..300).filter(|row| row % 3 == 2).map(|row| (row, id, Settled::Accepted)).collect();
        held.hand_over(UnixMillis::now()).unwrap().commit(&rows).await;
        let (held, answers) = claim(keys, &asked).await;
        for (row, answer) in answers.iter().enumerate() {
            let expected = match row % 3 {
                2 => Claim::Committed { event_id: id, first: Settled::Accepted },
                _ => Claim::New,
            };
            assert_eq!(*answer, expected, "{row}");
        }
        held.release().await;
    });
}

#[test]
fn a_request_without_keys_holds_nothing() {
    on_both(LONG, async |keys| {
        let (held, answers) = claim(keys, &[]).await;
        assert_eq!((held.lease_deadline(), answers), (None, Vec::new()));
        held.hand_over(UnixMillis::now()).unwrap().commit(&[]).await;
    });
}

/// The outcome is known for the window, from the id's millisecond, and not longer.
#[test]
fn the_window_ends() {
    let spans = Spans { window: Duration::from_millis(700), ..LONG };
    on_both(spans, async |keys| {
        let id = new_id();
        let (held, _) = claim(keys, &[(1, PAYLOAD)]).await;
        held.hand_over(UnixMillis::now()).unwrap().commit(&[(0, id, Settled::Accepted)]).await;
        eventually("the key is free again", async || {
            let answer = look(keys, 1).await;
            let now = UnixMillis::now().0;
            assert!(answer != Claim::New || now >= id.received_at().0 + 700, "too early");
            answer == Claim::New
        })
        .await;
    });
}

/// A claim whose lease ran out is another's, and the one who was slow appends nothing.
#[test]
fn a_lease_ends() {
    let spans = Spans { lease: Duration::from_secs(1), ..LONG };
    on_both(spans, async |keys| {
        let (slow, _) = claim(keys, &[(1, PAYLOAD), (2, PAYLOAD)]).await;
        let mut quick = None;
        eventually("the lease ends", async || {
            let (held, answers) = try_claim(keys, &[(2, PAYLOAD)]).await.unwrap();
            quick = Some(held);
            answers == [Claim::New]
        })
        .await;
        assert!(slow.hand_over(UnixMillis::now()).is_err(), "it must not append");
        let id = new_id();
        let logged = quick.unwrap().hand_over(UnixMillis::now()).unwrap();
        logged.commit(&[(0, id, Settled::Accepted)]).await;
        let expected = Claim::Committed { event_id: id, first: Settled::Accepted };
        assert_eq!(look(keys, 2).await, expected, "the slow one's release has not touched it");
    });
}

/// Nobody knows whether the log has it: it is neither free nor settled.
#[test]
fn what_the_log_was_not_heard_on_is_nobodys() {
    on_both(LONG, async |keys| {
        let (held, _) = claim(keys, &[(1, PAYLOAD)]).await;
        drop(held.hand_over(UnixMillis::now()).unwrap());
        for _ in 0..20 {
            assert!(is_in_flight(look(keys, 1).await));
        }
    });
}

/// Of many who ask at once one gets each key.
#[test]
fn one_of_many_gets_each_key() {
    on_both(LONG, async |keys| {
        let mut asking = Vec::new();
        for first in 0..16 {
            let keys = keys.clone();
            asking.push(tokio::spawn(async move {
                let asked: Vec<_> =
                    (0..100).map(|number| ((number + first * 7) % 100, PAYLOAD)).collect();
                let (held, answers) =
                    keys.claim(&acme(), &wanted(&asked), Moment::now()).await.unwrap();
                let won = asked.iter().zip(&answers).filter(|(_, answer)| **answer == Claim::New);
                let won: Vec<u32> = won.map(|((number, _), _)| *number).collect();
                (held, won)
            }));
        }
        let (mut all, mut guards) = (Vec::new(), Vec::new());
        for one in asking {
            let (held, won) = one.await.unwrap();
            all.extend(won);
            guards.push(held);
        }
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_ne!(key(1), key(2));
    });
}
