//! The documents are whole, say what the code says, and nothing else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod examples;
mod form;
mod pages;
mod problems;
mod routes;
