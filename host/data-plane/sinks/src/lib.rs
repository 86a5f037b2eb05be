//! Where events leave. A [`Sink`] writes messages to one place outside: a topic, a stream. An
//! [`Outlet`] is a sink in use: it counts, knows whether the sink works, and answers for every message.
//!
//! A route names its sinks and its ack level ([`tidegate_types::delivery`]):
//! - `durable`: the log has answered, and a [`Forwarder`] for each sink reads the log from a durable
//!   cursor of its own, so a slow or dead sink delays itself alone.
//! - `delivered`: the answer waits for the sinks; see the stage `deliver` of the crate for ingress.
//!
//! What every sink promises:
//! - Each message that was taken is reported once: delivered, errored or rejected. A report that never
//!   comes counts as errored: nothing is delivered by default.
//! - Messages of one partition key arrive in the order in which they were taken, where the sink's
//!   settings ask for order, as long as none of them is reported errored.
//! - A message that was taken without a latest moment is tried until it is delivered or rejected.

mod message;
mod outlet;
mod route;
mod sink;
mod ticket;

mod forward;
mod ready;

pub use forward::{DeadOptions, ForwardOptions, ForwardStats, Forwarder, Placed};
pub use message::{Kind, Message, NO_REVISION, Reason};
pub use outlet::{BUCKETS_MS, Outlet, OutletOptions, OutletStats, Outlets, Standing};
pub use ready::{Ready, Trail};
pub use route::{Routing, Target, Targets};
pub use sink::Sink;
pub use ticket::{Failure, Reports, Slip, Ticket};
