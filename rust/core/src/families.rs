//! Families: the texts of one role that hang together.
//!
//! Two texts of a role are linked if they are alike; a family is what links connect, whatever the
//! rest of their rows. Rows are never judged by that: similarity is not made transitive. It only
//! tells which texts follow one template, and [`crate::consensus`] then what the template is.
//!
//! Only families of texts that a pair of rows asked for are found: from those texts, from bucket to
//! bucket, as far as links go, or until enough is known of a family. A bucket holds the texts that
//! share a key: a band, or an element of a prefix. Where bands find them, no more than the first texts
//! of a bucket by hash are looked at ([`EFFORTS`]), so that a template with a million texts costs no
//! more than one with a thousand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use rayon::prelude::*;

use crate::bands::buckets;
use crate::cache::SetCache;
use crate::error::Result;
use crate::prefix;
use crate::shingles::{Group, RowSets};
use crate::spool::{CLASS, KEY_GROUP, KEYS, ROLE, ROW, Spool, TEXT};
use crate::verify::are_alike;
use crate::watch::Watch;

/// How many texts of a bucket are compared.
struct Effort {
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
const EFFORTS: [Effort; 3] = [Effort::of(64), Effort::of(512), Effort::of(4096)];

const EVERY: Effort = Effort {
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

/// What families are found from.
pub(crate) struct Finder<'a> {
    pub spool: &'a Spool,
    pub is_compared: &'a (dyn Fn(u32) -> bool + Sync),
    pub cache: &'a SetCache<'a>,
    pub threshold_millis: u32,
    pub watch: &'a Watch,
}

/// The families of one role.
pub(crate) struct Families {
    /// The family of each text that was asked for, by the text's hash.
    of_text: HashMap<u64, Option<u32>>,
    pub list: Vec<Family>,
}

/// One family.
pub(crate) struct Family {
    /// The first row of each member that the consensus is made from.
    pub members: Vec<u32>,
    /// Distinct texts; about, where not all are linked.
    pub texts: u32,
    /// Rows with one of them.
    pub rows: u32,
}

impl Families {
    /// The family of a text; None if it was not asked for.
    pub(crate) fn of(&self, group: &Group) -> Option<Option<u32>> {
        self.of_text.get(&group.text).copied()
    }
}

impl Finder<'_> {
    /// The families of some texts of one role, given by hashes.
    pub(crate) fn find(&self, role: u64, asked: &BTreeSet<u64>) -> Result<Families> {
        let (texts, standing) = self.texts(role)?;
        let keys_of = |band: usize| -> Result<Vec<(u64, u32)>> {
            self.watch.check()?;
            let of_block = |(block, standing): (usize, &Vec<Standing>)| {
                let keys = self.spool.read(block, KEYS + band)?;
                let of_group =
                    |group: &Standing| (keys[group.index as usize] ^ group.mixed, group.text);
                Ok(standing.iter().map(of_group).collect())
            };
            let blocks = standing.par_iter().enumerate().map(of_block);
            Ok(blocks.collect::<Result<Vec<Vec<_>>>>()?.concat())
        };
        let bands = self.spool.bands();
        if bands == 0 {
            let search = Search::new(self, role, &EVERY, &texts, asked);
            let ids: Vec<u32> = (0..texts.rows.len() as u32).collect();
            let with = |text: u32, take: &mut dyn FnMut(&[u64], u64)| {
                let sets = search.sets(text)?;
                take(&of_role(&sets, role).shingles, 0);
                Ok(())
            };
            let entries = prefix::entries(&ids, with, self.threshold_millis, self.watch)?;
            return Ok(search.run(1, |_| Ok(entries.clone()))?.0);
        }
        let mut efforts = EFFORTS.iter();
        loop {
            let effort = efforts.next().expect("the last one is returned");
            let search = Search::new(self, role, effort, &texts, asked);
            let (families, is_well_known) = search.run(bands, keys_of)?;
            if is_well_known || efforts.len() == 0 {
                return Ok(families);
            }
        }
    }

    /// List the distinct texts of a role, and by block the groups that stand for them.
    fn texts(&self, role: u64) -> Result<(Texts, Vec<Vec<Standing>>)> {
        type Entry = (u64, u32, u32, u32, u64);
        let of_block = |block: usize| -> Result<Vec<Entry>> {
            self.watch.check()?;
            let roles = self.spool.read(block, ROLE)?;
            if !roles.contains(&role) {
                return Ok(Vec::new());
            }
            let (rows, texts) = (self.spool.read(block, ROW)?, self.spool.read(block, TEXT)?);
            let classes = self.spool.read(block, CLASS)?;
            let entry = |at: usize| {
                let mixed = if rows[at] & KEY_GROUP == 0 { 0 } else { classes[at] };
                (texts[at], rows[at] as u32, block as u32, at as u32, mixed)
            };
            let is_text =
                |at: &usize| roles[*at] == role && texts[*at] != 0 && (self.is_compared)(rows[*at] as u32);
            Ok((0..roles.len()).filter(is_text).map(entry).collect())
        };
        let blocks: Vec<Vec<Entry>> =
            (0..self.spool.blocks()).into_par_iter().map(of_block).collect::<Result<_>>()?;
        let mut standing: Vec<Vec<Standing>> = blocks.iter().map(|_| Vec::new()).collect();
        let mut entries = blocks.concat();
        entries.par_sort_unstable();
        let mut found = Texts::default();
        for same in entries.chunk_by(|left, right| left.0 == right.0) {
            let (hash, row, block, index, mixed) = same[0];
            let text = found.hashes.len() as u32;
            found.hashes.push(hash);
            found.rows.push(row);
            found.rows_of.push(same.len() as u32);
            standing[block as usize].push(Standing { index, text, mixed });
        }
        Ok((found, standing))
    }
}

/// The distinct texts of a role, sorted by hash; a text is known by its place.
#[derive(Default)]
struct Texts {
    hashes: Vec<u64>,
    /// The first row of each.
    rows: Vec<u32>,
    /// How many rows have it.
    rows_of: Vec<u32>,
}

/// A group in the spool that stands for its text.
struct Standing {
    index: u32,
    text: u32,
    /// What its keys are mixed with.
    mixed: u64,
}

/// The group of a role that a row is known to have.
pub(crate) fn of_role(sets: &RowSets, role: u64) -> &Group {
    let group = sets.groups.iter().find(|group| group.salt == role);
    group.expect("the row has the role")
}

/// A walk from the texts that were asked for to those that hang together with them.
struct Search<'a> {
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
    fn new(
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
            asked: asked.iter().filter_map(place).map(|text| text as u32).collect(),
            reached: vec![false; count],
            parent: (0..count as u32).collect(),
            connected: vec![1; count],
            mate: vec![NONE; count],
            meets_others: vec![false; count],
        }
    }

    fn sets(&self, text: u32) -> Result<Arc<RowSets>> {
        self.finder.cache.get(self.texts.rows[text as usize])
    }

    /// The families, and whether each is whole, or well known from the texts that are linked.
    /// `keys_of` gives the keys of all texts in a band.
    fn run(
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
                    let found: Vec<Vec<(u32, u32)>> =
                        some.par_iter().map(|bucket| self.links(bucket)).collect::<Result<_>>()?;
                    for (left, right) in found.into_iter().flatten() {
                        next.extend([left, right].iter().filter(|&&text| !self.reached[text as usize]));
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
        for text in reached.into_iter().chain(others.into_iter().take(self.effort.texts)) {
            let root = self.root(text);
            let mut joined: Vec<usize> = Vec::new();
            for (at, (other, members)) in parties.iter().enumerate().rev().take(self.effort.parties) {
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
        let looked_at = if is_full { 0 } else { others.len().min(self.effort.texts) };
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
        Ok(are_alike(group, other, self.finder.threshold_millis))
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
                members: members.map(|&text| self.texts.rows[text as usize]).collect(),
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
        let family = |text: u32| Some(family_of[text as usize]).filter(|&family| family != NONE);
        let of_asked = |&text: &u32| (self.texts.hashes[text as usize], family(text));
        let of_text = self.asked.iter().map(of_asked).collect();
        (Families { of_text, list }, is_well_known)
    }
}
