//! Streams that throttle, hang, are cut off, are gone, or never were.

mod answers;
mod queue;
mod streams;
