//! The judge: is a row a near-duplicate of an earlier one, and if not, by which rule?
//!
//! Rows must be alike in every group ([`crate::verify`]). Where asked for, no difference may be a
//! number, or content of a slot ([`crate::consensus`]).
//!
//! The families of texts are found all at once, for those that a pair asked for. A pair whose families
//! are not known yet is taken as kept apart, so all rows are judged again when they are, until none
//! asks for more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

use crate::consensus::{Consensus, Difference, difference};
use crate::error::Result;
use crate::families::{Families, Finder, Membership, of_role};
use crate::shingles::RowSets;
use crate::verify::{Overlap, at_most, by_group, exactly, near_duplicate};

/// What keeps a pair apart that another rule, or a lower threshold, would call duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rule {
    /// Taken together, the texts are alike, but not in each role.
    Roles,
    /// They hold different numbers.
    Numbers,
    /// They fill a slot of their template differently.
    Content,
    /// They are a little less alike than the threshold asks.
    Threshold,
}

/// How much less alike than the threshold a pair may be to be worth a look, in thousandths.
const CLOSE: u32 = 50;

/// A family: hash of its role, and its number there.
pub(crate) type FamilyId = (u64, u32);

#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    Duplicate {
        overlap: Overlap,
        /// Families of which the two texts are, with the hunks that are edits.
        edits: Vec<(FamilyId, u32)>,
    },
    Apart(Apart),
    Different,
    /// The family of this text has to be known first: hashes of its role and of the text.
    Open((u64, u64)),
}

/// Why a pair of rows is kept apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Apart {
    pub rule: Rule,
    /// Place of the group among the earlier row's.
    pub group: u16,
    pub overlap: Overlap,
    pub family: Option<FamilyId>,
}

pub(crate) struct Judge<'a> {
    pub threshold_millis: u32,
    pub consensus: bool,
    pub numbers: bool,
    /// Tokens of a shingle.
    pub ngram: usize,
    pub finder: Finder<'a>,
    /// By hash of the role.
    pub families: HashMap<u64, Families>,
    /// Texts whose families were asked for, by role; all as hashes.
    pub asked: BTreeMap<u64, BTreeSet<u64>>,
    pub shelf: Shelf,
    pub compared: AtomicU64,
}

/// The consensus of each family that was asked for lately, within a budget.
pub(crate) struct Shelf {
    held: Mutex<(HashMap<FamilyId, Arc<Consensus>>, usize)>,
    bytes: usize,
}

impl Shelf {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            held: Mutex::default(),
            bytes,
        }
    }
}

impl Judge<'_> {
    /// Find the families of texts that pairs have asked for.
    pub(crate) fn find_families(
        &mut self,
        asked: impl IntoIterator<Item = (u64, u64)>,
    ) -> Result<()> {
        for (role, text) in asked {
            self.asked.entry(role).or_default().insert(text);
        }
        for (&role, texts) in &self.asked {
            self.families.insert(role, self.finder.find(role, texts)?);
        }
        self.shelf = Shelf::new(self.shelf.bytes);
        Ok(())
    }

    /// The least similarity, in thousandths, at which something is told of two rows of one group.
    pub(crate) fn least_told(&self) -> u32 {
        self.threshold_millis.saturating_sub(CLOSE)
    }

    /// Compare a row with one that comes before it.
    pub(crate) fn compare(&self, row: &RowSets, earlier: &RowSets) -> Result<Verdict> {
        self.compared.fetch_add(1, Relaxed);
        let Some(overlap) = near_duplicate(row, earlier, self.threshold_millis) else {
            return Ok(self.almost(row, earlier));
        };
        let mut edits = Vec::new();
        if !self.consensus && !self.numbers {
            return Ok(Verdict::Duplicate { overlap, edits });
        }
        for group in &row.groups {
            let other = earlier
                .groups
                .iter()
                .enumerate()
                .find(|(_, other)| other.role == group.role);
            let (at, other) = other.expect("alike rows have the same roles");
            if group.text == other.text {
                continue; // equal, or without tokens and equal as they stand
            }
            let mut family = None;
            if self.consensus {
                let role = group.salt;
                let families = self.families.get(&role);
                match families.map_or(Membership::Unknown, |families| families.of(group)) {
                    Membership::Unknown => return Ok(Verdict::Open((role, group.text))),
                    Membership::Alone => {}
                    Membership::Of(number) => family = Some((role, number)),
                }
            }
            let consensus = family.map(|id| self.consensus(id)).transpose()?;
            let (difference, edited) = difference(
                group,
                other,
                consensus.as_deref(),
                self.numbers,
                self.threshold_millis,
            );
            if let Some(difference) = difference {
                let rule = match difference {
                    Difference::Numbers => Rule::Numbers,
                    Difference::Content => Rule::Content,
                };
                let overlap = exactly(group, other);
                return Ok(Verdict::Apart(Apart {
                    rule,
                    group: at as u16,
                    overlap,
                    family,
                }));
            }
            if let Some(family) = family.filter(|_| edited > 0) {
                edits.push((family, edited));
            }
        }
        Ok(Verdict::Duplicate { overlap, edits })
    }

    /// Of a pair that is not alike in every group: is it worth telling?
    fn almost(&self, row: &RowSets, earlier: &RowSets) -> Verdict {
        let telling = |overlap| self.telling(&by_group(row, earlier, overlap)?);
        // If even what is no less would not do, nothing needs counting.
        let found = telling(at_most).and_then(|_| telling(exactly));
        let Some((rule, group, overlap)) = found else {
            return Verdict::Different;
        };
        Verdict::Apart(Apart {
            rule,
            group: group as u16,
            overlap,
            family: None,
        })
    }

    /// The rule that keeps rows apart which overlap in this way, group by group, and the least similar
    /// group; None if a lower threshold would keep them apart too.
    fn telling(&self, overlaps: &[Overlap]) -> Option<(Rule, usize, Overlap)> {
        let least = overlaps.iter().enumerate().reduce(|least, next| {
            if next.1.is_less_than(*least.1) {
                next
            } else {
                least
            }
        });
        let (group, &overlap) = least?;
        let sum = |of: fn(&Overlap) -> u32| overlaps.iter().map(of).fold(0, u32::saturating_add);
        let whole = Overlap {
            shared: sum(|overlap| overlap.shared),
            united: sum(|overlap| overlap.united),
        };
        let rule = if overlap.reaches(self.least_told()) {
            Rule::Threshold
        } else if whole.reaches(self.threshold_millis) {
            Rule::Roles
        } else {
            return None;
        };
        Some((rule, group, overlap))
    }

    /// The consensus of a family.
    pub(crate) fn consensus(&self, id: FamilyId) -> Result<Arc<Consensus>> {
        let held = self
            .shelf
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(consensus) = held.0.get(&id) {
            return Ok(Arc::clone(consensus));
        }
        drop(held);
        let (role, number) = id;
        let members = &self.families[&role].list[number as usize].members;
        let sets: Vec<Arc<RowSets>> = members
            .iter()
            .map(|&row| self.finder.cache.get(row))
            .collect::<Result<_>>()?;
        let groups = sets.iter().map(|sets| of_role(sets, role));
        let consensus = Arc::new(Consensus::new(groups, self.ngram));
        let mut held = self
            .shelf
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if held.1 + consensus.bytes() > self.shelf.bytes {
            *held = Default::default();
        }
        held.1 += consensus.bytes();
        held.0.insert(id, Arc::clone(&consensus));
        Ok(consensus)
    }
}
