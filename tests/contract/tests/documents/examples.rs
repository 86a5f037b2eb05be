//! Every example is what its schema says.

use jsonschema::Validator;
use serde_json::{Value, json};
use tidegate_contract::Document;

fn validator(document: &Document, schema: &Value) -> Validator {
    let mut whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": document.json["components"],
    });
    let members = schema.as_object().expect("a schema").clone();
    whole.as_object_mut().unwrap().extend(members);
    jsonschema::options().should_validate_formats(true).build(&whole).expect("a usable schema")
}

/// Examples with the schema that each belongs to: beside it, or around it.
fn examples(value: &Value) -> Vec<(Value, Value)> {
    let Some(members) = value.as_object() else { return Vec::new() };
    let one = members.get("example").into_iter().cloned();
    let named = members.get("examples").and_then(Value::as_object).into_iter().flatten();
    let all = one.chain(named.filter_map(|(_, example)| example.get("value").cloned()));
    let is_schema = ["type", "oneOf", "allOf"].iter().any(|name| members.contains_key(*name));
    let schema = match members.get("schema") {
        Some(schema) => schema.clone(),
        None if is_schema => value.clone(),
        None => return Vec::new(),
    };
    all.map(|example| (schema.clone(), example)).collect()
}

#[test]
fn every_example_is_valid() {
    for document in [Document::public(), Document::admin()] {
        let (mut checked, mut wrong) = (0, Vec::new());
        document.walk(&mut |at, value| {
            for (schema, example) in examples(value) {
                checked += 1;
                let validator = validator(&document, &schema);
                let errors = validator.iter_errors(&example);
                wrong.extend(errors.map(|error| format!("{at}: {error}")));
            }
        });
        assert_eq!(wrong, [""; 0], "{}", document.name);
        assert!(checked > 50, "{}: {checked}", document.name);
    }
}

/// What is not as it must be is found: a document whose example is wrong does not pass.
#[test]
fn a_wrong_example_is_found() {
    let document = Document::public();
    let receipt = json!({ "$ref": "#/components/schemas/Receipt" });
    let good = json!({
        "event_id": "019e3a5c-7b1e-7c40-9d2f-3f6f0c1a2b3c",
        "received_at": "2026-11-21T09:00:00.030Z",
        "status": "accepted",
    });
    let validator = validator(&document, &receipt);
    assert!(validator.is_valid(&good));
    for (member, value) in [("event_id", "x"), ("received_at", "yesterday"), ("status", "fine")] {
        let mut bad = good.clone();
        bad[member] = json!(value);
        assert!(!validator.is_valid(&bad), "{member}");
    }
}

/// Every operation with a JSON body shows one, and every answer with a body says what is in it.
#[test]
fn bodies_have_schemas() {
    for document in [Document::public(), Document::admin()] {
        for operation in document.operations() {
            if operation.body.is_object() {
                assert!(
                    operation.example().is_some() || !operation.body["required"].as_bool().unwrap(),
                    "{}",
                    operation.name()
                );
            }
            for (status, response) in &operation.responses {
                let media = response["content"].as_object().into_iter().flatten();
                for (media, content) in media {
                    assert!(content["schema"].is_object(), "{} {status} {media}", operation.name());
                }
            }
        }
    }
}
