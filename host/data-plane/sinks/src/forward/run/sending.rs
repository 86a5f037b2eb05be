//! From a group of the log to messages under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::chunk::{Outgoing, outgoing};
use super::super::shared::{Part, Told};
use super::Run;
use crate::message::Message;
use crate::ticket::Failure;

/// How long the thread waits for room in the sink before it looks around.
const ROOM: Duration = Duration::from_millis(50);

impl Run {
    /// Sends events of a chunk: all that go to this sink, or those with these numbers. Where they
    /// cannot be made ready, tries until they can. On stopping the chunk stays undone.
    pub(super) fn send_events(&mut self, number: u64, only: Option<&[u32]>) {
        loop {
            let Some(group) = self.chunk_mut(number).and_then(|chunk| chunk.group.take()) else {
                return;
            };
            let sent = outgoing(&group, self.outlet.name(), &*self.routing).map(|mut all| {
                if let Some(only) = only {
                    all.retain(|one| only.binary_search(&one.number).is_ok());
                }
                let generation = self.generation;
                self.send((number, Part::Events), &all, |one| one.message(generation))
            });
            let Some(chunk) = self.chunk_mut(number) else { return };
            chunk.group = Some(group);
            match sent {
                Ok(sent) => {
                    chunk.open += u32::from(sent);
                    return self.unstuck();
                }
                Err(error) => {
                    if self.shared.stop().is_some() {
                        if let Some(chunk) = self.chunk_mut(number) {
                            chunk.is_unsent = true;
                        }
                        return;
                    }
                    self.wait_stuck(&error);
                }
            }
        }
    }

    /// Gives messages to the sink, waiting for room; answers whether there were any. When it is over,
    /// what is left is reported errored, which keeps the cursor before it.
    pub(super) fn send<T: Numbered>(
        &self,
        (chunk, part): (u64, Part),
        all: &[T],
        message: impl for<'t> Fn(&'t T) -> Message<'t>,
    ) -> bool {
        if all.is_empty() {
            return false;
        }
        let messages: Vec<Message<'_>> = all.iter().map(message).collect();
        let numbers: Vec<u32> = all.iter().map(Numbered::number).collect();
        let shared = Arc::clone(&self.shared);
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let ticket = self.outlet.ticket(count, move |reports| {
            let within =
                |(at, failure): (u32, Failure)| Some((*numbers.get(at as usize)?, failure));
            let reports = reports.into_iter().filter_map(within).collect();
            shared.tell(Told { chunk, part, reports });
        });
        let mut first = 0;
        while let Some(rest @ [_, ..]) = messages.get(first as usize..) {
            let taken = self.outlet.send(rest, &ticket, first);
            first += u32::try_from(taken).unwrap_or(u32::MAX);
            if taken == rest.len() {
                break;
            }
            if self.shared.stop().is_some_and(|(_, until)| Instant::now() >= until) {
                (first..count).for_each(|number| drop(ticket.slip(number)));
                break;
            }
            self.outlet.sink().wait_for_room(ROOM);
        }
        true
    }
}

/// Something with its number within a group.
pub(super) trait Numbered {
    fn number(&self) -> u32;
}

impl Numbered for Outgoing<'_> {
    fn number(&self) -> u32 {
        self.number
    }
}
