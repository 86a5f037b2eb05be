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
        (r##"{"allOf":[{"$ref":"#/a"},{"$ref":"#/a"},{"$ref":"#/a"}],"a":{}}"##, ""),
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

/// Names `a`, `b`, … that each apply the next twice.
fn doubling(levels: usize, keyword: &str, last: &str) -> String {
    let definition = |level: usize| {
        let next = format!(r##"{{"$ref":"#/$defs/n{}"}}"##, level + 1);
        format!(r#""n{level}":{{"{keyword}":[{next},{next}]}}"#)
    };
    let mut all: Vec<_> = (0..levels).map(definition).collect();
    all.push(format!(r#""n{levels}":{last}"#));
    format!(r##"{{"$ref":"#/$defs/n0","$defs":{{{}}}}}"##, all.join(","))
}

fn compile_default(text: &str) -> Result<Schema, SchemaError> {
    Schema::compile(text.as_bytes(), &SchemaLimits::default())
}

#[test]
fn references_that_fan_out_are_refused() {
    for keyword in ["anyOf", "oneOf", "allOf"] {
        let refused = compile_default(&doubling(60, keyword, "false")).expect_err(keyword);
        assert!(refused.message.contains("subschemas"), "{refused}");
        assert!(refused.pointer.starts_with("/$defs/n"), "{refused:?}");
        compile_default(&doubling(9, keyword, "false")).expect(keyword);
    }
    let anchored = doubling(60, "anyOf", "false")
        .replace("#/$defs/n59", "#x")
        .replace(r#""n59":{"#, r#""n59":{"$anchor":"x","#);
    assert!(compile_default(&anchored).is_err(), "by anchor");
    let nested = format!("{}true{}", r#"{"not":"#.repeat(60), "}".repeat(60));
    assert!(compile_default(&nested).expect_err("nested").message.contains("nested"));
    for endless in [
        r##"{"$ref":"#"}"##,
        r##"{"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"not":{"$ref":"#"}}}}"##,
        r##"{"$dynamicAnchor":"n","anyOf":[{"$dynamicRef":"#n"}]}"##,
    ] {
        let refused = compile_default(endless).expect_err(endless);
        assert!(refused.message.contains("without end"), "{refused}");
    }
}

/// Whatever another reader would resolve in another way is refused.
#[test]
fn references_are_read_in_one_way() {
    let chain = |name: &str| doubling(60, "anyOf", "false").replace("$defs", name);
    let hidden = chain("x").replace(r#""x":{"#, r#""x":{"$id":"urn:x","#);
    for (schema, pointer) in [
        (hidden.as_str(), "/x"),
        (r##"{"$ref":"#/x/01","x":[true,true]}"##, "/$ref"),
        (r##"{"$ref":"#%61","$defs":{"a":{"$anchor":"a"}}}"##, "/$ref"),
        (r##"{"items":{"$ref":"#nowhere"}}"##, "/items/$ref"),
        (r##"{"$defs":{"a":{"$schema":"http://json-schema.org/draft-04/schema#"}}}"##, "/$defs/a"),
        (
            r##"{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":{"$id":"b","$ref":"#/c"}}}"##,
            "/definitions/a",
        ),
    ] {
        assert_eq!(compile_default(schema).expect_err(schema).pointer, pointer, "{schema}");
    }
    let encoded = chain("a b").replace("#/a b/", "#/a%20b/");
    assert!(compile_default(&encoded).is_err(), "percent-encoded");
    assert!(compile_default(r##"{"$ref":"#/$defs/yes","$defs":{"yes":true}}"##).is_ok());
    let anchors = r##"{"$schema":"http://json-schema.org/draft-07/schema#","$id":"https://example.com/s",
        "properties":{"a":{"$ref":"#b"}},"definitions":{"b":{"$id":"#b","type":"integer"}}}"##;
    assert_eq!(places_default(anchors, r#"{"a":"1"}"#), ["/a type"]);
}

/// Data is no schema, whatever it looks like.
#[test]
fn data_is_not_read_as_schemas() {
    let data = r##"{"properties":{"default":{"const":{"$ref":"https://example.com","$id":"x"}},"$ref":{"type":"string"}},
        "default":{"$ref":"#/nowhere"},"examples":[{"$schema":"y"}],"enum":[{"default":{"$id":"z"}},{}]}"##;
    assert_eq!(places_default(data, "{}"), [""; 0]);
    let into = r##"{"$ref":"#/default/a","default":{"a":{"type":"integer"}}}"##;
    assert!(compile_default(into).expect_err("data").message.contains("into data"));
}

/// Compiling a schema follows references too.
#[test]
fn compiling_is_bounded_as_well() {
    let level = |level: usize| {
        let next = format!(r##"{{"$ref":"#/$defs/n{}"}}"##, level + 1);
        format!(r#""n{level}":{{"allOf":[{}]}}"#, [next.as_str(); 30].join(","))
    };
    let mut all: Vec<_> = (0..8).map(level).collect();
    all.push(r#""n8":{}"#.into());
    let first = [r##"{"$ref":"#/$defs/n0"}"##; 3].join(",");
    let schema = format!(r#"{{"anyOf":[{first}],"$defs":{{{}}}}}"#, all.join(","));
    assert!(compile_default(&schema).expect_err("dear").message.contains("subschemas"));
    let member =
        |level: usize| format!(r##"{{"$ref":"#/$defs/a{level}","unevaluatedProperties":true}}"##);
    let level = |level: usize| {
        let next = member(level + 1);
        format!(
            r#""a{level}":{{"additionalProperties":{next},"patternProperties":{{"x":{next}}}}}"#
        )
    };
    let all: Vec<_> = (0..60).map(level).chain([r#""a60":{}"#.to_owned()]).collect();
    let schema = format!(r#"{{"allOf":[{}],"$defs":{{{}}}}}"#, member(0), all.join(","));
    assert!(compile_default(&schema).expect_err("dear").message.contains("unevaluated"));
    let patterns: Vec<_> = (0..2000).map(|n| format!(r#"{{"pattern":"[^{n}]{{900}}"}}"#)).collect();
    let schema = format!(r#"{{"anyOf":[{}]}}"#, patterns.join(","));
    assert!(compile_default(&schema).expect_err("large").message.contains("patterns"));
    let parts = vec!["{}"; 16_000].join(",");
    let schema = format!(r#"{{"properties":{{"{}":{{"anyOf":[{parts}]}}}}}}"#, "n".repeat(100_000));
    assert!(compile_default(&schema).is_err(), "long pointers");
}

/// Violations of a large event are bounded in memory too.
#[test]
fn violations_stay_small() {
    let name = "n".repeat(128 << 10);
    let event = format!(r#"{{"{name}":[{}1]}}"#, "1,".repeat(40_000));
    let document = Document::parse(event.into_bytes()).expect("valid");
    let schema = r#"{"additionalProperties":{"items":{"type":"string"}}}"#;
    let schema = compile_default(schema).expect("a schema");
    let violations = schema.violations(document.root());
    assert!(!violations.is_empty() && violations.len() <= MAX_VIOLATIONS);
}

/// Ordinary schemas over the largest ordinary events fit well.
#[test]
fn ordinary_checks_fit() {
    let choices: Vec<_> =
        (0..250).map(|n| format!(r#"{{"const":"C{n}","title":"currency {n}"}}"#)).collect();
    let members = ["a", "b", "c", "d", "e"];
    let typed: Vec<_> = members.map(|name| format!(r#""{name}":{{"type":"number"}}"#)).into();
    let schema = format!(
        r#"{{"properties":{{"lines":{{"items":{{"type":"object","required":["a","b","c","d","e","currency"],
        "additionalProperties":false,"properties":{{{},"currency":{{"oneOf":[{}]}}}}}}}}}}}}"#,
        typed.join(","),
        choices.join(",")
    );
    let line = r#"{"a":1,"b":2.5,"c":3,"d":4,"e":5,"currency":"C249"}"#;
    let event = format!(r#"{{"lines":[{}]}}"#, vec![line; 2000].join(","));
    assert_eq!(places_default(&schema, &event), [""; 0]);
    let kinds: Vec<_> = (0..13)
        .map(|n| {
            format!(
                r#"{{"properties":{{"k":{{"const":{n}}},"v":{{"items":{{"type":"number"}}}}}}}}"#
            )
        })
        .collect();
    let event = format!(r#"{{"k":12,"v":[{}1]}}"#, "1.5,".repeat(50_000));
    assert_eq!(places_default(&format!(r#"{{"oneOf":[{}]}}"#, kinds.join(",")), &event), [""; 0]);
    let mail = r#"{"properties":{"to":{"items":{"pattern":"^[\\w.+-]+@[\\w-]+\\.[\\w.-]+$"}},"body":{"type":"string","minLength":1}}}"#;
    let to = vec!["\"someone.else+tag@mail.example.com\""; 1000].join(",");
    let letter = format!(r#"{{"to":[{to}],"body":"{}"}}"#, "word ".repeat(40_000));
    assert_eq!(places_default(mail, &letter), [""; 0]);
    // Many violations of a large event are still named.
    let names: Vec<_> = (0..30).map(|n| format!("\"m{n}\"")).collect();
    let missing = places_default(&format!(r#"{{"required":[{}]}}"#, names.join(",")), &event);
    assert_eq!((missing.len(), missing[29].as_str()), (30, "/m29 required"));
}

/// Each took seconds or more before it was paid for.
#[test]
fn dear_checks_end_early() {
    let ones = format!("[{}1]", "1,".repeat(100_000));
    let texts = format!("[{}\"b\"]", "\"b\",".repeat(60_000));
    let members: Vec<_> = (0..20_000).map(|n| format!("\"n{n}\":1")).collect();
    let members = format!("{{{}}}", members.join(","));
    let long_name = format!("{{\"{}\":1}}", "x".repeat(250_000));
    let digits = format!("[{}]", "7".repeat(250_000));
    let bits: String = (0..250_000u32)
        .map(|n| if n.wrapping_mul(2_654_435_761) >> 31 == 0 { '0' } else { '1' })
        .collect();
    let bits = format!("[\"{bits}\"]");
    let list = |one: &dyn Fn(usize) -> String, count: usize| {
        (0..count).map(one).collect::<Vec<_>>().join(",")
    };
    let falses = format!(r#"{{"items":{{"anyOf":[{},true]}}}}"#, list(&|_| "false".into(), 4000));
    let values = format!(
        r#"{{"items":{{"anyOf":[{{"enum":["a",{}]}},true]}}}}"#,
        list(&|n| n.to_string(), 40_000)
    );
    let patterns = format!(
        r#"{{"patternProperties":{{{}}},"additionalProperties":true}}"#,
        list(&|n| format!("\"^n{n}$\":true"), 2000)
    );
    let names = format!(
        r#"{{"propertyNames":{{"allOf":[{}]}}}}"#,
        list(&|n| format!(r#"{{"pattern":"^[^{n}]+y?$"}}"#), 2000)
    );
    let multiples =
        format!(r#"{{"items":{{"allOf":[{}]}}}}"#, list(&|_| r#"{"multipleOf":1}"#.into(), 4000));
    let large = r#"{"items":{"not":{"pattern":"1[01]{9000}[2-9A-Za-z]"}}}"#.to_owned();
    for (schema, event) in [
        (falses, ones),
        (values, texts),
        (patterns, members),
        (names, long_name),
        (multiples, digits),
        (large, bits),
    ] {
        let compiled = compile_default(&schema).expect("a schema");
        let document = Document::parse(event.into_bytes()).expect("valid");
        // Unpaid, each would be valid, after seconds or more.
        let violations = compiled.violations(document.root());
        let keywords: Vec<_> = violations.iter().map(|one| one.keyword.as_str()).collect();
        assert_eq!(keywords, ["steps"], "{schema:.60}");
        assert!(!compiled.is_valid(document.root()), "{schema:.60}");
    }
    let many = format!(r#"{{"items":{{"anyOf":[{},true]}}}}"#, list(&|_| "false".into(), 5000));
    assert!(compile_default(&many).is_err(), "booleans count");
}

#[test]
fn schemas_may_refer_to_themselves_from_within() {
    let tree = r##"{"type":"object","required":["v"],"properties":{"left":{"$ref":"#"},"right":{"$ref":"#"}}}"##;
    assert_eq!(
        places_default(tree, r#"{"v":1,"left":{"v":1,"right":{}}}"#),
        ["/left/right/v required"]
    );
}

fn places_default(schema: &str, event: &str) -> Vec<String> {
    let document = Document::parse(event.into()).expect("valid");
    let violations = compile_default(schema).expect("schema").violations(document.root());
    violations.into_iter().map(|v| format!("{} {}", v.pointer, v.keyword)).collect()
}

/// The validator's recursion fits a small stack with the deepest event and the most nested schema.
#[test]
fn deep_events_under_recursive_schemas_fit_the_stack() {
    let alternatives = r##"{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}"##;
    let own = format!("{}{alternatives}{}", r#"{"not":{"not":"#.repeat(13), "}}".repeat(13));
    let schema = compile_default(&format!(r#"{{"items":{own},"maxItems":3}}"#)).expect("schema");
    let depth = crate::Limits::default().depth as usize - 1;
    let event = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let document = Document::parse(event.into_bytes()).expect("valid");
    let check = move || (schema.is_valid(document.root()), schema.violations(document.root()));
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let (valid, violations) = small.spawn(check).expect("thread").join().expect("no overflow");
    assert_eq!(valid, violations.is_empty());
}

#[test]
fn a_check_that_takes_too_many_steps_is_a_violation() {
    let expensive = format!(
        r#"{{"items":{{"allOf":[{}]}}}}"#,
        ["{\"not\":{\"type\":\"null\"}}"; 1000].join(",")
    );
    let schema = compile_default(&expensive).expect("schema");
    let many = format!("[{}1]", "1,".repeat(5000));
    let document = Document::parse(many.into_bytes()).expect("valid");
    assert!(!schema.is_valid(document.root()));
    let violations = schema.violations(document.root());
    assert_eq!(violations.len(), 1);
    assert_eq!((violations[0].pointer.as_str(), violations[0].keyword.as_str()), ("", "steps"));
    let document = Document::parse(b"[1,2,3]".to_vec()).expect("valid");
    assert!(schema.is_valid(document.root()));
}
