//! What the tests share: a component, options, a runtime.

use std::time::Duration;

use tidegate_distribution::{
    AllowedHosts, Credentials, DistributionError, Pulled, Reference, RegistryClient,
    RegistryOptions,
};

/// A component with nothing in it but a custom section of some bytes, so that each is another.
pub(crate) fn component(content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 120, "the lengths are one byte here");
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.extend([0, content.len() as u8 + 2, 1, b'x']);
    bytes.extend(content);
    bytes
}

pub(crate) fn options(host: &str) -> RegistryOptions {
    RegistryOptions {
        allowed: AllowedHosts::Only(vec![host.to_owned()]),
        plain_loopback: true,
        plain_http: Vec::new(),
        credentials: Credentials::anonymous(),
        component_bytes: 1 << 20,
        request_timeout: Duration::from_secs(20),
    }
}

pub(crate) fn client(host: &str) -> RegistryClient {
    RegistryClient::new(options(host))
}

pub(crate) fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// Runs a future to its end.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

pub(crate) fn pull(client: &RegistryClient, text: &str) -> Result<Pulled, DistributionError> {
    wait(client.pull(&reference(text)))
}
