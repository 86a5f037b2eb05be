//! Running one case: configure, judge as one batch, judge row by row, compare.

use crate::boundary::Declared;
use crate::boundary::native::{Batch, Event, occurrences, with_batch};
use crate::rule::config::Problem;
use crate::rule::{Instance, Rule};
use crate::testing::case::{Case, Expected, ExpectedProblem};
use crate::testing::contract::{check_manifest, read_outcome};

pub(super) fn check<R: Rule>(case: Case) -> Result<(), String> {
    let configured = Instance::<R>::configure(case.config.get());
    match (configured, &case.expect_problems) {
        (Err(problems), Some(expected)) => check_problems(&problems, expected),
        (Ok(_), Some(_)) => Err("the configuration was taken, and problems were expected".into()),
        (Err(problems), None) => Err(format!("the configuration was refused: {problems:#?}")),
        (Ok((instance, declared)), None) => judge(&instance, declared, case),
    }
}

fn check_problems(problems: &[Problem], expected: &[ExpectedProblem]) -> Result<(), String> {
    let same = problems.len() == expected.len()
        && problems.iter().zip(expected).all(|(problem, expected)| {
            problem.pointer == expected.pointer && problem.message.contains(&expected.message)
        });
    if same { Ok(()) } else { Err(format!("expected {expected:#?}\nbut got {problems:#?}")) }
}

fn judge<R: Rule>(instance: &Instance<R>, declared: Declared, case: Case) -> Result<(), String> {
    check_manifest::<R>(&declared)?;
    let batch = batch_of(&declared, &case)?;
    let events = batch.events.clone();
    let (outcome, mut batch) = with_batch(batch, || instance.evaluate());
    let whole = read_outcome(&declared, events.len(), &outcome)?;
    let mut alone = Expected::default();
    for (row, event) in events.into_iter().enumerate() {
        batch.events = vec![event];
        let outcome;
        (outcome, batch) = with_batch(batch, || instance.evaluate());
        let single = read_outcome(&declared, 1, &outcome)?;
        alone.findings.extend(single.findings.into_iter().map(|mut it| {
            it.row = row;
            it
        }));
        alone.patches.extend(single.patches.into_iter().map(|mut it| {
            it.row = row;
            it
        }));
    }
    if whole != alone {
        return Err(format!(
            "rows must be judged independently\nas one batch {}\nrow by row {}",
            show(&whole),
            show(&alone)
        ));
    }
    let expected = case.expect.unwrap_or_default();
    let got = without_unasked_details(whole, &expected);
    if got == expected {
        Ok(())
    } else {
        Err(format!("expected {}\nbut got {}", show(&expected), show(&got)))
    }
}

fn batch_of(declared: &Declared, case: &Case) -> Result<Batch, String> {
    let host = case.host.iter().cloned().chain(std::iter::repeat_with(Default::default));
    let mut events: Vec<_> =
        case.events.iter().cloned().zip(host).map(|(json, host)| Event { json, host }).collect();
    occurrences(&mut events, declared.reads.iter().map(|(pointer, _)| pointer.clone()));
    let tables: Result<_, _> = declared.tables.iter().map(|(name, _)| case.table(name)).collect();
    let pattern = |pattern: &String| regex::Regex::new(pattern).map_err(|error| error.to_string());
    let schema = |schema: &String| {
        let value = serde_json::from_str(schema).map_err(|error| error.to_string())?;
        jsonschema::validator_for(&value).map_err(|error| error.to_string())
    };
    Ok(Batch {
        declared: declared.clone(),
        events,
        tables: tables?,
        patterns: declared.patterns.iter().map(pattern).collect::<Result<_, _>>()?,
        schemas: declared.schemas.iter().map(schema).collect::<Result<_, String>>()?,
    })
}

/// Leaves out the details that the case does not ask for, so that the rest can be compared.
fn without_unasked_details(mut got: Expected, expected: &Expected) -> Expected {
    for (index, finding) in got.findings.iter_mut().enumerate() {
        let asked = expected.findings.get(index).is_none_or(|asked| asked.detail.is_some());
        if !asked {
            finding.detail = None;
        }
    }
    got
}

fn show(expected: &Expected) -> String {
    serde_json::to_string_pretty(expected).unwrap_or_else(|error| error.to_string())
}
