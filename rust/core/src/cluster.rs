//! Keep-first: which rows stay.
//!
//! Walk the rows in order; keep a row unless one already *kept* is a verified neighbour; its
//! witness is the first such row. Clusters are not connected components: similarity is not made
//! transitive, or chains of small edits would remove rows that are like nothing kept. The outcome
//! is unique, so any schedule must reach it (Blelloch, Fineman and Shun 2012).
//!
//! Rows go in blocks: first every row of a block is compared with what was kept before it, in
//! parallel; the rows left over are compared with one another, in parallel up to each row's first
//! neighbour; then one walk over the block settles it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hashbrown::HashMap;
use rayon::prelude::*;

use crate::bands::Buckets;
use crate::error::Result;
use crate::key_role::KeyRoles;
use crate::shingles::RowSets;
use crate::verify::{Overlap, near_duplicate, sizes_allow};
use crate::watch::Watch;

/// Rows a block: enough to share out, few enough that comparing all with all is cheap.
const BLOCK: usize = 1024;

/// Proposes which kept rows a row may be like. May propose too many, never too few.
pub(crate) trait Candidates: Sync {
    /// Kept rows, in order, each once.
    fn kept(&self, row: u32, sets: &RowSets) -> Vec<u32>;
    /// For each of `rows`, positions of earlier ones of them, in order, each once.
    fn among(&self, rows: &[u32]) -> Vec<Vec<u32>>;
    /// A row was kept.
    fn keep(&mut self, row: u32, sets: &RowSets);
}

/// A removed row, the kept row that stands for it, and how alike they are in the least similar
/// group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Removal {
    pub row: u32,
    pub witness: u32,
    pub overlap: Overlap,
}

pub(crate) struct KeepFirst<'a, S> {
    pub threshold_millis: u32,
    /// Shingles of each row.
    pub sizes: &'a [u32],
    /// Shingles that a block may hold in memory; how rows fall into blocks changes no decision.
    pub shingles_a_block: u64,
    /// The sets of a row.
    pub sets: S,
    pub pairs_compared: AtomicU64,
    pub watch: &'a Watch,
}

impl<S: Fn(u32) -> Result<Arc<RowSets>> + Sync> KeepFirst<'_, S> {
    /// Decide `rows`, given in order of priority.
    pub(crate) fn run(
        &self,
        rows: &[u32],
        candidates: &mut impl Candidates,
    ) -> Result<Vec<Removal>> {
        let mut removals = Vec::new();
        let mut rest = rows;
        while !rest.is_empty() {
            let (block, after) = rest.split_at(self.first_block(rest));
            self.block(block, candidates, &mut removals)?;
            self.watch.advance(block.len() as u64)?;
            rest = after;
        }
        Ok(removals)
    }

    /// How many rows make the next block: as many as memory may hold the sets of, at least one.
    fn first_block(&self, rows: &[u32]) -> usize {
        let mut shingles = 0;
        let fits = |row: &&u32| {
            let fits = shingles < self.shingles_a_block;
            shingles += u64::from(self.sizes[**row as usize]);
            fits
        };
        rows.iter().take(BLOCK).take_while(fits).count().max(1)
    }

    fn block(
        &self,
        block: &[u32],
        candidates: &mut impl Candidates,
        removals: &mut Vec<Removal>,
    ) -> Result<()> {
        let found: Vec<(Arc<RowSets>, Option<Removal>)> = block
            .par_iter()
            .map(|&row| {
                let sets = (self.sets)(row)?;
                for witness in candidates.kept(row, &sets) {
                    if sizes_allow(
                        self.sizes[row as usize],
                        self.sizes[witness as usize],
                        self.threshold_millis,
                    ) && let Some(overlap) = self.compare(&sets, &*(self.sets)(witness)?)?
                    {
                        return Ok((
                            sets,
                            Some(Removal {
                                row,
                                witness,
                                overlap,
                            }),
                        ));
                    }
                }
                Ok((sets, None))
            })
            .collect::<Result<_>>()?;

        let mut open: Vec<u32> = Vec::new();
        let mut open_sets: Vec<&RowSets> = Vec::new();
        for (&row, (sets, removal)) in block.iter().zip(&found) {
            if let Some(removal) = removal {
                removals.push(*removal);
            } else {
                open.push(row);
                open_sets.push(sets);
            }
        }
        let among = candidates.among(&open);
        // The first neighbour at or after a position in the row's list, with that position.
        let neighbour = |at: usize, from: usize| -> Result<Option<(usize, Overlap)>> {
            for (position, &other) in among[at].iter().enumerate().skip(from) {
                let (row, earlier) = (open[at], open[other as usize]);
                if sizes_allow(
                    self.sizes[row as usize],
                    self.sizes[earlier as usize],
                    self.threshold_millis,
                ) && let Some(overlap) =
                    self.compare(open_sets[at], open_sets[other as usize])?
                {
                    return Ok(Some((position, overlap)));
                }
            }
            Ok(None)
        };
        let first: Vec<Option<(usize, Overlap)>> = (0..open.len())
            .into_par_iter()
            .map(|at| neighbour(at, 0))
            .collect::<Result<_>>()?;
        let mut is_kept = vec![true; open.len()];
        for (at, mut next) in first.into_iter().enumerate() {
            while let Some((position, overlap)) = next {
                let other = among[at][position] as usize;
                if is_kept[other] {
                    is_kept[at] = false;
                    removals.push(Removal {
                        row: open[at],
                        witness: open[other],
                        overlap,
                    });
                    break;
                }
                next = neighbour(at, position + 1)?;
            }
            if is_kept[at] {
                candidates.keep(open[at], open_sets[at]);
            }
        }
        Ok(())
    }

    fn compare(&self, row: &RowSets, earlier: &RowSets) -> Result<Option<Overlap>> {
        self.pairs_compared.fetch_add(1, Relaxed);
        self.watch.check()?;
        Ok(near_duplicate(row, earlier, self.threshold_millis))
    }
}

/// Candidates that share a bucket.
pub(crate) struct ByBuckets {
    buckets: Buckets,
    /// Where the kept rows of each bucket begin in `kept`.
    starts: Vec<usize>,
    kept: Vec<u32>,
    kept_in: Vec<u32>,
}

impl ByBuckets {
    pub(crate) fn new(buckets: Buckets) -> Self {
        let mut starts = Vec::with_capacity(buckets.sizes().len());
        let mut total = 0;
        for &size in buckets.sizes() {
            starts.push(total);
            total += size as usize;
        }
        let kept_in = vec![0; starts.len()];
        Self {
            buckets,
            starts,
            kept: vec![0; total],
            kept_in,
        }
    }

    /// The rows that are in any bucket, in order.
    pub(crate) fn rows(&self, rows: usize) -> Vec<u32> {
        (0..rows as u32)
            .filter(|&row| !self.buckets.of(row).is_empty())
            .collect()
    }
}

impl Candidates for ByBuckets {
    fn kept(&self, row: u32, _: &RowSets) -> Vec<u32> {
        let mut rows = Vec::new();
        for &bucket in self.buckets.of(row) {
            let start = self.starts[bucket as usize];
            rows.extend_from_slice(
                &self.kept[start..start + self.kept_in[bucket as usize] as usize],
            );
        }
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    fn among(&self, rows: &[u32]) -> Vec<Vec<u32>> {
        let mut seen: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut among = Vec::with_capacity(rows.len());
        for (at, &row) in rows.iter().enumerate() {
            let mut earlier: Vec<u32> = Vec::new();
            for &bucket in self.buckets.of(row) {
                let rows = seen.entry(bucket).or_default();
                earlier.extend_from_slice(rows);
                rows.push(at as u32);
            }
            earlier.sort_unstable();
            earlier.dedup();
            among.push(earlier);
        }
        among
    }

    fn keep(&mut self, row: u32, _: &RowSets) {
        for &bucket in self.buckets.of(row) {
            let bucket = bucket as usize;
            self.kept[self.starts[bucket] + self.kept_in[bucket] as usize] = row;
            self.kept_in[bucket] += 1;
        }
    }
}

/// Candidates by counting shared shingles of the key role: every row that is alike, by proof. Slow,
/// simple.
pub(crate) struct ByShingles<'a> {
    /// Kept rows that hold a shingle.
    postings: HashMap<u64, Vec<u32>>,
    /// Shingles of each kept row.
    sizes: HashMap<u32, usize>,
    threshold_millis: u32,
    key_roles: &'a KeyRoles,
}

impl<'a> ByShingles<'a> {
    pub(crate) fn new(threshold_millis: u32, key_roles: &'a KeyRoles) -> Self {
        Self {
            postings: HashMap::new(),
            sizes: HashMap::new(),
            threshold_millis,
            key_roles,
        }
    }
}

impl Candidates for ByShingles<'_> {
    fn kept(&self, _: u32, sets: &RowSets) -> Vec<u32> {
        let shingles = &self.key_roles.of(sets).shingles;
        let mut shared: HashMap<u32, usize> = HashMap::new();
        for shingle in shingles {
            for &kept in self.postings.get(shingle).into_iter().flatten() {
                *shared.entry(kept).or_default() += 1;
            }
        }
        let reaches = |kept: u32, shared: usize| {
            let united = shingles.len() + self.sizes[&kept] - shared;
            shared * 1000 >= self.threshold_millis as usize * united
        };
        let alike = shared
            .into_iter()
            .filter(|&(kept, shared)| reaches(kept, shared));
        let mut rows: Vec<u32> = alike.map(|(kept, _)| kept).collect();
        rows.sort_unstable();
        rows
    }

    fn among(&self, rows: &[u32]) -> Vec<Vec<u32>> {
        (0..rows.len() as u32).map(|at| (0..at).collect()).collect()
    }

    fn keep(&mut self, row: u32, sets: &RowSets) {
        let shingles = &self.key_roles.of(sets).shingles;
        self.sizes.insert(row, shingles.len());
        for &shingle in shingles {
            self.postings.entry(shingle).or_default().push(row);
        }
    }
}
