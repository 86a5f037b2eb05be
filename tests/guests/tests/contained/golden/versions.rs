//! The versions of the contract side by side: the golden component of each released one, and the
//! draft of the next major, which only a host that is told to speaks.

use std::path::Path;

use tidegate_plugin_host::CompileError;
use tidegate_plugin_host::contract::{
    ContractVersion, Contracts, LinkError, SUPPORTED, VersionError,
};
use tidegate_plugin_host::{HostOptions, PluginHost};
use tidegate_types::Severity;

use super::*;
use crate::support::{batch_of, compiling, fault};

const DRAFT: ContractVersion = ContractVersion::new(2, 0, 0);

/// A host that speaks the draft as well.
fn previewing() -> PluginHost {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    let compile = compiling("compile", &cache);
    let options = HostOptions { compile, limits: limits(), workers: 1 };
    PluginHost::speaking(Contracts::released().with_preview(), options).expect("the host starts")
}

async fn check(host: &PluginHost, name: &str, component: Bytes, case: &Case) -> ContractVersion {
    let rule = admit(host, "golden", component, case).await;
    let rule = rule.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let version = rule.contract();
    let plan = Plan::new(vec![rule]).expect("a plan");
    let whole = judge(&plan, case, 0..case.events.len()).await;
    assert_eq!(said(&whole, case), case.expected(), "{name}");
    version
}

/// Every released version has a golden component, which says today what it said then.
#[tokio::test]
async fn components_of_every_released_version_run() {
    for host in [host(limits()), previewing()] {
        for version in SUPPORTED {
            let file = |extension| format!("golden/v{version}.{extension}");
            let component = std::fs::read(file("wasm")).expect("a golden component");
            let case = std::fs::read_to_string(file("json")).expect("its case");
            let case = Case::parse(&case);
            let found = check(&host, &file("wasm"), component.into(), &case).await;
            assert_eq!(found, *version);
        }
    }
    let newest = SUPPORTED.last().expect("a version");
    let case = std::fs::read_to_string(format!("golden/v{newest}.json")).expect("its case");
    let built = Bytes::from_static(tidegate_guests::GOLDEN);
    let found = check(&host(limits()), "as built", built, &Case::parse(&case)).await;
    assert_eq!(found, *newest);
}

/// A component asks for the first version that has what it uses, not for the newest there was.
#[tokio::test]
async fn components_need_no_later_version_than_they_use() {
    let host = host(limits());
    for (name, version) in [("required", 0), ("normalize", 0), ("expectations", 1)] {
        let builtin = tidegate_plugins::find(name).expect("a rule of that name");
        let compiled = host.compile(Bytes::from_static(builtin.component)).await;
        let compiled = compiled.expect("it compiles");
        assert_eq!(
            compiled.component.contract(),
            Ok(ContractVersion::new(1, version, 0)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_released_gateway_does_not_speak_the_draft() {
    let host = host(limits());
    let error = host.compile(Bytes::from_static(tidegate_guests::PREVIEW)).await;
    let error = error.expect_err("the draft is not released");
    let CompileError::Link(LinkError::Version(VersionError::Unknown { needed, spoken })) = &error
    else {
        panic!("{error}")
    };
    assert_eq!((*needed, spoken.as_slice()), (DRAFT, SUPPORTED));
    assert!(error.to_string().contains("this gateway speaks 1.0.0, 1.1.0"), "{error}");
}

/// Another major, with calls, records and context of its own, runs in one plan with the others.
#[tokio::test]
async fn the_next_major_runs_beside_the_released_ones() {
    let host = previewing();
    let preview = Bytes::from_static(tidegate_guests::PREVIEW);
    assert_eq!(
        host.compile(preview.clone()).await.expect("it compiles").component.contract(),
        Ok(DRAFT)
    );

    let case = |config: &str| {
        Case::parse(&format!(
            r#"{{"config": {config}, "tables": {{"things": [{{"id": "a", "size": "big", "name": null}}]}}}}"#
        ))
    };
    let refused = admit(&host, "preview", preview.clone(), &case(r#"{"x": 1}"#)).await;
    check_problems(
        "preview",
        refused,
        &[json!({ "pointer": "", "message": "nothing to configure" })],
    );

    let rule = admit(&host, "preview", preview, &case("{}")).await.expect("admitted");
    let golden = std::fs::read("golden/v1.0.0.wasm").expect("a golden component");
    let golden = admit(&host, "golden", golden.into(), &case("{}")).await.expect("admitted");
    let plan = Plan::new(vec![golden, rule]).expect("a plan");
    let versions: Vec<_> = plan.rules().iter().map(|rule| rule.contract().to_string()).collect();
    assert_eq!(versions, ["1.0.0", "2.0.0"]);

    let events = [
        json!({ "id": "a", "text": "a", "size": 1 }),
        json!({ "id": "b" }),
        json!({ "id": "fault", "retry": 1 }),
        json!({ "id": "fault" }),
    ];
    let said = plan.evaluate(batch_of(&tenant("acme"), &events)).await.expect("room");
    let mine = |row: usize| {
        let findings =
            said[row].findings.iter().filter(|finding| finding.rule.as_str() == "preview");
        findings
            .map(|it| {
                (it.code.to_string(), it.severity, it.pointer.as_deref(), it.detail.to_string())
            })
            .collect::<Vec<_>>()
    };
    let seen = |id| ("seen".to_owned(), Severity::Warn, None, format!("acme node thing {id}"));
    assert_eq!(mine(0), [seen("a")]);
    let unknown = ("unknown".to_owned(), Severity::Soft, Some("/id"), String::new());
    assert_eq!(mine(1), [seen("b"), unknown]);
    for row in [2, 3] {
        let fault = fault(&said[row]).expect("a fault");
        assert_eq!(fault, (Severity::Soft, "row 0 of 1".to_owned()));
    }
    let patches = |row: usize| {
        let patches = patch::decode(&said[row].patches).map(|patch| {
            let patch = patch.expect("patches that the host encoded");
            (patch.op, patch.pointer.to_owned(), String::from_utf8_lossy(patch.value).into_owned())
        });
        patches.filter(|(_, pointer, _)| pointer == "/size").collect::<Vec<_>>()
    };
    assert_eq!(patches(0), [(Op::Set, "/size".to_owned(), "\"big\"".to_owned())]);
    assert_eq!(patches(1), [(Op::Remove, "/size".to_owned(), String::new())]);
    assert!(patches(2).is_empty());
    let golden = said[0].findings.iter().find(|finding| finding.rule.as_str() == "golden");
    assert!(golden.is_some_and(|finding| finding.detail.starts_with("2:a ")));
}
