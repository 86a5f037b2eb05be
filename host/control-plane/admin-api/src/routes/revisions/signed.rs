//! Holds a tenant's signature policy against the components of a revision that is to be put before
//! events. They were held against it when they were uploaded; since then the policy may have been
//! tightened, or a key taken away.
//!
//! What is in force stays in force: no change of keys or policies stops a rule that judges. So a rule
//! may also fall back to what it replaced, a table that is followed go on, and a revision that did worse
//! than it may be taken back by itself, to one that is not signed as it must be: the alternative would
//! be a tenant without rules. Only what somebody asks for is refused.

use tidegate_catalog::{Catalog, Component};
use tidegate_distribution::SignaturePolicy;
use tidegate_types::problem::ProblemPart;
use tidegate_types::revision::{RevisionDocument, Rule};
use tidegate_types::{Problem, ProblemType, TenantId};

use crate::answer;
use crate::routes::access::signing;

/// Are all components that a tenant has uploaded signed as its policy asks for?
///
/// # Errors
/// 422 with every rule whose component is not, and what to do.
pub(super) fn check(
    catalog: &Catalog,
    tenant: &TenantId,
    document: &RevisionDocument,
) -> Result<(), Problem> {
    let policy = signing::policy_of(catalog, tenant)?;
    if policy == SignaturePolicy::None {
        return Ok(());
    }
    let keys = catalog.signing_keys(tenant).map_err(answer::from_catalog)?;
    let known: Vec<String> = keys.into_iter().map(|key| key.id).collect();
    let mut parts = Vec::new();
    for (index, rule) in document.rules.iter().enumerate() {
        if catalog.is_builtin(&rule.component).map_err(answer::from_catalog)? {
            continue;
        }
        let component = catalog.component_of(tenant, &rule.component);
        let component = component.map_err(answer::from_catalog)?;
        let signers = catalog.signers(tenant, &rule.component).map_err(answer::from_catalog)?;
        if let Some(why) = breach(&policy, &known, &signers) {
            let pointer = format!("/rules/{index}/component");
            parts.push(ProblemPart { pointer, detail: told(rule, &component, &why) });
        }
    }
    let Some(first) = parts.first() else { return Ok(()) };
    let detail = format!(
        "{}; sign it with `tidegate plugin sign` and push the same bytes again with the signature, or \
         change the tenant's keys or signature policy",
        first.detail
    );
    Err(Problem::new(ProblemType::SignatureRefused, detail).with_errors(parts))
}

fn told(rule: &Rule, component: &Component, why: &str) -> String {
    let Component { name, version, digest, .. } = component;
    format!(
        "the rule `{}` cannot be put before events: version {version} of plugin `{name}` ({digest}) {why}",
        rule.name
    )
}

/// Why a component with signatures of these keys breaks a policy, if it does.
fn breach(policy: &SignaturePolicy, known: &[String], signers: &[String]) -> Option<String> {
    let wanted = match policy {
        SignaturePolicy::None => return None,
        SignaturePolicy::AnyKnownKey => {
            if signers.iter().any(|signer| known.contains(signer)) {
                return None;
            }
            "a key that is registered for this tenant".to_owned()
        }
        SignaturePolicy::ThisKey { key } => {
            let key = key.to_string();
            if signers.contains(&key) && known.contains(&key) {
                return None;
            }
            format!("the key {key}")
        }
    };
    Some(match signers {
        [] => format!("has no signature, and must be signed by {wanted}"),
        signers => format!("is signed by {}, and must be by {wanted}", signers.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_ask_for_signatures_of_registered_keys() {
        let id = |digit: &str| digit.repeat(32);
        let this = SignaturePolicy::ThisKey { key: id("1").parse().expect("a key's id") };
        let any = SignaturePolicy::AnyKnownKey;
        for (policy, known, signers, kept) in [
            (&SignaturePolicy::None, "", "", true),
            (&any, "1", "", false),
            (&any, "", "1", false),
            (&any, "2", "1", false),
            (&any, "12", "1", true),
            (&any, "2", "12", true),
            (&this, "12", "2", false),
            (&this, "2", "1", false),
            (&this, "12", "", false),
            (&this, "12", "12", true),
        ] {
            let ids = |text: &str| -> Vec<String> {
                text.chars().map(|digit| id(&digit.to_string())).collect()
            };
            let breach = breach(policy, &ids(known), &ids(signers));
            assert_eq!(breach.is_none(), kept, "{policy:?} {known} {signers}: {breach:?}");
        }
    }
}
