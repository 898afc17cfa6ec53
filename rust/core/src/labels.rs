//! What became of the rows of each label.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::decisions::{Decisions, Fates, State};
use crate::error::Result;
use crate::value::Value;
use crate::watch::Watch;

/// Rows that are read at a time.
const BLOCK: usize = 1 << 16;

impl Decisions {
    /// Count the fates of rows by the value of a top-level field.
    pub(crate) fn by_label(&self, field: &str, watch: &Watch) -> Result<Vec<(String, Fates)>> {
        let is_field = |(key, _): &(Cow<[u8]>, Value)| **key == *field.as_bytes();
        let of_row = |buffer: &mut Vec<u8>, row: usize| -> Result<Option<String>> {
            watch.check()?;
            if matches!(self.state[row], State::Quarantined | State::Absent) {
                return Ok(None);
            }
            let read = self.corpus.read_again(row, buffer)?;
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
        let mut labels: BTreeMap<String, Fates> = BTreeMap::new();
        for first in (0..self.state.len()).step_by(BLOCK) {
            let rows = first..self.state.len().min(first + BLOCK);
            let found: Vec<Option<String>> = rows
                .clone()
                .into_par_iter()
                .map_init(Vec::new, of_row)
                .collect::<Result<_>>()?;
            for (row, label) in rows.zip(found) {
                if let Some(label) = label {
                    labels.entry(label).or_default().count(self.state[row]);
                }
            }
        }
        Ok(labels.into_iter().collect())
    }
}
