//! The reading pass: every row validated, the hash of its compared parts and its band keys spooled.
//!
//! This is the one pass over all text, so it does everything that needs it, a block of rows at a
//! time on each thread.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::corpus::{Buffer, Corpus};
use crate::decisions::{Counts, State};
use crate::error::{Error, Problem, Result};
use crate::exact::{self, Secret};
use crate::json::validate_first;
use crate::jsonl::Framing;
use crate::priority::Priority;
use crate::shingles::mix;
use crate::signer::{Signed, Signer, Signing};
use crate::sketches::SketchFile;
use crate::spool::{CLASS, KEY_GROUP, KEYS, ROLE, ROW, Spool, TEXT};
use crate::value::has_lone_surrogate;
use crate::watch::Watch;

/// Rows that one thread reads at a time.
pub(crate) const BLOCK: usize = 1024;

/// Rows after which it is told how far the pass is.
const TOLD: usize = 64;

/// Bytes of a text that is hashed by itself, and not copied to be hashed with all of its row.
const COPIED: usize = 256;

/// What the pass knows of each row.
pub(crate) struct Columns {
    /// Shingles; 0 for a row that is no near-duplicate of anything.
    pub sizes: Vec<u32>,
    /// What [`Priority`] orders rows by; empty if they go in their own order.
    pub scores: Vec<u64>,
}

impl Columns {
    pub(crate) fn new(rows: usize, priority: &Priority) -> Self {
        Self {
            sizes: vec![0; rows],
            scores: match priority {
                Priority::Order => Vec::new(),
                _ => vec![0; rows],
            },
        }
    }
}

/// The columns of one block of rows.
pub(crate) struct Block<'c> {
    pub first_row: usize,
    pub sizes: &'c mut [u32],
    pub scores: &'c mut [u64],
}

/// What was odd in a block.
#[derive(Default)]
pub(crate) struct Oddities {
    pub problems: Vec<(u32, Problem)>,
    pub counts: Counts,
}

/// Buffers that a thread keeps from block to block.
#[derive(Default)]
pub(crate) struct Scratch {
    row: Buffer,
    content: Vec<u8>,
    signer: Signer,
    columns: Vec<Vec<u64>>,
    sketches: Vec<u64>,
    hashes: Vec<Vec<u64>>,
}

/// Where the pass writes to.
#[derive(Clone, Copy)]
pub(crate) struct Spools<'a> {
    /// What equal rows are found by ([`exact`]).
    pub hashes: &'a Spool,
    /// What near-duplicates are found by, if they are looked for.
    pub groups: Option<&'a Spool>,
    /// What tells of most of those that they are none, where all roles are one group.
    pub sketches: Option<&'a SketchFile>,
}

pub(crate) struct Reader<'a> {
    pub corpus: &'a Corpus,
    /// Rows that are [`State::Absent`] are not read.
    pub state: &'a [State],
    pub secret: Secret,
    pub spools: Spools<'a>,
    /// None if only equal rows are looked for.
    pub signing: Option<Signing<'a>>,
    pub priority: &'a Priority,
    pub stop_at_bad_row: bool,
    /// The first row at which the run will fail, if any: nothing after it needs reading.
    pub first_fatal: AtomicUsize,
    pub watch: &'a Watch,
}

impl Reader<'_> {
    pub(crate) fn block(&self, block: &mut Block, scratch: &mut Scratch) -> Result<Oddities> {
        let mut odd = Oddities::default();
        if self.first_fatal.load(Relaxed) < block.first_row {
            return Ok(odd);
        }
        let columns = self.spools.groups.map_or(0, Spool::columns);
        scratch.columns.resize_with(columns, Vec::new);
        scratch.columns.iter_mut().for_each(Vec::clear);
        scratch.sketches.clear();
        scratch.hashes.resize_with(exact::WIDTHS.len(), Vec::new);
        scratch.hashes.iter_mut().for_each(Vec::clear);
        let mut read_bytes = 0;
        for at in 0..block.sizes.len() {
            let row = block.first_row + at;
            if self.state[row] == State::Absent {
                continue;
            }
            let read = if self.signing.is_none() && *self.priority == Priority::Order {
                self.hash_only(row, scratch, &mut odd.counts)
            } else {
                self.read(row, at, block, scratch, &mut odd.counts)
            };
            match read {
                Ok(()) => {}
                Err(problem) => {
                    if self.stop_at_bad_row || breaks_its_file(self.corpus, row, &problem) {
                        self.first_fatal.fetch_min(row, Relaxed);
                    }
                    odd.problems.push((row as u32, problem));
                }
            }
            // All threads count in one place, so not at every row.
            self.watch.check()?;
            read_bytes += self.corpus.rows.size(row);
            if at % TOLD == TOLD - 1 {
                self.watch.advance(std::mem::take(&mut read_bytes))?;
            }
        }
        self.watch.advance(read_bytes)?;
        let number = block.first_row / BLOCK;
        self.spools.hashes.write(number, &scratch.hashes)?;
        if let Some(spool) = self.spools.groups {
            spool.write(number, &scratch.columns)?;
        }
        if let Some(sketches) = self.spools.sketches {
            sketches.write(number, &scratch.sketches)?;
        }
        Ok(odd)
    }

    /// Read all of a row.
    fn read(
        &self,
        row: usize,
        at: usize,
        block: &mut Block,
        scratch: &mut Scratch,
        counts: &mut Counts,
    ) -> std::result::Result<(), Problem> {
        let read = self.corpus.read(row, &mut scratch.row)?;
        let parts = &read.parts;
        counts.duplicate_keys += parts.duplicate_keys;
        counts.lone_surrogates += u64::from(parts.list.iter().any(|part| holds_lone(&part.text)));
        counts.rows_without_text += u64::from(parts.list.is_empty());
        if !parts.list.is_empty() {
            scratch.content.clear();
            for part in &parts.list {
                self.add(&part.role, part.opaque, &part.text, &mut scratch.content);
            }
            self.tell_hash(row, &scratch.content, &mut scratch.hashes);
        }
        if let Some(score) = block.scores.get_mut(at) {
            let found = self.priority.score(&read);
            counts.rows_without_score += u64::from(found.is_none());
            *score = found.unwrap_or(0);
        }
        if let Some(signing) = &self.signing {
            let signed = scratch.signer.sign(parts, signing);
            counts.rows_without_tokens += u64::from(!parts.list.is_empty() && !signed.has_tokens);
            if signed.has_tokens {
                block.sizes[at] =
                    u32::try_from(signed.size).expect("a row has fewer shingles than bytes");
                tell_groups(row, &signed, &mut scratch.columns);
                scratch.sketches.extend_from_slice(signed.sketch);
            }
        }
        Ok(())
    }

    /// Read no more of a row than makes it equal to another: its texts as they stand, if there is but
    /// one way in which they can.
    fn hash_only(
        &self,
        row: usize,
        scratch: &mut Scratch,
        counts: &mut Counts,
    ) -> std::result::Result<(), Problem> {
        let content = &mut scratch.content;
        content.clear();
        let mut has_lone = false;
        let duplicate_keys = self.corpus.each_part(row, &mut scratch.row, |place| {
            let text = (!place.opaque)
                .then(|| place.value.escaped_text())
                .flatten();
            has_lone |= text.as_ref().is_some_and(holds_lone);
            let text = text.unwrap_or(Cow::Borrowed(place.value.raw()));
            self.add(&place.role.name(), place.opaque, &text, content);
        })?;
        counts.duplicate_keys += duplicate_keys;
        counts.lone_surrogates += u64::from(has_lone);
        counts.rows_without_text += u64::from(content.is_empty());
        if !content.is_empty() {
            self.tell_hash(row, content, &mut scratch.hashes);
        }
        Ok(())
    }

    fn tell_hash(&self, row: usize, content: &[u8], hashes: &mut [Vec<u64>]) {
        let [high, low] = self.secret.hash(content);
        hashes[exact::HIGH].push(high);
        hashes[exact::LOW].push(low);
        hashes[exact::ROW].push(row as u64);
    }

    /// Add to the content of a row what makes it an exact duplicate: of each part, in order, its kind,
    /// and the lengths and bytes of its role and its text.
    fn add(&self, role: &str, opaque: bool, text: &[u8], content: &mut Vec<u8>) {
        content.push(u8::from(opaque));
        for bytes in [role.as_bytes(), text] {
            content.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            if bytes.len() < COPIED {
                content.extend_from_slice(bytes);
            } else {
                for half in self.secret.hash(bytes) {
                    content.extend_from_slice(&half.to_le_bytes());
                }
            }
        }
    }
}

/// Add to the columns of the spool what a row's groups are found by.
fn tell_groups(row: usize, signed: &Signed, columns: &mut [Vec<u64>]) {
    let class = mix(signed.class);
    let (columns, of_bands) = columns.split_at_mut(KEYS);
    let mut keys = signed.keys.iter();
    for group in signed.groups {
        let (flag, mixed) = if group.is_key {
            (KEY_GROUP, class)
        } else {
            (0, 0)
        };
        columns[ROW].push(row as u64 | flag);
        columns[ROLE].push(group.salt);
        columns[TEXT].push(group.text);
        columns[CLASS].push(class);
        for (column, key) in of_bands.iter_mut().zip(&mut keys) {
            column.push(key ^ mixed);
        }
    }
}

/// Does half of a surrogate pair stand in a text? It can only be written as a code, so not in one that
/// stands in its row as it is.
#[allow(clippy::ptr_arg)] // whether it is borrowed is the point
fn holds_lone(text: &Cow<[u8]>) -> bool {
    matches!(text, Cow::Owned(text) if has_lone_surrogate(text))
}

/// What a problem with this row means for its whole file, if anything.
pub(crate) fn broken_file(corpus: &Corpus, row: usize, problem: &Problem) -> Option<Error> {
    breaks_its_file(corpus, row, problem).then(|| {
        let (path, line) = corpus.place(row);
        let byte = corpus.rows.offset(row);
        Error::Broken {
            path,
            problem: format!(
                "the JSON array is broken in the element at byte {byte} (line {line}): {problem}"
            ),
            hint: Some("rows of a broken array cannot be told apart; mend the file"),
        }
    })
}

/// Does a problem with this row mean that the borders of its neighbours cannot be trusted?
fn breaks_its_file(corpus: &Corpus, row: usize, problem: &Problem) -> bool {
    let is_misshapen = |bytes: &[u8]| match validate_first(bytes, 0) {
        Ok(end) => end != bytes.len(),
        Err(problem) => matches!(problem, Problem::InvalidJson { .. }),
    };
    corpus.rows.shard(row).framing == Framing::Array
        && match problem {
            Problem::InvalidJson { .. } => true,
            // Found before the structure was looked at.
            Problem::InvalidUtf8 { .. } | Problem::TooLong { .. } => {
                is_misshapen(corpus.rows.bytes(row))
            }
            _ => false,
        }
}
