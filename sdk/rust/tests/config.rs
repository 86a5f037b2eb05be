//! Reading configurations: every problem is reported, each with its place and the mend.

use tidegate_sdk::testing::check_case;
use tidegate_sdk::{Config, Invalid, Manifest, Outcome, Role, Row, Rule};

/// Reads one of everything.
struct Reader;

impl Rule for Reader {
    const NAME: &'static str = "reader";
    const ROLE: Role = Role::Validator;

    fn configure(config: &Config<'_>, _: &mut Manifest) -> Result<Self, Invalid> {
        let all = config.object(&[
            "text", "boolean", "number", "count", "pointer", "field", "code", "severity", "list",
        ])?;
        let read = [
            all.required("text").and_then(|it| it.text()).map(drop),
            all.optional("boolean").map_or(Ok(()), |it| it.boolean().map(drop)),
            all.optional("number").map_or(Ok(()), |it| it.number().map(drop)),
            all.optional("count").map_or(Ok(()), |it| it.count().map(drop)),
            all.optional("pointer").map_or(Ok(()), |it| it.pointer().map(drop)),
            all.optional("field").map_or(Ok(()), |it| it.field().map(drop)),
            all.optional("code").map_or(Ok(()), |it| it.code().map(drop)),
            all.optional("severity").map_or(Ok(()), |it| it.severity().map(drop)),
            all.optional("list").map_or(Ok(()), |it| it.each(3, |item| item.text()).map(drop)),
        ];
        read.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Self)
    }

    fn evaluate(&self, _: &Row<'_>, _: &mut Outcome) {}
}

fn check(config: &str, problems: &[(&str, &str)]) {
    let problems: Vec<_> = problems
        .iter()
        .map(|(pointer, message)| serde_json::json!({"pointer": pointer, "message": message}))
        .collect();
    let expect = if problems.is_empty() {
        r#""events": [{}], "expect": {}"#.to_owned()
    } else {
        format!(r#""expect_problems": {}"#, serde_json::json!(problems))
    };
    check_case::<Reader>(&format!(r#"{{"config": {config}, {expect}}}"#))
        .unwrap_or_else(|failure| panic!("{config}: {failure}"));
}

#[test]
fn all_problems_at_once() {
    check(
        r#"{"boolean": 1, "number": "1", "count": -1, "a/b~": 0, "list": ["a", 1, null]}"#,
        &[
            ("/a~1b~0", "no such key: leave it out, or write one of text, boolean"),
            ("/text", "`text` is missing: add it"),
            ("/boolean", "this must be true or false, not `1`"),
            ("/number", "this must be a number, not `\"1\"`"),
            ("/count", "this must be a whole number, 0 or more, not `-1`"),
            ("/list/1", "this must be text, not `1`"),
            ("/list/2", "this must be text, not `null`"),
        ],
    );
    check("7", &[("", "this must be an object, not `7`")]);
    check(r#"{"text": "", "list": []}"#, &[("/list", "an array of at least one item")]);
    let four = [("/list", "4 items are too many: write at most 3")];
    check(r#"{"text": "", "list": ["", "", "", ""]}"#, &four);
    let long = format!(r#"{{"text": ["{}"]}}"#, "é".repeat(80));
    check(&long, &[("/text", "éé…`")]);
}

#[test]
fn words_are_checked() {
    for (key, good, bad) in [
        ("pointer", ["/a", "/", "/a~0~1/0"].as_slice(), ["", "a", "/a~", "/~2", "@key"].as_slice()),
        (
            "field",
            ["/a", "@key", "@received_at"].as_slice(),
            ["", "@occurrence", "@KEY"].as_slice(),
        ),
        (
            "code",
            ["a", "a-b_c.9"].as_slice(),
            ["", "A", "a--b", "-a", "a b", "ä", &"a".repeat(65)].as_slice(),
        ),
        ("severity", ["info", "warn", "soft", "hard"].as_slice(), ["", "Soft", "fatal"].as_slice()),
    ] {
        for word in good {
            check(&format!(r#"{{"text": "", "{key}": "{word}"}}"#), &[]);
        }
        for word in bad {
            let config = format!(r#"{{"text": "", "{key}": "{word}"}}"#);
            check(&config, &[(&format!("/{key}"), "this must be ")]);
        }
    }
}
