//! The gateway as a process of its own: started, called through its command line, killed, started
//! again on the same data and ports, and stopped.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// A start compiles the rule components where their compiled code is not cached.
const START_LIMIT: Duration = Duration::from_secs(120);
/// A stop answers what is in flight and publishes what is stored.
const STOP_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);
const LOG_TAIL_LINES: usize = 20;

/// Where a running gateway listens; it writes this to `addresses.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) ingress: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// A gateway on one data folder. A running one is killed when this is dropped.
pub(crate) struct Gateway {
    program: PathBuf,
    data: PathBuf,
    addresses: Addresses,
    child: Mutex<Option<Child>>,
}

impl Gateway {
    /// Starts a gateway on a data folder and waits until it takes events.
    ///
    /// # Errors
    /// Where it cannot be started or does not get ready; the end of its log is in the message.
    pub(crate) fn start(program: &Path, data: &Path) -> Result<Self> {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let addresses = Addresses { ingress: free, admin: free };
        let mut gateway = Self {
            program: program.to_owned(),
            data: data.to_owned(),
            addresses,
            child: Mutex::new(None),
        };
        gateway.addresses = gateway.launch()?;
        Ok(gateway)
    }

    /// One that was never started, for tests of what goes on around it.
    #[cfg(test)]
    pub(crate) fn never_started() -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            program: PathBuf::new(),
            data: PathBuf::new(),
            addresses: Addresses { ingress: nowhere, admin: nowhere },
            child: Mutex::new(None),
        }
    }

    /// Starts it again, after [`Gateway::kill`] or [`Gateway::stop`], on the same ports.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub(crate) fn restart(&self) -> Result<()> {
        let addresses = self.launch()?;
        ensure!(addresses == self.addresses, "the gateway listens on other ports than before");
        Ok(())
    }

    pub(crate) fn addresses(&self) -> Addresses {
        self.addresses
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The id of the running process.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.running().as_ref().map(Child::id)
    }

    /// Kills the process with SIGKILL and returns at once.
    ///
    /// # Errors
    /// Where none is running.
    pub(crate) fn kill(&self) -> Result<()> {
        let mut child = self.running();
        child.as_mut().context("the gateway is not running")?.kill().context("killing the gateway")
    }

    /// Waits for the end of a process that was killed.
    ///
    /// # Errors
    /// Where none was running.
    pub(crate) fn reap(&self) -> Result<()> {
        let child = self.running().take();
        child.context("the gateway is not running")?.wait()?;
        Ok(())
    }

    /// Stops it with SIGTERM: it answers what is in flight and publishes what is stored.
    ///
    /// # Errors
    /// Where it ends with a failure, or does not end.
    pub(crate) fn stop(&self) -> Result<()> {
        let mut child = self.running().take().context("the gateway is not running")?;
        let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(process.context("the gateway has no process id")?, Signal::TERM)?;
        let limit = Instant::now() + STOP_LIMIT;
        while Instant::now() < limit {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "the gateway ended with {status}:\n{}", self.log_tail());
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        child.kill()?;
        bail!("the gateway did not stop within {} s:\n{}", STOP_LIMIT.as_secs(), self.log_tail())
    }

    /// Lets the process run on when this is dropped.
    pub(crate) fn leave_running(&self) {
        self.running().take();
    }

    /// Calls the gateway's command line, as a person would, and answers what it printed.
    ///
    /// # Errors
    /// Where the command fails; what it said is in the message.
    pub(crate) fn command(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("--data-dir").arg(&self.data).arg("--json").args(words).stdin(Stdio::null());
        let output = command.output().context("starting the gateway's command line")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`tidegate {}` failed: {}", words.join(" "), said.trim());
        String::from_utf8(output.stdout)
            .context("the command line printed something that is no text")
    }

    fn launch(&self) -> Result<Addresses> {
        let file = self.data.join("addresses.json");
        if file.exists() {
            std::fs::remove_file(&file)?;
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let child = Command::new(&self.program)
            .args(["serve", "--data-dir"])
            .arg(&self.data)
            .env("TIDEGATE_INGRESS__ADDRESS", self.addresses.ingress.to_string())
            .env("TIDEGATE_ADMIN__ADDRESS", self.addresses.admin.to_string())
            .env("TIDEGATE_TELEMETRY__METRICS_ADDRESS", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))?;
        *self.running() = Some(child);
        let limit = Instant::now() + START_LIMIT;
        while Instant::now() < limit {
            if let Some(status) = self.running().as_mut().map_or(Ok(None), Child::try_wait)? {
                bail!("the gateway ended with {status} at its start:\n{}", self.log_tail());
            }
            // The file may be there half written: then it cannot be read yet.
            let addresses =
                File::open(&file).ok().and_then(|file| serde_json::from_reader(file).ok());
            if let Some(addresses @ Addresses { ingress, .. }) = addresses
                && is_ready(ingress)
            {
                return Ok(addresses);
            }
            std::thread::sleep(POLL);
        }
        bail!("the gateway was not ready within {} s:\n{}", START_LIMIT.as_secs(), self.log_tail())
    }

    fn log_path(&self) -> PathBuf {
        self.data.join("gateway.log")
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().rev().take(LOG_TAIL_LINES).collect();
        lines.reverse();
        lines.join("\n")
    }

    fn running(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.running().take() {
            // It may have ended by itself; there is nobody left to tell.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Does `GET /readyz` answer 200?
fn is_ready(ingress: SocketAddr) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut connection = TcpStream::connect_timeout(&ingress, Duration::from_secs(1))?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        let request =
            format!("GET /readyz HTTP/1.1\r\nhost: {ingress}\r\nconnection: close\r\n\r\n");
        connection.write_all(request.as_bytes())?;
        let mut start = [0; 12];
        connection.read_exact(&mut start)?;
        Ok(start.to_vec())
    };
    ask().is_ok_and(|start| start == b"HTTP/1.1 200")
}
