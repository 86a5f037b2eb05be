//! Detached signatures of components: Ed25519 (RFC 8032) over the raw bytes, checked strictly, that
//! is without the leniencies by which one signature has several forms.
//!
//! | file | content |
//! |---|---|
//! | secret key | PEM `PRIVATE KEY`: PKCS #8 version 1 as in RFC 8410, what `openssl genpkey -algorithm ed25519` writes |
//! | public key | PEM `PUBLIC KEY`: SubjectPublicKeyInfo as in RFC 8410; or the 32 bytes in base64 |
//! | signature | the 64 bytes in base64, on one line |
//!
//! A key's id is the first 16 bytes of the SHA-256 of the 32 bytes of its public key, as 32
//! hexadecimal digits: it follows from the key, so nobody can give one key the id of another.

mod keys;

use serde::{Deserialize, Serialize};

pub use keys::{InvalidKey, KeyId, PublicKey, SecretKey, Signature};

/// What a tenant's components must be signed by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SignaturePolicy {
    /// A signature is not asked for.
    #[default]
    None,
    /// By any key that is registered for the tenant.
    AnyKnownKey,
    /// By this one, which is registered too.
    ThisKey {
        /// The key's id.
        key: KeyId,
    },
}

/// Why a component is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error(
        "the component has no signature, and this tenant's components must be signed: sign it with `tidegate plugin sign`, and send the signature along"
    )]
    Missing,
    #[error(
        "this tenant's components must be signed, and no key is registered: register a key, or set another policy"
    )]
    NoKeys,
    #[error(
        "this tenant's components must be signed by the key {0}, which is not registered: register it, or set another policy"
    )]
    KeyNotRegistered(KeyId),
    #[error(
        "the signature was made by none of the {0} keys that are registered for this tenant, or over other bytes"
    )]
    ByNoKnownKey(usize),
    #[error("the signature was not made by the key {0}, or over other bytes")]
    NotByThisKey(KeyId),
}

/// Holds a component and its signature against a policy. The answer is the key that has signed:
/// `None` where the policy asks for no signature and no known key has made one.
///
/// # Errors
/// Where the policy is not kept.
pub fn verify(
    policy: &SignaturePolicy,
    known: &[PublicKey],
    component: &[u8],
    signature: Option<&Signature>,
) -> Result<Option<KeyId>, SignatureError> {
    let signer = |may_have: &dyn Fn(&PublicKey) -> bool| {
        let signature = signature?;
        let mut keys = known.iter().filter(|key| may_have(key));
        keys.find(|key| key.has_signed(component, signature)).map(PublicKey::id)
    };
    match policy {
        SignaturePolicy::None => Ok(signer(&|_| true)),
        SignaturePolicy::AnyKnownKey if known.is_empty() => Err(SignatureError::NoKeys),
        SignaturePolicy::ThisKey { key } if known.iter().all(|known| known.id() != *key) => {
            Err(SignatureError::KeyNotRegistered(*key))
        }
        _ if signature.is_none() => Err(SignatureError::Missing),
        SignaturePolicy::AnyKnownKey => match signer(&|_| true) {
            Some(id) => Ok(Some(id)),
            None => Err(SignatureError::ByNoKnownKey(known.len())),
        },
        SignaturePolicy::ThisKey { key } => match signer(&|known| known.id() == *key) {
            Some(id) => Ok(Some(id)),
            None => Err(SignatureError::NotByThisKey(*key)),
        },
    }
}

#[cfg(test)]
mod tests;
