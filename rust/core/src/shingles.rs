//! Shingles: what a row says, as sets of hashed word n-grams, one set a group of parts.
//!
//! Parts are grouped by role (`each-role`) or all together (`whole`). A group's shingles are salted
//! with its role, so that the union over the groups is a set too. An n-gram hash is a rolling
//! polynomial over token hashes, finished by a full mix: a bare product would bias the affine
//! functions of [`crate::minhash`].
//!
//! What a reader would get wrong: a group with text but without a token (an answer of one emoji) is
//! no empty set, which would be like every other; it has one shingle, its raw texts.

use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::json::is_space;
use crate::parts::{Part, Parts};
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
    /// Are the tokens the same?
    #[must_use]
    pub fn is_same_text(&self, other: &Self) -> bool {
        self.text == other.text && self.text != 0
    }
}

fn salt(role: Option<&Arc<str>>) -> u64 {
    role.map_or(0, |role| xxh3_64(role.as_bytes()))
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
}

impl Shingler {
    /// The sets of a row.
    pub fn sets(&mut self, parts: &Parts, shingling: Shingling) -> RowSets {
        let texts: Vec<&Part> = parts.list.iter().filter(|part| !part.opaque).collect();
        let mut roles: Vec<&Arc<str>> = Vec::new();
        for part in &texts {
            if !roles.contains(&&part.role) {
                roles.push(&part.role);
            }
        }
        let mut sets = RowSets::default();
        match shingling.alike {
            Alike::Consensus | Alike::EachRole => {
                for role in roles {
                    let of_role = texts
                        .iter()
                        .filter(|part| &part.role == role)
                        .map(|part| &*part.text);
                    self.group(of_role, Some(role), shingling, &mut sets);
                }
            }
            Alike::Whole => self.group(
                texts.iter().map(|part| &*part.text),
                None,
                shingling,
                &mut sets,
            ),
        }
        sets.class = class(parts, &sets);
        sets
    }

    fn group<'t>(
        &mut self,
        texts: impl Iterator<Item = &'t [u8]> + Clone,
        role: Option<&Arc<str>>,
        shingling: Shingling,
        sets: &mut RowSets,
    ) {
        let salt = salt(role);
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
            let shingles = ngrams(&self.tokens, shingling.ngram, salt);
            if shingling.sorted {
                self.sorter.set(shingles)
            } else {
                self.sorter.distinct(shingles)
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
            role: role.cloned(),
            shingles,
            text: if has_tokens { all(&self.tokens) } else { 0 },
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
        let bytes = 256 + length + 8 * (group.shingles.len() + group.tokens.len());
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

const BASE: u64 = 0xD6E8_FEB8_6659_FD93;

fn roll(hash: u64, token: u64) -> u64 {
    hash.wrapping_mul(BASE).wrapping_add(token)
}

/// Hash of a whole list of tokens.
fn all(tokens: &[u64]) -> u64 {
    let length = tokens.len() as u64;
    mix(tokens.iter().copied().fold(length, roll))
}

/// Makes sets of hashes; keeps its buffers between calls.
///
/// Hashes are spread evenly, so their highest bits tell nearly where each will stand. Where they do
/// not, as nobody but an attacker would have it, an ordinary sort does it all.
#[derive(Debug, Default)]
pub(crate) struct Sorter {
    unsorted: Vec<u64>,
    ends: Vec<u32>,
    table: Vec<u64>,
}

impl Sorter {
    /// Numbers of elements of which this is faster than an ordinary sort: few enough for the counts
    /// to stay in the cache.
    const WORTH: std::ops::Range<usize> = 48..1 << 15;
    /// So many moves an element are worth it, to put those in order that begin with the same bits.
    const MOVES: usize = 4;

    /// The elements: each once, in the order in which they come first, if nothing speaks against it.
    ///
    /// Where hashes crowd, they are sorted.
    pub(crate) fn distinct(&mut self, elements: impl Iterator<Item = u64>) -> Vec<u64> {
        self.take(elements);
        if self.unsorted.len() >= Self::WORTH.end {
            return self.sorted();
        }
        // An element stands at the place that its highest bits name, or at the first one behind it
        // that was free, where 0 stands.
        let bits = (4 * self.unsorted.len()).max(2).ilog2();
        self.table.clear();
        self.table.resize(1 << bits, 0);
        let mut distinct = Vec::with_capacity(self.unsorted.len());
        let mut moves = Self::MOVES * self.unsorted.len();
        let table = &mut self.table[..];
        let all_stand = self.unsorted.iter().all(|&element| {
            let mut place = (element >> (u64::BITS - bits)) as usize;
            while table[place] != element && table[place] != 0 && moves > 0 {
                place = (place + 1) & (table.len() - 1);
                moves -= 1;
            }
            if table[place] == 0 {
                table[place] = element;
                distinct.push(element);
            }
            element != 0 && moves > 0
        });
        if all_stand { distinct } else { self.sorted() }
    }

    /// The elements: sorted, each once.
    pub(crate) fn set(&mut self, elements: impl Iterator<Item = u64>) -> Vec<u64> {
        self.take(elements);
        self.sorted()
    }

    fn take(&mut self, elements: impl Iterator<Item = u64>) {
        self.unsorted.clear();
        elements.for_each(|element| self.unsorted.push(element)); // faster than `extend` here
    }

    fn sorted(&mut self) -> Vec<u64> {
        let mut set = vec![0; self.unsorted.len()];
        if !Self::WORTH.contains(&set.len()) || !self.sort_into(&mut set) {
            set.copy_from_slice(&self.unsorted);
            set.sort_unstable();
        }
        set.dedup();
        set
    }

    fn sort_into(&mut self, sorted: &mut [u64]) -> bool {
        let bits = sorted.len().ilog2();
        let bucket = |element: u64| (element >> (u64::BITS - bits)) as usize;
        self.ends.clear();
        self.ends.resize(1 << bits, 0);
        for &element in &self.unsorted {
            self.ends[bucket(element)] += 1;
        }
        let mut end = 0;
        for count in &mut self.ends {
            end += *count;
            *count = end;
        }
        for &element in &self.unsorted {
            let place = &mut self.ends[bucket(element)];
            *place -= 1;
            sorted[*place as usize] = element;
        }
        let mut moves = Self::MOVES * sorted.len();
        for at in 1..sorted.len() {
            let element = sorted[at];
            let mut place = at;
            while place > 0 && sorted[place - 1] > element {
                sorted[place] = sorted[place - 1];
                place -= 1;
            }
            sorted[place] = element;
            let Some(left) = moves.checked_sub(at - place) else {
                return false;
            };
            moves = left;
        }
        true
    }
}

/// The n-grams of `tokens`, in order; of fewer than `ngram` tokens the one gram of them all.
pub(crate) fn ngrams(tokens: &[u64], ngram: usize, salt: u64) -> impl Iterator<Item = u64> {
    let leading = BASE.wrapping_pow(ngram as u32);
    let (head, rest) = tokens.split_at(ngram.min(tokens.len()));
    let first = if head.len() < ngram {
        all(tokens)
    } else {
        head.iter().copied().fold(0, roll)
    };
    let rolled = tokens
        .iter()
        .zip(rest)
        .scan(first, move |hash, (&leaves, &enters)| {
            *hash = roll(*hash, enters).wrapping_sub(leaves.wrapping_mul(leading));
            Some(*hash)
        });
    std::iter::once(first)
        .chain(rolled)
        .map(move |hash| mix(hash ^ salt))
}

/// A bijection of 64 bits in which every bit of the input moves every bit of the output (Stafford's
/// variant 13).
#[must_use]
pub fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rolled_hash_is_that_of_the_window() {
        let tokens: Vec<u64> = (0..50).map(|token| mix(token + 1)).collect();
        for ngram in 1..8 {
            let mut windows: Vec<u64> = tokens
                .windows(ngram)
                .map(|window| ngrams(window, ngram, 7).next().expect("there is one"))
                .collect();
            windows.sort_unstable();
            let mut sorter = Sorter::default();
            assert_eq!(
                sorter.set(ngrams(&tokens, ngram, 7)),
                windows,
                "n = {ngram}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_set_is_sorted_and_holds_each_once(
            size in 0..3000_usize,
            same in 1..200_u64,
            low in prop::bool::weighted(0.2),
        ) {
            let hash = |at: u64| mix(at % (size as u64 / same + 1)) >> if low { 30 } else { 0 };
            let elements = (0..size as u64).map(hash);
            let expected: BTreeSet<u64> = elements.clone().collect();
            let expected: Vec<u64> = expected.into_iter().collect();
            let mut sorter = Sorter::default();
            let mut distinct = sorter.distinct(elements.clone());
            distinct.sort_unstable();
            prop_assert_eq!(&distinct, &expected);
            prop_assert_eq!(sorter.set(elements), expected);
        }
    }

    #[test]
    fn short_texts_differ_from_the_start_of_longer_ones() {
        let all = |tokens: &[u64]| -> Vec<u64> { ngrams(tokens, 3, 0).collect() };
        assert_ne!(all(&[1]), all(&[1, 0]));
        assert_ne!(all(&[1, 2]), all(&[0, 1, 2]));
    }
}
