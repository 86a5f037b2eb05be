//! Who may do what, whose components are taken, and what was done.

mod audit;
mod held;
mod scopes;
mod signatures;
