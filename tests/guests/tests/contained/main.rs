//! Hostile and odd components in the real plugin host: each is refused or contained.

mod cache;
mod faults;
mod golden;
mod limits;
mod outcomes;
mod poison;
mod refused;
mod support;
