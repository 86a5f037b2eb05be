//! How the documents are written.

use std::collections::BTreeSet;

use serde_json::Value;
use tidegate_contract::Document;

/// Written in one way, so that a difference between two versions is what has changed. With
/// `UPDATE_OPENAPI=1` they are written so.
#[test]
fn the_documents_are_written_in_one_way() {
    for document in [Document::public(), Document::admin()] {
        // Names are sorted: no crate of the workspace asks `serde_json` for another order.
        let text = serde_json::to_string_pretty(&document.json).unwrap() + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../host/docs/openapi");
            std::fs::write(format!("{folder}/{}", document.name), &text).unwrap();
        }
        assert!(document.text == text, "{}: see UPDATE_OPENAPI above", document.name);
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    for document in [Document::public(), Document::admin()] {
        let (mut used, mut lost) = (BTreeSet::new(), Vec::new());
        document.walk(&mut |at, value| {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return };
            let target = reference.strip_prefix('#').and_then(|at| document.json.pointer(at));
            if target.is_none() {
                lost.push(format!("{at}: {reference}"));
            }
            used.insert(reference.to_owned());
        });
        assert_eq!(lost, [""; 0], "{}", document.name);
        for (kind, components) in document.json["components"].as_object().unwrap() {
            for name in components.as_object().unwrap().keys().filter(|_| kind != "securitySchemes")
            {
                let reference = format!("#/components/{kind}/{name}");
                assert!(used.contains(&reference), "{}: {reference} is not used", document.name);
            }
        }
    }
}

/// The tools that lint do not know that schemes without OAuth may name scopes too (OpenAPI 3.1, section
/// "Security Requirement Object"), so this is looked at here.
#[test]
fn operations_are_opened_by_schemes_that_there_are() {
    for document in [Document::public(), Document::admin()] {
        let schemes = document.json["components"]["securitySchemes"].as_object().unwrap();
        for operation in document.operations() {
            for (scheme, scopes) in &operation.opened_by {
                assert!(schemes.contains_key(scheme), "{}: {scheme}", operation.name());
                assert_eq!(scopes.len(), 1, "{}", operation.name());
            }
        }
    }
}
