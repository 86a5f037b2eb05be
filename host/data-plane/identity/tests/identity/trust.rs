//! Keys over TLS: from a server whose certificate is trusted, and from no other.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tidegate_identity::{Bounds, Issuers, KeySource, Refusal};

use crate::support::{Signer, bounds, openssl, options, published, runtime};

/// `openssl s_server`, which serves the files of a folder.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let arguments = "s_server -WWW -accept 127.0.0.1:0 -cert server.pem -key server.key";
        let mut child = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut lines = said.lines().map_while(Result::ok);
        let line = lines.find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned)).unwrap();
        let (_, port) = line.rsplit_once(':').unwrap();
        // The rest of what it says must not fill the pipe.
        let drain = move || lines.for_each(drop);
        std::thread::Builder::new().name("output".into()).spawn(drain).unwrap();
        Self { child, url: format!("https://localhost:{port}/jwks.json") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An authority, and a certificate of it for `localhost`.
fn make_certificates(folder: &Path) {
    let at = |name: &str| folder.join(name).display().to_string();
    let extensions = "basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost\n";
    std::fs::write(folder.join("extensions"), extensions).unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout {} -out {} -days 30 -subj /CN=authority",
        at("ca.key"),
        at("ca.pem")
    ));
    openssl(&format!("req {key} -keyout {} -out {} -subj /CN=server", at("server.key"), at("csr")));
    openssl(&format!(
        "x509 -req -in {} -CA {} -CAkey {} -CAcreateserial -days 30 -extfile {} -out {}",
        at("csr"),
        at("ca.pem"),
        at("ca.key"),
        at("extensions"),
        at("server.pem")
    ));
}

#[test]
fn the_configured_authority_is_trusted_and_nobody_elses() {
    let (runtime, signer) = (runtime(), Signer::new("k", "ES256"));
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    std::fs::write(folder.path().join("jwks.json"), published(&[&signer])).unwrap();
    let server = Server::start(folder.path());
    let _within = runtime.enter();
    for (ca_file, expected) in [(Some("ca.pem"), Ok(())), (None, Err(Refusal::KeysUnavailable))] {
        let ca_file = ca_file.map(|name| folder.path().join(name));
        let bounds = Bounds { ca_file, ..bounds() };
        let options = options(KeySource::url(&server.url).unwrap());
        let issuers = Issuers::start(vec![options], &bounds).unwrap();
        assert_eq!(runtime.block_on(issuers.verify(&signer.good())).map(drop), expected);
    }
}

#[test]
fn a_file_without_certificates_is_told() {
    let runtime = runtime();
    let _within = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    for (content, expected) in
        [(None, "No such file"), (Some("nothing"), "does not hold certificates")]
    {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let bounds = Bounds { ca_file: Some(path.clone()), ..bounds() };
        let error = Issuers::start(Vec::new(), &bounds).err().unwrap().to_string();
        assert!(error.contains("ca.pem") && error.contains(expected), "{error}");
    }
}
