//! Families: the texts of one role that hang together.
//!
//! Two texts of a role are linked if they are alike; a family is what links connect, whatever the
//! rest of their rows. Rows are never judged by that: similarity is not made transitive. It only
//! tells which texts follow one template, and [`crate::consensus`] then what the template is.
//!
//! Texts are compared if they share a key (a band, or an element of a prefix), and only until it is
//! clear that they hang together. Where bands find them, only the first texts of a bucket by
//! hash take part ([`ENOUGH`]), so that a template with a million texts costs no more than one with a
//! thousand; another text joins the family of a text of its bucket that it is like, when it is
//! asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::bands::{buckets, each_slice};
use crate::cache::SetCache;
use crate::error::Result;
use crate::prefix;
use crate::shingles::{Group, RowSets};
use crate::spool::{CLASS, KEY_GROUP, ROLE, ROW, Spool, TEXT};
use crate::verify::are_alike;
use crate::watch::Watch;

/// How many texts of a bucket are compared.
struct Effort {
    /// Texts that take part.
    texts: usize,
    /// Parties of connected texts that a text is compared with.
    parties: usize,
    /// Members of a party that it is compared with.
    members: usize,
}

/// A text that hangs together with a family is like many of its texts, and meets them in many
/// buckets: a few tries find one of them.
const ENOUGH: Effort = Effort {
    texts: 1024,
    parties: 16,
    members: 16,
};

const EVERY: Effort = Effort {
    texts: usize::MAX,
    parties: usize::MAX,
    members: usize::MAX,
};

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
    /// Private memory for sorting, in bytes.
    pub memory: usize,
    pub watch: &'a Watch,
}

/// The families of one role.
#[derive(Default)]
pub(crate) struct Families {
    /// Hashes of the distinct texts, sorted; a text is known by its place here.
    hashes: Vec<u64>,
    /// The first row of each text.
    rows: Vec<u32>,
    /// The family of each text, if it is known to have one.
    family: Vec<u32>,
    /// Texts that were not linked, each with linked ones of its buckets.
    unlinked: Vec<(u32, u32)>,
    pub list: Vec<Family>,
}

/// One family.
pub(crate) struct Family {
    /// The first row of each member that the consensus is made from.
    pub members: Vec<u32>,
    /// Distinct texts.
    pub texts: u32,
    /// Rows with one of them.
    pub rows: u32,
}

/// A group in the spool that stands for its text.
struct Standing {
    index: u32,
    text: u32,
    /// What its keys are mixed with.
    mixed: u64,
}

impl Finder<'_> {
    /// The families of the texts of one role, given by its hash.
    pub(crate) fn find(&self, role: u64) -> Result<Families> {
        let mut found = Families::default();
        let (standing, rows_of) = self.texts(role, &mut found)?;
        let mut links = Links::new(found.hashes.len());
        if self.spool.bands() == 0 {
            let ids: Vec<u32> = (0..found.hashes.len() as u32).collect();
            let with = |text: u32, take: &mut dyn FnMut(&[u64], u64)| {
                let sets = self.cache.get(found.rows[text as usize])?;
                take(&of_role(&sets, role).shingles, 0);
                Ok(())
            };
            let entries = prefix::entries(&ids, with, self.threshold_millis, self.watch)?;
            self.link(role, &entries, &EVERY, &found.rows, &mut links)?;
        }
        for band in 0..self.spool.bands() {
            let of_block = |block: usize, keys: Vec<u64>| {
                let of_group = |group: &Standing| (keys[group.index as usize] ^ group.mixed, group.text);
                Ok(standing[block].iter().map(of_group).collect())
            };
            let texts = found.hashes.len();
            each_slice(self.spool, band, texts, self.memory, of_block, |sorted| {
                self.link(role, &sorted, &ENOUGH, &found.rows, &mut links)
            })?;
        }
        found.settle(links, &rows_of);
        Ok(found)
    }

    /// List the distinct texts of a role; the groups that stand for them by block, and how many
    /// rows have each.
    fn texts(&self, role: u64, found: &mut Families) -> Result<(Vec<Vec<Standing>>, Vec<u32>)> {
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
        let mut rows_of = Vec::new();
        for same in entries.chunk_by(|left, right| left.0 == right.0) {
            let (hash, row, block, index, mixed) = same[0];
            let text = found.hashes.len() as u32;
            found.hashes.push(hash);
            found.rows.push(row);
            rows_of.push(same.len() as u32);
            standing[block as usize].push(Standing { index, text, mixed });
        }
        Ok((standing, rows_of))
    }

    /// Link the texts of all buckets.
    fn link(
        &self,
        role: u64,
        sorted: &[(u64, u32)],
        effort: &Effort,
        rows: &[u32],
        links: &mut Links,
    ) -> Result<()> {
        let all: Vec<&[(u64, u32)]> = buckets(sorted).collect();
        let found: Vec<Vec<(u32, u32)>> = all
            .par_iter()
            .map(|bucket| {
                self.watch.check()?;
                let texts: Vec<u32> = bucket.iter().take(effort.texts).map(|&(_, text)| text).collect();
                self.linked(role, &texts, rows, links, effort)
            })
            .collect::<Result<_>>()?;
        for (left, right) in found.into_iter().flatten() {
            links.unite(left, right);
        }
        for text in 0..rows.len() as u32 {
            links.shortened(text);
        }
        for bucket in all {
            let first = bucket[0].1;
            for &(_, text) in bucket.iter().take(effort.texts) {
                links.is_linked[text as usize] = true;
            }
            links.unlinked.extend(bucket.iter().skip(effort.texts).map(|&(_, text)| (text, first)));
        }
        Ok(())
    }

    /// Pairs of alike texts that connect those of one bucket as far as they hang together, beyond
    /// what is connected already.
    fn linked(
        &self,
        role: u64,
        texts: &[u32],
        rows: &[u32],
        links: &Links,
        effort: &Effort,
    ) -> Result<Vec<(u32, u32)>> {
        let mut pairs = Vec::new();
        let mut parties: Vec<(u32, Vec<u32>)> = Vec::new();
        for &text in texts {
            let root = links.root(text);
            let mut joined: Vec<usize> = Vec::new();
            for (at, (other, members)) in parties.iter().enumerate().rev().take(effort.parties) {
                if *other == root {
                    joined.push(at);
                    continue;
                }
                for &member in members.iter().rev().take(effort.members) {
                    if self.alike(role, rows[text as usize], rows[member as usize])? {
                        pairs.push((text, member));
                        joined.push(at);
                        break;
                    }
                }
            }
            let mut party = Vec::new();
            for at in joined {
                party.extend(parties.remove(at).1); // the last first, so that places hold
            }
            party.push(text);
            parties.push((root, party));
        }
        Ok(pairs)
    }

    fn alike(&self, role: u64, row: u32, other: u32) -> Result<bool> {
        let (row, other) = (self.cache.get(row)?, self.cache.get(other)?);
        let (left, right) = (of_role(&row, role), of_role(&other, role));
        Ok(are_alike(&left.shingles, &right.shingles, self.threshold_millis))
    }
}

/// The group of a role that a row is known to have.
pub(crate) fn of_role(sets: &Arc<RowSets>, role: u64) -> &Group {
    let group = sets.groups.iter().find(|group| group.salt() == role);
    group.expect("the row has the role")
}

impl Families {
    /// Number the families of three texts and more.
    fn settle(&mut self, mut links: Links, rows_of: &[u32]) {
        let mut parties: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for text in 0..self.hashes.len() as u32 {
            parties.entry(links.root(text)).or_default().push(text);
        }
        self.family = vec![NONE; self.hashes.len()];
        for texts in parties.into_values().filter(|texts| texts.len() >= LEAST) {
            let number = self.list.len() as u32;
            let mut rows = 0;
            for &text in &texts {
                self.family[text as usize] = number;
                rows += rows_of[text as usize];
            }
            let members = texts.iter().take(MEMBERS).map(|&text| self.rows[text as usize]);
            self.list.push(Family {
                members: members.collect(),
                texts: texts.len() as u32,
                rows,
            });
        }
        links.unlinked.retain(|&(text, _)| !links.is_linked[text as usize]);
        links.unlinked.sort_unstable();
        links.unlinked.dedup();
        for same in links.unlinked.chunk_by(|left, right| left.0 == right.0) {
            let family = self.family[same[0].1 as usize];
            if let Some(family) = self.list.get_mut(family as usize) {
                family.texts += 1;
                family.rows += rows_of[same[0].0 as usize];
            }
        }
        self.unlinked = links.unlinked;
    }

    /// The family of a text, if it has one.
    pub(crate) fn of(&self, group: &Group, finder: &Finder) -> Result<Option<u32>> {
        let Ok(text) = self.hashes.binary_search(&group.text) else {
            return Ok(None);
        };
        if self.family[text] != NONE {
            return Ok(Some(self.family[text]));
        }
        let first = self.unlinked.partition_point(|&(other, _)| (other as usize) < text);
        for &(other, linked) in &self.unlinked[first..] {
            if other as usize != text {
                break;
            }
            let family = self.family[linked as usize];
            if family != NONE && finder.alike(group.salt(), self.rows[text], self.rows[linked as usize])? {
                return Ok(Some(family));
            }
        }
        Ok(None)
    }
}

/// Which texts are connected.
struct Links {
    parent: Vec<u32>,
    is_linked: Vec<bool>,
    /// Texts beyond the first of a bucket, with the first.
    unlinked: Vec<(u32, u32)>,
}

impl Links {
    fn new(texts: usize) -> Self {
        Self {
            parent: (0..texts as u32).collect(),
            is_linked: vec![false; texts],
            unlinked: Vec::new(),
        }
    }

    fn root(&self, mut text: u32) -> u32 {
        while self.parent[text as usize] != text {
            text = self.parent[text as usize];
        }
        text
    }

    fn unite(&mut self, left: u32, right: u32) {
        let (left, right) = (self.shortened(left), self.shortened(right));
        self.parent[left.max(right) as usize] = left.min(right);
    }

    /// The root of a text, the way to which is half as long afterwards.
    fn shortened(&mut self, mut text: u32) -> u32 {
        while self.parent[text as usize] != text {
            let parent = self.parent[text as usize];
            self.parent[text as usize] = self.parent[parent as usize];
            text = parent;
        }
        text
    }
}
