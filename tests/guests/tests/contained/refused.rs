//! What is refused before it can judge anything: when it is compiled, or when it is configured.

use bytes::Bytes;
use serde_json::json;
use tidegate_plugin_host::CompileError;
use tidegate_plugin_host::compile::ScanError;
use tidegate_plugin_host::host::AdmitError;
use tidegate_types::revision::OnFault;

use crate::support::{admit, host, limits, tenant};

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("a component as text")
}

/// A component that exports an empty rule of a version of the contract, with these parts besides.
fn rule_of(version: &str, parts: &str) -> Vec<u8> {
    component(&format!(
        "(component {parts} (component $c) (instance $i (instantiate $c)) (export \"tidegate:rules/rules@{version}\" (instance $i)))"
    ))
}

/// Sources, and a part of the message that refuses each.
fn odd_components() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let nested = "(component ".repeat(6) + &")".repeat(6);
    let large_function =
        format!("(component (core module (func {})))", "(drop (i32.const 1))".repeat(100_000));
    let many_functions = format!("(component (core module {}))", "(func)".repeat(60_001));
    let invalid = "(component (core module (func (result i32) i64.const 1)))";
    let half = tidegate_guests::HOSTILE.len() / 2;
    vec![
        ("nothing", vec![], "no WebAssembly"),
        ("garbage", b"These are no components!".to_vec(), "no WebAssembly"),
        (
            "a native program",
            std::fs::read("/proc/self/exe").expect("this program")[..4096].to_vec(),
            "no WebAssembly",
        ),
        (
            "a core module",
            component("(module (func (export \"evaluate\")))"),
            "this is a core module",
        ),
        ("half a component", tidegate_guests::HOSTILE[..half].to_vec(), "no WebAssembly"),
        ("no exports", component("(component)"), "does not fit the contract"),
        (
            "sockets",
            component("(component (import \"wasi:sockets/network@0.2.0\" (instance)))"),
            "`wasi:sockets/network@0.2.0` is not granted",
        ),
        (
            "http",
            component("(component (import \"wasi:http/types@0.2.0\" (instance)))"),
            "is not granted",
        ),
        (
            "a host of its own",
            component("(component (import \"host\" (func)))"),
            "`host` is not granted",
        ),
        (
            "a function that the contract does not have",
            rule_of(
                "1.0.0",
                "(import \"tidegate:rules/log@1.0.0\" (instance (export \"wipe\" (func))))",
            ),
            "does not fit the contract: component imports instance `tidegate:rules/log@1.0.0`",
        ),
        (
            "a contract of the future",
            rule_of("2.0.0", ""),
            "needs version 2.0.0 of the contract, and this gateway speaks 1.0.0, 1.1.0: build it against `wit/v1.1.0`",
        ),
        ("a draft of a contract", rule_of("0.9.0", ""), "rebuild it against `wit/v1.1.0`"),
        ("a patch that never was", rule_of("1.0.7", ""), "needs version 1.0.7"),
        (
            "a minor of the future, for one function",
            rule_of(
                "1.0.0",
                "(import \"tidegate:rules/log@1.9.0\" (instance (export \"count\" (func (param \"metric\" u32) (param \"delta\" u64)))))",
            ),
            "needs version 1.9.0",
        ),
        (
            "two majors",
            rule_of(
                "1.0.0",
                "(import \"tidegate:rules/log@2.0.0\" (instance (export \"count\" (func (param \"metric\" u32) (param \"delta\" u64)))))",
            ),
            "exports a rule of version 1.0.0 and imports from 2.0.0",
        ),
        ("another type for an export", rule_of("1.0.0", ""), "does not fit the contract: "),
        (
            "another type for an export of a minor",
            rule_of("1.1.0", ""),
            "does not fit the contract: ",
        ),
        ("deep nesting", component(&nested), "nested more than 4 deep"),
        ("a large function", component(&large_function), "at most 262144 are taken"),
        ("many functions", component(&many_functions), "more than 60000 functions"),
        ("invalid code", component(invalid), "cannot be compiled"),
        ("too many bytes", vec![0; (4 << 20) + 1], "at most 4194304 are taken"),
    ]
}

#[tokio::test]
async fn odd_components_are_refused_with_a_reason() {
    let host = host(limits());
    for (what, bytes, why) in odd_components() {
        let error = host.compile(Bytes::from(bytes)).await.expect_err(what).to_string();
        assert!(error.contains(why), "{what}: `{error}` does not say `{why}`");
    }
}

/// Compiled code is never taken, not even our own.
#[tokio::test]
async fn compiled_code_is_no_component() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("compiled");
    let host = crate::cache::host_with(crate::support::compiling("compile", &cache));
    host.compile(Bytes::from_static(tidegate_guests::HOSTILE)).await.expect("it compiles");
    let file = crate::cache::code_file(&cache);
    let stored = std::fs::read(file).expect("compiled code");
    for bytes in [stored[32..].to_vec(), stored] {
        let error = host.compile(Bytes::from(bytes)).await.expect_err("refused");
        assert!(matches!(error, CompileError::Scan(ScanError::NotWasm(_))), "{error}");
    }
}

/// A damaged component is refused, or is another component; the host goes on.
#[tokio::test]
async fn damaged_components_do_no_harm() {
    let host = host(limits());
    let step = tidegate_guests::HOSTILE.len() / 12;
    let mut refused = 0;
    for at in (8..tidegate_guests::HOSTILE.len()).step_by(step) {
        let mut bytes = tidegate_guests::HOSTILE.to_vec();
        bytes[at] ^= 0x55;
        refused += usize::from(host.compile(Bytes::from(bytes)).await.is_err());
    }
    assert!(refused > 0);
    host.compile(Bytes::from_static(tidegate_guests::HOSTILE)).await.expect("the whole component");
}

/// What the component does while it is configured, where the problem is, and what it says.
const CONFIGURING: [(&str, &str, &str); 19] = [
    ("loop", "", "the call used more CPU time than it may"),
    ("memory", "", "more memory than it may have"),
    ("panic", "", "unreachable"),
    ("read-batch", "", "before `configure` returned"),
    ("undeclared-column", "/manifest/reads/4", "there is no host column `@secret`"),
    ("undeclared-writer", "/manifest/writes", "only an enricher may write"),
    ("bad-pointer", "/manifest/reads/4", "is no JSON pointer"),
    ("bad-cell", "/manifest/reads/4", "has another cell type"),
    ("write-root", "/manifest/writes/0", "the whole event cannot be written"),
    ("write-twice", "/manifest/writes/1", "overlaps another write"),
    ("bad-code", "/manifest/codes/2", "must be 1 to 64 of"),
    ("bad-pattern", "/manifest/patterns/0", "unclosed group"),
    ("huge-pattern", "/manifest/patterns/0", "size limit"),
    ("bad-schema", "/manifest/schemas/0", ""),
    ("outside-schema", "/manifest/schemas/0", "must stay within the schema"),
    ("many-codes", "/manifest/codes", "100000 entries; at most 256 are taken"),
    ("undeclared-table", "", ""),
    ("no-config", "", "invalid type"),
    ("unknown-mode", "", ""),
];

#[tokio::test]
async fn odd_manifests_are_refused_with_a_reason() {
    let host = host(limits());
    for (mode, pointer, why) in CONFIGURING {
        let config = match mode {
            "no-config" => json!([1]),
            "undeclared-table" => json!({ "table": "absent" }),
            mode => json!({ "configure": mode, "enricher": mode.starts_with("write-") }),
        };
        let admitted = admit(&host, &tenant("acme"), "hostile", &config, OnFault::Quarantine).await;
        let (pointer, why) = match mode {
            "unknown-mode" => {
                assert!(admitted.is_ok());
                continue;
            }
            "undeclared-table" => ("/tables", "needs the table `absent`"),
            _ => (pointer, why),
        };
        let Err(AdmitError::Problems(problems)) = admitted else { panic!("{mode} was admitted") };
        let found = problems
            .iter()
            .any(|problem| problem.pointer == pointer && problem.detail.contains(why));
        assert!(found, "{mode}: {problems:?}");
    }
}
