//! Shingles: what a row says, as sets of hashed word n-grams, one set a group of parts.
//!
//! Parts are grouped by role (`each-role`) or all together (`whole`). A group's shingles are salted
//! with its role, so that the union over the groups is a set too. A shingle is fully mixed
//! ([`crate::ngrams`]): a bare product would bias the affine functions of [`crate::minhash`].
//!
//! What a reader would get wrong: a group with text but without a token (an answer of one emoji) is
//! no empty set, which would be like every other; it has one shingle, its raw texts.

use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::instructions::Instructions;
use crate::json::is_space;
use crate::ngrams;
use crate::parts::{Part, Parts};
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
    /// Are the shingles sorted, as those that are compared must be?
    pub sorted: bool,
}

/// The shingles of the parts that are compared together.
#[derive(Debug, Clone)]
pub struct Group {
    /// Their role; None where all roles are one group.
    pub role: Option<Arc<str>>,
    /// Each once, never empty; sorted, if that was asked for.
    pub shingles: Vec<u64>,
    /// Of the shingles, if they are sorted.
    pub(crate) sketch: Sketch,
    /// Hash of the tokens; 0 for a text without.
    pub text: u64,
    /// The tokens, where they were asked for.
    pub tokens: Vec<u64>,
    /// Its band keys, once somebody made them.
    pub keys: OnceLock<Box<[u64]>>,
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

/// Turns parts into sets; keeps its buffers between calls, and the groups of texts that come back.
#[derive(Debug, Default)]
pub struct Shingler {
    tokenizer: Tokenizer,
    tokens: Vec<u64>,
    sorter: Sorter,
    memory: Memory,
    roles: Roles,
    instructions: Instructions,
}

impl Shingler {
    /// The sets of a row.
    pub fn sets(&mut self, parts: &Parts, shingling: Shingling) -> RowSets {
        let texts = parts.list.iter().filter(|part| !part.opaque);
        let mut sets = RowSets::default();
        match shingling.alike {
            Alike::Consensus | Alike::EachRole => {
                let texts = by_role(&texts.collect::<Vec<_>>());
                for same in texts.chunk_by(|(first, _), (other, _)| first == other) {
                    let role = Some(&*same[0].1.role);
                    let of_role = same.iter().map(|(_, part)| &*part.text);
                    self.group(of_role, role, shingling, &mut sets);
                }
            }
            Alike::Whole => self.group(texts.map(|part| &*part.text), None, shingling, &mut sets),
        }
        sets.class = class(parts, &sets);
        sets
    }

    fn group<'t>(
        &mut self,
        texts: impl Iterator<Item = &'t [u8]> + Clone,
        role: Option<&str>,
        shingling: Shingling,
        sets: &mut RowSets,
    ) {
        let salt = role.map_or(0, |role| xxh3_64(role.as_bytes()));
        let raw = texts
            .clone()
            .fold(salt, |seed, text| xxh3_64_with_seed(text, seed));
        if let Some(known) = self.memory.find(raw, texts.clone()) {
            sets.has_tokens |= known.text != 0;
            sets.groups.push(Arc::clone(known));
            return;
        }
        self.tokens.clear();
        let mut separators = 0;
        for (index, text) in texts.clone().enumerate() {
            if index > 0 {
                self.tokens.push(SEPARATOR);
                separators += 1;
            }
            self.tokenizer.split(text, &mut self.tokens);
        }
        let has_tokens = self.tokens.len() > separators;
        let shingles = if has_tokens {
            let (ngram, list) = (shingling.ngram, &mut self.sorter.list);
            ngrams::list(&self.tokens, ngram, salt, list, self.instructions);
            if shingling.sorted {
                self.sorter.set()
            } else {
                self.sorter.distinct()
            }
        } else if texts
            .clone()
            .any(|text| !text.iter().all(|&byte| is_space(byte)))
        {
            vec![mix(raw)]
        } else {
            return;
        };
        let keeps_tokens = has_tokens && shingling.tokens;
        let group = Arc::new(Group {
            role: role.map(|role| self.roles.share(role)),
            sketch: if shingling.sorted {
                Sketch::of(&shingles)
            } else {
                Sketch::default()
            },
            shingles,
            text: if has_tokens {
                ngrams::all(&self.tokens)
            } else {
                0
            },
            tokens: if keeps_tokens {
                self.tokens.clone()
            } else {
                Vec::new()
            },
            keys: OnceLock::new(),
            salt,
        });
        self.memory.tell(raw, texts, &group);
        sets.has_tokens |= has_tokens;
        sets.groups.push(group);
    }
}

/// Texts in the order in which their roles come first, each with the place of the first of its role.
fn by_role<'p>(texts: &[&'p Part<'p>]) -> Vec<(usize, &'p Part<'p>)> {
    /// Texts whose roles are compared two by two.
    const FEW: usize = 32;
    let mut firsts: HashMap<&str, usize> = HashMap::new();
    let mut first = |at: usize| {
        let is_same = |part: &&Part| part.role == texts[at].role;
        if texts.len() <= FEW {
            texts.iter().position(is_same).unwrap_or(at)
        } else {
            *firsts.entry(&texts[at].role).or_insert(at)
        }
    };
    let mut by_role: Vec<_> = (0..texts.len()).map(|at| (first(at), texts[at])).collect();
    by_role.sort_by_key(|&(first, _)| first);
    by_role
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

/// The texts of one group.
type Texts = Vec<Box<[u8]>>;

/// Texts that come back, as system prompts and labels do, and their groups.
///
/// A text is remembered when it is met for the second time, so that those that are met once, which
/// most are, cost no copy.
#[derive(Debug, Default)]
struct Memory {
    /// Hashes of texts that were met lately, each in a place of its own.
    met: Vec<u64>,
    known: HashMap<u64, (Texts, Arc<Group>)>,
    bytes: usize,
}

impl Memory {
    /// Places for texts that were met lately.
    const MET: usize = 1 << 12;
    /// Bytes of texts and groups that are remembered.
    const ROOM: usize = 4 << 20;

    fn find<'t>(&self, raw: u64, mut texts: impl Iterator<Item = &'t [u8]>) -> Option<&Arc<Group>> {
        let (known, group) = self.known.get(&raw)?;
        let same = known.iter().all(|known| texts.next() == Some(known));
        (same && texts.next().is_none()).then_some(group)
    }

    fn tell<'t>(&mut self, raw: u64, texts: impl Iterator<Item = &'t [u8]>, group: &Arc<Group>) {
        self.met.resize(Self::MET, 0);
        let place = &mut self.met[raw as usize % Self::MET];
        if std::mem::replace(place, raw) != raw {
            return;
        }
        let texts: Texts = texts.map(Box::from).collect();
        let length: usize = texts.iter().map(|text| text.len()).sum();
        let bytes = 256 + length + group.bytes();
        if self.bytes + bytes > Self::ROOM {
            *self = Self::default();
        } else {
            self.bytes += bytes;
            self.known.insert(raw, (texts, Arc::clone(group)));
        }
    }
}

fn class(parts: &Parts, sets: &RowSets) -> u64 {
    let mut class = 0;
    for part in parts.list.iter().filter(|part| part.opaque) {
        class = mix(class ^ xxh3_64(part.role.as_bytes()));
        class = mix(class ^ xxh3_64(&part.text));
    }
    // A sum, since the order in which roles appear is no difference.
    let names = sets.groups.iter().filter_map(|group| group.role.as_ref());
    names.fold(class, |class, role| {
        class.wrapping_add(mix(xxh3_64(role.as_bytes())))
    })
}

/// A bijection of 64 bits in which every bit of the input moves every bit of the output (Stafford's
/// variant 13).
#[must_use]
pub fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}
