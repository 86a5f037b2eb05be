//! Tables of texts for the parser, and a comparison with another parser.

use super::*;
use proptest::prelude::*;

fn error(text: &[u8]) -> JsonError {
    let mut builder = match Builder::new(text.to_vec(), Limits { depth: 5, event_depth: 0 }) {
        Ok(builder) => builder,
        Err(error) => return error,
    };
    match builder.whole() {
        Err(error) => error,
        Ok(_) => builder.take_flaws().into_iter().next().expect("an error or a flaw").into(),
    }
}

#[test]
fn refused_texts_name_the_place() {
    for (text, pointer) in [
        (&b""[..], ""),
        (b" ", ""),
        (b"{", ""),
        (b"[1,", "/0"),
        (b"{\"a\":", "/a"),
        (b"{\"a\":tru}", "/a"),
        (b"{\"a\":[1,{\"b\":01}]}", "/a/1/b"),
        (b"{\"a\":1 \"b\":2}", "/a"),
        (b"{\"a\":1,}", "/a"),
        (b"[1,]", "/0"),
        (b"{\"a\":1}x", ""),
        (b"{\"a\":NaN}", "/a"),
        (b"{\"a\":Infinity}", "/a"),
        (b"{\"a\":-}", "/a"),
        (b"{\"a\":\"\\ud800\"}", "/a"),
        (b"{\"a\":\"\\udc00\"}", "/a"),
        (b"{\"a\":\"\\ud800\\u0041\"}", "/a"),
        (b"{\"a\":\"\\x\"}", "/a"),
        (b"{\"a\":\"\n\"}", "/a"),
        (b"{\"a\":\"\xff\"}", ""),
        (b"{'a':1}", ""),
        (b"{a:1}", ""),
        (b"{\"a\":1,\"a\":2}", "/a"),
        (b"{\"a\":{\"b\":1,\"\\u0062\":2}}", "/a/b"),
        (b"[[[[[[1]]]]]]", "/0/0/0/0/0"),
        (b"\xef\xbb\xbf{}", ""),
        (b"{\"a~/\":[01]}", "/a~0~1/0"),
    ] {
        assert_eq!(
            error(text).pointer,
            pointer,
            "{} {:?}",
            String::from_utf8_lossy(text),
            error(text)
        );
    }
}

#[test]
fn a_flaw_leaves_the_rest_readable() {
    let text = br#"[{"a":1,"a":2},{"b":[[[[[[[[1]]]]]]]]},{"c":3}]"#;
    let mut builder =
        Builder::new(text.to_vec(), Limits { depth: 5, event_depth: 1 }).expect("text");
    let root = builder.whole().expect("readable");
    let flaws = builder.take_flaws();
    assert_eq!(
        flaws.iter().map(|f| (f.kind, f.pointer.as_str())).collect::<Vec<_>>(),
        [(FlawKind::DuplicateName, "/0/a"), (FlawKind::TooDeep, "/1/b/0/0/0/0")]
    );
    let document = builder.finish();
    let last = document.at(root).elements().nth(2).expect("third");
    assert_eq!(last.get("c").map(|n| n.lexeme()), Some("3"));
}

#[test]
fn a_deep_value_is_read_over_whatever_is_in_it() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let odd = format!(
        r#"{{"a":[{{}},[],{{"b":[1,"\u0041",null,true,{}]}},{{"c":{{}}}}]}}"#,
        "9".repeat(5000)
    );
    for inner in [deep, odd] {
        let text = format!("[[[[[[{inner},1],2],3],4],5],{{\"c\":3}}]");
        let mut builder =
            Builder::new(text.into_bytes(), Limits { depth: 4, event_depth: 1 }).expect("text");
        let root = builder.whole().expect("readable");
        assert_eq!(builder.take_flaws().len(), 1);
        let document = builder.finish();
        let last = document.at(root).elements().nth(1).expect("second");
        assert_eq!(last.get("c").map(|n| n.lexeme()), Some("3"));
    }
}

#[test]
fn many_names_are_told_apart_without_comparing_all() {
    let mut text = String::from("{");
    for i in 0..50_000 {
        text.push_str(&format!("\"k{i}\":{i},"));
    }
    let unique = format!("{text}\"last\":0}}");
    assert!(Document::parse(unique.into_bytes()).is_ok());
    let twice = format!("{text}\"k49999\":0}}");
    assert_eq!(Document::parse(twice.into_bytes()).expect_err("twice").pointer, "/k49999");
}

#[test]
fn several_values_in_one_source() {
    let mut builder =
        Builder::new(b"{\"a\":1}\nnope\n[\"\\u00e9\"]".to_vec(), Limits::default()).expect("text");
    let first = builder.value(0..7).expect("valid");
    assert_eq!(builder.value(8..12).expect_err("no JSON").offset, 9);
    let third = builder.value(13..23).expect("valid");
    let document = builder.finish();
    assert_eq!(document.at(first).get("a").map(|n| n.lexeme()), Some("1"));
    assert_eq!(document.at(third).elements().next().and_then(|n| n.as_str()), Some("é"));
    assert_eq!(document.at(third).lexeme(), "[\"\\u00e9\"]");
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..40)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn back(node: crate::Node<'_>) -> serde_json::Value {
    match node.kind() {
        Kind::Object => serde_json::Value::Object(
            node.members().map(|(k, v)| (k.as_str().expect("name").to_owned(), back(v))).collect(),
        ),
        Kind::Array => node.elements().map(back).collect(),
        Kind::String => node.as_str().expect("string").into(),
        _ => serde_json::from_str(node.lexeme()).expect("scalar"),
    }
}

proptest! {
    /// What serde_json writes, the tape reads as the same value.
    #[test]
    fn reads_what_serde_json_writes(value in json()) {
        let document = Document::parse(value.to_string().into_bytes()).expect("valid");
        prop_assert_eq!(back(document.root()), serde_json::from_str::<serde_json::Value>(&value.to_string()).expect("valid"));
    }

    /// Bytes that one parser refuses, the other refuses; serde_json keeps the last of equal names.
    #[test]
    fn agrees_with_serde_json_on_validity(text in "[\\[\\]{}:,\"\\\\u0-9a-f.eE+ntrls -]{0,24}") {
        let ours = Document::parse(text.clone().into_bytes());
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        let distinct = !matches!(&ours, Err(e) if e.what.contains("twice"));
        // serde_json refuses numbers beyond doubles, which are valid JSON.
        let huge = matches!(&theirs, Err(e) if e.to_string().contains("number out of range"));
        if distinct && !huge {
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{} {:?} {:?}", text, ours.err(), theirs.err());
        }
    }
}
