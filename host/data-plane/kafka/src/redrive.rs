//! Moves dead letters back to the topic that they were meant for, each event once.
//!
//! A batch of letters and the position in the topic of dead letters behind it are one transaction: both
//! are there or neither, for consumers that read committed records only. So a redrive that is cut off
//! goes on where it was. An event whose letter was written twice is moved once: the letters before the
//! position are read again, for their event ids. Of two redrives of one topic at a time the later one
//! fences off the earlier one.
//!
//! What has no body (a letter that was too large itself), and what stands for others, cannot be moved:
//! it is told and passed by.

mod letters;

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::options::KafkaOptions;
use letters::{Letter, Letters};

/// Letters that one transaction moves.
const BATCH: usize = 500;
/// How long the brokers may take over one step.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which letters are moved, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct RedriveOptions {
    /// At most so many.
    pub limit: u64,
    /// About so many in a second; at least 1.
    pub per_second: u32,
    /// Nothing is moved, only told.
    pub dry: bool,
}

/// What a redrive did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    pub moved: u64,
    /// Letters of events that were moved before.
    pub repeated: u64,
    /// Letters that cannot be moved: without a body, or standing for others.
    pub not_whole: u64,
    /// Events that the latter stand for.
    pub stood_for: u64,
    /// Letters by their reasons.
    pub reasons: BTreeMap<String, u64>,
}

/// Moves the dead letters that are there when it begins. Blocks.
///
/// # Errors
/// Says what the brokers refuse. What was moved until then is moved, and `told` has heard of it.
pub fn redrive(
    options: &KafkaOptions,
    wanted: &RedriveOptions,
    told: &mut dyn FnMut(&Redriven),
) -> Result<Redriven, String> {
    let from =
        options.dead_letter_topic.as_deref().ok_or("the sink has no topic for dead letters")?;
    let letters = Letters::open(options, from)?;
    let mut done = Redriven::default();
    let moving = (!wanted.dry).then(|| Moving::start(options, from)).transpose()?;
    let mut known = letters.moved_before()?;
    letters.rewind()?;
    let begun = Instant::now();
    let mut ended = false;
    while !ended && done.moved < wanted.limit {
        let most = BATCH.min(usize::try_from(wanted.limit - done.moved).unwrap_or(BATCH));
        let batch = letters.next(most)?;
        ended = batch.is_empty();
        let before = done.moved;
        let whole = sift(batch.iter(), &mut known, &mut done);
        if let Some(moving) = &moving {
            moving.move_batch(&letters, &whole, &options.topic)?;
        }
        told(&done);
        let due = Duration::from_secs(1) / wanted.per_second.max(1);
        let moved = u32::try_from(done.moved).unwrap_or(u32::MAX);
        if done.moved > before {
            std::thread::sleep((due * moved).saturating_sub(begun.elapsed()));
        }
    }
    Ok(done)
}

/// Those that are moved; counts them all.
fn sift<'l>(
    batch: impl Iterator<Item = &'l Letter>,
    known: &mut HashSet<String>,
    done: &mut Redriven,
) -> Vec<&'l Letter> {
    let mut whole = Vec::new();
    for letter in batch {
        *done.reasons.entry(letter.code().to_owned()).or_default() += 1;
        if letter.body.is_empty() || letter.stands_for() > 1 {
            done.not_whole += 1;
            done.stood_for += letter.stands_for();
        } else if known.insert(letter.event_id().to_owned()) {
            done.moved += 1;
            whole.push(letter);
        } else {
            done.repeated += 1;
        }
    }
    whole
}

/// The producer that moves letters.
struct Moving(BaseProducer);

impl Moving {
    fn start(options: &KafkaOptions, from: &str) -> Result<Self, String> {
        let mut config = options.client();
        config
            .set("transactional.id", format!("tidegate-redrive.{from}"))
            .set("transaction.timeout.ms", "60000")
            .set("message.timeout.ms", "30000")
            .set("partitioner", "murmur2_random")
            .set("message.max.bytes", options.max_message_bytes.to_string());
        let producer: BaseProducer = config.create().map_err(|error| error.to_string())?;
        producer.init_transactions(PATIENCE).map_err(|error| error.to_string())?;
        Ok(Self(producer))
    }

    /// Moves letters and the position behind what has been read, or neither.
    fn move_batch(&self, letters: &Letters, whole: &[&Letter], to: &str) -> Result<(), String> {
        let moved = self.try_move(letters, whole, to);
        moved.map_err(|error| {
            if let Err(why) = self.0.abort_transaction(PATIENCE) {
                return format!("{error}; and the transaction is left to time out: {why}");
            }
            error.to_string()
        })
    }

    fn try_move(&self, letters: &Letters, whole: &[&Letter], to: &str) -> Result<(), KafkaError> {
        self.0.begin_transaction()?;
        for letter in whole {
            self.send(letter, to)?;
        }
        let group = letters.consumer().group_metadata();
        let group = group.ok_or_else(|| KafkaError::ClientCreation("no group".to_owned()))?;
        self.0.send_offsets_to_transaction(&letters.position(), &group, PATIENCE)?;
        self.0.commit_transaction(PATIENCE)
    }

    fn send(&self, letter: &Letter, to: &str) -> Result<(), KafkaError> {
        let mut headers = OwnedHeaders::new_with_capacity(letter.headers.len() + 1);
        for (key, value) in
            letter.headers.iter().filter(|(key, _)| !key.starts_with("tidegate-dead-"))
        {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        headers = headers.insert(Header { key: "tidegate-redriven", value: Some("1") });
        let until = Instant::now() + PATIENCE;
        let mut record = BaseRecord::to(to).key(&letter.key).payload(&letter.body).headers(headers);
        if let Some(timestamp) = letter.timestamp {
            record = record.timestamp(timestamp);
        }
        loop {
            match self.0.send(record) {
                Ok(()) => return Ok(()),
                Err((error, _)) if !is_full(&error) || Instant::now() >= until => {
                    return Err(error);
                }
                Err((_, back)) => {
                    record = back;
                    self.0.poll(Duration::from_millis(10));
                }
            }
        }
    }
}

fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::QueueFull)
}

/// A consumer of one topic that remembers its position in a group of its own.
fn consumer(options: &KafkaOptions, topic: &str) -> Result<BaseConsumer, String> {
    let mut config = options.client();
    config
        .set("group.id", format!("tidegate-redrive.{topic}"))
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false");
    config.create().map_err(|error| error.to_string())
}
