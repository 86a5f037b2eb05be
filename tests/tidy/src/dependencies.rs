//! Who may depend on whom: the data plane never on the control plane, and each heavy dependency in
//! one crate, so that builds stay incremental and a choice can be changed in one place.

use std::collections::{BTreeMap, BTreeSet};

use crate::Complaint;
use crate::manifests::{self, Manifest};
use crate::tree::Tree;

/// Heavy dependencies, each with the folders whose crates may use it. Programs under `tests/`, and
/// dev-dependencies, may use them all: tests read what the gateway wrote.
const HEAVY: [(&str, &[&str]); 20] = [
    ("wasmtime", &["host/data-plane/plugin-host"]),
    ("wasmtime-wasi", &["host/data-plane/plugin-host"]),
    ("arrow", &["host/data-plane/storage", "examples/quickstart"]),
    ("parquet", &["host/data-plane/storage", "examples/quickstart"]),
    ("object_store", &["host/data-plane/storage"]),
    ("rusqlite", &["host/control-plane/catalog"]),
    ("tokio-postgres", &["host/control-plane/catalog"]),
    ("redis", &["host/data-plane/redis"]),
    ("rdkafka", &["host/data-plane/kafka"]),
    ("aws-config", &["host/data-plane/kinesis"]),
    ("aws-sdk-cloudwatch", &["host/data-plane/kinesis"]),
    ("aws-sdk-kinesis", &["host/data-plane/kinesis"]),
    ("axum", &["host/control-plane/admin-api"]),
    (
        "hyper-rustls",
        &[
            "host/control-plane/distribution",
            "host/data-plane/identity",
            "host/data-plane/storage",
            "host/telemetry",
            "sdk/connector/rust",
        ],
    ),
    ("opentelemetry-proto", &["host/telemetry"]),
    ("prost", &["host/telemetry"]),
    ("jsonwebtoken", &["host/data-plane/identity"]),
    ("ring", &["host/data-plane/identity"]),
    ("tokio-rustls", &["host/tls"]),
    ("ed25519-dalek", &["host/control-plane/distribution"]),
];

/// No crate of the data plane reaches one of the control plane: not by its own dependencies (of
/// any kind), and not through another crate.
#[must_use]
pub fn planes(tree: &Tree) -> Vec<Complaint> {
    let manifests = manifests::read(tree);
    let by_name: BTreeMap<&str, &Manifest> =
        manifests.iter().map(|manifest| (manifest.name.as_str(), manifest)).collect();
    let mut complaints = Vec::new();
    for from in manifests.iter().filter(|manifest| in_plane(manifest, "host/data-plane/")) {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&str> = from.dependencies().iter().map(|(_, name, _)| *name).collect();
        while let Some(name) = next.pop() {
            let Some(reached) = by_name.get(name).filter(|_| seen.insert(name)) else { continue };
            if in_plane(reached, "host/control-plane/") {
                let message =
                    format!("depends on `{name}`: the data plane never calls the control plane");
                complaints.push(Complaint::new(&from.folder, message));
            }
            let built_with = reached.dependencies().into_iter();
            let built_with = built_with.filter(|(kind, _, _)| *kind != "dev-dependencies");
            next.extend(built_with.map(|(_, name, _)| name));
        }
    }
    complaints
}

fn in_plane(manifest: &Manifest, plane: &str) -> bool {
    manifest.folder.starts_with(plane)
}

/// Each heavy dependency is used where it belongs.
#[must_use]
pub fn heavy(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for manifest in manifests::read(tree) {
        if manifest.folder.starts_with("tests/") {
            continue;
        }
        for (kind, name, _) in manifest.dependencies() {
            let known = HEAVY.iter().find(|(heavy, _)| *heavy == name);
            let Some((_, homes)) = known.filter(|_| kind != "dev-dependencies") else { continue };
            if !homes.contains(&manifest.folder.as_str()) {
                let message = format!("depends on `{name}`, which belongs in {}", homes.join(", "));
                complaints.push(Complaint::new(&manifest.folder, message));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, kind: &str, dependency: &str) -> String {
        format!("package.name = \"{name}\"\n[{kind}]\n{dependency}.workspace = true\n")
    }

    fn tree(files: &[(&str, String)]) -> Tree {
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        Tree::of(&files)
    }

    #[test]
    fn the_data_plane_does_not_reach_the_control_plane() {
        let catalog =
            ("host/control-plane/catalog/Cargo.toml", manifest("catalog", "dependencies", "serde"));
        let bridge = |kind| ("host/bridge/Cargo.toml", manifest("bridge", kind, "catalog"));
        let wal = |kind, on| ("host/data-plane/wal/Cargo.toml", manifest("wal", kind, on));
        for kind in manifests::KINDS {
            let found = planes(&tree(&[catalog.clone(), wal(kind, "catalog")]));
            assert_eq!(found.len(), 1, "{kind}");
            assert_eq!(found[0].place, "host/data-plane/wal");
        }
        let through = [catalog.clone(), bridge("dependencies"), wal("dependencies", "bridge")];
        assert_eq!(planes(&tree(&through)).len(), 1);
        let only_in_its_tests =
            [catalog.clone(), bridge("dev-dependencies"), wal("dependencies", "bridge")];
        assert_eq!(planes(&tree(&only_in_its_tests)), []);
        assert_eq!(
            planes(&tree(&[catalog, bridge("dependencies"), wal("dependencies", "serde")])),
            []
        );
    }

    #[test]
    fn heavy_dependencies_have_one_home() {
        for (path, kind, dependency, count) in [
            ("host/data-plane/plugin-host/Cargo.toml", "dependencies", "wasmtime", 0),
            ("host/data-plane/ingest/Cargo.toml", "dependencies", "wasmtime", 1),
            ("host/data-plane/ingest/Cargo.toml", "build-dependencies", "parquet", 1),
            ("host/data-plane/ingest/Cargo.toml", "dev-dependencies", "parquet", 0),
            ("host/control-plane/admin-api/Cargo.toml", "dependencies", "rusqlite", 1),
            ("tests/bench/Cargo.toml", "dependencies", "wasmtime", 0),
        ] {
            let found = heavy(&tree(&[(path, manifest("it", kind, dependency))]));
            assert_eq!(found.len(), count, "{path} {kind} {dependency}");
        }
    }
}
