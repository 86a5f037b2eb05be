//! What an error of the client says about one message.

use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use tidegate_sinks::Failure;

/// What became of a message with this error. `sent` says whether it may have left the client.
pub(crate) fn of(error: &KafkaError, sent: bool) -> Failure {
    let why = error.to_string().into();
    match error.rdkafka_error_code() {
        Some(code) if is_refusal(code) => Failure::Rejected { code: word(code), why },
        code => {
            // What was purged from the queue, or never entered it, has not left.
            let kept = matches!(code, Some(RDKafkaErrorCode::PurgeQueue));
            Failure::Errored {
                why,
                retry_after: Some(Duration::from_secs(1)),
                unknown: sent && !kept,
            }
        }
    }
}

/// Would this very message be refused again and again, while others pass?
fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::InvalidTimestamp
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::PolicyViolation
    )
}

fn word(code: RDKafkaErrorCode) -> &'static str {
    match code {
        RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize => "too-large",
        _ => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_what_they_say_of_a_message() {
        use RDKafkaErrorCode as Code;
        for (code, expected) in [
            (Code::MessageSizeTooLarge, Err("too-large")),
            (Code::InvalidRecord, Err("refused")),
            (Code::PurgeQueue, Ok(false)),
            (Code::PurgeInflight, Ok(true)),
            (Code::Fatal, Ok(true)),
            (Code::RequestTimedOut, Ok(true)),
            (Code::TopicAuthorizationFailed, Ok(true)),
            (Code::UnknownTopicOrPartition, Ok(true)),
        ] {
            let failure = of(&KafkaError::MessageProduction(code), true);
            let found = match failure {
                Failure::Errored { unknown, .. } => Ok(unknown),
                Failure::Rejected { code, .. } => Err(code),
            };
            assert_eq!(found, expected, "{code:?}");
        }
    }
}
