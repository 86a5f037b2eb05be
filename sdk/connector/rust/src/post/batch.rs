//! The input side: a thread of its own takes events from an iterator, which may block on files, and
//! hands over batches through a bounded channel. What is no JSON text is refused here, because one
//! such event would spoil the whole body that carries it.

use std::io;
use std::thread;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::event::prepare;
use crate::exchange::answer::ProblemBody;
use crate::options::ConnectorOptions;
use crate::outcome::{Outcome, Pending, Settled};
use crate::post::InputError;

/// What a sender takes up next.
pub(crate) enum Work {
    Batch(Vec<Pending>),
    Refused(Box<Settled>),
}

/// The reading end of the input.
pub(crate) struct Input {
    pub(crate) work: mpsc::Receiver<Work>,
    /// How the input ended. Closed without a word where the iterator panicked.
    pub(crate) ended: oneshot::Receiver<Result<(), InputError>>,
}

/// Starts reading. The thread ends with the input, or soon after the receiver is gone.
pub(crate) fn read<I>(events: I, options: &ConnectorOptions) -> io::Result<Input>
where
    I: Iterator<Item = Result<Bytes, InputError>> + Send + 'static,
{
    let (send, work) = mpsc::channel(options.connections);
    let (end, ended) = oneshot::channel();
    let batcher = Batcher {
        send,
        batch: Vec::new(),
        bytes: 0,
        max_events: options.most_events(),
        max_bytes: options.batch_bytes,
        key_field: options.key_field.clone(),
    };
    thread::Builder::new().name("connector-input".to_owned()).spawn(move || {
        if let Some(result) = batcher.run(events) {
            // Nobody listens any more where the run was stopped.
            end.send(result).ok();
        }
    })?;
    Ok(Input { work, ended })
}

struct Batcher {
    send: mpsc::Sender<Work>,
    batch: Vec<Pending>,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
    key_field: Option<String>,
}

/// Nobody takes the work any more.
struct Gone;

impl Batcher {
    /// `None` where nobody takes the work any more.
    fn run<I>(mut self, events: I) -> Option<Result<(), InputError>>
    where
        I: Iterator<Item = Result<Bytes, InputError>>,
    {
        let mut failure = Ok(());
        for (index, event) in (0u64..).zip(events) {
            match event {
                Ok(event) => self.take(index, event).ok()?,
                Err(error) => {
                    failure = Err(error);
                    break;
                }
            }
        }
        self.flush().ok()?;
        Some(failure)
    }

    fn take(&mut self, index: u64, event: Bytes) -> Result<(), Gone> {
        let pending = match prepare(event.clone(), self.key_field.as_deref()) {
            Ok(prepared) => Pending::new(index, prepared.text),
            Err(invalid) => {
                let problem = ProblemBody::local(&invalid.to_string(), String::new());
                let settled = Pending::new(index, event);
                let settled = settled.settle(Outcome::Refused(problem), Default::default());
                return self.hand_over(Work::Refused(Box::new(settled)));
            }
        };
        let size = pending.event.len().saturating_add(1);
        if self.bytes.saturating_add(size) > self.max_bytes {
            self.flush()?;
        }
        self.batch.push(pending);
        self.bytes = self.bytes.saturating_add(size);
        if self.batch.len() >= self.max_events { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Gone> {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() { Ok(()) } else { self.hand_over(Work::Batch(batch)) }
    }

    fn hand_over(&self, work: Work) -> Result<(), Gone> {
        self.send.blocking_send(work).map_err(|_closed| Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::body::body;
    use crate::options::Endpoint;

    fn batches(events: &[&'static str], max_events: usize, max_bytes: usize) -> Vec<String> {
        let mut options = ConnectorOptions::new("http://gateway", "key");
        options.batch_events = max_events;
        options.batch_bytes = max_bytes;
        options.key_field = None;
        let events: Vec<_> =
            events.iter().map(|event| Ok(Bytes::from_static(event.as_bytes()))).collect();
        let mut input = read(events.into_iter(), &options).unwrap();
        let mut out = Vec::new();
        while let Some(work) = input.work.blocking_recv() {
            out.push(match work {
                Work::Batch(events) => {
                    String::from_utf8(body(Endpoint::Batch, &events).to_vec()).unwrap()
                }
                Work::Refused(settled) => format!("refused {}", settled.index),
            });
        }
        assert!(input.ended.blocking_recv().unwrap().is_ok());
        out
    }

    #[test]
    fn batches_are_bounded_by_events_and_by_bytes() {
        assert_eq!(batches(&["1", "2", "3"], 2, 100), [r#"{"events":[1,2]}"#, r#"{"events":[3]}"#]);
        assert_eq!(
            batches(&["1", "22", "3"], 9, 4),
            [r#"{"events":[1]}"#, r#"{"events":[22]}"#, r#"{"events":[3]}"#]
        );
        assert_eq!(
            batches(&["1", "\"too long\"", "3", "4"], 9, 4),
            [r#"{"events":[1]}"#, r#"{"events":["too long"]}"#, r#"{"events":[3,4]}"#]
        );
        assert_eq!(batches(&["1", "{", "2"], 9, 99), ["refused 1", r#"{"events":[1,2]}"#]);
        assert_eq!(batches(&["1 2", "", "1,2"], 9, 99), ["refused 0", "refused 1", "refused 2"]);
    }
}
