//! What became of the rows of each label.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::corpus::{Buffer, Corpus};
use crate::decisions::{Decisions, Fates, State};
use crate::error::Result;
use crate::value::Value;
use crate::watch::Watch;

/// Rows that are read at a time.
const BLOCK: usize = 1 << 16;

impl Corpus {
    /// For each row what stands in a top-level field: a string without its quotes, anything else as
    /// it stands; None for null, or where there is nothing.
    ///
    /// # Errors
    /// An input changed since the rows were read.
    pub fn labels(
        &self,
        field: &str,
        rows: &[usize],
        watch: &Watch,
    ) -> Result<Vec<Option<String>>> {
        let is_field = |(key, _): &(Cow<[u8]>, Value)| **key == *field.as_bytes();
        let of_row = |buffer: &mut Buffer, &row: &usize| -> Result<Option<String>> {
            watch.check()?;
            let read = self.read_again(row, buffer)?;
            let value = read.object.members().filter(is_field).last();
            let value = value
                .map(|(_, value)| value)
                .filter(|value| !value.is_null());
            let text = |value: Value| {
                value
                    .text()
                    .unwrap_or(Cow::Borrowed(value.raw()))
                    .into_owned()
            };
            Ok(value.map(|value| String::from_utf8_lossy(&text(value)).into_owned()))
        };
        rows.par_iter().map_init(Buffer::default, of_row).collect()
    }
}

impl Decisions {
    /// Count the fates of rows by the value of a top-level field.
    pub(crate) fn by_label(&self, field: &str, watch: &Watch) -> Result<Vec<(String, Fates)>> {
        let is_judged = |&row: &usize| {
            let state = self.state[row];
            !matches!(state, State::Quarantined | State::Absent)
        };
        let rows: Vec<usize> = (0..self.state.len()).filter(is_judged).collect();
        let mut labels: BTreeMap<String, Fates> = BTreeMap::new();
        for block in rows.chunks(BLOCK) {
            let found = self.corpus.labels(field, block, watch)?;
            for (&row, label) in block.iter().zip(found) {
                if let Some(label) = label {
                    labels.entry(label).or_default().count(self.state[row]);
                }
            }
        }
        Ok(labels.into_iter().collect())
    }
}
