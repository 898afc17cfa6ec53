//! Which texts of a row are compared together: those of one role, or all.

use std::ops::Range;

use hashbrown::HashMap;
use twox_hash::XxHash3_64;

use crate::json::is_space;
use crate::parts::Parts;
use crate::shingles::{Alike, mix};

/// The groups of a row; keeps its buffer from row to row.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    /// The place of a text among the parts of its row, behind that of the first text of its group; sorted.
    places: Vec<(usize, usize)>,
    groups: Vec<Range<usize>>,
}

impl Grouping {
    /// Texts whose roles are compared two by two.
    const FEW: usize = 32;

    /// Group the texts of a row, in the order in which their roles come first. A group of white space
    /// alone is none.
    pub(crate) fn of<'g>(
        &'g mut self,
        parts: &'g Parts<'g>,
        alike: Alike,
    ) -> impl ExactSizeIterator<Item = Texts<'g>> + Clone {
        self.places.clear();
        let mut firsts: HashMap<&str, usize> = HashMap::new();
        for (at, part) in parts.list.iter().enumerate() {
            if part.opaque {
                continue;
            }
            let is_same = |&(first, _): &&(usize, usize)| parts.list[*first].role == part.role;
            let first = if alike == Alike::Whole {
                0
            } else if self.places.len() < Self::FEW {
                self.places
                    .iter()
                    .find(is_same)
                    .map_or(at, |&(first, _)| first)
            } else {
                if firsts.is_empty() {
                    let known = self.places.iter();
                    firsts.extend(known.map(|&(first, _)| (&*parts.list[first].role, first)));
                }
                *firsts.entry(&part.role).or_insert(at)
            };
            self.places.push((first, at));
        }
        self.places.sort_unstable();
        self.groups.clear();
        let mut end = 0;
        for group in self.places.chunk_by(|(left, _), (right, _)| left == right) {
            let start = end;
            end += group.len();
            let is_blank =
                |&(_, at): &(usize, usize)| parts.list[at].text.iter().all(|&byte| is_space(byte));
            if !group.iter().all(is_blank) {
                self.groups.push(start..end);
            }
        }
        let (places, groups) = (&self.places, &self.groups);
        groups.iter().map(move |group| Texts {
            parts,
            places: &places[group.clone()],
            alike,
        })
    }
}

/// The texts of one group, at least one of which is not blank.
#[derive(Clone, Copy)]
pub(crate) struct Texts<'g> {
    parts: &'g Parts<'g>,
    places: &'g [(usize, usize)],
    alike: Alike,
}

impl<'g> Texts<'g> {
    /// Their role; None where all roles are one group.
    pub(crate) fn role(self) -> Option<&'g str> {
        let first = &self.parts.list[self.places[0].1];
        (self.alike != Alike::Whole).then_some(&*first.role)
    }

    /// Hash of the role: 0 where all roles are one group.
    pub(crate) fn salt(self) -> u64 {
        self.role()
            .map_or(0, |role| XxHash3_64::oneshot(role.as_bytes()))
    }

    /// In the order of the row.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'g [u8]> {
        let texts = self.places.iter();
        texts.map(move |&(_, at)| &*self.parts.list[at].text)
    }

    /// Hash of the role, which is `salt`, and of the texts as they stand.
    pub(crate) fn raw(self, salt: u64) -> u64 {
        self.iter().fold(salt, XxHash3_64::oneshot_with_seed)
    }
}

/// Hash of what of a row can only be compared exactly: opaque parts, and which groups there are.
pub(crate) fn class(parts: &Parts, salts: impl Iterator<Item = u64>) -> u64 {
    let mut class = 0;
    for part in parts.list.iter().filter(|part| part.opaque) {
        class = mix(class ^ XxHash3_64::oneshot(part.role.as_bytes()));
        class = mix(class ^ XxHash3_64::oneshot(&part.text));
    }
    // A sum, since the order in which roles appear is no difference.
    salts.map(mix).fold(class, u64::wrapping_add)
}
