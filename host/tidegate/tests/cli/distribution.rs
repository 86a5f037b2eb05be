//! Keys, signatures and registries from the command line; OpenSSL as the other side of both.

use std::path::Path;
use std::process::Command;

use crate::support::{Ran, ran, tidegate};

/// An empty component: magic number, version, layer.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn run_in(folder: &Path, arguments: &[&str]) -> Ran {
    ran(tidegate(folder, arguments).output().unwrap())
}

fn well(folder: &Path, arguments: &[&str]) -> String {
    let ran = run_in(folder, arguments);
    assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.err);
    ran.out.trim_end().to_owned()
}

/// Runs OpenSSL in a folder; did it end well?
fn openssl(folder: &Path, arguments: &str) -> bool {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    output.expect("`cargo xtask test` sees to it that OpenSSL is there").status.success()
}

#[test]
fn keys_and_signatures_are_those_of_openssl() {
    use base64::Engine as _;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("rule.wasm"), COMPONENT).unwrap();
    let made = well(at, &["plugin", "keygen", "release.key"]);
    assert!(made.contains("release.key.pub"), "{made}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &at.join("release.key").metadata().unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let signed = well(at, &["plugin", "sign", "rule.wasm", "--key", "release.key"]);
    let id = made.split([' ', ':']).nth(1).unwrap();
    assert!(signed.contains(id) && id.len() == 32, "{made} {signed}");
    let raw = |name: &str| {
        let text = std::fs::read_to_string(at.join(name)).unwrap();
        base64::engine::general_purpose::STANDARD.decode(text.trim()).unwrap()
    };
    std::fs::write(at.join("raw.sig"), raw("rule.wasm.sig")).unwrap();
    let verify =
        "pkeyutl -verify -rawin -pubin -inkey release.key.pub -in rule.wasm -sigfile raw.sig";
    assert!(openssl(at, verify));
    std::fs::write(at.join("rule.wasm"), b"other").unwrap();
    assert!(!openssl(at, verify));

    // And the other way round: its key in our hands.
    std::fs::write(at.join("rule.wasm"), COMPONENT).unwrap();
    assert!(openssl(at, "genpkey -algorithm ed25519 -out theirs.key"));
    assert!(openssl(at, "pkey -in theirs.key -pubout -out theirs.pub"));
    std::fs::remove_file(at.join("rule.wasm.sig")).unwrap();
    well(at, &["plugin", "sign", "rule.wasm", "--key", "theirs.key"]);
    std::fs::write(at.join("raw.sig"), raw("rule.wasm.sig")).unwrap();
    assert!(openssl(at, &verify.replace("release.key.pub", "theirs.pub")));

    // Nothing is written over, and what is no key is told.
    for (arguments, word) in [
        (["plugin", "keygen", "release.key", "--json"].as_slice(), "release.key cannot be made"),
        (&["plugin", "sign", "rule.wasm", "--key", "release.key"], "rule.wasm.sig cannot be made"),
        (&["plugin", "sign", "rule.wasm", "--key", "release.key.pub"], "no Ed25519 secret key"),
        (&["plugin", "sign", "none.wasm", "--key", "release.key"], "none.wasm"),
    ] {
        let ran = run_in(at, arguments);
        assert!(ran.code == 1 && ran.err.contains(word), "{arguments:?}: {}", ran.err);
    }
}

#[cfg(feature = "oci")]
mod registries {
    use tidegate_testkit::{Gateway, Registry, RegistrySettings};

    use super::*;

    /// bcrypt of `secret`.
    const USERS: &str = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

    #[test]
    fn a_component_is_published_and_pulled() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        std::fs::write(at.join("rule.wasm"), COMPONENT).unwrap();
        let registry = Registry::start_with(RegistrySettings { htpasswd: Some(USERS), tls: None });
        let tagged = format!("oci://{}/acme/rule:1.0", registry.host);
        // RFC 7617: me:secret
        let config = format!(r#"{{"auths":{{"{}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#, registry.host);
        std::fs::write(at.join("config.json"), config).unwrap();
        let ours = ["--registry-config", "config.json"];
        let with = |arguments: &[&'static str], text: &str| {
            let mut all: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
            all.push(text.to_owned());
            all.extend(ours.map(str::to_owned));
            all
        };
        let words = |all: &[String]| all.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let publish = words(&with(&["plugin", "publish", "rule.wasm"], &tagged));
        let published = well(at, &publish.split(' ').collect::<Vec<_>>());
        assert!(published.starts_with("oci://") && published.contains("@sha256:"), "{published}");
        let pull = words(&with(&["plugin", "pull", "--output", "back.wasm"], &published));
        let digest = well(at, &pull.split(' ').collect::<Vec<_>>());
        assert!(digest.starts_with("sha256:"), "{digest}");
        assert_eq!(std::fs::read(at.join("back.wasm")).unwrap(), COMPONENT);

        // A tag is told, with what to pull in its place.
        let by_tag = words(&with(&["plugin", "pull", "--output", "tag.wasm"], &tagged));
        let ran = run_in(at, &by_tag.split(' ').collect::<Vec<_>>());
        assert!(ran.code == 1 && ran.err.contains(&published), "{}", ran.err);
        assert!(!at.join("tag.wasm").exists());
        // Without a credential.
        let mut command = tidegate(at, &["plugin", "pull", "--output", "x", &published]);
        let ran = super::ran(command.env("DOCKER_CONFIG", at.join("none")).output().unwrap());
        assert!(ran.code == 1 && ran.err.contains("credentials"), "{}", ran.err);
        // The environment by reference.
        let mut command = tidegate(at, &["plugin", "pull", "--output", "x", &published]);
        command.env("TIDEGATE_REGISTRY_USER", "me").env("TIDEGATE_REGISTRY_PASSWORD", "secret");
        let ran = super::ran(command.output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.err);
    }

    #[test]
    fn tls_is_checked_against_the_roots_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        std::fs::write(at.join("rule.wasm"), COMPONENT).unwrap();
        std::fs::write(at.join("ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
        for arguments in [
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca",
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out csr.pem -subj /CN=localhost",
            "x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile ext",
        ] {
            assert!(openssl(at, arguments), "{arguments}");
        }
        let (certificate, key) = (at.join("cert.pem"), at.join("key.pem"));
        let registry = Registry::start_with(RegistrySettings {
            htpasswd: None,
            tls: Some((&certificate, &key)),
        });
        std::fs::create_dir(at.join("no-roots")).unwrap();
        let place = format!("oci://{}/acme/rule", registry.host);
        let publish = |roots: &str, flags: &[&str]| {
            let arguments = [&["plugin", "publish", "rule.wasm", &place], flags].concat();
            let mut command = tidegate(at, &arguments);
            command.env("SSL_CERT_FILE", at.join(roots)).env("SSL_CERT_DIR", at.join("no-roots"));
            super::ran(command.output().unwrap())
        };
        let ran = publish("ca.pem", &["--tls"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(openssl(
            at,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout o.key -out other.pem -days 2 -subj /CN=other"
        ));
        let ran = publish("other.pem", &["--tls"]);
        assert!(ran.code == 1 && ran.err.contains("UnknownIssuer"), "{}", ran.err);
        let ran = publish("none.pem", &["--tls"]);
        assert!(ran.code == 1 && ran.err.contains("root certificates"), "{}", ran.err);
        let ran = publish("ca.pem", &[]);
        assert!(ran.code == 1 && ran.err.contains("400"), "{}", ran.err);
    }

    /// The way of a component from its author's desk through a registry into a gateway.
    #[test]
    fn a_gateway_pulls_what_is_signed_and_the_audit_log_has_it_all() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let registry = Registry::start();
        let gateway = Gateway::start_with(&[
            ("REGISTRIES__ALLOWED", &registry.host),
            ("REGISTRIES__PLAIN_HTTP", &registry.host),
        ]);
        let data = gateway.folder().to_str().unwrap();
        let plugin = tidegate_plugins::all().iter().find(|plugin| plugin.name == "required");
        std::fs::write(at.join("rule.wasm"), plugin.unwrap().component).unwrap();
        let gate = |arguments: &[&str]| run_in(at, &[arguments, &["--data-dir", data]].concat());
        let done = |arguments: &[&str]| {
            let ran = gate(arguments);
            assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.err);
            ran.out.trim_end().to_owned()
        };
        done(&["tenant", "create", "acme"]);
        done(&["plugin", "keygen", "release.key"]);
        done(&["signing-key", "add", "-t", "acme", "release", "release.key.pub"]);
        assert_eq!(
            done(&["signing-key", "policy", "-t", "acme", "any-known-key"]),
            "any-known-key"
        );
        done(&["plugin", "sign", "rule.wasm", "--key", "release.key"]);
        let reference = format!("oci://{}/acme/rule", registry.host);
        let published = done(&["plugin", "publish", "rule.wasm", &reference]);

        let ran = gate(&["plugin", "push", "-t", "acme", "mine", &published]);
        assert!(ran.code == 1 && ran.err.contains("must be signed"), "{}", ran.err);
        let signed =
            ["plugin", "push", "-t", "acme", "mine", &published, "--signature", "rule.wasm.sig"];
        done(&signed);
        // The one beside the file is found.
        done(&["plugin", "push", "-t", "acme", "other", "rule.wasm"]);
        let elsewhere = published.replace(&registry.host, "registry.example");
        let ran = gate(&["plugin", "push", "-t", "acme", "mine", &elsewhere]);
        assert!(ran.code == 1 && ran.err.contains("[registries]"), "{}", ran.err);

        let head = done(&["audit", "verify"]);
        let listed = done(&["audit", "list", "--tenant", "acme"]);
        assert!(listed.contains("/v1/tenants/acme/signing-keys/"), "{listed}");
        assert!(listed.contains("signature-refused"), "{listed}");
        done(&["token", "create", "ci", "--scope", "plugins:upload", "--tenant", "acme"]);
        done(&["audit", "verify", "--expect", &head]);
        let other = head.replace(&head[head.len() - 4..], "0000");
        let ran = gate(&["audit", "verify", "--expect", &other]);
        assert!(ran.code == 1 && ran.err.contains("not the one"), "{}", ran.err);
    }
}
