//! Bad components: the step that each fails in, the place that is named, and the hint.

use serde_json::{Value, json};
use tidegate_plugin_host::certify::{StepName, StepState, Verdict};

use crate::support::{certify, component, host, hostile, packed};

struct Bad {
    what: &'static str,
    bytes: Vec<u8>,
    step: StepName,
    /// A part of what is said to be wrong.
    detail: &'static str,
    /// Members of the place.
    place: Value,
    mend: &'static str,
}

fn bad(
    what: &'static str,
    bytes: Vec<u8>,
    step: StepName,
    detail: &'static str,
    place: Value,
    mend: &'static str,
) -> Bad {
    Bad { what, bytes, step, detail, place, mend }
}

/// A component whose section of cases holds this.
fn with_section(content: &[u8]) -> Vec<u8> {
    let name = tidegate_golden::SECTION;
    let mut body = vec![u8::try_from(name.len()).expect("short")];
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(content);
    let mut out = tidegate_guests::HOSTILE.to_vec();
    out.extend([0, u8::try_from(body.len()).expect("short")]);
    out.extend(body);
    out
}

fn unreadable() -> Vec<Bad> {
    use StepName::Scanned;
    let half = tidegate_guests::HOSTILE.len() / 2;
    let nested = "(component ".repeat(6) + &")".repeat(6);
    let large = "(drop (i32.const 1))".repeat(100_000);
    let large =
        format!("(component (core module (import \"a\" \"b\" (func)) (func) (func {large})))");
    let many = format!("(component (core module {}))", "(func)".repeat(60_001));
    vec![
        bad("nothing", vec![], Scanned, "no WebAssembly", json!({ "byte": 0 }), "as its toolchain"),
        bad("garbage", b"no component".to_vec(), Scanned, "no WebAssembly", json!({}), "as its"),
        bad(
            "a core module",
            component("(module)"),
            Scanned,
            "a core module",
            json!({ "byte": 0 }),
            "wasm32-wasip2",
        ),
        bad(
            "half a component",
            tidegate_guests::HOSTILE[..half].to_vec(),
            Scanned,
            "no WebAssembly",
            json!({}),
            "as its toolchain wrote",
        ),
        bad("too large", vec![0; (4 << 20) + 1], Scanned, "at most 4194304", json!({}), "for size"),
        bad(
            "deep",
            component(&nested),
            Scanned,
            "nested more than 4",
            json!({}),
            "fewer components",
        ),
        bad(
            "a large function",
            component(&large),
            Scanned,
            "at most 262144",
            json!({ "function": 2 }),
            "split the function",
        ),
        bad("many functions", component(&many), Scanned, "more than 60000", json!({}), "lto"),
        bad(
            "sockets",
            component("(component (import \"wasi:sockets/network@0.2.0\" (instance)))"),
            Scanned,
            "is not granted",
            json!({ "import": "wasi:sockets/network@0.2.0" }),
            "no files, network",
        ),
        bad("no cases", with_section(b"x"), Scanned, "cannot be read", json!({}), "plugin pack"),
        bad(
            "a case that is none",
            with_section(b"{\"format\":1,\"cases\":[{\"file\":\"a.json\",\"text\":\"{\\n7}\"}]}"),
            Scanned,
            "a.json, line 2",
            json!({ "case": "a.json", "line": 2 }),
            "plugin pack",
        ),
    ]
}

fn unusable() -> Vec<Bad> {
    use StepName::{Compiled, Linked};
    vec![
        bad(
            "invalid code",
            component("(component (core module (func (result i32) i64.const 1)))"),
            Compiled,
            "cannot be compiled",
            json!({ "byte": 36, "function": 0 }),
            "wasm-tools validate",
        ),
        bad(
            "a large memory",
            component(
                "(component (core module $m (memory 1000)) (core instance (instantiate $m)))",
            ),
            Compiled,
            "more than the host gives",
            json!({}),
            "smaller memories",
        ),
        bad(
            "no exports",
            component("(component)"),
            Linked,
            "exports no rules",
            json!({ "export": "tidegate:rules/rules@…" }),
            "against tidegate:rules",
        ),
        bad(
            "a contract of the future",
            component(
                "(component (component $c) (instance $i (instantiate $c)) (export \"tidegate:rules/rules@9.0.0\" (instance $i)))",
            ),
            Linked,
            "needs version 9.0.0 of the contract, and this gateway speaks 1.0.0, 1.1.0",
            json!({ "export": "tidegate:rules/rules@9.0.0" }),
            "against tidegate:rules, version 1.0.0 or 1.1.0",
        ),
        bad(
            "two majors",
            component(
                "(component (import \"tidegate:rules/log@9.0.0\" (instance (export \"count\" (func (param \"metric\" u32) (param \"delta\" u64))))) (component $c) (instance $i (instantiate $c)) (export \"tidegate:rules/rules@1.0.0\" (instance $i)))",
            ),
            Linked,
            "of version 1.0.0 and imports from 9.0.0",
            json!({ "import": "tidegate:rules/log@9.0.0" }),
            "against tidegate:rules, version 1.0.0 or 1.1.0",
        ),
        bad(
            "another type for an export",
            component(
                "(component (component $c) (instance $i (instantiate $c)) (export \"tidegate:rules/rules@1.0.0\" (instance $i)))",
            ),
            Linked,
            "does not fit the contract",
            json!({ "export": "tidegate:rules/rules@1.0.0" }),
            "against tidegate:rules",
        ),
    ]
}

fn misconfigured() -> Vec<Bad> {
    let modes = [
        ("undeclared-column", "/manifest/reads/4", "no host column"),
        ("undeclared-writer", "/manifest/writes", "only an enricher may write"),
        ("bad-pointer", "/manifest/reads/4", "is no JSON pointer"),
        ("bad-pattern", "/manifest/patterns/0", "unclosed group"),
        ("outside-schema", "/manifest/schemas/0", "must stay within the schema"),
        ("many-codes", "/manifest/codes", "100000 entries"),
    ];
    let mut out: Vec<Bad> = modes
        .into_iter()
        .map(|(mode, pointer, detail)| {
            let place = json!({ "pointer": pointer, "case": "case.json", "line": 1 });
            let bytes = hostile(&json!({ "configure": mode }), false);
            bad(mode, bytes, StepName::Configured, detail, place, "what the rule declares")
        })
        .collect();
    out.push(bad(
        "a refused configuration",
        hostile(&json!([1]), false),
        StepName::Configured,
        "invalid type",
        json!({ "case": "case.json", "line": 1 }),
        "mend the case's configuration",
    ));
    out
}

fn mistaken() -> Vec<Bad> {
    use StepName::SelfTested;
    let case = |text: &str| packed(tidegate_guests::HOSTILE, &[("c.json", text.to_owned())]);
    vec![
        bad(
            "an event that is none",
            case(
                "{\"config\": {}, \"events\": [\n{\"id\": 1},\n{\"id\": 1, \"id\": 2}], \"expect\": {}}",
            ),
            SelfTested,
            "this is no event",
            json!({ "case": "c.json", "line": 3, "event": 1 }),
            "mend the rule, or the case",
        ),
        bad(
            "a table that is not there",
            case("{\"config\": {\"table\": \"airports\"}, \"events\": [{}], \"expect\": {}}"),
            SelfTested,
            "the case has no table `airports`",
            json!({ "case": "c.json" }),
            "mend the rule, or the case",
        ),
        bad(
            "a configuration that should be refused",
            case(
                "{\n\"config\": {}, \"expect_problems\": [{\"pointer\": \"\", \"message\": \"x\"}]}",
            ),
            SelfTested,
            "the configuration was taken",
            json!({ "case": "c.json", "line": 2 }),
            "mend the rule, or the case",
        ),
        bad(
            "other problems than expected",
            case(
                "{\"config\": 7, \"expect_problems\": [{\"pointer\": \"/a\", \"message\": \"x\"}]}",
            ),
            SelfTested,
            "finds other problems",
            json!({ "case": "c.json", "line": 1 }),
            "mend the rule, or the case",
        ),
    ]
}

/// P3: a version that fails a step says what is wrong, where, and how to mend it.
#[tokio::test]
async fn each_bad_component_fails_in_its_step_with_place_and_hint() {
    let host = host();
    let all = unreadable().into_iter().chain(unusable()).chain(misconfigured()).chain(mistaken());
    for Bad { what, bytes, step, detail, place, mend } in all {
        let report = certify(&host, bytes).await;
        assert_eq!(report.verdict, Verdict::Failed, "{what}: {report:#?}");
        let failed = report.failed_step().expect("a step failed");
        assert_eq!(failed.step, step, "{what}: {failed:#?}");
        let earlier = report.steps.iter().take_while(|one| one.step != step);
        for one in earlier {
            assert_eq!(one.state, StepState::Passed, "{what}: {one:#?}");
        }
        let found = failed.problems.iter().any(|problem| {
            let told = json!(problem.place);
            let placed = place.as_object().expect("an object").iter();
            problem.detail.contains(detail)
                && problem.mend.contains(mend)
                && placed.into_iter().all(|(name, value)| told[name] == *value)
        });
        assert!(found, "{what}: {:#?}", failed.problems);
    }
}

/// All problems of a scan are told, not the first alone.
#[tokio::test]
async fn a_scan_tells_all_problems() {
    let imports = ["wasi:sockets/tcp@0.2.0", "wasi:http/types@0.2.0", "env"];
    let text: String =
        imports.iter().map(|name| format!("(import \"{name}\" (instance))")).collect();
    let report = certify(&host(), component(&format!("(component {text})"))).await;
    let failed = report.failed_step().expect("a step failed");
    let told: Vec<_> = failed.problems.iter().map(|it| it.place.import.as_deref()).collect();
    assert_eq!(told, imports.map(Some));
    let bytes: Vec<_> = failed.problems.iter().filter_map(|it| it.place.byte).collect();
    assert!(bytes.len() == 3 && bytes.is_sorted(), "{bytes:?}");
}
