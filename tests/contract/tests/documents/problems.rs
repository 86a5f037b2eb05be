//! Every type of problem is documented, under the status that it has, and has its section in the page.

use std::collections::BTreeSet;

use serde_json::Value;
use tidegate_contract::{Document, problem_types};
use tidegate_types::ProblemType;

const PAGE: &str = include_str!("../../../../host/docs/problems.md");

/// hyper answers these by itself: headers that are too large, without a body.
const WITHOUT_BODY: [ProblemType; 1] = [ProblemType::HeadersTooLarge];

#[test]
fn the_documents_have_the_problems_that_there_are_and_no_others() {
    let mut documented = BTreeSet::new();
    for document in [Document::public(), Document::admin()] {
        for operation in document.operations() {
            for (status, response) in &operation.responses {
                let types = problem_types(response);
                let is_problem = response["content"].get("application/problem+json").is_some();
                assert_eq!(is_problem, !types.is_empty(), "{} {status}", operation.name());
                documented.extend(types.into_iter().map(|name| (*status, name)));
            }
        }
    }
    // Of an event whose key is in flight, as `ingress.in_flight_status` may have it.
    assert!(documented.remove(&(503, ProblemType::InFlight.uri())));
    let known = ProblemType::ALL.iter().filter(|kind| !WITHOUT_BODY.contains(kind));
    let known: BTreeSet<_> = known.map(|kind| (kind.status(), kind.uri())).collect();
    assert_eq!(documented, known);
}

/// Examples of problems have the title and the status of their type.
#[test]
fn examples_tell_the_truth() {
    for document in [Document::public(), Document::admin()] {
        document.walk(&mut |at, value| {
            let Some(example) = value.pointer("/application~1problem+json/example") else { return };
            let kind = ProblemType::ALL.iter().find(|kind| example["type"] == kind.uri());
            let kind = kind.unwrap_or_else(|| panic!("{at}: {example}"));
            assert_eq!(example["title"], kind.title(), "{at}");
            assert_eq!(example["status"], kind.status(), "{at}");
        });
    }
}

#[test]
fn every_operation_tells_what_happens_without_rights_and_with_too_much() {
    for document in [Document::public(), Document::admin()] {
        for operation in document.operations() {
            let has = |status: u16| operation.responses.contains_key(&status);
            let name = operation.name();
            assert!(has(405) && has(431), "{name}");
            assert_eq!(has(401), !operation.opened_by.is_empty(), "{name}");
            assert_eq!(has(403), !operation.opened_by.is_empty(), "{name}");
            if operation.body.is_object() {
                assert!([400, 408, 413, 415].into_iter().all(has), "{name}");
            }
            for status in [429, 503] {
                let response = operation.responses.get(&status);
                let headers = response.map(|response| &response["headers"]);
                let bare = document.name == "public.json" && operation.scopes().is_empty();
                assert!(
                    headers.is_none_or(|all| bare || all.get("Retry-After").is_some()),
                    "{name} {status}"
                );
            }
        }
    }
}

/// The page has one section for each type, named by the last part of it: its anchor.
#[test]
fn every_problem_has_its_section() {
    let sections: Vec<&str> = PAGE.lines().filter_map(|line| line.strip_prefix("## `")).collect();
    let sections: Vec<&str> = sections.iter().map(|rest| rest.trim_end_matches('`')).collect();
    let known: Vec<&str> = ProblemType::ALL.iter().map(|kind| kind.slug()).collect();
    assert_eq!(sections, known, "in the order of the table of types");
    for kind in ProblemType::ALL {
        assert_eq!(kind.uri(), format!("urn:tidegate:problem:{}", kind.slug()));
        let from = PAGE.find(&format!("## `{}`\n", kind.slug())).unwrap();
        let section = PAGE[from..].split("\n## ").next().unwrap();
        assert!(
            section.contains(&format!("{} · {}", kind.status(), kind.title())),
            "{}",
            kind.slug()
        );
        for part in ["**Means:**", "**Who mends it:**"] {
            assert!(section.contains(part), "{}: {part}", kind.slug());
        }
    }
}

/// The schema of problems has the members that problems have.
#[test]
fn the_schema_has_every_member() {
    let problem = tidegate_types::Problem::new(ProblemType::QuotaExceeded, "detail")
        .at("/a")
        .with_errors(vec![tidegate_types::problem::ProblemPart {
            pointer: "/a".to_owned(),
            detail: "wrong".to_owned(),
        }])
        .retry_after(1)
        .violating(vec!["key-requests".to_owned()]);
    for document in [Document::public(), Document::admin()] {
        let schema = &document.json["components"]["schemas"]["Problem"]["properties"];
        let described: BTreeSet<_> = schema.as_object().unwrap().keys().cloned().collect();
        let Value::Object(body) = problem.to_json() else { panic!("an object") };
        assert_eq!(described, body.keys().cloned().collect());
    }
}
