//! Which of two duplicates stays: the order in which rows are walked.

use std::borrow::Cow;

use crate::corpus::Read;

/// The order in which rows are walked: a row can only stand for rows that come after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Priority {
    /// As they stand.
    #[default]
    Order,
    /// Rows with more bytes of compared text first, equals as they stand.
    Longest,
    /// Rows with a greater number in this top-level field first, rows without one last, equals as
    /// they stand.
    Best(String),
}

impl Priority {
    /// A number by which rows are ordered, greater first; None if the row has none. Above 0.
    pub(crate) fn score(&self, row: &Read) -> Option<u64> {
        match self {
            Self::Order => Some(1),
            Self::Longest => {
                let texts = row.parts.list.iter().filter(|part| !part.opaque);
                Some(1 + texts.map(|part| part.text.len() as u64).sum::<u64>())
            }
            Self::Best(field) => {
                let is_field = |(key, _): &(Cow<[u8]>, _)| **key == *field.as_bytes();
                let (_, value) = row.object.members().filter(is_field).last()?;
                let number = std::str::from_utf8(value.raw()).ok()?;
                let begins =
                    number.starts_with(|first: char| first == '-' || first.is_ascii_digit());
                begins.then(|| number.parse().ok().map(ordered)).flatten()
            }
        }
    }
}

/// Integers in the order of finite numbers and infinities, all above 0; -0 is 0.
fn ordered(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 0 {
        bits | 1 << 63
    } else {
        !bits
    }
}

/// The rows of a corpus in the order in which they are walked.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The row at each rank; None if rows are walked as they stand.
    rows: Option<Vec<u32>>,
    ranks: Vec<u32>,
}

impl Walk {
    /// `scores` is empty, or has one number a row.
    pub(crate) fn new(scores: &[u64]) -> Self {
        if scores.is_empty() {
            return Self {
                rows: None,
                ranks: Vec::new(),
            };
        }
        let mut rows: Vec<u32> = (0..scores.len() as u32).collect();
        rows.sort_by_key(|&row| std::cmp::Reverse(scores[row as usize]));
        let mut ranks = vec![0; rows.len()];
        for (rank, &row) in rows.iter().enumerate() {
            ranks[row as usize] = rank as u32;
        }
        Self {
            rows: Some(rows),
            ranks,
        }
    }

    /// Are rows walked as they stand?
    pub(crate) fn is_in_order(&self) -> bool {
        self.rows.is_none()
    }

    pub(crate) fn row(&self, rank: u32) -> u32 {
        self.rows.as_ref().map_or(rank, |rows| rows[rank as usize])
    }

    pub(crate) fn rank(&self, row: u32) -> u32 {
        match self.rows {
            Some(_) => self.ranks[row as usize],
            None => row,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_ordered_as_their_numbers() {
        let numbers = [
            f64::NEG_INFINITY,
            -1e300,
            -1.5,
            -0.0,
            1e-300,
            1.0,
            2.0,
            f64::INFINITY,
        ];
        assert!(
            numbers
                .map(ordered)
                .is_sorted_by(|left, right| left < right)
        );
        assert_eq!(ordered(-0.0), ordered(0.0));
        assert!(ordered(f64::NEG_INFINITY) > 0);
    }

    #[test]
    fn rows_are_walked_by_score_and_equals_as_they_stand() {
        let walk = Walk::new(&[5, 7, 5, 9]);
        assert_eq!([0, 1, 2, 3].map(|rank| walk.row(rank)), [3, 1, 0, 2]);
        assert_eq!([0, 1, 2, 3].map(|row| walk.rank(row)), [2, 1, 3, 0]);
        let walk = Walk::new(&[]);
        assert_eq!((walk.row(4), walk.rank(4)), (4, 4));
    }
}
