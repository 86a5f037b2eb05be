//! Certificates that are replaced while the gateway runs.

use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_testkit::{Authority, Gateway, Identity, Trust};

use crate::{ping, plain_trust, seen, settings, start};

const PATIENCE: Duration = Duration::from_secs(20);

/// Copies a certificate over the one in use, key first, as a careless script does.
fn replace(used: &Identity, by: &Identity) {
    std::fs::copy(&by.key, &used.key).unwrap();
    std::fs::copy(&by.certificate, &used.certificate).unwrap();
}

fn in_folder(identity: &Identity, folder: &Path) -> Identity {
    let used = Identity { certificate: folder.join("tls.pem"), key: folder.join("tls.key") };
    replace(&used, identity);
    used
}

/// A gateway with its first certificate.
struct Begun {
    authority: Authority,
    /// The files in use.
    used: Identity,
    trust: Trust,
    gateway: Gateway,
    /// The certificate as clients see it.
    first: Vec<u8>,
}

fn begin(folder: &Path, interval: &str) -> Begun {
    let authority = Authority::new("roots");
    let used = in_folder(&authority.issue("first"), folder);
    let trust = plain_trust(&authority);
    let interval = [("TLS__CHECK_INTERVAL", interval)];
    let gateway = start(&settings(&used, None), &interval, trust.clone());
    let first = seen(&gateway.ingress, &trust);
    Begun { authority, used, trust, gateway, first }
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn shows(gateway: &Gateway, trust: &Trust, other_than: &[u8]) -> bool {
    [&gateway.ingress, &gateway.admin].iter().all(|at| seen(at, trust) != other_than)
}

/// New certificates are used for new connections within the interval, without a restart; connections
/// that are open stay.
#[test]
fn certificates_are_replaced_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let Begun { authority, used, trust, gateway, first } = begin(folder.path(), "100ms");
    let mut open = gateway.connect();
    assert_eq!(ping(&mut open).unwrap(), 200);

    replace(&used, &authority.issue("second"));
    wait("the second certificate is not used", || shows(&gateway, &trust, &first));
    assert_eq!(ping(&mut open).unwrap(), 200);
    // Only the new ones do from now on.
    let second = seen(&gateway.ingress, &trust);
    assert_eq!(
        [seen(&gateway.ingress, &trust), seen(&gateway.admin, &trust)],
        [second.clone(), second]
    );
}

/// What cannot be used is told once, changes nothing, and is made good by the next change.
#[test]
fn unusable_files_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Begun { authority, used, trust, gateway, first } = begin(folder.path(), "100ms");

    std::fs::write(&used.key, "none\n").unwrap();
    let told = || gateway.log().matches("new certificates not used").count();
    wait("it is not told", || told() == 2);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(told(), 2, "once for each listener: {}", gateway.log());
    assert!(gateway.log().contains("tls.key does not hold a private key"), "{}", gateway.log());
    assert_eq!(seen(&gateway.ingress, &trust), first);

    replace(&used, &authority.issue("second"));
    wait("the second certificate is not used", || shows(&gateway, &trust, &first));
}

/// SIGHUP has the files looked at there and then.
#[test]
fn a_signal_has_them_looked_at_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let Begun { authority, used, trust, gateway, first } = begin(folder.path(), "24h");
    replace(&used, &authority.issue("second"));
    assert_eq!(seen(&gateway.ingress, &trust), first);
    gateway.hang_up();
    wait("the second certificate is not used", || shows(&gateway, &trust, &first));
}
