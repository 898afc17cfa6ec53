//! A walk from texts to those that hang together with them, from bucket to bucket, as far as links
//! go, or until enough is known of a family.
//!
//! What a reader would get wrong: a text joins as soon as it is like one member of a party of
//! connected texts, so a pair of texts of one family need not be alike.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashSet;
use rayon::prelude::*;

use crate::bands::buckets;
use crate::error::Result;
use crate::families::{Families, Family, Finder, Membership, Texts, of_role};
use crate::shingles::RowSets;
use crate::verify::are_alike;

/// How many texts of a bucket are compared.
pub(crate) struct Effort {
    /// Texts that may be linked.
    texts: usize,
    /// Parties of connected texts that a text is compared with.
    parties: usize,
    /// Members of a party that it is compared with.
    members: usize,
    /// Texts of a party that no more are looked for.
    enough: u32,
}

impl Effort {
    const fn of(texts: usize) -> Self {
        Self {
            texts,
            parties: 16,
            members: 16,
            enough: 256,
        }
    }
}

/// A text that hangs together with a family is like many of its texts, and meets them in many
/// buckets: a few tries find one of them. Where that gives but a small family, though there are
/// texts that were left out, the next effort is made.
pub(crate) const EFFORTS: [Effort; 3] = [Effort::of(64), Effort::of(512), Effort::of(4096)];

pub(crate) const EVERY: Effort = Effort {
    texts: usize::MAX,
    parties: usize::MAX,
    members: usize::MAX,
    enough: u32::MAX,
};

/// A family of as many linked texts is well known.
const KNOWN: usize = 128;

/// Buckets that are linked at a time: what is connected by some need not be compared in others.
const BUCKETS: usize = 256;

/// Texts of a family from which its consensus is made.
const MEMBERS: usize = 4096;

/// Fewer texts make no family.
const LEAST: usize = 3;

const NONE: u32 = u32::MAX;

/// A walk from the texts that were asked for to those that hang together with them.
pub(crate) struct Search<'a> {
    finder: &'a Finder<'a>,
    role: u64,
    effort: &'a Effort,
    texts: &'a Texts,
    asked: Vec<u32>,
    reached: Vec<bool>,
    /// The way from each text to the one that stands for all it is connected with.
    parent: Vec<u32>,
    /// How many texts are connected, of those that stand for others.
    connected: Vec<u32>,
    /// Of a text that is left out of a bucket: one that was reached there.
    mate: Vec<u32>,
    /// Is a text in a bucket that others are left out of?
    meets_others: Vec<bool>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(
        finder: &'a Finder<'a>,
        role: u64,
        effort: &'a Effort,
        texts: &'a Texts,
        asked: &BTreeSet<u64>,
    ) -> Self {
        let count = texts.hashes.len();
        let place = |hash: &u64| texts.hashes.binary_search(hash).ok();
        Self {
            finder,
            role,
            effort,
            texts,
            asked: asked
                .iter()
                .filter_map(place)
                .map(|text| text as u32)
                .collect(),
            reached: vec![false; count],
            parent: (0..count as u32).collect(),
            connected: vec![1; count],
            mate: vec![NONE; count],
            meets_others: vec![false; count],
        }
    }

    pub(crate) fn sets(&self, text: u32) -> Result<Arc<RowSets>> {
        self.finder.cache.get(self.texts.rows[text as usize])
    }

    /// The families, and whether each is whole, or well known from the texts that are linked.
    /// `keys_of` gives the keys of all texts in a band.
    pub(crate) fn run(
        mut self,
        bands: usize,
        keys_of: impl Fn(usize) -> Result<Vec<(u64, u32)>>,
    ) -> Result<(Families, bool)> {
        let mut next = self.asked.clone();
        while !next.is_empty() {
            let mut is_next = vec![false; self.parent.len()];
            for &text in &next {
                self.reached[text as usize] = true;
                is_next[text as usize] = true;
            }
            next.clear();
            for band in 0..bands {
                let mut entries = keys_of(band)?;
                let of_next = entries.iter().filter(|&&(_, text)| is_next[text as usize]);
                let wanted: HashSet<u64> = of_next.map(|&(key, _)| key).collect();
                entries.retain(|(key, _)| wanted.contains(key));
                entries.par_sort_unstable();
                let all: Vec<&[(u64, u32)]> = buckets(&entries).collect();
                for some in all.chunks(BUCKETS) {
                    let found: Vec<Vec<(u32, u32)>> = some
                        .par_iter()
                        .map(|bucket| self.links(bucket))
                        .collect::<Result<_>>()?;
                    for (left, right) in found.into_iter().flatten() {
                        next.extend(
                            [left, right]
                                .iter()
                                .filter(|&&text| !self.reached[text as usize]),
                        );
                        self.unite(left, right);
                    }
                }
                for bucket in all {
                    self.note_left_out(bucket);
                }
                for &text in &next {
                    self.reached[text as usize] = true;
                }
            }
            next.retain(|&text| !self.is_full(self.root(text)));
            next.sort_unstable();
            next.dedup();
        }
        Ok(self.settle())
    }

    /// The texts of a bucket that were reached, and the others.
    fn parted(&self, bucket: &[(u64, u32)]) -> (Vec<u32>, Vec<u32>) {
        let texts = bucket.iter().map(|&(_, text)| text);
        texts.partition(|&text| self.reached[text as usize])
    }

    /// Pairs of alike texts that connect the texts of one bucket with those of them that are
    /// reached, as far as they hang together and are not connected yet.
    fn links(&self, bucket: &[(u64, u32)]) -> Result<Vec<(u32, u32)>> {
        self.finder.watch.check()?;
        let mut pairs = Vec::new();
        let mut parties: Vec<(u32, Vec<u32>)> = Vec::new();
        let (reached, others) = self.parted(bucket);
        for text in reached
            .into_iter()
            .chain(others.into_iter().take(self.effort.texts))
        {
            let root = self.root(text);
            let mut joined: Vec<usize> = Vec::new();
            for (at, (other, members)) in parties.iter().enumerate().rev().take(self.effort.parties)
            {
                if *other == root {
                    joined.push(at);
                    continue;
                }
                if self.is_full(*other) && !self.reached[text as usize] {
                    continue;
                }
                for &member in members.iter().rev().take(self.effort.members) {
                    if self.are_alike(text, member)? {
                        pairs.push((text, member));
                        joined.push(at);
                        break;
                    }
                }
            }
            let is_alone = joined.is_empty();
            let mut party = Vec::new();
            for at in joined {
                party.extend(parties.remove(at).1); // the last first, so that places hold
            }
            party.push(text);
            if !is_alone || self.reached[text as usize] {
                parties.push((root, party));
            }
        }
        Ok(pairs)
    }

    /// Remember the texts of a bucket that were not compared, with one that was reached.
    fn note_left_out(&mut self, bucket: &[(u64, u32)]) {
        let (reached, others) = self.parted(bucket);
        let first = reached[0];
        let is_full = self.is_full(self.root(first));
        let looked_at = if is_full {
            0
        } else {
            others.len().min(self.effort.texts)
        };
        for &text in &others[looked_at..] {
            self.mate[text as usize] = self.mate[text as usize].min(first);
        }
        if looked_at < others.len() {
            for text in reached {
                self.meets_others[text as usize] = true;
            }
        }
    }

    fn are_alike(&self, text: u32, other: u32) -> Result<bool> {
        let (text, other) = (self.sets(text)?, self.sets(other)?);
        let (group, other) = (of_role(&text, self.role), of_role(&other, self.role));
        Ok(are_alike(group, other, self.finder.link_millis))
    }

    /// Is enough known of the texts that this one stands for?
    fn is_full(&self, root: u32) -> bool {
        self.connected[root as usize] >= self.effort.enough
    }

    fn root(&self, mut text: u32) -> u32 {
        while self.parent[text as usize] != text {
            text = self.parent[text as usize];
        }
        text
    }

    /// The same; the way is half as long afterwards.
    fn root_shortened(&mut self, mut text: u32) -> u32 {
        while self.parent[text as usize] != text {
            let parent = self.parent[text as usize];
            self.parent[text as usize] = self.parent[parent as usize];
            text = parent;
        }
        text
    }

    fn unite(&mut self, left: u32, right: u32) {
        let (left, right) = (self.root_shortened(left), self.root_shortened(right));
        if left != right {
            self.parent[left.max(right) as usize] = left.min(right);
            self.connected[left.min(right) as usize] += self.connected[left.max(right) as usize];
        }
    }

    /// Number the families of three texts and more, and tell that of each text that was asked for.
    fn settle(self) -> (Families, bool) {
        let mut parties: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for text in (0..self.parent.len() as u32).filter(|&text| self.reached[text as usize]) {
            parties.entry(self.root(text)).or_default().push(text);
        }
        let mut list: Vec<Family> = Vec::new();
        let mut family_of = vec![NONE; self.parent.len()];
        let mut is_well_known = true;
        for texts in parties.into_values().filter(|texts| texts.len() >= LEAST) {
            is_well_known &=
                texts.len() >= KNOWN || !texts.iter().any(|&text| self.meets_others[text as usize]);
            for &text in &texts {
                family_of[text as usize] = list.len() as u32;
            }
            let members = texts.iter().take(MEMBERS);
            list.push(Family {
                members: members
                    .map(|&text| self.texts.rows[text as usize])
                    .collect(),
                texts: 0,
                rows: 0,
            });
        }
        for (text, &rows) in self.texts.rows_of.iter().enumerate() {
            let mut family = family_of[text];
            if family == NONE && self.mate[text] != NONE {
                family = family_of[self.mate[text] as usize];
            }
            if let Some(family) = list.get_mut(family as usize) {
                family.texts += 1;
                family.rows += rows;
            }
        }
        let family = |text: u32| match family_of[text as usize] {
            NONE => Membership::Alone,
            family => Membership::Of(family),
        };
        let of_asked = |&text: &u32| (self.texts.hashes[text as usize], family(text));
        let of_text = self.asked.iter().map(of_asked).collect();
        (Families { of_text, list }, is_well_known)
    }
}
