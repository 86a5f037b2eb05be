//! Who may send, who may administer, whose components are taken, and what was done.

pub mod keys;

pub mod tokens;

pub mod signing;

pub mod audit;
