//! The pipeline: read, exact, near, keep-first.
//!
//! One pass over the text validates every row, hashes its compared parts and, for near-duplicates,
//! writes the band keys of its signature to the spool. Everything after works on columns over rows,
//! and goes back to the text only to verify.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use rayon::prelude::*;

use crate::ahead::Ahead;
use crate::bands::{BandKeys, Banding};
use crate::cluster::Removal;
use crate::corpus::{Buffer, Corpus};
use crate::decisions::{Counts, Decisions, State};
use crate::error::{Error, Result};
use crate::exact::{self, Equal, Secret};
use crate::format::Format;
use crate::key_role::KeyRoles;
use crate::minhash::MinHash;
use crate::near::Near;
use crate::parts::Part;
use crate::priority::Walk;
use crate::read::{BLOCK, Block, Columns, Oddities, Reader, Scratch, Spools, broken_file};
use crate::rest;
use crate::settings::{Method, Numbers, Recall, Settings};
use crate::shingles::{Alike, Shingling};
use crate::signer::Signing;
use crate::sketches::SketchFile;
use crate::spool::{Spool, widths};
use crate::watch::{Stage, Watch};

/// With fewer rows, recall is exact unless asked otherwise, and so are families of fewer texts.
pub(crate) const FEW: usize = 5000;

/// Read the inputs and decide every row.
///
/// `formats` stand in the order of detection. `spool` is a folder for unnamed temporary files. Rows may be
/// written `ahead`, if there is more than one thread.
///
/// # Errors
/// See [`Error`]; nothing is left behind but what was written ahead.
pub fn decide(
    paths: &[PathBuf],
    formats: &[Format],
    settings: &Settings,
    spool: &Path,
    mut ahead: Option<&mut Ahead>,
    watch: &Watch,
) -> Result<Decisions> {
    settings.check()?;
    let pool = Arc::new(pool(settings.threads)?);
    let run = Run::begin(settings, spool, watch);
    let corpus = pool.install(|| Corpus::open(paths, formats, &settings.reading, spool, watch))?;
    let state = vec![State::Kept; corpus.rows.len()];
    let decided = decide_rows(corpus, state, &pool, &run, ahead.as_deref_mut());
    if let (Err(_), Some(ahead)) = (&decided, ahead) {
        ahead.stop();
    }
    decided
}

/// Decide some rows of opened inputs, as they now are; the others are [`State::Absent`].
///
/// # Errors
/// See [`Error`].
///
/// # Panics
/// `present` does not have one value for each row.
pub fn decide_among(
    corpus: &Corpus,
    present: &[bool],
    settings: &Settings,
    spool: &Path,
    watch: &Watch,
) -> Result<Decisions> {
    settings.check()?;
    assert_eq!(present.len(), corpus.rows.len(), "one value for each row");
    let corpus = corpus.comparing(&settings.reading);
    let state = |&is_present: &bool| {
        if is_present {
            State::Kept
        } else {
            State::Absent
        }
    };
    let state = present.iter().map(state).collect();
    let pool = Arc::new(pool(settings.threads)?);
    let run = Run::begin(settings, spool, watch);
    decide_rows(corpus, state, &pool, &run, None)
}

/// A pool of threads for one call, 0 for one a core: the global one deadlocks after a fork.
///
/// # Errors
/// The system has no room for so many.
pub fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| Error::Setting(format!("cannot start {threads} threads: {error}")))
}

/// What is to be done, where, and who watches.
struct Run<'r> {
    settings: &'r Settings,
    /// Folder of unnamed files.
    spool: &'r Path,
    watch: &'r Watch,
    begun: Instant,
}

impl<'r> Run<'r> {
    fn begin(settings: &'r Settings, spool: &'r Path, watch: &'r Watch) -> Self {
        Self {
            settings,
            spool,
            watch,
            begun: Instant::now(),
        }
    }
}

fn decide_rows(
    corpus: Corpus,
    state: Vec<State>,
    pool: &Arc<rayon::ThreadPool>,
    run: &Run,
    ahead: Option<&mut Ahead>,
) -> Result<Decisions> {
    let settings = run.settings;
    let rows = state.len();
    let present = state.iter().filter(|&&state| state == State::Kept).count();
    let documents = corpus.layouts.iter().all(|layout| layout.name() == "text") && rows > 0;
    let alike = settings.alike.unwrap_or(if documents {
        Alike::Whole
    } else {
        Alike::Consensus
    });
    let numbers = settings.numbers.unwrap_or(match alike {
        Alike::Consensus => Numbers::Distinct,
        Alike::EachRole | Alike::Whole => Numbers::Alike,
    });
    let shingling = Shingling {
        ngram: settings.ngram.unwrap_or(if documents { 5 } else { 3 }),
        alike,
        tokens: false,
    };
    let recall = settings.recall.unwrap_or(if present < FEW {
        Recall::Exact
    } else {
        Recall::Bands
    });
    let banding = match (settings.method, recall) {
        (Method::Near, Recall::Bands) => Banding::for_threshold(settings.threshold_millis),
        _ => None,
    };
    let mut decisions = Decisions {
        corpus,
        state,
        witness: (0..rows as u32).collect(),
        shared: vec![0; rows],
        united: vec![0; rows],
        problems: Vec::new(),
        counts: Counts::default(),
        shingling,
        numbers,
        families: Vec::new(),
        pairs: Vec::new(),
        labels: Vec::new(),
        banding,
        seconds: Vec::new(),
        pairs_compared: 0,
        pool: Arc::clone(pool),
    };
    let result = pool.install(|| decisions.fill(run, ahead));
    // A file cut short under its map looks like anything at all; that it changed is the one true
    // message.
    decisions.corpus.rows.check_inputs()?;
    result.map(|()| decisions)
}

impl Decisions {
    fn fill(&mut self, run: &Run, ahead: Option<&mut Ahead>) -> Result<()> {
        let &Run {
            settings,
            spool,
            watch,
            begun,
        } = run;
        let mut lap = begun;
        let mut done = |stage, seconds: &mut Vec<(Stage, f64)>| {
            seconds.push((stage, lap.elapsed().as_secs_f64()));
            lap = Instant::now();
        };
        let is_near = settings.method == Method::Near;
        let bands = self.banding.map_or(0, |banding| banding.bands);
        let groups = is_near
            .then(|| {
                let with_families = self.shingling.alike == Alike::Consensus;
                Spool::new(spool, widths(self.state.len(), bands, with_families))
            })
            .transpose()?;
        let sketches = (is_near && self.shingling.alike == Alike::Whole)
            .then(|| SketchFile::new(spool))
            .transpose()?;
        let hashes = Spool::new(spool, exact::WIDTHS.to_vec())?;
        let key_roles = match settings.method {
            Method::Near => {
                let is_present = |&row: &u32| self.state[row as usize] == State::Kept;
                let present: Vec<u32> = (0..self.state.len() as u32).filter(is_present).collect();
                KeyRoles::survey(&self.corpus, &present, self.shingling, watch)?
            }
            Method::Exact => KeyRoles::default(),
        };
        let spools = Spools {
            hashes: &hashes,
            groups: groups.as_ref(),
            sketches: sketches.as_ref(),
        };
        let columns = self.read(settings, spools, &key_roles, watch)?;
        let walk = Walk::new(&columns.scores);
        done(Stage::Read, &mut self.seconds);

        watch.begin(Stage::Exact, self.state.len() as u64);
        let memory = (settings.memory / 4).max(1 << 20) as usize;
        let copies = self.exact(&hashes, &walk, memory, watch)?;
        drop(hashes);
        done(Stage::Exact, &mut self.seconds);

        if let Some(groups) = groups {
            watch.begin(Stage::Near, self.state.len() as u64);
            let mut ahead = ahead.filter(|_| walk.is_in_order() && self.threads() > 1);
            if let Some(ahead) = &mut ahead {
                ahead.begin(&self.corpus)?;
            }
            let near = Near {
                decisions: self,
                settings,
                groups: &groups,
                sketches: sketches.as_ref(),
                sizes: &columns.sizes,
                key_roles: &key_roles,
                walk: &walk,
                folder: spool,
                watch,
            };
            let (removals, told) = near.run(|last, removals| {
                let Some(ahead) = &mut ahead else {
                    return Ok(());
                };
                let mut removed: Vec<u32> = removals.iter().map(|removal| removal.row).collect();
                removed.sort_unstable();
                let state = |row: usize| match self.state[row] {
                    State::Kept if removed.binary_search(&(row as u32)).is_ok() => {
                        State::NearDuplicate
                    }
                    state => state,
                };
                ahead.settle(last as usize + 1, state, watch)
            })?;
            told.into_decisions(self);
            self.remove(&removals, &copies);
            if let Some(ahead) = ahead {
                ahead.settle_all(|row| self.state[row]);
            }
        }
        self.counts.differ_elsewhere = self.differ_elsewhere(&copies, watch)?;
        if let Some(label) = &settings.label {
            self.labels = self.by_label(label, watch)?;
        }
        done(Stage::Near, &mut self.seconds);
        Ok(())
    }

    /// Mark near-duplicates, and the copies of them.
    fn remove(&mut self, removals: &[Removal], copies: &[exact::Pair]) {
        for &Removal {
            row,
            witness,
            overlap,
        } in removals
        {
            let row = row as usize;
            (self.state[row], self.witness[row]) = (State::NearDuplicate, witness);
            (self.shared[row], self.united[row]) = (overlap.shared, overlap.united);
        }
        // A copy of a row that is gone names the kept row, which is as like the copy as it is like the
        // original.
        for &(copy, first, _) in copies {
            let (copy, first) = (copy as usize, first as usize);
            if self.state[first] == State::NearDuplicate {
                (self.state[copy], self.witness[copy]) =
                    (State::NearDuplicate, self.witness[first]);
                (self.shared[copy], self.united[copy]) = (self.shared[first], self.united[first]);
            }
        }
    }

    /// Validate every row, hash it, write its band keys.
    fn read(
        &mut self,
        settings: &Settings,
        spools: Spools,
        key_roles: &KeyRoles,
        watch: &Watch,
    ) -> Result<Columns> {
        let mut columns = Columns::new(self.state.len(), &settings.keep);
        let minhash = MinHash::new(settings.seed);
        let reader = Reader {
            corpus: &self.corpus,
            state: &self.state,
            secret: Secret::draw()?,
            spools,
            signing: (settings.method == Method::Near).then_some(Signing {
                ngram: self.shingling.ngram,
                alike: self.shingling.alike,
                key_roles,
                keys: self.banding.map(|banding| BandKeys::new(&minhash, banding)),
            }),
            priority: &settings.keep,
            stop_at_bad_row: settings.stop_at_bad_row,
            first_fatal: AtomicUsize::new(usize::MAX),
            watch,
        };
        watch.begin(
            Stage::Read,
            (0..self.state.len())
                .map(|row| self.corpus.rows.size(row))
                .sum(),
        );
        let sizes = columns.sizes.par_chunks_mut(BLOCK);
        let mut scores: Vec<&mut [u64]> = columns.scores.chunks_mut(BLOCK).collect();
        scores.resize_with(self.state.len().div_ceil(BLOCK), Default::default);
        let blocks = sizes
            .zip(scores)
            .enumerate()
            .map(|(block, (sizes, scores))| Block {
                first_row: block * BLOCK,
                sizes,
                scores,
            });
        let odd: Vec<Oddities> = blocks
            .map_init(Scratch::default, |scratch, mut block| {
                reader.block(&mut block, scratch)
            })
            .collect::<Result<_>>()?;
        for found in odd {
            self.problems.extend(found.problems);
            self.counts.rows_without_text += found.counts.rows_without_text;
            self.counts.rows_without_tokens += found.counts.rows_without_tokens;
            self.counts.duplicate_keys += found.counts.duplicate_keys;
            self.counts.lone_surrogates += found.counts.lone_surrogates;
            self.counts.rows_without_score += found.counts.rows_without_score;
        }
        for (row, problem) in &self.problems {
            if let Some(error) = broken_file(&self.corpus, *row as usize, problem) {
                return Err(error);
            }
            if settings.stop_at_bad_row {
                let (path, line) = self.corpus.place(*row as usize);
                return Err(Error::Row {
                    path,
                    line,
                    problem: problem.clone(),
                });
            }
            self.state[*row as usize] = State::Quarantined;
        }
        let mut shingled: Vec<u32> = columns
            .sizes
            .iter()
            .copied()
            .filter(|&size| size > 0)
            .collect();
        if !shingled.is_empty() {
            let middle = shingled.len() / 2;
            self.counts.median_shingles = *shingled.select_nth_unstable(middle).1;
        }
        Ok(columns)
    }

    /// Mark exact duplicates; gives each with the one of its kind that comes first.
    fn exact(
        &mut self,
        hashes: &Spool,
        walk: &Walk,
        memory: usize,
        watch: &Watch,
    ) -> Result<Vec<exact::Pair>> {
        let corpus = &self.corpus;
        let compare = |left: u32, right: u32| {
            let (left, right) = (walk.row(left) as usize, walk.row(right) as usize);
            if corpus.are_same_bytes(left, right) {
                return Ok(Some(Equal::Bytes));
            }
            let (mut first, mut second) = (Buffer::default(), Buffer::default());
            let left = corpus.read_again(left, &mut first)?.parts;
            let right = corpus.read_again(right, &mut second)?.parts;
            let same = |(left, right): (&Part, &Part)| {
                left.role == right.role && left.opaque == right.opaque && left.text == right.text
            };
            let is_equal =
                left.list.len() == right.list.len() && left.list.iter().zip(&right.list).all(same);
            Ok(is_equal.then_some(Equal::Parts))
        };
        let rank = |row| walk.rank(row);
        let mut copies = exact::duplicates(hashes, memory, rank, compare, watch)?;
        for (copy, first, _) in &mut copies {
            (*copy, *first) = (walk.row(*copy), walk.row(*first));
            self.state[*copy as usize] = State::ExactDuplicate;
            self.witness[*copy as usize] = *first;
        }
        Ok(copies)
    }

    /// How many removed rows differ from their witness in what is not compared.
    fn differ_elsewhere(&self, copies: &[exact::Pair], watch: &Watch) -> Result<u64> {
        let is = |row: u32, state| self.state[row as usize] == state;
        let near = (0..self.state.len() as u32).filter(|&row| is(row, State::NearDuplicate));
        let copies = copies.iter().filter(|&&(row, _, equal)| {
            equal == Equal::Parts && is(row, State::ExactDuplicate) // or it has another witness now
        });
        let removed: Vec<u32> = near.chain(copies.map(|&(row, ..)| row)).collect();
        let rest = |row: u32, buffer: &mut Buffer| {
            Ok(rest::hash(&self.corpus.read_again(row as usize, buffer)?))
        };
        removed
            .par_iter()
            .map_init(Buffer::default, |buffer, &row| {
                watch.check()?;
                let witness = self.witness[row as usize];
                let mine: u64 = rest(row, buffer)?;
                Ok(u64::from(mine != rest(witness, buffer)?))
            })
            .sum()
    }
}
