//! Both stores against a plain map: random requests that claim some keys and end in any of the ways in
//! which a request ends.

use std::collections::HashMap;

use proptest::prelude::*;
use tidegate_dedup::{Claim, Fingerprint, HeldKeys, Keys, Settled};
use tidegate_types::{EventId, UnixMillis};

use crate::support::{LONG, OTHER, PAYLOAD, claim, new_id, on_both};

/// How a request ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Commit,
    /// By the log.
    Refused,
    GivenUp,
}

#[derive(Clone, Debug)]
enum Step {
    Begin {
        request: usize,
        asked: Vec<(u32, bool)>,
    },
    /// `rejected` says by bits which rows are.
    Finish {
        request: usize,
        rejected: u8,
        end: End,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let asked = prop::collection::vec((0..6u32, prop::bool::weighted(0.2)), 1..6);
    let end = prop_oneof![4 => Just(End::Commit), 1 => Just(End::Refused), 1 => Just(End::GivenUp)];
    let step = prop_oneof![
        3 => (0..3usize, asked).prop_map(|(request, asked)| Step::Begin { request, asked }),
        2 => (0..3usize, any::<u8>(), end)
            .prop_map(|(request, rejected, end)| Step::Finish { request, rejected: rejected & 0x49, end }),
    ];
    prop::collection::vec(step, 1..30)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Claimed(usize),
    Committed(EventId, Fingerprint),
}

/// A row that a request has claimed, its key's number and its payload.
type Own = (u32, u32, Fingerprint);

#[derive(Default)]
struct World {
    model: HashMap<u32, State>,
    requests: [Option<(HeldKeys, Vec<Own>)>; 3],
}

impl World {
    async fn begin(&mut self, keys: &Keys, request: usize, asked: &[(u32, bool)]) {
        if self.requests[request].is_some() {
            return;
        }
        let asked: Vec<_> = asked
            .iter()
            .map(|(number, is_other)| (*number, if *is_other { OTHER } else { PAYLOAD }))
            .collect();
        let (held, answers) = claim(keys, &asked).await;
        assert_eq!(answers.len(), asked.len());
        let mut own: Vec<Own> = Vec::new();
        for (row, ((number, fingerprint), answer)) in asked.iter().zip(answers).enumerate() {
            let first = own.iter().find(|(_, other, _)| other == number);
            match (self.model.get(number), first) {
                (_, Some((row, _, same))) if same == fingerprint => {
                    assert_eq!(answer, Claim::Own { row: *row });
                }
                (_, Some(_)) => assert_eq!(answer, Claim::OwnConflict),
                (None, None) => {
                    assert_eq!(answer, Claim::New);
                    self.model.insert(*number, State::Claimed(request));
                    own.push((u32::try_from(row).unwrap(), *number, *fingerprint));
                }
                (Some(State::Claimed(_)), None) => {
                    assert!(matches!(answer, Claim::InFlight { .. }), "{answer:?}");
                }
                (Some(State::Committed(event_id, same)), None) if same == fingerprint => {
                    let first = Settled::Accepted;
                    assert_eq!(answer, Claim::Committed { event_id: *event_id, first });
                }
                (Some(State::Committed(..)), None) => assert_eq!(answer, Claim::Conflict),
            }
        }
        self.requests[request] = Some((held, own));
    }

    async fn finish(&mut self, request: usize, rejected: u8, end: End) {
        let Some((mut held, own)) = self.requests[request].take() else { return };
        let is_rejected = |row: u32| rejected & (1 << row) != 0;
        let mut rows = Vec::new();
        for (row, number, fingerprint) in own {
            if is_rejected(row) {
                held.release_row(row);
            }
            if is_rejected(row) || !matches!(end, End::Commit) {
                self.model.remove(&number);
                continue;
            }
            let id = new_id();
            self.model.insert(number, State::Committed(id, fingerprint));
            rows.push((row, id, Settled::Accepted));
        }
        match end {
            End::Commit => held.hand_over(UnixMillis::now()).unwrap().commit(&rows).await,
            End::Refused => held.hand_over(UnixMillis::now()).unwrap().release().await,
            End::GivenUp => held.release().await,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_answer_as_the_model(steps in steps()) {
        on_both(LONG, async |keys| {
            let mut world = World::default();
            for step in &steps {
                match step {
                    Step::Begin { request, asked } => world.begin(keys, *request, asked).await,
                    Step::Finish { request, rejected, end } => {
                        world.finish(*request, *rejected, *end).await;
                    }
                }
            }
        });
    }
}
