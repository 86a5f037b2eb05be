//! What lies in the registry: the CNCF TAG Runtime's layout for WebAssembly as an OCI artifact. An
//! image manifest whose configuration is `application/vnd.wasm.config.v0+json` and whose one layer,
//! `application/wasm`, is the component as it is.
//!
//! What is written here is the same for the same component, so publishing again changes nothing:
//! the time of its making, which the configuration must have, is always the epoch.

use serde::{Deserialize, Serialize};
use tidegate_types::Digest;
use wasmparser::{Encoding, Payload};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub(crate) const LAYER: &str = "application/wasm";
/// More than any honest manifest or configuration has.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 1 << 20;
pub(crate) const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Why what a registry holds is not taken as a component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    #[error("the manifest is not JSON in the form of an OCI image manifest: {0}")]
    NoManifest(String),
    #[error("it is an index of several manifests; name the digest of one of them")]
    Index,
    #[error("the manifest has the media type `{0}`, not {MANIFEST}")]
    ManifestType(String),
    #[error("the manifest has schema version {0}, not 2")]
    SchemaVersion(u64),
    #[error(
        "the configuration has the media type `{0}`, not {CONFIG}: this is no WebAssembly artifact; publish it with `tidegate plugin publish`, `wkg oci push` or `oras push --config FILE:{CONFIG}`"
    )]
    ConfigType(String),
    #[error("the manifest has {0} layers; a component is exactly one")]
    Layers(usize),
    #[error("the layer has the media type `{0}`, not {LAYER}")]
    LayerType(String),
    #[error("the {what} has {bytes} bytes; at most {limit} are taken")]
    TooLarge { what: &'static str, bytes: u64, limit: u64 },
    #[error("the configuration is not a JSON object: {0}")]
    NoConfig(String),
    #[error("the configuration is for the architecture `{0}`, not wasm")]
    Architecture(String),
    #[error("the configuration speaks of other layers than the manifest has")]
    OtherLayers,
}

/// A blob as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// What is said of a manifest of any kind before it is read as one of ours.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: &'a str,
    architecture: &'a str,
    os: &'a str,
    layer_digests: [Digest; 1],
    component: Interfaces,
}

/// Names of what a component imports and exports.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Interfaces {
    exports: Vec<String>,
    imports: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadConfig {
    architecture: Option<String>,
    layer_digests: Option<Vec<String>>,
}

/// What is pushed beside a component.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
    }
}

/// Configuration and manifest of a component.
///
/// # Errors
/// A text that says why the bytes are no component.
pub(crate) fn pack(component: &[u8]) -> Result<Packed, String> {
    let layer = descriptor(LAYER, component);
    let config = Config {
        created: "1970-01-01T00:00:00Z",
        architecture: "wasm",
        os: "wasip2",
        layer_digests: [layer.digest],
        component: interfaces(component)?,
    };
    let config = serde_json::to_vec(&config).map_err(|error| error.to_string())?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST.to_owned()),
        config: descriptor(CONFIG, &config),
        layers: vec![layer],
    };
    let manifest = serde_json::to_vec(&manifest).map_err(|error| error.to_string())?;
    Ok(Packed { config, manifest })
}

fn interfaces(component: &[u8]) -> Result<Interfaces, String> {
    let mut found = Interfaces::default();
    let mut depth = 0usize;
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        match payload.map_err(|error| format!("this is no WebAssembly: {error}"))? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err("this is a core module, not a component".to_owned());
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import.map_err(|error| error.to_string())?;
                    found.imports.push(import.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.map_err(|error| error.to_string())?;
                    found.exports.push(export.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The configuration and the layer that a manifest names; the layer has at most `limit` bytes.
pub(crate) fn read_manifest(
    bytes: &[u8],
    limit: u64,
) -> Result<(Descriptor, Descriptor), LayoutError> {
    let malformed = |error: serde_json::Error| LayoutError::NoManifest(error.to_string());
    let kind: Kind = serde_json::from_slice(bytes).map_err(malformed)?;
    if kind.manifests.is_some() {
        return Err(LayoutError::Index);
    }
    if let Some(other) = kind.media_type.filter(|kind| kind != MANIFEST) {
        return Err(LayoutError::ManifestType(quoted(&other)));
    }
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(malformed)?;
    if manifest.schema_version != 2 {
        return Err(LayoutError::SchemaVersion(manifest.schema_version));
    }
    let config = manifest.config;
    if config.media_type != CONFIG {
        return Err(LayoutError::ConfigType(quoted(&config.media_type)));
    }
    let layers = manifest.layers.len();
    let [layer] =
        <[Descriptor; 1]>::try_from(manifest.layers).map_err(|_| LayoutError::Layers(layers))?;
    if layer.media_type != LAYER {
        return Err(LayoutError::LayerType(quoted(&layer.media_type)));
    }
    for (what, bytes, limit) in
        [("configuration", config.size, MAX_CONFIG_BYTES), ("component", layer.size, limit)]
    {
        if bytes > limit {
            return Err(LayoutError::TooLarge { what, bytes, limit });
        }
    }
    Ok((config, layer))
}

/// Does a configuration speak of this layer? Members that other tools leave out are not asked for.
pub(crate) fn check_config(bytes: &[u8], layer: &Digest) -> Result<(), LayoutError> {
    let config: ReadConfig =
        serde_json::from_slice(bytes).map_err(|error| LayoutError::NoConfig(error.to_string()))?;
    if let Some(other) = config.architecture.filter(|architecture| architecture != "wasm") {
        return Err(LayoutError::Architecture(quoted(&other)));
    }
    match config.layer_digests {
        Some(digests) if digests != [layer.to_string()] => Err(LayoutError::OtherLayers),
        _ => Ok(()),
    }
}

/// So much of a registry's text as a message can hold.
pub(crate) fn quoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    type Change<'a> = &'a dyn Fn(&mut Value);

    /// An empty component: magic number, version, layer.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn what_is_packed_is_read_and_always_the_same() {
        let packed = pack(EMPTY).unwrap();
        assert_eq!(pack(EMPTY).unwrap().manifest, packed.manifest);
        let (config, layer) = read_manifest(&packed.manifest, 8).unwrap();
        assert_eq!((config.digest, layer.digest), (Digest::of(&packed.config), Digest::of(EMPTY)));
        assert_eq!(layer.size, 8);
        check_config(&packed.config, &layer.digest).unwrap();
        assert_eq!(check_config(&packed.config, &config.digest), Err(LayoutError::OtherLayers));
        assert!(pack(MODULE).unwrap_err().contains("core module"));
        assert!(pack(b"hello").unwrap_err().contains("no WebAssembly"));
    }

    #[test]
    fn manifests_of_another_form_are_told_apart() {
        let manifest: Value = serde_json::from_slice(&pack(EMPTY).unwrap().manifest).unwrap();
        let read = |change: Change<'_>| {
            let mut changed = manifest.clone();
            change(&mut changed);
            read_manifest(changed.to_string().as_bytes(), 8).map(|_| ())
        };
        let layer = manifest["layers"][0].clone();
        assert_eq!(read(&|_| ()), Ok(()));
        // What `oras` leaves out or adds.
        assert_eq!(read(&|m| drop(m.as_object_mut().unwrap().remove("mediaType"))), Ok(()));
        assert_eq!(read(&|m| m["annotations"] = json!({"a": "b"})), Ok(()));
        let rows: [(Change<'_>, &str); 9] = [
            (&|m| m["manifests"] = json!([]), "index"),
            (&|m| m["mediaType"] = json!("application/x"), "`application/x`"),
            (&|m| m["schemaVersion"] = json!(1), "schema version 1"),
            (
                &|m| m["config"]["mediaType"] = json!("application/vnd.oci.image.config.v1+json"),
                "oras push",
            ),
            (&|m| m["layers"] = json!([]), "0 layers"),
            (&|m| m["layers"] = json!([layer, layer]), "2 layers"),
            (&|m| m["layers"][0]["mediaType"] = json!("application/gzip"), "`application/gzip`"),
            (&|m| m["layers"][0]["size"] = json!(9), "at most 8"),
            (&|m| m["layers"][0]["digest"] = json!("md5:0"), "digest"),
        ];
        for (change, word) in rows {
            let error = read(change).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let large = read(&|m| m["config"]["size"] = json!(2 << 20)).unwrap_err();
        assert!(matches!(large, LayoutError::TooLarge { what: "configuration", .. }));
        assert!(matches!(read_manifest(b"{", 8), Err(LayoutError::NoManifest(_))));
    }

    #[test]
    fn configurations_are_held_against_the_layer() {
        let layer = Digest::of(EMPTY);
        for (config, expected) in [
            ("{}".to_owned(), Ok(())),
            (json!({"architecture": "wasm", "layerDigests": [layer]}).to_string(), Ok(())),
            (
                r#"{"architecture":"amd64"}"#.to_owned(),
                Err(LayoutError::Architecture("amd64".to_owned())),
            ),
            (r#"{"layerDigests":[]}"#.to_owned(), Err(LayoutError::OtherLayers)),
        ] {
            assert_eq!(check_config(config.as_bytes(), &layer), expected, "{config}");
        }
        assert!(matches!(check_config(b"[", &layer), Err(LayoutError::NoConfig(_))));
    }
}
