//! Runs a test command, passes its output on as it comes, and sums the summary lines of its test
//! binaries.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::shell::Failure;

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// Adds a line of the test runner where it is the summary of one binary, or one of the counts that
    /// other languages' runners end with (`# pass 7`, as Node does in the Test Anything Protocol).
    fn add(&mut self, line: &str) {
        let counted = |label: &str| line.strip_prefix(label)?.parse::<u64>().ok();
        self.passed += counted("# pass ").unwrap_or(0);
        self.failed += counted("# fail ").or_else(|| counted("# cancelled ")).unwrap_or(0);
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        let count = |label: &str| -> u64 {
            let mut parts = counts.split(['.', ';']);
            let found = parts.find_map(|part| part.trim().strip_suffix(label)?.trim().parse().ok());
            found.unwrap_or(0)
        };
        self.passed += count("passed");
        self.failed += count("failed");
    }
}

/// Runs a test command to its end and passes its output on to `out`. The answer is the sum, and
/// whether the command ended well.
///
/// # Errors
/// Where it cannot be started, or its output cannot be passed on.
pub(crate) fn run(command: &mut Command, out: &mut impl Write) -> Result<(Tally, bool), Failure> {
    let broken = |error: std::io::Error| Failure::message(format!("running the tests: {error}"));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(broken)?;
    let output = child.stdout.take().expect("the output was asked for as a pipe");
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let mut line = line.map_err(broken)?;
        tally.add(&String::from_utf8_lossy(&line));
        line.push(b'\n');
        out.write_all(&line).map_err(broken)?;
    }
    let status = child.wait().map_err(broken)?;
    Ok((tally, status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_lines_are_summed_and_others_are_not() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test names_are_checked ... ok",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.50s",
            "said: test result: ok. 7 passed; 7 failed",
            "test result: ok. 0 passed; 0 failed; 0 ignored",
            "# pass 4",
            "# fail 1",
            "# cancelled 2",
            "# skipped 9",
            "# Subtest: # pass 5",
            "# pass words",
        ] {
            tally.add(line);
        }
        assert_eq!(tally, Tally { passed: 19, failed: 5 });
    }

    #[test]
    fn the_end_of_the_command_is_told_apart_from_the_sum() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'test result: ok. 2 passed; 0 failed'; exit 101"]);
        let mut out = Vec::new();
        let result = run(&mut command, &mut out).unwrap();
        assert_eq!(result, (Tally { passed: 2, failed: 0 }, false));
        assert_eq!(out, b"test result: ok. 2 passed; 0 failed\n");
    }
}
