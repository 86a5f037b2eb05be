//! Compares what is stored with what was posted, and tells the result: for people, and as one line
//! of JSON.

mod count;
mod text;

pub(crate) use count::{Count, count};
pub(crate) use text::{Run, json, summary};
