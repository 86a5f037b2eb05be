//! Reads the topic of dead letters, up to where it ended when reading began.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{PATIENCE, consumer};
use crate::options::KafkaOptions;

/// A dead letter as it is in the topic.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) key: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) timestamp: Option<i64>,
}

impl Letter {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let header = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
        };
        Self {
            key: message.key().unwrap_or_default().to_vec(),
            body: message.payload().unwrap_or_default().to_vec(),
            headers: headers.map(header).collect(),
            timestamp: message.timestamp().to_millis(),
        }
    }

    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.and_then(|(_, value)| std::str::from_utf8(value).ok()).unwrap_or_default()
    }

    pub(super) fn event_id(&self) -> &str {
        self.header("tidegate-event-id")
    }

    pub(super) fn code(&self) -> &str {
        self.header("tidegate-dead-code")
    }

    pub(super) fn stands_for(&self) -> u64 {
        self.header("tidegate-dead-stands-for").parse().unwrap_or(1)
    }
}

/// A topic of dead letters, with how far it has been redriven.
pub(super) struct Letters {
    consumer: BaseConsumer,
    topic: String,
    partitions: Vec<i32>,
    /// Of each partition where it ended, and where redriving came to.
    ends: BTreeMap<i32, i64>,
    committed: BTreeMap<i32, i64>,
    /// Of each partition the position behind what has been read.
    next: RefCell<BTreeMap<i32, i64>>,
}

impl Letters {
    pub(super) fn open(options: &KafkaOptions, topic: &str) -> Result<Self, String> {
        let consumer = consumer(options, topic)?;
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE);
        let metadata = metadata.map_err(|error| format!("no broker answers: {error}"))?;
        let told = metadata.topics().iter().find(|one| one.name() == topic);
        let partitions: Vec<i32> = told
            .filter(|told| told.error().is_none())
            .map(|told| told.partitions().iter().map(|partition| partition.id()).collect())
            .ok_or_else(|| format!("there is no topic `{topic}`, so there are no dead letters"))?;
        let (mut ends, mut starts) = (BTreeMap::new(), BTreeMap::new());
        for partition in &partitions {
            let marks = consumer.fetch_watermarks(topic, *partition, PATIENCE);
            let (low, high) = marks.map_err(|error| error.to_string())?;
            ends.insert(*partition, high);
            starts.insert(*partition, low);
        }
        let mut asked = TopicPartitionList::new();
        for partition in &partitions {
            asked.add_partition(topic, *partition);
        }
        let told = consumer.committed_offsets(asked, PATIENCE);
        let told = told.map_err(|error| error.to_string())?;
        let committed = partitions.iter().map(|partition| {
            let low = starts.get(partition).copied().unwrap_or(0);
            let found = told.find_partition(topic, *partition).map(|one| one.offset());
            match found {
                Some(Offset::Offset(offset)) => (*partition, offset.max(low)),
                _ => (*partition, low),
            }
        });
        let committed: BTreeMap<i32, i64> = committed.collect();
        let next = RefCell::new(committed.clone());
        Ok(Self { consumer, topic: topic.to_owned(), partitions, ends, committed, next })
    }

    pub(super) fn consumer(&self) -> &BaseConsumer {
        &self.consumer
    }

    /// The ids of events whose letters stand before the position.
    pub(super) fn moved_before(&self) -> Result<HashSet<String>, String> {
        let mut ids = HashSet::new();
        self.next.borrow_mut().clear();
        self.assign(|_| Offset::Beginning)?;
        self.read(&self.committed, usize::MAX, |letter| {
            if !letter.body.is_empty() && letter.stands_for() <= 1 {
                ids.insert(letter.event_id().to_owned());
            }
        })?;
        Ok(ids)
    }

    /// Goes to the position.
    pub(super) fn rewind(&self) -> Result<(), String> {
        self.next.borrow_mut().clone_from(&self.committed);
        self.assign(|partition| {
            Offset::Offset(self.committed.get(&partition).copied().unwrap_or(0))
        })
    }

    /// The next letters, at most so many; none at the end.
    pub(super) fn next(&self, most: usize) -> Result<Vec<Letter>, String> {
        let mut letters = Vec::new();
        self.read(&self.ends, most, |letter| letters.push(letter))?;
        Ok(letters)
    }

    /// The position behind what has been read.
    pub(super) fn position(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in &*self.next.borrow() {
            let added = list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset));
            added.expect("an offset that was read can be written");
        }
        list
    }

    fn assign(&self, offset: impl Fn(i32) -> Offset) -> Result<(), String> {
        let mut list = TopicPartitionList::new();
        for partition in &self.partitions {
            let added = list.add_partition_offset(&self.topic, *partition, offset(*partition));
            added.map_err(|error| error.to_string())?;
        }
        self.consumer.assign(&list).map_err(|error| error.to_string())
    }

    /// Reads on, up to these positions.
    fn read(
        &self,
        ends: &BTreeMap<i32, i64>,
        most: usize,
        mut take: impl FnMut(Letter),
    ) -> Result<(), String> {
        let (mut count, mut until) = (0, Instant::now() + PATIENCE);
        while count < most && self.is_before(ends)? {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    until = Instant::now() + PATIENCE;
                    let (partition, offset) = (message.partition(), message.offset());
                    if ends.get(&partition).is_some_and(|end| offset < *end) {
                        self.next.borrow_mut().insert(partition, offset + 1);
                        take(Letter::of(&message));
                        count += 1;
                    }
                }
                Some(Err(error)) => return Err(error.to_string()),
                None if Instant::now() >= until => {
                    return Err(format!("`{}` is not read to its end in time", self.topic));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Is there something before these positions that has not been read? Markers of transactions have
    /// offsets too and are never handed out, so it is the consumer's own position that counts.
    fn is_before(&self, ends: &BTreeMap<i32, i64>) -> Result<bool, String> {
        let position = self.consumer.position().map_err(|error| error.to_string())?;
        Ok(self.partitions.iter().any(|partition| {
            let end = ends.get(partition).copied().unwrap_or(0);
            let low = self.next.borrow().get(partition).copied().unwrap_or(0);
            let at = match position.find_partition(&self.topic, *partition).map(|one| one.offset())
            {
                Some(Offset::Offset(offset)) => offset.max(low),
                _ => low,
            };
            at < end
        }))
    }
}
