//! Stored events read back, from files and from the log, while both move (P3: what judged an event
//! can be read again).

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use tidegate_storage::read::{Cursor, Filter, Lookup, Page, PageLimit, StoredEvent, StoredEvents};
use tidegate_types::{Digest, EventId, Lsn, UnixMillis};
use tidegate_wal::Stored;

use crate::ground::{Ground, any_ground, each};
use crate::support::{BEGIN, LONG, World, append, event};

/// A filter in the terms of the model.
#[derive(Clone, Debug, Default)]
struct Wanted {
    since: Option<u64>,
    until: Option<u64>,
    event_type: Option<usize>,
    status: Option<bool>,
    revision: Option<u8>,
    rule: Option<bool>,
    code: Option<bool>,
}

const TYPES: [&str; 3] = ["flight", "flight/../é", "unknown"];

impl Wanted {
    fn filter(&self) -> Filter {
        let at = |n: u64| UnixMillis(BEGIN + n * 10);
        Filter {
            since: self.since.map(at),
            until: self.until.map(at),
            event_types: self.event_type.iter().map(|at| TYPES[*at].to_owned()).collect(),
            status: self
                .status
                .map(|held| if held { Stored::Quarantined } else { Stored::Accepted }),
            revision: self.revision.map(|byte| Digest([byte; 32])),
            rule: self.rule.map(|one| if one { "airports" } else { "other" }.to_owned()),
            code: self.code.map(|one| if one { "late" } else { "early" }.to_owned()),
        }
    }

    fn wants(&self, event: &StoredEvent) -> bool {
        let filter = self.filter();
        let findings = event.findings().unwrap();
        filter.since.is_none_or(|since| event.received_at() >= since)
            && filter.until.is_none_or(|until| event.received_at() < until)
            && (filter.event_types.is_empty() || filter.event_types.contains(&event.event_type))
            && filter.status.is_none_or(|status| status == event.status)
            && filter.revision.is_none_or(|revision| revision == event.revision)
            && (filter.rule.is_none() && filter.code.is_none()
                || findings.iter().any(|finding| {
                    filter.rule.as_deref().is_none_or(|rule| rule == finding.rule.as_str())
                        && filter.code.as_deref().is_none_or(|code| code == &*finding.code)
                }))
    }
}

fn expected(world: &World, tenant: &str, wanted: &Wanted) -> Vec<StoredEvent> {
    let wants = |event: &&StoredEvent| event.tenant == tenant && wanted.wants(event);
    world.model.iter().filter(wants).cloned().collect()
}

fn next(events: &StoredEvents, filter: Filter, from: Cursor, limit: PageLimit) -> Page {
    let page = events.scan("acme", filter, Some(from)).next_page(limit).unwrap();
    assert!(page.events.len() <= limit.events);
    page
}

fn all(events: &StoredEvents, tenant: &str, filter: Filter, limit: PageLimit) -> Vec<StoredEvent> {
    let mut scan = events.scan(tenant, filter, None);
    let mut found = Vec::new();
    loop {
        let page = scan.next_page(limit).unwrap();
        assert!(page.events.len() <= limit.events && page.expired_files == 0);
        assert_eq!(scan.progress().0.max(page.next.0), page.next.0);
        found.extend(page.events);
        if page.is_last {
            return found;
        }
    }
}

#[derive(Clone, Debug)]
enum Move {
    Append(u64),
    Flush,
    Restart,
    Scan(Wanted, usize, usize),
    Page(usize),
    Find(u64),
}

fn wanted() -> impl Strategy<Value = Wanted> {
    fn maybe<S: Strategy>(of: S) -> impl Strategy<Value = Option<S::Value>> {
        proptest::option::weighted(0.25, of)
    }
    let bool = any::<bool>;
    (
        maybe(0..300u64),
        maybe(0..300u64),
        maybe(0..3usize),
        maybe(bool()),
        maybe(1..4u8),
        maybe(bool()),
        maybe(bool()),
    )
        .prop_map(|(since, until, event_type, status, revision, rule, code)| Wanted {
            since,
            until,
            event_type,
            status,
            revision,
            rule,
            code,
        })
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let limit = prop_oneof![Just(1usize), Just(7), Just(1000)];
    let one = prop_oneof![
        4 => (1..40u64).prop_map(Move::Append),
        2 => Just(Move::Flush),
        1 => Just(Move::Restart),
        3 => (wanted(), limit.clone(), prop_oneof![Just(1usize), Just(3000), Just(1 << 20)])
            .prop_map(|(wanted, events, bytes)| Move::Scan(wanted, events, bytes)),
        3 => limit.prop_map(Move::Page),
        2 => (0..400u64).prop_map(Move::Find),
    ];
    proptest::collection::vec(one, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_was_stored_is_found_wherever_it_is(ground in any_ground(), moves in moves()) {
        let mut world = World::on(ground);
        // One reader goes on page by page through all that happens.
        let (mut slow, mut cursor) = (Vec::new(), Cursor::default());
        for one in moves {
            match one {
                Move::Append(count) => world.append(count),
                Move::Flush => { world.storage().flush(LONG).unwrap(); }
                Move::Restart => world.restart(),
                Move::Scan(wanted, events, bytes) => {
                    for tenant in ["acme", "other", "nobody"] {
                        let limit = PageLimit { events, bytes };
                        let found = all(&world.events(), tenant, wanted.filter(), limit);
                        prop_assert_eq!(found, expected(&world, tenant, &wanted), "{:?}", wanted);
                    }
                }
                Move::Page(events) => {
                    let limit = PageLimit { events, bytes: 1 << 20 };
                    let page = next(&world.events(), Filter::default(), cursor, limit);
                    slow.extend(page.events);
                    cursor = page.next;
                }
                Move::Find(n) => {
                    let known = event(n);
                    let found = world.events().find(&known.tenant, known.event_id).unwrap();
                    let expected = world.model.get(n as usize).cloned();
                    prop_assert_eq!(found, expected.map_or(Lookup::NotStored, |one| Lookup::Found(Box::new(one))));
                    let foreign = world.events().find("nobody", known.event_id).unwrap();
                    prop_assert_eq!(foreign, Lookup::NotStored);
                }
            }
        }
        loop {
            let page = next(&world.events(), Filter::default(), cursor, PageLimit::default());
            slow.extend(page.events);
            cursor = page.next;
            if page.is_last {
                break;
            }
        }
        prop_assert_eq!(slow, expected(&world, "acme", &Wanted::default()));
    }
}

struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Readers go on while events are appended, published and truncated from the log: each sees each
/// event once, in order.
#[test]
fn events_that_move_from_the_log_to_files_are_neither_lost_nor_doubled() {
    each().into_iter().for_each(read_while_they_move);
}

fn read_while_they_move(ground: Ground) {
    let total = if matches!(ground, Ground::Folder) { 2_500u64 } else { 1_200 };
    let world = World::on(ground);
    let (wal, storage) = (world.wal(), world.storage());
    let done = AtomicBool::new(false);
    let model: Vec<_> = (0..total).map(event).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Also where it fails, or the readers would go on.
            let _done = Done(&done);
            append(wal, &model);
            storage.flush(LONG).unwrap();
        });
        for limit in [3, 40, 1000] {
            let (events, model, done) = (storage.events(), &model, &done);
            scope.spawn(move || {
                let limit = PageLimit { events: limit, bytes: 1 << 20 };
                let mut rounds = 0;
                while rounds == 0 || !done.load(Ordering::SeqCst) {
                    let mut scan = events.scan("acme", Filter::default(), None);
                    let end = scan.progress().1.0 as usize;
                    let mut found = Vec::new();
                    loop {
                        let page = scan.next_page(limit).unwrap();
                        found.extend(page.events.into_iter().map(|event| event.lsn));
                        if page.is_last {
                            break;
                        }
                    }
                    let expected = model[..end].iter().filter(|event| event.tenant == "acme");
                    assert!(expected.map(|event| event.lsn).eq(found), "up to {end}");
                    rounds += 1;
                }
            });
        }
        let (events, model, done) = (storage.events(), &model, &done);
        scope.spawn(move || {
            let mut n = 0;
            while !done.load(Ordering::SeqCst) {
                let end = events.scan("acme", Filter::default(), None).progress().1.0;
                if end > 0 {
                    // The last one is in the log now, and may not be when it is looked up.
                    for n in [end - 1, n % end] {
                        let known = &model[n as usize];
                        let found = events.find(&known.tenant, known.event_id).unwrap();
                        assert_eq!(found, Lookup::Found(Box::new(known.clone())));
                    }
                    n += 997;
                }
            }
        });
    });
    let found = all(&storage.events(), "other", Filter::default(), PageLimit::default());
    let expected = model.into_iter().filter(|event| event.tenant == "other");
    assert!(expected.eq(found));
    let old = wal.reader(Lsn(0)).next();
    assert!(matches!(old, Err(tidegate_wal::ReadError::Truncated { .. })), "the log has moved");
}

#[test]
fn events_of_files_that_were_removed_have_expired_and_the_others_are_read() {
    each().into_iter().for_each(read_what_is_left);
}

fn read_what_is_left(ground: Ground) {
    let mut world = World::on(ground);
    world.append(60);
    world.storage().flush(LONG).unwrap();
    let events = world.events();
    let gone = world.files("/quarantine/tenant=acme/");
    assert!(gone.len() > 1);
    gone.iter().for_each(|file| world.ground.remove(world.folder.path(), &file.path));
    let held =
        world.model.iter().find(|one| one.tenant == "acme" && one.status == Stored::Quarantined);
    assert_eq!(events.find("acme", held.unwrap().event_id).unwrap(), Lookup::Expired);
    // Nothing was ever stored that was received then.
    let never = EventId::from_parts(UnixMillis(BEGIN + 999_999), 0, 1);
    assert_eq!(events.find("acme", never).unwrap(), Lookup::NotStored);
    let page =
        events.scan("acme", Filter::default(), None).next_page(PageLimit::default()).unwrap();
    assert_eq!((page.expired_files, page.is_last), (gone.len() as u64, true));
    let accepted = Wanted { status: Some(false), ..Wanted::default() };
    assert_eq!(page.events, expected(&world, "acme", &accepted));
}

#[test]
fn damage_is_told_and_not_taken_for_an_end() {
    // Shorter than it was, as long, and longer.
    for bytes in [|_| 10, |bytes| bytes, |bytes| bytes + 1] {
        each().into_iter().for_each(|ground| read_damage(ground, bytes));
    }
}

fn read_damage(ground: Ground, bytes: fn(usize) -> usize) {
    let mut world = World::on(ground);
    world.append(60);
    world.storage().flush(LONG).unwrap();
    for file in world.files("") {
        let damaged = vec![b'x'; bytes(file.bytes.len())];
        world.ground.overwrite(world.folder.path(), &file.path, &damaged);
    }
    let mut scan = world.events().scan("acme", Filter::default(), None);
    for _ in 0..2 {
        let error = scan.next_page(PageLimit::default()).unwrap_err();
        assert!(error.to_string().contains("is not a file of this storage"), "{error}");
    }
    assert!(world.events().find("acme", event(0).event_id).is_err());
}
