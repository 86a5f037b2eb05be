//! `tidegate dlq`: dead letters of sinks.

use tidegate_config::Config;

use crate::cli::Redrive;
use crate::output::Printer;

#[cfg(not(feature = "kafka"))]
pub(in super::super) fn redrive(_: &Config, _: &Redrive, _: Printer) -> anyhow::Result<()> {
    anyhow::bail!("this program was built without Kafka: build it with `--features kafka`")
}

/// Moves dead letters of a topic back to it.
#[cfg(feature = "kafka")]
pub(in super::super) fn redrive(
    config: &Config,
    wanted: &Redrive,
    print: Printer,
) -> anyhow::Result<()> {
    use anyhow::Context as _;
    use serde_json::json;
    use tidegate_kafka::redrive::{RedriveOptions, redrive};

    use crate::serve::kafka_options;

    let sinks = &config.sinks.kafka;
    let settings = sinks.iter().find(|sink| sink.name == wanted.sink).with_context(|| {
        let names: Vec<_> = sinks.iter().map(|sink| format!("`{}`", sink.name)).collect();
        format!("there is no [[sinks.kafka]] `{}`; there are: {}", wanted.sink, names.join(", "))
    })?;
    let options = kafka_options(settings).map_err(anyhow::Error::msg)?;
    let how =
        RedriveOptions { limit: wanted.limit, per_second: wanted.per_second, dry: wanted.dry_run };
    let done = redrive(&options, &how, &mut |_| {}).map_err(anyhow::Error::msg)?;
    let answer = json!({
        "moved": done.moved,
        "repeated": done.repeated,
        "not_whole": done.not_whole,
        "stood_for": done.stood_for,
        "reasons": done.reasons,
        "dry_run": wanted.dry_run,
    });
    let told = print.answer(&answer, || {
        let would = if wanted.dry_run { "would move" } else { "moved" };
        let mut text = format!("{would} {} dead letters to {}", done.moved, settings.topic);
        if done.repeated > 0 {
            text.push_str(&format!("; {} were moved before", done.repeated));
        }
        if done.not_whole > 0 {
            text.push_str(&format!(
                "; {} have no body or stand for others ({} events): find those by their ids",
                done.not_whole, done.stood_for
            ));
        }
        text
    });
    Ok(told?)
}
