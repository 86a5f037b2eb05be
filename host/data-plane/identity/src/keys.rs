//! The keys of one issuer: a JWK set (RFC 7517) as it was published.

pub(crate) mod jwk;
pub(crate) mod keeper;
mod provider;
mod source;
pub(crate) mod transport;

use std::sync::Arc;

use tidegate_event::Document;

use crate::Refusal;
use jwk::{Algorithm, Key, Unusable};

/// The most keys of one set; more are an error, so that choosing one stays cheap.
const MAX_KEYS: u32 = 100;

/// The keys of one issuer that can verify signatures.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
    /// Why others of the set cannot.
    pub(crate) unusable: Vec<Unusable>,
}

/// Bytes that are no JWK set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeySet {
    #[error("they are not strict JSON: {0}")]
    Json(String),
    #[error("they are no JWK set: there is no list `keys`")]
    Shape,
    #[error("they are {0} keys, and {MAX_KEYS} are the most that are taken")]
    TooMany(u32),
}

impl KeySet {
    /// Reads a published set. Keys that cannot verify signatures here are left out, as RFC 7517
    /// (section 5) wants it.
    ///
    /// # Errors
    /// Where the bytes are no JWK set.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, InvalidKeySet> {
        Self::parse_after(bytes, &Self::default())
    }

    /// The same; keys that were in the set before stay what they are, so that whoever holds on to one
    /// learns that it is gone from nothing else than that it is gone.
    pub(crate) fn parse_after(bytes: Vec<u8>, before: &Self) -> Result<Self, InvalidKeySet> {
        let document =
            Document::parse(bytes).map_err(|error| InvalidKeySet::Json(error.to_string()))?;
        let list = document.root().get("keys").ok_or(InvalidKeySet::Shape)?;
        if list.kind() != tidegate_event::Kind::Array {
            return Err(InvalidKeySet::Shape);
        }
        if list.len() > MAX_KEYS {
            return Err(InvalidKeySet::TooMany(list.len()));
        }
        let mut set = Self::default();
        for node in list.elements() {
            match Key::read(node) {
                Ok(key) => {
                    let same = before.keys.iter().find(|known| known.is(&key));
                    set.keys.push(same.map_or_else(|| Arc::new(key), Arc::clone));
                }
                Err(why) => set.unusable.push(why),
            }
        }
        Ok(set)
    }

    /// How many keys can verify signatures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Can none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key that a header means. Its algorithm is the key's own: what the header says must be the
    /// same, and decides only between keys of one name.
    pub(crate) fn choose(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<&Arc<Key>, Refusal> {
        let mut named = self.keys.iter().filter(|key| id.is_none() || key.id() == id).peekable();
        if named.peek().is_none() {
            return Err(Refusal::UnknownKey);
        }
        let mut fitting = named.filter(|key| key.algorithm() == algorithm);
        let first = fitting.next().ok_or(Refusal::Algorithm)?;
        match (id, fitting.next()) {
            (None, Some(_)) => Err(Refusal::NoKeyNamed),
            _ => Ok(first),
        }
    }
}

#[cfg(test)]
mod tests;
