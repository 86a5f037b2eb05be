//! What a guest returns is checked: each way to spoil an outcome is a fault with a reason.

use serde_json::json;

use crate::support::{check_contained, events, host, judge, limits, plan};

/// Modes of a component that only finds, and why each is a fault.
const FINDINGS: [(&str, u64, &str); 22] = [
    ("row-short", 0, "the lists of its findings differ in length"),
    ("row-long", 0, "the lists of its findings differ in length"),
    ("code-short", 0, "the lists of its findings differ in length"),
    ("severity-short", 0, "the lists of its findings differ in length"),
    ("field-short", 0, "the lists of its findings differ in length"),
    ("detail-end-short", 0, "the lists of its findings differ in length"),
    ("row-range", 0, "a finding is about row 4294967295 of 1"),
    ("code-range", 0, "code 2 is not in the manifest"),
    ("severity-range", 0, "there is no severity 4"),
    ("field-range", 0, "field 4 is not in the manifest's reads"),
    ("ends-backwards", 0, "an end in its details is out of order"),
    ("ends-beyond", 0, "an end in its details is out of order"),
    ("details-left", 0, "its details are longer than their ends say"),
    ("detail-not-utf8", 0, "a detail is not UTF-8"),
    ("detail-split-char", 0, "a detail is not UTF-8"),
    ("detail-long", 0, "a detail has 1025 bytes; at most 1024 are taken"),
    ("findings-many", 64, "row 0 has more than 64 findings"),
    ("findings-many", 1_000_000, ""),
    ("output", 5 << 20, "it returned more than 4194304 bytes"),
    ("output", 9 << 20, ""),
    ("output", 100_000_000, "the guest wanted more memory than it may have"),
    ("patch-uninvited", 0, "only an enricher may patch"),
];

/// Modes of an enricher.
const PATCHES: [(&str, &str); 16] = [
    ("patch-row-short", "the lists of its patches differ in length"),
    ("patch-op-short", "the lists of its patches differ in length"),
    ("patch-field-short", "the lists of its patches differ in length"),
    ("patch-end-short", "the lists of its patches differ in length"),
    ("patch-row-range", "a patch is about row 4294967295 of 1"),
    ("patch-op-range", "there is no operation 2"),
    ("patch-field-range", "field 1 is not in the manifest's writes"),
    ("patch-ends-beyond", "an end in its values is out of order"),
    ("patch-values-left", "its values are longer than their ends say"),
    ("patch-removal-with-value", "a removal has a value"),
    ("patch-no-json", "the value for `/patched` is not JSON"),
    ("patch-two-values", "the value for `/patched` is not JSON"),
    ("patch-nothing", "the value for `/patched` is not JSON"),
    ("patch-breaks-out", "the value for `/patched` is not JSON"),
    ("patch-not-utf8", "the value for `/patched` is not JSON"),
    ("patch-deep", "the value for `/patched` is not JSON"),
];

#[tokio::test]
async fn spoiled_findings_are_faults() {
    let host = host(limits());
    for (mode, amount, why) in FINDINGS {
        check_contained(&host, &json!({ "mode": mode, "amount": amount }), why).await;
    }
}

#[tokio::test]
async fn spoiled_patches_are_faults() {
    let host = host(limits());
    for (mode, why) in PATCHES {
        check_contained(&host, &json!({ "mode": mode, "enricher": true }), why).await;
    }
    check_contained(
        &host,
        &json!({ "mode": "patch-duplicate-names", "enricher": true }),
        "not JSON",
    )
    .await;
}

/// A patch is small on its way and large where it is kept: the pointer is written out.
#[tokio::test]
async fn patches_are_bounded_as_they_are_kept() {
    let host = host(limits());
    let write = format!("/{}", "x".repeat(1000));
    let config =
        json!({ "mode": "patch-flood", "amount": 300_000, "enricher": true, "write": write });
    check_contained(&host, &config, "it returned more than 4194304 bytes").await;
}

/// The rows beside a poisoned one keep their patches, and it has none.
#[tokio::test]
async fn patches_of_the_others_are_kept() {
    let host = host(limits());
    let plan = plan(&host, &json!({ "mode": "patch-no-json", "enricher": true })).await;
    let judgements = judge(&plan, &events(7, &[3])).await;
    for (at, judgement) in judgements.iter().enumerate() {
        let patches: Vec<_> =
            tidegate_event::patch::decode(&judgement.patches).map(Result::unwrap).collect();
        let values: Vec<_> =
            patches.iter().map(|patch| (patch.pointer, patch.value.to_vec())).collect();
        let expected =
            if at == 3 { vec![] } else { vec![("/patched", at.to_string().into_bytes())] };
        assert_eq!(values, expected);
    }
}
