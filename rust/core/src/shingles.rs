//! Shingles: what a row says, as sets of hashed word n-grams, one set a group of parts.
//!
//! Parts are grouped by role (`each-role`) or all together (`whole`). A group's shingles are salted
//! with its role, so that the union over the groups is a set too. A shingle is fully mixed
//! ([`crate::ngrams`]): a bare product would bias the affine functions of [`crate::minhash`].
//!
//! What a reader would get wrong: a group with text but without a token (an answer of one emoji) is
//! no empty set, which would be like every other; it has one shingle, its raw texts.

use std::sync::Arc;

use crate::grouping::{Grouping, Texts, class};
use crate::instructions::Instructions;
use crate::ngrams;
use crate::parts::Parts;
use crate::recall::Recall;
use crate::sketch::Sketch;
use crate::sorter::Sorter;
use crate::tokens::{SEPARATOR, Tokenizer};

/// What must be alike for two rows to be near-duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alike {
    /// Every role by itself, and no difference may be content ([`crate::families`]).
    Consensus,
    /// Every role by itself.
    EachRole,
    /// All compared text together.
    Whole,
}

/// How texts become shingles.
#[derive(Debug, Clone, Copy)]
pub struct Shingling {
    /// Words an n-gram, at least 1.
    pub ngram: usize,
    /// How parts are grouped.
    pub alike: Alike,
    /// Are the tokens kept beside the shingles?
    pub tokens: bool,
}

/// The shingles of the parts that are compared together.
#[derive(Debug, Clone)]
pub struct Group {
    /// Their role; None where all roles are one group.
    pub role: Option<Arc<str>>,
    /// Each once, sorted, never empty.
    pub shingles: Vec<u64>,
    /// Of the shingles.
    pub(crate) sketch: Sketch,
    /// Hash of the tokens; 0 for a text without.
    pub text: u64,
    /// The tokens, where they were asked for.
    pub tokens: Vec<u64>,
    /// Hash of the role: 0 where all roles are one group.
    pub salt: u64,
}

impl Group {
    /// Bytes of what is listed in it.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.shingles) + size_of_val(&*self.tokens) + self.sketch.bytes()
    }

    /// Are the tokens the same?
    #[must_use]
    pub fn is_same_text(&self, other: &Self) -> bool {
        self.text == other.text && self.text != 0
    }
}

/// All that near-deduplication knows of a row.
#[derive(Debug, Clone, Default)]
pub struct RowSets {
    /// In order of first appearance in the row.
    pub groups: Vec<Arc<Group>>,
    /// Hash of what can only be compared exactly: opaque parts, and which groups there are.
    pub class: u64,
    /// Has any group a token? A row without is no near-duplicate.
    pub has_tokens: bool,
}

impl RowSets {
    /// Shingles in all groups.
    #[must_use]
    pub fn size(&self) -> usize {
        self.groups.iter().map(|group| group.shingles.len()).sum()
    }
}

/// Lists the shingles of texts; keeps its buffers between calls.
#[derive(Debug, Default)]
pub(crate) struct Lister {
    tokenizer: Tokenizer,
    tokens: Vec<u64>,
    /// With the shingles in its list.
    pub sorter: Sorter,
    instructions: Instructions,
}

impl Lister {
    /// List the shingles of a group, whose role has the hash `salt`, and its texts as they stand `raw`;
    /// tells whether there is a token.
    pub(crate) fn list(&mut self, texts: Texts, ngram: usize, salt: u64, raw: u64) -> bool {
        self.tokens.clear();
        let mut separators = 0;
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                self.tokens.push(SEPARATOR);
                separators += 1;
            }
            self.tokenizer.split(text, &mut self.tokens);
        }
        let has_tokens = self.tokens.len() > separators;
        self.sorter.clear();
        let list = &mut self.sorter.list;
        if has_tokens {
            ngrams::list(&self.tokens, ngram, salt, list, self.instructions);
        } else {
            list.push(mix(raw));
        }
        has_tokens
    }

    /// Hash of the tokens.
    pub(crate) fn text(&self) -> u64 {
        ngrams::all(&self.tokens)
    }
}

/// Turns parts into sets; keeps its buffers between calls, and the groups of texts that come back.
#[derive(Debug, Default)]
pub struct Shingler {
    grouping: Grouping,
    lister: Lister,
    recall: Recall<Arc<Group>>,
    roles: Roles,
}

impl Shingler {
    /// The sets of a row.
    pub fn sets(&mut self, parts: &Parts, shingling: Shingling) -> RowSets {
        let groups = self.grouping.of(parts, shingling.alike);
        let mut sets = RowSets::default();
        for texts in groups {
            let salt = texts.salt();
            let raw = texts.raw(salt);
            let group = if let Some(known) = self.recall.find(raw, texts) {
                Arc::clone(known)
            } else {
                let has_tokens = self.lister.list(texts, shingling.ngram, salt, raw);
                let shingles = self.lister.sorter.set();
                let (mut text, mut tokens) = (0, Vec::new());
                if has_tokens {
                    text = self.lister.text();
                }
                if has_tokens && shingling.tokens {
                    tokens.clone_from(&self.lister.tokens);
                }
                let group = Arc::new(Group {
                    role: texts.role().map(|role| self.roles.share(role)),
                    sketch: Sketch::of(&shingles),
                    shingles,
                    text,
                    tokens,
                    salt,
                });
                let known = || Arc::clone(&group);
                self.recall.tell(raw, texts, group.bytes(), known);
                group
            };
            sets.has_tokens |= group.text != 0;
            sets.groups.push(group);
        }
        sets.class = class(parts, sets.groups.iter().map(|group| group.salt));
        sets
    }
}

/// The roles that were met lately, so that no new name is made for each text; the list is one thread's
/// own, or all threads would count the same names.
#[derive(Debug, Default)]
pub(crate) struct Roles(Vec<Arc<str>>);

impl Roles {
    /// Names that are remembered.
    const ROOM: usize = 16;

    pub(crate) fn share(&mut self, role: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| ***known == *role) {
            return Arc::clone(known);
        }
        if self.0.len() == Self::ROOM {
            self.0.clear();
        }
        self.0.push(Arc::from(role));
        Arc::clone(&self.0[self.0.len() - 1])
    }
}

/// The factors of [`mix`].
pub(crate) const MIX: (u64, u64) = (0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB);

/// A bijection of 64 bits in which every bit of the input moves every bit of the output (Stafford's
/// variant 13).
#[must_use]
pub fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(MIX.0);
    hash = (hash ^ (hash >> 27)).wrapping_mul(MIX.1);
    hash ^ (hash >> 31)
}
