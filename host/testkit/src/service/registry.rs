//! A real OCI registry: CNCF `distribution` as a process of its own, on a free port, in a folder
//! that goes away with it. It is stopped when it is dropped, also when its test fails.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::http::Connection;

/// How long a registry may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A registry that runs.
#[derive(Debug)]
pub struct Registry {
    folder: TempDir,
    child: Child,
    /// `127.0.0.1:PORT`, as references name it.
    pub host: String,
    scheme: &'static str,
}

/// What a registry asks of its clients.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegistrySettings<'a> {
    /// Lines of an `htpasswd` file, bcrypt alone: whoever is not in it is refused.
    pub htpasswd: Option<&'a str>,
    /// Certificate and key as PEM files: the registry speaks TLS.
    pub tls: Option<(&'a Path, &'a Path)>,
}

/// The program, which the set-up of the tests has built.
///
/// # Panics
/// Where it is not there.
#[must_use]
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("TIDEGATE_TEST_REGISTRY") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test has a path");
    let mut folders = test.ancestors().map(|folder| folder.join("tools/bin/registry"));
    folders.find(|path| path.is_file()).expect(
        "no OCI registry to test with: `cargo xtask test` builds one with Go, once, into the build folder",
    )
}

impl Registry {
    /// A registry that takes everything from everybody.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(RegistrySettings::default())
    }

    #[must_use]
    pub fn start_with(settings: RegistrySettings<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut text = format!(
            "version: 0.1\nlog:\n  level: info\n  formatter: json\nstorage:\n  filesystem:\n    \
             rootdirectory: {root}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:0\n",
            root = folder.path().join("storage").display(),
        );
        if let Some((certificate, key)) = settings.tls {
            text.push_str(&format!(
                "  tls:\n    certificate: {}\n    key: {}\n",
                certificate.display(),
                key.display()
            ));
        }
        if let Some(users) = settings.htpasswd {
            let path = folder.path().join("htpasswd");
            std::fs::write(&path, users).expect("a file in a temporary folder");
            text.push_str(&format!(
                "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
                path.display()
            ));
        }
        let config = folder.path().join("config.yml");
        std::fs::write(&config, text).expect("a file in a temporary folder");
        let log = std::fs::File::create(folder.path().join("log")).expect("a log file");
        let child = Command::new(program())
            .arg("serve")
            .arg(&config)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the registry starts");
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let mut registry = Self { folder, child, host: String::new(), scheme };
        registry.wait_listening();
        registry
    }

    /// The registry takes a free port and tells it in its log.
    fn wait_listening(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.host.is_empty() {
            if let Some(status) = self.child.try_wait().expect("a child") {
                panic!("the registry ended with {status}: {}", self.log());
            }
            assert!(Instant::now() < deadline, "the registry does not listen: {}", self.log());
            let log = std::fs::File::open(self.folder.path().join("log")).expect("a log file");
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening on ") {
                    let end = address.find([',', '"']).expect("a whole line of JSON");
                    self.host = address[..end].to_owned();
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The file that holds a blob, of which `digest` is `sha256:` and its digits.
    #[must_use]
    pub fn blob_path(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").expect("a digest");
        let blobs = self.folder.path().join("storage/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// Uploads a blob as bytes over plain HTTP, as any client could.
    ///
    /// # Panics
    /// Where the registry does not take it.
    pub fn put_blob(&self, repository: &str, digest: &str, bytes: &[u8]) {
        assert_eq!(self.scheme, "http", "only over plain HTTP");
        let mut connection = Connection::open(&self.host).expect("the registry listens");
        let path = format!("/v2/{repository}/blobs/uploads/");
        let opened = connection.request("POST", &path, &[], b"").expect("an answer");
        assert_eq!(opened.status, 202, "{}", opened.text());
        let location = opened.header("location").expect("where to upload to");
        let path = location.split_once(&self.host).map_or(location, |(_, path)| path);
        let path = format!("{path}&digest={digest}");
        let headers = [("content-type", "application/octet-stream")];
        let stored = connection.request("PUT", &path, &headers, bytes).expect("an answer");
        assert_eq!(stored.status, 201, "{}", stored.text());
    }

    /// Stores a manifest as bytes; the answer's status.
    #[must_use]
    pub fn put_manifest(&self, repository: &str, name: &str, media: &str, bytes: &[u8]) -> u16 {
        let mut connection = Connection::open(&self.host).expect("the registry listens");
        let path = format!("/v2/{repository}/manifests/{name}");
        let headers = [("content-type", media)];
        connection.request("PUT", &path, &headers, bytes).expect("an answer").status
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
