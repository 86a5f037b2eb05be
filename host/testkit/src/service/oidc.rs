//! A real server of OpenID Connect: the npm package `oauth2-mock-server` as a process of its own, on a
//! free port, with a key of its own. It is stopped when it is dropped, also when its test fails.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::Connection;

/// What its tokens are for.
const AUDIENCE: &str = "tidegate";

/// Claims that a test asks for go into the token; the end of the input is the end of the test.
const SCRIPT: &str = r#"
const [module, port] = process.argv.slice(2);
const { OAuth2Server } = await import(module);
const server = new OAuth2Server();
await server.issuer.keys.generate("RS256");
server.service.on("beforeTokenSigning", (token, request) => {
  Object.assign(token.payload, JSON.parse(request.body.claims ?? "{}"));
});
await server.start(Number(port), "127.0.0.1");
console.log(`listening ${server.address().port}`);
process.stdin.resume().on("end", () => process.exit(0));
"#;

/// A server that runs, or did.
#[derive(Debug)]
pub struct Oidc {
    folder: TempDir,
    child: Option<Child>,
    port: u16,
}

/// The entry of the package, which the set-up of the tests has installed.
fn module() -> PathBuf {
    let entry = "node_modules/oauth2-mock-server/dist/index.mjs";
    if let Some(folder) = std::env::var_os("TIDEGATE_TEST_OIDC") {
        return PathBuf::from(folder).join(entry);
    }
    let test = std::env::current_exe().expect("a test has a path");
    let mut paths = test.ancestors().map(|folder| folder.join("tools/oidc").join(entry));
    paths.find(|path| path.is_file()).expect(
        "no OIDC server to test with: `cargo xtask test` installs one with npm, once, into the build folder",
    )
}

impl Oidc {
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("server.mjs"), SCRIPT)
            .expect("a file in a temporary folder");
        let mut server = Self { folder, child: None, port: 0 };
        server.restart();
        server
    }

    /// Starts it again after `stop`, on the same port, with another key.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "the server runs already");
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a log file");
        let mut child = Command::new("node")
            .arg(self.folder.path().join("server.mjs"))
            .arg(module())
            .arg(self.port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("node starts");
        let mut said = BufReader::new(child.stdout.take().expect("an output")).lines();
        self.child = Some(child);
        let line = said.next().and_then(Result::ok).unwrap_or_default();
        let port = line.strip_prefix("listening ").and_then(|port| port.parse().ok());
        self.port = port.unwrap_or_else(|| panic!("the server does not listen: {}", self.log()));
    }

    /// Ends the process at once.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What it writes as `iss`.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// The address of its key set.
    #[must_use]
    pub fn keys(&self) -> String {
        format!("http://127.0.0.1:{}/jwks", self.port)
    }

    /// How a token for the tenant `acme` is asked for, as options of curl.
    pub const FORM: &str = "-d grant_type=client_credentials -d aud=tidegate -d scope=events:write --data-urlencode 'claims={\"tenant_id\":\"acme\"}'";

    /// Where tokens are asked for.
    #[must_use]
    pub fn tokens(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.port)
    }

    /// The setting `JWT__ISSUERS` of a gateway that trusts it, to the second.
    #[must_use]
    pub fn as_setting(&self) -> String {
        let (issuer, keys) = (self.issuer(), self.keys());
        format!(r#"[{{issuer="{issuer}", audiences=["{AUDIENCE}"], keys="{keys}", leeway="0s"}}]"#)
    }

    /// An access token by client credentials, for a tenant, with scopes between spaces, and with
    /// further claims or others in place of these.
    #[must_use]
    pub fn token(&self, tenant: &str, scope: &str, claims: &Value) -> String {
        let mut all = json!({ "tenant_id": tenant });
        for (name, value) in claims.as_object().expect("claims are an object") {
            all[name] = value.clone();
        }
        let (claims, scope) = (percent_encoded(&all.to_string()), percent_encoded(scope));
        let body =
            format!("grant_type=client_credentials&aud={AUDIENCE}&scope={scope}&claims={claims}");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let mut connection =
            Connection::open(&format!("127.0.0.1:{}", self.port)).expect("the server listens");
        let answer = connection.request("POST", "/token", &headers, body.as_bytes());
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().expect("a token").to_owned()
    }
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}

impl Drop for Oidc {
    fn drop(&mut self) {
        self.stop();
    }
}
