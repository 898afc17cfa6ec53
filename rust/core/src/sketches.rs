//! A sketch of every row, in an unnamed file: it tells of most candidates that they are not alike before
//! any text is read again.
//!
//! A row's sketch stands where those of the rows before it in its block end, and its length follows from
//! the size of its set, so that memory holds no more than four bytes a row of where they are.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use memmap2::Mmap;

use crate::error::{Error, Result};
use crate::read::BLOCK;
use crate::sketch;
use crate::source;
use crate::verify::Overlap;

/// The file while the reading pass writes it; blocks of rows end in any order.
#[derive(Debug)]
pub(crate) struct SketchFile {
    file: File,
    folder: PathBuf,
    end: AtomicU64,
    /// Where each block begins, in words.
    blocks: Mutex<Vec<u64>>,
}

impl SketchFile {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let folder = folder.to_owned();
        match tempfile::tempfile_in(&folder) {
            Ok(file) => Ok(Self {
                file,
                folder,
                end: AtomicU64::new(0),
                blocks: Mutex::default(),
            }),
            Err(source) => Err(Error::Write {
                path: folder,
                source,
            }),
        }
    }

    /// Write the sketches of a block, one after the other.
    pub(crate) fn write(&self, block: usize, sketches: &[u64]) -> Result<()> {
        let start = self.end.fetch_add(sketches.len() as u64, Relaxed);
        let mut bytes = vec![0; size_of_val(sketches)];
        for (to, word) in bytes.as_chunks_mut().0.iter_mut().zip(sketches) {
            *to = word.to_le_bytes();
        }
        self.file
            .write_all_at(&bytes, start * size_of::<u64>() as u64)
            .map_err(|source| self.failed(source))?;
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let length = blocks.len().max(block + 1);
        blocks.resize(length, 0);
        blocks[block] = start;
        Ok(())
    }

    /// Read what was written, of rows of these sizes.
    pub(crate) fn map<'s>(&self, sizes: &'s [u32]) -> Result<Sketches<'s>> {
        let bytes = self.end.load(Relaxed) * size_of::<u64>() as u64;
        let map = source::map(&self.file, bytes).map_err(|source| self.failed(source))?;
        let mut places = Vec::with_capacity(sizes.len());
        for block in sizes.chunks(BLOCK) {
            let mut place = 0;
            for &size in block {
                places.push(place);
                place += sketch::words(size as usize) as u32;
            }
        }
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Sketches {
            map,
            blocks: blocks.clone(),
            places,
            sizes,
        })
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Write {
            path: self.folder.clone(),
            source,
        }
    }
}

/// The sketches of all rows.
#[derive(Debug)]
pub(crate) struct Sketches<'s> {
    map: Option<Mmap>,
    blocks: Vec<u64>,
    /// Where each row's begins in those of its block, in words.
    places: Vec<u32>,
    /// Shingles of each row.
    sizes: &'s [u32],
}

impl Sketches<'_> {
    fn of(&self, row: u32) -> &[[u8; size_of::<u64>()]] {
        let row = row as usize;
        let words = self.map.as_deref().unwrap_or_default().as_chunks().0;
        let start = self.blocks[row / BLOCK] as usize + self.places[row] as usize;
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
