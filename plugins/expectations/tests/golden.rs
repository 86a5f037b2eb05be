//! The golden cases of this rule, natively.

#[test]
fn golden_cases() {
    tidegate_sdk::testing::run_cases::<tidegate_rule_expectations::Expectations>("cases");
}
