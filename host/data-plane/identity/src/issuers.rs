//! The issuers that a gateway knows, and the whole way of a token: remembered, or read, held against
//! its issuer's keys, and believed in what it claims.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tidegate_telemetry::Page;
use tidegate_tls::TlsError;
use tidegate_types::{Digest, UnixMillis};

use crate::cache::Cache;
use crate::claims::{Claims, Identity};
use crate::counts::Counts;
use crate::keys::jwk::Key;
use crate::keys::keeper::Keeper;
use crate::keys::transport::Transport;
use crate::{Bounds, IssuerOptions, Jws, MAX_TOKEN_BYTES, Refusal};

/// Why nothing can be verified.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the certificates that issuers are to be trusted by cannot be used: {0}")]
    Certificates(#[from] TlsError),
    #[error("the issuer `{0}` is there twice")]
    Twice(String),
}

/// All issuers of a gateway. Fetching ends when this is dropped.
pub struct Issuers {
    /// By what `iss` must be.
    issuers: HashMap<String, Arc<Issuer>>,
    cache: Cache<Verified>,
    counts: Counts,
}

struct Issuer {
    options: IssuerOptions,
    keeper: Keeper,
    /// How long a token waits for keys.
    patience: Duration,
}

/// A token that was verified.
#[derive(Clone)]
struct Verified {
    identity: Arc<Identity>,
    issuer: Arc<Issuer>,
    /// Gone when the issuer's set has it no longer.
    key: Weak<Key>,
}

impl Verified {
    fn is_good(&self) -> bool {
        self.key.strong_count() > 0 && UnixMillis::now() < self.identity.expires_at
    }
}

impl Issuers {
    /// Begins to fetch keys. To be called within a runtime; nothing waits for them here.
    ///
    /// # Errors
    /// Where two issuers are the same, or the file of certificates cannot be used.
    pub fn start(issuers: Vec<IssuerOptions>, bounds: &Bounds) -> Result<Self, StartError> {
        let transport = Transport::new(bounds.ca_file.as_deref())?;
        let mut all = HashMap::with_capacity(issuers.len());
        for options in issuers {
            let name = options.issuer.clone();
            let keeper = Keeper::start(&name, &options.keys, &transport, bounds);
            let issuer = Issuer { options, keeper, patience: bounds.wait };
            if all.insert(name.clone(), Arc::new(issuer)).is_some() {
                return Err(StartError::Twice(name));
            }
        }
        Ok(Self {
            issuers: all,
            cache: Cache::new(bounds.cached_tokens),
            counts: Counts::default(),
        })
    }

    /// Who a token says that somebody is.
    ///
    /// # Errors
    /// Why it is not believed.
    pub async fn verify(&self, token: &str) -> Result<Arc<Identity>, Refusal> {
        let result = self.check(token).await;
        if let Err(refusal) = &result {
            self.counts.refused(*refusal);
            tracing::debug!(reason = refusal.as_str(), "token refused");
        }
        result
    }

    async fn check(&self, token: &str) -> Result<Arc<Identity>, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::TooLong);
        }
        let digest = Digest::of(token.as_bytes());
        if let Some(known) = self.cache.get(&digest, Verified::is_good) {
            if known.issuer.keeper.with_keys(|_| ()).is_none() {
                return Err(Refusal::KeysUnavailable);
            }
            self.counts.remembered();
            return Ok(known.identity);
        }
        let jws = Jws::read(token)?;
        let claims = Claims::read(jws.payload())?;
        let issuer = self.issuers.get(claims.issuer()?).ok_or(Refusal::Issuer)?;
        if !issuer.takes_type(jws.header.token_type.as_deref()) {
            return Err(Refusal::Type);
        }
        let key = issuer.verify(&jws).await?;
        let identity = Arc::new(claims.identify(&issuer.options, UnixMillis::now())?);
        let verified = Verified {
            identity: Arc::clone(&identity),
            issuer: Arc::clone(issuer),
            key: Arc::downgrade(&key),
        };
        self.cache.put(digest, verified);
        self.counts.verified();
        Ok(identity)
    }

    /// Tells tokens by outcome and the state of issuers' keys.
    pub fn report(&self, page: &mut Page) {
        self.counts.report(page);
        let mut issuers: Vec<_> = self.issuers.iter().collect();
        issuers.sort_unstable_by_key(|(name, _)| *name);
        for (name, issuer) in issuers {
            issuer.keeper.observe().report(name, page);
        }
    }
}

impl Issuer {
    /// RFC 7515, section 4.1.9: a media type, whose `application/` may be left out, in any case.
    fn takes_type(&self, given: Option<&str>) -> bool {
        let given = given.map(|text| {
            let text = text.to_ascii_lowercase();
            text.strip_prefix("application/").map(str::to_owned).unwrap_or(text)
        });
        self.options.types.contains(&given)
    }

    /// The key that signed a token. Where it is not there, or nothing is, waits for a look at the
    /// source, if one may be had now.
    async fn verify(&self, jws: &Jws<'_>) -> Result<Arc<Key>, Refusal> {
        let ended = self.keeper.ended();
        let refusal = match self.try_verify(jws) {
            Err(refusal @ (Refusal::UnknownKey | Refusal::KeysUnavailable)) => refusal,
            settled => return settled,
        };
        if self.keeper.look_again(ended, self.patience).await {
            self.try_verify(jws)
        } else {
            Err(refusal)
        }
    }

    fn try_verify(&self, jws: &Jws<'_>) -> Result<Arc<Key>, Refusal> {
        self.keeper.with_keys(|keys| jws.verify(keys)).unwrap_or(Err(Refusal::KeysUnavailable))
    }
}
