//! One PutRecords, from the records to what its answer means.

use std::sync::Arc;
use std::time::Instant;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::put_records::PutRecordsOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};

use super::Shared;
use crate::backlog::{Answer, Call, Entry, Trouble};
use crate::client::trouble;

pub(super) async fn run(shared: Arc<Shared>, client: Client, call: Call) {
    let mut under_way = UnderWay { shared, call: Some(call) };
    let answer = under_way.put(&client).await;
    under_way.settle(answer);
}

/// A call that is answered whatever happens to its task.
struct UnderWay {
    shared: Arc<Shared>,
    call: Option<Call>,
}

impl UnderWay {
    async fn put(&self, client: &Client) -> Answer {
        let Some(call) = &self.call else { return Answer::Entries(Vec::new()) };
        let stream = self.shared.stream(call.place).unwrap_or_default();
        let mut records = Vec::with_capacity(call.entries.len());
        let mut bytes = 0;
        for entry in &call.entries {
            bytes += entry.data.len() + entry.key().len();
            let record = PutRecordsRequestEntry::builder()
                .data(Blob::new(entry.data.as_slice()))
                .partition_key(entry.key())
                .build();
            records.push(record.expect("a record with data and key is whole"));
        }
        self.shared.stats.called(records.len(), bytes);
        let request = client.put_records().set_records(Some(records));
        let is_arn = stream.starts_with("arn:");
        let request = if is_arn { request.stream_arn(stream) } else { request.stream_name(stream) };
        match request.send().await {
            Ok(output) => self.read(&output),
            Err(error) => self.failed(&trouble::meaning(&error)),
        }
    }

    fn read(&self, output: &PutRecordsOutput) -> Answer {
        let entries: Vec<Entry> = output.records().iter().map(entry).collect();
        let failed = entries.iter().filter(|entry| **entry != Entry::Stored).count();
        let throttled = entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Failed { is_throttled: true, .. }));
        let throttled = throttled.count();
        self.shared.stats.answered(failed, throttled);
        if throttled > 0 {
            self.warn_throttled(throttled);
        }
        if let Some(call) = &self.call {
            let first = entries.iter().find_map(|entry| match entry {
                Entry::Stored => None,
                Entry::Failed { why, .. } | Entry::Refused(why) => Some(why.to_string()),
            });
            // As long as something is stored, the stream works.
            let trouble = first.filter(|_| failed >= entries.len());
            self.shared.states.called(call.place, trouble);
        }
        Answer::Entries(entries)
    }

    fn failed(&self, meaning: &trouble::Meaning) -> Answer {
        let Some(call) = &self.call else { return Answer::Entries(Vec::new()) };
        // Before the stream has answered at all, its name may be what is refused.
        self.shared.stats.call_failed(meaning);
        if meaning.is_refused && self.shared.states.is_known(call.place) {
            return Answer::Refused(meaning.why.as_str().into());
        }
        self.shared.states.called(call.place, Some(meaning.why.clone()));
        if meaning.is_throttled {
            self.warn_throttled(call.entries.len());
        }
        Answer::Failed(Trouble {
            why: meaning.why.as_str().into(),
            is_unknown: meaning.is_unknown,
            is_throttled: meaning.is_throttled,
        })
    }

    fn warn_throttled(&self, records: usize) {
        if let Some(since) = self.shared.stats.throttling.tell(records, Instant::now()) {
            let stream = self.call.as_ref().and_then(|call| self.shared.stream(call.place));
            let stream = stream.unwrap_or_default();
            tracing::warn!(stream, records = since, "kinesis throttles");
        }
    }

    fn settle(&mut self, answer: Answer) {
        if let Some(call) = self.call.take() {
            let reports = self.shared.inner().backlog.settle(call, answer, Instant::now());
            self.shared.report(reports);
            // Those nobody waits for any more have left without a report.
            self.shared.room.notify_all();
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let why = "the call was given up".into();
        self.settle(Answer::Failed(Trouble { why, is_unknown: true, is_throttled: false }));
    }
}

fn entry(result: &PutRecordsResultEntry) -> Entry {
    let Some(code) = result.error_code() else { return Entry::Stored };
    let why = format!("{code}: {}", result.error_message().unwrap_or("(no message)")).into();
    if trouble::is_refused(code) {
        return Entry::Refused(why);
    }
    Entry::Failed { why, is_throttled: trouble::is_throttled(code) }
}
