//! The script against the arithmetic that it repeats, over times that the test sets.

use std::time::Duration;

use proptest::prelude::*;
use tidegate_quota::{Got, State};
use tidegate_testkit::Redis;
use tidegate_types::TenantId;
use tidegate_types::quota::Dimension;

use super::*;
use crate::connection::RedisOptions;

/// The script with the test's clock, and keys that do not end by the server's.
fn script() -> Script {
    let with = run::SCRIPT
        .replace("redis.call('TIME')", "{0, ARGV[2]}")
        .replace("string.format('%.0f', full_ms)", "3600000");
    assert!(with.contains("ARGV[2]") && with.contains("3600000"));
    Script::new(with.leak())
}

fn steps() -> impl Strategy<Value = Vec<(u64, bool, u64, u64)>> {
    // How much later, whether it is put back, what is wanted, and the least of it.
    prop::collection::vec(
        (0u64..3_000_000, prop::bool::weighted(0.2), 0u64..3000, 0u64..3000),
        1..40,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_script_does_the_same(
        limit in 1u64..5000,
        seconds in 1u64..100,
        burst in 1u64..2000,
        together in 1usize..5,
        steps in steps(),
    ) {
        let redis = tidegate_testkit::redis::shared();
        let quota = Quota::new(limit, Duration::from_secs(seconds), burst).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(redis, quota, together, &steps))?;
    }
}

async fn check(
    redis: &Redis,
    quota: Quota,
    together: usize,
    steps: &[(u64, bool, u64, u64)],
) -> Result<(), TestCaseError> {
    let (connect_timeout, response_timeout) = (Duration::from_secs(5), Duration::from_secs(5));
    let options = RedisOptions { url: redis.url(), connect_timeout, response_timeout };
    let (link, script) = (Link::start(&options).unwrap(), script());
    link.up().await;
    let bucket =
        Bucket { tenant: TenantId::new("acme").unwrap(), key: None, dimension: Dimension::Events };
    let mut now = 1_700_000_000_000_000u64;
    let mut key = run::key("p:", &bucket);
    key.extend(now.to_le_bytes());
    assert_eq!(redis.command(&["FLUSHALL"]), "OK");
    let mut state = State::full(&quota, now);
    for steps in steps.chunks(together) {
        now += steps.first().map_or(0, |(later, ..)| *later);
        let mut run = Run::new(bucket.clone(), quota);
        let mut expected = Vec::new();
        for (_, is_back, want, least) in steps {
            let ask = Ask { bucket: bucket.clone(), quota, want: *want, least: *least.min(want) };
            if *is_back {
                run.add(run::Step::put_back(*want));
                state.put_back(&quota, *want, now);
            } else {
                let place = run.add(run::Step::take(&ask));
                expected.push((place, ask.want, state.take(&quota, ask.want, ask.least, now)));
            }
        }
        let mut pipeline = Pipeline::new();
        let command = pipeline.cmd("EVALSHA").arg(script.digest()).arg(1).arg(&key);
        command.arg(run.argument()).arg(now);
        let replies = link.run(&[&script], &pipeline, link.deadline()).await.unwrap();
        for (place, want, expected) in expected {
            let left = run.outcome(&replies[0], place).expect("an answer");
            prop_assert_eq!(Got::new(&quota, want, left.granted, left.tokens), expected);
        }
    }
    Ok(())
}
