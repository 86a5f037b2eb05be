//! What an error of the SDK means: was it carried out, is there too much to do, is the call itself at
//! fault.

use std::error::Error;

use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{ConnectorError, DisplayErrorContext, ProvideErrorMetadata, SdkError};
use hyper_util::client::legacy;

/// Codes of errors that say: less, or later.
const THROTTLED: [&str; 6] = [
    "ProvisionedThroughputExceededException",
    "KMSThrottlingException",
    "LimitExceededException",
    "ThrottlingException",
    "Throttling",
    "RequestLimitExceeded",
];

/// Codes of errors that say: this call never.
const REFUSED: [&str; 4] = [
    "InvalidArgumentException", "ValidationException", "SerializationException",
    "InvalidParameterValue",
];

/// Codes of errors that say: not you.
const DENIED: [&str; 7] = [
    "AccessDeniedException",
    "AccessDenied",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "IncompleteSignature",
    "ExpiredTokenException",
];

/// An error, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// For people.
    pub(crate) why: String,
    /// The call may have been carried out all the same.
    pub(crate) is_unknown: bool,
    pub(crate) is_throttled: bool,
    pub(crate) is_refused: bool,
    pub(crate) is_denied: bool,
}

/// Does the code of an error say that there is too much to do?
pub(crate) fn is_throttled(code: &str) -> bool {
    THROTTLED.contains(&code)
}

/// Does the code of an error say that what was sent is at fault?
pub(crate) fn is_refused(code: &str) -> bool {
    REFUSED.contains(&code)
}

pub(crate) fn meaning<E>(error: &SdkError<E, HttpResponse>) -> Meaning
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let code = error.code().unwrap_or_default();
    let is_unknown = match error {
        SdkError::ConstructionFailure(_) => false,
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::DispatchFailure(failure) => {
            failure.as_connector_error().is_none_or(was_perhaps_sent)
        }
        SdkError::ServiceError(answer) => answer.raw().status().is_server_error(),
        // The enum may grow.
        _ => true,
    };
    let is_throttled = is_throttled(code);
    Meaning {
        why: told(error, code),
        is_unknown: is_unknown && !is_throttled,
        is_throttled,
        is_refused: is_refused(code),
        is_denied: DENIED.contains(&code),
    }
}

fn told<E>(error: &SdkError<E, HttpResponse>, code: &str) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
{
    match error {
        SdkError::ServiceError(answer) if !code.is_empty() => {
            format!("{code}: {}", error.message().unwrap_or("(no message)"))
                + &format!(" (status {})", answer.raw().status().as_u16())
        }
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        _ => {
            let text = DisplayErrorContext(error).to_string();
            // What follows is the same once more, as Rust writes it for programmers.
            text.split(" (").next().unwrap_or(&text).to_owned()
        }
    }
}

/// A connection that was never made has carried nothing.
fn was_perhaps_sent(failure: &ConnectorError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(failure);
    while let Some(error) = next {
        if let Some(of_client) = error.downcast_ref::<legacy::Error>() {
            return !of_client.is_connect();
        }
        next = error.source();
    }
    // Without the client in the chain it failed before: no credentials, no endpoint.
    failure.is_timeout() || failure.is_io()
}
