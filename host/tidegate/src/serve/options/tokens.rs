//! The issuers whose bearer tokens the gateway takes, where its configuration names some.

use std::sync::Arc;

use tidegate_config::Config;
use tidegate_ingest::BearerTokens;

/// `None` where no tokens are taken. Begins to fetch the issuers' keys.
///
/// # Errors
/// Where the configuration names issuers and this program cannot verify tokens, or an issuer is not
/// as it must be.
pub(in super::super) fn open(config: &Config) -> anyhow::Result<Option<Arc<dyn BearerTokens>>> {
    if config.jwt.issuers.is_empty() {
        return Ok(None);
    }
    with_issuers(config).map(Some)
}

#[cfg(not(feature = "jwt"))]
fn with_issuers(_: &Config) -> anyhow::Result<Arc<dyn BearerTokens>> {
    anyhow::bail!(
        "the configuration names issuers of tokens, and this program was built without them: build \
         it with `--features jwt`, or leave `issuers` in [jwt] empty"
    )
}

#[cfg(feature = "jwt")]
use verified::with_issuers;

#[cfg(feature = "jwt")]
mod verified {
    use std::pin::Pin;

    use anyhow::Context as _;
    use tidegate_config::{Issuer, Jwt, KeysFrom};
    use tidegate_identity::{Bounds, Claim, IssuerOptions, Issuers, KeySource, Refusal};
    use tidegate_ingest::{Bearer, Disbelief, Scopes};

    use super::{Arc, BearerTokens, Config};
    use crate::serve::options::millis;

    pub(super) fn with_issuers(config: &Config) -> anyhow::Result<Arc<dyn BearerTokens>> {
        let from = &config.jwt;
        let options: anyhow::Result<Vec<IssuerOptions>> = from
            .issuers
            .iter()
            .map(|issuer| options(issuer).with_context(|| format!("issuer `{}`", issuer.issuer)))
            .collect();
        let issuers = Issuers::start(options?, &bounds(from))?;
        Ok(Arc::new(Verified { issuers, retry_after_ms: millis(from.keys_interval) }))
    }

    fn options(from: &Issuer) -> anyhow::Result<IssuerOptions> {
        Ok(IssuerOptions {
            issuer: from.issuer.clone(),
            audiences: from.audiences.clone(),
            keys: match &from.keys {
                KeysFrom::Url(url) => KeySource::url(url)?,
                KeysFrom::File(path) => KeySource::File(path.clone()),
            },
            tenant: claim(&from.tenant_claim)?,
            tenants: from.tenants.clone(),
            scopes: claim(&from.scope_claim)?,
            scope_prefix: from.scope_prefix.clone(),
            scope_names: from.scope_names.clone(),
            types: from.types.clone(),
            leeway: from.leeway,
        })
    }

    fn claim(text: &str) -> anyhow::Result<Claim> {
        if text.starts_with('/') {
            return Ok(Claim::Pointer(text.parse()?));
        }
        Ok(Claim::Name(text.to_owned()))
    }

    fn bounds(from: &Jwt) -> Bounds {
        Bounds {
            refresh: from.keys_refresh,
            max_age: from.keys_max_age,
            interval: from.keys_interval,
            wait: from.keys_wait,
            timeout: from.keys_timeout,
            max_bytes: from.max_keys_bytes,
            cached_tokens: from.cached_tokens,
            ca_file: from.ca_file.clone(),
        }
    }

    struct Verified {
        issuers: Issuers,
        /// When keys that cannot be had now may be there.
        retry_after_ms: u64,
    }

    impl BearerTokens for Verified {
        fn verify<'a>(
            &'a self,
            token: &'a str,
        ) -> Pin<Box<dyn Future<Output = Result<Bearer, Disbelief>> + Send + 'a>> {
            Box::pin(async move {
                let identity = self.issuers.verify(token).await;
                let identity = identity.map_err(|refusal| self.told(refusal))?;
                Ok(Bearer {
                    tenant: identity.tenant.clone(),
                    scopes: Scopes::from_names(identity.scopes.iter().map(String::as_str)),
                    expires_at: identity.expires_at,
                })
            })
        }

        fn report(&self, page: &mut tidegate_telemetry::Page) {
            self.issuers.report(page);
        }
    }

    impl Verified {
        fn told(&self, refusal: Refusal) -> Disbelief {
            match refusal {
                Refusal::Expired => Disbelief::Expired,
                Refusal::KeysUnavailable => Disbelief::Undecided {
                    why: refusal.to_string(),
                    retry_after_ms: self.retry_after_ms,
                },
                bad => Disbelief::Bad(bad.to_string()),
            }
        }
    }
}
