//! The child that compiles: reads a component from standard input, writes code to standard output,
//! and an error for people to standard error. It bounds itself before it reads a byte, and does not
//! outlive the gateway that started it, however that ended.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::engine::Purpose;

/// Stack of the compiling thread: hostile functions can make the compiler recurse.
const STACK_BYTES: usize = 64 << 20;

/// Stack of the thread that waits for the end of the gateway.
const WATCH_STACK_BYTES: usize = 64 << 10;

/// Runs as the child. `arguments` are address space in bytes, CPU seconds, the bound on input in
/// bytes, and what the code is for.
#[must_use]
pub fn main(arguments: &[String]) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            // The parent reads one line; there is nobody to tell where that fails.
            drop(writeln!(io::stderr(), "{message}"));
            ExitCode::from(code)
        }
    }
}

/// The exit code of a child that the component made fail.
pub(super) const REFUSED: u8 = 1;
/// The exit code of a child that could not do its work, whatever the component.
pub(super) const UNABLE: u8 = 3;

fn run(arguments: &[String]) -> Result<(), (u8, String)> {
    let unable = |message: String| (UNABLE, message);
    let Bounds { input, purpose } = prepare(arguments).map_err(unable)?;
    end_with_gateway().map_err(|error| unable(error.to_string()))?;
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(input).read_to_end(&mut bytes);
    read.map_err(|error| unable(error.to_string()))?;
    let code = std::thread::Builder::new()
        .name("compile".into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let engine = crate::engine::without_pool(purpose);
            let engine = engine.map_err(|error| format!("{error:#}"))?;
            engine.precompile_component(&bytes).map_err(|error| format!("{error:#}"))
        })
        .map_err(|error| unable(error.to_string()))?
        .join()
        // Not a refusal: the process ends as a panic ends it.
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        .map_err(|message| (REFUSED, message))?;
    let mut out = io::stdout().lock();
    out.write_all(&code).and_then(|()| out.flush()).map_err(|error| unable(error.to_string()))
}

/// Ends this process as soon as nobody can read its output any more: a gateway that was killed could
/// not tell it to.
fn end_with_gateway() -> io::Result<()> {
    let watch = || {
        let output = io::stdout();
        loop {
            // That its other end is closed is told without being asked for.
            let mut pipe = [PollFd::new(&output, PollFlags::empty())];
            match poll(&mut pipe, None) {
                Ok(_) => std::process::exit(i32::from(UNABLE)),
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    };
    let thread = std::thread::Builder::new().name("gateway-watch".into());
    thread.stack_size(WATCH_STACK_BYTES).spawn(watch).map(drop)
}

struct Bounds {
    /// Bytes of the component.
    input: u64,
    purpose: Purpose,
}

/// Bounds this process.
fn prepare(arguments: &[String]) -> Result<Bounds, String> {
    let number = |at: usize| -> Result<u64, String> {
        let text = arguments.get(at).ok_or("the compiler needs four arguments")?;
        text.parse().map_err(|_| format!("`{text}` is no number"))
    };
    let (memory, cpu, input) = (number(0)?, number(1)?, number(2)?);
    let purpose = arguments.get(3).and_then(|text| Purpose::from_argument(text));
    let purpose = purpose.ok_or("the compiler is not told what the code is for")?;
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
    Ok(Bounds { input, purpose })
}
