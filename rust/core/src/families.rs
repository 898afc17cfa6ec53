//! Families: the texts of one role that hang together.
//!
//! Two texts of a role are linked if they are alike; a family is what links connect, whatever the
//! rest of their rows. Rows are never judged by that: similarity is not made transitive. It only
//! tells which texts follow one template, and [`crate::consensus`] then what the template is.
//!
//! Only families of texts that a pair of rows asked for are found: from those texts, from bucket to
//! bucket, as far as links go. A bucket holds the texts that share a key: a band, or an element of a
//! prefix. Where bands find them, only the first texts of a bucket by hash are linked ([`EFFORTS`]), so
//! that a template with a million texts costs no more than one with a thousand; another text belongs
//! to the family whose linked texts it is like.
//!
//! What a reader would get wrong: a text that is asked for, but not among the first of any of its
//! buckets, links nothing, so that no family grows by being asked for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
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
            enough: 512,
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
    /// Private memory for sorting, in bytes.
    pub memory: usize,
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
        if self.spool.bands() == 0 {
            let mut search = Search::new(self, role, &EVERY, &texts, asked);
            let ids: Vec<u32> = (0..texts.rows.len() as u32).collect();
            let with = |text: u32, take: &mut dyn FnMut(&[u64], u64)| {
                let sets = search.sets(text)?;
                take(&of_role(&sets, role).shingles, 0);
                Ok(())
            };
            let entries = prefix::entries(&ids, with, self.threshold_millis, self.watch)?;
            search.add(&entries);
            return Ok(search.run()?.0);
        }
        let mut efforts = EFFORTS.iter();
        loop {
            let effort = efforts.next().expect("the last one is returned");
            let mut search = Search::new(self, role, effort, &texts, asked);
            for band in 0..self.spool.bands() {
                let of_block = |block: usize, keys: Vec<u64>| {
                    let of_group =
                        |group: &Standing| (keys[group.index as usize] ^ group.mixed, group.text);
                    Ok(standing[block].iter().map(of_group).collect())
                };
                each_slice(self.spool, band, texts.rows.len(), self.memory, of_block, |sorted| {
                    search.add(&sorted);
                    Ok(())
                })?;
            }
            let (families, is_well_known) = search.run()?;
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
    asked: Vec<bool>,
    /// The way from each text to the one that stands for all it is connected with.
    parent: Vec<u32>,
    /// How many texts are connected, of those that stand for others.
    connected: Vec<u32>,
    /// Of a text that is left out of a bucket: one that is not.
    mate: Vec<u32>,
    /// The texts of each bucket that may be linked, by hash, and where each bucket begins.
    buckets: Vec<u32>,
    starts: Vec<usize>,
    /// Texts that were asked for, and buckets that they are left out of.
    outside: Vec<(u32, u32)>,
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
        Self {
            finder,
            role,
            effort,
            texts,
            asked: texts.hashes.iter().map(|hash| asked.contains(hash)).collect(),
            parent: (0..texts.hashes.len() as u32).collect(),
            connected: vec![1; texts.hashes.len()],
            mate: vec![NONE; texts.hashes.len()],
            buckets: Vec::new(),
            starts: vec![0],
            outside: Vec::new(),
            meets_others: vec![false; texts.hashes.len()],
        }
    }

    /// Take in the buckets of sorted pairs of key and text.
    fn add(&mut self, sorted: &[(u64, u32)]) {
        for bucket in buckets(sorted) {
            let number = self.starts.len() as u32 - 1;
            let (inside, outside) = bucket.split_at(bucket.len().min(self.effort.texts));
            self.buckets.extend(inside.iter().map(|&(_, text)| text));
            self.starts.push(self.buckets.len());
            if !outside.is_empty() {
                for &(_, text) in inside {
                    self.meets_others[text as usize] = true;
                }
            }
            for &(_, text) in outside {
                let mate = &mut self.mate[text as usize];
                *mate = (*mate).min(inside[0].1);
                if self.asked[text as usize] {
                    self.outside.push((text, number));
                }
            }
        }
    }

    fn bucket(&self, number: u32) -> &[u32] {
        &self.buckets[self.starts[number as usize]..self.starts[number as usize + 1]]
    }

    fn sets(&self, text: u32) -> Result<Arc<RowSets>> {
        self.finder.cache.get(self.texts.rows[text as usize])
    }

    /// The families, and whether each is whole, or well known from the texts that are linked.
    fn run(mut self) -> Result<(Families, bool)> {
        let mut places: Vec<(u32, u32)> = Vec::with_capacity(self.buckets.len());
        for number in 0..self.starts.len() as u32 - 1 {
            places.extend(self.bucket(number).iter().map(|&text| (text, number)));
        }
        places.par_sort_unstable();
        let buckets_of = |text: u32| {
            let first = places.partition_point(|&(other, _)| other < text);
            places[first..].iter().take_while(move |&&(other, _)| other == text).map(|&(_, number)| number)
        };
        let mut is_linked = vec![false; self.asked.len()];
        for &(text, _) in &places {
            is_linked[text as usize] = true;
        }
        self.outside.retain(|&(text, _)| !is_linked[text as usize]);
        self.outside.par_sort_unstable();
        let like = self.like_outside()?;

        let asked = (0..self.asked.len() as u32).filter(|&text| self.asked[text as usize]);
        let mut reached = vec![false; self.asked.len()];
        let mut next: Vec<u32> = asked.filter(|&text| is_linked[text as usize]).collect();
        next.extend(like.iter().map(|&(_, other)| other));
        while !next.is_empty() {
            next.sort_unstable();
            next.dedup();
            let mut numbers = Vec::new();
            for &text in &next {
                if !self.is_full(self.root(text)) || self.asked[text as usize] {
                    numbers.extend(buckets_of(text));
                }
                reached[text as usize] = true;
            }
            numbers.par_sort_unstable();
            numbers.dedup();
            next.clear();
            for numbers in numbers.chunks(BUCKETS) {
                let found: Vec<Vec<(u32, u32)>> = numbers
                    .par_iter()
                    .map(|&number| self.links(self.bucket(number), &reached))
                    .collect::<Result<_>>()?;
                for (left, right) in found.into_iter().flatten() {
                    next.extend([left, right].iter().filter(|&&text| !reached[text as usize]));
                    self.unite(left, right);
                }
            }
            for text in 0..self.parent.len() as u32 {
                self.root_shortened(text);
            }
        }
        Ok(self.settle(&reached, &like))
    }

    /// Pairs of a text that was asked for and cannot be linked, and each linked one that it is like.
    fn like_outside(&self) -> Result<Vec<(u32, u32)>> {
        let texts: Vec<&[(u32, u32)]> = self.outside.chunk_by(|left, right| left.0 == right.0).collect();
        let found: Vec<Vec<(u32, u32)>> = texts
            .into_par_iter()
            .map(|places| {
                self.finder.watch.check()?;
                let text = places[0].0;
                let mut others: Vec<u32> =
                    places.iter().flat_map(|&(_, number)| self.bucket(number).iter().copied()).collect();
                others.sort_unstable();
                others.dedup();
                let mut like = Vec::new();
                for other in others {
                    if self.are_alike(text, other)? {
                        like.push((text, other));
                    }
                }
                Ok(like)
            })
            .collect::<Result<_>>()?;
        Ok(found.concat())
    }

    /// Pairs of alike texts that connect the texts of one bucket with those of them that are
    /// reached, as far as they hang together and are not connected yet.
    fn links(&self, texts: &[u32], reached: &[bool]) -> Result<Vec<(u32, u32)>> {
        self.finder.watch.check()?;
        let mut pairs = Vec::new();
        let mut parties: Vec<(u32, Vec<u32>)> = Vec::new();
        let (first, rest): (Vec<u32>, Vec<u32>) =
            texts.iter().partition(|&&text| reached[text as usize]);
        for text in first.into_iter().chain(rest) {
            let root = self.root(text);
            let mut joined: Vec<usize> = Vec::new();
            for (at, (other, members)) in parties.iter().enumerate().rev().take(self.effort.parties) {
                if *other == root {
                    joined.push(at);
                    continue;
                }
                if self.is_full(*other) && !reached[text as usize] {
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
            if !is_alone || reached[text as usize] {
                parties.push((root, party));
            }
        }
        Ok(pairs)
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
    /// `like` are pairs of one that is not linked and those that it is like.
    fn settle(self, reached: &[bool], like: &[(u32, u32)]) -> (Families, bool) {
        let mut parties: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for text in (0..self.parent.len() as u32).filter(|&text| reached[text as usize]) {
            parties.entry(self.root(text)).or_default().push(text);
        }
        let mut list: Vec<Family> = Vec::new();
        let mut family_of: HashMap<u32, u32> = HashMap::new();
        let mut is_well_known = true;
        for texts in parties.into_values().filter(|texts| texts.len() >= LEAST) {
            let number = list.len() as u32;
            is_well_known &=
                texts.len() >= KNOWN || !texts.iter().any(|&text| self.meets_others[text as usize]);
            family_of.extend(texts.iter().map(|&text| (text, number)));
            list.push(Family {
                members: texts.iter().take(MEMBERS).map(|&text| self.texts.rows[text as usize]).collect(),
                texts: texts.len() as u32,
                rows: texts.iter().map(|&text| self.texts.rows_of[text as usize]).sum(),
            });
        }
        let mut of_text: HashMap<u64, Option<u32>> = HashMap::new();
        for (text, _) in self.asked.iter().enumerate().filter(|(_, asked)| **asked) {
            let family = family_of.get(&(text as u32)).copied();
            of_text.insert(self.texts.hashes[text], family);
        }
        for pairs in like.chunk_by(|left, right| left.0 == right.0) {
            let families = pairs.iter().filter_map(|(_, other)| family_of.get(other).copied());
            let largest = families.min_by_key(|&number| (Reverse(list[number as usize].texts), number));
            of_text.insert(self.texts.hashes[pairs[0].0 as usize], largest);
        }
        for (text, &mate) in self.mate.iter().enumerate() {
            let is_counted = family_of.contains_key(&(text as u32));
            if let (false, Some(&number)) = (is_counted, family_of.get(&mate)) {
                list[number as usize].texts += 1;
                list[number as usize].rows += self.texts.rows_of[text];
            }
        }
        (Families { of_text, list }, is_well_known)
    }
}
