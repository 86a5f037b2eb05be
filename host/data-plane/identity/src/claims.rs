//! What a token claims (RFC 7519, section 4), typed strictly: a time that is a text is no time.

use std::time::Duration;

use tidegate_event::{Document, Kind, Node, number};
use tidegate_types::{TenantId, UnixMillis};

use crate::{IssuerOptions, Refusal};

/// Who a verified token says that somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub tenant: TenantId,
    /// By the names that they have here.
    pub scopes: Vec<String>,
    /// When it ends, leeway included.
    pub expires_at: UnixMillis,
}

/// The claims of a token that may not be verified yet.
pub(crate) struct Claims(Document);

impl Claims {
    pub(crate) fn read(payload: &[u8]) -> Result<Self, Refusal> {
        let document = Document::parse(payload.to_vec()).map_err(|_| Refusal::MalformedClaims)?;
        match document.root().kind() {
            Kind::Object => Ok(Self(document)),
            _ => Err(Refusal::MalformedClaims),
        }
    }

    /// Who says that it has issued the token.
    pub(crate) fn issuer(&self) -> Result<&str, Refusal> {
        self.0.root().get("iss").and_then(|iss| iss.as_str()).ok_or(Refusal::Issuer)
    }

    /// Who it is, where the token is for us and of now.
    pub(crate) fn identify(
        &self,
        options: &IssuerOptions,
        now: UnixMillis,
    ) -> Result<Identity, Refusal> {
        let claims = self.0.root();
        if self.issuer()? != options.issuer {
            return Err(Refusal::Issuer);
        }
        if !is_for(claims, &options.audiences)? {
            return Err(Refusal::Audience);
        }
        let expiry = claims.get("exp").and_then(time).ok_or(Refusal::Expiry)?;
        let expires_at = UnixMillis(expiry.0.saturating_add(millis(options.leeway)));
        if expires_at <= now {
            return Err(Refusal::Expired);
        }
        if let Some(begin) = claims.get("nbf") {
            let begin = time(begin).ok_or(Refusal::NotBefore)?;
            if begin.0 > now.0.saturating_add(millis(options.leeway)) {
                return Err(Refusal::NotYetValid);
            }
        }
        let (tenant, scopes) = (tenant(claims, options)?, scopes(claims, options)?);
        Ok(Identity { tenant, scopes, expires_at })
    }
}

fn is_for(claims: Node<'_>, audiences: &[String]) -> Result<bool, Refusal> {
    let is_ours = |text: &str| audiences.iter().any(|audience| audience == text);
    let named = claims.get("aud").and_then(texts).ok_or(Refusal::Audience)?;
    Ok(named.into_iter().any(is_ours))
}

/// A text, or a list of nothing but texts.
fn texts(node: Node<'_>) -> Option<Vec<&str>> {
    match node.kind() {
        Kind::String => node.as_str().map(|text| vec![text]),
        Kind::Array => node.elements().map(|element| element.as_str()).collect(),
        Kind::Null | Kind::False | Kind::True | Kind::Number | Kind::Object => None,
    }
}

/// A NumericDate: seconds since 1970, fractions allowed. What is before 1970 is 1970, and what is
/// beyond any clock the end of time.
fn time(node: Node<'_>) -> Option<UnixMillis> {
    if node.kind() != Kind::Number {
        return None;
    }
    let seconds = number::to_f64(node.lexeme())?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` keeps within the range"
    )]
    let millis = (seconds * 1000.0) as u64;
    Some(UnixMillis(millis))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn tenant(claims: Node<'_>, options: &IssuerOptions) -> Result<TenantId, Refusal> {
    let text = options.tenant.find(claims).and_then(|claim| claim.as_str());
    let tenant = text.and_then(|text| TenantId::new(text).ok()).ok_or(Refusal::Tenant)?;
    if options.tenants.is_empty() || options.tenants.contains(&tenant) {
        Ok(tenant)
    } else {
        Err(Refusal::Tenant)
    }
}

/// A token without the claim has no scopes.
fn scopes(claims: Node<'_>, options: &IssuerOptions) -> Result<Vec<String>, Refusal> {
    let Some(claim) = options.scopes.find(claims) else { return Ok(Vec::new()) };
    let words: Vec<&str> = match claim.as_str() {
        Some(text) => text.split(' ').filter(|word| !word.is_empty()).collect(),
        None => texts(claim).ok_or(Refusal::Scopes)?,
    };
    let ours =
        words.into_iter().filter_map(|word| word.strip_prefix(options.scope_prefix.as_str()));
    let name = |word: &str| options.scope_names.get(word).map_or(word, String::as_str).to_owned();
    Ok(ours.map(name).collect())
}

#[cfg(test)]
mod tests;
