//! One rule at a time.

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn a_call_is_made_when_there_are_enough_or_after_a_while() {
    let mut world = World::new(|options| options.batch.records = 2);
    world.push("a", None);
    assert_eq!(world.step(), 0);
    world.push("b", None);
    assert_eq!(world.step(), 1, "two are enough");
    world.push("c", None);
    world.pass(MS(49));
    assert_eq!(world.step(), 0);
    assert_eq!(world.backlog.step(world.now).wake, Some(world.now + MS(1)));
    world.pass(MS(1));
    assert_eq!(world.step(), 1, "it has waited for 50 ms");
    world.push("d", None);
    world.backlog.set_hurry(true);
    assert_eq!(world.step(), 1, "nobody waits in a hurry");
    world.finish();
}

#[test]
fn a_key_has_one_record_under_way_and_the_next_does_not_wait_for_company() {
    let mut world = World::new(|_| {});
    let messages = [world.push("a", None), world.push("a", None), world.push("b", None)];
    world.pass(MS(50));
    assert_eq!(world.step(), 1);
    assert_eq!(World::messages(&world.open[0]), [messages[0], messages[2]]);
    world.answer(|_| Fate::Store);
    assert_eq!(world.step(), 1, "it has waited already");
    assert_eq!(World::messages(&world.open[0]), [messages[1]]);
    world.finish();
}

#[test]
fn a_retry_waits_longer_each_time_and_other_keys_go_on() {
    let mut world = World::new(|_| {});
    world.push("a", None);
    world.pass(MS(50));
    for most in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
        assert_eq!(world.step(), 1);
        world.answer(|_| Fate::Fail);
        world.pass(MS(most / 2 - 1));
        world.push("b", None);
        world.backlog.set_hurry(true);
        assert_eq!(world.step(), 1, "only the other key goes");
        world.answer(|_| Fate::Store);
        world.backlog.set_hurry(false);
        world.pass(MS(most / 2 + 1));
    }
    world.finish();
    world.check_stored();
}

#[test]
fn a_call_that_failed_pauses_its_stream_and_only_that() {
    let mut world = World::new(|options| options.dead_letters = Some("dead".to_owned()));
    world.push("a", None);
    world.backlog.set_hurry(true);
    world.step();
    world.fail(true, false, false);
    world.push("b", None);
    assert_eq!(world.step(), 0, "the stream pauses");
    let place = Place::DeadLetters;
    let number = world.keys.len();
    world.keys.push("a");
    let data = number.to_string().into_bytes();
    let draft = Draft { place, key: "a".into(), data, slip: number, latest: None };
    world.backlog.push(draft, world.now);
    assert_eq!(world.step(), 1, "that for dead letters does not");
    world.answer(|_| Fate::Store);
    world.pass(MS(100));
    assert_eq!(world.step(), 1);
    assert_eq!(world.open[0].entries.len(), 2, "both go");
    world.finish();
}

#[test]
fn after_its_latest_moment_a_message_is_reported_and_what_is_known_of_it_told() {
    let errored = |world: &World, message: usize| match &world.reports[&message] {
        Err(Failure::Errored { why, retry_after, unknown }) => {
            (why.to_string(), retry_after.is_some(), *unknown)
        }
        other => panic!("{other:?}"),
    };
    // Never sent.
    let mut world = World::new(|_| {});
    let message = world.push("a", Some(MS(20)));
    world.pass(MS(20));
    assert_eq!(world.step(), 0);
    assert_eq!(errored(&world, message), ("it was not sent in time".to_owned(), false, false));
    // Failed entries and throttled ones are known not to be stored.
    for (fate, retries) in [(Fate::Fail, false), (Fate::Throttle, true)] {
        let mut world = World::new(|_| {});
        let [message, next] = [world.push("a", Some(MS(70))), world.push("a", None)];
        world.pass(MS(50));
        world.step();
        world.answer(|_| fate);
        world.pass(MS(20));
        world.step();
        assert_eq!(errored(&world, message), ("as the test says".to_owned(), retries, false));
        world.finish();
        assert_eq!(world.stored, [next]);
    }
    // A call without an answer, whatever came after it.
    let mut world = World::new(|_| {});
    let message = world.push("a", Some(MS(1000)));
    world.pass(MS(50));
    world.step();
    world.fail(true, false, true);
    world.pass(MS(200));
    world.step();
    world.answer(|_| Fate::Fail);
    world.pass(MS(1000));
    world.step();
    assert_eq!(errored(&world, message), ("as the test says".to_owned(), false, true));
    world.finish();
}

#[test]
fn what_a_call_has_is_reported_in_time_and_nothing_of_its_key_overtakes_it() {
    let mut world = World::new(|_| {});
    let [first, second] = [world.push("a", Some(MS(60))), world.push("a", None)];
    world.pass(MS(50));
    assert_eq!(world.step(), 1);
    world.pass(MS(10));
    assert_eq!(world.step(), 0, "the second waits for the answer to the first");
    assert!(matches!(world.reports[&first], Err(Failure::Errored { unknown: true, .. })));
    world.answer(|_| Fate::Fail);
    assert_eq!(world.step(), 1, "nobody waits for the first any more: it is not tried again");
    assert_eq!(World::messages(&world.open[0]), [second]);
    world.finish();
    assert_eq!(world.stored, [second]);
}

#[test]
fn a_call_holds_so_many_bytes() {
    let half = 512 * 1024;
    for (most, sizes, expected) in [
        (5 << 20, vec![half; 10], vec![10]),
        (5 << 20, vec![half; 11], vec![10, 1]),
        (5 << 20, [vec![half; 9], vec![half + 1]].concat(), vec![9, 1]),
        (half, vec![half, half], vec![1, 1]),
        (half - 1, vec![half, half], vec![1, 1]),
    ] {
        let mut world = World::new(|options| {
            options.ordering = Ordering::None;
            options.batch.bytes = most;
        });
        for size in sizes {
            world.push_size("k", None, size);
        }
        world.backlog.set_hurry(true);
        world.step();
        let counts: Vec<usize> = world.open.iter().map(|call| call.entries.len()).collect();
        assert_eq!(counts, expected);
        world.finish();
    }
}

#[test]
fn records_wait_for_a_stream_that_has_not_said_how_large_they_may_be() {
    let (mib, told) = (1 << 20, Limits::Told { record_bytes: 2 << 20 });
    for (limits, count) in
        [(told, 2), (Limits::Assumed, 1), (Limits::Told { record_bytes: mib }, 1)]
    {
        let mut world = World::new(|_| {});
        world.backlog.set_limits(Place::Events, Limits::Unknown);
        world.push_size("small", None, mib);
        let large = world.push_size("large", None, mib + 1);
        world.backlog.set_hurry(true);
        assert_eq!(world.step(), 1);
        world.answer(|_| Fate::Store);
        world.pass(MS(1000));
        assert_eq!((world.step(), world.reports.len()), (0, 1), "it is neither sent nor refused");
        world.backlog.set_limits(Place::Events, limits);
        world.pass(MS(1000));
        world.step();
        world.finish();
        assert_eq!(world.stored.len(), count);
        if count == 1 {
            let Err(Failure::Rejected { code: "too-large", why }) = &world.reports[&large] else {
                panic!("{:?}", world.reports)
            };
            assert!(why.contains("1048577") && why.contains("1048576"), "{why}");
        }
    }
}

#[test]
fn whoever_spoils_a_call_is_found_and_alone_is_rejected() {
    for bad in 0..7 {
        let mut world = World::new(|options| options.ordering = Ordering::None);
        for _ in 0..7 {
            world.push("a", None);
        }
        for _ in 0..100 {
            world.pass(MS(100));
            world.step();
            while !world.open.is_empty() {
                if World::messages(&world.open[0]).contains(&bad) {
                    world.refuse();
                } else {
                    world.answer(|_| Fate::Store);
                }
            }
        }
        world.finish();
        assert_eq!(world.stored.len(), 6);
        assert!(matches!(world.reports[&bad], Err(Failure::Rejected { code: "refused", .. })));
    }
}

#[test]
fn room_is_for_so_many_messages_and_bytes() {
    let mut world = World::new(|options| {
        options.queue_messages = 3;
        options.queue_bytes = 1 << 20;
    });
    assert!(world.backlog.fits(2 << 20), "alone, a record may be larger than all the room");
    world.push_size("a", None, 1 << 19);
    assert!(!world.backlog.fits(1 << 19) && world.backlog.fits(1000));
    world.push("b", None);
    world.push("c", None);
    assert!(!world.backlog.fits(0), "three are enough");
    world.finish();
    assert!(world.backlog.fits(1000));
}

#[test]
fn an_answer_that_is_too_short_is_no_answer_for_the_others() {
    let mut world = World::new(|_| {});
    let [a, b] = [world.push("a", None), world.push("b", None)];
    world.pass(MS(50));
    world.step();
    let call = world.open.remove(0);
    world.stored.push(a);
    let reports = world.backlog.settle(call, Answer::Entries(vec![Entry::Stored]), world.now);
    world.report(reports);
    world.finish();
    assert_eq!(world.stored, [a, b]);
}

#[test]
fn what_is_left_is_given_back() {
    let mut world = World::new(|_| {});
    for key in ["a", "a", "b"] {
        world.push(key, Some(MS(1000)));
    }
    world.pass(MS(50));
    world.step();
    let mut left = world.backlog.clear();
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2]);
    assert_eq!((world.backlog.messages(), world.backlog.bytes()), (0, 0));
    world.answer(|_| Fate::Store);
    assert!(world.reports.is_empty(), "an answer that comes later reports nothing");
}
