//! A stream of the fake: what it says of itself, what it refuses, what it has stored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Outcome, PutCall};

const MIB: usize = 1024 * 1024;

/// Why a call is refused: the code of the error, and its message.
type Refusal = (&'static str, String);

/// A record that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub key: String,
    pub data: Vec<u8>,
    pub shard: usize,
}

/// A stream.
#[derive(Clone, Debug)]
pub struct FakeStream {
    pub shards: usize,
    pub retention_hours: u32,
    pub status: &'static str,
    /// Said, and held to, where it is there; otherwise 1 MiB.
    pub max_record_kib: Option<usize>,
    /// A smaller limit that it does not speak of.
    pub secret_record_bytes: Option<usize>,
    pub(super) records: Vec<StoredRecord>,
}

impl Default for FakeStream {
    fn default() -> Self {
        Self {
            shards: 2,
            retention_hours: 24,
            status: "ACTIVE",
            max_record_kib: None,
            secret_record_bytes: None,
            records: Vec::new(),
        }
    }
}

impl FakeStream {
    pub(super) fn summary(&self, name: &str) -> Value {
        let mut summary = json!({
            "StreamName": name,
            "StreamARN": format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}"),
            "StreamStatus": self.status,
            "RetentionPeriodHours": self.retention_hours,
            "StreamCreationTimestamp": 1_700_000_000.5,
            "EnhancedMonitoring": [],
            "OpenShardCount": self.shards,
        });
        if let Some(kib) = self.max_record_kib {
            summary["MaxRecordSizeInKiB"] = kib.into();
        }
        json!({ "StreamDescriptionSummary": summary })
    }

    /// The entries of a call that is within the limits.
    pub(super) fn read(&self, body: &Value) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
        let records = body["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
        if records.is_empty() || records.len() > 500 {
            return Err(("ValidationException", format!("{} records", records.len())));
        }
        let most = self.max_record_kib.map_or(MIB, |kib| kib * 1024);
        let most = most.min(self.secret_record_bytes.unwrap_or(usize::MAX));
        let most_in_call = if most > MIB { 10 * MIB } else { 5 * MIB };
        let (mut entries, mut bytes) = (Vec::with_capacity(records.len()), 0);
        for record in records {
            let key = record["PartitionKey"].as_str().unwrap_or_default().to_owned();
            if !(1..=256).contains(&key.chars().count()) {
                return Err(("ValidationException", "a partition key".to_owned()));
            }
            let data = STANDARD.decode(record["Data"].as_str().unwrap_or_default());
            let data = data.map_err(|error| ("SerializationException", error.to_string()))?;
            let size = key.len() + data.len();
            if size > most {
                return Err(("InvalidArgumentException", format!("a record of {size} bytes")));
            }
            bytes += size;
            entries.push((key, data));
        }
        if bytes > most_in_call {
            return Err(("InvalidArgumentException", format!("a call of {bytes} bytes")));
        }
        Ok(entries)
    }

    pub(super) fn store(&mut self, call: &PutCall, outcomes: &[Outcome]) -> Value {
        let outcomes = outcomes.iter().copied().chain(std::iter::repeat(Outcome::Store));
        let mut failed = 0;
        let mut results = Vec::with_capacity(call.entries.len());
        for ((key, data), outcome) in call.entries.iter().zip(outcomes) {
            let (code, message) = match outcome {
                Outcome::Store => {
                    let shard = self.shard(key);
                    let number = self.records.len().to_string();
                    let record = StoredRecord { key: key.clone(), data: data.clone(), shard };
                    self.records.push(record);
                    let id = format!("shardId-{shard:012}");
                    results.push(json!({ "SequenceNumber": number, "ShardId": id }));
                    continue;
                }
                Outcome::Throttle => {
                    ("ProvisionedThroughputExceededException", "Rate exceeded for shard.")
                }
                Outcome::Fail => ("InternalFailure", "Internal Service Failure"),
            };
            failed += 1;
            results.push(json!({ "ErrorCode": code, "ErrorMessage": message }));
        }
        json!({ "FailedRecordCount": failed, "EncryptionType": "NONE", "Records": results })
    }

    /// Not MD5, but as steady.
    fn shard(&self, key: &str) -> usize {
        let sum = key.bytes().fold(7usize, |sum, byte| sum.wrapping_mul(31) + usize::from(byte));
        sum % self.shards.max(1)
    }
}
