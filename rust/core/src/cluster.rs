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
//!
//! What a reader would get wrong: all numbers of rows here are ranks in the order of priority
//! ([`crate::priority::Walk`]), but for those in what is returned.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::bands::Buckets;
use crate::error::Result;
use crate::judge::{FamilyId, Judge, Verdict};
use crate::priority::Walk;
use crate::shingles::RowSets;
use crate::sketches::Sketches;
use crate::tally::{Pair, Tally};
use crate::verify::{Overlap, sizes_allow};
use crate::watch::{Stage, Watch};

/// Rows a block: enough to share out, few enough that comparing all with all is cheap.
const BLOCK: usize = 1024;

/// A removed row, the kept row that stands for it, and how alike they are in the least similar
/// group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Removal {
    pub row: u32,
    pub witness: u32,
    pub overlap: Overlap,
}

pub(crate) struct KeepFirst<'a, S> {
    pub judge: Judge<'a>,
    pub walk: &'a Walk,
    /// Shingles of each row.
    pub sizes: &'a [u32],
    /// None where roles are compared one by one.
    pub sketches: Option<Sketches<'a>>,
    /// Shingles that a block may hold in memory; how rows fall into blocks changes no decision.
    pub shingles_a_block: u64,
    /// The sets of a row.
    pub sets: S,
    pub watch: &'a Watch,
}

/// What was found out about one row of a block.
struct Found {
    /// None if there was nothing to compare it with.
    sets: Option<Arc<RowSets>>,
    removal: Option<Removal>,
    tally: Tally,
}

/// The first neighbour of a row among a list of candidates, at or after a position in it.
struct Next {
    neighbour: Option<(usize, Overlap, Edits)>,
    /// Candidates before it that are kept apart, or for now.
    apart: Vec<(usize, Verdict)>,
}

type Edits = Vec<(FamilyId, u32)>;

impl<S: Fn(u32) -> Result<Arc<RowSets>> + Sync> KeepFirst<'_, S> {
    /// Decide rows, given in order of priority.
    pub(crate) fn run(
        &mut self,
        ranks: &[u32],
        candidates: &mut Candidates,
    ) -> Result<(Vec<Removal>, Tally)> {
        loop {
            let (mut removals, mut tally) = (Vec::new(), Tally::default());
            candidates.forget_kept();
            self.watch.begin(Stage::Near, ranks.len() as u64);
            let mut rest = ranks;
            while !rest.is_empty() {
                let (block, after) = rest.split_at(self.first_block(rest));
                self.block(block, candidates, &mut tally, &mut removals)?;
                self.watch.advance(block.len() as u64)?;
                rest = after;
            }
            if tally.asked.is_empty() {
                return Ok((removals, tally));
            }
            self.judge.find_families(tally.asked)?;
        }
    }

    /// How many rows make the next block: as many as memory may hold the sets of, at least one.
    fn first_block(&self, ranks: &[u32]) -> usize {
        let mut shingles = 0;
        let fits = |rank: &&u32| {
            let fits = shingles < self.shingles_a_block;
            shingles += u64::from(self.size(**rank));
            fits
        };
        ranks.iter().take(BLOCK).take_while(fits).count().max(1)
    }

    fn size(&self, rank: u32) -> u32 {
        self.sizes[self.walk.row(rank) as usize]
    }

    fn may_be_alike(&self, rank: u32, other: u32) -> bool {
        let (left, right) = (self.size(rank), self.size(other));
        if !sizes_allow(left, right, self.judge.threshold_millis) {
            return false;
        }
        let Some(sketches) = &self.sketches else {
            return true;
        };
        let at_most = sketches.at_most(self.walk.row(rank), self.walk.row(other));
        at_most.reaches(self.judge.least_told())
    }

    fn block(
        &self,
        block: &[u32],
        candidates: &mut Candidates,
        tally: &mut Tally,
        removals: &mut Vec<Removal>,
    ) -> Result<()> {
        let (found, meetings) = rayon::join(
            || {
                let found = block.par_iter();
                let found = found.map(|&rank| self.against_kept(rank, candidates));
                found.collect::<Result<Vec<Found>>>()
            },
            || candidates.meetings(block),
        );
        let found = found?;
        let settled = self.among(block, &found, &meetings, candidates)?;
        for (&rank, is_kept) in block.iter().zip(settled.is_kept) {
            if is_kept {
                candidates.keep(rank);
            }
        }
        for found in found {
            removals.extend(found.removal);
            tally.add(found.tally);
        }
        removals.extend(settled.removals);
        tally.add(settled.tally);
        Ok(())
    }

    /// Compare a row with the rows that were kept before its block.
    fn against_kept(&self, rank: u32, candidates: &Candidates) -> Result<Found> {
        let row = self.walk.row(rank);
        let (mut removal, mut tally) = (None, Tally::default());
        let mut others = candidates.kept(rank);
        others.retain(|&other| self.may_be_alike(rank, other));
        let sets = if others.is_empty() {
            None
        } else {
            Some((self.sets)(row)?)
        };
        for (other, sets) in others.into_iter().zip(sets.iter().cycle()) {
            self.watch.check()?;
            let kept = self.walk.row(other);
            match self.judge.compare(sets, &*(self.sets)(kept)?)? {
                Verdict::Different => {}
                Verdict::Apart(apart) => tally.kept_apart(Pair { row, kept, apart }),
                Verdict::Open(text) => {
                    tally.asked.insert(text);
                }
                Verdict::Duplicate { overlap, edits } => {
                    tally.edited(&edits);
                    removal = Some(Removal {
                        row,
                        witness: kept,
                        overlap,
                    });
                    break;
                }
            }
        }
        Ok(Found {
            sets,
            removal,
            tally,
        })
    }

    /// Settle what is open in a block by comparing it with itself.
    fn among(
        &self,
        block: &[u32],
        found: &[Found],
        meetings: &Meetings,
        candidates: &Candidates,
    ) -> Result<Settled> {
        let is_open: Vec<bool> = found.iter().map(|found| found.removal.is_none()).collect();
        let earlier = |at: usize| {
            if !is_open[at] {
                return Vec::new();
            }
            let mut earlier = candidates.earlier(at, meetings, &is_open);
            earlier.retain(|&other| self.may_be_alike(block[at], block[other as usize]));
            earlier
        };
        let among: Vec<Vec<u32>> = (0..block.len()).into_par_iter().map(earlier).collect();
        let mut is_compared = vec![false; block.len()];
        for (at, others) in among.iter().enumerate() {
            is_compared[at] |= !others.is_empty();
            for &other in others {
                is_compared[other as usize] = true;
            }
        }
        let sets: Vec<Option<Arc<RowSets>>> = found
            .par_iter()
            .enumerate()
            .map(|(at, found)| match &found.sets {
                _ if !is_compared[at] => Ok(None),
                None => Ok(Some((self.sets)(self.walk.row(block[at]))?)),
                sets => Ok(sets.clone()),
            })
            .collect::<Result<_>>()?;
        let sets_of = |at: usize| sets[at].as_deref().expect("what is compared was read");
        let next = |at: usize, from: usize| -> Result<Next> {
            let mut apart = Vec::new();
            for (position, &other) in among[at].iter().enumerate().skip(from) {
                let other = other as usize;
                self.watch.check()?;
                match self.judge.compare(sets_of(at), sets_of(other))? {
                    Verdict::Different => {}
                    verdict @ (Verdict::Apart(_) | Verdict::Open(_)) => {
                        apart.push((other, verdict));
                    }
                    Verdict::Duplicate { overlap, edits } => {
                        let neighbour = Some((position, overlap, edits));
                        return Ok(Next { neighbour, apart });
                    }
                }
            }
            let neighbour = None;
            Ok(Next { neighbour, apart })
        };
        let first: Vec<Next> = (0..block.len())
            .into_par_iter()
            .map(|at| next(at, 0))
            .collect::<Result<_>>()?;
        let mut settled = Settled {
            is_kept: is_open,
            removals: Vec::new(),
            tally: Tally::default(),
        };
        for (at, mut found) in first.into_iter().enumerate() {
            let row = self.walk.row(block[at]);
            loop {
                for (other, verdict) in found.apart {
                    let kept = self.walk.row(block[other]);
                    match verdict {
                        _ if !settled.is_kept[other] => {}
                        Verdict::Apart(apart) => {
                            settled.tally.kept_apart(Pair { row, kept, apart });
                        }
                        Verdict::Open(text) => {
                            settled.tally.asked.insert(text);
                        }
                        Verdict::Duplicate { .. } | Verdict::Different => {}
                    }
                }
                let Some((position, overlap, edits)) = found.neighbour else {
                    break;
                };
                let other = among[at][position] as usize;
                if settled.is_kept[other] {
                    settled.is_kept[at] = false;
                    settled.tally.edited(&edits);
                    settled.removals.push(Removal {
                        row,
                        witness: self.walk.row(block[other]),
                        overlap,
                    });
                    break;
                }
                found = next(at, position + 1)?;
            }
        }
        Ok(settled)
    }
}

struct Settled {
    is_kept: Vec<bool>,
    removals: Vec<Removal>,
    tally: Tally,
}

/// Which rows of a block share buckets with earlier ones of it; a row is known by its position.
#[derive(Default)]
struct Meetings {
    /// The rows of each bucket.
    rows: Vec<u32>,
    /// Sorted: a row, and those of `rows` that stand before it in one of its buckets.
    earlier: Vec<(u32, Range<usize>)>,
}

impl Meetings {
    fn of(&self, at: usize) -> &[(u32, Range<usize>)] {
        let start = self
            .earlier
            .partition_point(|(other, _)| (*other as usize) < at);
        let of_row = self.earlier[start..].iter();
        let count = of_row
            .take_while(|(other, _)| *other as usize == at)
            .count();
        &self.earlier[start..start + count]
    }
}

/// Rows that may be alike: those that share a bucket. May be too many, never too few.
pub(crate) struct Candidates {
    buckets: Buckets,
    /// Where the rows of each bucket begin in the list of all. The first of them are the kept ones:
    /// what stands there was met before, and nobody asks for it again.
    starts: Vec<usize>,
    kept_in: Vec<u32>,
}

impl Candidates {
    pub(crate) fn new(buckets: Buckets) -> Self {
        let mut starts = Vec::with_capacity(buckets.sizes.len());
        let mut total = 0;
        for &size in &buckets.sizes {
            starts.push(total);
            total += size as usize;
        }
        let kept_in = vec![0; starts.len()];
        Self {
            buckets,
            starts,
            kept_in,
        }
    }

    /// The rows that are in any bucket, in order.
    pub(crate) fn rows(&self) -> Vec<u32> {
        self.buckets.rows()
    }

    /// Kept rows, in order, each once.
    fn kept(&self, row: u32) -> Vec<u32> {
        let mut rows = Vec::new();
        for &bucket in self.buckets.of(row) {
            let start = self.starts[bucket as usize];
            let end = start + self.kept_in[bucket as usize] as usize;
            rows.extend_from_slice(&self.buckets.members[start..end]);
        }
        self.agreed(rows, row as usize)
    }

    /// Where these rows meet in buckets.
    fn meetings(&self, rows: &[u32]) -> Meetings {
        let in_buckets = |(&row, at): (&u32, u64)| {
            let buckets = self.buckets.of(row).iter();
            buckets.map(move |&bucket| u64::from(bucket) << 32 | at)
        };
        let mut in_buckets: Vec<u64> = rows.iter().zip(0..).flat_map(in_buckets).collect();
        in_buckets.sort_unstable();
        let mut found = Meetings::default();
        for bucket in in_buckets.chunk_by(|left, right| left >> 32 == right >> 32) {
            let start = found.rows.len();
            if bucket.len() > 1 {
                found.rows.extend(bucket.iter().map(|&at| at as u32));
                let later = bucket[1..].iter().zip(start + 1..);
                found
                    .earlier
                    .extend(later.map(|(&at, end)| (at as u32, start..end)));
            }
        }
        found
            .earlier
            .sort_unstable_by_key(|(at, earlier)| (*at, earlier.start));
        found
    }

    /// Positions of earlier rows that may be met by the one at a position, in order, each once.
    fn earlier(&self, at: usize, meetings: &Meetings, is_open: &[bool]) -> Vec<u32> {
        let earlier = meetings.of(at).iter();
        let earlier = earlier.flat_map(|(_, earlier)| &meetings.rows[earlier.clone()]);
        let open = earlier.copied().filter(|&other| is_open[other as usize]);
        self.agreed(open.collect(), at)
    }

    /// Those of `met`, all below `end`, that were met in enough buckets: in order, each once.
    fn agreed(&self, mut met: Vec<u32>, end: usize) -> Vec<u32> {
        if met.len() <= end / 64 {
            met.sort_unstable();
            let same = met.chunk_by(|left, right| left == right);
            let agreed = same.filter(|same| same.len() >= self.buckets.agree);
            return agreed.map(|same| same[0]).collect();
        }
        let mut times = vec![0_u8; end];
        for row in met {
            times[row as usize] = times[row as usize].saturating_add(1);
        }
        let agreed = |row: &u32| usize::from(times[*row as usize]) >= self.buckets.agree;
        (0..end as u32).filter(agreed).collect()
    }

    fn forget_kept(&mut self) {
        self.kept_in.fill(0);
    }

    /// A row was kept.
    fn keep(&mut self, row: u32) {
        for at in 0..self.buckets.of(row).len() {
            let bucket = self.buckets.of(row)[at] as usize;
            let place = self.starts[bucket] + self.kept_in[bucket] as usize;
            self.buckets.members[place] = row;
            self.kept_in[bucket] += 1;
        }
    }
}
