//! What the reading pass takes of a row's texts: how many shingles they have, and the keys of its bands.
//!
//! No set is made for it. A row is done in a few microseconds, so nothing here asks for memory but for
//! buffers that are kept from row to row.

use crate::bands::BandKeys;
use crate::grouping::{Grouping, Texts, class};
use crate::key_role::KeyRoles;
use crate::parts::Parts;
use crate::recall::Recall;
use crate::shingles::{Alike, Lister};
use crate::sketch;

/// How rows are signed.
pub(crate) struct Signing<'a> {
    pub ngram: usize,
    pub alike: Alike,
    pub key_roles: &'a KeyRoles,
    /// None if recall is exact.
    pub keys: Option<BandKeys>,
}

/// What was taken of a row.
pub(crate) struct Signed<'s> {
    /// Shingles in all groups.
    pub size: usize,
    /// As of [`crate::shingles::RowSets`].
    pub has_tokens: bool,
    /// As of [`crate::shingles::RowSets`].
    pub class: u64,
    /// The key group, and where families matter every other one too.
    pub groups: &'s [SignedGroup],
    /// The keys of these groups, one group after the other.
    pub keys: &'s [u64],
    /// What is kept of the set ([`crate::sketches`]), where all roles are one group.
    pub sketch: &'s [u64],
}

pub(crate) struct SignedGroup {
    /// Hash of its role, as of [`crate::shingles::Group`].
    pub salt: u64,
    /// Hash of its tokens; 0 for a text without, and where families do not matter.
    pub text: u64,
    /// Does it propose the candidates of its row?
    pub is_key: bool,
}

/// What is known of a text that comes back.
#[derive(Debug)]
struct Known {
    size: usize,
    text: u64,
    has_tokens: bool,
    /// Empty if none were needed, as the sketch is.
    keys: Box<[u64]>,
    sketch: Box<[u64]>,
}

/// The roles of a row's groups, and what follows from them.
#[derive(Debug, Default)]
struct Shape {
    roles: Vec<(Option<String>, u64)>,
    /// The place of the key group.
    key: Option<usize>,
}

impl Shape {
    /// Take the shape of a row, which nearly always is that of the row before.
    fn fit<'g>(
        &mut self,
        groups: impl ExactSizeIterator<Item = Texts<'g>> + Clone,
        key_roles: &KeyRoles,
    ) {
        let mut both = self.roles.iter().zip(groups.clone());
        let is_same = both.all(|((role, _), texts)| role.as_deref() == texts.role());
        if !is_same || self.roles.len() != groups.len() {
            let named = |texts: Texts| (texts.role().map(str::to_owned), texts.salt());
            self.key = key_roles.key(groups.clone().map(Texts::role));
            self.roles.clear();
            self.roles.extend(groups.map(named));
        }
    }

    /// Hash of each role, as of [`crate::shingles::Group`].
    fn salts(&self) -> impl Iterator<Item = u64> {
        self.roles.iter().map(|(_, salt)| *salt)
    }
}

/// Signs rows; keeps its buffers between calls, and what it knows of texts that come back.
#[derive(Default)]
pub(crate) struct Signer {
    grouping: Grouping,
    shape: Shape,
    lister: Lister,
    recall: Recall<Known>,
    groups: Vec<SignedGroup>,
    keys: Vec<u64>,
    sketch: Vec<u64>,
}

impl Signer {
    /// Sign a row.
    pub(crate) fn sign(&mut self, parts: &Parts, signing: &Signing) -> Signed<'_> {
        let groups = self.grouping.of(parts, signing.alike);
        self.shape.fit(groups.clone(), signing.key_roles);
        let class = class(parts, self.shape.salts());
        self.groups.clear();
        self.keys.clear();
        self.sketch.clear();
        let (mut size, mut has_tokens) = (0, false);
        for (at, (texts, salt)) in groups.zip(self.shape.salts()).enumerate() {
            let (raw, is_key) = (texts.raw(salt), Some(at) == self.shape.key);
            let is_told = is_key || signing.alike == Alike::Consensus;
            let needed = signing.keys.as_ref().filter(|_| is_told);
            let known = self.recall.find(raw, texts);
            let known = known.filter(|known| needed.is_none() || !known.keys.is_empty());
            let (count, text, is_text) = if let Some(known) = known {
                if needed.is_some() {
                    self.keys.extend_from_slice(&known.keys);
                }
                self.sketch.extend_from_slice(&known.sketch);
                (known.size, known.text, known.has_tokens)
            } else {
                let is_text = self.lister.list(texts, signing.ngram, salt, raw);
                let is_asked = is_text && signing.alike == Alike::Consensus;
                let text = if is_asked { self.lister.text() } else { 0 };
                let shingles = self.lister.sorter.distinct();
                let first = self.keys.len();
                if let Some(keys) = needed {
                    keys.push(shingles, &mut self.keys);
                }
                if signing.alike == Alike::Whole {
                    sketch::add(shingles, &mut self.sketch);
                }
                let (keys, sketch) = (&self.keys[first..], &*self.sketch);
                let bytes = size_of_val(keys) + size_of_val(sketch);
                self.recall.tell(raw, texts, bytes, || Known {
                    size: shingles.len(),
                    text,
                    has_tokens: is_text,
                    keys: keys.into(),
                    sketch: sketch.into(),
                });
                (shingles.len(), text, is_text)
            };
            size += count;
            has_tokens |= is_text;
            if is_told {
                self.groups.push(SignedGroup { salt, text, is_key });
            }
        }
        Signed {
            size,
            has_tokens,
            class,
            groups: &self.groups,
            keys: &self.keys,
            sketch: &self.sketch,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::bands::Banding;
    use crate::minhash::MinHash;
    use crate::parts::Part;
    use crate::shingles::{Shingler, Shingling};

    /// Rows of few words, many of which come back.
    fn rows() -> impl Strategy<Value = Vec<Vec<(usize, bool, String)>>> {
        let text = prop_oneof![
            3 => "(one|two|three|four)( (one|two|three|four)){0,3}",
            1 => Just("\u{1f600}".to_owned()),
            1 => "[ \t]{0,2}",
            1 => "[a-e ]{0,60}",
        ];
        let part = (0..3_usize, prop::bool::weighted(0.1), text);
        let row = prop_oneof![
            9 => prop::collection::vec(part.clone(), 0..5),
            1 => prop::collection::vec(part, 30..40),
        ];
        prop::collection::vec(row, 1..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn a_row_is_signed_as_its_sets_are(rows in rows(), way in 0..3_usize, ngram in 1..4_usize) {
            let alike = [Alike::Whole, Alike::EachRole, Alike::Consensus][way];
            let (minhash, key_roles) = (MinHash::new(1), KeyRoles::default());
            let banding = Banding::for_threshold(800).expect("there is one");
            let signing = Signing {
                ngram,
                alike,
                key_roles: &key_roles,
                keys: Some(BandKeys::new(&minhash, banding)),
            };
            let shingling = Shingling { ngram, alike, tokens: false };
            let mut signer = Signer::default();
            for row in rows.iter().chain(&rows).chain(rows.iter().rev()) {
                let part = |(role, opaque, text): &(usize, bool, String)| Part {
                    role: Cow::Borrowed(["user", "assistant", "system"][*role]),
                    opaque: *opaque,
                    text: Cow::Owned(text.clone().into_bytes()),
                    span: 0..0,
                };
                let parts = Parts { list: row.iter().map(part).collect(), duplicate_keys: 0 };
                let sets = Shingler::default().sets(&parts, shingling); // which remembers nothing
                let signed = signer.sign(&parts, &signing);
                prop_assert_eq!(signed.size, sets.size());
                prop_assert_eq!(signed.has_tokens, sets.has_tokens);
                prop_assert_eq!(signed.class, sets.class);
                let key = (!sets.groups.is_empty()).then(|| key_roles.of(&sets).salt);
                let told = sets.groups.iter().filter(|group| {
                    alike == Alike::Consensus || Some(group.salt) == key
                });
                let (mut keys, mut sketch) = (Vec::new(), Vec::new());
                prop_assert_eq!(signed.groups.len(), told.clone().count());
                for (group, signed) in told.zip(signed.groups) {
                    let text = if alike == Alike::Consensus { group.text } else { 0 };
                    prop_assert_eq!((signed.salt, signed.text), (group.salt, text));
                    prop_assert_eq!(signed.is_key, Some(group.salt) == key);
                    let mut signature = MinHash::empty();
                    minhash.add(&mut signature, &group.shingles);
                    keys.extend(banding.keys(&signature, minhash.instructions()));
                    if alike == Alike::Whole {
                        sketch::add(&group.shingles, &mut sketch);
                    }
                }
                prop_assert_eq!(signed.keys, keys);
                prop_assert_eq!(signed.sketch, sketch);
            }
        }
    }
}
