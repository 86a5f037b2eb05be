//! Certification as the control plane sees it.

use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_admin_api::{Certified, Inspection, Verdict};
use tidegate_catalog::CasePolicy;
use tidegate_plugin_host::certify::{self, CertifyReport, Progress, StepName};
use tidegate_plugin_host::{CertifyOptions, PluginHost};
use tidegate_types::TenantId;
use tokio::sync::mpsc;

/// The names of the steps.
pub(super) const STEPS: &[&str] = &[
    StepName::ALL[0].as_str(),
    StepName::ALL[1].as_str(),
    StepName::ALL[2].as_str(),
    StepName::ALL[3].as_str(),
    StepName::ALL[4].as_str(),
    StepName::ALL[5].as_str(),
];

pub(super) async fn certify(
    plugins: &PluginHost,
    tenant: TenantId,
    component: Bytes,
    cases: CasePolicy,
    done: mpsc::Sender<Value>,
) -> Certified {
    // The limits are those in force for this component of the tenant.
    let cases_required = cases == CasePolicy::Required;
    let options = CertifyOptions { tenant, limits: None, cases_required };
    let mut follow = |progress: Progress<'_>| {
        if let Progress::Finished(step) = progress {
            // Whoever does not keep up gets all steps at the end.
            drop(done.try_send(json!(step)));
        }
    };
    let report = plugins.certify(component, &options, &mut follow).await;
    certified(&report)
}

fn certified(report: &CertifyReport) -> Certified {
    let verdict = match (report.verdict, &report.trouble) {
        (certify::Verdict::Admitted, _) => Verdict::Admitted,
        (certify::Verdict::Failed, _) => Verdict::Failed,
        (certify::Verdict::Error, trouble) => Verdict::Undecided(match trouble {
            Some(trouble) => format!("in the step {}: {}", trouble.step.as_str(), trouble.detail),
            None => "the gateway failed".to_owned(),
        }),
    };
    let inspection = (verdict == Verdict::Admitted).then(|| inspection(report));
    let steps = report.steps.iter().map(|step| json!(step)).collect();
    Certified { verdict, steps, inspection }
}

fn inspection(report: &CertifyReport) -> Inspection {
    let fact = |step: StepName, name: &str| {
        report.step(step).and_then(|step| step.facts.get(name)).cloned().unwrap_or_default()
    };
    let number = |step, name| fact(step, name).as_u64().unwrap_or_default();
    let texts = |step, name| serde_json::from_value(fact(step, name)).unwrap_or_default();
    let manifest = fact(StepName::Configured, "manifests").pointer("/0/manifest").cloned();
    let costed = report.step(StepName::Costed).map(|step| Value::Object(step.facts.clone()));
    Inspection {
        imports: texts(StepName::Scanned, "imports"),
        exports: texts(StepName::Scanned, "exports"),
        compile_ms: number(StepName::Compiled, "compile_ms"),
        code_bytes: number(StepName::Compiled, "code_bytes"),
        manifest,
        cost: costed.filter(|facts| facts.as_object().is_some_and(|facts| !facts.is_empty())),
    }
}
