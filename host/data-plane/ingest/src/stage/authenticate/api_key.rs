//! API keys, in the header `X-API-Key`.

use std::sync::Arc;

use http::HeaderMap;
use tidegate_types::name::secret::KeyText;
use tidegate_types::{Problem, ProblemType, UnixMillis};

use super::{Counts, Refused, Sender, With, is_past};
use crate::force::keys::KeyState;
use crate::force::snapshot::Snapshot;

/// Longer keys are none of ours; no time is spent on them.
const MAX_KEY_BYTES: usize = 256;

/// Looks up the key.
///
/// # Errors
/// 401 for a missing, unknown or expired key, 403 for a revoked one.
pub(super) fn authenticate(snapshot: &Snapshot, headers: &HeaderMap) -> Result<Sender, Refused> {
    let text = text(headers)
        .map_err(|detail| refused(Problem::new(ProblemType::Unauthenticated, detail), None))?;
    let refuse = |kind, detail: &str| refused(Problem::new(kind, detail), Some(text));
    let Some(key) = snapshot.key(text) else {
        let detail = match KeyText::read(text) {
            KeyText::Damaged => "the API key is not whole: see that it was copied from end to end",
            KeyText::Whole { .. } | KeyText::Foreign => "the API key is unknown",
        };
        return Err(refuse(ProblemType::Unauthenticated, detail));
    };
    match key.state {
        KeyState::Active => {}
        KeyState::Revoked => {
            return Err(refuse(ProblemType::Forbidden, "the API key was revoked"));
        }
    }
    if is_past(key.expires_at) {
        return Err(refuse(ProblemType::Unauthenticated, "the API key has expired"));
    }
    key.last_used.note(UnixMillis::now());
    let (tenant, scopes) = (key.tenant.clone(), key.scopes.clone());
    let with = With::Key(Arc::clone(&key.id), key.quotas);
    Ok(Sender { tenant, scopes, expires_at: key.expires_at, with })
}

fn text(headers: &HeaderMap) -> Result<&str, &'static str> {
    let mut given = headers.get_all("x-api-key").iter();
    let (first, second) = (given.next(), given.next());
    let value = first.ok_or("send an API key in the header X-API-Key")?;
    if second.is_some() {
        return Err("send exactly one X-API-Key");
    }
    let text = value.to_str().ok().filter(|text| text.len() <= MAX_KEY_BYTES);
    text.ok_or("the API key is unknown")
}

fn refused(problem: Problem, text: Option<&str>) -> Refused {
    let key_id = text.and_then(|text| match KeyText::read(text) {
        KeyText::Whole { id } => Some(id.into()),
        KeyText::Damaged | KeyText::Foreign => None,
    });
    Refused { problem: Box::new(problem), counts: Counts::For(key_id) }
}
