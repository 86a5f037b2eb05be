//! Topics of Kafka, from the settings.

use tidegate_config::Config;

use super::Opened;

#[cfg(not(feature = "kafka"))]
pub(super) fn open(config: &Config) -> anyhow::Result<Vec<Opened>> {
    anyhow::ensure!(
        config.sinks.kafka.is_empty(),
        "[[sinks.kafka]] is there, and this program was built without Kafka: build it with \
         `--features kafka`, or take it out"
    );
    Ok(Vec::new())
}

#[cfg(feature = "kafka")]
pub(super) fn open(config: &Config) -> anyhow::Result<Vec<Opened>> {
    use std::sync::Arc;

    use anyhow::Context as _;

    let mut opened: Vec<Opened> = Vec::new();
    for settings in &config.sinks.kafka {
        let named = || format!("[[sinks.kafka]] `{}`", settings.name);
        let options = options(settings).map_err(anyhow::Error::msg).with_context(named)?;
        let sink = Arc::new(tidegate_kafka::KafkaSink::start(options).with_context(named)?);
        look_at(settings.name.clone(), Arc::clone(&sink))?;
        opened.push(Opened {
            name: settings.name.clone(),
            tenants: settings.tenants.clone(),
            sink,
            closing: None,
        });
    }
    Ok(opened)
}

/// Tells what is not well with the topics, as soon as a broker answers. Nothing waits for it.
#[cfg(feature = "kafka")]
fn look_at(
    name: tidegate_types::SinkName,
    sink: std::sync::Arc<tidegate_kafka::KafkaSink>,
) -> std::io::Result<()> {
    use std::time::Duration;

    let runtime = tokio::runtime::Handle::current();
    let look = move || match sink.check(Duration::from_secs(20), &runtime) {
        Ok(findings) => {
            for finding in findings {
                let (sink, topic) = (name.as_str(), finding.topic);
                tracing::warn!(
                    sink,
                    topic,
                    what = finding.what,
                    "kafka topic is not as it should be"
                );
            }
        }
        Err(error) => {
            tracing::warn!(sink = name.as_str(), error, "kafka topics cannot be looked at yet");
        }
    };
    std::thread::Builder::new().name("kafka-check".to_owned()).spawn(look).map(drop)
}

/// A topic's options, with its password.
#[cfg(feature = "kafka")]
pub(crate) fn options(
    from: &tidegate_config::KafkaSink,
) -> Result<tidegate_kafka::KafkaOptions, String> {
    use tidegate_config::{Compression, Linger, SaslMechanism, Switch};
    use tidegate_kafka::{KafkaOptions, Sasl, Tls};

    let mut options = KafkaOptions::new(&from.bootstrap, &from.topic);
    options.dead_letter_topic = Some(from.dead_letters());
    options.client_id.clone_from(&from.client_id);
    options.linger = match from.linger {
        Linger::Adaptive => tidegate_kafka::Linger::Adaptive,
        Linger::Fixed => tidegate_kafka::Linger::Fixed(from.linger_time),
    };
    options.max_in_flight = from.max_in_flight;
    options.batch_bytes = from.batch_bytes;
    options.compression = match from.compression {
        Compression::None => tidegate_kafka::Compression::None,
        Compression::Lz4 => tidegate_kafka::Compression::Lz4,
        Compression::Gzip => tidegate_kafka::Compression::Gzip,
        Compression::Snappy => tidegate_kafka::Compression::Snappy,
    };
    options.max_message_bytes = from.max_message_bytes;
    options.queue_messages = from.queue_messages;
    options.queue_kib = u32::try_from(from.queue_bytes / 1024).unwrap_or(u32::MAX);
    options.request_timeout = from.request_timeout;
    let certificate = from.certificate_file.clone().zip(from.key_file.clone());
    options.tls =
        (from.tls == Switch::On).then(|| Tls { ca_file: from.ca_file.clone(), certificate });
    let mechanism = match from.sasl {
        SaslMechanism::None => None,
        SaslMechanism::Plain => Some(tidegate_kafka::SaslMechanism::Plain),
        SaslMechanism::ScramSha256 => Some(tidegate_kafka::SaslMechanism::ScramSha256),
        SaslMechanism::ScramSha512 => Some(tidegate_kafka::SaslMechanism::ScramSha512),
    };
    if let Some(mechanism) = mechanism {
        let password =
            from.sasl_password.reveal().map_err(|why| format!("sasl_password: {why}"))?;
        options.sasl = Some(Sasl { mechanism, user: from.sasl_user.clone(), password });
    }
    Ok(options)
}
