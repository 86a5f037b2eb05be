//! Registries that send us elsewhere, ask for tokens, answer too much, too slowly or not at all.

use std::sync::Arc;
use std::time::Duration;

use tidegate_distribution::{
    AllowedHosts, Credential, Credentials, DistributionError, RegistryClient,
};

use crate::played::{Artifact, Played, ok, redirect, status};
use crate::support::{component, options, pull, reference, wait};

fn artifact() -> Arc<Artifact> {
    Arc::new(Artifact::of(&component(b"played")))
}

/// A client that may speak to these hosts and has a password.
fn client(hosts: &[&str]) -> RegistryClient {
    let mut options = options("");
    options.allowed = AllowedHosts::Only(hosts.iter().map(|&host| host.to_owned()).collect());
    let credential = Credential { user: "me".to_owned(), password: "secret".to_owned() };
    options.credentials = Credentials::everywhere(credential);
    RegistryClient::new(options)
}

#[test]
fn blobs_may_be_kept_on_another_host_that_is_allowed() {
    let artifact = artifact();
    let kept = Arc::clone(&artifact);
    let storage = Played::serve(move |asked| {
        assert_eq!(asked.authorization, "", "the registry's credential is no business of others");
        kept.answer(asked.line.split('?').next().unwrap())
    });
    let (kept, at) = (Arc::clone(&artifact), storage.host.clone());
    let registry = Played::serve(move |asked| match asked.line.strip_prefix("GET ") {
        Some(_) if asked.authorization.is_empty() => {
            Some((401, vec![("www-authenticate", "Basic realm=\"x\"".to_owned())], Vec::new()))
        }
        Some(path) if path.contains("/blobs/") => redirect(&format!("http://{at}{path}?signed=1")),
        _ => kept.answer(&asked.line),
    });
    let text = artifact.at(&registry.host);
    let both = client(&[&registry.host, &storage.host]);
    assert_eq!(pull(&both, &text).unwrap().component, artifact.component);

    let error = pull(&client(&[&registry.host]), &text).unwrap_err();
    assert!(matches!(error, DistributionError::Redirect { .. }), "{error}");
    assert!(error.to_string().contains(&storage.host), "{error}");
    assert!(error.to_string().contains("[registries]"), "{error}");
}

#[test]
fn redirects_elsewhere_are_refused() {
    let artifact = artifact();
    for (to, word) in [
        ("https://127.0.0.1/x", "another scheme"),
        ("file:///etc/passwd", "Location"),
        ("ftp://127.0.0.1/x", "Location"),
        ("http://169.254.169.254/latest", "not allowed"),
        ("//169.254.169.254/latest", "Location"),
        ("not an address", "Location"),
    ] {
        let registry = Played::serve(move |_| redirect(to));
        let error = pull(&client(&[&registry.host]), &artifact.at(&registry.host)).unwrap_err();
        assert!(error.to_string().contains(word), "{to}: {error}");
        assert_eq!(registry.asked().len(), 1, "{to}");
    }
    // In a circle: given up after some steps.
    let registry = Played::serve(|asked| redirect(asked.line.strip_prefix("GET ").unwrap()));
    let error = pull(&client(&[&registry.host]), &artifact.at(&registry.host)).unwrap_err();
    assert!(matches!(error, DistributionError::Refused { status: 307, .. }), "{error}");
    assert_eq!(registry.asked().len(), 4);
    // Writing follows none.
    let registry = Played::serve(|asked| match asked.line.split(' ').next() {
        Some("HEAD") => status(404),
        _ => redirect("/elsewhere"),
    });
    let place = reference(&format!("oci://{}/a", registry.host));
    let published = wait(client(&[&registry.host]).publish(&place, component(b"x").into()));
    assert!(published.unwrap_err().to_string().contains("writing follows no redirect"));
}

#[test]
fn a_token_service_is_asked_where_it_is_allowed() {
    let artifact = artifact();
    let tokens = Played::serve(|asked| {
        // RFC 7617: me:secret
        assert_eq!(asked.authorization, "Basic bWU6c2VjcmV0");
        assert!(asked.line.contains("service=reg"), "{}", asked.line);
        assert!(asked.line.contains("scope=repository%3Aacme%2Frule%3Apull"), "{}", asked.line);
        ok(br#"{"token":"t0ken","access_token":"t0ken","expires_in":60}"#)
    });
    let (kept, at) = (Arc::clone(&artifact), tokens.host.clone());
    let registry = Played::serve(move |asked| {
        if asked.authorization == "Bearer t0ken" {
            return kept.answer(&asked.line);
        }
        let challenge = format!("Bearer realm=\"http://{at}/token\",service=\"reg\"");
        Some((401, vec![("www-authenticate", challenge)], Vec::new()))
    });
    let text = artifact.at(&registry.host);
    let both = client(&[&registry.host, &tokens.host]);
    assert_eq!(pull(&both, &text).unwrap().component, artifact.component);
    // One token serves the whole pull.
    assert_eq!(tokens.asked().len(), 1);

    let error = pull(&client(&[&registry.host]), &text).unwrap_err();
    assert!(matches!(error, DistributionError::Redirect { .. }), "{error}");
    assert_eq!(tokens.asked().len(), 1, "a service that is not on the list hears nothing");
}

#[test]
fn a_credential_that_does_not_help_is_tried_once() {
    let registry = Played::serve(|_| {
        Some((401, vec![("www-authenticate", "Basic realm=\"x\"".to_owned())], Vec::new()))
    });
    let error = pull(&client(&[&registry.host]), &artifact().at(&registry.host)).unwrap_err();
    assert!(matches!(error, DistributionError::Denied { status: 401, .. }), "{error}");
    assert_eq!(registry.asked().len(), 2);
}

#[test]
fn answers_are_bounded_in_size() {
    let artifact = artifact();
    // A manifest that never ends, an error that never ends, a blob longer than its descriptor.
    let large = Played::serve(|_| ok(&vec![b' '; 2 << 20]));
    let error = pull(&client(&[&large.host]), &artifact.at(&large.host)).unwrap_err();
    assert!(matches!(error, DistributionError::TooLarge { .. }), "{error}");
    let chatty = Played::serve(|_| Some((500, Vec::new(), vec![b'x'; 2 << 20])));
    let error = pull(&client(&[&chatty.host]), &artifact.at(&chatty.host)).unwrap_err();
    assert!(matches!(error, DistributionError::Refused { status: 500, .. }), "{error}");
    assert!(error.is_passing() && error.to_string().len() < 300, "{error}");
    let kept = Arc::clone(&artifact);
    let longer = Played::serve(move |asked| match kept.answer(&asked.line) {
        Some((200, _, mut body)) if asked.line.contains("/blobs/") => {
            body.push(0);
            ok(&body)
        }
        other => other,
    });
    let error = pull(&client(&[&longer.host]), &artifact.at(&longer.host)).unwrap_err();
    assert!(matches!(error, DistributionError::TooLarge { limit: 2, .. }), "{error}");
}

#[test]
fn refusals_say_what_the_registry_says() {
    let registry = Played::serve(|_| {
        let body = br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow\u0007 down"}]}"#;
        Some((429, Vec::new(), body.to_vec()))
    });
    let error = pull(&client(&[&registry.host]), &artifact().at(&registry.host)).unwrap_err();
    assert!(error.to_string().ends_with("answered 429: slow down"), "{error}");
    assert!(error.is_passing());
}

#[test]
fn silence_is_bounded_in_time() {
    let registry = Played::serve(|_| None);
    let mut options = options(&registry.host);
    options.request_timeout = Duration::from_millis(100);
    let error = pull(&RegistryClient::new(options), &artifact().at(&registry.host)).unwrap_err();
    assert!(matches!(error, DistributionError::Timeout { .. }), "{error}");
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = pull(&client(&[&gone.to_string()]), &artifact().at(&gone.to_string())).unwrap_err();
    assert!(matches!(error, DistributionError::Unreachable { .. }), "{error}");
    assert!(error.is_passing());
}
