//! One producer of the client library, and the thread that hears its reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode;
use tidegate_sinks::{Kind, Message, Slip, Ticket};

use crate::context::{Context, Told};
use crate::options::KafkaOptions;
use crate::{failure, headers};

/// How long the thread listens before it looks whether it is to end.
const LISTEN: Duration = Duration::from_millis(100);

/// A producer with its thread.
pub(crate) struct Producer {
    inner: Arc<BaseProducer<Context>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    pub(crate) number: u64,
}

/// What became of an attempt to put a message into the client's queue.
pub(crate) enum Taken {
    Yes,
    /// There is no room; nothing was reported.
    Full,
}

impl Producer {
    pub(crate) fn start(
        options: &KafkaOptions,
        told: &Arc<Told>,
        number: u64,
    ) -> Result<Self, KafkaError> {
        let context = Context { told: Arc::clone(told), number, topic: options.topic.clone() };
        let inner: BaseProducer<Context> = options.producer().create_with_context(context)?;
        let (inner, stop) = (Arc::new(inner), Arc::new(AtomicBool::new(false)));
        let (producer, stopped, told) = (Arc::clone(&inner), Arc::clone(&stop), Arc::clone(told));
        let listen = move || {
            while !stopped.load(Ordering::Acquire) {
                producer.poll(LISTEN);
                told.made_room();
            }
        };
        let thread = std::thread::Builder::new().name("kafka-reports".to_owned()).spawn(listen);
        let thread = thread.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { inner, stop, thread: Some(thread), number })
    }

    /// Puts a message into the client's queue.
    pub(crate) fn send(
        &self,
        topic: &str,
        message: &Message<'_>,
        ticket: &Arc<Ticket>,
        number: u32,
    ) -> Taken {
        let received = message.event_id.received_at().0;
        let record = BaseRecord::with_opaque_to(topic, Box::new(ticket.slip(number)))
            .key(message.partition_key)
            .payload(message.body)
            .timestamp(i64::try_from(received).unwrap_or(i64::MAX))
            .headers(headers::of(message));
        match self.inner.send(record) {
            Ok(()) => Taken::Yes,
            Err((error, record)) => {
                let slip: Slip = *record.delivery_opaque;
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) {
                    slip.give_back();
                    return Taken::Full;
                }
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
                    self.inner.context().told.fatal.fetch_max(self.number, Ordering::AcqRel);
                }
                slip.failed(failure::of(&error, false));
                Taken::Yes
            }
        }
    }

    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        self.inner.flush(timeout).is_ok()
    }

    /// Messages that are not reported yet.
    pub(crate) fn open(&self) -> i32 {
        self.inner.in_flight_count()
    }

    pub(crate) fn client(&self) -> &rdkafka::client::Client<Context> {
        self.inner.client()
    }
}

/// Where a message goes.
pub(crate) fn topic<'o>(options: &'o KafkaOptions, message: &Message<'_>) -> Option<&'o str> {
    match message.kind {
        Kind::Accepted | Kind::Quarantined { .. } => Some(&options.topic),
        Kind::Dead(_) => options.dead_letter_topic.as_deref(),
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // Whoever sent what is left learns that it was not heard of, and sends it again.
        self.inner.purge(PurgeConfig::default().queue().inflight());
        if self.inner.flush(Duration::from_secs(1)).is_err() {
            tracing::warn!("kafka client keeps messages that were purged");
        }
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic of its own has been told where it happened.
            drop(thread.join());
        }
    }
}
