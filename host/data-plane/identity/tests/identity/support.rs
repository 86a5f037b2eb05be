//! What the tests share: keys of their own, tokens signed with them, and options.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use tidegate_identity::{Bounds, Claim, Identity, IssuerOptions, Issuers, KeySource, Refusal};
use tidegate_types::UnixMillis;

pub(crate) const ISSUER: &str = "https://id.example";

/// A private key, with its public one as an issuer publishes it.
pub(crate) struct Signer {
    key: Private,
    pub(crate) public: Value,
}

enum Private {
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Elliptic(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
}

/// What openssl writes to its output.
pub(crate) fn openssl(arguments: &str) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

impl Signer {
    /// A new key of this name for the algorithm of that name.
    pub(crate) fn new(id: &str, algorithm: &str) -> Self {
        let random = SystemRandom::new();
        let elliptic = |with, curve: &str| {
            let made = EcdsaKeyPair::generate_pkcs8(with, &random).unwrap();
            let key = EcdsaKeyPair::from_pkcs8(with, made.as_ref(), &random).unwrap();
            let (x, y) =
                key.public_key().as_ref()[1..].split_at(key.public_key().as_ref().len() / 2);
            let public = json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) });
            (Private::Elliptic(key), public)
        };
        let (key, mut public) = match algorithm {
            "ES256" => elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            "ES384" => elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            "EdDSA" => {
                let made = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                let key = Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap();
                let x = encode(key.public_key());
                (Private::Edwards(key), json!({ "kty": "OKP", "crv": "Ed25519", "x": x }))
            }
            _ => {
                let key = rsa();
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = key.public().into();
                let public = json!({ "kty": "RSA", "n": encode(n), "e": encode(e) });
                (Private::Rsa(Box::new(key), rsa_encoding(algorithm)), public)
            }
        };
        (public["kid"], public["alg"]) = (json!(id), json!(algorithm));
        Self { key, public }
    }

    pub(crate) fn id(&self) -> &str {
        self.public["kid"].as_str().unwrap()
    }

    pub(crate) fn header(&self) -> Value {
        json!({ "alg": self.public["alg"], "kid": self.public["kid"], "typ": "JWT" })
    }

    /// A token of this header and these claims, each as text.
    pub(crate) fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let random = SystemRandom::new();
        let signature = match &self.key {
            Private::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(*encoding, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Private::Elliptic(key) => {
                key.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec()
            }
            Private::Edwards(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", encode(signature))
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_text(&self.header().to_string(), &claims.to_string())
    }

    /// A token that nothing is wrong with.
    pub(crate) fn good(&self) -> String {
        self.sign(&claims())
    }
}

fn rsa() -> RsaKeyPair {
    let pem = String::from_utf8(openssl("genrsa -traditional 2048")).unwrap();
    let lines = pem.lines().filter(|line| !line.starts_with('-'));
    RsaKeyPair::from_der(&STANDARD.decode(lines.collect::<String>()).unwrap()).unwrap()
}

fn rsa_encoding(algorithm: &str) -> &'static dyn RsaEncoding {
    match algorithm {
        "RS256" => &RSA_PKCS1_SHA256,
        "RS384" => &RSA_PKCS1_SHA384,
        "RS512" => &RSA_PKCS1_SHA512,
        "PS256" => &RSA_PSS_SHA256,
        "PS384" => &RSA_PSS_SHA384,
        "PS512" => &RSA_PSS_SHA512,
        other => panic!("{other} is not known here"),
    }
}

pub(crate) fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// Seconds since 1970, from now.
pub(crate) fn in_seconds(seconds: i64) -> i64 {
    i64::try_from(UnixMillis::now().0 / 1000).unwrap() + seconds
}

/// Claims that nothing is wrong with; no two of them are the same.
pub(crate) fn claims() -> Value {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    json!({
        "jti": COUNT.fetch_add(1, Ordering::Relaxed).to_string(),
        "iss": ISSUER, "aud": "tidegate", "exp": in_seconds(600), "sub": "tester",
        "tenant_id": "acme", "scope": "events:write",
    })
}

/// The set that an issuer with these keys publishes.
pub(crate) fn published(signers: &[&Signer]) -> Vec<u8> {
    let keys: Vec<&Value> = signers.iter().map(|signer| &signer.public).collect();
    json!({ "keys": keys }).to_string().into_bytes()
}

pub(crate) fn options(keys: KeySource) -> IssuerOptions {
    IssuerOptions {
        issuer: ISSUER.to_owned(),
        audiences: vec!["tidegate".to_owned()],
        keys,
        tenant: Claim::Name("tenant_id".to_owned()),
        tenants: Vec::new(),
        scopes: Claim::Name("scope".to_owned()),
        scope_prefix: String::new(),
        scope_names: BTreeMap::new(),
        types: vec![None, Some("jwt".to_owned()), Some("at+jwt".to_owned())],
        leeway: Duration::from_secs(30),
    }
}

pub(crate) fn bounds() -> Bounds {
    Bounds {
        refresh: Duration::from_secs(600),
        max_age: Duration::from_secs(3600),
        interval: Duration::from_secs(30),
        wait: Duration::from_secs(20),
        timeout: Duration::from_secs(20),
        max_bytes: 64 << 10,
        cached_tokens: 1000,
        ca_file: None,
    }
}

/// A runtime to run issuers in.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Verifies until it comes out as expected; what it comes to meanwhile must be among `meanwhile`.
pub(crate) fn until(
    runtime: &tokio::runtime::Runtime,
    issuers: &Issuers,
    token: &str,
    expected: Result<(), Refusal>,
    meanwhile: &[Result<(), Refusal>],
) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let found = runtime.block_on(issuers.verify(token)).map(drop_identity);
        if found == expected {
            return;
        }
        assert!(meanwhile.contains(&found), "{found:?} on the way to {expected:?}");
        assert!(std::time::Instant::now() < deadline, "still {found:?}, not {expected:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn drop_identity(identity: Arc<Identity>) {
    drop(identity);
}
