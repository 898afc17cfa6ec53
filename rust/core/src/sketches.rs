//! A sketch of every row, in an unnamed file: it tells of most candidates that they are not alike before
//! any text is read again.
//!
//! A row's sketch stands where those of the rows before it in its block end, and its length follows from
//! the size of its set, so that memory holds no more than four bytes a row of where they are.

use std::path::Path;

use memmap2::Mmap;

use crate::block_file::{BlockFile, Place};
use crate::error::Result;
use crate::read::BLOCK;
use crate::sketch;
use crate::source;
use crate::verify::Overlap;

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// The file while the reading pass writes it.
#[derive(Debug)]
pub(crate) struct SketchFile(BlockFile);

impl SketchFile {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        BlockFile::new(folder).map(Self)
    }

    /// Write the sketches of a block, one after the other.
    pub(crate) fn write(&self, block: usize, sketches: &[u64]) -> Result<()> {
        let bytes: Vec<[u8; WORD]> = sketches.iter().map(|word| word.to_le_bytes()).collect();
        self.0.write(block, bytes.as_flattened(), sketches.len())
    }

    /// Read what was written, of rows of these sizes.
    pub(crate) fn map<'s>(&self, sizes: &'s [u32]) -> Result<Sketches<'s>> {
        let map = source::map(&self.0.file, self.0.len());
        let map = map.map_err(|source| self.0.failed(source))?;
        let mut places = Vec::with_capacity(sizes.len());
        for block in sizes.chunks(BLOCK) {
            let mut place = 0;
            for &size in block {
                places.push(place);
                place += sketch::words(size as usize) as u32;
            }
        }
        Ok(Sketches {
            map,
            blocks: self.0.places().clone(),
            places,
            sizes,
        })
    }
}

/// The sketches of all rows.
#[derive(Debug)]
pub(crate) struct Sketches<'s> {
    map: Option<Mmap>,
    blocks: Vec<Place>,
    /// Where each row's begins in those of its block, in words.
    places: Vec<u32>,
    /// Shingles of each row.
    sizes: &'s [u32],
}

impl Sketches<'_> {
    fn of(&self, row: u32) -> &[[u8; WORD]] {
        let row = row as usize;
        let words = self.map.as_deref().unwrap_or_default().as_chunks().0;
        let (block, _) = self.blocks[row / BLOCK];
        let start = block as usize / WORD + self.places[row] as usize;
        &words[start..start + sketch::words(self.sizes[row] as usize)]
    }

    /// No less than the overlap of two rows.
    pub(crate) fn at_most(&self, row: u32, other: u32) -> Overlap {
        let missing = sketch::missing(self.of(row), self.of(other));
        let (left, right) = (self.sizes[row as usize], self.sizes[other as usize]);
        Overlap::at_most((left as usize, right as usize), missing)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::shingles::mix;

    #[test]
    fn sketches_bound_the_overlap_of_any_two_rows() {
        let rows = 3 * BLOCK - 7;
        let set = |row: usize| -> BTreeSet<u64> {
            let size = mix(row as u64) as usize % 200;
            (0..size as u64)
                .map(|at| mix(at + row as u64 % 5 * 20))
                .collect()
        };
        let sets: Vec<BTreeSet<u64>> = (0..rows).map(set).collect();
        let file = SketchFile::new(&std::env::temp_dir()).expect("a temporary folder");
        for block in [1, 2, 0] {
            let mut sketches = Vec::new();
            for set in sets.chunks(BLOCK).nth(block).expect("three blocks") {
                let set: Vec<u64> = set.iter().copied().collect();
                sketch::add(&set, &mut sketches);
            }
            file.write(block, &sketches).expect("written");
        }
        let sizes: Vec<u32> = sets.iter().map(|set| set.len() as u32).collect();
        let sketches = file.map(&sizes).expect("mapped");
        let mut told = 0;
        for row in (0..rows).step_by(3) {
            let other = mix(row as u64) as usize % rows;
            let shared = sets[row].intersection(&sets[other]).count() as u32;
            let bound = sketches.at_most(row as u32, other as u32);
            assert!(shared <= bound.shared, "{row} {other}");
            assert_eq!(bound.shared + bound.united, sizes[row] + sizes[other]);
            told += u32::from(bound.shared < sizes[row].min(sizes[other]));
        }
        assert!(told > 500, "{told}");
        let nothing = SketchFile::new(&std::env::temp_dir()).expect("a temporary folder");
        nothing.map(&[]).expect("an empty file is no error");
    }
}
