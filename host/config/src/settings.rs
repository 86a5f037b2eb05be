//! The sections, each declared once: field, type, rule. `size`, `time` and `count` take the
//! default, the least and the most.

pub(crate) mod bucket;
pub(crate) mod catalog;
pub(crate) mod durability;
pub(crate) mod jwt;
pub(crate) mod plugins;
pub(crate) mod redis;
pub(crate) mod registries;
pub(crate) mod serving;
pub(crate) mod sinks;
