//! What a run decided: columns over rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bands::Banding;
use crate::corpus::Corpus;
use crate::error::Problem;
use crate::shingles::Shingling;
use crate::watch::Stage;

/// The fate of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It stays.
    Kept,
    /// A kept row has the same compared parts.
    ExactDuplicate,
    /// A kept row is alike.
    NearDuplicate,
    /// It could not be judged.
    Quarantined,
}

/// Counts that belong to a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows in which no compared part stands: always kept.
    pub rows_without_text: u64,
    /// Rows with text but no token: compared exactly only.
    pub rows_without_tokens: u64,
    /// Compared keys that stand twice in one object.
    pub duplicate_keys: u64,
    /// Rows whose text holds half a surrogate pair.
    pub lone_surrogates: u64,
    /// Removed rows that differ from their witness outside what was compared.
    pub differ_elsewhere: u64,
    /// Median size of the rows' shingle sets.
    pub median_shingles: u32,
}

/// Every row, decided.
#[derive(Debug)]
pub struct Decisions {
    /// The inputs.
    pub corpus: Corpus,
    /// The fate of each row.
    pub state: Vec<State>,
    /// The kept row that stands for each row; itself if it was not removed.
    pub witness: Vec<u32>,
    /// Shingles shared with the witness in the least similar group, of near-duplicates.
    pub shared: Vec<u32>,
    /// Shingles of row and witness united in that group.
    pub united: Vec<u32>,
    /// Quarantined rows and why, in row order.
    pub problems: Vec<(u32, Problem)>,
    /// Counts.
    pub counts: Counts,
    /// The n-gram and grouping in force.
    pub shingling: Shingling,
    /// The bands in force; None if every pair was looked for.
    pub banding: Option<Banding>,
    /// Wall time of each stage.
    pub seconds: Vec<(Stage, f64)>,
    /// Pairs whose similarity was computed; may differ between equal runs.
    pub pairs_compared: u64,
    pub(crate) pool: Arc<rayon::ThreadPool>,
}

impl Decisions {
    /// Rows of one fate.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.state.iter().filter(|&&of_row| of_row == state).count()
    }

    /// Quarantined rows by the id of their problem.
    #[must_use]
    pub fn problems_by_id(&self) -> BTreeMap<&'static str, usize> {
        self.problems
            .iter()
            .fold(BTreeMap::new(), |mut counts, (_, problem)| {
                *counts.entry(problem.id()).or_default() += 1;
                counts
            })
    }

    /// The fate of each row as a number, in the order of [`State`].
    #[must_use]
    pub fn state_codes(&self) -> Vec<u8> {
        self.state.iter().map(|&state| state as u8).collect()
    }

    /// The witness of each row as a global row number.
    #[must_use]
    pub fn witness_rows(&self) -> Vec<u64> {
        self.witness.iter().map(|&row| u64::from(row)).collect()
    }
}
