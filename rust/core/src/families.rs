//! Families: the texts of one role that hang together.
//!
//! Two texts of a role are linked if they are somewhat alike ([`link_millis`]); a family is what links
//! connect, whatever the rest of their rows. Rows are never judged by that: similarity is not made
//! transitive. It only tells which texts follow one template, and [`crate::consensus`] then what the
//! template is. Texts that fill long slots of one template are less alike than copies are, so links
//! ask for less than duplicates do: small families know too little.
//!
//! Only families of texts that a pair of rows asked for are found: from those texts, from bucket to
//! bucket, as far as links go, or until enough is known of a family. A bucket holds the texts that
//! share a key: an element of a prefix, so that no link is missed, or, of many texts, a band. Then no
//! more than the first texts of a bucket by hash are looked at ([`crate::search`]), so that a template with a million texts costs no
//! more than one with a thousand.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use rayon::prelude::*;

use crate::cache::SetCache;
use crate::dedup::FEW;
use crate::error::Result;
use crate::prefix;
use crate::search::{EFFORTS, EVERY, Search};
use crate::shingles::{Group, RowSets};
use crate::spool::{CLASS, KEY_GROUP, KEYS, ROLE, ROW, Spool, TEXT};
use crate::watch::Watch;

/// The similarity that links ask for, in thousandths, where duplicates are asked for `threshold_millis`.
pub(crate) const fn link_millis(threshold_millis: u32) -> u32 {
    threshold_millis * 5 / 8
}

/// What families are found from.
pub(crate) struct Finder<'a> {
    pub spool: &'a Spool,
    pub is_compared: &'a (dyn Fn(u32) -> bool + Sync),
    pub cache: &'a SetCache<'a>,
    /// Least similarity of two texts that are linked.
    pub link_millis: u32,
    pub watch: &'a Watch,
}

/// The families of one role.
pub(crate) struct Families {
    /// The family of each text that was asked for, by the text's hash.
    pub of_text: HashMap<u64, Membership>,
    pub list: Vec<Family>,
}

/// What is known of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Membership {
    /// It was not asked for.
    Unknown,
    /// It is of no family.
    Alone,
    /// It is of the family with this number.
    Of(u32),
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
    /// The family of a text.
    pub(crate) fn of(&self, group: &Group) -> Membership {
        let known = self.of_text.get(&group.text);
        known.copied().unwrap_or(Membership::Unknown)
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
        if bands == 0 || texts.rows.len() < FEW {
            let search = Search::new(self, role, &EVERY, &texts, asked);
            let ids: Vec<u32> = (0..texts.rows.len() as u32).collect();
            let with = |text: u32, take: &mut dyn FnMut(&[u64], u64)| {
                let sets = search.sets(text)?;
                take(&of_role(&sets, role).shingles, 0);
                Ok(())
            };
            let entries = prefix::entries(&ids, with, self.link_millis, self.watch)?;
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
                let mixed = if rows[at] & KEY_GROUP == 0 {
                    0
                } else {
                    classes[at]
                };
                (texts[at], rows[at] as u32, block as u32, at as u32, mixed)
            };
            let is_text = |at: &usize| {
                roles[*at] == role && texts[*at] != 0 && (self.is_compared)(rows[*at] as u32)
            };
            Ok((0..roles.len()).filter(is_text).map(entry).collect())
        };
        let blocks: Vec<Vec<Entry>> = (0..self.spool.blocks())
            .into_par_iter()
            .map(of_block)
            .collect::<Result<_>>()?;
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
pub(crate) struct Texts {
    pub hashes: Vec<u64>,
    /// The first row of each.
    pub rows: Vec<u32>,
    /// How many rows have it.
    pub rows_of: Vec<u32>,
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
