//! The child that compiles: reads a component from standard input, writes code to standard output,
//! and an error for people to standard error. It bounds itself before it reads a byte.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Stack of the compiling thread: hostile functions can make the compiler recurse.
const STACK_BYTES: usize = 64 << 20;

/// Runs as the child. `arguments` are address space in bytes, CPU seconds, and the bound on input
/// in bytes.
#[must_use]
pub fn main(arguments: &[String]) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // The parent reads one line; there is nobody to tell where that fails.
            drop(writeln!(io::stderr(), "{message}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    let number = |at: usize| -> Result<u64, String> {
        let text = arguments.get(at).ok_or("the compiler needs three arguments")?;
        text.parse().map_err(|_| format!("`{text}` is no number"))
    };
    let (memory, cpu, input) = (number(0)?, number(1)?, number(2)?);
    for (resource, limit) in [
        (Resource::As, memory),
        (Resource::Cpu, cpu),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nofile, 16),
    ] {
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        setrlimit(resource, limit).map_err(|error| format!("a limit cannot be set: {error}"))?;
    }
    rustix::process::nice(19)
        .map_err(|error| format!("the priority cannot be lowered: {error}"))?;
    let mut bytes = Vec::new();
    io::stdin().lock().take(input).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let code = std::thread::Builder::new()
        .name("compile".into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let engine = crate::engine::compiling().map_err(|error| format!("{error:#}"))?;
            engine.precompile_component(&bytes).map_err(|error| format!("{error:#}"))
        })
        .map_err(|error| error.to_string())?
        .join()
        .map_err(|_| "the compiler panicked".to_owned())??;
    let mut out = io::stdout().lock();
    out.write_all(&code).and_then(|()| out.flush()).map_err(|error| error.to_string())
}
