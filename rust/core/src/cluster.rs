//! Keep-first: which rows stay.
//!
//! Walk the rows in order; keep a row unless one already *kept* is a verified neighbour; its
//! witness is the first such row. Clusters are not connected components: similarity is not made
//! transitive, or chains of small edits would remove rows that are like nothing kept. The outcome
//! is unique, so any schedule must reach it (Blelloch, Fineman and Shun 2012).
//!
//! Threads take the rows in order. One that has to know whether an earlier row is kept waits until the
//! thread that has it has decided; the first row that is not decided waits for none. After some rows, the
//! kept ones are listed, and nobody meets the removed ones again.
//!
//! What a reader would get wrong: all numbers of rows here are ranks in the order of priority
//! ([`crate::priority::Walk`]), but for those in what is returned.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize};
use std::time::Duration;
use std::{hint, thread};

use rayon::prelude::*;

use crate::bands::Buckets;
use crate::error::Result;
use crate::judge::{Judge, Verdict};
use crate::priority::Walk;
use crate::shingles::RowSets;
use crate::sketches::Sketches;
use crate::tally::{Pair, Tally};
use crate::verify::{Overlap, sizes_allow};
use crate::watch::{Stage, Watch};

/// Rows after which the kept ones are listed.
const WINDOW: usize = 1024;

/// Rows that a thread takes at a time.
const TAKEN: usize = 4;

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
    /// The sets of a row.
    pub sets: S,
    pub watch: &'a Watch,
}

/// What became of the rows of a window, by position.
struct Fates {
    list: Vec<AtomicU8>,
    /// A row failed: others are not decided any more.
    failed: AtomicBool,
}

const OPEN: u8 = 0;
const KEPT: u8 = 1;
const REMOVED: u8 = 2;

/// Turns of waiting after which another thread may have the core, and those after which it may sleep.
const SPINS: usize = 64;
const YIELDS: usize = 1024;
const NAP: Duration = Duration::from_micros(100);

impl Fates {
    fn new(rows: usize) -> Self {
        let list = std::iter::repeat_with(AtomicU8::default).take(rows);
        Self {
            list: list.collect(),
            failed: AtomicBool::new(false),
        }
    }

    /// Is a row kept? Waits until another thread knows; false too if it never will.
    fn is_kept(&self, at: usize) -> bool {
        let mut turns = 0;
        loop {
            match self.list[at].load(Acquire) {
                OPEN if self.failed.load(Relaxed) => return false,
                OPEN if turns < SPINS => hint::spin_loop(),
                OPEN if turns < YIELDS => thread::yield_now(),
                OPEN => thread::sleep(NAP),
                fate => return fate == KEPT,
            }
            turns = YIELDS.min(turns + 1);
        }
    }
}

/// Tells the others when its thread fails, however that comes.
struct Working<'f>(&'f Fates);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.failed.store(true, Relaxed);
    }
}

/// What one thread found out.
#[derive(Default)]
struct Found {
    removals: Vec<Removal>,
    tally: Tally,
}

impl<S: Fn(u32) -> Result<Arc<RowSets>> + Sync> KeepFirst<'_, S> {
    /// Decide rows, given in order of priority. While the rows of a window are decided, `tell` learns of the
    /// window before it, up to the first question about a family: its last row, and what was removed of it.
    pub(crate) fn run(
        &mut self,
        ranks: &[u32],
        candidates: &mut Candidates,
        mut tell: impl FnMut(u32, &[Removal]) -> Result<()> + Send,
    ) -> Result<(Vec<Removal>, Tally)> {
        let mut is_first = true;
        loop {
            let (mut removals, mut tally) = (Vec::new(), Tally::default());
            // The last row of the window before, and where its removals begin.
            let mut before: Option<(u32, usize)> = None;
            candidates.forget_kept();
            self.watch.begin(Stage::Near, ranks.len() as u64);
            for window in ranks.chunks(WINDOW) {
                let tell = || before.map_or(Ok(()), |(last, begin)| tell(last, &removals[begin..]));
                let (found, told) = rayon::join(|| self.window(window, candidates), tell);
                told?;
                let begin = removals.len();
                for found in found? {
                    removals.extend(found.removals);
                    tally.add(found.tally);
                }
                self.watch.advance(window.len() as u64)?;
                // No family changes what was decided before one was asked for.
                let is_settled = is_first && tally.asked.is_empty();
                before = is_settled.then_some((window[window.len() - 1], begin));
            }
            if tally.asked.is_empty() {
                return Ok((removals, tally));
            }
            self.judge.find_families(tally.asked)?;
            is_first = false;
        }
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

    /// Decide the rows of a window, and list the kept ones.
    fn window(&self, window: &[u32], candidates: &mut Candidates) -> Result<Vec<Found>> {
        let (fates, taken) = (Fates::new(window.len()), AtomicUsize::new(0));
        let work = |_| {
            let (mut found, mut met) = (Found::default(), Vec::new());
            let working = Working(&fates);
            loop {
                let first = taken.fetch_add(TAKEN, Relaxed);
                if first >= window.len() || fates.failed.load(Relaxed) {
                    std::mem::forget(working); // it did not fail
                    return Ok(found);
                }
                for at in first..window.len().min(first + TAKEN) {
                    let is_kept =
                        self.decide(window, at, candidates, &fates, &mut met, &mut found)?;
                    fates.list[at].store(if is_kept { KEPT } else { REMOVED }, Release);
                }
            }
        };
        let threads = rayon::current_num_threads().min(window.len().div_ceil(TAKEN));
        let found: Vec<Found> = (0..threads)
            .into_par_iter()
            .with_max_len(1)
            .map(work)
            .collect::<Result<_>>()?;
        for (&rank, fate) in window.iter().zip(fates.list) {
            if fate.into_inner() == KEPT {
                candidates.keep(rank);
            }
        }
        Ok(found)
    }

    /// Compare a row with the kept ones before it: is it kept? `met` is room for those that it may be like.
    fn decide(
        &self,
        window: &[u32],
        at: usize,
        candidates: &Candidates,
        fates: &Fates,
        met: &mut Vec<u32>,
        found: &mut Found,
    ) -> Result<bool> {
        let (rank, first) = (window[at], window[0]);
        let (row, mut sets) = (self.walk.row(rank), None);
        // Most rows of a large bucket are gone before those of its window are looked at.
        for is_beside in [false, true] {
            if is_beside {
                candidates.beside(rank, first, met);
            } else {
                candidates.kept(rank, met);
            }
            for &other in &*met {
                if !self.may_be_alike(rank, other) {
                    continue;
                }
                if is_beside {
                    let other = window.binary_search(&other);
                    if !fates.is_kept(other.expect("what is in a bucket is decided")) {
                        continue;
                    }
                }
                self.watch.check()?;
                let kept = self.walk.row(other);
                let sets = match &sets {
                    Some(sets) => sets,
                    None => sets.insert((self.sets)(row)?),
                };
                match self.judge.compare(sets, &*(self.sets)(kept)?)? {
                    Verdict::Different => {}
                    Verdict::Apart(apart) => found.tally.kept_apart(Pair { row, kept, apart }),
                    Verdict::Open(text) => {
                        found.tally.asked.insert(text);
                    }
                    Verdict::Duplicate { overlap, edits } => {
                        found.tally.edited(&edits);
                        found.removals.push(Removal {
                            row,
                            witness: kept,
                            overlap,
                        });
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }
}

/// Rows that may be alike: those that share a bucket. May be too many, never too few.
pub(crate) struct Candidates {
    buckets: Buckets,
    places: Vec<Bucket>,
}

/// Where the rows of a bucket stand among those of all, in order.
struct Bucket {
    start: usize,
    rows: u32,
    /// In place of the first of them stand so many kept ones: what stood there was met before, and nobody
    /// asks for it again.
    kept: u32,
}

impl Candidates {
    pub(crate) fn new(mut buckets: Buckets) -> Self {
        let mut end = 0;
        let bucket = |rows: u32| {
            let (start, kept) = (end, 0);
            end += rows as usize;
            Bucket { start, rows, kept }
        };
        let sizes = std::mem::take(&mut buckets.sizes);
        let places = sizes.into_iter().map(bucket).collect();
        Self { buckets, places }
    }

    /// The rows that are in any bucket, in order.
    pub(crate) fn rows(&self) -> Vec<u32> {
        self.buckets.rows()
    }

    /// The rows of a bucket: those that are kept, and behind them those that are not known yet.
    fn members(&self, bucket: u32) -> (&[u32], &[u32]) {
        let Bucket { start, rows, kept } = self.places[bucket as usize];
        self.buckets.members[start..start + rows as usize].split_at(kept as usize)
    }

    /// List the kept rows, in order, each once.
    fn kept(&self, row: u32, met: &mut Vec<u32>) {
        met.clear();
        for &bucket in self.buckets.of(row) {
            met.extend_from_slice(self.members(bucket).0);
        }
        self.agreed(met, row as usize);
    }

    /// List the rows before this one, from the first one of its window on, in order, each once.
    fn beside(&self, row: u32, first: u32, met: &mut Vec<u32>) {
        met.clear();
        for &bucket in self.buckets.of(row) {
            let (_, others) = self.members(bucket);
            let begin = others.partition_point(|&other| other < first);
            let others = others[begin..].iter();
            met.extend(others.take_while(|&&other| other < row));
        }
        self.agreed(met, row as usize);
    }

    /// Leave those of `met`, all below `end`, that were met in enough buckets: in order, each once.
    fn agreed(&self, met: &mut Vec<u32>, end: usize) {
        let agree = self.buckets.agree;
        if met.len() > end / 64 {
            let mut times = vec![0_u8; end];
            for &row in &*met {
                times[row as usize] = times[row as usize].saturating_add(1);
            }
            let agreed = |row: &u32| usize::from(times[*row as usize]) >= agree;
            met.clear();
            met.extend((0..end as u32).filter(agreed));
            return;
        }
        met.sort_unstable();
        let (mut begin, mut agreed) = (0, 0);
        while let Some(&row) = met.get(begin) {
            let same = met[begin..].iter().take_while(|&&other| other == row);
            let times = same.count();
            if times >= agree {
                met[agreed] = row;
                agreed += 1;
            }
            begin += times;
        }
        met.truncate(agreed);
    }

    /// No row is kept yet, and all stand in the list again, as they did at first: in order.
    fn forget_kept(&mut self) {
        if self.places.iter().any(|bucket| bucket.kept > 0) {
            self.keep_none();
            for row in self.rows() {
                self.keep(row);
            }
        }
        self.keep_none();
    }

    fn keep_none(&mut self) {
        self.places.iter_mut().for_each(|bucket| bucket.kept = 0);
    }

    /// A row was kept.
    fn keep(&mut self, row: u32) {
        for at in 0..self.buckets.of(row).len() {
            let bucket = &mut self.places[self.buckets.of(row)[at] as usize];
            self.buckets.members[bucket.start + bucket.kept as usize] = row;
            bucket.kept += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bands::Building;

    #[test]
    fn who_waits_for_a_row_learns_its_fate_or_that_there_will_be_none() {
        let fates = Fates::new(3);
        thread::scope(|scope| {
            let fates = &fates;
            let wait = |at: usize| scope.spawn(move || fates.is_kept(at));
            let (kept, removed, failed) = (wait(0), wait(1), wait(2));
            fates.list[0].store(KEPT, Release);
            fates.list[1].store(REMOVED, Release);
            assert!(kept.join().expect("it only waits"));
            assert!(!removed.join().expect("it only waits"));
            let failing = scope.spawn(move || {
                let _working = Working(fates);
                panic!("while others wait");
            });
            assert!(failing.join().is_err());
            assert!(!failed.join().expect("it only waits"));
        });
    }

    #[test]
    fn all_rows_of_a_bucket_come_back_for_another_pass() {
        let mut building = Building::default();
        for bucket in [&[1, 4, 5, 9][..], &[0, 4, 9], &[5, 6]] {
            building.add(bucket.iter().copied()).expect("few buckets");
        }
        let mut candidates = Candidates::new(building.finish(10, 1));
        let members = candidates.buckets.members.clone();
        let before = |candidates: &Candidates| {
            let (mut kept, mut beside, mut next) = (vec![], vec![], vec![]);
            candidates.kept(9, &mut kept);
            candidates.beside(9, 5, &mut beside);
            candidates.beside(5, 4, &mut next);
            (kept, beside, next)
        };
        assert_eq!(before(&candidates), (vec![], vec![5], vec![4]));
        for row in [0, 4, 6] {
            candidates.keep(row);
        }
        assert_eq!(before(&candidates), (vec![0, 4], vec![5], vec![4]));
        assert_ne!(candidates.buckets.members, members);
        candidates.forget_kept();
        assert_eq!(candidates.buckets.members, members);
        assert_eq!(before(&candidates), (vec![], vec![5], vec![4]));
    }
}
