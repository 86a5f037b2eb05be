//! The binary `tidegate`: the gateway itself, and the command line that administers it and posts
//! events to it.

use std::process::ExitCode;

use clap::Parser as _;

mod cli;
mod client;
mod commands;
mod output;
mod serve;

/// Events are many small allocations on every core, which the C library's allocator serves slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
