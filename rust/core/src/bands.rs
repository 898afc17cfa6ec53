//! Bands: which rows may be near-duplicates of one another.
//!
//! A signature is cut into bands of a few slots; rows that agree in all slots of a band share a
//! *bucket*. More slots a band propose fewer pairs, more bands find more. Since every pair is
//! verified, bands are chosen for recall alone.
//!
//! Band keys go to an unnamed file, band after band, so that memory holds the keys of one band at a
//! time, or of a slice of one: sorted flat arrays, no hash table of lists. Buckets of one row are
//! forgotten at once; the others, which stand for rows with candidates, are held together.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::minhash::{SLOTS, Signature};
use crate::shingles::mix;
use crate::watch::Watch;

/// A pair at the threshold is proposed at least this often.
const RECALL: f64 = 0.999;

/// How a signature is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Banding {
    /// Bands a signature.
    pub bands: usize,
    /// Slots a band.
    pub slots: usize,
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
            1.0 - power(1.0 - power(threshold, banding.slots), banding.bands) >= RECALL
        };
        (1..=SLOTS)
            .rev()
            .map(|slots| Self {
                bands: SLOTS / slots,
                slots,
            })
            .find(finds)
    }

    /// The key of each band. Rows of different `class` can never be alike, and share no bucket.
    pub(crate) fn keys(self, signature: &Signature, class: u64) -> impl Iterator<Item = u64> {
        let bands = signature.chunks_exact(self.slots).take(self.bands);
        bands.map(move |slots| {
            slots
                .iter()
                .fold(class, |key, &slot| mix(key ^ u64::from(slot)))
        })
    }
}

/// The band keys of all rows, in an unnamed file.
#[derive(Debug)]
pub struct KeySpool {
    file: File,
    folder: PathBuf,
    rows: usize,
}

impl KeySpool {
    pub(crate) fn new(folder: &Path, rows: usize) -> Result<Self> {
        let file = tempfile::tempfile_in(folder);
        let file = file.map_err(|source| Error::Write {
            path: folder.to_owned(),
            source,
        })?;
        Ok(Self {
            file,
            folder: folder.to_owned(),
            rows,
        })
    }

    /// Write the keys of some rows in one band.
    pub(crate) fn write(&self, band: usize, first_row: usize, keys: &[u64]) -> Result<()> {
        let bytes: Vec<u8> = keys.iter().flat_map(|key| key.to_le_bytes()).collect();
        self.file
            .write_all_at(&bytes, self.offset(band, first_row))
            .map_err(|source| self.failed(source))
    }

    fn read(&self, band: usize, first_row: usize, rows: usize) -> Result<Vec<u64>> {
        let mut bytes = vec![0; rows * size_of::<u64>()];
        self.file
            .read_exact_at(&mut bytes, self.offset(band, first_row))
            .map_err(|source| self.failed(source))?;
        let key =
            |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("chunks are eight bytes"));
        Ok(bytes.chunks_exact(size_of::<u64>()).map(key).collect())
    }

    fn offset(&self, band: usize, row: usize) -> u64 {
        ((band * self.rows + row) * size_of::<u64>()) as u64
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Write {
            path: self.folder.clone(),
            source,
        }
    }
}

/// All buckets of two rows or more, and which row is in which.
#[derive(Debug)]
pub struct Buckets {
    /// Where the buckets of each row begin in `ids`; one more entry at the end.
    starts: Vec<usize>,
    ids: Vec<u32>,
    /// Rows in each bucket.
    sizes: Vec<u32>,
}

impl Buckets {
    /// Sort the rows for which `is_compared` into buckets, in at most about `memory` bytes at a
    /// time.
    pub(crate) fn build(
        spool: &KeySpool,
        bands: usize,
        memory: usize,
        is_compared: impl Fn(usize) -> bool + Sync,
        watch: &Watch,
    ) -> Result<Self> {
        const BLOCK: usize = 1 << 16;
        let slices = (spool.rows * size_of::<(u64, u32)>())
            .div_ceil(memory)
            .next_power_of_two();
        let mut members: Vec<(u32, u32)> = Vec::new();
        let mut sizes: Vec<u32> = Vec::new();
        for band in 0..bands {
            for slice in 0..slices {
                let of_slice = |key: u64| {
                    slices == 1 || (key >> (64 - slices.trailing_zeros())) as usize == slice
                };
                let blocks: Vec<Vec<(u64, u32)>> = (0..spool.rows.div_ceil(BLOCK))
                    .into_par_iter()
                    .map(|block| {
                        watch.check()?;
                        let first = block * BLOCK;
                        let keys = spool.read(band, first, BLOCK.min(spool.rows - first))?;
                        let rows = (first..)
                            .zip(keys)
                            .filter(|&(row, key)| of_slice(key) && is_compared(row));
                        Ok(rows.map(|(row, key)| (key, row as u32)).collect())
                    })
                    .collect::<Result<_>>()?;
                let mut entries = blocks.concat();
                drop(blocks);
                entries.par_sort_unstable();
                for bucket in entries
                    .chunk_by(|(left, _), (right, _)| left == right)
                    .filter(|rows| rows.len() > 1)
                {
                    let id = u32::try_from(sizes.len()).map_err(|_| too_many())?;
                    sizes.push(bucket.len() as u32);
                    members.extend(bucket.iter().map(|&(_, row)| (row, id)));
                }
            }
        }
        members.par_sort_unstable();
        let mut starts = Vec::with_capacity(spool.rows + 1);
        let mut at = 0;
        for row in 0..=spool.rows as u32 {
            while at < members.len() && members[at].0 < row {
                at += 1;
            }
            starts.push(at);
        }
        Ok(Self {
            starts,
            ids: members.into_iter().map(|(_, id)| id).collect(),
            sizes,
        })
    }

    /// The buckets that a row is in.
    #[must_use]
    pub fn of(&self, row: u32) -> &[u32] {
        &self.ids[self.starts[row as usize]..self.starts[row as usize + 1]]
    }

    /// Rows in each bucket.
    #[must_use]
    pub fn sizes(&self) -> &[u32] {
        &self.sizes
    }
}

fn too_many() -> Error {
    Error::Setting("too many candidate buckets for one run; split the input".into())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn rows_of_one_key_share_a_bucket_however_memory_is_sliced() {
        const ROWS: usize = 3000;
        let spool = KeySpool::new(&std::env::temp_dir(), ROWS).expect("a temporary folder");
        let key = |band: usize, row: usize| mix((row * 7 % 500 + 1000 * band) as u64);
        let is_compared = |row: usize| row % 10 != 3;
        let mut expected: BTreeMap<(usize, u64), BTreeSet<u32>> = BTreeMap::new();
        for band in 0..3 {
            let keys: Vec<u64> = (0..ROWS).map(|row| key(band, row)).collect();
            spool.write(band, 0, &keys).expect("written");
            for row in (0..ROWS).filter(|&row| is_compared(row)) {
                expected
                    .entry((band, keys[row]))
                    .or_default()
                    .insert(row as u32);
            }
        }
        let expected: BTreeSet<BTreeSet<u32>> = expected
            .into_values()
            .filter(|rows| rows.len() > 1)
            .collect();
        for memory in [1 << 20, 1 << 15, 1 << 12] {
            let buckets =
                Buckets::build(&spool, 3, memory, is_compared, &Watch::default()).expect("read");
            let mut found = vec![BTreeSet::new(); buckets.sizes().len()];
            for row in 0..ROWS as u32 {
                for &bucket in buckets.of(row) {
                    found[bucket as usize].insert(row);
                }
            }
            assert_eq!(
                found.iter().map(BTreeSet::len).sum::<usize>(),
                buckets.sizes().iter().sum::<u32>() as usize
            );
            assert_eq!(
                found.into_iter().collect::<BTreeSet<_>>(),
                expected,
                "{memory}"
            );
        }
    }

    #[test]
    fn bands_are_chosen_for_recall() {
        let expected = [
            (1000, Some((1, 128))),
            (800, Some((25, 5))),
            (500, Some((64, 2))),
            (60, Some((128, 1))),
            (50, None),
        ];
        for (threshold, banding) in expected {
            let found =
                Banding::for_threshold(threshold).map(|banding| (banding.bands, banding.slots));
            assert_eq!(found, banding, "{threshold}");
        }
    }
}
