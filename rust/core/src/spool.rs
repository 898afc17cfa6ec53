//! Columns of numbers that the reading pass writes, in an unnamed file: of every group those named here,
//! of every row those of [`crate::exact`].
//!
//! A group is the text of one role of one row. The columns of a block of rows stand together.

use std::ops::Range;
use std::path::Path;

use crate::block_file::BlockFile;
use crate::error::Result;

/// The row of a group, and [`KEY_GROUP`].
pub(crate) const ROW: usize = 0;
/// Hash of the group's role; 0 where no families are looked for, as in the next two.
pub(crate) const ROLE: usize = 1;
/// Hash of its tokens.
pub(crate) const TEXT: usize = 2;
/// Hash of its row's class, as narrow as a key.
pub(crate) const CLASS: usize = 3;
/// Its key in the first band; the other bands follow. Those of a row's key group are mixed with
/// CLASS by exclusive or.
pub(crate) const KEYS: usize = 4;

/// Set in ROW for the group that proposes its row's candidates.
pub(crate) const KEY_GROUP: u64 = 1 << 32;

/// Bytes of a number in each of these columns.
pub(crate) fn widths(rows: usize, bands: usize, with_families: bool) -> Vec<usize> {
    let (hash, key) = (size_of::<u64>(), key_width(rows));
    let named = if with_families {
        [hash, hash, key]
    } else {
        [0; 3]
    };
    let mut widths = vec![size_of::<u32>() + 1];
    widths.extend(named);
    widths.resize(KEYS + bands, key);
    widths
}

/// Bytes of a key with which, in a band, at most one row in a thousand meets another by chance.
fn key_width(rows: usize) -> usize {
    let is_enough = |&width: &usize| rows as u64 <= (1 << (8 * width)) / 1000;
    (4..8).find(is_enough).unwrap_or(8)
}

#[derive(Debug)]
pub(crate) struct Spool {
    file: BlockFile,
    widths: Vec<usize>,
}

impl Spool {
    /// Columns of numbers of at most so many bytes, of which a wider one loses the highest.
    pub(crate) fn new(folder: &Path, widths: Vec<usize>) -> Result<Self> {
        let file = BlockFile::new(folder)?;
        Ok(Self { file, widths })
    }

    /// Numbers a group.
    pub(crate) fn columns(&self) -> usize {
        self.widths.len()
    }

    /// Keys a group.
    pub(crate) fn bands(&self) -> usize {
        self.columns() - KEYS
    }

    /// Write the groups of one block of rows; `columns` are equally long.
    pub(crate) fn write(&self, block: usize, columns: &[Vec<u64>]) -> Result<()> {
        debug_assert_eq!(columns.len(), self.columns());
        let entries = columns[0].len();
        let length = entries * self.widths.iter().sum::<usize>();
        // A number is written whole, and what is too much of it is written over by the next one.
        let mut bytes = vec![0; length + size_of::<u64>()];
        let mut start = 0;
        for (values, &width) in columns.iter().zip(&self.widths) {
            for value in values.iter().filter(|_| width > 0) {
                bytes[start..start + size_of::<u64>()].copy_from_slice(&value.to_le_bytes());
                start += width;
            }
        }
        self.file.write(block, &bytes[..length], entries)
    }

    /// How many blocks there are.
    pub(crate) fn blocks(&self) -> usize {
        self.file.places().len()
    }

    /// How many entries each column has.
    pub(crate) fn entries(&self) -> usize {
        self.file.places().iter().map(|(_, entries)| entries).sum()
    }

    /// The blocks, in runs of at least one that together have about so many entries.
    pub(crate) fn blocks_by(&self, entries: usize) -> Vec<Range<usize>> {
        let blocks = self.file.places();
        let mut runs = Vec::new();
        let (mut start, mut sum) = (0, 0);
        for (at, (_, of_block)) in blocks.iter().enumerate() {
            sum += of_block;
            if sum >= entries || at + 1 == blocks.len() {
                runs.push(start..at + 1);
                (start, sum) = (at + 1, 0);
            }
        }
        runs
    }

    /// One column of one block.
    pub(crate) fn read(&self, block: usize, column: usize) -> Result<Vec<u64>> {
        let mut values = Vec::new();
        self.read_to(block, column, &mut values)?;
        Ok(values)
    }

    /// Add one column of one block to a list.
    pub(crate) fn read_to(&self, block: usize, column: usize, values: &mut Vec<u64>) -> Result<()> {
        let (start, entries) = self.file.places()[block];
        let width = self.widths[column];
        if width == 0 {
            values.resize(values.len() + entries, 0);
            return Ok(());
        }
        let before: usize = self.widths[..column].iter().sum();
        let length = entries * width;
        // A number is read whole, with some of the next one.
        let mut bytes = vec![0; length + size_of::<u64>()];
        let start = start + (entries * before) as u64;
        self.file.read(&mut bytes[..length], start)?;
        let mask = u64::MAX >> (u64::BITS as usize - 8 * width);
        let value = |at: usize| {
            let whole = bytes[at..].first_chunk().expect("there is room behind it");
            u64::from_le_bytes(*whole) & mask
        };
        values.extend((0..length).step_by(width).map(value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shingles::mix;

    #[test]
    fn columns_of_all_widths_are_read_as_they_were_written() {
        let folder = std::env::temp_dir();
        let spool = Spool::new(&folder, (0..=8).collect()).expect("a temporary folder");
        let column = |block: u64, width: u64| -> Vec<u64> {
            (0..block * 10)
                .map(|at| mix(at ^ block << 20 ^ width << 40))
                .collect()
        };
        for block in [2, 0, 1] {
            let columns: Vec<Vec<u64>> = (0..=8).map(|width| column(block, width)).collect();
            spool.write(block as usize, &columns).expect("written");
        }
        for block in 0..3 {
            for width in 0..=8 {
                let low = |value: u64| value & (1_u128 << (8 * width)).wrapping_sub(1) as u64;
                let expected: Vec<u64> = column(block, width).into_iter().map(low).collect();
                let found = spool.read(block as usize, width as usize).expect("read");
                assert_eq!(found, expected, "block {block}, {width} bytes");
            }
        }
        assert_eq!(spool.blocks_by(10), [0..2, 2..3]);
    }

    #[test]
    fn keys_are_as_wide_as_rows_are_many() {
        let widths = [0, 4_294_967, 4_294_968, 1_099_511_627, 1_099_511_628].map(key_width);
        assert_eq!(widths, [4, 4, 5, 5, 6]);
    }
}
