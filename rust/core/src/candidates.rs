//! Candidates: which rows are compared at all.
//!
//! The key group of a row proposes ([`crate::key_role`]): through the bands of its signature, or,
//! where recall is exact, through its prefix.
//!
//! Under a template that makes up most of the key group, all rows would share buckets, and under the
//! consensus rule most of them stay: every row would be compared with every one before it. So
//! buckets of more than [`BIG`] rows are not used as they are. What most of their rows have in common
//! is set aside, in all groups, and the tokens outside it, which are what the rule will ask for, get
//! a signature of their own.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use rayon::prelude::*;

use crate::bands::{BandKeys, Banding, Buckets, Building, buckets};
use crate::cache::SetCache;
use crate::consensus::{Consensus, Place};
use crate::error::Result;
use crate::key_role::KeyRoles;
use crate::minhash::MinHash;
use crate::ngrams::ngrams;
use crate::prefix;
use crate::priority::Walk;
use crate::read;
use crate::repeats::Repeats;
use crate::shingles::{Group, RowSets, mix};
use crate::spool::{KEY_GROUP, KEYS, ROW, Spool, widths};
use crate::watch::Watch;

/// Rows of a bucket that are all compared with one another.
const BIG: usize = 64;

/// Rows of a big bucket that are asked what they have in common.
const ASKED: usize = 32;

/// Rows of big buckets, in all, that are asked how they go on.
const MODELS: usize = 1 << 14;

/// Rows whose left-over tokens are signed at a time.
const BLOCK: usize = 1024;

/// A block has fewer rows than this.
const NO_ROW: u16 = u16::MAX;

pub(crate) struct Proposer<'a> {
    pub spool: &'a Spool,
    pub is_compared: &'a (dyn Fn(u32) -> bool + Sync),
    pub walk: &'a Walk,
    pub cache: &'a SetCache<'a>,
    pub key_roles: &'a KeyRoles,
    pub threshold_millis: u32,
    /// None if recall is exact.
    pub banding: Option<Banding>,
    pub ngram: usize,
    /// Are big buckets split by what their rows do not have in common?
    pub splits: bool,
    pub minhash: &'a MinHash,
    /// Folder of unnamed files.
    pub folder: &'a std::path::Path,
    /// Private memory for sorting, in bytes.
    pub memory: usize,
    pub watch: &'a Watch,
}

impl Proposer<'_> {
    /// Buckets of the ranks of rows.
    pub(crate) fn buckets(&self, rows: usize) -> Result<Buckets> {
        let Some(Banding { agree, .. }) = self.banding else {
            return self.by_prefix(rows);
        };
        let mut building = Building::default();
        let mut templates = Templates::new(rows);
        let proposing = self.proposing()?;
        let mut repeats = Repeats::new(self.spool, rows, self.memory);
        for band in 0..self.spool.bands() {
            let of_block = |block: usize, keys: &[u64], places: &mut dyn Iterator<Item = usize>| {
                self.watch.check()?;
                let entry = |at| Some((keys[at], self.rank(block, proposing[block][at])?));
                Ok(places.filter_map(entry).collect())
            };
            repeats.each_slice(KEYS + band, of_block, |entries| {
                let mut big = Vec::new();
                for bucket in buckets(entries) {
                    if self.splits && bucket.len() > BIG {
                        big.push(bucket);
                    } else {
                        building.add(bucket.iter().map(|&(_, rank)| rank))?;
                    }
                }
                self.set_aside(&big, &mut templates)
            })?;
        }
        drop(repeats);
        if !templates.rows.is_empty() {
            self.by_left_over(rows, templates, &mut building)?;
        }
        Ok(building.finish(rows, agree))
    }

    /// Which row of its block each group of the spool proposes, by block; [`NO_ROW`], if none.
    fn proposing(&self) -> Result<Vec<Vec<u16>>> {
        let row = |row: u64| {
            let proposes = row & KEY_GROUP != 0 && (self.is_compared)(row as u32);
            if proposes {
                (row as usize % read::BLOCK) as u16
            } else {
                NO_ROW
            }
        };
        let blocks = (0..self.spool.blocks()).into_par_iter();
        let read = |block| Ok(self.spool.read(block, ROW)?.into_iter().map(row).collect());
        blocks.map(read).collect()
    }

    fn rank(&self, block: usize, row: u16) -> Option<u32> {
        let row = (row != NO_ROW).then(|| block * read::BLOCK + usize::from(row))?;
        Some(self.walk.rank(row as u32))
    }

    fn by_prefix(&self, rows: usize) -> Result<Buckets> {
        let ranks: Vec<u32> = (0..rows as u32)
            .filter(|&rank| (self.is_compared)(self.walk.row(rank)))
            .collect();
        let with = |rank: u32, take: &mut dyn FnMut(&[u64], u64)| {
            let sets = self.cache.get(self.walk.row(rank))?;
            take(&self.key_roles.of(&sets).shingles, mix(sets.class));
            Ok(())
        };
        let entries = prefix::entries(&ranks, with, self.threshold_millis, self.watch)?;
        let mut building = Building::default();
        building.add_all(&entries)?;
        Ok(building.finish(rows, 1))
    }

    /// Note the rows of big buckets, and some that tell what they have in common.
    fn set_aside(&self, big: &[&[(u64, u32)]], templates: &mut Templates) -> Result<()> {
        let is_known = &templates.is_in_one;
        let told: Vec<(Vec<u32>, Vec<u64>)> = big
            .par_iter()
            .map(|bucket| {
                self.watch.check()?;
                let asked = (0..ASKED).map(|at| bucket[at * bucket.len() / ASKED].1);
                let asked: Vec<u32> = asked.filter(|&rank| !is_known[rank as usize]).collect();
                if asked.len() * 2 < ASKED {
                    return Ok(Default::default()); // most have told already, in another bucket
                }
                let sets = self.sets(&asked)?;
                let groups = sets.iter().flat_map(|sets| &sets.groups);
                let mut shingles: Vec<u64> = groups
                    .flat_map(|group| group.shingles.iter().copied())
                    .collect();
                shingles.sort_unstable();
                let same = shingles.chunk_by(|left, right| left == right);
                let common = same.filter(|same| same.len() * 2 > asked.len());
                let common = common.map(|same| same[0]).collect();
                Ok((asked, common))
            })
            .collect::<Result<_>>()?;
        for (asked, common) in told {
            templates.models.extend(asked);
            templates.shingles.extend(common);
        }
        for &(_, rank) in big.iter().copied().flatten() {
            if !std::mem::replace(&mut templates.is_in_one[rank as usize], true) {
                templates.rows.push(rank);
            }
        }
        Ok(())
    }

    fn sets(&self, ranks: &[u32]) -> Result<Vec<Arc<RowSets>>> {
        let set = |&rank: &u32| self.cache.get(self.walk.row(rank));
        ranks.iter().map(set).collect()
    }

    /// For each role, how most rows of big buckets go on.
    fn consensus(&self, mut models: Vec<u32>) -> Result<HashMap<u64, Consensus>> {
        // In which order buckets are met depends on the budget of memory; who is asked must not.
        models.par_sort_unstable();
        let every = models.len().div_ceil(MODELS).max(1);
        let models: Vec<u32> = models.into_iter().step_by(every).collect();
        let sets = self.sets(&models)?;
        let mut by_role: HashMap<u64, Vec<&Group>> = HashMap::new();
        for group in sets.iter().flat_map(|sets| &sets.groups) {
            by_role.entry(group.salt).or_default().push(group);
        }
        let of_role = |(role, groups): (u64, Vec<&Group>)| {
            (role, Consensus::new(groups.into_iter(), self.ngram))
        };
        Ok(by_role.into_iter().map(of_role).collect())
    }

    /// Buckets of rows that are alike in what is outside of templates.
    fn by_left_over(
        &self,
        rows: usize,
        templates: Templates,
        building: &mut Building,
    ) -> Result<()> {
        let mut ranks = templates.rows;
        ranks.par_sort_unstable();
        let left_over = LeftOver {
            templates: templates.shingles,
            consensus: self.consensus(templates.models)?,
            ngram: self.ngram,
        };
        // A word that differs counts once here, and in an n-gram set as often as it is long: what is
        // as alike as the threshold asks in n-grams is more alike in words.
        let raised = self.threshold_millis + (1000 - self.threshold_millis) / 4;
        let banding = Banding::for_threshold(raised).expect("there is one for a greater threshold");
        let band_keys = BandKeys::new(self.minhash, banding);
        let spool = Spool::new(self.folder, widths(rows, banding.bands, false))?;
        ranks
            .par_chunks(BLOCK)
            .enumerate()
            .try_for_each(|(block, ranks)| {
                let mut columns = vec![Vec::new(); KEYS + banding.bands];
                let mut keys = Vec::new();
                for &rank in ranks {
                    self.watch.check()?;
                    let sets = self.cache.read(self.walk.row(rank))?;
                    keys.clear();
                    band_keys.push(&left_over.of(&sets), &mut keys);
                    columns[ROW].push(u64::from(rank));
                    for (column, key) in columns[KEYS..].iter_mut().zip(&keys) {
                        column.push(key ^ mix(sets.class));
                    }
                }
                for column in &mut columns[ROW + 1..KEYS] {
                    column.resize(ranks.len(), 0);
                }
                spool.write(block, &columns)
            })?;
        let mut repeats = Repeats::new(&spool, rows, self.memory);
        for band in 0..banding.bands {
            let of_block = |block, keys: &[u64], places: &mut dyn Iterator<Item = usize>| {
                let ranks = spool.read(block, ROW)?;
                Ok(places.map(|at| (keys[at], ranks[at] as u32)).collect())
            };
            repeats.each_slice(KEYS + band, of_block, |entries| building.add_all(entries))?;
        }
        Ok(())
    }
}

/// What is known of rows in big buckets.
struct Templates {
    rows: Vec<u32>,
    is_in_one: Vec<bool>,
    /// Shingles that most rows of a big bucket have.
    shingles: HashSet<u64>,
    /// Rows that know how others go on.
    models: Vec<u32>,
}

impl Templates {
    fn new(rows: usize) -> Self {
        Self {
            rows: Vec::new(),
            is_in_one: vec![false; rows],
            shingles: HashSet::new(),
            models: Vec::new(),
        }
    }
}

/// What of a row is not template.
struct LeftOver {
    templates: HashSet<u64>,
    consensus: HashMap<u64, Consensus>,
    ngram: usize,
}

impl LeftOver {
    /// The tokens of a row, by role, that stand in no shingle of a template, but for those that
    /// stand where nearly all rows go on otherwise: an edit of the template is not left over.
    fn of(&self, sets: &RowSets) -> Vec<u64> {
        let mut left = Vec::new();
        for group in &sets.groups {
            let (role, tokens) = (group.salt, &group.tokens);
            let mut shingles = ngrams(tokens, self.ngram, role);
            let consensus = self.consensus.get(&role);
            let (mut covered_until, mut place) = (0, Place::Template);
            for (at, &token) in tokens.iter().enumerate() {
                if shingles
                    .next()
                    .is_some_and(|shingle| self.templates.contains(&shingle))
                {
                    covered_until = at + self.ngram;
                }
                if at < covered_until {
                    place = Place::Template;
                } else if place == Place::Template {
                    place = consensus.map_or(Place::Slot, |consensus| consensus.place(tokens, at));
                }
                if place == Place::Slot {
                    left.push(mix(token ^ role));
                }
            }
            if tokens.is_empty() {
                left.extend_from_slice(&group.shingles);
            }
        }
        left.sort_unstable();
        left.dedup();
        left
    }
}
