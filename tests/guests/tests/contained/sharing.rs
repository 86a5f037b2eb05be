//! What rules of many tenants share, and how each is kept to its part: limits, breakers, CPU time,
//! memory; and what is told of it.

mod breaker;
mod fairness;
mod limits;
mod observed;
mod warm;
