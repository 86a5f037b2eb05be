//! Credentials, and the issuers of tokens.

use crate::metric::metrics;

metrics! {
    /// Bearer tokens by outcome.
    TOKENS: counter "tidegate_tokens_total" [outcome];
    /// Fetches of an issuer's keys.
    ISSUER_FETCHES: counter "tidegate_issuer_fetches_total" [issuer, outcome];
    /// Keys of an issuer that may be used.
    ISSUER_KEYS: gauge "tidegate_issuer_keys" [issuer];
    /// Since they were fetched.
    ISSUER_KEYS_AGE: gauge "tidegate_issuer_keys_age_seconds" [issuer];
}
