//! Keys that are met more than once: all that equal rows, and rows in one bucket, are found by.
//!
//! Keys stand in a [`Spool`], column by column, and memory holds those of one column at a time, or of a
//! slice of one. Most are met once. So they are first dealt into parts by some of their bits, a chunk
//! of them at a time, and then two lists of bits that fit into the nearest cache tell nearly all of a
//! part that are met once from the others; only those are held whole, and gathered by their keys.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rayon::prelude::*;

use crate::error::Result;
use crate::spool::Spool;

/// Keys a part, about.
const PART: usize = 1 << 12;
/// Parts at most: to deal into more of them is slow.
const PARTS: usize = 1 << 11;
/// Keys that are dealt at a time, but for those of a block that has more.
const CHUNK: usize = 1 << 15;
/// Entries that are sorted together, about, until there are more groups of them than are quickly dealt into.
const GROUP: usize = 16;
const GROUPS: usize = 1 << 12;
/// Entries that are sorted by several threads.
const LONG: usize = if cfg!(test) { 32 } else { 1 << 14 };
/// Bits a key in each list of bits: one in sixteen other keys is taken for a repeated one.
const BITS: usize = 16;

/// Another number for each key, whose every bit tells keys apart: those of a narrow column have no high
/// bits.
const fn spread(key: u64) -> u64 {
    key.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The part that a key is of.
fn part(key: u64, parts: usize) -> usize {
    (spread(key) >> 32) as usize & (parts - 1)
}

/// Make of how many there are of each kind where those of each begin, if they stand in order; gives back how
/// many there are.
fn begins(counts: &mut [u32]) -> usize {
    let mut end = 0;
    for count in counts {
        (*count, end) = (end, end + *count);
    }
    end as usize
}

/// A key that was dealt.
#[derive(Default)]
struct Dealt {
    /// The low half of it, as it was spread.
    key: u32,
    /// Where it stands in its chunk; with [`Self::AGAIN`], if it may be met again.
    at: AtomicU32,
}

impl Dealt {
    const AGAIN: u32 = 1 << 31;
}

/// The keys of some blocks, dealt into parts; keeps its buffers from column to column.
#[derive(Default)]
struct Chunk {
    blocks: Range<usize>,
    /// How many keys they have, of all slices.
    keys: usize,
    /// By part. Each is one thread's to mark, so that none waits for another.
    dealt: Vec<Dealt>,
    /// Where each part ends.
    ends: Vec<u32>,
}

impl Chunk {
    /// Deal the keys that are of a slice.
    fn deal(&mut self, keys: &[u64], parts: usize, is_of_slice: impl Fn(u64) -> bool) {
        let of_slice = keys.iter().enumerate();
        let of_slice = of_slice.filter(|&(_, &key)| is_of_slice(key));
        self.keys = keys.len();
        self.ends.clear();
        self.ends.resize(parts, 0);
        for (_, &key) in of_slice.clone() {
            self.ends[part(key, parts)] += 1;
        }
        let dealt = begins(&mut self.ends);
        self.dealt.resize_with(dealt, Dealt::default);
        for (at, &key) in of_slice {
            let end = &mut self.ends[part(key, parts)];
            let (key, at) = (spread(key) as u32, AtomicU32::new(at as u32));
            self.dealt[*end as usize] = Dealt { key, at };
            *end += 1;
        }
    }

    fn of_part(&self, part: usize) -> &[Dealt] {
        let start = part.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.dealt[start as usize..self.ends[part] as usize]
    }

    /// A bit for each key of the chunk: set, if it may be met again.
    fn marks(&self) -> Vec<u64> {
        let mut bits = vec![0; self.keys.div_ceil(64)];
        for dealt in &self.dealt {
            let marked = dealt.at.load(Relaxed);
            let at = marked & !Dealt::AGAIN;
            bits[at as usize / 64] |= u64::from(marked != at) << (at % 64);
        }
        bits
    }
}

/// Which of some keys have their bit set, behind `first` others.
fn marked(bits: &[u64], first: usize, keys: usize) -> impl Iterator<Item = usize> {
    let end = first + keys;
    let of_word = move |word: usize| {
        let mut bits = bits[word] & u64::MAX << first.saturating_sub(64 * word).min(63);
        std::iter::from_fn(move || {
            let bit = bits.trailing_zeros();
            bits &= bits.wrapping_sub(1);
            (bit < u64::BITS).then_some(64 * word + bit as usize)
        })
    };
    let places = (first / 64..end.div_ceil(64)).flat_map(of_word);
    let places = places.take_while(move |&place| place < end);
    places.map(move |place| place - first)
}

/// Two lists of bits, kept from part to part.
#[derive(Default)]
struct Bits {
    once: Vec<u64>,
    twice: Vec<u64>,
}

impl Bits {
    /// Mark in each chunk what of a part may be met again: all that is, and some more.
    fn mark(&mut self, part: usize, chunks: &[Chunk]) {
        let keys: usize = chunks.iter().map(|chunk| chunk.of_part(part).len()).sum();
        let words = (keys * BITS)
            .div_ceil(u64::BITS as usize)
            .next_power_of_two();
        for bits in [&mut self.once, &mut self.twice] {
            bits.clear();
            bits.resize(words, 0);
        }
        let place = |key: u32| ((key >> 6) as usize & (words - 1), key & 63);
        let of_part = || chunks.iter().flat_map(|chunk| chunk.of_part(part));
        for &Dealt { key, .. } in of_part() {
            let (word, bit) = place(key);
            self.twice[word] |= self.once[word] & 1 << bit;
            self.once[word] |= 1 << bit;
        }
        for Dealt { key, at } in of_part() {
            let (word, bit) = place(*key);
            let is_again = (self.twice[word] >> bit & 1) as u32;
            at.store(at.load(Relaxed) | (is_again * Dealt::AGAIN), Relaxed);
        }
    }
}

/// Finds repeated keys in the columns of a spool.
pub(crate) struct Repeats<'s, T> {
    spool: &'s Spool,
    slices: usize,
    parts: usize,
    chunks: Vec<Chunk>,
    entries: Vec<(u64, T)>,
}

impl<'s, T: Ord + Copy + Default + Send> Repeats<'s, T> {
    /// Of a spool that is written, whose keys make at most so many entries, in about `memory` bytes.
    pub(crate) fn new(spool: &'s Spool, entries: usize, memory: usize) -> Self {
        let keys = spool.entries();
        // Entries of a chunk stand there, and once more in the list of all.
        let entries = 2 * size_of::<(u64, T)>() * entries.min(keys);
        let bytes = size_of::<Dealt>() * keys + entries;
        let slices = bytes.div_ceil(memory).next_power_of_two();
        let parts = PARTS.min(CHUNK / slices).max(1);
        let runs = spool.blocks_by(CHUNK).into_iter();
        let chunk = |blocks| Chunk {
            blocks,
            ..Chunk::default()
        };
        Self {
            spool,
            slices,
            parts: (keys / slices / PART).clamp(1, parts).next_power_of_two(),
            chunks: runs.map(chunk).collect(),
            entries: Vec::new(),
        }
    }

    /// Collect the entries of one column that may share a key with others, a slice of all keys at a
    /// time: those of a key stand together, in order.
    ///
    /// `of_block` gives the entries at some places of a block. Keys are read twice, first to learn which
    /// are met again, so that no more than those entries is ever held.
    pub(crate) fn each_slice(
        &mut self,
        column: usize,
        of_block: impl Fn(usize, &[u64], &mut dyn Iterator<Item = usize>) -> Result<Vec<(u64, T)>>
        + Sync,
        mut found: impl FnMut(&[(u64, T)]) -> Result<()>,
    ) -> Result<()> {
        let (spool, slices, parts) = (self.spool, self.slices, self.parts);
        for slice in 0..slices {
            let is_of_slice = |key: u64| {
                slices == 1 || (spread(key) >> (64 - slices.trailing_zeros())) as usize == slice
            };
            let deal = |keys: &mut Vec<u64>, chunk: &mut Chunk| -> Result<()> {
                keys.clear();
                for block in chunk.blocks.clone() {
                    spool.read_to(block, column, keys)?;
                }
                chunk.deal(keys, parts, is_of_slice);
                Ok(())
            };
            let chunks = self.chunks.par_iter_mut();
            chunks.try_for_each_init(Vec::new, deal)?;
            let mark = |bits: &mut Bits, part| bits.mark(part, &self.chunks);
            (0..parts)
                .into_par_iter()
                .for_each_init(Bits::default, mark);
            let of_chunk = |keys: &mut Vec<u64>, chunk: &Chunk| -> Result<Vec<(u64, T)>> {
                let (mut entries, mut first) = (Vec::new(), 0);
                let bits = chunk.marks();
                for block in chunk.blocks.clone() {
                    keys.clear();
                    spool.read_to(block, column, keys)?;
                    let mut places = marked(&bits, first, keys.len()).peekable();
                    if places.peek().is_some() {
                        entries.extend(of_block(block, keys, &mut places)?);
                    }
                    first += keys.len();
                }
                Ok(entries)
            };
            let chunks = self.chunks.par_iter().map_init(Vec::new, of_chunk);
            let chunks: Vec<Vec<(u64, T)>> = chunks.collect::<Result<_>>()?;
            gather(chunks, &mut self.entries);
            found(&self.entries)?;
        }
        Ok(())
    }
}

/// Gather entries so that those of a key stand together, in order: they are dealt into groups, which then are
/// sorted.
fn gather<T: Ord + Copy + Default + Send>(chunks: Vec<Vec<(u64, T)>>, to: &mut Vec<(u64, T)>) {
    let total: usize = chunks.iter().map(Vec::len).sum();
    let groups = (total / GROUP).next_power_of_two().min(GROUPS);
    let mut ends = vec![0; groups];
    for &(key, _) in chunks.iter().flatten() {
        ends[part(key, groups)] += 1;
    }
    begins(&mut ends);
    to.clear();
    to.resize(total, Default::default());
    for entry in chunks.into_iter().flatten() {
        let end = &mut ends[part(entry.0, groups)];
        to[*end as usize] = entry;
        *end += 1;
    }
    let by_group =
        to.par_chunk_by_mut(|&(left, _), &(right, _)| part(left, groups) == part(right, groups));
    by_group.for_each(|entries| {
        if entries.len() > LONG {
            entries.par_sort_unstable();
        } else {
            entries.sort_unstable();
        }
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::shingles::mix;

    proptest! {
        #[test]
        fn entries_of_a_key_are_gathered_in_order(
            chunks in prop::collection::vec(
                prop::collection::vec((0..40_u64, any::<bool>(), any::<u32>()), 0..200),
                0..6,
            ),
        ) {
            // Every second key has the bits of another one that groups are told by.
            let entry = |&(key, is_like, entry): &(u64, bool, u32)| {
                let like = spread(key) ^ u64::from(is_like);
                (like.wrapping_mul(BACK), entry)
            };
            let chunks: Vec<Vec<(u64, u32)>> =
                chunks.iter().map(|chunk| chunk.iter().map(entry).collect()).collect();
            let mut expected: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
            for &(key, entry) in chunks.iter().flatten() {
                expected.entry(key).or_default().push(entry);
            }
            for entries in expected.values_mut() {
                entries.sort_unstable();
            }
            let (mut gathered, mut found) = (Vec::new(), BTreeMap::new());
            gather(chunks, &mut gathered);
            for same in gathered.chunk_by(|left, right| left.0 == right.0) {
                let entries = same.iter().map(|&(_, entry)| entry).collect();
                prop_assert!(found.insert(same[0].0, entries).is_none(), "in two places");
            }
            prop_assert_eq!(found, expected);
        }
    }

    /// What undoes [`spread`].
    const BACK: u64 = {
        let (factor, mut back) = (spread(1), 1_u64);
        let mut bits = 0;
        while bits < u64::BITS {
            back = back.wrapping_mul(2_u64.wrapping_sub(factor.wrapping_mul(back)));
            bits += 1;
        }
        back
    };

    /// Keys enough for several chunks and parts, a third of which come back.
    #[test]
    fn every_repeated_key_is_found_whatever_the_memory() {
        const BLOCKS: usize = 90;
        const ROWS: usize = 1000;
        let key = |at: usize| mix(if at.is_multiple_of(3) { at / 9 } else { at } as u64);
        for width in [4, 5, 8] {
            let spool = Spool::new(&std::env::temp_dir(), vec![width]).expect("a temporary folder");
            for block in 0..BLOCKS {
                let rows = block * ROWS..(block + 1) * ROWS - block % 7;
                spool
                    .write(block, &[rows.map(key).collect()])
                    .expect("written");
            }
            let mut of_key: BTreeMap<u64, Vec<(usize, usize)>> = BTreeMap::new();
            for block in 0..BLOCKS {
                for (at, key) in spool.read(block, 0).expect("read").into_iter().enumerate() {
                    of_key.entry(key).or_default().push((block, at));
                }
            }
            of_key.retain(|_, places| places.len() > 1);
            for memory in [1 << 24, 1 << 20, 1 << 16] {
                let mut repeats = Repeats::new(&spool, BLOCKS * ROWS, memory);
                let (mut found, mut held) = (BTreeMap::new(), 0);
                let of_block = |block, keys: &[u64], places: &mut dyn Iterator<Item = usize>| {
                    Ok(places.map(|at| (keys[at], (block, at))).collect())
                };
                let slice = |entries: &[(u64, (usize, usize))]| {
                    held += entries.len();
                    for same in entries.chunk_by(|left, right| left.0 == right.0) {
                        let places = same.iter().map(|&(_, place)| place).collect::<Vec<_>>();
                        if places.len() > 1 {
                            found.insert(same[0].0, places);
                        }
                    }
                    Ok(())
                };
                repeats.each_slice(0, of_block, slice).expect("read");
                assert_eq!(found, of_key, "{width} bytes, {memory} of memory");
                let repeated: usize = of_key.values().map(Vec::len).sum();
                assert!(held < repeated + BLOCKS * ROWS / 8, "{held}");
            }
        }
    }

    #[test]
    fn blocks_may_be_empty_or_long_and_all_keys_one() {
        let spool = Spool::new(&std::env::temp_dir(), vec![4]).expect("a temporary folder");
        let long = 2 * CHUNK + 3;
        for (block, keys) in [(1, 5), (4, long), (6, 0), (7, 1)] {
            spool.write(block, &[vec![9; keys]]).expect("written");
        }
        for memory in [1 << 24, 1 << 12] {
            let mut found = Vec::new();
            let of_block = |block, keys: &[u64], places: &mut dyn Iterator<Item = usize>| {
                Ok(places.map(|at| (keys[at], (block, at))).collect())
            };
            let mut repeats = Repeats::new(&spool, usize::MAX, memory);
            let slice = |entries: &[(u64, (usize, usize))]| {
                found.extend_from_slice(entries);
                Ok(())
            };
            repeats.each_slice(0, of_block, slice).expect("read");
            assert_eq!(found.len(), 5 + long + 1);
            assert!(found.iter().all(|(key, _)| *key == 9));
            assert_eq!(found[0].1, (1, 0));
            assert_eq!(found[found.len() - 1].1, (7, 0));
        }
    }
}
