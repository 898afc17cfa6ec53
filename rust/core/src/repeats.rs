//! Keys that are met more than once: all that equal rows, and rows in one bucket, are found by.
//!
//! Keys stand in a [`Spool`], column by column, and memory holds those of one column at a time, or of a
//! slice of one. Most are met once; two lists of bits tell nearly all of those apart, and only the rest is
//! held, and sorted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rayon::prelude::*;

use crate::error::Result;
use crate::spool::Spool;

/// Which keys may have been met more than once: all that were, and some others.
struct Repeats {
    once: Vec<AtomicU64>,
    twice: Vec<AtomicU64>,
}

impl Repeats {
    /// Bits a key, in each of the two lists: one in eight other keys is taken for a repeated one.
    const BITS: usize = 8;

    fn new(keys: usize) -> Self {
        let words = (keys * Self::BITS).div_ceil(u64::BITS as usize);
        let words = words.next_power_of_two();
        let zeros = || (0..words).map(|_| AtomicU64::new(0)).collect();
        let (once, twice) = (zeros(), zeros());
        Self { once, twice }
    }

    /// The word and the bit of a key; its lowest bits, since those of a slice begin alike.
    fn place(&self, key: u64) -> (usize, u64) {
        let word = key / u64::from(u64::BITS);
        (word as usize & (self.once.len() - 1), 1 << (key % 64))
    }

    fn meet(&self, key: u64) {
        let (word, bit) = self.place(key);
        if self.once[word].fetch_or(bit, Relaxed) & bit != 0 {
            self.twice[word].fetch_or(bit, Relaxed);
        }
    }

    fn may_repeat(&self, key: u64) -> bool {
        let (word, bit) = self.place(key);
        self.twice[word].load(Relaxed) & bit != 0
    }
}

/// Collect the entries of one column of keys of the spool that may share a key with others, a slice of
/// all keys at a time, so that each takes at most about `memory` bytes; sorted by key.
///
/// `of_block` gives the entries at some places of a block. Keys are read twice, first to learn which are
/// met again, so that no more than those entries is ever held.
pub(crate) fn each_slice<T: Ord + Send>(
    spool: &Spool,
    column: usize,
    entries: usize,
    memory: usize,
    of_block: impl Fn(usize, &[u64], &mut dyn Iterator<Item = usize>) -> Result<Vec<(u64, T)>> + Sync,
    mut found: impl FnMut(Vec<(u64, T)>) -> Result<()>,
) -> Result<()> {
    // Those of a block stand there, and once more in the list of all.
    let bytes = 2 * size_of::<(u64, T)>() + 2 * Repeats::BITS / 8;
    let slices = (entries * bytes).div_ceil(memory).next_power_of_two();
    for slice in 0..slices {
        let is_of_slice =
            |key: u64| slices == 1 || (key >> (64 - slices.trailing_zeros())) as usize == slice;
        let repeats = Repeats::new(entries.div_ceil(slices));
        let blocks = (0..spool.blocks()).into_par_iter();
        blocks.clone().try_for_each(|block| -> Result<()> {
            let keys = spool.read(block, column)?;
            let of_slice = keys.into_iter().filter(|&key| is_of_slice(key));
            of_slice.for_each(|key| repeats.meet(key));
            Ok(())
        })?;
        let of_block = |block| {
            let keys = spool.read(block, column)?;
            let may_repeat = |&at: &usize| is_of_slice(keys[at]) && repeats.may_repeat(keys[at]);
            let mut places = (0..keys.len()).filter(may_repeat).peekable();
            if places.peek().is_none() {
                return Ok(Vec::new());
            }
            of_block(block, &keys, &mut places)
        };
        let blocks: Vec<Vec<(u64, T)>> = blocks.map(of_block).collect::<Result<_>>()?;
        drop(repeats);
        let mut entries = Vec::with_capacity(blocks.iter().map(Vec::len).sum());
        for block in blocks {
            entries.extend(block);
        }
        entries.par_sort_unstable();
        found(entries)?;
    }
    Ok(())
}
