//! Columns of numbers that the reading pass writes, in an unnamed file: of every group those named here,
//! of every row those of [`crate::exact`].
//!
//! A group is the text of one role of one row. Blocks of rows are read in parallel and end in any
//! order, so each block's columns stand together, wherever the file ended. Memory holds one number
//! a block.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// The row of a group, and [`KEY_GROUP`].
pub(crate) const ROW: usize = 0;
/// Hash of the group's role.
pub(crate) const ROLE: usize = 1;
/// Hash of its tokens.
pub(crate) const TEXT: usize = 2;
/// Hash of its row's class.
pub(crate) const CLASS: usize = 3;
/// Its key in the first band; the other bands follow. Those of a row's key group are mixed with
/// CLASS by exclusive or.
pub(crate) const KEYS: usize = 4;

/// Set in ROW for the group that proposes its row's candidates.
pub(crate) const KEY_GROUP: u64 = 1 << 63;

#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    folder: PathBuf,
    columns: usize,
    end: AtomicU64,
    /// Where each block begins, and how many entries its columns have.
    blocks: Mutex<Vec<(u64, usize)>>,
}

impl Spool {
    pub(crate) fn new(folder: &Path, columns: usize) -> Result<Self> {
        let file = tempfile::tempfile_in(folder);
        let file = file.map_err(|source| Error::Write {
            path: folder.to_owned(),
            source,
        })?;
        Ok(Self {
            file,
            folder: folder.to_owned(),
            columns,
            end: AtomicU64::new(0),
            blocks: Mutex::default(),
        })
    }

    /// Numbers a group.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Keys a group.
    pub(crate) fn bands(&self) -> usize {
        self.columns - KEYS
    }

    /// Write the groups of one block of rows; `columns` are equally long.
    pub(crate) fn write(&self, block: usize, columns: &[Vec<u64>]) -> Result<()> {
        debug_assert_eq!(columns.len(), self.columns);
        let mut bytes = vec![0; columns[0].len() * columns.len() * size_of::<u64>()];
        let (places, _) = bytes.as_chunks_mut();
        for (place, value) in places.iter_mut().zip(columns.iter().flatten()) {
            *place = value.to_le_bytes();
        }
        let start = self.end.fetch_add(bytes.len() as u64, Relaxed);
        self.file
            .write_all_at(&bytes, start)
            .map_err(|source| self.failed(source))?;
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.len() <= block {
            blocks.resize(block + 1, (0, 0));
        }
        blocks[block] = (start, columns[0].len());
        Ok(())
    }

    /// How many blocks there are.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// The blocks, in runs of at least one that together have about so many entries.
    pub(crate) fn blocks_by(&self, entries: usize) -> Vec<Range<usize>> {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
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
        let (start, entries) = self.blocks.lock().unwrap_or_else(PoisonError::into_inner)[block];
        let mut bytes = vec![0; entries * size_of::<u64>()];
        let start = start + (column * bytes.len()) as u64;
        self.file
            .read_exact_at(&mut bytes, start)
            .map_err(|source| self.failed(source))?;
        let (places, _) = bytes.as_chunks();
        values.extend(places.iter().copied().map(u64::from_le_bytes));
        Ok(())
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Write {
            path: self.folder.clone(),
            source,
        }
    }
}
