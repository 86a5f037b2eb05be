//! Keys and signatures, and their text forms. The keys' DER is of fixed length and has fixed bytes
//! before the key itself, so it is compared, not parsed.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidegate_types::Digest;

/// RFC 8410, section 7: version 0, Ed25519, an octet string within an octet string.
const SECRET_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// RFC 8410, section 4: Ed25519, a bit string.
const PUBLIC_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// More than any of the forms needs.
const MAX_TEXT_BYTES: usize = 4096;
const ID_BYTES: usize = 16;

/// A text that is no key, signature or id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    #[error(
        "this is no Ed25519 secret key: write PEM as `tidegate plugin keygen` or `openssl genpkey -algorithm ed25519` do"
    )]
    Secret,
    #[error(
        "this is no Ed25519 public key: write PEM as `tidegate plugin keygen` or `openssl pkey -pubout` do, or the 32 bytes in base64"
    )]
    Public,
    #[error(
        "the key is one of the few weak points of the curve, whose signatures prove nothing: make a new key"
    )]
    Weak,
    #[error("a signature is 64 bytes in base64, as `tidegate plugin sign` writes it")]
    Signature,
    #[error("a key's id is 32 lower-case hexadecimal digits")]
    Id,
}

/// Names a public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; ID_BYTES]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        if text.len() != 2 * ID_BYTES || !text.as_bytes().iter().all(is_digit) {
            return Err(InvalidKey::Id);
        }
        let mut id = [0; ID_BYTES];
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| InvalidKey::Id)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| InvalidKey::Id)?;
        }
        Ok(Self(id))
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A key that signatures are checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// # Errors
    /// Where the bytes are no point of the curve, or a weak one.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, InvalidKey> {
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| InvalidKey::Public)?;
        if key.is_weak() { Err(InvalidKey::Weak) } else { Ok(Self(key)) }
    }

    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    #[must_use]
    pub fn id(&self) -> KeyId {
        let digest = Digest::of(self.0.as_bytes()).0;
        let mut id = [0; ID_BYTES];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        KeyId(id)
    }

    /// PEM, with its last line break.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &PUBLIC_PREFIX, self.0.as_bytes())
    }

    /// Has this key signed these bytes?
    #[must_use]
    pub fn has_signed(&self, bytes: &[u8], signature: &Signature) -> bool {
        self.0.verify_strict(bytes, &signature.0).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    /// PEM, or the 32 bytes in base64.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = match unpem(text, "PUBLIC KEY", &PUBLIC_PREFIX) {
            Some(key) => key,
            None => decode(text).ok_or(InvalidKey::Public)?,
        };
        Self::from_bytes(key)
    }
}

/// A key that signs. Its bytes are overwritten when it is dropped.
pub struct SecretKey(SigningKey);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public().id())
    }
}

impl SecretKey {
    /// A new one.
    ///
    /// # Errors
    /// Where the operating system gives no random bytes.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(SigningKey::from_bytes(&bytes)))
    }

    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(bytes))
    }

    /// PEM, with its last line break.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem("PRIVATE KEY", &SECRET_PREFIX, self.0.as_bytes())
    }
}

impl FromStr for SecretKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = unpem(text, "PRIVATE KEY", &SECRET_PREFIX).ok_or(InvalidKey::Secret)?;
        Ok(Self(SigningKey::from_bytes(&key)))
    }
}

/// A detached signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature(ed25519_dalek::Signature);

impl Signature {
    #[must_use]
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(ed25519_dalek::Signature::from_bytes(&bytes))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0.to_bytes()))
    }
}

impl FromStr for Signature {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        decode(text).map(Self::from_bytes).ok_or(InvalidKey::Signature)
    }
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

fn pem(label: &str, prefix: &[u8], key: &[u8; 32]) -> String {
    let text = STANDARD.encode([prefix, key].concat());
    // At most 64 characters: one line, as RFC 7468 has it.
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn unpem(text: &str, label: &str, prefix: &[u8]) -> Option<[u8; 32]> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    let inner = text.trim().strip_prefix(&format!("-----BEGIN {label}-----"))?;
    let inner = inner.strip_suffix(&format!("-----END {label}-----"))?;
    let joined: String = inner.split_ascii_whitespace().collect();
    STANDARD.decode(joined).ok()?.strip_prefix(prefix)?.try_into().ok()
}
