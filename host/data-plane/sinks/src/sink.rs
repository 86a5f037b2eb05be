//! What a place must do to be a sink.

use std::sync::Arc;
use std::time::Duration;

use tidegate_telemetry::Page;

use crate::message::Message;
use crate::ticket::Ticket;

/// A place outside that messages are written to. It is driven through an [`crate::Outlet`] alone.
pub trait Sink: Send + Sync + 'static {
    /// Takes messages in their order, as many as there is room for, and answers how many. The message
    /// at `messages[i]` reports to the ticket as number `first + i`, from any thread, also before
    /// this returns. Does not block for the network.
    fn send(&self, messages: &[Message<'_>], ticket: &Arc<Ticket>, first: u32) -> usize;

    /// A number that grows when what was under way has errored as a whole, as when a client had to be made
    /// anew. Who keeps an order names the generation that it sends to, and asks for the next one when it
    /// has heard of all that it had sent: nothing overtakes what errored.
    fn generation(&self) -> u64 {
        0
    }

    /// Blocks until there may be room again, or the time is over. For the forwarder's own thread.
    fn wait_for_room(&self, timeout: Duration);

    /// Why it cannot be written to right now, as far as it knows, for logs and status.
    fn failing(&self) -> Option<String>;

    /// Tries to have everything reported that was taken; answers whether it is. Blocks up to the time.
    fn flush(&self, timeout: Duration) -> bool;

    /// Events whose answer waits for this sink, and of events those that were answered 503 because of it:
    /// for places that are told of it.
    fn count(&self, _received: u64, _dropped: u64) {}

    /// Tells counters of its own, with the label `sink` set to `name`.
    fn report(&self, name: &str, page: &mut Page);
}
