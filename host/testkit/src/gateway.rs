//! A real gateway: the built binary as a process of its own, on free ports, in a folder that goes
//! away with it. It is stopped when it is dropped, also when its test fails.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::http::{Connection, Response};
use crate::tls::Trust;

/// How long a gateway may take to become ready, or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway that runs.
#[derive(Debug)]
pub struct Gateway {
    folder: PathBuf,
    /// Where the folder is the gateway's own.
    _temporary: Option<TempDir>,
    settings: Vec<(String, String)>,
    /// Where both listeners speak TLS.
    trust: Option<Trust>,
    /// What a connection to the listener for events begins with.
    preface: &'static [u8],
    child: Option<Child>,
    /// `HOST:PORT` of the listener for events.
    pub ingress: String,
    /// `HOST:PORT` of the listener for administration.
    pub admin: String,
    /// `HOST:PORT` of the listener for metrics.
    pub metrics: String,
}

/// The binary that the build has made beside the tests.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TIDEGATE_BINARY") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test has a path");
    let found = test.ancestors().map(|folder| folder.join("tidegate")).find(|path| path.is_file());
    found.expect("build the gateway first: cargo build -p tidegate")
}

impl Gateway {
    /// Starts a gateway with the default configuration.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a gateway with settings as the environment names them, without the prefix:
    /// `("INGRESS__MAX_BODY_BYTES", "1KiB")`.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        Self::start_in_folder(temporary.path().to_owned(), Some(temporary), settings)
    }

    /// Starts a gateway whose settings have both listeners speak TLS.
    #[must_use]
    pub fn start_secured(settings: &[(&str, &str)], trust: Trust) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let mut gateway = Self::new(temporary.path().to_owned(), Some(temporary), settings);
        gateway.trust = Some(trust);
        gateway.launch();
        gateway.wait_ready();
        gateway
    }

    /// Starts a gateway whose listener for events is to be spoken to as a proxy does: with this first.
    #[must_use]
    pub fn start_proxied(settings: &[(&str, &str)], preface: &'static [u8]) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let mut gateway = Self::new(temporary.path().to_owned(), Some(temporary), settings);
        gateway.preface = preface;
        gateway.launch();
        gateway.wait_ready();
        gateway
    }

    /// Starts a gateway in a folder that the caller has made and takes away; its log is beside it.
    #[must_use]
    pub fn start_in(folder: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_in_folder(folder.to_owned(), None, settings)
    }

    /// Has a gateway start that must not; answers what it says while it ends.
    #[must_use]
    pub fn start_refused(settings: &[(&str, &str)]) -> String {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let mut gateway = Self::new(temporary.path().to_owned(), Some(temporary), settings);
        gateway.launch();
        assert!(!gateway.wait_end().success(), "it must not start: {}", gateway.log());
        gateway.log()
    }

    fn start_in_folder(
        folder: PathBuf,
        temporary: Option<TempDir>,
        settings: &[(&str, &str)],
    ) -> Self {
        let mut gateway = Self::new(folder, temporary, settings);
        gateway.launch();
        gateway.wait_ready();
        gateway
    }

    fn new(folder: PathBuf, temporary: Option<TempDir>, settings: &[(&str, &str)]) -> Self {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let any = || "127.0.0.1:0".to_owned();
        let (ingress, admin) = (any(), any());
        Self {
            folder,
            _temporary: temporary,
            settings,
            trust: None,
            preface: b"",
            child: None,
            ingress,
            admin,
            metrics: String::new(),
        }
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the process without waiting until it is ready.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "the gateway runs already");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("a log file");
        let addresses = self.folder.join("addresses.json");
        // Ports of the run before must not be taken for this one's.
        drop(std::fs::remove_file(&addresses));
        let child = Command::new(binary())
            .args(["serve", "--data-dir"])
            .arg(&self.folder)
            .env("TIDEGATE_INGRESS__ADDRESS", &self.ingress)
            .env("TIDEGATE_ADMIN__ADDRESS", &self.admin)
            // Another one after each start: who reads metrics asks where they are.
            .env("TIDEGATE_TELEMETRY__METRICS_ADDRESS", "127.0.0.1:0")
            .envs(self.settings.iter().map(|(name, value)| (format!("TIDEGATE_{name}"), value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the gateway starts");
        self.child = Some(child);
    }

    /// Waits until the gateway answers that it is ready. Ports stay the same over restarts.
    pub fn wait_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) =
                self.child.as_mut().and_then(|child| child.try_wait().expect("a child"))
            {
                panic!("the gateway ended with {status}: {}", self.log());
            }
            if self.is_ready() {
                return;
            }
            assert!(Instant::now() < deadline, "the gateway is not ready: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn is_ready(&mut self) -> bool {
        let Ok(text) = std::fs::read(self.folder.join("addresses.json")) else { return false };
        let addresses: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let address = |name: &str| addresses[name].as_str().map(str::to_owned);
        let (Some(ingress), Some(admin), Some(metrics)) =
            (address("ingress"), address("admin"), address("metrics"))
        else {
            return false;
        };
        (self.ingress, self.admin, self.metrics) = (ingress, admin, metrics);
        let ingress = &self.ingress;
        let connection = self.open(ingress).and_then(|mut connection| {
            connection.send(self.preface)?;
            Ok(connection)
        });
        let answer = connection.and_then(|mut c| c.request("GET", "/readyz", &[], b""));
        answer.is_ok_and(|answer| answer.status == 200)
    }

    fn open(&self, address: &str) -> std::io::Result<Connection> {
        match &self.trust {
            None => Connection::open(address),
            Some(trust) => Connection::open_tls(address, trust),
        }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running gateway").id()
    }

    /// Ends the process at once, with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    /// Asks the process to stop, and waits until it has drained. Answers whether it ended well.
    pub fn terminate(&mut self) -> bool {
        self.ask_to_stop();
        self.wait_end().success()
    }

    /// Sends SIGTERM and goes on.
    pub fn ask_to_stop(&self) {
        let child = self.child.as_ref().expect("a running gateway");
        kill_process(Pid::from_child(child), Signal::TERM).expect("a child can be signalled");
    }

    /// Sends SIGHUP: files may have changed.
    pub fn hang_up(&self) {
        let child = self.child.as_ref().expect("a running gateway");
        kill_process(Pid::from_child(child), Signal::HUP).expect("a child can be signalled");
    }

    /// Waits until the process has ended by itself.
    pub fn wait_end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a running gateway");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                return status;
            }
            if Instant::now() > deadline {
                child.kill().expect("a child can be killed");
                child.wait().expect("a killed child ends");
                panic!("the gateway did not stop: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it again in the same folder and waits until it is ready.
    pub fn restart(&mut self) {
        self.launch();
        self.wait_ready();
    }

    /// Starts it again where it must not start; answers what it says while it ends.
    pub fn try_restart(&mut self) -> String {
        let before = self.log().len();
        self.launch();
        assert!(!self.wait_end().success(), "it must not start: {}", self.log());
        self.log().split_off(before)
    }

    fn log_path(&self) -> PathBuf {
        self.folder.with_extension("log")
    }

    /// What the gateway has logged in all its runs.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// A connection to the listener for events.
    #[must_use]
    pub fn connect(&self) -> Connection {
        self.open(&self.ingress).expect("the gateway listens")
    }

    /// One request to the listener for events, on a connection of its own.
    #[must_use]
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.connect().request(method, path, headers, body).expect("an answer")
    }

    /// One request to the admin API, with the administrator's token.
    #[must_use]
    pub fn admin(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Response {
        self.try_admin(method, path, content_type, body).expect("an answer")
    }

    /// The same where the gateway may be gone before it has answered.
    ///
    /// # Errors
    /// Where nobody listens, and where there is no whole answer.
    pub fn try_admin(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> std::io::Result<Response> {
        let token = std::fs::read_to_string(self.folder.join("admin-token")).expect("a token");
        let authorization = format!("Bearer {}", token.trim());
        let headers = [("authorization", authorization.as_str()), ("content-type", content_type)];
        self.open(&self.admin)?.request(method, path, &headers, body)
    }

    /// What the node tells Prometheus.
    #[must_use]
    pub fn scrape(&self) -> String {
        let connection = Connection::open(&self.metrics);
        let answer = connection.and_then(|mut c| c.request("GET", "/metrics", &[], b""));
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }

    /// The value of a series, as [`Gateway::scrape`] has it; it must be there.
    #[must_use]
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.scrape();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("{series} is not in {text}"));
        value.parse().expect("a number")
    }

    /// What the node says of itself.
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        self.admin("GET", "/v1/status", "application/json", b"").json()
    }

    /// Waits until everything that is durable is published.
    pub fn wait_published(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if status["storage"]["published_lsn"] == status["wal"]["durable_lsn"] {
                return;
            }
            assert!(Instant::now() < deadline, "not all is published: {status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(30).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            #[allow(clippy::print_stderr, reason = "a failed test shows what its gateway said")]
            {
                eprintln!("the gateway's last lines:\n{}", tail.join("\n"));
            }
        }
        drop(std::fs::remove_file(self.log_path()));
    }
}
