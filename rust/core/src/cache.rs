//! The shingle sets of rows, made again from the text when they are needed.
//!
//! No run holds all texts or sets. Kept rows are compared again and again, so a few sets stay,
//! within a budget: a full shelf is emptied, since what is still wanted comes back at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::corpus::{Buffer, Corpus};
use crate::error::Result;
use crate::shingles::{RowSets, Shingler, Shingling};

/// Shelves, each behind its own lock.
const SHELVES: usize = 64;

#[derive(Default)]
struct Shelf {
    sets: HashMap<u32, Arc<RowSets>>,
    bytes: usize,
}

pub(crate) struct SetCache<'a> {
    corpus: &'a Corpus,
    shingling: Shingling,
    /// As many as were ever needed at a time.
    shinglers: Mutex<Vec<Shingler>>,
    shelves: Vec<Mutex<Shelf>>,
    bytes_a_shelf: usize,
}

impl<'a> SetCache<'a> {
    pub(crate) fn new(corpus: &'a Corpus, shingling: Shingling, bytes: u64) -> Self {
        let shelves = (0..SHELVES).map(|_| Mutex::default()).collect();
        Self {
            corpus,
            shingling,
            shinglers: Mutex::default(),
            shelves,
            bytes_a_shelf: bytes as usize / SHELVES,
        }
    }

    /// The sets of a row.
    pub(crate) fn get(&self, row: u32) -> Result<Arc<RowSets>> {
        let place = &self.shelves[row as usize % SHELVES];
        let held = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sets) = held.sets.get(&row) {
            return Ok(Arc::clone(sets));
        }
        drop(held);
        let sets = Arc::new(self.read(row)?);
        let bytes = 256 + sets.groups.iter().map(|group| group.bytes()).sum::<usize>();
        let mut held = place.lock().unwrap_or_else(PoisonError::into_inner);
        if held.bytes + bytes > self.bytes_a_shelf {
            *held = Shelf::default();
        }
        if bytes <= self.bytes_a_shelf {
            let made_twice = held.sets.insert(row, Arc::clone(&sets)).is_some();
            held.bytes += if made_twice { 0 } else { bytes };
        }
        Ok(sets)
    }

    /// The sets of a row that is not needed again soon.
    pub(crate) fn read(&self, row: u32) -> Result<RowSets> {
        let mut buffer = Buffer::default();
        let read = self.corpus.read_again(row as usize, &mut buffer)?;
        let idle = || {
            self.shinglers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let mut shingler = idle().pop().unwrap_or_default();
        let sets = shingler.sets(&read.parts, self.shingling);
        idle().push(shingler);
        Ok(sets)
    }
}
