//! Who may administer, whose components are taken, and what was done.

pub(super) mod audit;
pub(super) mod signing;
pub(super) mod tokens;
