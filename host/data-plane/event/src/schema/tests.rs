//! Schemas: what is taken, what is refused, and that violations name every place.

use super::*;
use crate::Document;

fn compile(text: &str) -> Result<Schema, SchemaError> {
    Schema::compile(
        text.as_bytes(),
        &SchemaLimits { bytes: 4096, references: 2, regex_bytes: 1 << 16 },
    )
}

fn places(schema: &str, event: &str) -> Vec<String> {
    let document = Document::parse(event.into()).expect("valid");
    let schema = compile(schema).expect("schema");
    let violations = schema.violations(document.root());
    assert_eq!(schema.is_valid(document.root()), violations.is_empty());
    let mut places: Vec<_> =
        violations.into_iter().map(|v| format!("{} {}", v.pointer, v.keyword)).collect();
    places.sort();
    places
}

#[test]
fn every_violated_place_is_named() {
    let schema = r#"{"type":"object","required":["id","actor"],"additionalProperties":false,"properties":{
        "id":{"type":"string","format":"uuid"},"n":{"type":"integer","minimum":3},"when":{"type":"string","format":"date-time"},
        "actor":{"type":"object","required":["name"],"properties":{"name":{"type":"string","pattern":"^[a-z]+$","maxLength":3}}},
        "tags":{"type":"array","uniqueItems":true,"items":{"enum":["a",1]}}}}"#;
    assert_eq!(
        places(
            schema,
            r#"{"id":"2f1b9cf0-1d6e-4f3a-9a33-0d5a51a6f2aa","actor":{"name":"abc"},"n":3.0,"tags":["a",1.0]}"#
        ),
        [""; 0]
    );
    assert_eq!(
        places(
            schema,
            r#"{"n":2,"actor":{"name":"ABCD"},"x/y":1,"tags":["a","b","a"],"when":"yesterday"}"#
        ),
        [
            "/actor/name maxLength", "/actor/name pattern", "/id required", "/n minimum",
            "/tags uniqueItems", "/tags/1 enum", "/when format", "/x~1y additionalProperties"
        ]
    );
    assert_eq!(
        places(schema, r#"{"id":1,"actor":[],"n":3.5}"#),
        ["/actor type", "/id type", "/n type"]
    );
}

#[test]
fn both_drafts_differ_where_they_should() {
    let tuple = r#""items":[{"type":"integer"}],"additionalItems":false"#;
    let seven = format!(r#"{{"$schema":"http://json-schema.org/draft-07/schema#",{tuple}}}"#);
    assert_eq!(places(&seven, "[1,2]").len(), 1);
    let newest = r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","prefixItems":[{"type":"integer"}],"items":false}"#;
    assert_eq!(places(newest, "[1,2]").len(), 1);
    assert_eq!(places(newest, "[1]").len(), 0);
}

#[test]
fn values_are_never_quoted() {
    let document = Document::parse(br#"{"secret":"s3cr3t"}"#.to_vec()).expect("valid");
    let schema = compile(r#"{"properties":{"secret":{"type":"integer"}}}"#).expect("schema");
    let all = format!("{:?}", schema.violations(document.root()));
    assert!(!all.contains("s3cr3t"), "{all}");
}

#[test]
fn refused_schemas_say_where() {
    let long = format!(r#"{{"description":"{}"}}"#, "x".repeat(5000));
    for (schema, pointer) in [
        ("", ""),
        ("[]", ""),
        (&long, ""),
        (r#"{"$schema":"http://json-schema.org/draft-04/schema#"}"#, "/$schema"),
        (r#"{"properties":{"a":{"$ref":"https://example.com/x"}}}"#, "/properties/a/$ref"),
        (r#"{"$ref":"file:///etc/passwd"}"#, "/$ref"),
        (r##"{"allOf":[{"$ref":"#/a"},{"$ref":"#/a"},{"$ref":"#/a"}],"a":{}}"##, "/allOf/2/$ref"),
        (r#"{"properties":{"a":{"type":"strin"}}}"#, "/properties/a/type"),
        (r#"{"pattern":"(a"}"#, "/pattern"),
    ] {
        assert_eq!(compile(schema).map(|_| ()).expect_err(schema).pointer, pointer, "{schema}");
    }
    for refused in [r#"{"pattern":"(?=a)b"}"#, r#"{"pattern":"(a{1000}){1000}"}"#] {
        assert!(compile(refused).is_err(), "{refused}");
    }
}

#[test]
fn hostile_events_stay_cheap() {
    let schema = compile(r#"{"uniqueItems":true,"items":{"pattern":"^(a+)+$"}}"#).expect("schema");
    let elements: Vec<String> = (0..2000).map(|i| format!("\"{}{i}\"", "a".repeat(30))).collect();
    let document =
        Document::parse(format!("[{}]", elements.join(",")).into_bytes()).expect("valid");
    assert_eq!(schema.violations(document.root()).len(), MAX_VIOLATIONS);
    let document = Document::parse(b"1e999".to_vec()).expect("valid");
    assert!(compile(r#"{"type":"number"}"#).expect("schema").is_valid(document.root()));
}
