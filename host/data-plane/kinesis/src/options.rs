//! What a sink needs to know, and what of it cannot be.

use std::sync::Arc;
use std::time::Duration;

use crate::client::AwsAccess;
use crate::cloudwatch::DropCounts;

/// Records in one call, at most: a limit of Kinesis.
pub(crate) const MOST_RECORDS: usize = 500;
/// Bytes in one call where the stream takes large records.
pub(crate) const MOST_CALL_BYTES: usize = 10 * MIB;
pub(crate) const MIB: usize = 1024 * 1024;

/// What a record's data is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Envelope {
    /// A CloudEvent 1.0 in structured form: the event is its `data`, what is known of it are its attributes.
    #[default]
    CloudEvents,
    /// The event alone, with a member `tenantId` where it has none. What a rule holds and dead letters
    /// are CloudEvents all the same: nothing else would tell them from events that passed.
    Event,
}

/// In which order the records of a partition key are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// As they came: no record is sent before those of its key that came earlier are stored.
    #[default]
    PerKey,
    /// In any.
    None,
}

/// When a call is made: as soon as one of these is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchBounds {
    /// 1 to 500. Default 500.
    pub records: usize,
    /// Data and partition keys: 1 KiB to 10 MiB. The stream's own limit holds as well, and a record
    /// that is larger goes alone. Default 5 MiB.
    pub bytes: usize,
    /// How long a record waits for others: 1 ms to 10 s. Default 50 ms.
    pub linger: Duration,
}

/// Everything a sink is started with. [`KinesisOptions::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct KinesisOptions {
    pub access: AwsAccess,
    /// Name or ARN.
    pub stream: String,
    /// Name or ARN of the stream for dead letters. Without one they are rejected.
    pub dead_letters: Option<String>,
    pub envelope: Envelope,
    pub ordering: Ordering,
    pub batch: BatchBounds,
    /// Calls under way at once: 1 to 256. Default 16.
    pub calls: usize,
    /// How long one call may take: 100 ms to 2 min. Default 10 s.
    pub call_timeout: Duration,
    /// Messages that may wait, those under way among them. Default 100,000.
    pub queue_messages: usize,
    /// Bytes of their records: 1 MiB at least. Default 256 MiB.
    pub queue_bytes: usize,
    /// The pause after the first failure, which doubles with each further one. Half of it is left to
    /// chance. Default 100 ms.
    pub retry_first: Duration,
    /// The longest pause. Default 5 s.
    pub retry_most: Duration,
    /// How often the streams are looked at. Default 1 min.
    pub look_every: Duration,
    /// What a [`crate::DropReporter`] tells CloudWatch of. Default none.
    pub counts: Option<Arc<DropCounts>>,
}

/// Why a sink cannot be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    #[error("`{name}` is {value}, and may be {bounds}")]
    OutOfBounds { name: &'static str, value: String, bounds: &'static str },
    #[error(
        "`{0}` is no stream: a name has 1 to 128 of a-z, A-Z, 0-9, `_`, `.` and `-`, an ARN begins with `arn:`"
    )]
    NotAStream(String),
    #[error("there is no tokio runtime to run in")]
    NoRuntime,
}

impl KinesisOptions {
    /// The defaults, with the provider chain of the SDK for region and credentials.
    #[must_use]
    pub fn new(stream: impl Into<String>) -> Self {
        Self {
            access: AwsAccess::default(),
            stream: stream.into(),
            dead_letters: None,
            envelope: Envelope::default(),
            ordering: Ordering::default(),
            batch: BatchBounds {
                records: MOST_RECORDS,
                bytes: 5 * MIB,
                linger: Duration::from_millis(50),
            },
            calls: 16,
            call_timeout: Duration::from_secs(10),
            queue_messages: 100_000,
            queue_bytes: 256 * MIB,
            retry_first: Duration::from_millis(100),
            retry_most: Duration::from_secs(5),
            look_every: Duration::from_secs(60),
            counts: None,
        }
    }

    /// # Errors
    /// The first setting that cannot be.
    pub fn check(&self) -> Result<(), OptionsError> {
        for stream in std::iter::once(&self.stream).chain(&self.dead_letters) {
            if !is_stream(stream) {
                return Err(OptionsError::NotAStream(stream.clone()));
            }
        }
        let (millis, batch) = (Duration::from_millis, &self.batch);
        let count = |name, value: usize, low, high, bounds| {
            let value_text = value.to_string();
            within((low..=high).contains(&value), name, value_text, bounds)
        };
        let time = |name, value: Duration, low, high, bounds| {
            let value_text = format!("{value:?}");
            within((low..=high).contains(&value), name, value_text, bounds)
        };
        count("batch records", batch.records, 1, MOST_RECORDS, "1 to 500")?;
        count("batch bytes", batch.bytes, 1024, MOST_CALL_BYTES, "1 KiB to 10 MiB")?;
        time("linger", batch.linger, millis(1), millis(10_000), "1 ms to 10 s")?;
        count("calls", self.calls, 1, 256, "1 to 256")?;
        time("call timeout", self.call_timeout, millis(100), millis(120_000), "100 ms to 2 min")?;
        count("queue messages", self.queue_messages, 1, 100_000_000, "1 to 100,000,000")?;
        count("queue bytes", self.queue_bytes, MIB, 1 << 40, "1 MiB to 1 TiB")?;
        time("first pause", self.retry_first, millis(1), millis(60_000), "1 ms to 1 min")?;
        let most = "the first pause to 10 min";
        time("longest pause", self.retry_most, self.retry_first, millis(600_000), most)?;
        let look = "10 ms to 1 h";
        time("time between looks", self.look_every, millis(10), millis(3_600_000), look)
    }
}

fn within(
    it_is: bool,
    name: &'static str,
    value: String,
    bounds: &'static str,
) -> Result<(), OptionsError> {
    if it_is { Ok(()) } else { Err(OptionsError::OutOfBounds { name, value, bounds }) }
}

fn is_stream(text: &str) -> bool {
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    text.starts_with("arn:") || ((1..=128).contains(&text.len()) && text.chars().all(is_name_char))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut KinesisOptions);

    #[test]
    fn what_cannot_be_is_named() {
        assert_eq!(KinesisOptions::new("events").check(), Ok(()));
        let of = |change: Change| {
            let mut options = KinesisOptions::new("arn:aws:kinesis:eu-west-1:1:stream/events");
            change(&mut options);
            options.check().map_err(|error| error.to_string())
        };
        assert_eq!(of(|_| {}), Ok(()));
        let cases: [(Change, &str); 12] = [
            (|o| o.stream = String::new(), "no stream"),
            (|o| o.dead_letters = Some("dead letters".to_owned()), "`dead letters` is no stream"),
            (|o| o.batch.records = 501, "`batch records` is 501, and may be 1 to 500"),
            (|o| o.batch.records = 0, "`batch records` is 0"),
            (|o| o.batch.bytes = 11 * MIB, "`batch bytes`"),
            (|o| o.batch.linger = Duration::ZERO, "`linger` is 0ns, and may be 1 ms to 10 s"),
            (|o| o.batch.linger = Duration::from_secs(11), "`linger` is 11s"),
            (|o| o.calls = 0, "`calls`"),
            (|o| o.call_timeout = Duration::ZERO, "`call timeout`"),
            (|o| o.queue_messages = 0, "`queue messages`"),
            (|o| o.queue_bytes = 0, "`queue bytes`"),
            (|o| o.retry_most = Duration::from_millis(1), "`longest pause`"),
        ];
        for (change, expected) in cases {
            let error = of(change).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
