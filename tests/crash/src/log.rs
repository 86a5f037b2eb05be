//! What a gateway may say in its log: nothing that would call an operator, but for what the test
//! has done to it.

/// Fails where the log has a warning or an error that holds none of the expected texts.
pub fn assert_quiet(log: &str, expected: &[&str]) {
    // A panic is told without the log; those of rules are lines of the log that quote them.
    let loud = |line: &&str| {
        line.contains(" WARN ") || line.contains(" ERROR ") || line.starts_with("thread '")
    };
    let unexpected: Vec<_> = log
        .lines()
        .filter(loud)
        .filter(|line| !expected.iter().any(|text| line.contains(text)))
        .take(20)
        .collect();
    assert!(unexpected.is_empty(), "unexpected lines in the log:\n{}", unexpected.join("\n"));
}
