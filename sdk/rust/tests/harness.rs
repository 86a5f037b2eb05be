//! The native harness, through a rule that uses every part of the interface: what it answers, and
//! that it refuses what is wrong.

use tidegate_sdk::testing::check_case;
use tidegate_sdk::{
    Batch, Boolean, Cell, Check, Code, Config, Field, Integer, Invalid, Json, Lookup, Manifest,
    Number, Outcome, Presence, RawJson, Role, Row, Rule, Severity, Table, TableColumn, Target,
    Text,
};

/// Says what it sees of `/v` in every way.
struct Probe {
    text: Field<Text>,
    integer: Field<Integer>,
    number: Field<Number>,
    boolean: Field<Boolean>,
    json: Field<Json>,
    presence: Field<Presence>,
    name: Lookup<Text>,
    size: Lookup<Number>,
    sizes: TableColumn<Number>,
    table: Table,
    checks: [Check; 6],
    seen: Code,
    event: Code,
    target: Target,
}

impl Rule for Probe {
    const NAME: &'static str = "probe";
    const ROLE: Role = Role::Enricher;

    fn configure(_: &Config<'_>, manifest: &mut Manifest) -> Result<Self, Invalid> {
        let text = manifest.read("/v");
        let integer = manifest.read_lazily("/v");
        let number = manifest.read("/v");
        let json = manifest.read_lazily("/v");
        let table = manifest.table("things");
        let name = manifest.table_column(table, "name");
        let sizes = manifest.table_column(table, "size");
        Ok(Self {
            text,
            integer,
            number,
            boolean: manifest.read("/v"),
            json,
            presence: manifest.read("/v"),
            name: manifest.lookup(name, text),
            size: manifest.lookup(sizes, text),
            sizes,
            table,
            checks: [
                manifest.matches(text, "^[a-z]+$"),
                manifest.conforms(json, r#"{"type": ["string", "null"]}"#),
                manifest.in_range(integer, 1.0, 10.0),
                manifest.in_range(number, 1.0, f64::INFINITY),
                manifest.contains(table, text),
                manifest.contains_key(table, text, |text, key| key.push_str(&text.to_lowercase())),
            ],
            seen: manifest.code("seen", Severity::Info),
            event: manifest.code("event", Severity::Warn),
            target: manifest.write("/w"),
        })
    }

    fn evaluate(&self, row: &Row<'_>, out: &mut Outcome) {
        let kinds = (row.get(self.text), row.get(self.integer), row.get(self.number));
        let others = (row.get(self.boolean), row.get(self.json), row.get(self.presence));
        out.finding(self.seen, self.text, format_args!("{kinds:?} {others:?}"));
        let checks = self.checks.map(|check| row.check(check));
        let looked_up = (row.get(self.name), row.get(self.size));
        out.finding(self.seen, self.name, format_args!("{checks:?} {looked_up:?}"));
        match row.get(self.json) {
            Cell::Present(json) => out.set(self.target, &RawJson(json)),
            _ => out.remove(self.target),
        }
    }

    fn evaluate_batch(&self, batch: &Batch<'_>, out: &mut Outcome) {
        let lower: Vec<_> =
            batch.rows().map(|row| row.get(self.text).present().map(str::to_lowercase)).collect();
        let sizes = batch.look_up(self.sizes, lower.iter().map(Option::as_deref));
        for (index, row) in batch.rows().enumerate() {
            out.start_row(&row);
            self.evaluate(&row, out);
            let generation = batch.generation(self.table);
            out.finding_on_event(self.event, format_args!("{generation} {:?}", sizes.get(index)));
        }
    }
}

/// A case of one event with the three findings and the patch expected of it.
fn probe(event: &str, kinds: &str, looked_up: &str, computed: &str, patch: &str) -> String {
    let escape = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        r#"{{"config": {{}}, "events": [{event}],
        "tables": {{"things": [{{"id": "a", "name": "Ä", "size": "1.5"}}, {{"id": "b", "name": null, "size": "big"}}]}},
        "expect": {{"findings": [
            {{"row": 0, "code": "seen", "severity": "info", "pointer": "/v", "detail": {}}},
            {{"row": 0, "code": "seen", "severity": "info", "pointer": "/v", "detail": {}}},
            {{"row": 0, "code": "event", "severity": "warn", "detail": {}}}],
            "patches": [{{"row": 0, "pointer": "/w", {patch}}}]}}}}"#,
        escape(kinds),
        escape(looked_up),
        escape(computed)
    )
}

#[test]
fn everything_a_rule_can_ask() {
    for (event, kinds, looked_up, computed, patch) in [
        (
            r#"{"v": "a"}"#,
            r#"(Present("a"), OtherType, OtherType) (OtherType, Present("\"a\""), Present(()))"#,
            r#"[Some(true), Some(true), None, None, Some(true), Some(true)] (Present("Ä"), Present(1.5))"#,
            "1 Present(1.5)",
            r#""op": "set", "value": "a""#,
        ),
        (
            r#"{"v": "A"}"#,
            r#"(Present("A"), OtherType, OtherType) (OtherType, Present("\"A\""), Present(()))"#,
            "[Some(false), Some(true), None, None, Some(false), Some(true)] (Missing, Missing)",
            "1 Present(1.5)",
            r#""op": "set", "value": "A""#,
        ),
        (
            r#"{"v": "b"}"#,
            r#"(Present("b"), OtherType, OtherType) (OtherType, Present("\"b\""), Present(()))"#,
            "[Some(true), Some(true), None, None, Some(true), Some(true)] (Null, OtherType)",
            "1 OtherType",
            r#""op": "set", "value": "b""#,
        ),
        (
            r#"{"v": 11}"#,
            r#"(OtherType, Present(11), Present(11.0)) (OtherType, Present("11"), Present(()))"#,
            "[None, Some(false), Some(false), Some(true), None, None] (Missing, Missing)",
            "1 Missing",
            r#""op": "set", "value": 11"#,
        ),
        (
            r#"{"v": false}"#,
            r#"(OtherType, OtherType, OtherType) (Present(false), Present("false"), Present(()))"#,
            "[None, Some(false), None, None, None, None] (Missing, Missing)",
            "1 Missing",
            r#""op": "set", "value": false"#,
        ),
        (
            r#"{"v": null}"#,
            "(Null, Null, Null) (Null, Null, Null)",
            "[None, Some(true), None, None, None, None] (Missing, Missing)",
            "1 Missing",
            r#""op": "remove""#,
        ),
        (
            "{}",
            "(Missing, Missing, Missing) (Missing, Missing, Missing)",
            "[None, None, None, None, None, None] (Missing, Missing)",
            "1 Missing",
            r#""op": "remove""#,
        ),
    ] {
        let case = probe(event, kinds, looked_up, computed, patch);
        check_case::<Probe>(&case).unwrap_or_else(|failure| panic!("{event}: {failure}"));
    }
}

/// Finds, sets and declares what its configuration says, right or wrong.
struct Scripted {
    raw: String,
    first: bool,
    code: Code,
    target: Option<Target>,
    field: Field<Text>,
}

impl Rule for Scripted {
    const NAME: &'static str = "scripted";
    const ROLE: Role = Role::Enricher;

    fn configure(config: &Config<'_>, manifest: &mut Manifest) -> Result<Self, Invalid> {
        let script = config.object(&["code", "read", "write", "raw", "first", "table"])?;
        let text = |key: &str| script.optional(key).map(|place| place.text()).transpose();
        let (code, read, write) = (text("code"), text("read"), text("write"));
        if let Some(table) = text("table")? {
            manifest.table(table);
        }
        Ok(Self {
            raw: text("raw")?.unwrap_or("1").to_owned(),
            first: script.optional("first").is_some(),
            code: manifest.code(code?.unwrap_or("found"), Severity::Soft),
            field: manifest.read(read?.unwrap_or("/v")),
            target: write?.map(|pointer| manifest.write(pointer)),
        })
    }

    fn evaluate(&self, row: &Row<'_>, out: &mut Outcome) {
        if let Some(target) = self.target {
            out.set(target, &RawJson(&self.raw));
        }
        out.require(row, self.field, self.code);
    }

    fn evaluate_batch(&self, batch: &Batch<'_>, out: &mut Outcome) {
        // Judging the first row alone is what the check of independence must notice.
        let rows = if self.first { 1 } else { usize::MAX };
        for row in batch.rows().take(rows) {
            out.start_row(&row);
            self.evaluate(&row, out);
        }
    }
}

const FOUND: &str =
    r#"{"findings": [{"row": 1, "code": "found", "severity": "soft", "pointer": "/v"}]}"#;

fn scripted(config: &str, expect: &str) -> Result<(), String> {
    let events = r#"[{"v": "a"}, {"v": 1}]"#;
    check_case::<Scripted>(&format!(
        r#"{{"config": {config}, "events": {events}, "expect": {expect}}}"#
    ))
}

#[test]
fn a_met_case_passes() {
    scripted("{}", FOUND).unwrap();
}

#[test]
fn a_case_that_is_not_met_fails() {
    for (config, expect, because) in [
        ("{}", r#"{"findings": []}"#, "but got"),
        ("{}", &FOUND.replace("soft", "hard"), "but got"),
        ("{}", &FOUND.replace("/v", "/w"), "but got"),
        ("{}", &FOUND.replace(r#""row": 1"#, r#""row": 0"#), "but got"),
        ("{}", &FOUND.replace(r#""pointer""#, r#""detail": "no", "pointer""#), "has another type"),
        (r#"{"write": "/w"}"#, FOUND, r#""op": "set""#),
        (r#"{"write": "/w", "raw": "{"}"#, FOUND, "is no JSON"),
        (r#"{"write": "w"}"#, FOUND, "is no place in an event"),
        (r#"{"write": ""}"#, FOUND, "is no place in an event"),
        (r#"{"read": "v"}"#, FOUND, "is no field"),
        (r#"{"read": "@clock"}"#, FOUND, "is no field"),
        (r#"{"read": "@occurrence"}"#, FOUND, "and it is [Integer]"),
        (r#"{"code": "Not A Code"}"#, FOUND, "lower-case words"),
        (r#"{"table": "absent"}"#, FOUND, "no table `absent`"),
        (r#"{"first": true}"#, r#"{"findings": []}"#, "judged independently"),
        (r#"{"unknown": 1, "code": 5}"#, FOUND, "configuration was refused"),
    ] {
        let failure = scripted(config, expect).expect_err(config);
        assert!(failure.contains(because), "{config} {expect}: {failure}");
    }
}

#[test]
fn malformed_cases_are_refused() {
    for (case, because) in [
        ("[]", "this is no case"),
        (r#"{"config": {}, "evnts": []}"#, "unknown field"),
        (r#"{"config": {}, "events": [{}]}"#, "one of `expect`"),
        (r#"{"config": {}, "events": [], "expect": {}}"#, "at least one row"),
        (r#"{"config": {}, "events": [{}], "host": [{}, {}], "expect": {}}"#, "one entry for each"),
        (r#"{"config": {}, "expect_problems": []}"#, "was taken"),
        (
            r#"{"config": [], "expect_problems": [{"pointer": "", "message": "nothing"}]}"#,
            "must be an object",
        ),
    ] {
        let failure = check_case::<Scripted>(case).expect_err(case);
        assert!(failure.contains(because), "{case}: {failure}");
    }
}
