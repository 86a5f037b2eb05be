//! `cargo xtask`: the one way to do everything that a person does more than once. It must compile
//! in seconds, so it has next to no dependencies.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks by printing")]

mod arguments;
mod bench;
mod checks;
mod plugins;
mod quickstart;
mod services;
mod setup;
mod shell;

use std::process::ExitCode;

use shell::Failure;

/// One command of the command line.
struct Command {
    name: &'static str,
    summary: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<(), Failure>,
}

const COMMANDS: [Command; 7] = [
    Command {
        name: "quickstart",
        summary: "build the gateway and watch it take a month of real events",
        help: quickstart::HELP,
        run: quickstart::run,
    },
    Command {
        name: "test",
        summary: "everything that must hold before a change lands",
        help: checks::TEST_HELP,
        run: checks::test,
    },
    Command {
        name: "ci",
        summary: "`test`, and what the dependencies may be (cargo-deny)",
        help: checks::CI_HELP,
        run: checks::ci,
    },
    Command {
        name: "tidy",
        summary: "the rules of the repository alone: layout, lengths, dependencies, words",
        help: checks::TIDY_HELP,
        run: checks::tidy,
    },
    Command {
        name: "bench",
        summary: "measure the gateway against a bare server, in one run",
        help: bench::HELP,
        run: bench::run,
    },
    Command {
        name: "services",
        summary: "start PostgreSQL, Redis, Kafka, servers of AWS, … to try things with, or for a command",
        help: services::HELP,
        run: services::run,
    },
    Command {
        name: "plugins",
        summary: "build the first-party rule components and list them",
        help: plugins::HELP,
        run: plugins::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        eprint!("{}", overview());
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "--help" | "-h" | "help") {
        print!("{}", overview());
        return ExitCode::SUCCESS;
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprint!("xtask: there is no command `{name}`\n\n{}", overview());
        return ExitCode::from(2);
    };
    // What stands behind `--` is for another program.
    let mut ours = rest.iter().take_while(|argument| *argument != "--");
    if ours.any(|argument| matches!(argument.as_str(), "--help" | "-h")) {
        print!("{}", command.help);
        return ExitCode::SUCCESS;
    }
    match (command.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprint!("xtask {name}: {message}\n\n{}", command.help);
            ExitCode::from(2)
        }
        // The child has said what is wrong, and a test run's last line is its sum.
        Err(Failure::Reported) => ExitCode::FAILURE,
        Err(Failure::Ended(status)) => ExitCode::from(status),
        Err(Failure::Message(message)) => {
            eprintln!("xtask {name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn overview() -> String {
    let mut out = String::from("Usage: cargo xtask COMMAND [OPTIONS]\n\nCommands:\n");
    for command in &COMMANDS {
        out.push_str(&format!("  {:<11} {}\n", command.name, command.summary));
    }
    out.push_str("\n`cargo xtask COMMAND --help` tells what a command does and needs.\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_listed_and_has_help() {
        for command in &COMMANDS {
            let usage = format!("Usage: cargo xtask {}", command.name);
            assert!(command.help.starts_with(&usage), "{}", command.name);
            assert!(command.help.ends_with('\n'), "{}", command.name);
            assert!(overview().contains(command.summary), "{}", command.name);
        }
    }
}
