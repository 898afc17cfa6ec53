//! Hunks: where two token lists differ.
//!
//! The longest run that both lists share is matched, then the same to its left and right (Ratcliff
//! and Obershelp 1988, as Python's `difflib` has it, earliest run first). What lies between the
//! matches are the hunks.
//!
//! What a reader would get wrong: long lists of few words would take quadratic time, so the search
//! has a budget; what is not matched when it is spent stays one hunk.

use std::ops::Range;

use hashbrown::HashMap;

/// Pairs of equal tokens that are looked at before the search gives up.
const BUDGET: usize = 1 << 24;

/// A run in which two lists differ; one side may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hunk {
    pub left: Range<usize>,
    pub right: Range<usize>,
}

/// How many tokens two lists begin with in common: where their first hunk begins.
pub(crate) fn common_start(left: &[u64], right: &[u64]) -> usize {
    let pairs = left.iter().zip(right);
    pairs.take_while(|(left, right)| left == right).count()
}

/// The hunks of two lists, in order.
pub(crate) fn hunks(left: &[u64], right: &[u64]) -> Vec<Hunk> {
    let start = common_start(left, right);
    let ends = left[start..].iter().rev().zip(right[start..].iter().rev());
    let end = ends.take_while(|(left, right)| left == right).count();
    let middle = Hunk {
        left: start..left.len() - end,
        right: start..right.len() - end,
    };
    if middle.left.is_empty() && middle.right.is_empty() {
        return Vec::new();
    }
    let mut matches = if middle.left.is_empty() || middle.right.is_empty() {
        Vec::new()
    } else {
        Matcher::new(left, right, &middle).run(middle.clone())
    };
    matches.sort_unstable_by_key(|run| run.left.start);
    matches.push(Hunk {
        left: middle.left.end..middle.left.end,
        right: middle.right.end..middle.right.end,
    });
    let mut hunks = Vec::new();
    let (mut at_left, mut at_right) = (start, start);
    for run in matches {
        let between = Hunk {
            left: at_left..run.left.start,
            right: at_right..run.right.start,
        };
        if !between.left.is_empty() || !between.right.is_empty() {
            hunks.push(between);
        }
        (at_left, at_right) = (run.left.end, run.right.end);
    }
    hunks
}

struct Matcher<'t> {
    left: &'t [u64],
    /// Places of each token on the right.
    places: HashMap<u64, Vec<usize>>,
    /// Length of the match that ends at each place of the right, for two tokens of the left.
    ending: [Vec<u32>; 2],
    budget: usize,
}

impl<'t> Matcher<'t> {
    fn new(left: &'t [u64], right: &[u64], middle: &Hunk) -> Self {
        let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
        for at in middle.right.clone() {
            places.entry(right[at]).or_default().push(at);
        }
        Self {
            left,
            places,
            ending: [vec![0; right.len() + 1], vec![0; right.len() + 1]],
            budget: BUDGET,
        }
    }

    fn run(mut self, middle: Hunk) -> Vec<Hunk> {
        let mut matches = Vec::new();
        let mut open = vec![middle];
        while let Some(within) = open.pop() {
            let Some(run) = self.longest(&within) else {
                continue;
            };
            open.push(Hunk {
                left: within.left.start..run.left.start,
                right: within.right.start..run.right.start,
            });
            open.push(Hunk {
                left: run.left.end..within.left.end,
                right: run.right.end..within.right.end,
            });
            matches.push(run);
        }
        matches
    }

    /// The longest common run; of equals the first on the left, then the first on the right.
    fn longest(&mut self, within: &Hunk) -> Option<Hunk> {
        if within.left.is_empty() || within.right.is_empty() {
            return None;
        }
        let [before, now] = &mut self.ending;
        let of_token = |token: u64| {
            let places = self.places.get(&token).map_or(&[][..], Vec::as_slice);
            let first = places.partition_point(|&at| at < within.right.start);
            let end = places.partition_point(|&at| at < within.right.end);
            &places[first..end]
        };
        let (mut best, mut best_end) = (0, (0, 0));
        let mut earlier: &[usize] = &[];
        for at_left in within.left.clone() {
            let places = of_token(self.left[at_left]);
            if self.budget < places.len() {
                self.budget = 0;
                best = 0;
                break;
            }
            self.budget -= places.len();
            for &at in places {
                let length = if at > within.right.start {
                    before[at]
                } else {
                    0
                } + 1;
                now[at + 1] = length;
                if length > best {
                    (best, best_end) = (length, (at_left + 1, at + 1));
                }
            }
            for &at in earlier {
                before[at + 1] = 0;
            }
            earlier = places;
            std::mem::swap(before, now);
        }
        for ending in [before, now] {
            ending[within.right.start..=within.right.end].fill(0);
        }
        let length = best as usize;
        (best > 0).then(|| Hunk {
            left: best_end.0 - length..best_end.0,
            right: best_end.1 - length..best_end.1,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, without an index.
    fn slow(left: &[u64], right: &[u64], at: (usize, usize), hunks: &mut Vec<Hunk>) {
        let mut best = (0, 0, 0);
        for i in 0..left.len() {
            for j in 0..right.len() {
                let length = common_start(&left[i..], &right[j..]);
                if length > best.2 {
                    best = (i, j, length);
                }
            }
        }
        let (i, j, length) = best;
        if length > 0 {
            slow(&left[..i], &right[..j], at, hunks);
            let (i, j) = (i + length, j + length);
            slow(&left[i..], &right[j..], (at.0 + i, at.1 + j), hunks);
        } else if !left.is_empty() || !right.is_empty() {
            let (left, right) = (at.0..at.0 + left.len(), at.1..at.1 + right.len());
            hunks.push(Hunk { left, right });
        }
    }

    proptest! {
        #[test]
        fn hunks_are_those_of_the_definition(
            left in prop::collection::vec(0_u64..6, 0..30),
            right in prop::collection::vec(0_u64..6, 0..30),
        ) {
            let start = common_start(&left, &right);
            let mut end = 0;
            while end < left.len().min(right.len()) - start && left[left.len() - 1 - end] == right[right.len() - 1 - end] {
                end += 1;
            }
            let mut expected = Vec::new();
            slow(&left[start..left.len() - end], &right[start..right.len() - end], (start, start), &mut expected);
            prop_assert_eq!(hunks(&left, &right), expected);
        }
    }

    #[test]
    fn a_search_without_end_is_given_up() {
        let left: Vec<u64> = (0..20_000).map(|at| at % 2).collect();
        let right: Vec<u64> = (0..20_000).map(|at| u64::from(at % 3 == 0)).collect();
        assert!(!hunks(&left, &right).is_empty());
    }
}
