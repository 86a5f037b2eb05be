//! What an operator should know about a topic before events depend on it.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::types::RDKafkaErrorCode;
use tokio::runtime::Handle;

use crate::options::KafkaOptions;

/// Something about a topic that is not as it should be, as a sentence with what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFinding {
    pub topic: String,
    pub what: String,
}

/// Looks at the topics of a sink.
pub(crate) fn check<C: ClientContext>(
    options: &KafkaOptions,
    client: &Client<C>,
    timeout: Duration,
    runtime: &Handle,
) -> Result<Vec<TopicFinding>, String> {
    let mut found = Vec::new();
    let topics = [Some(&options.topic), options.dead_letter_topic.as_ref()];
    for topic in topics.into_iter().flatten() {
        let metadata = client.fetch_metadata(Some(topic), timeout);
        let metadata = metadata.map_err(|error| error.to_string())?;
        let mut note = |what: String| found.push(TopicFinding { topic: topic.clone(), what });
        let Some(told) = metadata.topics().iter().find(|one| one.name() == topic) else {
            note("the brokers say nothing of it".to_owned());
            continue;
        };
        if let Some(error) = told.error() {
            let code = RDKafkaErrorCode::from(error);
            note(format!(
                "it cannot be written to: {code}; create it, or allow this client to write to it"
            ));
            continue;
        }
        let partitions = told.partitions();
        let replicas = partitions.iter().map(|one| one.replicas().len()).min().unwrap_or(0);
        if partitions.len() < 2 {
            note(
                "it has one partition, so one broker carries all of it: give it several".to_owned(),
            );
        }
        if replicas < 2 {
            note("its records have one copy: `acks=all` is then the disk of one broker; use a replication factor of 3".to_owned());
        }
        settings(options, topic, replicas, (timeout, runtime), &mut note)?;
    }
    Ok(found)
}

/// The settings that decide what an acknowledgement is worth.
fn settings(
    options: &KafkaOptions,
    topic: &str,
    replicas: usize,
    (timeout, runtime): (Duration, &Handle),
    note: &mut dyn FnMut(String),
) -> Result<(), String> {
    let admin: AdminClient<DefaultClientContext> =
        options.client().create().map_err(|error| error.to_string())?;
    let wanted = [ResourceSpecifier::Topic(topic)];
    let asked = AdminOptions::new().request_timeout(Some(timeout));
    let described = runtime.block_on(admin.describe_configs(&wanted, &asked));
    let described = described.map_err(|error| error.to_string())?;
    let Some(Ok(config)) = described.into_iter().next() else {
        note(
            "its settings may not be read by this client: `min.insync.replicas` is unknown"
                .to_owned(),
        );
        return Ok(());
    };
    let value = |name: &str| config.get(name).and_then(|entry| entry.value.clone());
    let number = |name: &str| value(name).and_then(|text| text.parse::<i64>().ok());
    if let Some(in_sync) = number("min.insync.replicas")
        && in_sync < 2
        && replicas > 1
    {
        note(format!(
            "`min.insync.replicas` is {in_sync}: a record counts as written with one copy; set it to 2"
        ));
    }
    if let Some(largest) = number("max.message.bytes")
        && largest < i64::from(options.max_message_bytes.max(options.batch_bytes))
    {
        note(format!(
            "`max.message.bytes` is {largest}, less than the largest batch that is sent: the broker refuses such a batch as a whole; raise it, or lower batch_bytes and max_message_bytes"
        ));
    }
    Ok(())
}
