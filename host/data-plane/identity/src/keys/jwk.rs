//! One public key of an issuer (RFC 7517, RFC 7518, RFC 8037): what it may verify is decided when it
//! is read, by the key itself.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub(crate) use jsonwebtoken::Algorithm;
use jsonwebtoken::DecodingKey;
use tidegate_event::{Kind, Node};

use super::provider;

/// Moduli of RSA keys, in bits. Shorter ones may be factored; longer ones the library refuses.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Algorithms that are verified, by the names that keys and headers give them. `Ed25519` is RFC
/// 9864's name for the one kind of `EdDSA` that there is here.
const ALGORITHMS: [(&str, Algorithm); 10] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("Ed25519", Algorithm::EdDSA),
];

/// The algorithm of a name; `None` for those that are not verified, `none` and HMAC among them.
pub(crate) fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

/// A key that verifies signatures, with its one algorithm.
pub struct Key {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    /// What makes it this key and no other.
    material: Vec<u8>,
    key: DecodingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {:?})", self.id, self.algorithm)
    }
}

/// Why a key of a set is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(
        "it is not a JSON object with a text `kty`, or a member is of another type than it must be"
    )]
    Malformed,
    #[error("its `kty`, `crv` or `alg` is not supported, or they do not fit together")]
    Unsupported,
    #[error(
        "it is a shared secret or holds a private key, which is no longer secret once published"
    )]
    Secret,
    #[error("its `use` or `key_ops` is for something else than verifying signatures")]
    OtherUse,
    #[error("it is an RSA key of less than 2048 or more than 8192 bits, or with a bad exponent")]
    RsaSize,
    #[error("its coordinates do not have the length that its curve has")]
    Length,
}

impl Key {
    pub(super) fn read(jwk: Node<'_>) -> Result<Self, Unusable> {
        if jwk.kind() != Kind::Object {
            return Err(Unusable::Malformed);
        }
        let kty = text(jwk, "kty")?.ok_or(Unusable::Malformed)?;
        if kty == "oct" || jwk.get("d").is_some() || jwk.get("k").is_some() {
            return Err(Unusable::Secret);
        }
        if !verifies_signatures(jwk)? {
            return Err(Unusable::OtherUse);
        }
        let named = text(jwk, "alg")?;
        let (own, (key, material)) = match kty {
            "RSA" => rsa(jwk, named)?,
            "EC" => elliptic(jwk)?,
            "OKP" => edwards(jwk)?,
            _ => return Err(Unusable::Unsupported),
        };
        if named.is_some_and(|name| algorithm(name) != Some(own)) {
            return Err(Unusable::Unsupported);
        }
        let id = text(jwk, "kid")?.map(Into::into);
        Ok(Self { id, algorithm: own, material, key })
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        (&self.id, self.algorithm, &self.material) == (&other.id, other.algorithm, &other.material)
    }

    /// Is this the key's signature of the message, in base64url?
    pub(crate) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        provider::install();
        jsonwebtoken::crypto::verify(signature, message, &self.key, self.algorithm).unwrap_or(false)
    }
}

type Material = (DecodingKey, Vec<u8>);

/// `use` and `key_ops`, where they are there, must be for this.
fn verifies_signatures(jwk: Node<'_>) -> Result<bool, Unusable> {
    let used = text(jwk, "use")?.is_none_or(|word| word == "sig");
    let operations = match jwk.get("key_ops") {
        None => true,
        Some(list) if list.kind() == Kind::Array => {
            list.elements().any(|operation| operation.as_str() == Some("verify"))
        }
        Some(_) => return Err(Unusable::Malformed),
    };
    Ok(used && operations)
}

/// RSA keys serve several algorithms. One that names none is for RS256, which every issuer of OpenID
/// Connect has.
fn rsa(jwk: Node<'_>, named: Option<&str>) -> Result<(Algorithm, Material), Unusable> {
    let own = algorithm(named.unwrap_or("RS256")).ok_or(Unusable::Unsupported)?;
    if matches!(own, Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA) {
        return Err(Unusable::Unsupported);
    }
    let (n, e) = (number(jwk, "n")?, number(jwk, "e")?);
    let bits = |bytes: &[u8]| {
        let leading = bytes.first().map_or(0, |first| first.leading_zeros() as usize);
        bytes.len() * 8 - leading
    };
    let is_odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last & 1 == 1);
    // More than 33 bits would make verifying slow, and the library does not take them.
    let exponent_fits = (2..=33).contains(&bits(&e)) && is_odd(&e);
    if !RSA_BITS.contains(&bits(&n)) || !is_odd(&n) || !exponent_fits {
        return Err(Unusable::RsaSize);
    }
    let key = DecodingKey::from_rsa_raw_components(&n, &e);
    let length = n.len().to_be_bytes().to_vec();
    Ok((own, (key, [length, n, e].concat())))
}

fn elliptic(jwk: Node<'_>) -> Result<(Algorithm, Material), Unusable> {
    let (own, length) = match text(jwk, "crv")? {
        Some("P-256") => (Algorithm::ES256, 32),
        Some("P-384") => (Algorithm::ES384, 48),
        _ => return Err(Unusable::Unsupported),
    };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err(Unusable::Length);
    }
    // SEC 1, section 2.3.3: an uncompressed point.
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    Ok((own, (DecodingKey::from_ec_der(&point), point)))
}

fn edwards(jwk: Node<'_>) -> Result<(Algorithm, Material), Unusable> {
    if text(jwk, "crv")? != Some("Ed25519") {
        return Err(Unusable::Unsupported);
    }
    let x = bytes(jwk, "x")?;
    if x.len() != 32 {
        return Err(Unusable::Length);
    }
    Ok((Algorithm::EdDSA, (DecodingKey::from_ed_der(&x), x)))
}

fn text<'d>(jwk: Node<'d>, name: &str) -> Result<Option<&'d str>, Unusable> {
    match jwk.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(Unusable::Malformed),
    }
}

fn bytes(jwk: Node<'_>, name: &str) -> Result<Vec<u8>, Unusable> {
    let text = text(jwk, name)?.ok_or(Unusable::Malformed)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Unusable::Malformed)
}

/// A whole number, without leading zeros.
fn number(jwk: Node<'_>, name: &str) -> Result<Vec<u8>, Unusable> {
    let mut bytes = bytes(jwk, name)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    Ok(bytes)
}
