//! `tidegate plugin publish` and `pull`: components to and from OCI registries.

use std::path::Path;

use crate::cli::RegistryArguments;
use crate::output::Printer;

#[cfg(not(feature = "oci"))]
const WITHOUT: &str = "this tidegate was built without registries; build it with `--features oci`";

#[cfg(not(feature = "oci"))]
pub(super) fn publish(_: Printer, _: &Path, _: &str, _: &RegistryArguments) -> anyhow::Result<()> {
    anyhow::bail!(WITHOUT)
}

#[cfg(not(feature = "oci"))]
pub(super) fn pull(_: Printer, _: &str, _: &Path, _: &RegistryArguments) -> anyhow::Result<()> {
    anyhow::bail!(WITHOUT)
}

#[cfg(feature = "oci")]
pub(super) use with_registries::{publish, pull};

#[cfg(feature = "oci")]
mod with_registries {
    use std::path::PathBuf;
    use std::time::Duration;

    use anyhow::Context as _;
    use serde_json::json;
    use tidegate_distribution::{
        AllowedHosts, Credentials, Reference, RegistryClient, RegistryOptions,
    };

    use super::super::super::files;
    use super::super::MAX_BYTES;
    use super::{Path, Printer, RegistryArguments};
    use crate::output::remark;

    /// For one request; a component of the largest size over a slow line.
    const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);

    pub(in super::super) fn publish(
        print: Printer,
        file: &Path,
        reference: &str,
        arguments: &RegistryArguments,
    ) -> anyhow::Result<()> {
        let reference: Reference = reference.parse()?;
        let bytes = files::read_whole(file, MAX_BYTES)?;
        let client = client(&reference, arguments)?;
        let published = runtime()?.block_on(client.publish(&reference, bytes.into()))?;
        let answer = json!({
            "reference": published.reference.to_string(),
            "component": published.digest,
        });
        // The reference alone on standard output, so that a script can keep it.
        print.answer(&answer, || published.reference.to_string())?;
        Ok(())
    }

    pub(in super::super) fn pull(
        print: Printer,
        reference: &str,
        output: &Path,
        arguments: &RegistryArguments,
    ) -> anyhow::Result<()> {
        let reference: Reference = reference.parse()?;
        let client = client(&reference, arguments)?;
        let pulled = runtime()?.block_on(client.pull(&reference))?;
        std::fs::write(output, &pulled.component).with_context(|| output.display().to_string())?;
        let bytes = pulled.component.len();
        let answer = json!({
            "reference": pulled.reference.to_string(),
            "component": pulled.digest,
            "bytes": bytes,
        });
        print.answer(&answer, || pulled.digest.to_string())?;
        remark(&format!("{bytes} bytes in {}", output.display()));
        Ok(())
    }

    fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    }

    fn client(
        reference: &Reference,
        arguments: &RegistryArguments,
    ) -> anyhow::Result<RegistryClient> {
        let file = arguments.registry_config.clone().or_else(docker_config);
        let credentials = match file {
            Some(file) => Credentials::from_file(&file)?,
            None => Credentials::anonymous(),
        };
        let set = |name| std::env::var(name).ok();
        let credentials = credentials
            .or_environment(set("TIDEGATE_REGISTRY_USER"), set("TIDEGATE_REGISTRY_PASSWORD"));
        let plain = arguments.plain_http.then(|| reference.registry.clone());
        Ok(RegistryClient::new(RegistryOptions {
            allowed: AllowedHosts::Any,
            plain_loopback: !arguments.tls,
            plain_http: plain.into_iter().collect(),
            credentials,
            component_bytes: MAX_BYTES,
            request_timeout: REQUEST_TIMEOUT,
        }))
    }

    fn docker_config() -> Option<PathBuf> {
        let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let folder =
            folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")));
        folder.map(|folder| folder.join("config.json"))
    }
}
