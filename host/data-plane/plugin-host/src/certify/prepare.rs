//! The first two steps: looking at the bytes, and compiling them.

use bytes::Bytes;
use serde_json::json;

use super::report::{Place, Step, Trouble};
use crate::compile::scan::{self, Examined, Spot};
use crate::compile::{ChildError, CompileError, Compiled, ScanError};
use crate::engine::Purpose;
use crate::host::PluginHost;

/// Looks at the bytes.
pub(super) fn scan(bytes: &[u8], most: usize) -> (Step, Option<Examined>) {
    let mut step = Step::default();
    let mut seen = scan::examine(bytes, most);
    step.fact("bytes", bytes.len());
    step.fact("functions", seen.functions);
    step.fact("largest_function_bytes", seen.largest_function);
    step.fact("nesting", seen.nesting);
    step.fact("imports", seen.imports.iter().map(|import| json!(import.0)).collect::<Vec<_>>());
    step.fact("exports", seen.exports.clone());
    for (problem, Spot { byte, function, import }) in std::mem::take(&mut seen.problems) {
        let place = Place { byte, function, import, ..Place::default() };
        step.problem(problem.to_string(), place, mend(&problem));
    }
    match tidegate_golden::read(bytes) {
        Ok(cases) => step.fact("golden_cases", cases.map_or(0, |cases| cases.len())),
        // Whatever else is wrong with such bytes has been told.
        Err(_) if step.failed() => {}
        Err(error) => {
            let place = match &error {
                tidegate_golden::GoldenError::Case { file, error } => {
                    Place { case: Some(file.clone()), line: Some(error.line), ..Place::default() }
                }
                _ => Place::default(),
            };
            let mend = "pack the cases again: `tidegate plugin pack COMPONENT --cases FOLDER`";
            step.problem(error.to_string(), place, mend);
        }
    }
    step.with(seen)
}

fn mend(problem: &ScanError) -> &'static str {
    match problem {
        ScanError::TooLarge { .. } => {
            "build it for size (opt-level \"s\", lto, strip), and move large data into a reference table"
        }
        ScanError::NotWasm(_) => "send the bytes of a component as its toolchain wrote them",
        ScanError::CoreModule => {
            "build it for wasm32-wasip2, or wrap it with `wasm-tools component new`"
        }
        ScanError::Invalid(_) => "build it again, and check it with `wasm-tools validate`",
        ScanError::LargeFunction { .. } => {
            "split the function, or let the compiler inline less; tables of data belong in a reference table"
        }
        ScanError::ManyFunctions => "leave out what the rule does not call, and build with lto",
        ScanError::Nested => {
            "put fewer components into one another; a flat composition serves as well"
        }
        ScanError::Import(_) => {
            "leave out what imports it: a rule has no files, network, clock or threads"
        }
    }
}

/// Compiles the bytes.
///
/// # Errors
/// Where the compiler could not do its work.
pub(super) async fn compile(
    host: &PluginHost,
    bytes: &Bytes,
) -> Result<(Step, Option<Compiled>), Trouble> {
    let mut step = Step::default();
    let tried = host.compiler.compile(&host.engine, Purpose::Run, bytes.clone()).await;
    let Some(compiled) = blame(tried, &mut step)? else { return Ok((step, None)) };
    step.fact("compile_ms", millis(compiled.compile_time));
    step.fact("code_bytes", compiled.code_bytes);
    if compiled.compile_time.is_zero() {
        step.note("the code was there already: these bytes have been compiled before");
    }
    Ok(step.with(compiled))
}

/// Compiled code; or a problem, where the component is to blame.
///
/// # Errors
/// Where the host is.
pub(super) fn blame(
    tried: Result<Compiled, CompileError>,
    step: &mut Step,
) -> Result<Option<Compiled>, Trouble> {
    let smaller = "make it smaller: fewer and shorter functions, less inlining, fewer dependencies";
    let (detail, mend) = match tried {
        Ok(compiled) => return Ok(Some(compiled)),
        Err(error @ CompileError::Child(ChildError::Refused(_))) => {
            (error.to_string(), "build it again, and check it with `wasm-tools validate`")
        }
        Err(error @ CompileError::Child(ChildError::Ended(_) | ChildError::LargeCode(_))) => {
            (error.to_string(), smaller)
        }
        Err(error @ CompileError::Unfit(_)) => {
            (error.to_string(), "declare smaller memories and tables, and fewer of them")
        }
        Err(error @ (CompileError::Scan(_) | CompileError::Link(_))) => {
            (error.to_string(), "build it again for this contract")
        }
        // The child is bounded in CPU time: one that takes so long was kept waiting.
        Err(
            error @ (CompileError::Child(ChildError::Timeout(_) | ChildError::Unavailable(_))
            | CompileError::Cache(_)
            | CompileError::Digest { .. }),
        ) => return Err(Trouble(error.to_string())),
    };
    let (byte, function) = spot(&detail);
    step.problem(detail, Place { byte, function, ..Place::default() }, mend);
    Ok(None)
}

pub(super) fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The offset and the function that a message of the compiler names: `function[3]: … at offset 36`,
/// or `(at offset 0x24)`.
fn spot(message: &str) -> (Option<usize>, Option<u32>) {
    let after = |word: &str| message.split_once(word).map(|(_, rest)| rest);
    let digits = |text: &str, radix| {
        let end = text.find(|c: char| !c.is_digit(radix)).unwrap_or(text.len());
        text.get(..end).unwrap_or_default().to_owned()
    };
    let byte = after("at offset ").and_then(|rest| match rest.strip_prefix("0x") {
        Some(hex) => usize::from_str_radix(&digits(hex, 16), 16).ok(),
        None => digits(rest, 10).parse().ok(),
    });
    (byte, after("function[").and_then(|rest| digits(rest, 10).parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_place_is_found() {
        for (message, found) in [
            ("type mismatch (at offset 0x2a)", (Some(42), None)),
            ("wasm[0]::function[7]: invalid code at offset 36: wrong", (Some(36), Some(7))),
            ("function[]: at offset x", (None, None)),
            ("", (None, None)),
        ] {
            assert_eq!(spot(message), found, "{message}");
        }
    }
}
