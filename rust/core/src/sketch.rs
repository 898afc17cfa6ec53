//! Sketches of sets: a few bits an element, which tell of most pairs that they cannot be alike.
//!
//! Bands propose many pairs that are somewhat alike, and to count what two sets share takes a walk
//! along both. A bit that one sketch has and the other lacks stands for at least one element that the
//! other set lacks. So a sketch bounds what is shared from above, and never decides alone.

/// A bit for the elements that fall on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sketch(Box<[u64]>);

/// Elements a word, at most: 4 to 8 bits each.
const ELEMENTS: usize = 16;
/// Words of a sketch that is kept for every row, at most: of longer texts it tells less, and at last
/// nothing.
const WORDS_KEPT: usize = 512;

impl Sketch {
    /// The sketch of a set of hashes.
    pub(crate) fn of(elements: &[u64]) -> Self {
        let words = elements.len().div_ceil(ELEMENTS).next_power_of_two();
        let mut bits = vec![0; words].into_boxed_slice();
        draw(elements, &mut bits);
        Self(bits)
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// At least so many elements of either set are not in the other one.
    pub(crate) fn missing(&self, other: &Self) -> (usize, usize) {
        missing(&self.0, &other.0)
    }
}

/// Words of the sketch that is kept of so many elements; none of nothing.
pub(crate) fn words(elements: usize) -> usize {
    match elements {
        0 => 0,
        _ => elements
            .div_ceil(ELEMENTS)
            .min(WORDS_KEPT)
            .next_power_of_two(),
    }
}

/// Add the sketch of a set that is kept to others.
pub(crate) fn add(elements: &[u64], sketches: &mut Vec<u64>) {
    let start = sketches.len();
    sketches.resize(start + words(elements.len()), 0);
    draw(elements, &mut sketches[start..]);
}

fn draw(elements: &[u64], bits: &mut [u64]) {
    for &element in elements {
        let word = (element >> 32) as usize & (bits.len() - 1);
        bits[word] |= 1 << (element & 63);
    }
}

/// A word of a sketch, in memory or as it stands in a file.
pub(crate) trait Word: Copy {
    fn bits(self) -> u64;
}

impl Word for u64 {
    fn bits(self) -> u64 {
        self
    }
}

impl Word for [u8; size_of::<u64>()] {
    fn bits(self) -> u64 {
        u64::from_le_bytes(self)
    }
}

/// At least so many elements of either set are not in the other one.
pub(crate) fn missing<W: Word>(one: &[W], other: &[W]) -> (usize, usize) {
    // A longer sketch folds into a shorter one: a word falls on that of its lowest bits.
    let is_shorter = one.len() < other.len();
    let (long, short) = if is_shorter {
        (other, one)
    } else {
        (one, other)
    };
    let (mut of_long, mut of_short) = (0_u32, 0_u32);
    for (at, short) in short.iter().enumerate() {
        let folded = long[at..].iter().step_by(one.len().min(other.len()));
        let long = folded.fold(0, |all, word| all | word.bits());
        let short = short.bits();
        of_long = of_long.wrapping_add((long & !short).count_ones());
        of_short = of_short.wrapping_add((short & !long).count_ones());
    }
    let (of_long, of_short) = (of_long as usize, of_short as usize);
    if is_shorter {
        (of_short, of_long)
    } else {
        (of_long, of_short)
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
        fn no_more_is_missing_than_is(
            left in prop::collection::btree_set(0_u64..600, 0..300),
            right in prop::collection::btree_set(0_u64..600, 0..300),
        ) {
            let hashes = |set: &BTreeSet<u64>| -> Vec<u64> { set.iter().copied().map(mix).collect() };
            let (one, other) = (Sketch::of(&hashes(&left)), Sketch::of(&hashes(&right)));
            let (of_left, of_right) = one.missing(&other);
            prop_assert!(of_left <= left.difference(&right).count());
            prop_assert!(of_right <= right.difference(&left).count());
            prop_assert_eq!(other.missing(&one), (of_right, of_left));
        }
    }

    #[test]
    fn most_of_what_is_missing_is_seen() {
        let left: Vec<u64> = (0..300).map(mix).collect();
        let right: Vec<u64> = (60..360).map(mix).collect();
        let (of_left, of_right) = Sketch::of(&left).missing(&Sketch::of(&right));
        assert!(of_left > 45 && of_right > 45, "{of_left} {of_right}");
    }

    #[test]
    fn of_long_texts_a_short_sketch_is_kept() {
        let set = |from: u64, size: u64| -> Vec<u64> { (from..from + size).map(mix).collect() };
        let mut told = Vec::new();
        for (one, other) in [((0, 20_000), (4_000, 20_000)), ((0, 90_000), (10, 300))] {
            let (one, other) = (set(one.0, one.1), set(other.0, other.1));
            let (mut left, mut right) = (Vec::new(), Vec::new());
            add(&one, &mut left);
            add(&other, &mut right);
            assert_eq!(left.len(), WORDS_KEPT);
            let is_in = |list: &[u64], element: &u64| list.contains(element);
            let lacks = |list: &[u64], of: &[u64]| {
                let few = of.iter().step_by(of.len() / 300);
                few.filter(|element| !is_in(list, element)).count() * (of.len() / 300)
            };
            let (of_left, of_right) = missing(&left, &right);
            assert!(of_left <= lacks(&other, &one) + 300 && of_right <= lacks(&one, &other) + 300);
            told.push((of_left, of_right));
        }
        assert!(told[0].0 > 1000, "{told:?}");
        assert_eq!(told[1].1, 0); // all of the shorter one is in the longer one
    }
}
