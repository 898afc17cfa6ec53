//! The near-duplicate stage: candidates, verdicts, keep-first, and what is told about them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hashbrown::HashMap;

use crate::cache::SetCache;
use crate::candidates::Proposer;
use crate::cluster::{Candidates, KeepFirst, Removal};
use crate::corpus::Buffer;
use crate::decisions::{Decisions, FamilySummary, PairSummary, State, Verdict};
use crate::error::Result;
use crate::families::{Finder, link_millis, of_role};
use crate::judge::{FamilyId, Judge, Rule, Shelf};
use crate::key_role::KeyRoles;
use crate::minhash::MinHash;
use crate::priority::Walk;
use crate::settings::{Numbers, Settings};
use crate::shingles::{Alike, Shingling};
use crate::sketches::SketchFile;
use crate::spool::Spool;
use crate::tally::{Deeds, Pair, Tally};
use crate::template::template;
use crate::watch::Watch;

/// One byte of memory in so many is for sets of rows, at first and at most: what is compared again is mostly
/// compared soon, and more than the machine's own caches hold costs more than it saves.
const ONE_FOR_SETS_IN: (u64, u64) = (2048, 128);

/// The same where families are asked for the consensus of their members, who stand anywhere.
const ONE_FOR_MEMBERS_IN: (u64, u64) = (16, 16);

/// Families that are told about.
const FAMILIES: usize = 100;

/// Members of a family that are named.
const MEMBERS: usize = 20;

/// Members of a family that are looked at for the one that shows its template best.
const MODELS: usize = 16;

pub(crate) struct Near<'a> {
    pub decisions: &'a Decisions,
    pub settings: &'a Settings,
    pub groups: &'a Spool,
    /// Shingles of each row.
    pub sizes: &'a [u32],
    pub sketches: Option<&'a SketchFile>,
    pub key_roles: &'a KeyRoles,
    pub walk: &'a Walk,
    /// Folder of unnamed files.
    pub folder: &'a Path,
    pub watch: &'a Watch,
}

/// What is told about a run beside its decisions.
pub(crate) struct Told {
    pairs_compared: u64,
    apart: [u64; 4],
    families: Vec<FamilySummary>,
    pairs: Vec<PairSummary>,
}

impl Told {
    pub(crate) fn into_decisions(self, decisions: &mut Decisions) {
        let counts = &mut decisions.counts;
        counts.apart_by_roles = self.apart[Rule::Roles as usize];
        counts.apart_by_numbers = self.apart[Rule::Numbers as usize];
        counts.apart_by_content = self.apart[Rule::Content as usize];
        decisions.pairs_compared = self.pairs_compared;
        decisions.families = self.families;
        decisions.pairs = self.pairs;
    }
}

impl Near<'_> {
    /// Which rows are removed. `tell` learns of those that are decided for good as [`KeepFirst::run`] has it.
    pub(crate) fn run(
        &self,
        tell: impl FnMut(u32, &[Removal]) -> Result<()> + Send,
    ) -> Result<(Vec<Removal>, Told)> {
        let (settings, decisions) = (self.settings, self.decisions);
        let (rows, shingling) = (decisions.state.len(), decisions.shingling);
        let is_compared =
            |row: u32| self.sizes[row as usize] > 0 && decisions.state[row as usize] == State::Kept;
        let consensus = shingling.alike == Alike::Consensus;
        let numbers = decisions.numbers == Numbers::Distinct;
        let shingling = Shingling {
            tokens: consensus || numbers,
            ..shingling
        };
        let (first, most) = if consensus {
            ONE_FOR_MEMBERS_IN
        } else {
            ONE_FOR_SETS_IN
        };
        let (first, most) = (settings.memory / first, settings.memory / most);
        let cache = SetCache::new(&decisions.corpus, shingling, first, most);
        let memory = (settings.memory / 4).max(1 << 20) as usize;
        let proposer = Proposer {
            spool: self.groups,
            is_compared: &is_compared,
            walk: self.walk,
            cache: &cache,
            key_roles: self.key_roles,
            threshold_millis: settings.threshold_millis,
            banding: decisions.banding,
            ngram: shingling.ngram,
            splits: consensus,
            minhash: &MinHash::new(settings.seed),
            folder: self.folder,
            memory,
            watch: self.watch,
        };
        let mut candidates = Candidates::new(proposer.buckets(rows)?);
        let judge = Judge {
            threshold_millis: settings.threshold_millis,
            consensus,
            numbers,
            ngram: shingling.ngram,
            finder: Finder {
                spool: self.groups,
                is_compared: &is_compared,
                cache: &cache,
                link_millis: link_millis(settings.threshold_millis),
                watch: self.watch,
            },
            families: HashMap::new(),
            asked: BTreeMap::new(),
            shelf: Shelf::new(memory / 2),
            compared: AtomicU64::new(0),
        };
        let mut keep_first = KeepFirst {
            judge,
            walk: self.walk,
            sizes: self.sizes,
            sketches: self.sketches.map(|file| file.map(self.sizes)).transpose()?,
            sets: |row| cache.get(row),
            watch: self.watch,
        };
        let ranks = candidates.rows();
        let (removals, tally) = keep_first.run(&ranks, &mut candidates, tell)?;
        let told = Told {
            pairs_compared: keep_first.judge.compared.load(Relaxed),
            apart: tally.counts,
            families: self.families(&keep_first.judge, &tally)?,
            pairs: pairs(&cache, &removals, tally)?,
        };
        Ok((removals, told))
    }

    /// The largest families.
    fn families(&self, judge: &Judge, tally: &Tally) -> Result<Vec<FamilySummary>> {
        // Those that decided something: which others were found depends on what was asked.
        let mut ids: Vec<FamilyId> = tally.families.keys().copied().collect();
        let of = |&(role, number): &FamilyId| &judge.families[&role].list[number as usize];
        let first_row = |id: &FamilyId| of(id).members.iter().min().copied();
        ids.sort_by_cached_key(|id| {
            let family = of(id);
            (
                std::cmp::Reverse((family.rows, family.texts)),
                first_row(id),
                id.0,
            )
        });
        ids.truncate(FAMILIES);
        ids.iter()
            .map(|id| {
                let (family, consensus) = (of(id), judge.consensus(*id)?);
                let deeds: Deeds = tally.families.get(id).copied().unwrap_or_default();
                let mut best: Option<(usize, String)> = None;
                for &row in family.members.iter().take(MODELS) {
                    let mut buffer = Buffer::default();
                    let read = self
                        .decisions
                        .corpus
                        .read_again(row as usize, &mut buffer)?;
                    let texts = read.parts.list.iter().filter(|part| !part.opaque);
                    let texts: Vec<&[u8]> = texts
                        .filter(|part| twox_hash::XxHash3_64::oneshot(part.role.as_bytes()) == id.0)
                        .map(|part| &*part.text)
                        .collect();
                    let found = template(&texts, &consensus, self.decisions.shingling.ngram, id.0);
                    if best.as_ref().is_none_or(|(covered, _)| found.0 > *covered) {
                        best = Some(found);
                    }
                }
                let mut members: Vec<u32> = family.members.iter().take(MEMBERS).copied().collect();
                members.sort_unstable();
                let sets = judge.finder.cache.get(members[0])?;
                Ok(FamilySummary {
                    role: of_role(&sets, id.0).role.clone(),
                    texts: family.texts,
                    rows: family.rows,
                    template: best.map(|(_, text)| text).unwrap_or_default(),
                    pairs_apart: deeds.pairs,
                    edits: deeds.edits,
                    members,
                })
            })
            .collect()
    }
}

/// Removed rows that are close to the threshold.
const CLOSE: usize = 50;

/// Pairs that are worth a look.
fn pairs(cache: &SetCache, removals: &[Removal], tally: Tally) -> Result<Vec<PairSummary>> {
    let mut close: Vec<&Removal> = removals.iter().collect();
    close.sort_by(|left, right| {
        let (one, other) = (left.overlap, right.overlap);
        let products = (
            u64::from(one.shared) * u64::from(other.united),
            u64::from(other.shared) * u64::from(one.united),
        );
        products.0.cmp(&products.1).then(left.row.cmp(&right.row))
    });
    close.truncate(CLOSE);
    close.sort_unstable_by_key(|removal| removal.row);
    let mut pairs = Vec::new();
    for removal in close {
        let overlap = removal.overlap;
        pairs.push(PairSummary {
            row: removal.row,
            kept: removal.witness,
            verdict: Verdict::Removed,
            role: None,
            shared: overlap.shared,
            united: overlap.united,
        });
    }
    for Pair { row, kept, apart } in tally.pairs() {
        let sets: Arc<_> = cache.get(kept)?;
        pairs.push(PairSummary {
            row,
            kept,
            verdict: Verdict::Apart(apart.rule),
            role: sets.groups[apart.group as usize].role.clone(),
            shared: apart.overlap.shared,
            united: apart.overlap.united,
        });
    }
    Ok(pairs)
}
