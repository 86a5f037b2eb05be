//! Schemathesis attacks a gateway that runs, by what the documents say: no failure of the server but the
//! documented ones, no undocumented status, no answer of another shape, no ignored credentials.
//!
//! What differs from its defaults stands with its reasons in `schemathesis/`. `cargo xtask test` installs
//! it and says where it is.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use tidegate_testkit::{Gateway, Tenant};

/// Both documents are attacked at once, each for so long.
const SECONDS: &str = "60";

/// The program, which the set-up of the tests has installed.
fn program() -> PathBuf {
    let path = std::env::var_os("TIDEGATE_TEST_SCHEMATHESIS");
    path.expect("no Schemathesis to test with: `cargo xtask test` installs it, once").into()
}

/// A gateway with a tenant that has something of everything.
fn start() -> (Gateway, Tenant) {
    // Wrong credentials are what this is about: none are to be answered 429.
    let gateway = Gateway::start_with(&[
        ("INGRESS__MAX_AUTH_FAILURES", "1000000"),
        // All that the document has.
        ("INGRESS__ENDPOINTS", "events,receipts,batch,ping,health,livez,readyz,openapi,metrics"),
    ]);
    let tenant = Tenant::create(&gateway, "acme");
    tenant.schema(&gateway, "flight", &json!({ "type": "object" }));
    tenant.table(&gateway, "planes", "tailnum,seats\nN1,180\n");
    let document = json!({
        "event_types": { "flight": { "schema": "flight", "key": "/key" } },
        "default_type": "flight",
        "tables": { "planes": "latest" },
    });
    tenant.activate(&gateway, &document);
    (gateway, tenant)
}

fn attack(gateway: &Gateway, document: &str, address: &str, secrets: &[(&str, &str)]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis");
    let reports = tempfile::tempdir().unwrap();
    let output = Command::new(program())
        .arg(format!("--config-file={}", folder.join(document).with_extension("toml").display()))
        .args(["run", "--no-color", "--seed=5", "--max-examples=20", "--max-time", SECONDS])
        .args(["--continue-on-failure", "--request-timeout=30"])
        .arg(format!("--url=http://{address}"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../host/docs/openapi").join(document))
        .envs(secrets.iter().copied())
        .env("SCHEMATHESIS_HOOKS", folder.join("hooks.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(reports.path())
        .stdin(Stdio::null())
        .output()
        .expect("Schemathesis starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let from = said.find("= ERRORS =").or_else(|| said.find("= FAILURES ="));
    assert!(
        output.status.success(),
        "{}\n{}",
        &said[from.unwrap_or_default()..],
        String::from_utf8_lossy(&output.stderr)
    );
    // It has looked at what there is: an answer of 200 to nothing at all is no attack.
    assert!(said.contains("Tested:"), "{said}");
    let log = gateway.log();
    let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors, [""; 0]);
}

/// D10: the listener for events.
#[test]
fn the_listener_for_events_withstands() {
    let (gateway, tenant) = start();
    attack(&gateway, "public.json", &gateway.ingress, &[("TIDEGATE_API_KEY", &tenant.key)]);
}

/// D10: the admin API.
#[test]
fn the_admin_api_withstands() {
    let (gateway, _) = start();
    let token = std::fs::read_to_string(gateway.folder().join("admin-token")).unwrap();
    attack(&gateway, "admin.json", &gateway.admin, &[("TIDEGATE_TOKEN", token.trim())]);
}
