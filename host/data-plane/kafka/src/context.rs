//! What the client library tells: reports on messages, errors, lines for the log.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use tidegate_sinks::Slip;

use crate::failure;

/// What the producers of one sink, one after the other, tell.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The last error that nothing has been delivered after.
    trouble: Mutex<Option<String>>,
    troubled: AtomicBool,
    /// The number of the producer that can do nothing any more; 0 for none.
    pub(crate) fatal: AtomicU64,
    /// Somebody waits for room.
    waiting: Mutex<bool>,
    room: Condvar,
}

impl Told {
    pub(crate) fn trouble(&self) -> Option<String> {
        self.lock(&self.trouble).clone()
    }

    fn note(&self, trouble: String) {
        self.troubled.store(true, Ordering::Release);
        *self.lock(&self.trouble) = Some(trouble);
    }

    fn went_well(&self) {
        if self.troubled.swap(false, Ordering::AcqRel) {
            *self.lock(&self.trouble) = None;
        }
    }

    /// Blocks until a report has made room, or the time is over.
    pub(crate) fn wait_for_room(&self, timeout: Duration) {
        let mut waiting = self.lock(&self.waiting);
        *waiting = true;
        let woken = self.room.wait_timeout_while(waiting, timeout, |waiting| *waiting);
        let (mut waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
        *waiting = false;
    }

    /// To be called after reports were made.
    pub(crate) fn made_room(&self) {
        let mut waiting = self.lock(&self.waiting);
        if *waiting {
            *waiting = false;
            self.room.notify_all();
        }
    }

    fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The context of one producer.
pub(crate) struct Context {
    pub(crate) told: std::sync::Arc<Told>,
    /// Of the sink's producers, which one; from 1.
    pub(crate) number: u64,
    pub(crate) topic: String,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let topic = self.topic.as_str();
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                tracing::warn!(topic, facility, message, "kafka client");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(topic, facility, message, "kafka client");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(topic, facility, message, "kafka client"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let topic = self.topic.as_str();
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            tracing::error!(topic, %error, reason, "kafka producer failed, making a new one");
            self.told.fatal.fetch_max(self.number, Ordering::AcqRel);
        } else {
            tracing::warn!(topic, %error, reason, "kafka client has trouble");
        }
        self.told.note(format!("{error}: {reason}"));
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Slip>;

    fn delivery(&self, result: &DeliveryResult<'_>, slip: Box<Slip>) {
        match result {
            Ok(_) => {
                slip.delivered();
                self.told.went_well();
            }
            Err((error, _)) => {
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
                    self.told.fatal.fetch_max(self.number, Ordering::AcqRel);
                }
                self.told.note(error.to_string());
                slip.failed(failure::of(error, true));
            }
        }
    }
}
