//! The parent's side of the compiling child.

use std::process::Stdio;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::CompileOptions;
use crate::engine::Purpose;

/// Bytes of the child's error message that are kept.
const MESSAGE_BYTES: u64 = 2048;
/// Compiled code may be this many times as large as the component, and a fixed part more.
const GROWTH: u64 = 16;
const GROWTH_BASE: u64 = 4 << 20;

/// Why the child did not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChildError {
    #[error("the component cannot be compiled: {0}")]
    Refused(String),
    #[error("compiling the component took longer than {0} seconds")]
    Timeout(u64),
    #[error(
        "compiling the component took more memory or time than it may, or crashed the compiler ({0})"
    )]
    Ended(String),
    #[error("the compiled code is larger than {0} bytes")]
    LargeCode(u64),
    /// Not the component's fault.
    #[error("the compiler cannot be run: {0}")]
    Unavailable(String),
}

pub(super) async fn run(
    options: &CompileOptions,
    component: Bytes,
    purpose: Purpose,
) -> Result<Vec<u8>, ChildError> {
    let unavailable = |error: std::io::Error| ChildError::Unavailable(error.to_string());
    let (program, arguments) = options
        .command
        .split_first()
        .ok_or_else(|| ChildError::Unavailable("no program is named".into()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .args(
            [options.memory_bytes, options.cpu_seconds, component.len() as u64]
                .map(|n| n.to_string()),
        )
        .arg(purpose.argument())
        .env_clear()
        // glibc would set 64 MiB of the address space aside for each thread, and one thread compiles.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(unavailable)?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(ChildError::Unavailable("the child has no pipes".into()));
    };
    let limit = component.len() as u64 * GROWTH + GROWTH_BASE;
    let feed = async move {
        // A child that ends early closes its input; its exit status tells why.
        drop(stdin.write_all(&component).await);
        drop(stdin);
    };
    let (mut code, mut message) = (Vec::new(), Vec::new());
    let work = async {
        let ((), code_read, message_read) = tokio::join!(
            feed,
            read(stdout, limit + 1, &mut code),
            read(stderr, MESSAGE_BYTES, &mut message)
        );
        code_read.and(message_read)?;
        if code.len() as u64 > limit { Ok(None) } else { child.wait().await.map(Some) }
    };
    let status = match tokio::time::timeout(options.wall, work).await {
        Err(_) => return Err(ChildError::Timeout(options.wall.as_secs())),
        Ok(result) => result.map_err(unavailable)?.ok_or(ChildError::LargeCode(limit))?,
    };
    let text = |message: &[u8]| String::from_utf8_lossy(message).trim_end().to_owned();
    match (status.success(), status.code()) {
        (true, _) => Ok(code),
        (false, Some(code)) if !message.is_empty() && code == i32::from(super::child::UNABLE) => {
            Err(ChildError::Unavailable(text(&message)))
        }
        (false, Some(code)) if !message.is_empty() && code == i32::from(super::child::REFUSED) => {
            Err(ChildError::Refused(text(&message)))
        }
        (false, _) => Err(ChildError::Ended(status.to_string())),
    }
}

/// Reads a pipe to its end, or as far as the limit; then closes it, so that a child that writes on
/// does not wait for a reader.
async fn read(pipe: impl AsyncRead + Unpin, limit: u64, out: &mut Vec<u8>) -> std::io::Result<()> {
    pipe.take(limit).read_to_end(out).await.map(drop)
}
