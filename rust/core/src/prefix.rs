//! Prefix filter: which sets may be alike, with no pair missed.
//!
//! Order the elements of every set in one way. If two sets reach the threshold, the smaller set's
//! *prefix*, all but as many of the last elements as it could lack, meets that of the larger
//! (Chaudhuri, Ganti and Kaushik 2006). With rare elements first, few other sets share a prefix
//! element.
//!
//! What a reader would get wrong: any order is right, so elements are counted in a table of hashes,
//! in which some share a place; a wrong count costs time, and no pair.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rayon::prelude::*;

use crate::error::Result;
use crate::watch::Watch;

/// Places in the table of counts.
const PLACES: usize = 1 << 20;

/// Sorted pairs of a prefix element, as a key, and the set it is of. Sets that may be alike share a
/// key.
///
/// `with` calls back with the elements of a set, each once, and a class: sets of different classes
/// share no key.
pub(crate) fn entries(
    ids: &[u32],
    with: impl Fn(u32, &mut dyn FnMut(&[u64], u64)) -> Result<()> + Sync,
    threshold_millis: u32,
    watch: &Watch,
) -> Result<Vec<(u64, u32)>> {
    let counts: Vec<AtomicU32> = (0..PLACES).map(|_| AtomicU32::new(0)).collect();
    let place = |element: u64| &counts[(element >> 44) as usize];
    ids.par_iter().try_for_each(|&id| {
        watch.check()?;
        with(id, &mut |elements, _| {
            for &element in elements {
                place(element).fetch_add(1, Relaxed);
            }
        })
    })?;
    let of_set = |&id: &u32| {
        watch.check()?;
        let mut keys = Vec::new();
        with(id, &mut |elements, class| {
            let mut ordered: Vec<(u32, u64)> = elements
                .iter()
                .map(|&element| (place(element).load(Relaxed), element))
                .collect();
            let least = (elements.len() * threshold_millis as usize).div_ceil(1000);
            let prefix = elements.len() + 1 - least;
            if prefix < ordered.len() {
                ordered.select_nth_unstable(prefix);
            }
            keys.extend(
                ordered[..prefix.min(ordered.len())]
                    .iter()
                    .map(|&(_, element)| (element ^ class, id)),
            );
        })?;
        Ok(keys)
    };
    let lists: Vec<Vec<(u64, u32)>> = ids.par_iter().map(of_set).collect::<Result<_>>()?;
    let mut entries = lists.concat();
    drop(lists);
    entries.par_sort_unstable();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::bands::buckets;
    use crate::shingles::mix;

    proptest! {
        #[test]
        fn no_alike_pair_is_missed(
            sets in prop::collection::vec(prop::collection::btree_set(0_u64..25, 1..20), 2..12),
            millis in 1_u32..=1000,
        ) {
            let elements = |id: u32| -> Vec<u64> { sets[id as usize].iter().map(|&element| mix(element)).collect() };
            let ids: Vec<u32> = (0..sets.len() as u32).collect();
            let with = |id, found: &mut dyn FnMut(&[u64], u64)| { found(&elements(id), 7); Ok(()) };
            let entries = entries(&ids, with, millis, &Watch::default()).expect("does not stop");
            let proposed: BTreeSet<(u32, u32)> = buckets(&entries)
                .flat_map(|bucket| bucket.iter().flat_map(|&(_, left)| bucket.iter().map(move |&(_, right)| (left, right))))
                .collect();
            for (at, left) in sets.iter().enumerate() {
                for (other, right) in sets.iter().enumerate().take(at) {
                    let (shared, united) = (left.intersection(right).count(), left.union(right).count());
                    if shared * 1000 >= millis as usize * united {
                        prop_assert!(proposed.contains(&(at as u32, other as u32)));
                    }
                }
            }
        }
    }
}
