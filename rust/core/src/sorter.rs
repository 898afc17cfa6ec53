//! Sets of hashes, made out of lists.
//!
//! Hashes are spread evenly, so their bits tell nearly where each will stand, and where its like would be
//! met. Where they are not, as nobody but an attacker would have it, an ordinary sort does it all.

/// Makes sets of hashes; keeps its buffers between calls.
#[derive(Debug, Default)]
pub(crate) struct Sorter {
    /// What a set is made of.
    pub list: Vec<u64>,
    table: Vec<u64>,
    waiting: Vec<u64>,
    ends: Vec<u32>,
    sorted: Vec<u64>,
}

impl Sorter {
    /// Numbers of elements of which this is faster than an ordinary sort: few enough for the counts
    /// to stay in the cache.
    const WORTH: std::ops::Range<usize> = 48..1 << 15;
    /// So many moves an element are worth it, to put those in order that begin with the same bits.
    const MOVES: usize = 4;
    /// Elements for which memory is kept from list to list; longer ones are sorted.
    const KEPT: usize = 1 << 18;
    /// The lowest of the bits by which elements look, time after time.
    const LOOKS: [u32; 3] = [0, 20, 40];

    /// Forget the list, and most of the memory of a long one.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.list.shrink_to(Self::KEPT);
    }

    /// Leave each element of the list in it once, in any order.
    ///
    /// Each looks at one place of a table: an empty one it takes, where an equal one stands it is left out,
    /// and where another does it waits, to look again by others of its bits. Nothing here waits for a guess
    /// at a jump.
    pub(crate) fn distinct(&mut self) -> &[u64] {
        let Self {
            list,
            table,
            waiting,
            ..
        } = self;
        // In the table, a zero is an empty place.
        if list.len() > Self::KEPT || list.contains(&0) {
            list.sort_unstable();
            list.dedup();
            return list;
        }
        waiting.clear();
        waiting.extend_from_slice(list);
        let (mut end, mut count) = (0, list.len());
        for bits in Self::LOOKS {
            let places = (2 * count).next_power_of_two();
            table.clear();
            table.resize(places, 0);
            let table = &mut table[..places];
            for at in 0..std::mem::take(&mut count) {
                let element = waiting[at];
                let place = &mut table[(element >> bits) as usize & (places - 1)];
                let (is_empty, is_same) = (*place == 0, *place == element);
                *place = if is_empty { element } else { *place };
                (list[end], waiting[count]) = (element, element);
                end += usize::from(is_empty);
                count += usize::from(is_empty == is_same); // neither, for they are never both
            }
        }
        let left = &mut waiting[..count];
        left.sort_unstable();
        list.truncate(end);
        let same = left.chunk_by(|left, right| left == right);
        list.extend(same.map(|same| same[0]));
        list
    }

    /// The elements of the list: sorted, each once.
    pub(crate) fn set(&mut self) -> Vec<u64> {
        let mut sorted = std::mem::take(&mut self.sorted);
        sorted.resize(self.list.len(), 0);
        if !Self::WORTH.contains(&sorted.len()) || !self.sort_into(&mut sorted) {
            sorted.copy_from_slice(&self.list);
            sorted.sort_unstable();
        }
        sorted.dedup();
        if self.list.len() > Self::KEPT {
            self.clear();
            sorted.shrink_to_fit();
            return sorted;
        }
        let set = sorted.clone(); // of no more memory than it needs
        self.sorted = sorted;
        set
    }

    fn sort_into(&mut self, sorted: &mut [u64]) -> bool {
        // Two buckets an element: to look at an empty one costs less than to guess wrong.
        let bits = sorted.len().ilog2() + 1;
        let bucket = |element: u64| (element >> (u64::BITS - bits)) as usize;
        self.ends.clear();
        self.ends.resize(1 << bits, 0);
        for &element in &self.list {
            self.ends[bucket(element)] += 1;
        }
        let mut end = 0;
        for count in &mut self.ends {
            end += *count;
            *count = end;
        }
        for &element in &self.list {
            let place = &mut self.ends[bucket(element)];
            *place -= 1;
            sorted[*place as usize] = element;
        }
        let mut moves = Self::MOVES * sorted.len();
        for at in 1..sorted.len() {
            let element = sorted[at];
            let mut place = at;
            while place > 0 && sorted[place - 1] > element {
                sorted[place] = sorted[place - 1];
                place -= 1;
            }
            sorted[place] = element;
            let Some(left) = moves.checked_sub(at - place) else {
                return false;
            };
            moves = left;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::shingles::mix;

    proptest! {
        #[test]
        fn a_set_is_sorted_and_holds_each_once(
            size in 0..3000_usize,
            same in 1..200_u64,
            cut in prop::sample::select(vec![0, 0, 30, 56]),
        ) {
            let hash = |at: u64| mix(at % (size as u64 / same + 1)) >> cut;
            let list: Vec<u64> = (0..size as u64).map(hash).collect();
            let expected: BTreeSet<u64> = list.iter().copied().collect();
            let expected: Vec<u64> = expected.into_iter().collect();
            let mut sorter = Sorter { list: list.clone(), ..Sorter::default() };
            let mut distinct = sorter.distinct().to_vec();
            distinct.sort_unstable();
            prop_assert_eq!(&distinct, &expected);
            sorter.list = list;
            prop_assert_eq!(sorter.set(), expected);
        }

        #[test]
        fn one_element_that_comes_twice_is_found(
            size in 2..2000_usize,
            seed: u64,
            first: prop::sample::Index,
            second: prop::sample::Index,
        ) {
            let mut list: Vec<u64> = (0..size as u64).map(|at| mix(at ^ seed)).collect();
            list[first.index(size)] = list[second.index(size)];
            let distinct = usize::from(first.index(size) == second.index(size)) + size - 1;
            let mut sorter = Sorter { list, ..Sorter::default() };
            prop_assert_eq!(sorter.distinct().len(), distinct);
        }
    }

    #[test]
    fn a_set_takes_no_more_memory_than_it_needs() {
        for size in [100, 3 * Sorter::KEPT] {
            let list = vec![7; size];
            let mut sorter = Sorter {
                list,
                ..Sorter::default()
            };
            let set = sorter.set();
            assert_eq!((&*set, set.capacity()), (&[7][..], 1), "of {size}");
        }
    }
}
