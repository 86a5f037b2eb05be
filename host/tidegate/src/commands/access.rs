//! Who may send, who may administer, whose components are taken, and what was done.

pub(super) mod audit;
pub(super) mod key;
pub(super) mod signing;
pub(super) mod token;
