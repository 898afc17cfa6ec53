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

/// How two rows are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Equal {
    /// In all of their bytes.
    Bytes,
    /// In their compared parts.
    Parts,
}

/// A row, the first one equal to it, and how.
pub(crate) type Pair = (u32, u32, Equal);

/// Pairs of a row and the first row equal to it, by their ranks, in order.
///
/// About `memory` bytes are used at a time. `compare` tells how the bytes of two rows are equal.
pub(crate) fn duplicates(
    hashes: &Spool,
    memory: usize,
    rank: impl Fn(u32) -> u32 + Sync,
    compare: impl Fn(u32, u32) -> Result<Option<Equal>> + Sync,
    watch: &Watch,
) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    let of_block = |block, high: &[u64], places: &mut dyn Iterator<Item = usize>| {
        watch.check()?;
        let (low, rows) = (hashes.read(block, LOW)?, hashes.read(block, ROW)?);
        Ok(places
            .map(|at| (high[at], (low[at], rank(rows[at] as u32))))
            .collect())
    };
    Repeats::new(hashes, usize::MAX, memory).each_slice(HIGH, of_block, |entries| {
        pairs.extend(among(entries, &compare, watch)?);
        Ok(())
    })?;
    pairs.par_sort_unstable();
    Ok(pairs)
}

/// Those among entries, of which those of a hash stand together, in order.
fn among(
    entries: &[Entry],
    compare: impl Fn(u32, u32) -> Result<Option<Equal>> + Sync,
    watch: &Watch,
) -> Result<Vec<Pair>> {
    let groups: Vec<&[Entry]> = entries
        .chunk_by(|(high, (low, _)), (other, (other_low, _))| (high, low) == (other, other_low))
        .filter(|rows| rows.len() > 1)
        .collect();
    let found: Vec<Vec<Pair>> = groups
        .into_par_iter()
        .map(|group| {
            let mut firsts: Vec<u32> = Vec::new();
            let mut pairs = Vec::new();
            for &(_, (_, row)) in group {
                watch.check()?;
                let mut first = None;
                for &candidate in &firsts {
                    if let Some(equal) = compare(candidate, row)? {
                        first = Some((row, candidate, equal));
                        break;
                    }
                }
                match first {
                    Some(pair) => pairs.push(pair),
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
        let compare = |left: u32, right: u32| {
            let is_equal = contents[left as usize] == contents[right as usize];
            Ok(is_equal.then_some(Equal::Parts))
        };
        let pairs = among(&entries, compare, &Watch::default()).expect("does not stop");
        let pairs: Vec<_> = pairs.iter().map(|&(row, first, _)| (row, first)).collect();
        assert_eq!(pairs, [(2, 0), (4, 1), (5, 0)]);
    }
}
