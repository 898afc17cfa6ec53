//! Bands: which rows may be near-duplicates of one another.
//!
//! A signature is cut into bands of a few slots; rows that agree in all slots of a band share a
//! *bucket*. More slots a band propose fewer pairs, more bands find more. Since every pair is
//! verified, bands are chosen for recall alone.
//!
//! Band keys come from the spool band by band ([`crate::repeats`]): flat arrays, no hash table of lists.
//! Buckets of one row are forgotten at once; the others, which stand for rows with candidates, are held
//! together: two numbers of four bytes for each row that is in a bucket.

#![allow(unsafe_code)] // one call a signature, into instructions that the machine has

use crate::error::{Error, Result};
use crate::instructions::{Instructions, Set};
use crate::minhash::{MinHash, SLOTS, Signature};
use crate::shingles::mix;

/// A pair at the threshold is proposed at least this often.
const RECALL: f64 = 0.999;

/// How a signature is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Banding {
    /// Bands a signature.
    pub bands: usize,
    /// Slots a band.
    pub slots: usize,
    /// Bands in which two signatures agree before their sets are compared: 2, which most pairs that
    /// are not alike fail, or 1 where that would miss too many others.
    pub agree: usize,
}

impl Banding {
    /// The most slots a band with which pairs at the threshold are still found; None if no banding
    /// finds them.
    #[must_use]
    pub fn for_threshold(threshold_millis: u32) -> Option<Self> {
        let threshold = f64::from(threshold_millis) / 1000.0;
        // Products in a fixed order, not `powi`, whose last bit may differ between machines.
        let power =
            |base: f64, exponent: usize| (0..exponent).fold(1.0, |product, _| product * base);
        let finds = |banding: &Self| {
            let band = power(threshold, banding.slots);
            let none = power(1.0 - band, banding.bands);
            let one = banding.bands as f64 * band * power(1.0 - band, banding.bands - 1);
            1.0 - none - if banding.agree == 2 { one } else { 0.0 } >= RECALL
        };
        let of = |agree: usize| {
            let slots = (1..=SLOTS / agree).rev();
            let banding = slots.map(move |slots| Self {
                bands: SLOTS / slots,
                slots,
                agree,
            });
            banding.into_iter().find(finds)
        };
        of(2).or_else(|| of(1))
    }

    /// The slot that stands at a place where those of all bands go side by side: the first of each, then
    /// the second ones. What no band takes stays behind them.
    fn slot_beside(self, place: usize) -> usize {
        if place < self.bands * self.slots {
            place % self.bands * self.slots + place / self.bands
        } else {
            place
        }
    }

    /// Mix the keys of a signature whose slots go side by side into zeros, one for each band.
    fn mix_into(self, keys: &mut [u64], beside: &Signature, instructions: Instructions) {
        match instructions.set() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Instructions` is only made where the machine has them.
            Set::Avx512Vbmi | Set::Avx512 => unsafe { self.mix_avx512(keys, beside) },
            _ => self.mix_portable(keys, beside),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl")]
    fn mix_avx512(self, keys: &mut [u64], beside: &Signature) {
        self.mix_portable(keys, beside);
    }

    /// A key mixes in one slot after the other, so bands are as many as a machine multiplies in one step.
    #[inline(always)]
    #[allow(clippy::inline_always)] // compiled once for each instruction set that calls it
    fn mix_portable(self, keys: &mut [u64], beside: &Signature) {
        for slots in beside.chunks_exact(self.bands).take(self.slots) {
            for (key, &slot) in keys.iter_mut().zip(slots) {
                *key = mix(*key ^ u64::from(slot));
            }
        }
    }

    /// The key of each band of a signature.
    pub(crate) fn keys(self, signature: &Signature, instructions: Instructions) -> Vec<u64> {
        let mut keys = vec![0; self.bands];
        let beside = std::array::from_fn(|place| signature[self.slot_beside(place)]);
        self.mix_into(&mut keys, &beside, instructions);
        keys
    }
}

/// Makes the keys of sets.
#[derive(Debug, Clone)]
pub(crate) struct BandKeys {
    /// Its functions stand where their slots go side by side.
    minhash: MinHash,
    banding: Banding,
}

impl BandKeys {
    pub(crate) fn new(minhash: &MinHash, banding: Banding) -> Self {
        let minhash = minhash.in_order(|place| banding.slot_beside(place));
        Self { minhash, banding }
    }

    /// Add the keys of a set to a list.
    pub(crate) fn push(&self, shingles: &[u64], keys: &mut Vec<u64>) {
        let mut signature = MinHash::empty();
        self.minhash.add(&mut signature, shingles);
        let first = keys.len();
        keys.resize(first + self.banding.bands, 0);
        let instructions = self.minhash.instructions();
        self.banding
            .mix_into(&mut keys[first..], &signature, instructions);
    }
}

/// Rows, or texts, that share a key: those of each key, if there are two or more.
pub(crate) fn buckets(entries: &[(u64, u32)]) -> impl Iterator<Item = &[(u64, u32)]> {
    let of_key = entries.chunk_by(|(left, _), (right, _)| left == right);
    of_key.filter(|members| members.len() > 1)
}

/// The rows of all buckets of two or more, by bucket, and the buckets of each row.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    /// A bit for each row that is in a bucket, by the word.
    has_any: Vec<u64>,
    /// How many rows are in a bucket before those of a word.
    before: Vec<u32>,
    /// Where the buckets of each such row begin in `ids`; one more entry at the end.
    starts: Vec<usize>,
    ids: Vec<u32>,
    /// Rows of each bucket in order, one bucket after the other.
    pub members: Vec<u32>,
    /// Rows in each bucket.
    pub sizes: Vec<u32>,
    /// Buckets that two rows share before they are compared.
    pub agree: usize,
}

/// Buckets in the making.
#[derive(Debug, Default)]
pub(crate) struct Building {
    members: Vec<u32>,
    sizes: Vec<u32>,
}

impl Building {
    /// Add a bucket.
    pub(crate) fn add(&mut self, rows: impl Iterator<Item = u32>) -> Result<()> {
        if self.sizes.len() >= u32::MAX as usize {
            return Err(too_many());
        }
        let before = self.members.len();
        self.members.extend(rows);
        self.sizes.push((self.members.len() - before) as u32);
        Ok(())
    }

    /// Add the buckets of entries, of which those of a key stand together, in order.
    pub(crate) fn add_all(&mut self, entries: &[(u64, u32)]) -> Result<()> {
        buckets(entries).try_for_each(|bucket| self.add(bucket.iter().map(|&(_, row)| row)))
    }

    /// The buckets of `rows` rows.
    pub(crate) fn finish(self, rows: usize, agree: usize) -> Buckets {
        let mut has_any = vec![0_u64; rows.div_ceil(64)];
        for &row in &self.members {
            has_any[row as usize / 64] |= 1 << (row % 64);
        }
        let mut total = 0;
        let count = |word: &u64| {
            let before = total;
            total += word.count_ones();
            before
        };
        let before = has_any.iter().map(count).collect();
        let mut buckets = Buckets {
            has_any,
            before,
            starts: vec![0; total as usize + 1],
            ids: vec![0; self.members.len()],
            members: self.members,
            sizes: self.sizes,
            agree,
        };
        buckets.list();
        buckets
    }
}

impl Buckets {
    /// List the buckets of each row, by counting how many there are.
    fn list(&mut self) {
        for at in 0..self.members.len() {
            let place = self.place(self.members[at]).expect("a member has a bucket");
            self.starts[place] += 1;
        }
        let mut end = 0;
        for start in &mut self.starts {
            end += *start;
            *start = end;
        }
        let mut at = self.members.len();
        for bucket in (0..self.sizes.len()).rev() {
            for _ in 0..self.sizes[bucket] {
                at -= 1;
                let place = self.place(self.members[at]).expect("a member has a bucket");
                self.starts[place] -= 1;
                self.ids[self.starts[place]] = bucket as u32;
            }
        }
    }

    /// The place of a row among those that are in a bucket.
    fn place(&self, row: u32) -> Option<usize> {
        let (word, bit) = (row as usize / 64, row % 64);
        let bits = self.has_any[word];
        let below = (bits & !(u64::MAX << bit)).count_ones();
        (bits >> bit & 1 == 1).then(|| (self.before[word] + below) as usize)
    }

    /// The buckets that a row is in, in order.
    pub(crate) fn of(&self, row: u32) -> &[u32] {
        let place = self.place(row);
        place.map_or(&[], |at| &self.ids[self.starts[at]..self.starts[at + 1]])
    }

    /// The rows that are in a bucket, in order.
    pub(crate) fn rows(&self) -> Vec<u32> {
        let rows = self.has_any.iter().zip((0..).step_by(64));
        let of_word = |(&bits, first): (&u64, u32)| {
            (0..64)
                .filter(move |bit| bits >> bit & 1 == 1)
                .map(move |bit| first + bit)
        };
        rows.flat_map(of_word).collect()
    }
}

fn too_many() -> Error {
    Error::Setting("too many candidate buckets for one run; split the input".into())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::repeats::Repeats;
    use crate::spool::{KEYS, Spool};

    #[test]
    fn rows_of_one_key_share_a_bucket_however_memory_is_sliced() {
        const BLOCKS: usize = 3;
        let spool =
            Spool::new(&std::env::temp_dir(), vec![8; KEYS + 2]).expect("a temporary folder");
        // Every third row has keys of its own.
        let key = |band: usize, row: usize| match row % 3 {
            0 => mix((row + 10_000 * (band + 1)) as u64),
            _ => mix((row * 7 % 500 + 1000 * band) as u64),
        };
        let rows = |block: usize| block * 1000..(block + 1) * 1000;
        for block in (0..BLOCKS).rev() {
            let mut columns: Vec<Vec<u64>> =
                vec![rows(block).map(|row| row as u64).collect(); KEYS];
            for band in 0..2 {
                columns.push(rows(block).map(|row| key(band, row)).collect());
            }
            spool.write(block, &columns).expect("written");
        }
        let is_compared = |row: usize| row % 10 != 3;
        let mut expected: BTreeMap<(usize, u64), BTreeSet<u32>> = BTreeMap::new();
        for band in 0..2 {
            for row in (0..BLOCKS * 1000).filter(|&row| is_compared(row)) {
                expected
                    .entry((band, key(band, row)))
                    .or_default()
                    .insert(row as u32);
            }
        }
        let expected: BTreeSet<BTreeSet<u32>> = expected
            .into_values()
            .filter(|rows| rows.len() > 1)
            .collect();
        for memory in [1 << 20, 1 << 15, 1 << 12] {
            let mut building = Building::default();
            let mut repeats = Repeats::new(&spool, BLOCKS * 1000, memory);
            for band in 0..2 {
                let of_block = |block, keys: &[u64], places: &mut dyn Iterator<Item = usize>| {
                    let rows = spool.read(block, crate::spool::ROW)?;
                    let entries = places.map(|at| (keys[at], rows[at] as u32));
                    Ok(entries
                        .filter(|&(_, row)| is_compared(row as usize))
                        .collect())
                };
                let found =
                    repeats.each_slice(KEYS + band, of_block, |entries| building.add_all(entries));
                found.expect("read");
            }
            let buckets = building.finish(BLOCKS * 1000, 1);
            let mut found = vec![BTreeSet::new(); buckets.sizes.len()];
            for row in 0..(BLOCKS * 1000) as u32 {
                for &bucket in buckets.of(row) {
                    found[bucket as usize].insert(row);
                }
            }
            assert_eq!(
                found.iter().map(BTreeSet::len).sum::<usize>(),
                buckets.sizes.iter().sum::<u32>() as usize
            );
            assert_eq!(
                found.into_iter().collect::<BTreeSet<_>>(),
                expected,
                "{memory}"
            );
        }
    }

    #[test]
    fn a_key_is_that_of_its_slots_on_every_machine() {
        let signature: Signature = std::array::from_fn(|slot| mix(slot as u64) as u32);
        for millis in 60..=1000 {
            let banding = Banding::for_threshold(millis).expect("there is one");
            let bands = signature.chunks_exact(banding.slots).take(banding.bands);
            let key = |slots: &[u32]| {
                let slots = slots.iter().copied().map(u64::from);
                slots.fold(0, |key, slot| mix(key ^ slot))
            };
            let expected: Vec<u64> = bands.map(key).collect();
            for instructions in Instructions::all() {
                assert_eq!(banding.keys(&signature, instructions), expected, "{millis}");
            }
        }
    }

    #[test]
    fn bands_are_chosen_for_recall() {
        let expected = [
            (1000, Some((2, 64, 2))),
            (800, Some((25, 5, 2))),
            (500, Some((64, 2, 2))),
            (100, Some((128, 1, 2))),
            (60, Some((128, 1, 1))),
            (50, None),
        ];
        for (threshold, banding) in expected {
            let found = Banding::for_threshold(threshold)
                .map(|banding| (banding.bands, banding.slots, banding.agree));
            assert_eq!(found, banding, "{threshold}");
        }
    }
}
