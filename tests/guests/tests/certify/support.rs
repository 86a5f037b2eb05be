//! A host to certify with, components with cases, and the report of one.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_golden::CaseFile;
use tidegate_plugin_host::certify::{CertifyReport, Progress, StepName, StepReport};
use tidegate_plugin_host::compile::CompileOptions;
use tidegate_plugin_host::{CertifyOptions, HostOptions, Limits, PluginHost};
use tidegate_types::TenantId;

pub(crate) fn limits() -> Limits {
    Limits { max_instances: 16, ..Limits::default() }
}

/// How to compile, with the real child (`compile`) or one that fails.
pub(crate) fn compiling(how: &str, cache: &Path) -> CompileOptions {
    let command = vec![env!("CARGO_BIN_EXE_guests-compile").into(), how.into()];
    CompileOptions::new(command, cache.to_owned())
}

pub(crate) fn host_with(compile: CompileOptions, limits: Limits) -> PluginHost {
    PluginHost::new(HostOptions { compile, limits, workers: 1 }).expect("the host starts")
}

/// A host whose compiled code stays from test to test.
pub(crate) fn host() -> PluginHost {
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    host_with(compiling("compile", &cache), limits())
}

pub(crate) fn options() -> CertifyOptions {
    let tenant = TenantId::new("acme").expect("a tenant's name");
    CertifyOptions { tenant, limits: None, cases_required: false }
}

/// Certifies, and checks that what is told on the way is what the report says.
pub(crate) async fn certify(host: &PluginHost, bytes: impl Into<Bytes>) -> CertifyReport {
    let (mut started, mut finished) = (Vec::new(), Vec::new());
    let mut follow = |progress: Progress<'_>| match progress {
        Progress::Started(step) => started.push(step),
        Progress::Finished(step) => finished.push(step.clone()),
    };
    let report = host.certify(bytes.into(), &options(), &mut follow).await;
    assert_eq!(started[..], StepName::ALL[..started.len()], "steps begin in their order");
    assert_eq!(finished[..], report.steps[..finished.len()]);
    assert!(started.len() - finished.len() <= 1);
    let text = serde_json::to_string(&report).expect("plain data");
    assert_eq!(serde_json::from_str::<CertifyReport>(&text).expect("its own text"), report);
    report
}

/// A component with golden cases: names and texts.
pub(crate) fn packed(component: &[u8], cases: &[(&str, String)]) -> Vec<u8> {
    let file =
        |(file, text): &(&str, String)| CaseFile { file: (*file).into(), text: text.clone() };
    tidegate_golden::pack(component, cases.iter().map(file).collect()).expect("good cases")
}

/// The hostile component with one case, over three events, that expects it to be honest.
pub(crate) fn hostile(config: &Value, poison: bool) -> Vec<u8> {
    let event = |id| json!({ "id": id, "poison": poison && id == 1, "text": "t", "json": 1 });
    let found = |row: usize| {
        let detail = row.to_string();
        json!({ "row": row, "code": "seen", "severity": "info", "pointer": "/id", "detail": detail })
    };
    let case = json!({
        "config": config,
        "tables": { "table": [{ "key": "k", "value": "v" }] },
        "events": [event(0), event(1), event(2)],
        "expect": { "findings": [found(0), found(1), found(2)] },
    });
    packed(tidegate_guests::HOSTILE, &[("case.json", case.to_string())])
}

/// A step that the report has.
pub(crate) fn step(report: &CertifyReport, name: StepName) -> &StepReport {
    report.step(name).unwrap_or_else(|| panic!("no {name:?}: {report:?}"))
}

pub(crate) fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("a component as text")
}
