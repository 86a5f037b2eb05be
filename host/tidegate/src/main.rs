//! The binary `tidegate`: the gateway itself, and the command line that administers it and posts
//! events to it.

use std::process::ExitCode;

use clap::Parser as _;

mod cli;
mod client;
mod commands;
mod output;
mod serve;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    match commands::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}
