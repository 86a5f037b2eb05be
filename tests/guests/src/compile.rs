//! The child that compiles components for the tests, and children that fail at it.

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (how, limits) =
        arguments.split_first().map_or(("", &[][..]), |(how, limits)| (how.as_str(), limits));
    match how {
        "compile" => tidegate_plugin_host::compile::child::main(limits),
        "abort" => std::process::abort(),
        "silent" => ExitCode::FAILURE,
        "panic" => panic!("as a bug of the compiler would"),
        "hang" => loop {
            std::thread::park();
        },
        "flood" => {
            let block = [0; 64 << 10];
            // Ends when nobody reads any more.
            while std::io::stdout().lock().write_all(&block).is_ok() {}
            ExitCode::SUCCESS
        }
        "garbage" => {
            drop(std::io::stdout().lock().write_all(b"this is no code"));
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}
