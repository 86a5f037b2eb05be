//! The sink: a producer, and the next one where it has failed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tidegate_sinks::{Failure, Message, Sink, Ticket};
use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::sinks as metrics;

use crate::context::Told;
use crate::options::KafkaOptions;
use crate::producer::{Producer, Taken, topic};
use crate::topic::{self as topics, TopicFinding};

/// The settings cannot be used.
#[derive(Debug)]
pub struct StartError(String);

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the Kafka client refuses its settings: {}", self.0)
    }
}

impl std::error::Error for StartError {}

/// A topic as a sink.
pub struct KafkaSink {
    options: KafkaOptions,
    told: Arc<Told>,
    producer: RwLock<Arc<Producer>>,
    /// Held while a new producer is made.
    replacing: Mutex<()>,
}

impl KafkaSink {
    /// Starts the client. Does not wait for a broker.
    ///
    /// # Errors
    /// Where the client refuses the settings, such as a certificate that cannot be read.
    pub fn start(options: KafkaOptions) -> Result<Self, StartError> {
        let told = Arc::new(Told::default());
        let producer = Producer::start(&options, &told, 1);
        let producer = producer.map_err(|error| StartError(error.to_string()))?;
        let producer = RwLock::new(Arc::new(producer));
        Ok(Self { options, told, producer, replacing: Mutex::new(()) })
    }

    /// What an operator should know about the topics: see [`TopicFinding`]. Blocks, up to the time,
    /// until a broker answers; not for threads of the runtime.
    ///
    /// # Errors
    /// Where no broker answers in time.
    pub fn check(
        &self,
        timeout: Duration,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Vec<TopicFinding>, String> {
        topics::check(&self.options, self.current().client(), timeout, runtime)
    }

    fn current(&self) -> Arc<Producer> {
        Arc::clone(&self.producer.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The producer, a new one where it has failed. What the old one had is reported errored.
    fn working(&self) -> Arc<Producer> {
        let current = self.current();
        if self.told.fatal.load(Ordering::Acquire) < current.number {
            return current;
        }
        drop(current);
        let _one = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = self.current();
        if self.told.fatal.load(Ordering::Acquire) < failed.number {
            return failed;
        }
        match Producer::start(&self.options, &self.told, failed.number + 1) {
            Ok(next) => {
                let next = Arc::new(next);
                let mut slot = self.producer.write().unwrap_or_else(PoisonError::into_inner);
                *slot = Arc::clone(&next);
                drop(slot);
                next
            }
            Err(error) => {
                tracing::error!(%error, "no new kafka producer");
                failed
            }
        }
    }
}

impl Sink for KafkaSink {
    fn send(&self, messages: &[Message<'_>], ticket: &Arc<Ticket>, first: u32) -> usize {
        let producer = self.working();
        for (number, message) in (first..).zip(messages) {
            if message.generation.is_some_and(|wanted| wanted != producer.number) {
                let (why, retry_after) = ("the client was made anew".into(), None);
                let failure = Failure::Errored { why, retry_after, unknown: false };
                ticket.slip(number).failed(failure);
                continue;
            }
            let Some(topic) = topic(&self.options, message) else {
                let why = "the sink has no topic for dead letters".into();
                ticket.slip(number).failed(Failure::Rejected { code: "no-dead-letters", why });
                continue;
            };
            match producer.send(topic, message, ticket, number) {
                Taken::Yes => {}
                Taken::Full => return (number - first) as usize,
            }
        }
        messages.len()
    }

    fn generation(&self) -> u64 {
        self.working().number
    }

    fn wait_for_room(&self, timeout: Duration) {
        self.told.wait_for_room(timeout);
    }

    fn failing(&self) -> Option<String> {
        // What is said while nothing is under way is of yesterday.
        self.told.trouble().filter(|_| self.current().open() > 0)
    }

    fn flush(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        self.current().flush(until.saturating_duration_since(Instant::now()))
    }

    fn report(&self, name: &str, page: &mut Page) {
        let open = u64::try_from(self.current().open()).unwrap_or(0);
        page.put(&metrics::KAFKA_CLIENT_MESSAGES, &[name], open);
    }
}
