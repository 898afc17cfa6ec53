//! Verification: the exact similarity of two rows, which alone decides.
//!
//! Integers throughout: `shared * 1000 >= threshold_millis * united`. Where a sketch shows that a pair
//! cannot reach it ([`crate::sketch`]), the sets are not looked at.

use std::sync::Arc;

use crate::shingles::{Group, RowSets};

/// How alike two sets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// Elements in both.
    pub shared: u32,
    /// Elements in either.
    pub united: u32,
}

impl Overlap {
    /// Compare two sorted sets.
    #[must_use]
    pub fn of(left: &[u64], right: &[u64]) -> Self {
        let shared = count_shared(left, right, 0).unwrap_or(0);
        Self::new(left.len(), right.len(), shared)
    }

    fn new(left: usize, right: usize, shared: usize) -> Self {
        Self {
            shared: shared as u32,
            united: (left + right - shared) as u32,
        }
    }

    /// No less than that of two sets of these sizes that miss at least so many elements of each other.
    pub(crate) fn at_most((left, right): (usize, usize), missing: (usize, usize)) -> Self {
        Self::new(left, right, (left - missing.0).min(right - missing.1))
    }

    /// Is the similarity at least this? Two empty sets are alike.
    #[must_use]
    pub fn reaches(self, threshold_millis: u32) -> bool {
        u64::from(self.shared) * 1000 >= u64::from(threshold_millis) * u64::from(self.united)
    }

    pub(crate) fn is_less_than(self, other: Self) -> bool {
        u64::from(self.shared) * u64::from(other.united)
            < u64::from(other.shared) * u64::from(self.united)
    }
}

/// If two rows are alike in every group: the overlap of the least similar one, the first of equals
/// in `row`'s order.
#[must_use]
pub fn near_duplicate(row: &RowSets, earlier: &RowSets, threshold_millis: u32) -> Option<Overlap> {
    if row.class != earlier.class || row.groups.len() != earlier.groups.len() {
        return None;
    }
    let mut least: Option<Overlap> = None;
    for (at, group) in row.groups.iter().enumerate() {
        let other = counterpart(earlier, at, group)?;
        let overlap = overlap(group, other, threshold_millis)?;
        if least.is_none_or(|least| overlap.is_less_than(least)) {
            least = Some(overlap);
        }
    }
    least
}

/// The overlap of two groups that reach the threshold.
fn overlap(group: &Group, other: &Group, threshold_millis: u32) -> Option<Overlap> {
    let (left, right) = (group.shingles.len(), other.shingles.len());
    if group.is_same_text(other) {
        return Some(Overlap::new(left, right, left));
    }
    if !at_most(group, other).reaches(threshold_millis) {
        return None;
    }
    let needed = least_shared(left, right, threshold_millis);
    let shared = count_shared(&group.shingles, &other.shingles, needed)?;
    Some(Overlap::new(left, right, shared))
}

/// No less than the overlap of two groups.
pub(crate) fn at_most(group: &Group, other: &Group) -> Overlap {
    let sizes = (group.shingles.len(), other.shingles.len());
    Overlap::at_most(sizes, group.sketch.missing(&other.sketch))
}

/// The overlap of two groups.
pub(crate) fn exactly(group: &Group, other: &Group) -> Overlap {
    if group.is_same_text(other) {
        let size = group.shingles.len();
        return Overlap::new(size, size, size);
    }
    Overlap::of(&group.shingles, &other.shingles)
}

/// Do two groups of one role reach the threshold?
#[must_use]
pub fn are_alike(group: &Group, other: &Group, threshold_millis: u32) -> bool {
    let (left, right) = (group.shingles.len(), other.shingles.len());
    sizes_allow(left as u32, right as u32, threshold_millis)
        && overlap(group, other, threshold_millis).is_some()
}

/// The overlap in each group of `earlier`, by a way to find it; None if the rows can never be alike.
pub(crate) fn by_group(
    row: &RowSets,
    earlier: &RowSets,
    overlap: fn(&Group, &Group) -> Overlap,
) -> Option<Vec<Overlap>> {
    if row.class != earlier.class || row.groups.len() != earlier.groups.len() {
        return None;
    }
    let groups = earlier.groups.iter().enumerate();
    groups
        .map(|(at, group)| Some(overlap(group, counterpart(row, at, group)?)))
        .collect()
}

/// The overlap in each group, by role; empty where all roles are one group.
#[must_use]
pub fn by_role(row: &RowSets, witness: &RowSets) -> Vec<(Arc<str>, Overlap)> {
    let of_group = |(at, group): (usize, &Arc<Group>)| {
        let role = group.role.clone()?;
        let other = counterpart(witness, at, group);
        let other = other.map_or(&[][..], |other| &other.shingles);
        Some((role, Overlap::of(&group.shingles, other)))
    };
    row.groups.iter().enumerate().filter_map(of_group).collect()
}

/// The group of the same role; in most rows it stands at the same place.
fn counterpart<'s>(sets: &'s RowSets, at: usize, group: &Group) -> Option<&'s Arc<Group>> {
    let is_same = |other: &&Arc<Group>| other.role == group.role;
    let there = sets.groups.get(at).filter(is_same);
    there.or_else(|| sets.groups.iter().find(is_same))
}

/// Could sets of these sizes be alike at all?
#[must_use]
pub fn sizes_allow(left: u32, right: u32, threshold_millis: u32) -> bool {
    u64::from(left.min(right)) * 1000 >= u64::from(left.max(right)) * u64::from(threshold_millis)
}

/// The fewest shared elements with which `shared * 1000 >= millis * (left + right - shared)`.
fn least_shared(left: usize, right: usize, threshold_millis: u32) -> usize {
    let millis = threshold_millis as usize;
    (millis * (left + right)).div_ceil(1000 + millis)
}

/// Elements in both sorted sets, or None as soon as there cannot be `needed`.
fn count_shared(left: &[u64], right: &[u64], needed: usize) -> Option<usize> {
    let (mut i, mut j, mut shared) = (0, 0, 0);
    while i < left.len() && j < right.len() {
        if shared + (left.len() - i).min(right.len() - j) < needed {
            return None;
        }
        shared += usize::from(left[i] == right[j]);
        let (forward_left, forward_right) = (left[i] <= right[j], left[i] >= right[j]);
        i += usize::from(forward_left);
        j += usize::from(forward_right);
    }
    (shared >= needed).then_some(shared)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_bound_on_shared_elements_is_the_definition(
            left in prop::collection::btree_set(0_u64..60, 1..40),
            right in prop::collection::btree_set(0_u64..60, 1..40),
            millis in 1_u32..=1000,
        ) {
            let shared = left.intersection(&right).count();
            let united = left.union(&right).count();
            let is_alike = shared * 1000 >= millis as usize * united;
            let (left, right): (Vec<u64>, Vec<u64>) = (left.into_iter().collect(), right.into_iter().collect());
            let needed = least_shared(left.len(), right.len(), millis);
            prop_assert_eq!(count_shared(&left, &right, needed), is_alike.then_some(shared));
            prop_assert_eq!(Overlap::of(&left, &right), Overlap { shared: shared as u32, united: united as u32 });
            prop_assert!(!is_alike || sizes_allow(left.len() as u32, right.len() as u32, millis));
        }
    }
}
