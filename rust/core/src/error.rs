//! Why a run stopped, and why a row could not be judged.
//!
//! Two kinds that must not be mixed up: an [`Error`] ends the run; a [`Problem`] belongs to one
//! row, which goes to quarantine while the run goes on. Every problem has a stable id, which is
//! what reports count.

use std::io;
use std::path::PathBuf;

/// What a fallible call of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a run stopped. Every variant that concerns a file knows which.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An input cannot be opened or read.
    #[error("cannot read `{}`: {source}", .path.display())]
    Read {
        /// The input as given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An output or a temporary file cannot be written.
    #[error("cannot write `{}`: {source}", .path.display())]
    Write {
        /// The file, or the folder of an unnamed temporary file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An input is broken as a whole: none of its rows can be trusted.
    #[error("{}: {problem}", .path.display())]
    Broken {
        /// The input as given.
        path: PathBuf,
        /// What is wrong, with the byte offset where there is one.
        problem: String,
        /// What to do about it.
        hint: Option<&'static str>,
    },
    /// A row is bad, and the caller asked to stop at the first. Lines count from 1, as editors do.
    #[error("{}:{line}: {problem}", .path.display())]
    Row {
        /// The input as given.
        path: PathBuf,
        /// The row's first line in it.
        line: u64,
        /// What is wrong.
        problem: Problem,
    },
    /// An input is not what it was when the run began.
    #[error("{}: changed while it was read", .path.display())]
    Changed {
        /// The input as given.
        path: PathBuf,
    },
    /// A setting is out of its range.
    #[error("{0}")]
    Setting(String),
    /// The caller asked to stop.
    #[error("interrupted")]
    Stopped,
}

/// Why a row could not be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The bytes are not UTF-8.
    #[error("not UTF-8 at byte {at} of the row")]
    InvalidUtf8 {
        /// Offset in the row, from 0.
        at: usize,
    },
    /// The row is not JSON (RFC 8259).
    #[error("expected {expected} at byte {at} of the row")]
    InvalidJson {
        /// Offset in the row, from 0.
        at: usize,
        /// What would have been allowed there.
        expected: &'static str,
    },
    /// Arrays and objects stand in one another too often.
    #[error("nested deeper than {} levels", crate::json::MAX_DEPTH)]
    TooDeep,
    /// The row is longer than the caller allows.
    #[error("{bytes} bytes long, more than the {most} allowed")]
    TooLong {
        /// Length of the row.
        bytes: u64,
        /// The limit in force.
        most: u64,
    },
    /// The row is JSON, but no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// The layout needs a field that is not there.
    #[error("no field `{field}`")]
    MissingField {
        /// Path of the field.
        field: String,
    },
    /// A field holds something that the layout does not allow there.
    #[error("field `{field}` is not {expected}")]
    WrongType {
        /// Path of the field.
        field: String,
        /// What is allowed there.
        expected: &'static str,
    },
}

impl Problem {
    /// The id under which reports count this problem.
    #[must_use]
    pub fn id(&self) -> &'static str {
        match self {
            Self::InvalidUtf8 { .. } => "invalid-utf8",
            Self::InvalidJson { .. } => "invalid-json",
            Self::TooDeep => "too-deep",
            Self::TooLong { .. } => "too-long",
            Self::NotAnObject => "not-an-object",
            Self::MissingField { .. } => "missing-field",
            Self::WrongType { .. } => "wrong-type",
        }
    }
}
