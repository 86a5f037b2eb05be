//! A real Redis on a free port of the loopback address, in a temporary folder. A shell beside it
//! stops it and takes the folder away as soon as this process is gone, however it ended.

pub mod wire;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::keeper::{Keeper, SERVER};

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The password, so that it can be looked for where it should not be.
const PASSWORD: &str = "s3cr3t-foam";

/// A server that runs.
#[derive(Debug)]
pub struct Redis {
    folder: PathBuf,
    port: u16,
    keeper: Keeper,
}

/// The server that all tests of one test program share.
pub fn shared() -> &'static Redis {
    static SHARED: LazyLock<Redis> = LazyLock::new(Redis::start);
    &SHARED
}

impl Redis {
    /// Starts a server that keeps every write on its disk before it answers.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with settings as in `redis.conf`.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("redis-").tempdir();
        let folder = folder.expect("a temporary folder").keep();
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let mut server = Command::new("redis-server");
        server.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
        server.arg("--dir").arg(&folder).args(["--requirepass", PASSWORD]);
        server.args(["--appendonly", "yes", "--appendfsync", "always"]);
        server.args(["--maxmemory-policy", "noeviction"]);
        for (name, value) in settings {
            server.arg(format!("--{name}")).arg(value);
        }
        let keeper = Keeper::start(SERVER, &folder, &server);
        let redis = Self { folder, port, keeper };
        redis.restart();
        redis
    }

    /// Starts the server again after [`Self::kill`], with what it has on its disk.
    pub fn restart(&self) {
        self.keeper.tell("start");
        let deadline = Instant::now() + PATIENCE;
        while self.try_command(&["PING"]).as_deref() != Some("PONG") {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(
                Instant::now() < deadline,
                "redis-server does not start (apt-get install redis-server): {log}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the server at once: connections are cut, new ones are refused.
    pub fn kill(&self) {
        self.keeper.tell("kill");
    }

    /// The server stands still: connections stay, and nothing is answered.
    pub fn freeze(&self) {
        self.keeper.tell("freeze");
    }

    /// It goes on.
    pub fn thaw(&self) {
        self.keeper.tell("thaw");
    }

    /// The URL, with the password.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_by(self.port)
    }

    /// The URL where another port leads to the server.
    #[must_use]
    pub fn url_by(&self, port: u16) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{port}/0")
    }

    /// `HOST:PORT`
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What the password is, for those who look for it where it should not be.
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Runs a command; answers its reply as text, lists as lines.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> String {
        self.try_command(words).expect("Redis answers")
    }

    /// Changes a setting while the server runs.
    pub fn set(&self, name: &str, value: &str) {
        assert_eq!(self.command(&["CONFIG", "SET", name, value]), "OK", "{name} {value}");
    }

    fn try_command(&self, words: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect(self.address()).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(&encode(&["AUTH", PASSWORD])).ok()?;
        stream.write_all(&encode(words)).ok()?;
        let mut stream = BufReader::new(stream);
        read_reply(&mut stream)?;
        read_reply(&mut stream)
    }
}

fn encode(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    out.into_bytes()
}

fn read_reply(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1)?;
    match kind {
        "$" => {
            let Ok(length) = rest.parse::<usize>() else { return Some(String::new()) };
            let mut bytes = vec![0; length + 2];
            stream.read_exact(&mut bytes).ok()?;
            bytes.truncate(length);
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        "*" => {
            let replies = (0..rest.parse::<usize>().unwrap_or(0)).map(|_| read_reply(stream));
            Some(replies.collect::<Option<Vec<_>>>()?.join("\n"))
        }
        _ => Some(rest.to_owned()),
    }
}
