//! Streams of Kinesis, from the settings.

use tidegate_config::Config;

use super::Opened;

#[cfg(not(feature = "kinesis"))]
pub(super) fn open(config: &Config) -> anyhow::Result<Vec<Opened>> {
    anyhow::ensure!(
        config.sinks.kinesis.is_empty(),
        "[[sinks.kinesis]] is there, and this program was built without Kinesis: build it with \
         `--features kinesis`, or take it out"
    );
    Ok(Vec::new())
}

/// To be called within a runtime.
#[cfg(feature = "kinesis")]
pub(super) fn open(config: &Config) -> anyhow::Result<Vec<Opened>> {
    use anyhow::Context as _;

    let mut opened: Vec<Opened> = Vec::new();
    for settings in &config.sinks.kinesis {
        let named = || format!("[[sinks.kinesis]] `{}`", settings.name);
        let (sink, reporter) = start(settings).with_context(named)?;
        let closing = reporter.map(|reporter| Box::new(reporter) as Box<dyn super::Close>);
        opened.push(Opened {
            name: settings.name.clone(),
            tenants: settings.tenants.clone(),
            sink,
            closing,
        });
    }
    Ok(opened)
}

#[cfg(feature = "kinesis")]
type Started = (std::sync::Arc<tidegate_kinesis::KinesisSink>, Option<Reporter>);

#[cfg(feature = "kinesis")]
fn start(from: &tidegate_config::KinesisSink) -> anyhow::Result<Started> {
    use tidegate_config::{Envelope, Ordering, Switch};
    use tidegate_kinesis::{
        AwsAccess, BatchBounds, CloudWatchOptions, Credentials, DropReporter, KinesisOptions,
        KinesisSink,
    };

    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let credentials = match some(&from.access_key_id) {
        None => None,
        Some(access_key_id) => {
            let secret_access_key = from.secret_access_key.reveal().map_err(anyhow::Error::msg)?;
            Some(Credentials { access_key_id, secret_access_key, session_token: None })
        }
    };
    let access =
        AwsAccess { region: some(&from.region), endpoint_url: some(&from.endpoint), credentials };
    let mut options = KinesisOptions::new(&from.stream);
    options.access = access.clone();
    options.dead_letters = some(&from.dead_letter_stream);
    options.envelope = match from.envelope {
        Envelope::Cloudevents => tidegate_kinesis::Envelope::CloudEvents,
        Envelope::Event => tidegate_kinesis::Envelope::Event,
    };
    options.ordering = match from.ordering {
        Ordering::PerKey => tidegate_kinesis::Ordering::PerKey,
        Ordering::None => tidegate_kinesis::Ordering::None,
    };
    options.batch =
        BatchBounds { records: from.batch_records, bytes: from.batch_bytes, linger: from.linger };
    options.calls = from.calls;
    options.call_timeout = from.call_timeout;
    options.queue_messages = from.queue_messages;
    options.queue_bytes = from.queue_bytes;
    let reporter = match from.cloudwatch {
        Switch::Off => None,
        Switch::On => {
            let mut reported = CloudWatchOptions::new(&from.stream);
            let endpoint_url = some(&from.cloudwatch_endpoint);
            reported.access = AwsAccess { endpoint_url, ..access };
            reported.namespace.clone_from(&from.cloudwatch_namespace);
            reported.every = from.cloudwatch_interval;
            Some(Reporter(DropReporter::start(reported)?))
        }
    };
    options.counts = reporter.as_ref().map(|reporter| reporter.0.counts());
    Ok((KinesisSink::start(options)?, reporter))
}

/// What tells CloudWatch.
#[cfg(feature = "kinesis")]
struct Reporter(tidegate_kinesis::DropReporter);

#[cfg(feature = "kinesis")]
impl super::Close for Reporter {
    fn close(self: Box<Self>) -> super::Closing {
        Box::pin(async move { self.0.close().await })
    }

    fn report(&self, page: &mut tidegate_telemetry::Page) {
        self.0.report(page);
    }
}
