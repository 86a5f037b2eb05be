//! Who a bearer token says that somebody is (RFC 7519, with the rules of RFC 8725).
//!
//! A token is read strictly, and believed where a key of its issuer signed it with that key's own
//! algorithm, and its claims are those that the issuer was configured for. Nothing in a token says
//! how it is to be verified: `alg` must be that of the key, `kid` chooses among the issuer's keys,
//! and `jku`, `jwk`, `x5u` and `x5c` are not looked at.
//!
//! Keys come from the addresses and files of the configuration alone. They are fetched in the
//! background, at most once in an interval whatever tokens ask for; while they cannot be fetched they
//! are used until they have an age, and from then on their issuer's tokens are put off
//! ([`Refusal::KeysUnavailable`]): nobody can tell whether they are good.
//!
//! What was verified is remembered until it expires, until the key is gone from its issuer's set, or
//! until there is no room: by digest, so that no token is kept.

mod cache;
mod claims;
mod counts;
mod issuers;
mod jws;
mod keys;
mod options;
mod refusal;

pub use claims::Identity;
pub use issuers::{Issuers, StartError};
pub use jws::Jws;
pub use keys::KeySet;
pub use options::{Bounds, Claim, InvalidSource, IssuerOptions, KeySource};
pub use refusal::Refusal;

/// The longest token that is read.
pub const MAX_TOKEN_BYTES: usize = 8 << 10;
