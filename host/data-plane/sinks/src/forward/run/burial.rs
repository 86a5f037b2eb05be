//! What the sink rejects becomes a dead letter.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::super::chunk::{Letter, Outgoing, outgoing};
use super::super::dead::{Count, LetterKind};
use super::super::shared::Part;
use super::Run;
use super::sending::Numbered;
use crate::message::{Kind, Message, NO_REVISION, Reason};
use crate::ticket::Failure;

/// An event about to be buried.
struct Burial<'a> {
    one: &'a Outgoing<'a>,
    letter: Letter,
}

impl Numbered for Burial<'_> {
    fn number(&self) -> u32 {
        self.letter.number
    }
}

impl Burial<'_> {
    fn message<'m>(&'m self, sink: &'m str) -> Message<'m> {
        // Letters keep no order.
        let message = Message { generation: None, ..self.one.message(0) };
        let Letter { code, why, without_body, .. } = &self.letter;
        let reason = Reason { code, detail: why, sink, stands_for: 1 };
        let body = if *without_body { b"" } else { message.body };
        Message { kind: Kind::Dead(reason), body, ..message }
    }
}

impl Run {
    /// Sends dead letters of a chunk; those that are alike beyond a number are only counted.
    pub(super) fn bury(&mut self, number: u64, letters: Vec<Letter>) {
        if letters.is_empty() {
            return;
        }
        let Some(group) = self.chunk_mut(number).and_then(|chunk| chunk.group.take()) else {
            return;
        };
        // They were made ready before, so they can be again, once their routes can be read again.
        let Ok(records) = outgoing(&group, self.outlet.name(), &*self.routing) else {
            let Some(chunk) = self.chunk_mut(number) else { return };
            chunk.group = Some(group);
            chunk.letters.extend(letters);
            self.mending = true;
            return;
        };
        let mut full = Vec::with_capacity(letters.len());
        for letter in letters {
            let found = records.binary_search_by_key(&letter.number, |one| one.number).ok();
            let Some(one) = found.and_then(|at| records.get(at)) else { continue };
            if self.is_written(one, &letter) {
                full.push(Burial { one, letter });
            }
        }
        let sink = self.outlet.name().clone();
        let sent = self.send((number, Part::Letters), &full, |one| one.message(sink.as_str()));
        drop(full);
        drop(records);
        if let Some(chunk) = self.chunk_mut(number) {
            chunk.group = Some(group);
            chunk.open += u32::from(sent);
        }
    }

    /// Is the letter written in full? One that is sent again was counted before.
    fn is_written(&mut self, one: &Outgoing<'_>, letter: &Letter) -> bool {
        let kind = LetterKind {
            tenant: one.record.tenant.to_owned(),
            event_type: one.record.event_type.to_owned(),
            code: letter.code,
        };
        let again = letter.again || letter.without_body;
        let written = again || self.compactor.admits(kind, one.record.event_id, &letter.why);
        self.shared.compacted.fetch_add(u64::from(!written), Ordering::Relaxed);
        written
    }

    /// What became of letters: one that is too large goes once more without its body; what errored
    /// waits to be sent again. Answers whether something errored, and what is to be buried now.
    pub(super) fn note_letters(
        &mut self,
        chunk: u64,
        reports: Vec<(u32, Failure)>,
    ) -> (bool, Vec<Letter>) {
        let sink = self.outlet.name().clone();
        let (shared, mut errored, mut now) = (Arc::clone(&self.shared), false, Vec::new());
        let Some(chunk) = self.chunk_mut(chunk) else { return (false, now) };
        for (number, failure) in reports {
            match failure {
                Failure::Rejected { code: code @ "too-large", why }
                    if chunk.stripped.insert(number) =>
                {
                    now.push(Letter { number, code, why, without_body: true, again: true });
                }
                Failure::Rejected { code, why } => {
                    let sink = sink.as_str();
                    tracing::error!(sink, code, %why, "a dead letter was refused; its event is in the node's files alone");
                    shared.lost_letters.fetch_add(1, Ordering::Relaxed);
                }
                Failure::Errored { why, .. } => {
                    errored = true;
                    let without_body = chunk.stripped.contains(&number);
                    let code = "refused";
                    chunk.letters.push(Letter { number, code, why, without_body, again: true });
                }
            }
        }
        (errored, now)
    }

    /// One letter for each kind of letters that were counted.
    pub(super) fn write_counts(&mut self, early: bool) {
        for count in self.compactor.ended(Instant::now(), early) {
            self.write_count(&count);
        }
    }

    fn write_count(&self, count: &Count) {
        let (name, stands_for) = (self.outlet.name().clone(), count.count);
        let (shared, body) = (Arc::clone(&self.shared), count.body());
        let Some(message) = letter(count, &body, name.as_str()) else { return };
        let sink = name.clone();
        let ticket = self.outlet.ticket(1, move |reports| {
            if !reports.is_empty() {
                let sink = sink.as_str();
                tracing::error!(sink, stands_for, "a count of dead letters was not written");
                shared.lost_letters.fetch_add(1, Ordering::Relaxed);
            }
        });
        if self.outlet.send(&[message], &ticket, 0) == 0 {
            drop(ticket.slip(0));
        }
    }
}

/// The letter that stands for others.
fn letter<'a>(count: &'a Count, body: &'a [u8], sink: &'a str) -> Option<Message<'a>> {
    let kind = &count.kind;
    let reason = Reason { code: kind.code, detail: &count.why, sink, stands_for: count.count };
    Some(Message {
        event_id: *count.ids.first()?,
        tenant: &kind.tenant,
        event_type: &kind.event_type,
        source: "/tidegate",
        event_time: None,
        partition_key: &kind.tenant,
        revision: NO_REVISION,
        traceparent: None,
        kind: Kind::Dead(reason),
        cloud_event: false,
        body,
        latest: None,
        generation: None,
    })
}
