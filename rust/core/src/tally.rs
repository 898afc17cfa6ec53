//! What a run should tell about the pairs that it kept apart: how many by which rule, and a few of
//! each to look at.
//!
//! Only pairs of a row and a *kept* row count, up to the row's witness: which those are does not depend on
//! threads or memory.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use crate::judge::{Apart, FamilyId};
use crate::shingles::mix;

/// Pairs of each rule that are remembered.
const SAMPLE: usize = 50;

/// Rules, in the order of [`crate::judge::Rule`].
const RULES: usize = 4;

/// A row, the kept row before it, and what keeps them apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub row: u32,
    pub kept: u32,
    pub apart: Apart,
}

/// What a family did in a run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deeds {
    /// Pairs kept apart by its slots.
    pub pairs: u64,
    /// Hunks of removed rows that were found to be edits.
    pub edits: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub counts: [u64; RULES],
    pub families: HashMap<FamilyId, Deeds>,
    /// Texts whose families pairs have asked for: hashes of role and text.
    pub asked: BTreeSet<(u64, u64)>,
    sample: [Vec<(u64, Pair)>; RULES],
}

impl Tally {
    pub(crate) fn kept_apart(&mut self, pair: Pair) {
        let rule = pair.apart.rule as usize;
        self.counts[rule] += 1;
        if let Some(family) = pair.apart.family {
            self.families.entry(family).or_default().pairs += 1;
        }
        let sample = &mut self.sample[rule];
        sample.push((mix(u64::from(pair.row) << 32 | u64::from(pair.kept)), pair));
        if sample.len() >= 4 * SAMPLE {
            cut(sample);
        }
    }

    pub(crate) fn edited(&mut self, edits: &[(FamilyId, u32)]) {
        for &(family, edits) in edits {
            self.families.entry(family).or_default().edits += u64::from(edits);
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        for (family, deeds) in other.families {
            let sum = self.families.entry(family).or_default();
            sum.pairs += deeds.pairs;
            sum.edits += deeds.edits;
        }
        self.asked.extend(other.asked);
        for (sample, more) in self.sample.iter_mut().zip(other.sample) {
            sample.extend(more);
            cut(sample);
        }
    }

    /// The remembered pairs, by rule and in row order.
    pub(crate) fn pairs(mut self) -> impl Iterator<Item = Pair> {
        for sample in &mut self.sample {
            cut(sample);
            sample.sort_unstable_by_key(|(_, pair)| (pair.row, pair.kept));
        }
        self.sample.into_iter().flatten().map(|(_, pair)| pair)
    }
}

/// Keep those with the least hashes: a choice that depends on the pairs alone.
fn cut(sample: &mut Vec<(u64, Pair)>) {
    if sample.len() > SAMPLE {
        sample.select_nth_unstable_by_key(SAMPLE, |&(hash, _)| hash);
        sample.truncate(SAMPLE);
    }
}
