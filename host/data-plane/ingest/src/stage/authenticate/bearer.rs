//! Tokens of outside issuers, in `Authorization: Bearer` (RFC 6750). Who verifies them is not known
//! here: a gateway is given it, or takes no tokens.

use std::pin::Pin;

use http::{HeaderMap, header};
use tidegate_telemetry::Page;
use tidegate_types::{Problem, ProblemType, TenantId, UnixMillis};

use super::{Counts, Refused, Sender, With, is_past};
use crate::force::keys::Scopes;

/// Verifies tokens.
pub trait BearerTokens: Send + Sync {
    /// Whom the token speaks for.
    fn verify<'a>(
        &'a self,
        token: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Bearer, Disbelief>> + Send + 'a>>;

    /// Tells what became of tokens.
    fn report(&self, page: &mut Page);
}

/// Whom a verified token speaks for.
#[derive(Clone, Debug)]
pub struct Bearer {
    pub tenant: TenantId,
    pub scopes: Scopes,
    pub expires_at: UnixMillis,
}

/// Why a token is not believed. The texts are for the client, and have nothing of the token in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disbelief {
    /// No issuer that counts gave it out for this gateway.
    Bad(String),
    /// It was good until now, and its client is to get another one.
    Expired,
    /// Nobody can tell now whether it is good.
    Undecided { why: String, retry_after_ms: u64 },
}

/// Verifies the token of a request; `None` where it has none.
///
/// # Errors
/// 401 for a token that is not believed, for more than one credential, and where no tokens are taken;
/// 503 where nobody can tell whether the token is to be believed.
pub(crate) async fn verified(
    tokens: Option<&dyn BearerTokens>,
    headers: &HeaderMap,
) -> Result<Option<Bearer>, Refused> {
    let bad = |detail: &str| Refused::from(Disbelief::Bad(detail.to_owned()));
    let Some(given) = credential(headers) else { return Ok(None) };
    if headers.contains_key("x-api-key") {
        return Err(bad("send an API key or a bearer token, not both"));
    }
    if is_repeated(headers) {
        return Err(bad("send exactly one Authorization"));
    }
    let Some(tokens) = tokens else {
        let detail = "this gateway takes no bearer tokens; send an API key in the header X-API-Key";
        return Err(bad(detail));
    };
    let token = std::str::from_utf8(given)
        .map_err(|_| bad("the token does not consist of the characters of a token"))?;
    tokens.verify(token).await.map(Some).map_err(Refused::from)
}

/// Did the request come with a token, of whatever kind?
pub(crate) fn is_given(headers: &HeaderMap) -> bool {
    credential(headers).is_some()
}

/// Is it unclear which header is meant?
pub(crate) fn is_repeated(headers: &HeaderMap) -> bool {
    headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some()
}

/// What stands behind the scheme `Bearer`, which is written in any case.
fn credential(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get_all(header::AUTHORIZATION).iter().find_map(|value| {
        let (scheme, rest) = value.as_bytes().split_at_checked(b"Bearer".len())?;
        let is_it = scheme.eq_ignore_ascii_case(b"Bearer");
        match rest.first() {
            None if is_it => Some(rest),
            Some(b' ') if is_it => Some(rest.trim_ascii()),
            _ => None,
        }
    })
}

impl Bearer {
    /// The sender that came with it.
    ///
    /// # Errors
    /// 401 where the token has expired meanwhile.
    pub(super) fn sender(self) -> Result<Sender, Refused> {
        let expires_at = Some(self.expires_at);
        if is_past(expires_at) {
            return Err(Disbelief::Expired.into());
        }
        let (tenant, scopes) = (self.tenant.clone(), self.scopes.clone());
        Ok(Sender { tenant, scopes, expires_at, with: With::Token(self) })
    }
}

/// Nobody guesses a token that has expired, and each client has one from time to time: it must be told
/// so and not 429, on which it would wait with the same token.
impl From<Disbelief> for Refused {
    fn from(disbelief: Disbelief) -> Self {
        let unauthenticated = |detail| Problem::new(ProblemType::Unauthenticated, detail);
        let (problem, counts) = match disbelief {
            Disbelief::Bad(why) => (unauthenticated(why), Counts::For(None)),
            Disbelief::Expired => {
                (unauthenticated("the token has expired".to_owned()), Counts::Nothing)
            }
            Disbelief::Undecided { why, retry_after_ms } => {
                let problem = Problem::new(ProblemType::Unavailable, why);
                (problem.retry_after(retry_after_ms), Counts::Nothing)
            }
        };
        Self { problem: Box::new(problem), counts }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderValue;

    use super::*;
    use crate::force::snapshot::Snapshot;

    #[test]
    fn the_scheme_is_known_in_any_case_and_no_other_is_taken_for_it() {
        for (text, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("BEARER   abc ", Some("abc")),
            ("Bearer abc def", Some("abc def")),
            ("Bearer ", Some("")),
            ("Bearer", Some("")),
            ("Bearerabc", None),
            ("Basic dTpw", None),
            ("", None),
        ] {
            let value = HeaderValue::from_static(text);
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            assert_eq!(credential(&headers), expected.map(str::as_bytes), "{text}");
        }
        let mut headers = HeaderMap::new();
        headers.append(header::AUTHORIZATION, HeaderValue::from_static("Basic dTpw"));
        headers.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
        assert!(is_given(&headers) && is_repeated(&headers));
    }

    #[test]
    fn a_bearer_is_held_against_its_expiry_its_scopes_and_what_is_in_force() {
        let bearer = |scope: &str, expires_at| Bearer {
            tenant: TenantId::new("acme").unwrap(),
            scopes: Scopes::from_names([scope]),
            expires_at,
        };
        let (future, past) = (UnixMillis(u64::MAX), UnixMillis(1));
        let snapshot = Arc::new(Snapshot::default());
        for (bearer, expected) in [
            (bearer("events:write", past), ProblemType::Unauthenticated),
            (bearer("events:read", future), ProblemType::Forbidden),
            (bearer("events:write", future), ProblemType::NoRevision),
            (bearer("events:write:orders", future), ProblemType::NoRevision),
        ] {
            let text = format!("{bearer:?}");
            let sender = bearer.sender().map_err(|refused| *refused.problem);
            let problem = sender.and_then(|sender| sender.producer(&snapshot)).unwrap_err();
            assert_eq!(problem.kind, expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_the_clients_fault_does_not_count() {
        let undecided = Disbelief::Undecided { why: String::new(), retry_after_ms: 7 };
        for (disbelief, kind, counts) in [
            (Disbelief::Bad(String::new()), ProblemType::Unauthenticated, Counts::For(None)),
            (Disbelief::Expired, ProblemType::Unauthenticated, Counts::Nothing),
            (undecided, ProblemType::Unavailable, Counts::Nothing),
        ] {
            let refused = Refused::from(disbelief);
            assert_eq!((refused.problem.kind, refused.counts), (kind, counts));
        }
    }
}
