//! The OCI registries that the gateway pulls components from, where its configuration names some.

use std::sync::Arc;

use tidegate_admin_api::ComponentRegistry;
use tidegate_config::Config;

/// `None` where nothing may be pulled.
///
/// # Errors
/// Where the configuration names registries and this program cannot speak to them.
pub(in super::super) fn open(
    config: &Config,
) -> anyhow::Result<Option<Arc<dyn ComponentRegistry>>> {
    if config.registries.allowed.is_empty() {
        return Ok(None);
    }
    with_hosts(config).map(Some)
}

#[cfg(not(feature = "oci"))]
fn with_hosts(_: &Config) -> anyhow::Result<Arc<dyn ComponentRegistry>> {
    anyhow::bail!(
        "the configuration names registries, and this program was built without them: build it \
         with `--features oci`, or leave `allowed` in [registries] empty"
    )
}

#[cfg(feature = "oci")]
use with_registries::with_hosts;

#[cfg(feature = "oci")]
mod with_registries {
    use bytes::Bytes;
    use tidegate_admin_api::BoxFuture;
    use tidegate_distribution::{
        AllowedHosts, Credentials, DistributionError, Reference, RegistryClient, RegistryOptions,
    };
    use tidegate_types::{Problem, ProblemType};

    use super::{Arc, ComponentRegistry, Config};

    pub(super) fn with_hosts(config: &Config) -> anyhow::Result<Arc<dyn ComponentRegistry>> {
        let from = &config.registries;
        Ok(Arc::new(Registries(RegistryClient::new(RegistryOptions {
            allowed: AllowedHosts::Only(from.allowed.clone()),
            plain_loopback: false,
            plain_http: from.plain_http.clone(),
            credentials: Credentials::from_file(&from.credentials_file)?,
            component_bytes: config.compile.component_bytes as u64,
            request_timeout: from.request_timeout,
        }))))
    }

    struct Registries(RegistryClient);

    impl ComponentRegistry for Registries {
        fn pull(&self, reference: String) -> BoxFuture<'_, Result<Bytes, Problem>> {
            Box::pin(async move {
                let reference: Reference =
                    reference.parse().map_err(|error| problem(&DistributionError::from(error)))?;
                let pulled = self.0.pull(&reference).await.map_err(|error| problem(&error))?;
                tracing::info!(reference = %pulled.reference, digest = %pulled.digest, "component pulled");
                Ok(pulled.component)
            })
        }
    }

    /// What somebody asked for wrongly is their request's problem; the rest is the registry's.
    fn problem(error: &DistributionError) -> Problem {
        let is_asked_wrongly = matches!(
            error,
            DistributionError::Reference(_)
                | DistributionError::NotAllowed { .. }
                | DistributionError::DigestNeeded { .. }
                | DistributionError::NothingNamed { .. }
                | DistributionError::NotFound { .. }
                | DistributionError::Layout { .. }
        );
        let kind = if is_asked_wrongly {
            ProblemType::InvalidRequest
        } else {
            tracing::warn!(%error, "a registry did not give a component");
            ProblemType::RegistryFailed
        };
        let problem = Problem::new(kind, error.to_string());
        if error.is_passing() { problem.retry_after(5000) } else { problem }
    }
}
