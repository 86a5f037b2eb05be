//! Why a database did not do what it was asked.

use std::error::Error;

/// What kind of failure it is: what a caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseErrorKind {
    /// It cannot be reached, was lost, or took too long. The same call may work later.
    Unavailable,
    /// Its disk has no room.
    StorageFull,
    /// What it holds could not have been written by the catalog.
    Damaged,
    /// A value that the database does not take.
    Invalid,
    /// Anything else.
    Failed,
}

/// Why a database did not do what it was asked. The text never holds credentials.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct DatabaseError {
    kind: DatabaseErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl DatabaseError {
    #[must_use]
    pub fn kind(&self) -> DatabaseErrorKind {
        self.kind
    }

    pub(super) fn new(kind: DatabaseErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(super) fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// A column that no call of ours could have written, counted from 0.
    pub(crate) fn damaged(index: usize, why: impl std::fmt::Display) -> Self {
        let message = format!("column {index} of an answer is damaged: {why}");
        Self::new(DatabaseErrorKind::Damaged, message)
    }
}
