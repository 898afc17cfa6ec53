//! Doors to the inner loops, for benches, fuzzers and golden vectors.
//!
//! No part of the public interface: whatever stands here may change with any version.

use std::ops::Range;
use std::path::Path;

pub use crate::ascii::Ascii;
pub use crate::instructions::Instructions;
pub use crate::minhash::{MinHash, Signature};
pub use crate::shingles::{Shingler, mix};
pub use crate::tokens::Tokenizer;
pub use crate::word_hash::{BATCH, hash_words};

use crate::bands::{BandKeys, Banding, Building};
use crate::error::{Problem, Result};
use crate::hashes::Hashes;
use crate::jsonl::{self, Framing};
use crate::ngrams;
use crate::repeats::Repeats;
use crate::sorter::Sorter;
use crate::spool::{KEYS, Spool, widths};
use crate::watch::Watch;

/// One row of an input, as [`crate::Rows`] finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its bytes.
    pub span: Range<usize>,
    /// The line on which it begins, from 1.
    pub line: u64,
}

/// The rows of an input of this name, how they stand in it, and how many lines are blank.
///
/// # Errors
/// The input is an array that is broken.
pub fn rows(bytes: &[u8], name: &str) -> Result<(Framing, Vec<Row>, u64)> {
    let mut places = Vec::new();
    let found = jsonl::find(bytes, Path::new(name), &mut places, &Watch::default())?;
    let rows = places.iter().map(|place| Row {
        span: place.start as usize..(place.start + place.bytes) as usize,
        line: place.line,
    });
    Ok((found.framing, rows.collect(), found.blank_lines))
}

/// Is this one JSON value, and white space?
///
/// # Errors
/// As of [`crate::validate`], which also says what stands in it.
pub fn check(bytes: &[u8]) -> std::result::Result<(), Problem> {
    crate::json::check(bytes)
}

/// A text as a JSON string, as it is written into rows.
#[must_use]
pub fn quoted(text: &str) -> String {
    crate::json::quoted(text)
}

/// Does half of a surrogate pair stand in an unescaped text?
#[must_use]
pub fn has_lone_surrogate(text: &[u8]) -> bool {
    crate::value::has_lone_surrogate(text)
}

/// As [`Tokenizer::each`], in pieces of about this size.
pub fn each_token_by_piece(
    tokenizer: &mut Tokenizer,
    text: &[u8],
    size: usize,
    found: impl FnMut(u64, Range<usize>),
) {
    tokenizer.each_of(text, size, found);
}

/// As [`Tokenizer::each`], scalar by scalar: slow, and right for any text.
pub fn each_token_slowly(
    tokenizer: &mut Tokenizer,
    text: &[u8],
    mut found: impl FnMut(u64, Range<usize>),
) {
    let mut at = 0;
    while at < text.len() {
        at = tokenizer.token_at(text, at, &mut found);
    }
}

/// Makes sets of shingles; keeps its buffers between calls.
#[derive(Debug, Default)]
pub struct Sets(Sorter);

impl Sets {
    /// The shingles of these tokens, each once, sorted.
    pub fn sorted(&mut self, tokens: &[u64], ngram: usize, salt: u64) -> Vec<u64> {
        self.list(tokens, ngram, salt);
        self.0.set()
    }

    /// The same in whatever order is quick.
    pub fn distinct(&mut self, tokens: &[u64], ngram: usize, salt: u64) -> Vec<u64> {
        self.list(tokens, ngram, salt);
        self.0.distinct().to_vec()
    }

    fn list(&mut self, tokens: &[u64], ngram: usize, salt: u64) {
        ngrams::list(tokens, ngram, salt, &mut self.0.list, Instructions::here());
    }
}

/// The xxh3-128 of bytes, and of each [`crate::HASHED`] of them.
#[must_use]
pub fn hashes(bytes: &[u8], instructions: Instructions) -> (u128, Vec<u128>) {
    let mut hashes = Hashes::new(instructions);
    hashes.add(bytes);
    hashes.finish()
}

/// The keys of the bands of a signature.
#[must_use]
pub fn band_keys(banding: Banding, signature: &Signature, instructions: Instructions) -> Vec<u64> {
    banding.keys(signature, instructions)
}

/// Makes the keys of sets.
#[derive(Debug)]
pub struct Keys(BandKeys);

impl Keys {
    /// By these functions.
    #[must_use]
    pub fn new(minhash: &MinHash, banding: Banding) -> Self {
        Self(BandKeys::new(minhash, banding))
    }

    /// Add the keys of a set to a list.
    pub fn push(&self, shingles: &[u64], keys: &mut Vec<u64>) {
        self.0.push(shingles, keys);
    }
}

/// The keys of one band of many rows, in a spool.
#[derive(Debug)]
pub struct Band {
    spool: Spool,
    rows: usize,
}

impl Band {
    /// Rows that are written at a time.
    const BLOCK: usize = 1024;

    /// Write keys, one a row.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn new(folder: &Path, keys: &[u64]) -> Result<Self> {
        let spool = Spool::new(folder, widths(keys.len(), 1, false))?;
        for (block, keys) in keys.chunks(Self::BLOCK).enumerate() {
            spool.write(block, &vec![keys.to_vec(); KEYS + 1])?;
        }
        let rows = keys.len();
        Ok(Self { spool, rows })
    }

    /// How many rows share a key with another one, found in about `memory` bytes at a time.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub fn shared(&self, memory: usize) -> Result<usize> {
        let of_block = |block: usize, keys: &[u64], places: &mut dyn Iterator<Item = usize>| {
            Ok(places
                .map(|at| (keys[at], (block * Self::BLOCK + at) as u32))
                .collect())
        };
        let mut building = Building::default();
        let mut repeats = Repeats::new(&self.spool, self.rows, memory);
        repeats.each_slice(KEYS, of_block, |entries| building.add_all(entries))?;
        let buckets = building.finish(self.rows, 1);
        Ok(buckets.sizes.iter().map(|&size| size as usize).sum())
    }
}
