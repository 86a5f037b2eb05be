//! Counting, with buckets of this process.

use std::time::Duration;

use http::HeaderMap;
use tidegate_quota::LocalBuckets;

use super::*;

fn quota(limit: u64) -> Option<Quota> {
    Some(Quota::new(limit, Duration::from_secs(3600), limit).unwrap())
}

fn allowance(of_key: Quotas, of_tenant: Quotas) -> Allowance {
    let tenant = TenantId::new("acme").unwrap();
    Allowance { tenant, key: Some(("k1".into(), of_key)), of_tenant }
}

fn take(
    allowance: &Allowance,
    buckets: &LocalBuckets,
    sizes: &[u64],
) -> (usize, Vec<String>, Standing) {
    let taking = allowance.take(sizes, buckets);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (taken, standing) = runtime.block_on(taking).unwrap();
    let violated = taken.short.map_or_else(Vec::new, |short| {
        assert!(short.wait_ms > 0);
        short.violated.into_iter().map(|(name, _)| name).collect()
    });
    (taken.events, violated, standing)
}

#[test]
fn the_part_that_fits_is_taken_and_the_rest_is_put_back() {
    let of_key = Quotas { requests: quota(3), ..Quotas::default() };
    let of_tenant = Quotas { events: quota(10), bytes: quota(100), ..Quotas::default() };
    let (allowance, buckets) = (allowance(of_key, of_tenant), LocalBuckets::default());
    let (events, violated, _) = take(&allowance, &buckets, &[10; 6]);
    assert_eq!((events, violated), (6, vec![]));
    // Four events are left, and 40 bytes: of these sizes three fit.
    let (events, violated, standing) = take(&allowance, &buckets, &[15, 15, 10, 10, 5]);
    assert_eq!(events, 3);
    assert_eq!(violated, ["tenant-events", "tenant-bytes"]);
    let mut headers = HeaderMap::new();
    standing.write(&mut headers);
    let text = |name: &str| headers.get(name).unwrap().to_str().unwrap();
    assert!(text("ratelimit").starts_with("\"key-requests\";r=1;t="), "{headers:?}");
    assert!(text("ratelimit").contains(", \"tenant-events\";r=1;t="), "{headers:?}");
    assert!(text("ratelimit").contains(", \"tenant-bytes\";r=0;t="), "{headers:?}");
    assert_eq!(
        text("ratelimit-policy"),
        "\"key-requests\";q=3;w=3600, \"tenant-events\";q=10;qu=\"events\";w=3600, \
         \"tenant-bytes\";q=100;qu=\"content-bytes\";w=3600"
    );
    assert_eq!((text("x-ratelimit-limit"), text("x-ratelimit-remaining")), ("100", "0"));
    // One event is left, and no byte: nothing is sent, and the request is not counted.
    let (events, violated, _) = take(&allowance, &buckets, &[1, 1]);
    assert_eq!((events, violated.len()), (0, 2));
    let (events, _, _) = take(&allowance, &buckets, &[0]);
    assert_eq!(events, 1, "the third request");
    let (events, violated, _) = take(&allowance, &buckets, &[]);
    assert_eq!((events, violated), (0, vec!["key-requests".to_owned()]));
}

#[test]
fn nothing_of_a_batch_where_the_tenant_has_it_so() {
    let of_tenant = Quotas { events: quota(10), over: Over::Nothing, ..Quotas::default() };
    let (allowance, buckets) = (allowance(Quotas::default(), of_tenant), LocalBuckets::default());
    assert_eq!(take(&allowance, &buckets, &[1; 8]).0, 8);
    let (events, violated, _) = take(&allowance, &buckets, &[1; 3]);
    assert_eq!((events, violated), (0, vec!["tenant-events".to_owned()]));
    assert_eq!(take(&allowance, &buckets, &[1; 2]).0, 2, "nothing was taken for it");
}

#[test]
fn a_key_and_its_tenant_are_counted_apart() {
    let of = |limit| Quotas { events: quota(limit), ..Quotas::default() };
    let buckets = LocalBuckets::default();
    let mut first = allowance(of(5), of(8));
    assert_eq!(take(&first, &buckets, &[1; 6]).1, ["key-events"]);
    first.key = Some(("k2".into(), of(5)));
    assert_eq!(take(&first, &buckets, &[1; 4]).1, ["tenant-events"]);
    // Without quotas there is nothing to tell.
    let free = allowance(Quotas::default(), Quotas::default());
    let (events, _, standing) = take(&free, &buckets, &[1; 100]);
    let mut headers = HeaderMap::new();
    standing.write(&mut headers);
    assert_eq!((events, headers.len()), (100, 0));
}
