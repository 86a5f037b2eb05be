//! The quarantine against a model: every released event once among the accepted ones, no event both
//! open and settled, whatever is published, closed, or torn in between (P5, D5).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow_array::cast::AsArray;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use tidegate_storage::quarantine::{
    Act, Decision, GroupBy, Grouping, Held, HeldLookup, Release, SettleError, Settlement,
};
use tidegate_storage::read::{Cursor, Filter, PageLimit, StoredEvent};
use tidegate_storage::{OpenError, Quarantine};
use tidegate_types::{Digest, EventId, Lsn, UnixMillis};
use tidegate_wal::{Action, Stored};

use crate::ground::{File, Ground, any_ground, each};
use crate::support::{BEGIN, LONG, World, append, event, open};

const SMALL: PageLimit = PageLimit { events: 7, bytes: 1 << 20 };
/// The revision under which events are released.
const NEXT: Digest = Digest([9; 32]);

/// What is done with an event: 0 released, 1 mended and released, 2 discarded.
type Choice = usize;

fn mended(event: &StoredEvent, choice: Choice) -> Vec<u8> {
    match choice {
        1 => [b"{\"mended\":true,", &event.original[1..]].concat(),
        _ => event.original.clone(),
    }
}

fn act<'a>(held: &'a Held, choice: Choice, original: &'a [u8], by: &'a str) -> Act<'a> {
    let release = Release {
        revision: NEXT,
        event_time: held.event().event_time,
        original,
        patches: &held.event().patches,
        findings: b"",
        context: &held.event().context,
    };
    let decision = if choice == 2 { Decision::Discard } else { Decision::Release(release) };
    Act { held, decision, by, reason: "reviewed" }
}

/// What must be read of a decision.
fn check_settlement(found: &Settlement, event: &StoredEvent, choice: Choice, by: &str) {
    assert_eq!((found.event_id, found.action), (event.event_id, Action::ALL[choice]));
    assert_eq!((found.by.as_str(), found.reason.as_str()), (by, "reviewed"));
    let released = (choice != 2).then(|| StoredEvent {
        lsn: found.lsn,
        status: Stored::Accepted,
        revision: NEXT,
        original: mended(event, choice),
        findings: vec![],
        ..event.clone()
    });
    assert_eq!(found.released.as_deref(), released.as_ref());
}

fn all_open(quarantine: &Quarantine, tenant: &str, filter: &Filter) -> Vec<Held> {
    let mut found = Vec::new();
    let mut cursor = Cursor::default();
    loop {
        let mut scan = quarantine.open_events(tenant, filter.clone(), Some(cursor));
        let page = scan.next_page(SMALL).unwrap();
        found.extend(page.events);
        cursor = page.next;
        if page.is_last {
            return found;
        }
    }
}

/// Event ids in files, with how often they are there.
fn ids(files: Vec<File>) -> BTreeMap<EventId, u32> {
    let mut found = BTreeMap::new();
    for file in files {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.bytes).unwrap();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let ids = batch.column_by_name("event_id").unwrap().as_string::<i32>();
            for id in ids.iter().flatten() {
                *found.entry(id.parse().unwrap()).or_default() += 1;
            }
        }
    }
    found
}

/// What was decided, by position of the event.
type Decided = BTreeMap<u64, (Choice, String)>;

/// After everything was published.
fn check_files(ground: &Ground, folder: &Path, model: &[StoredEvent], decided: &Decided) {
    let ids = |part| ids(ground.files(folder, part));
    let once = |wanted: &dyn Fn(&StoredEvent) -> bool| -> BTreeMap<EventId, u32> {
        model.iter().filter(|event| wanted(event)).map(|event| (event.event_id, 1)).collect()
    };
    let released = |event: &StoredEvent| decided.get(&event.number()).is_some_and(|one| one.0 != 2);
    let accepted = once(&|event| event.status == Stored::Accepted || released(event));
    assert_eq!(ids("/accepted/"), accepted);
    assert_eq!(ids("-released.parquet"), once(&|event| released(event)));
    assert_eq!(ids("/quarantine/"), once(&|event| event.status == Stored::Quarantined));
    let settled = once(&|event| decided.contains_key(&event.number()));
    assert_eq!(ids("/dispositions/"), settled);
}

/// Events of the model have their number in the random part of their ids.
trait Number {
    fn number(&self) -> u64;
}

impl Number for StoredEvent {
    fn number(&self) -> u64 {
        let [.., a, b, c, d] = self.event_id.0;
        u64::from(u32::from_be_bytes([a, b, c, d]))
    }
}

fn group(event: &StoredEvent, by: GroupBy) -> BTreeSet<String> {
    let findings = event.findings().unwrap();
    let findings = findings.iter();
    let at = event.received_at();
    match by {
        GroupBy::Rule => findings.map(|one| one.rule.to_string()).collect(),
        GroupBy::Code => findings.map(|one| format!("{}/{}", one.rule, one.code)).collect(),
        GroupBy::Revision => [event.revision.to_string()].into(),
        GroupBy::EventType => [event.event_type.clone()].into(),
        GroupBy::Hour => [format!("{}:00:00.000Z", &at.to_rfc3339()[..13])].into(),
        GroupBy::Day => [at.date()].into(),
    }
}

#[derive(Clone, Debug)]
enum Move {
    Append(u64),
    /// Which of the open events, by percent, and what is done with them.
    Settle(Vec<(usize, Choice)>),
    /// Some that are settled.
    SettleAgain(usize),
    Flush,
    Restart,
    Look(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let some = proptest::collection::vec((0..100usize, 0..3usize), 1..6);
    let one = prop_oneof![
        3 => (1..40u64).prop_map(Move::Append),
        4 => some.prop_map(Move::Settle),
        2 => (0..100usize).prop_map(Move::SettleAgain),
        2 => Just(Move::Flush),
        2 => Just(Move::Restart),
        2 => (0..100usize).prop_map(Move::Look),
    ];
    proptest::collection::vec(one, 1..30)
}

struct Model {
    world: World,
    decided: Decided,
    /// Every event that was ever found open.
    held: BTreeMap<u64, Held>,
    /// How many positions of the log are taken; the model's events have their own numbers.
    acts: u64,
}

impl Model {
    fn open_now(&self, tenant: &str) -> Vec<StoredEvent> {
        let open = |event: &&StoredEvent| {
            event.tenant == tenant
                && event.status == Stored::Quarantined
                && !self.decided.contains_key(&event.number())
        };
        self.world.model.iter().filter(open).cloned().collect()
    }

    fn check_open(&mut self) {
        for tenant in ["acme", "other"] {
            let found = all_open(&self.world.quarantine(), tenant, &Filter::default());
            let events: Vec<_> = found.iter().map(|held| held.event().clone()).collect();
            assert_eq!(events, self.open_now(tenant));
            self.held.extend(found.into_iter().map(|held| (held.event().number(), held)));
        }
    }

    fn settle(&mut self, choices: &[(usize, Choice)]) {
        self.check_open();
        let open: Vec<_> = self
            .held
            .iter()
            .filter(|(n, _)| !self.decided.contains_key(n))
            .map(|(_, held)| held.clone())
            .collect();
        if open.is_empty() {
            return;
        }
        let picked: Vec<_> = choices
            .iter()
            .map(|(at, choice)| (&open[open.len() * at / 100], *choice))
            .map(|(held, choice)| (held, choice, mended(held.event(), choice)))
            .collect();
        let by = format!("operator {}", self.acts);
        let acts: Vec<_> = picked
            .iter()
            .map(|(held, choice, original)| act(held, *choice, original, &by))
            .collect();
        let outcomes = self.world.quarantine().settle(&acts);
        for ((held, choice, _), outcome) in picked.iter().zip(outcomes) {
            let number = held.event().number();
            match self.decided.get(&number) {
                None => {
                    assert_eq!(outcome.unwrap().action, Action::ALL[*choice]);
                    self.decided.insert(number, (*choice, by.clone()));
                    self.acts += 1;
                }
                Some((first, by)) => check_refused(outcome.map(drop), held, *first, by),
            }
        }
    }

    fn settle_again(&self, percent: usize) {
        let settled: Vec<_> = self.decided.iter().collect();
        let Some((number, (choice, by))) = settled.get(settled.len() * percent / 100) else {
            return;
        };
        let held = &self.held[number];
        let end = self.world.wal().durable_end();
        let outcomes = self.world.quarantine().settle(&[act(held, 2, b"", "late")]);
        let [outcome] = <[_; 1]>::try_from(outcomes).unwrap();
        check_refused(outcome.map(drop), held, *choice, by);
        assert_eq!(self.world.wal().durable_end(), end, "nothing was appended");
    }

    fn look(&self, percent: usize) {
        let quarantine = self.world.quarantine();
        if let Some(event) = self.world.model.get(self.world.model.len() * percent / 100) {
            let found = quarantine.get(&event.tenant, event.event_id).unwrap();
            match (event.status, self.decided.get(&event.number()), found) {
                (Stored::Accepted, None, HeldLookup::NotHeld(found)) => assert_eq!(found, *event),
                (Stored::Quarantined, None, HeldLookup::Open(held)) => {
                    assert_eq!(held.event(), event)
                }
                (_, Some((choice, by)), HeldLookup::Settled { event: found, settlement }) => {
                    assert_eq!(found, *event);
                    check_settlement(&settlement.unwrap(), event, *choice, by);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(quarantine.get("nobody", event.event_id).unwrap(), HeldLookup::NotStored);
        }
        let filter = Filter { since: Some(UnixMillis(BEGIN + 300)), ..Filter::default() };
        let open: Vec<_> = self
            .open_now("acme")
            .into_iter()
            .filter(|one| one.received_at().0 >= BEGIN + 300)
            .collect();
        for by in [
            GroupBy::Rule,
            GroupBy::Code,
            GroupBy::Revision,
            GroupBy::EventType,
            GroupBy::Hour,
            GroupBy::Day,
        ] {
            check_counts(&quarantine, &filter, &open, Grouping::By(by), |event| group(event, by));
        }
        // Names of the caller's: several rules of one event may have the same.
        let named = |revision: &str, of: &str| format!("{} {}", &revision[7..9], of.len());
        check_counts(&quarantine, &filter, &open, Grouping::Rules(&named), |event| {
            let revision = event.revision.to_string();
            let findings = event.findings().unwrap();
            findings.iter().map(|one| named(&revision, one.rule.as_str())).collect()
        });
        check_counts(&quarantine, &filter, &open, Grouping::Types(&named), |event| {
            [named(&event.revision.to_string(), &event.event_type)].into()
        });
        // A released event is read as it came in.
        let mut scan = self.world.events().scan("acme", Filter::default(), None);
        let page = scan.next_page(PageLimit { events: 10_000, bytes: 64 << 20 }).unwrap();
        let all = self.world.model.iter().filter(|event| event.tenant == "acme");
        assert!(page.events.iter().eq(all));
        assert_eq!(quarantine.settled_count().0, self.decided.len());
    }
}

fn check_counts(
    quarantine: &Quarantine,
    filter: &Filter,
    open: &[StoredEvent],
    by: Grouping<'_>,
    groups: impl Fn(&StoredEvent) -> BTreeSet<String>,
) {
    let counts = quarantine.count("acme", filter.clone(), by).unwrap();
    let mut expected = BTreeMap::new();
    for one in open.iter().flat_map(groups) {
        *expected.entry(one).or_default() += 1;
    }
    assert_eq!(counts.groups, expected);
    assert_eq!(
        (counts.events, counts.in_other_groups, counts.expired_files),
        (open.len() as u64, 0, 0)
    );
}

fn check_refused(outcome: Result<(), SettleError>, held: &Held, choice: Choice, by: &str) {
    match outcome {
        Err(SettleError::AlreadySettled { settlement: Some(found) }) => {
            check_settlement(&found, held.event(), choice, by);
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn each_event_is_settled_once_and_each_released_one_accepted_once(
        ground in any_ground(),
        moves in moves(),
    ) {
        let (decided, held) = (Decided::new(), BTreeMap::new());
        let mut model = Model { world: World::on(ground), decided, held, acts: 0 };
        for one in moves {
            match one {
                Move::Append(count) => model.append(count),
                Move::Settle(choices) => model.settle(&choices),
                Move::SettleAgain(percent) => model.settle_again(percent),
                Move::Flush => { model.world.storage().flush(LONG).unwrap(); }
                Move::Restart => model.world.restart(),
                Move::Look(percent) => model.look(percent),
            }
        }
        model.world.storage().flush(LONG).unwrap();
        model.check_open();
        model.look(50);
        let Model { world, decided, .. } = &model;
        check_files(&world.ground, world.folder.path(), &world.model, decided);
    }
}

impl Model {
    /// Like the world's, but decisions take positions too.
    fn append(&mut self, count: u64) {
        let first = self.world.model.len() as u64;
        let events: Vec<_> = (first..first + count)
            .map(|n| StoredEvent { lsn: Lsn(n + self.acts), ..event(n) })
            .collect();
        append(self.world.wal(), &events);
        self.world.model.extend(events);
    }
}

/// Threads want to settle the same events at once: one of them does, the others are told who it was.
#[test]
fn of_many_who_settle_one_event_at_once_one_does() {
    each().into_iter().for_each(settle_at_once);
}

fn settle_at_once(ground: Ground) {
    let mut world = World::on(ground);
    world.append(300);
    let quarantine = world.quarantine();
    let held = all_open(&quarantine, "acme", &Filter::default());
    assert!(held.len() > 30);
    let end = world.wal().durable_end();
    let outcomes: Vec<Vec<_>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let (quarantine, held) = (&quarantine, &held);
                scope.spawn(move || {
                    let by = format!("{thread}");
                    let all = held.iter().map(|one| act(one, 0, &one.event().original, &by));
                    let mut all: Vec<_> = all.collect();
                    all.rotate_left(thread * 3);
                    let mut outcomes = Vec::new();
                    for some in all.chunks(1 + thread) {
                        let settled = quarantine.settle(some);
                        outcomes
                            .extend(some.iter().map(|act| act.held.event().event_id).zip(settled));
                    }
                    outcomes
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut winners = BTreeMap::new();
    for (thread, outcomes) in outcomes.iter().enumerate() {
        for (event_id, outcome) in outcomes {
            if outcome.is_ok() {
                assert_eq!(winners.insert(*event_id, format!("{thread}")), None, "settled twice");
            }
        }
    }
    assert_eq!(winners.len(), held.len());
    for (event_id, outcome) in outcomes.into_iter().flatten() {
        if let Err(error) = outcome {
            let SettleError::AlreadySettled { settlement: Some(found) } = error else {
                panic!("{error}")
            };
            assert_eq!(found.by, winners[&event_id]);
        }
    }
    assert_eq!(world.wal().durable_end().0 - end.0, held.len() as u64, "one record for each");
    world.storage().flush(LONG).unwrap();
    let released = ids(world.files("-released.parquet"));
    assert_eq!(released, winners.keys().map(|id| (*id, 1)).collect());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target)
        } else {
            std::fs::copy(&path, &target).map(drop).unwrap()
        }
    }
}

/// The segment that was written to last, and where its last frame is.
fn last_frame(wal: &Path) -> (std::path::PathBuf, std::ops::Range<usize>) {
    let segments = std::fs::read_dir(wal).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        segments.filter(|path| path.extension().is_some_and(|e| e == "wal")).collect();
    segments.sort();
    let frames = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        let (mut at, mut last) = (64, None);
        while bytes.get(at..at + 4) == Some(b"TGF1") {
            let records = u32::from_le_bytes(bytes[at + 28..at + 32].try_into().unwrap()) as usize;
            let end = at + 32 + records.next_multiple_of(8);
            (last, at) = (Some((path.clone(), at..end)), end);
        }
        last
    };
    segments.iter().rev().find_map(frames).unwrap()
}

/// A process that is killed while it writes a decision: at every byte, the decision is there with
/// the event that it releases, or neither is, and then the event can be settled again.
#[test]
fn a_decision_that_was_torn_at_any_byte_is_whole_or_absent() {
    let ground = Ground::Folder;
    let mut world = World::on(ground.clone());
    world.append(12);
    world.storage().flush(LONG).unwrap();
    world.storage().close();
    let quarantine = world.quarantine();
    let held = all_open(&quarantine, "acme", &Filter::default()).remove(0);
    let original = mended(held.event(), 1);
    let [done] =
        <[_; 1]>::try_from(quarantine.settle(&[act(&held, 1, &original, "first")])).unwrap();
    assert_eq!(done.unwrap().lsn, Lsn(12));
    let crashed = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (segment, frame) = last_frame(&world.folder.path().join("wal"));
    let segment = segment.strip_prefix(world.folder.path()).unwrap().to_owned();
    let number = held.event().number();
    for cut in frame.start..=frame.end {
        let folder = crashed.path().join(cut.to_string());
        copy(world.folder.path(), &folder);
        let mut bytes = std::fs::read(folder.join(&segment)).unwrap();
        bytes[cut..].fill(0);
        std::fs::write(folder.join(&segment), bytes).unwrap();
        let (wal, storage) = open(&ground, &folder, 1000).unwrap();
        let quarantine = storage.quarantine();
        let is_whole = wal.durable_end() == Lsn(13);
        // The last bytes of a frame may be padding, which is zero anyway.
        let is_padding = (frame.end - 7..frame.end).contains(&cut);
        assert!(is_padding || is_whole == (cut == frame.end), "cut at {cut}");
        let open_now = all_open(&quarantine, "acme", &Filter::default());
        assert_eq!(open_now.contains(&held), !is_whole, "cut at {cut}");
        let [again] = <[_; 1]>::try_from(quarantine.settle(&[act(
            &held,
            0,
            &held.event().original,
            "second",
        )]))
        .unwrap();
        let (choice, by) = if is_whole { (1, "first") } else { (0, "second") };
        assert_eq!(again.is_ok(), !is_whole, "cut at {cut}: {again:?}");
        storage.flush(LONG).unwrap();
        let decided = BTreeMap::from([(number, (choice, String::new()))]);
        check_files(&ground, &folder, &world.model, &decided);
        let settlement = quarantine.settlement("acme", held.event().event_id).unwrap();
        check_settlement(&settlement.unwrap(), held.event(), choice, by);
        drop((storage, wal));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn limits_are_told_and_leave_events_open() {
    let ground = Ground::Folder;
    let mut world = World::on(ground.clone());
    world.append(60);
    let folder = world.folder.path().to_owned();
    world.stop();
    let (wal, storage) = open(&ground, &folder, 2).unwrap();
    let quarantine = storage.quarantine();
    let held = all_open(&quarantine, "acme", &Filter::default());
    let discard = |at: usize, reason: &'static str| {
        let act = Act { reason, ..act(&held[at], 2, b"", "me") };
        quarantine.settle(&[act]).remove(0)
    };
    assert!(matches!(discard(0, " "), Err(SettleError::NoReason)));
    let long = "x".repeat(5000);
    let too_long = Act { reason: &long, ..act(&held[0], 2, b"", "me") };
    assert!(matches!(quarantine.settle(&[too_long]).remove(0), Err(SettleError::TooLarge(_))));
    discard(0, "wrong").unwrap();
    discard(1, "wrong").unwrap();
    let refused = discard(2, "wrong").unwrap_err();
    assert!(refused.to_string().contains("raise the maximum"), "{refused}");
    assert_eq!(all_open(&quarantine, "acme", &Filter::default()), held[2..]);
    wal.seal_and_close();
    let failed = discard(2, "wrong").unwrap_err();
    assert!(matches!(failed, SettleError::Full { max: 2 }), "{failed}");
    drop((storage, wal, quarantine));
    let refused = open(&ground, &folder, 1).map(drop);
    assert!(matches!(refused, Err(OpenError::TooManySettled { max: 1 })), "{refused:?}");
    // A log that takes nothing leaves the event open.
    let (wal, storage) = open(&ground, &folder, 3).unwrap();
    let quarantine = storage.quarantine();
    wal.seal_and_close();
    for _ in 0..2 {
        let failed = quarantine.settle(&[act(&held[2], 2, b"", "me")]).remove(0).unwrap_err();
        assert!(matches!(failed, SettleError::Append(_)), "{failed}");
    }
    assert_eq!(quarantine.settled_count(), (2, 3));
}
