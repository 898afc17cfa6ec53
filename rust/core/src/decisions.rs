//! What a run decided: columns over rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bands::Banding;
use crate::corpus::Corpus;
use crate::error::Problem;
use crate::jsonl::Shard;
use crate::judge::Rule;
use crate::settings::Numbers;
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
    /// It was not among the rows that were compared.
    Absent,
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
    /// Rows without the number that says which row stays.
    pub rows_without_score: u64,
    /// Pairs alike as a whole, but not in each role.
    pub apart_by_roles: u64,
    /// Alike pairs that hold different numbers.
    pub apart_by_numbers: u64,
    /// Alike pairs that fill a slot of their template differently.
    pub apart_by_content: u64,
}

/// A template that rows share.
#[derive(Debug, Clone)]
pub struct FamilySummary {
    /// The role whose texts are of the family; None where all roles are one text.
    pub role: Option<Arc<str>>,
    /// Distinct texts.
    pub texts: u32,
    /// Rows with one of them.
    pub rows: u32,
    /// What more than half of the texts have in common, with `…` for what they do not.
    pub template: String,
    /// Pairs of rows that its slots kept apart.
    pub pairs_apart: u64,
    /// Differences between a removed row and its witness that were found to be edits of it.
    pub edits: u64,
    /// Some rows with different texts of the family, in row order.
    pub members: Vec<u32>,
}

/// What was decided about a pair that is worth a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The row is removed, though it is little more alike than the threshold asks.
    Removed,
    /// This rule keeps the pair apart.
    Apart(Rule),
}

/// A pair of rows that is worth a look.
#[derive(Debug, Clone)]
pub struct PairSummary {
    /// The one that was compared.
    pub row: u32,
    /// The kept one that it was compared with.
    pub kept: u32,
    /// What was decided.
    pub verdict: Verdict,
    /// Where they differ, or differ most.
    pub role: Option<Arc<str>>,
    /// Shingles that they share there.
    pub shared: u32,
    /// Shingles of the two there.
    pub united: u32,
}

/// What became of the rows of one label, or of one file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fates([usize; 5]);

impl Fates {
    pub(crate) fn count(&mut self, state: State) {
        self.0[state as usize] += 1;
    }

    /// Rows of one fate.
    #[must_use]
    pub fn of(&self, state: State) -> usize {
        self.0[state as usize]
    }
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
    /// Do different numbers keep rows apart?
    pub numbers: Numbers,
    /// The largest families, by rows.
    pub families: Vec<FamilySummary>,
    /// Pairs that are worth a look, by verdict and in row order.
    pub pairs: Vec<PairSummary>,
    /// The values of the label that was asked for, in order; strings without quotes.
    pub labels: Vec<(String, Fates)>,
    /// The bands in force; None if every pair was looked for.
    pub banding: Option<Banding>,
    /// Wall time of each stage.
    pub seconds: Vec<(Stage, f64)>,
    /// Pairs whose similarity was computed; may differ between equal runs.
    pub pairs_compared: u64,
    pub(crate) pool: Arc<rayon::ThreadPool>,
}

impl Decisions {
    /// Threads that decided.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Rows of one fate.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.state.iter().filter(|&&of_row| of_row == state).count()
    }

    /// What became of the rows of each file.
    #[must_use]
    pub fn by_file(&self) -> Vec<Fates> {
        let of_shard = |shard: &Shard| {
            let mut fates = Fates::default();
            let rows = shard.first_row..shard.first_row + shard.rows;
            self.state[rows]
                .iter()
                .for_each(|&state| fates.count(state));
            fates
        };
        self.corpus.rows.shards.iter().map(of_shard).collect()
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
