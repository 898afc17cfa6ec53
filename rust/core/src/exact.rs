//! Exact duplicates: rows whose compared parts are equal, byte for byte.
//!
//! A 128-bit hash with a secret of the run groups the rows; a comparison of the bytes then decides
//! inside each group, so the result depends neither on the secret nor on luck, and nobody can
//! prepare rows that collide.

use rayon::prelude::*;
use twox_hash::XxHash3_128;

use crate::error::{Error, Result};
use crate::repeats::Repeats;
use crate::spool::Spool;
use crate::watch::Watch;

/// What keeps others from preparing collisions.
#[derive(Debug)]
pub struct Secret([u8; 192]);

impl Secret {
    pub(crate) fn draw() -> Result<Self> {
        let mut bytes = [0; 192];
        getrandom::fill(&mut bytes).map_err(|error| {
            Error::Setting(format!("the system has no random numbers: {error}"))
        })?;
        Ok(Self(bytes))
    }

    /// As two halves, which take less room in an array than one aligned number.
    pub(crate) fn hash(&self, content: &[u8]) -> [u64; 2] {
        let hash = XxHash3_128::oneshot_with_secret(&self.0, content);
        let hash = hash.expect("the secret is long enough");
        [(hash >> 64) as u64, hash as u64]
    }
}

/// The halves of a row's hash and its number, as columns of the spool.
pub(crate) const HIGH: usize = 0;
pub(crate) const LOW: usize = 1;
pub(crate) const ROW: usize = 2;
/// Bytes of each.
pub(crate) const WIDTHS: [usize; 3] = [8, 8, 4];

/// Both halves of a hash, and the rank of the row that it is of.
type Entry = (u64, (u64, u32));

/// Pairs of a row and the first row equal to it, by their ranks, in order.
///
/// About `memory` bytes are used at a time. `is_equal` compares the bytes of two rows.
pub(crate) fn duplicates(
    hashes: &Spool,
    memory: usize,
    rank: impl Fn(u32) -> u32 + Sync,
    is_equal: impl Fn(u32, u32) -> Result<bool> + Sync,
    watch: &Watch,
) -> Result<Vec<(u32, u32)>> {
    let mut pairs = Vec::new();
    let of_block = |block, high: &[u64], places: &mut dyn Iterator<Item = usize>| {
        watch.check()?;
        let (low, rows) = (hashes.read(block, LOW)?, hashes.read(block, ROW)?);
        Ok(places
            .map(|at| (high[at], (low[at], rank(rows[at] as u32))))
            .collect())
    };
    Repeats::new(hashes, usize::MAX, memory).each_slice(HIGH, of_block, |entries| {
        pairs.extend(among(entries, &is_equal, watch)?);
        Ok(())
    })?;
    pairs.par_sort_unstable();
    Ok(pairs)
}

/// Those among sorted entries.
fn among(
    entries: &[Entry],
    is_equal: impl Fn(u32, u32) -> Result<bool> + Sync,
    watch: &Watch,
) -> Result<Vec<(u32, u32)>> {
    let groups: Vec<&[Entry]> = entries
        .chunk_by(|(high, (low, _)), (other, (other_low, _))| (high, low) == (other, other_low))
        .filter(|rows| rows.len() > 1)
        .collect();
    let found: Vec<Vec<(u32, u32)>> = groups
        .into_par_iter()
        .map(|group| {
            let mut firsts: Vec<u32> = Vec::new();
            let mut pairs = Vec::new();
            for &(_, (_, row)) in group {
                watch.check()?;
                let mut first = None;
                for &candidate in &firsts {
                    if is_equal(candidate, row)? {
                        first = Some(candidate);
                        break;
                    }
                }
                match first {
                    Some(first) => pairs.push((row, first)),
                    None => firsts.push(row),
                }
            }
            Ok(pairs)
        })
        .collect::<Result<_>>()?;
    Ok(found.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_hashes_do_not_make_equal_rows() {
        let contents = ["a", "b", "a", "c", "b", "a"];
        let entries: Vec<Entry> = (0..6).map(|row| (0, (0, row))).collect();
        let is_equal =
            |left: u32, right: u32| Ok(contents[left as usize] == contents[right as usize]);
        let pairs = among(&entries, is_equal, &Watch::default()).expect("does not stop");
        assert_eq!(pairs, [(2, 0), (4, 1), (5, 0)]);
    }
}
