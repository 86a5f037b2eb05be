//! A token as text (RFC 7515, compact serialisation): read strictly, then held against keys.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tidegate_event::{Document, Kind, Node};

use crate::keys::jwk::{self, Algorithm, Key};
use crate::{KeySet, MAX_TOKEN_BYTES, Refusal};

/// A token that could be read. Nothing in it is to be believed yet.
#[derive(Debug)]
pub struct Jws<'t> {
    pub(crate) header: Header,
    payload: Vec<u8>,
    /// What was signed: header and payload as they came.
    message: &'t str,
    signature: &'t str,
}

/// What is looked at in a header.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    pub(crate) token_type: Option<String>,
}

impl<'t> Jws<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// Where it is too long, or not formed as a signed token must be.
    pub fn read(token: &'t str) -> Result<Self, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::TooLong);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::NotThreeParts);
        };
        let message =
            token.get(..header.len() + 1 + payload.len()).ok_or(Refusal::NotThreeParts)?;
        decode(signature)?;
        let (header, payload) = (decode(header)?, decode(payload)?);
        Ok(Self { header: Header::read(header)?, payload, message, signature })
    }

    /// The payload, as it was signed if it was.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The key that signed it, of those of its issuer.
    ///
    /// # Errors
    /// Where no key is meant, or the signature is not that key's.
    pub fn verify(&self, keys: &KeySet) -> Result<Arc<Key>, Refusal> {
        let key = keys.choose(self.header.key_id.as_deref(), self.header.algorithm)?;
        if key.verifies(self.message.as_bytes(), self.signature) {
            Ok(Arc::clone(key))
        } else {
            Err(Refusal::Signature)
        }
    }
}

/// Strict: no padding, no line breaks, and no bits that mean nothing.
fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Encoding)
}

impl Header {
    fn read(bytes: Vec<u8>) -> Result<Self, Refusal> {
        let document = Document::parse(bytes).map_err(|_| Refusal::MalformedHeader)?;
        let header = document.root();
        if header.kind() != Kind::Object {
            return Err(Refusal::MalformedHeader);
        }
        if header.get("crit").is_some() {
            return Err(Refusal::Critical);
        }
        let name = text(header, "alg")?.ok_or(Refusal::MalformedHeader)?;
        Ok(Self {
            algorithm: jwk::algorithm(name).ok_or(Refusal::Algorithm)?,
            key_id: text(header, "kid")?.map(str::to_owned),
            token_type: text(header, "typ")?.map(str::to_owned),
        })
    }
}

/// A member that is a text where it is there.
fn text<'d>(header: Node<'d>, name: &str) -> Result<Option<&'d str>, Refusal> {
    match header.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(Refusal::MalformedHeader),
    }
}
