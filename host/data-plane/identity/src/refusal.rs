//! Why a token is refused.

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $word:literal $text:literal;)*) => {
        /// Why a token is refused. Each has one word, for metrics and logs, and one text, for the
        /// client; neither repeats anything of the token.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum Refusal { $($(#[$doc])* #[error($text)] $name,)* }

        impl Refusal {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word for it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

refusals! {
    TooLong = "too-long" "the token is longer than 8192 bytes";
    /// Also encrypted tokens (five parts) and JSON serialisations.
    NotThreeParts = "parts" "the token does not have three parts with dots between them";
    Encoding = "encoding" "a part of the token is not base64url without padding";
    MalformedHeader = "header" "the token's header is not a JSON object of distinct names with a text `alg`";
    MalformedClaims = "claims" "the token's claims are not a JSON object of distinct names";
    /// Whatever it names: no extension is understood here.
    Critical = "crit" "the token's header has `crit`, and no extension is understood";
    Type = "typ" "the token's `typ` is not one that its issuer is configured for";
    Issuer = "iss" "the token's `iss` is missing, or not an issuer that this gateway knows";
    UnknownKey = "kid" "the token's `kid` names no key of its issuer that can verify signatures";
    NoKeyNamed = "no-kid" "the token has no `kid`, and its issuer has more than one key for it";
    /// `none`, `HS256` and their like as well: no issuer's key has them.
    Algorithm = "alg" "the token's `alg` is not the algorithm of its issuer's key";
    Signature = "signature" "the token's signature is not that of its issuer's key";
    Audience = "aud" "the token's `aud` is missing, or does not name this gateway";
    Expiry = "exp" "the token's `exp` is missing or not a number";
    Expired = "expired" "the token has expired";
    NotBefore = "nbf" "the token's `nbf` is not a number";
    NotYetValid = "not-yet-valid" "the token is not valid yet";
    Tenant = "tenant" "the token names no tenant that its issuer may speak for";
    Scopes = "scopes" "the token's scopes are neither a text nor a list of texts";
    /// Not the token's fault: it may be good.
    KeysUnavailable = "keys-unavailable" "the keys of the token's issuer cannot be fetched; send it again later";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_and_texts_are_distinct_and_fit_a_header() {
        let words: HashSet<_> = Refusal::ALL.iter().map(|refusal| refusal.as_str()).collect();
        let texts: HashSet<_> = Refusal::ALL.iter().map(ToString::to_string).collect();
        assert_eq!((words.len(), texts.len()), (Refusal::ALL.len(), Refusal::ALL.len()));
        // RFC 6750, section 3: the characters of `error_description`.
        let fits = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
        assert!(texts.iter().all(|text| text.chars().all(fits)));
        assert!(Refusal::TooLong.to_string().contains(&crate::MAX_TOKEN_BYTES.to_string()));
    }
}
