//! The shingle sets of rows, made again from the text when they are needed.
//!
//! No run holds all texts or sets. Kept rows are compared again and again, so some sets stay, within a
//! budget. On a full shelf any one makes room, by a draw: where more rows than fit are walked in turn,
//! as those of a large bucket are, the oldest is the one that will be asked for next.

use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

use crate::corpus::{Buffer, Corpus};
use crate::error::Result;
use crate::shingles::{RowSets, Shingler, Shingling, mix};

/// Shelves, each behind its own lock.
const SHELVES: usize = 64;

#[derive(Default)]
struct Shelf {
    sets: HashMap<u32, (Arc<RowSets>, usize)>,
    /// The rows of these sets, in any order.
    rows: Vec<u32>,
    bytes: usize,
    draws: u64,
}

impl Shelf {
    fn put(&mut self, row: u32, sets: &Arc<RowSets>, bytes: usize, room: usize) {
        if bytes > room || self.sets.contains_key(&row) {
            return;
        }
        while self.bytes + bytes > room {
            self.draws += 1;
            let at = (mix(self.draws) % self.rows.len() as u64) as usize;
            let gone = self.sets.remove(&self.rows.swap_remove(at));
            self.bytes -= gone.expect("what is listed is there").1;
        }
        self.sets.insert(row, (Arc::clone(sets), bytes));
        self.rows.push(row);
        self.bytes += bytes;
    }
}

pub(crate) struct SetCache<'a> {
    corpus: &'a Corpus,
    shingling: Shingling,
    /// What reads rows: as many as were ever needed at a time.
    readers: Mutex<Vec<(Buffer, Shingler)>>,
    shelves: Vec<Mutex<Shelf>>,
    bytes_a_shelf: usize,
}

impl<'a> SetCache<'a> {
    pub(crate) fn new(corpus: &'a Corpus, shingling: Shingling, bytes: u64) -> Self {
        let shelves = (0..SHELVES).map(|_| Mutex::default()).collect();
        Self {
            corpus,
            shingling,
            readers: Mutex::default(),
            shelves,
            bytes_a_shelf: bytes as usize / SHELVES,
        }
    }

    /// The sets of a row.
    pub(crate) fn get(&self, row: u32) -> Result<Arc<RowSets>> {
        let place = &self.shelves[row as usize % SHELVES];
        let held = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((sets, _)) = held.sets.get(&row) {
            return Ok(Arc::clone(sets));
        }
        drop(held);
        let sets = Arc::new(self.read(row)?);
        let bytes = 256 + sets.groups.iter().map(|group| group.bytes()).sum::<usize>();
        let mut held = place.lock().unwrap_or_else(PoisonError::into_inner);
        held.put(row, &sets, bytes, self.bytes_a_shelf);
        drop(held);
        Ok(sets)
    }

    /// The sets of a row that is not needed again soon.
    pub(crate) fn read(&self, row: u32) -> Result<RowSets> {
        let idle = || self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reader = idle().pop().unwrap_or_default();
        let (buffer, shingler) = &mut reader;
        let read = self.corpus.read_again(row as usize, buffer)?;
        let sets = shingler.sets(&read.parts, self.shingling);
        reader.0.rest();
        idle().push(reader);
        Ok(sets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shelf_holds_what_it_has_room_for_and_some_of_what_is_walked_in_turn() {
        let (mut shelf, sets) = (Shelf::default(), Arc::new(RowSets::default()));
        let mut found = 0;
        for turn in 0..20 {
            for row in 0..200 {
                found += u32::from(turn > 0 && shelf.sets.contains_key(&row));
                shelf.put(row, &sets, 10 + row as usize % 3, 1100);
                assert!(shelf.bytes <= 1100);
                assert_eq!(shelf.rows.len(), shelf.sets.len());
            }
        }
        let held: usize = shelf.sets.values().map(|(_, bytes)| bytes).sum();
        assert_eq!(held, shelf.bytes);
        assert!(found > 600, "{found} of 3800");
        shelf.put(300, &sets, 1101, 1100);
        assert!(!shelf.sets.contains_key(&300));
    }
}
