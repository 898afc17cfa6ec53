//! An unnamed file to which threads add what they found, a block of rows at a time.
//!
//! Blocks end in any order, so each stands wherever the file ended, and memory holds two numbers a block.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// Where a block begins, and how many entries it has.
pub(crate) type Place = (u64, usize);

#[derive(Debug)]
pub(crate) struct BlockFile {
    pub file: File,
    folder: PathBuf,
    end: AtomicU64,
    places: Mutex<Vec<Place>>,
}

impl BlockFile {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let folder = folder.to_owned();
        match tempfile::tempfile_in(&folder) {
            Ok(file) => Ok(Self {
                file,
                folder,
                end: AtomicU64::new(0),
                places: Mutex::default(),
            }),
            Err(source) => Err(Error::Write {
                path: folder,
                source,
            }),
        }
    }

    /// Add a block.
    pub(crate) fn write(&self, block: usize, bytes: &[u8], entries: usize) -> Result<()> {
        let start = self.end.fetch_add(bytes.len() as u64, Relaxed);
        self.file
            .write_all_at(bytes, start)
            .map_err(|source| self.failed(source))?;
        let mut places = self.places();
        if places.len() <= block {
            places.resize(block + 1, (0, 0));
        }
        places[block] = (start, entries);
        Ok(())
    }

    /// Fill `bytes` with what stands at an offset.
    pub(crate) fn read(&self, bytes: &mut [u8], start: u64) -> Result<()> {
        let read = self.file.read_exact_at(bytes, start);
        read.map_err(|source| self.failed(source))
    }

    /// The places of all blocks; one that was not added has no entries.
    pub(crate) fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> u64 {
        self.end.load(Relaxed)
    }

    pub(crate) fn failed(&self, source: std::io::Error) -> Error {
        Error::Write {
            path: self.folder.clone(),
            source,
        }
    }
}
