//! The fifth step: the golden cases that travel in the component, in this very engine. A case means
//! what it means in the SDK's native harness: judged as one batch and row by row, both the same,
//! findings and patches complete and in order, details where the case gives them.

mod compare;
mod rows;

use tidegate_golden::{Case, CaseFile, Expected};
use tidegate_types::TenantId;

use super::configure::Rules;
use super::report::{Place, Problem, Step, Trouble};
use super::trial::{Configured, Refusal, Trial, Work, configure};
use crate::compile::Component;
use crate::evaluate::outcome::Checked;
use crate::host::PluginHost;
use crate::limits::Limits;

pub(super) use rows::event_type;

/// Rows that differences are looked for in: more than the events of any case.
const MOST_ROWS: usize = tidegate_golden::MAX_EVENTS + 16;
const MEND: &str = "mend the rule, or the case where the case is wrong; the SDK's native harness \
                    runs the same cases";

/// A case and its file's name.
pub(super) struct NamedCase<'t> {
    pub(super) file: String,
    pub(super) case: Case<'t>,
}

impl NamedCase<'_> {
    fn place(&self) -> Place {
        Place { case: Some(self.file.clone()), ..Place::default() }
    }

    fn event(&self, row: usize) -> Place {
        let line = self.case.events.get(row).map(|event| self.case.line_of(event));
        Place { line, event: Some(row), ..self.place() }
    }

    /// The case's events for a rule.
    ///
    /// # Errors
    /// What is wrong with the case.
    pub(super) fn work(&self, tenant: &TenantId, rule: &Configured) -> Result<Work, Vec<Problem>> {
        rows::work(self, tenant, &rule.manifest)
    }
}

/// The cases of a component; none where its section cannot be read, which the scan has told.
pub(super) fn read(bytes: &[u8]) -> Vec<CaseFile> {
    tidegate_golden::read(bytes).ok().flatten().unwrap_or_default()
}

pub(super) fn parse(files: &[CaseFile]) -> Vec<NamedCase<'_>> {
    let named = |file: &CaseFile, case| NamedCase { file: file.file.clone(), case };
    let parsed = files.iter().map(|it| Some(named(it, Case::parse(&it.text).ok()?)));
    // Each was parsed once when the section was read.
    parsed.flatten().collect()
}

/// What is said of a component without cases: the step fails where some are required.
pub(super) fn none(required: bool) -> (Step, Option<()>) {
    let mut step = Step::default();
    if required {
        step.problem(
            "the component carries no golden cases (it has no custom section `tidegate:golden`), and \
             this tenant takes no component without",
            Place::default(),
            "put cases into it with `tidegate plugin pack COMPONENT --cases FOLDER` and push it again; \
             or have an administrator set the tenant's policy, and push the same component again",
        );
    } else {
        step.skipped(
            "the component carries no golden cases: add them with \
             `tidegate plugin pack COMPONENT --cases FOLDER`",
        );
    }
    step.with(())
}

/// Runs all cases; there are some.
///
/// # Errors
/// Where the host has no room.
pub(super) async fn test(
    host: &PluginHost,
    component: &Component,
    rules: &Rules,
    cases: &[NamedCase<'_>],
    tenant: &TenantId,
    limits: &Limits,
) -> Result<(Step, Option<()>), Trouble> {
    let mut step = Step::default();
    step.under(limits, &host.limits.load());
    let (mut passed, mut events) = (0usize, 0usize);
    for case in cases {
        if step.full() {
            break;
        }
        let problems = match rules.find(case.case.config.get()) {
            _ if case.case.expect.is_none() => refused(host, component, case, limits).await?,
            Some(rule) => judged(case, rule, tenant, limits).await?,
            // The step before has failed then.
            None => continue,
        };
        passed += usize::from(problems.is_empty());
        events += case.case.events.len();
        problems.into_iter().for_each(|problem| step.add(problem));
    }
    step.fact("cases", cases.len());
    step.fact("cases_passed", passed);
    step.fact("events", events);
    Ok(step.with(()))
}

fn problem(detail: impl Into<String>, place: Place) -> Problem {
    Problem { detail: detail.into(), place, mend: MEND.into(), expected: None, got: None }
}

/// A case whose configuration must be refused.
async fn refused(
    host: &PluginHost,
    component: &Component,
    case: &NamedCase<'_>,
    limits: &Limits,
) -> Result<Vec<Problem>, Trouble> {
    let line = Some(case.case.line_of(case.case.config));
    let place = Place { line, ..case.place() };
    let config = case.case.config.get().to_owned();
    let source = match host.source(component, config) {
        Ok(source) => source,
        Err(why) => return Ok(vec![problem(why, place)]),
    };
    Ok(match configure(source, limits).await? {
        Ok(_) => vec![problem("the configuration was taken, and problems were expected", place)],
        Err(Refusal::Fault(why)) => {
            vec![problem(
                format!("the component failed to look at the configuration: {why}"),
                place,
            )]
        }
        Err(Refusal::Config(problems) | Refusal::Manifest(problems)) => {
            compare::problems(&case.case.expect_problems, &problems, place).into_iter().collect()
        }
    })
}

/// A case whose events must be judged as it says.
async fn judged(
    case: &NamedCase<'_>,
    rule: &Configured,
    tenant: &TenantId,
    limits: &Limits,
) -> Result<Vec<Problem>, Trouble> {
    let work = match case.work(tenant, rule) {
        Ok(work) => work,
        Err(problems) => return Ok(problems),
    };
    let mut trial = Trial::new(rule, limits);
    let whole = trial.judge(&work, &work.all_rows()).await?;
    let (mut alone, mut problems) = (Checked::default(), Vec::new());
    for row in work.all_rows() {
        match trial.judge(&work, &[row]).await? {
            Ok((said, _)) => {
                alone.findings.extend(said.findings);
                alone.patches.extend(said.patches);
            }
            Err(why) => {
                let detail = format!("the rule failed to judge the event: {why}");
                problems.push(problem(detail, case.event(row as usize)));
            }
        }
    }
    if !problems.is_empty() {
        return Ok(problems);
    }
    let whole = match whole {
        Ok((said, _)) => compare::said(&said, &rule.manifest),
        Err(why) => {
            let detail = format!(
                "the rule failed to judge the case as one batch, and judges each event alone: {why}"
            );
            return Ok(vec![problem(detail, case.place())]);
        }
    };
    let alone = compare::said(&alone, &rule.manifest);
    let rows = case.case.events.len();
    let apart = compare::apart(&whole, &alone, rows);
    if !apart.is_empty() {
        let told = apart.into_iter().map(|(row, batch, single)| Problem {
            expected: Some(single),
            got: Some(batch),
            ..problem(
                "the event is judged otherwise in its batch (got) than alone (expected): a verdict \
                 must depend on its event alone",
                case.event(row),
            )
        });
        return Ok(told.collect());
    }
    let empty = Expected::default();
    let expected = case.case.expect.as_ref().unwrap_or(&empty);
    let mut told = Vec::new();
    for (row, expected, got) in compare::differences(expected, &whole, rows) {
        let detail = match row < rows {
            true => "the rule says something else of the event than the case expects".to_owned(),
            false => format!("the case expects something of event {row}, and has {rows}"),
        };
        let (expected, got) = (Some(expected), Some(got));
        told.push(Problem { expected, got, ..problem(detail, case.event(row)) });
    }
    Ok(told)
}
