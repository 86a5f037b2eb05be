//! How AWS is spoken to: where, as whom, over TLS of `ring`, without retries of the SDK's own, which
//! would hide whether a record may have been stored twice.

pub(crate) mod trouble;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::StalledStreamProtectionConfig;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

/// Where AWS is, and who we are there. What is not set comes from the provider chain of the SDK:
/// environment, profile files, web identity, the metadata service of container or machine.
#[derive(Clone, Debug, Default)]
pub struct AwsAccess {
    pub region: Option<String>,
    /// In place of the region's own: VPC endpoints, and servers to test with.
    pub endpoint_url: Option<String>,
    pub credentials: Option<Credentials>,
}

/// Credentials that do not change.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, …)", self.access_key_id)
    }
}

/// A call that is not over by then has failed.
pub(crate) async fn configure(access: &AwsAccess, call_timeout: Duration) -> SdkConfig {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(call_timeout.min(Duration::from_secs(3)))
        .operation_timeout(call_timeout)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::disabled())
        // The time of the call is limited; streams have no bodies to stall.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(region) = &access.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &access.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(own) = &access.credentials {
        let (id, secret) = (own.access_key_id.clone(), own.secret_access_key.clone());
        let token = own.session_token.clone();
        let credentials =
            aws_sdk_kinesis::config::Credentials::new(id, secret, token, None, "settings");
        loader = loader.credentials_provider(credentials);
    }
    loader.load().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_written_into_logs() {
        let credentials = Credentials {
            access_key_id: "AKIA1".to_owned(),
            secret_access_key: "s3cr3t".to_owned(),
            session_token: Some("t0k3n".to_owned()),
        };
        let access = AwsAccess { credentials: Some(credentials), ..AwsAccess::default() };
        let text = format!("{access:?}");
        assert!(text.contains("AKIA1"), "{text}");
        assert!(!text.contains("s3cr3t") && !text.contains("t0k3n"), "{text}");
    }
}
