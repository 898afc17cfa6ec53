//! The shingle sets of rows, made again from the text when they are needed.
//!
//! No run holds all texts or sets. Kept rows are compared again and again, so some sets stay, within a
//! budget. Most that are asked for again are so at once: a shelf begins with little room, which stays in
//! the caches of the machine, and gets more when a row comes back that it had to put away. On a full shelf
//! any one makes room, by a draw: where more rows than fit are walked in turn, as those of a large bucket
//! are, the oldest is the one that will be asked for next.

use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

use crate::corpus::{Buffer, Corpus};
use crate::error::Result;
use crate::shingles::{RowSets, Shingler, Shingling, mix};

/// Shelves, each behind its own lock.
const SHELVES: usize = 64;

/// Rows that a shelf remembers to have put away, the last of them.
const GONE: usize = 1 << 10;

struct Shelf {
    sets: HashMap<u32, (Arc<RowSets>, usize)>,
    /// The rows of these sets, in any order.
    rows: Vec<u32>,
    bytes: usize,
    draws: u64,
    /// Bytes that there is room for, and at most.
    room: usize,
    most: usize,
    /// Rows that it had no room for, each where its number says.
    gone: Vec<Option<u32>>,
}

impl Shelf {
    fn new(room: usize, most: usize) -> Self {
        Self {
            sets: HashMap::new(),
            rows: Vec::new(),
            bytes: 0,
            draws: 0,
            room: room.min(most),
            most,
            gone: vec![None; GONE],
        }
    }

    fn put(&mut self, row: u32, sets: &Arc<RowSets>, bytes: usize) {
        if bytes > self.most || self.sets.contains_key(&row) {
            return;
        }
        if self.gone[Self::place(row)]
            .take_if(|gone| *gone == row)
            .is_some()
        {
            self.room = self.most.min(self.room + bytes);
        }
        if bytes > self.room {
            self.gone[Self::place(row)] = Some(row);
            return;
        }
        while self.bytes + bytes > self.room {
            self.draws += 1;
            let at = (mix(self.draws) % self.rows.len() as u64) as usize;
            let row = self.rows.swap_remove(at);
            let (_, bytes) = self.sets.remove(&row).expect("what is listed is there");
            self.gone[Self::place(row)] = Some(row);
            self.bytes -= bytes;
        }
        self.sets.insert(row, (Arc::clone(sets), bytes));
        self.rows.push(row);
        self.bytes += bytes;
    }

    fn place(row: u32) -> usize {
        row as usize / SHELVES % GONE
    }
}

pub(crate) struct SetCache<'a> {
    corpus: &'a Corpus,
    shingling: Shingling,
    /// What reads rows: as many as were ever needed at a time.
    readers: Mutex<Vec<(Buffer, Shingler)>>,
    shelves: Vec<Mutex<Shelf>>,
}

impl<'a> SetCache<'a> {
    /// With room for the `first` bytes, and for `most` of them where they are needed.
    pub(crate) fn new(corpus: &'a Corpus, shingling: Shingling, first: u64, most: u64) -> Self {
        let a_shelf = |bytes: u64| bytes as usize / SHELVES;
        let shelf = |_| Mutex::new(Shelf::new(a_shelf(first), a_shelf(most)));
        let shelves = (0..SHELVES).map(shelf).collect();
        Self {
            corpus,
            shingling,
            readers: Mutex::default(),
            shelves,
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
        held.put(row, &sets, bytes);
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
        let (mut shelf, sets) = (Shelf::new(1100, 1100), Arc::new(RowSets::default()));
        let mut found = 0;
        for turn in 0..20 {
            for row in 0..200 {
                found += u32::from(turn > 0 && shelf.sets.contains_key(&row));
                shelf.put(row, &sets, 10 + row as usize % 3);
                assert!(shelf.bytes <= 1100);
                assert_eq!(shelf.rows.len(), shelf.sets.len());
            }
        }
        let held: usize = shelf.sets.values().map(|(_, bytes)| bytes).sum();
        assert_eq!(held, shelf.bytes);
        assert!(found > 600, "{found} of 3800");
        shelf.put(300, &sets, 1101);
        assert!(!shelf.sets.contains_key(&300));
    }

    #[test]
    fn a_shelf_gets_room_for_rows_that_come_back_and_no_others() {
        let sets = Arc::new(RowSets::default());
        let mut shelf = Shelf::new(1000, 9000);
        for row in (0..100_000).map(|row| row * SHELVES as u32) {
            shelf.put(row, &sets, 90);
        }
        assert_eq!((shelf.room, shelf.sets.len()), (1000, 11));
        let mut shelf = Shelf::new(1000, 9000);
        for row in (0..9000).map(|at| at % 90 * SHELVES as u32) {
            shelf.put(row, &sets, 90);
        }
        assert!(shelf.sets.len() > 80, "{}", shelf.sets.len());
        for _ in 0..3 {
            shelf.put(9999, &sets, 8000);
        }
        assert!(
            shelf.sets.contains_key(&9999) && shelf.room <= 9000,
            "{}",
            shelf.room
        );
    }
}
