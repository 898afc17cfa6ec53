//! What a caller may ask of a deduplication.

use crate::corpus::Reading;
use crate::error::{Error, Result};
use crate::priority::Priority;
use crate::shingles::Alike;

/// Which duplicates are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Rows whose compared parts are equal.
    Exact,
    /// Those, and rows whose shingles are alike.
    Near,
}

/// How near-duplicates are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recall {
    /// By bands of signatures: at least 0.999 of the pairs at the threshold, and more above it.
    Bands,
    /// By an index of the rarest shingles: every pair. Much slower on large inputs.
    Exact,
}

/// Do different numbers make rows different?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// Rows that differ in a number are no duplicates.
    Distinct,
    /// A number is a word like others.
    Alike,
}

/// What to decide, and with what.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How inputs are read.
    pub reading: Reading,
    /// Which duplicates.
    pub method: Method,
    /// Least similarity in thousandths, 1 to 1000.
    pub threshold_millis: u32,
    /// Words an n-gram. None: 5 if every file is of format `text`, else 3.
    pub ngram: Option<usize>,
    /// What must be alike. None: the whole if every file is of format `text`, else by consensus.
    pub alike: Option<Alike>,
    /// What numbers do. None: they are distinct by consensus, else alike.
    pub numbers: Option<Numbers>,
    /// How near-duplicates are found. None: exact below 5,000 rows, or where bands cannot.
    pub recall: Option<Recall>,
    /// Which of two duplicates stays.
    pub keep: Priority,
    /// A top-level field by whose values rows are counted.
    pub label: Option<String>,
    /// Of the signature's functions.
    pub seed: u64,
    /// Fail at the first bad row instead of putting it aside.
    pub stop_at_bad_row: bool,
    /// Worker threads; 0 means one a core.
    pub threads: usize,
    /// Budget for private memory in bytes.
    pub memory: u64,
}

impl Default for Settings {
    /// Near-duplicates at 0.8, everything else as the command has it.
    fn default() -> Self {
        Self {
            reading: Reading::default(),
            method: Method::Near,
            threshold_millis: 800,
            ngram: None,
            alike: None,
            numbers: None,
            recall: None,
            keep: Priority::Order,
            label: None,
            seed: 0,
            stop_at_bad_row: false,
            threads: 0,
            memory: 4 << 30,
        }
    }
}

impl Settings {
    /// Is every number in its range?
    pub(crate) fn check(&self) -> Result<()> {
        let complaint = if !(1..=1000).contains(&self.threshold_millis) {
            "the threshold must be above 0 and at most 1"
        } else if self.ngram == Some(0) {
            "an n-gram has at least 1 word"
        } else if self.reading.max_line == 0 {
            "the longest row must have at least 1 byte"
        } else {
            return Ok(());
        };
        Err(Error::Setting(complaint.into()))
    }
}
