//! Clients that must show a certificate, beside their credentials.

use std::process::Command;

use tidegate_e2e::revision;
use tidegate_testkit::{Authority, Connection, Response, Tenant, Trust};

use crate::{plain_trust, settings, start};

fn answer(address: &str, trust: &Trust, key: Option<&str>) -> std::io::Result<Response> {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(key.map(|key| ("x-api-key", key)));
    Connection::open_tls(address, trust)?.request("POST", "/v1/events", &headers, b"{}")
}

/// A certificate of the right authority is needed on both listeners; it stands in for no key.
#[test]
fn clients_show_certificates() {
    let (authority, clients) = (Authority::new("roots"), Authority::new("clients"));
    let listener = settings(&authority.issue("gateway"), Some(&clients.root()));
    let known = Trust::new(&authority, Some(&clients.issue("connector")), &[]);
    let gateway = start(&listener, &[], known.clone());
    let tenant = Tenant::create(&gateway, "acme");
    tenant.activate(&gateway, &revision::plain());

    let none = plain_trust(&authority);
    let of_another = Trust::new(&authority, Some(&Authority::new("x").issue("connector")), &[]);
    for address in [&gateway.ingress, &gateway.admin] {
        for trust in [&none, &of_another] {
            let refused = answer(address, trust, Some(&tenant.key)).unwrap_err().to_string();
            let fits =
                ["CertificateRequired", "UnknownCA", "DecryptError", "reset", "BadCertificate"];
            assert!(fits.iter().any(|word| refused.contains(word)), "{refused}");
        }
    }
    assert_eq!(answer(&gateway.ingress, &known, None).unwrap().status, 401);
    assert_eq!(answer(&gateway.ingress, &known, Some(&tenant.key)).unwrap().status, 202);
}

/// The command line speaks to a gateway in TLS, by the addresses in its folder.
#[test]
fn the_command_line_is_such_a_client() {
    let (authority, clients) = (Authority::new("roots"), Authority::new("clients"));
    let listener = settings(&authority.issue("gateway"), Some(&clients.root()));
    let admin = clients.issue("admin");
    let gateway = start(&listener, &[], Trust::new(&authority, Some(&admin), &[]));
    let tenant = Tenant::create(&gateway, "acme");
    tenant.activate(&gateway, &revision::plain());
    let run = |arguments: &[&str]| {
        let mut command = Command::new(tidegate_testkit::gateway::binary());
        command.args(arguments).arg("--data-dir").arg(gateway.folder());
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let text = |path: &std::path::Path| path.display().to_string();
    let (root, certificate, key) =
        (text(&authority.root()), text(&admin.certificate), text(&admin.key));
    let trusted = ["--ca-file", &root];
    let known =
        [&trusted[..], &["--client-certificate", &certificate, "--client-key", &key]].concat();
    let (good, said) = run(&[&["tenant", "list"][..], &known].concat());
    assert!(good && said.contains("acme"), "{said}");
    let events = gateway.folder().join("events.ndjson");
    std::fs::write(&events, "{}\n{}\n").unwrap();
    let post = ["post", "--api-key", &tenant.key, events.to_str().unwrap()];
    let (good, said) = run(&[&post[..], &known].concat());
    assert!(good, "{said}");
    for arguments in [&[][..], &trusted] {
        let (good, said) = run(&[&["tenant", "list"][..], arguments].concat());
        assert!(!good, "{said}");
    }
}
