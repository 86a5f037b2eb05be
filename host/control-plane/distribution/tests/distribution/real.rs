//! A real registry: what is published comes back byte by byte, lies there as the layout says, and
//! what other tools write is read.

use serde_json::{Value, json};
use tidegate_distribution::{
    AllowedHosts, Credential, Credentials, DistributionError, RegistryClient,
};
use tidegate_testkit::{Connection, Registry, RegistrySettings};
use tidegate_types::Digest;

use crate::support::{client, component, options, pull, reference, wait};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn what_is_published_is_pulled_by_digest() {
    let registry = Registry::start();
    let client = client(&registry.host);
    let bytes = component(b"first");
    let tagged = reference(&format!("oci://{}/acme/rules/first:1.0", registry.host));
    let published = wait(client.publish(&tagged, bytes.clone().into())).unwrap();
    assert_eq!(published.digest, Digest::of(&bytes));
    let pulled = wait(client.pull(&published.reference)).unwrap();
    assert_eq!(pulled.component, bytes);
    assert_eq!((pulled.digest, &pulled.reference), (published.digest, &published.reference));

    // Again: nothing changes, also without a tag.
    let again = wait(client.publish(&tagged, bytes.clone().into())).unwrap();
    assert_eq!(again, published);
    let untagged = reference(&format!("oci://{}/acme/other", registry.host));
    let other = wait(client.publish(&untagged, bytes.clone().into())).unwrap();
    assert_eq!(wait(client.pull(&other.reference)).unwrap().component, bytes);

    // A tag is told, not followed.
    let error = wait(client.pull(&tagged)).unwrap_err();
    let DistributionError::DigestNeeded { today, .. } = &error else { panic!("{error}") };
    assert_eq!(**today, published.reference);
    assert!(error.to_string().contains("a tag can be moved"), "{error}");
    wait(client.publish(&tagged, component(b"second").into())).unwrap();
    assert_ne!(wait(client.resolve(&tagged)).unwrap(), published.reference);
    assert_eq!(wait(client.pull(&published.reference)).unwrap().component, bytes);

    let wrong = reference(&format!("{}", published.reference).replace(
        &published.reference.digest.unwrap().to_string(),
        &Digest::of(b"other").to_string(),
    ));
    let error = wait(client.publish(&wrong, bytes.into())).unwrap_err();
    assert!(matches!(error, DistributionError::OtherDigest { .. }), "{error}");
}

#[test]
fn it_lies_there_as_the_cncf_says() {
    let registry = Registry::start();
    let bytes = component(b"layout");
    let tagged = reference(&format!("oci://{}/acme/layout:v1", registry.host));
    let published = wait(client(&registry.host).publish(&tagged, bytes.clone().into())).unwrap();

    let get = |path: &str| {
        let mut connection = Connection::open(&registry.host).unwrap();
        let answer = connection.request("GET", path, &[("accept", MANIFEST)], b"").unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer
    };
    let answer = get("/v2/acme/layout/manifests/v1");
    assert_eq!(answer.header("content-type"), Some(MANIFEST));
    let digest = published.reference.digest.unwrap().to_string();
    assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
    let manifest = answer.json();
    assert_eq!(manifest["schemaVersion"], 2);
    assert_eq!(manifest["mediaType"], MANIFEST);
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    assert_eq!(layers[0]["mediaType"], "application/wasm");
    assert_eq!(layers[0]["size"], bytes.len());
    assert_eq!(layers[0]["digest"], published.digest.to_string());

    let config =
        get(&format!("/v2/acme/layout/blobs/{}", manifest["config"]["digest"].as_str().unwrap()));
    assert_eq!(manifest["config"]["size"], config.body.len());
    let config: Value = config.json();
    assert_eq!((&config["architecture"], &config["os"]), (&json!("wasm"), &json!("wasip2")));
    assert_eq!(config["layerDigests"], json!([published.digest.to_string()]));
    assert_eq!(config["component"], json!({ "exports": [], "imports": [] }));
    assert!(config["created"].is_string());
    let layer = get(&format!("/v2/acme/layout/blobs/{}", published.digest));
    assert_eq!(layer.body, bytes);
}

/// A manifest as another tool writes it; answers the reference by digest.
fn foreign(registry: &Registry, config: &str, component: &[u8], manifest: &str) -> String {
    let sum = |bytes: &[u8]| Digest::of(bytes).to_string();
    registry.put_blob("foreign/rule", &sum(config.as_bytes()), config.as_bytes());
    registry.put_blob("foreign/rule", &sum(component), component);
    let manifest = manifest
        .replace("CONFIG_DIGEST", &sum(config.as_bytes()))
        .replace("CONFIG_SIZE", &config.len().to_string())
        .replace("LAYER_DIGEST", &sum(component))
        .replace("LAYER_SIZE", &component.len().to_string());
    assert_eq!(registry.put_manifest("foreign/rule", "1", MANIFEST, manifest.as_bytes()), 201);
    format!("oci://{}/foreign/rule@{}", registry.host, sum(manifest.as_bytes()))
}

#[test]
fn what_wkg_and_oras_write_is_pulled() {
    let registry = Registry::start();
    let client = client(&registry.host);
    let bytes = component(b"foreign");
    // `wkg oci push`
    let config = format!(
        r#"{{"created":"2026-01-02T03:04:05.678Z","author":"a","architecture":"wasm","os":"wasip2","layerDigests":["{}"],"component":{{"exports":["tidegate:rules/rules@1.0.0"],"imports":[],"target":null}}}}"#,
        Digest::of(&bytes)
    );
    let manifest = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"CONFIG_DIGEST","size":CONFIG_SIZE},"layers":[{"mediaType":"application/wasm","digest":"LAYER_DIGEST","size":LAYER_SIZE}],"annotations":{"org.opencontainers.image.version":"1.0.0"}}"#;
    let wkg = foreign(&registry, &config, &bytes, manifest);
    assert_eq!(pull(&client, &wkg).unwrap().component, bytes);
    // `oras push --config config.json:application/vnd.wasm.config.v0+json … rule.wasm:application/wasm`
    let manifest = r#"{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "config": {"mediaType": "application/vnd.wasm.config.v0+json", "digest": "CONFIG_DIGEST", "size": CONFIG_SIZE},
  "layers": [
    {"mediaType": "application/wasm", "digest": "LAYER_DIGEST", "size": LAYER_SIZE, "annotations": {"org.opencontainers.image.title": "rule.wasm"}}
  ],
  "annotations": {"org.opencontainers.image.created": "2026-01-02T03:04:05Z"}
}"#;
    let oras = foreign(&registry, "{}", &bytes, manifest);
    assert_eq!(pull(&client, &oras).unwrap().component, bytes);
}

#[test]
fn a_blob_that_was_tampered_with_is_refused() {
    let registry = Registry::start();
    let client = client(&registry.host);
    let bytes = component(b"honest");
    let place = reference(&format!("oci://{}/acme/rule", registry.host));
    let published = wait(client.publish(&place, bytes.clone().into())).unwrap();
    let config = {
        let path = registry.blob_path(&published.reference.digest.unwrap().to_string());
        let manifest: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        manifest["config"]["digest"].as_str().unwrap().to_owned()
    };
    for (digest, what) in [
        (published.digest.to_string(), "component"),
        (config, "configuration"),
        (published.reference.digest.unwrap().to_string(), "manifest"),
    ] {
        let path = registry.blob_path(&digest);
        let honest = std::fs::read(&path).unwrap();
        let mut forged = honest.clone();
        let middle = forged.len() / 2;
        forged[middle] ^= 1;
        std::fs::write(&path, &forged).unwrap();
        let error = wait(client.pull(&published.reference)).unwrap_err();
        // The registry may notice by itself, for it reads manifests.
        let is_told = match &error {
            DistributionError::Forged { what: found, .. } => *found == what,
            DistributionError::Refused { .. } | DistributionError::NotFound { .. } => {
                what == "manifest"
            }
            _ => false,
        };
        assert!(is_told, "{what}: {error}");
        std::fs::write(&path, honest).unwrap();
    }
    assert_eq!(wait(client.pull(&published.reference)).unwrap().component, bytes);
}

#[test]
fn other_artifacts_are_told_apart() {
    let registry = Registry::start();
    let client = client(&registry.host);
    let bytes = component(b"artifact");
    let manifest = |config: &str, layers: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"{config}","digest":"CONFIG_DIGEST","size":CONFIG_SIZE}},"layers":[{layers}]}}"#
        )
    };
    let layer = |media: &str| {
        format!(r#"{{"mediaType":"{media}","digest":"LAYER_DIGEST","size":LAYER_SIZE}}"#)
    };
    let wasm = layer("application/wasm");
    let config = "application/vnd.wasm.config.v0+json";
    for (manifest, word) in [
        (manifest("application/vnd.oci.image.config.v1+json", &wasm), "no WebAssembly artifact"),
        (manifest(config, &layer("application/gzip")), "`application/gzip`, not application/wasm"),
        (manifest(config, &format!("{wasm},{wasm}")), "2 layers"),
        (manifest(config, ""), "0 layers"),
    ] {
        let error = pull(&client, &foreign(&registry, "{}", &bytes, &manifest)).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert!(error.to_string().contains("foreign/rule@sha256:"), "{error}");
    }
    let honest = foreign(&registry, "{}", &bytes, &manifest(config, &wasm));
    let mut small = options(&registry.host);
    small.component_bytes = bytes.len() as u64 - 1;
    let error = pull(&RegistryClient::new(small), &honest).unwrap_err().to_string();
    assert!(error.contains(&format!("at most {}", bytes.len() - 1)), "{error}");
    let missing = honest.replace("foreign/rule", "foreign/none");
    let error = pull(&client, &missing).unwrap_err().to_string();
    assert!(error.contains("no such manifest"), "{error}");
    std::fs::remove_file(registry.blob_path(&Digest::of(&bytes).to_string())).unwrap();
    let error = pull(&client, &honest).unwrap_err().to_string();
    assert!(error.contains("no such component"), "{error}");
    for (bytes, word) in [(&b"\0asm\x01\0\0\0"[..], "core module"), (b"text", "no WebAssembly")] {
        let place = reference(&format!("oci://{}/a", registry.host));
        let error = wait(client.publish(&place, bytes.to_vec().into())).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("wasm32-wasip2"), "{error}");
    }
}

#[test]
fn a_registry_that_asks_who_we_are() {
    // `htpasswd -nbB me secret`
    let users = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
    let registry = Registry::start_with(RegistrySettings { htpasswd: Some(users), tls: None });
    let place = reference(&format!("oci://{}/acme/rule:1", registry.host));
    let bytes = component(b"closed");
    let as_user = |password: &str| {
        let mut options = options(&registry.host);
        let credential = Credential { user: "me".to_owned(), password: password.to_owned() };
        options.credentials = Credentials::everywhere(credential);
        RegistryClient::new(options)
    };
    let published = wait(as_user("secret").publish(&place, bytes.clone().into())).unwrap();
    let pulled = wait(as_user("secret").pull(&published.reference)).unwrap();
    assert_eq!(pulled.component, bytes);
    for client in [client(&registry.host), as_user("guessed")] {
        let error = wait(client.pull(&published.reference)).unwrap_err();
        assert!(matches!(error, DistributionError::Denied { status: 401, .. }), "{error}");
        assert!(error.to_string().contains("TIDEGATE_REGISTRY_USER"), "{error}");
        assert!(!error.to_string().contains("guessed"), "{error}");
    }
}

#[test]
fn only_hosts_on_the_list_are_spoken_to() {
    let registry = Registry::start();
    let digest = Digest::of(b"x");
    let text = format!("oci://{}/a@{digest}", registry.host);
    let mut closed = options("elsewhere.example");
    for allowed in [vec!["elsewhere.example".to_owned()], Vec::new()] {
        closed.allowed = AllowedHosts::Only(allowed);
        let error = pull(&RegistryClient::new(closed.clone()), &text).unwrap_err();
        assert!(matches!(error, DistributionError::NotAllowed { .. }), "{error}");
        assert!(error.to_string().contains("[registries]"), "{error}");
    }
}
