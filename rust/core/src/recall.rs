//! Texts that come back, as system prompts and labels do, and what was made of them.
//!
//! A text is remembered when it is met for the second time, so that those that are met once, which
//! most are, cost no copy.

use hashbrown::HashMap;

use crate::grouping::Texts;

/// The texts of one group.
type Known = Vec<Box<[u8]>>;

/// What was made of groups of texts.
#[derive(Debug)]
pub(crate) struct Recall<T> {
    /// Hashes of texts that were met lately, each in a place of its own.
    met: Vec<u64>,
    known: HashMap<u64, (Known, T)>,
    bytes: usize,
}

impl<T> Default for Recall<T> {
    fn default() -> Self {
        Self {
            met: Vec::new(),
            known: HashMap::new(),
            bytes: 0,
        }
    }
}

impl<T> Recall<T> {
    /// Places for texts that were met lately.
    const MET: usize = 1 << 12;
    /// Bytes of texts, and of what was made of them, that are remembered.
    const ROOM: usize = 4 << 20;

    /// What was made of these texts, whose hash is `raw`, if it is known.
    pub(crate) fn find(&self, raw: u64, texts: Texts) -> Option<&T> {
        let (known, made) = self.known.get(&raw)?;
        let same = known.iter().map(|text| &**text);
        same.eq(texts.iter()).then_some(made)
    }

    /// Tell what was made of texts, which takes so many `bytes`; `made` is asked if they are to be
    /// remembered.
    pub(crate) fn tell(&mut self, raw: u64, texts: Texts, bytes: usize, made: impl FnOnce() -> T) {
        self.met.resize(Self::MET, 0);
        let place = &mut self.met[raw as usize % Self::MET];
        if std::mem::replace(place, raw) != raw {
            return;
        }
        let texts: Known = texts.iter().map(Box::from).collect();
        let length: usize = texts.iter().map(|text| text.len()).sum();
        let bytes = 256 + length + bytes;
        if self.bytes + bytes > Self::ROOM {
            *self = Self::default();
        } else {
            self.bytes += bytes;
            self.known.insert(raw, (texts, made()));
        }
    }
}
