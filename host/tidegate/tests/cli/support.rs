//! Runs the binary in a folder of its own.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A data folder of a gateway at `address`, both for events and for administration.
pub(crate) fn data_dir(address: SocketAddr) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let addresses = format!(r#"{{"ingress":"{address}","admin":"{address}"}}"#);
    std::fs::write(folder.path().join("addresses.json"), addresses).unwrap();
    std::fs::write(folder.path().join("admin-token"), "the-token\n").unwrap();
    std::fs::write(folder.path().join("api-key"), "tg_live_key\n").unwrap();
    folder
}

/// The binary without anything of the surrounding environment that could steer it.
pub(crate) fn tidegate(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments).current_dir(folder).env("TIDEGATE_DATA_DIR", folder);
    command.env_remove("TIDEGATE_ADMIN_URL");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn run(folder: &Path, arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = tidegate(folder, arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A run that fails early does not read its input.
    stdin.write_all(input).ok();
    drop(stdin);
    ran(child.wait_with_output().unwrap())
}

pub(crate) fn ran(output: std::process::Output) -> Ran {
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn write(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let file = folder.path().join(name);
    std::fs::write(&file, content).unwrap();
    file
}
