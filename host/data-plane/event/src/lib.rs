//! Events as the data plane sees them: JSON that is parsed once into a flat tape, addressed by
//! JSON pointers, checked against schemas, hashed in canonical form, and patched by splicing.

pub mod document;
mod parse;
pub mod pointer;

pub mod canonical;
pub mod number;
pub mod patch;
pub mod schema;
pub mod text;

pub use document::{Document, Kind, Node};
pub use parse::{Builder, Flaw, FlawKind, JsonError, Limits};
pub use pointer::{Hints, Pointer, Step};
pub use schema::{Schema, SchemaLimits};
