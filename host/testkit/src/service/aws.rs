//! Servers that speak as AWS does, each a process of its own on a free port, without anything at the start
//! and with nothing kept at the end. A shell beside it stops it as soon as this process is gone.
//!
//! | server | has | refuses |
//! |---|---|---|
//! | moto | Kinesis, CloudWatch | 501 records, more than 5 MiB in a call, data over 1 MiB |
//! | kinesalite | Kinesis | 501 records, data over 1 MiB |
//! | kinesis-local | Kinesis | data over 1 MiB, entry by entry |
//!
//! moto may lose records of calls that come at the same time. None of them ever throttles, or fails some
//! entries of a call: [`super::kinesis_fake`] does.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::keeper::{Keeper, SERVER};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs, or did.
#[derive(Debug)]
pub struct AwsServer {
    folder: PathBuf,
    port: u16,
    keeper: Keeper,
}

impl AwsServer {
    /// moto, from the folder of Python's programs.
    #[must_use]
    pub fn moto() -> Self {
        Self::start_with(|port, _| {
            let mut server = Command::new(python_programs().join("moto_server"));
            server.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            server
        })
    }

    /// kinesalite: streams are there as soon as they are asked for.
    #[must_use]
    pub fn kinesalite() -> Self {
        Self::start_with(|port, _| {
            let mut server = Command::new("node");
            server.arg(node_modules().join("kinesalite/cli.js"));
            server.args(["--port", &port.to_string()]);
            server.args(["--createStreamMs", "1", "--deleteStreamMs", "1"]);
            server
        })
    }

    /// kinesis-local, which looks for what it needs in the folder that it is started in.
    #[must_use]
    pub fn kinesis_local() -> Self {
        Self::start_with(|port, other_port| {
            let mut server = Command::new("sh");
            server.args(["-c", "cd \"$0\" && exec env \"$@\" node main.js"]);
            server.arg(node_modules().join("kinesis-local"));
            server.arg(format!("KINESIS_MOCK_PLAIN_PORT={port}"));
            server.arg(format!("KINESIS_MOCK_TLS_PORT={other_port}"));
            server.args(["CREATE_STREAM_DURATION=1ms", "SHARD_COUNT_LIMIT=50"]);
            server
        })
    }

    fn start_with(command: impl FnOnce(u16, u16) -> Command) -> Self {
        let folder = tempfile::Builder::new().prefix("aws-").tempdir();
        let folder = folder.expect("a temporary folder").keep();
        // Both are free at the same time, so they are two.
        let free = [free_port(), free_port()];
        let [port, other] = [&free[0], &free[1]]
            .map(|listener| listener.local_addr().expect("a listener has an address").port());
        drop(free);
        let keeper = Keeper::start(SERVER, &folder, &command(port, other));
        let server = Self { folder, port, keeper };
        server.restart();
        server
    }

    /// Starts it again after [`Self::kill`], on the same port, with nothing in it.
    pub fn restart(&self) {
        self.keeper.tell("start");
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the server does not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it at once: connections are cut, new ones are refused.
    pub fn kill(&self) {
        self.keeper.tell("kill");
    }

    /// The URL of its API.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

/// The folder of Python's programs, moto among them, that the set-up of the tests has installed.
///
/// # Panics
/// Where it is not there.
#[must_use]
pub fn python_programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("TIDEGATE_TEST_PYTHON") {
        return folder.into();
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let folders = cache.and_then(|cache| std::fs::read_dir(cache.join("tidegate/python")).ok());
    let mut folders = folders.into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    folders.find(|folder| folder.join("moto_server").is_file()).expect(
        "no moto to test with: `cargo xtask test` installs it with pip, once, into the user's cache folder",
    )
}

/// The packages that the set-up of the tests has installed.
fn node_modules() -> PathBuf {
    let is_it = |folder: &Path| folder.join("kinesalite/cli.js").is_file();
    let test = std::env::current_exe().expect("a test has a path");
    let mut folders = test.ancestors().map(|folder| folder.join("tools/kinesis/node_modules"));
    folders.find(|folder| is_it(folder)).expect(
        "no Kinesis servers to test with: `cargo xtask test` installs them with npm, once, into the build folder",
    )
}
