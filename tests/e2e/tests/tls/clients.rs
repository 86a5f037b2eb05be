//! Clients that must show a certificate, beside their credentials.

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
