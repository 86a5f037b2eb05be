//! Who tells: the resource of OpenTelemetry, and the small parts that spans and metrics share.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as Message;

use super::OtlpOptions;
use crate::trace::wall_clock;

/// The node, as every message names it.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) message: Message,
    pub(super) scope: InstrumentationScope,
    /// Since when counters count.
    pub(super) started: u64,
}

impl Resource {
    pub(super) fn of(options: &OtlpOptions) -> Self {
        let attributes = vec![
            text("service.name", &options.service_name),
            text("service.instance.id", &options.instance),
            text("service.version", &options.version),
        ];
        let scope = InstrumentationScope {
            name: "tidegate".to_owned(),
            version: options.version.clone(),
            ..InstrumentationScope::default()
        };
        let message = Message { attributes, ..Message::default() };
        Self { message, scope, started: nanos(wall_clock()) }
    }
}

pub(super) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    of(key, Value::StringValue(value.to_owned()))
}

pub(super) fn number(key: &str, value: i64) -> KeyValue {
    of(key, Value::IntValue(value))
}

fn of(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}
