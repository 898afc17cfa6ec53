//! Texts that come back, as system prompts and labels do, and what was made of them.
//!
//! A text is remembered when it is met for the second time, so that those that are met once, which
//! most are, cost no copy.

use crate::grouping::Texts;

/// What was made of groups of texts.
#[derive(Debug)]
pub(crate) struct Recall<T> {
    places: Vec<Place<T>>,
    bytes: usize,
}

/// Where a text is remembered, by its hash.
#[derive(Debug)]
struct Place<T> {
    /// Hash of the text that was met last.
    met: u64,
    known: Option<Box<Known<T>>>,
}

#[derive(Debug)]
struct Known<T> {
    raw: u64,
    texts: Vec<Box<[u8]>>,
    made: T,
    bytes: usize,
}

impl<T> Default for Recall<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            bytes: 0,
        }
    }
}

impl<T> Recall<T> {
    /// Places, each for one text.
    const PLACES: usize = 1 << 12;
    /// Bytes of texts, and of what was made of them, that are remembered.
    const ROOM: usize = 4 << 20;

    /// What was made of these texts, whose hash is `raw`, if it is known.
    pub(crate) fn find(&self, raw: u64, texts: Texts) -> Option<&T> {
        let place = self.places.get(raw as usize % Self::PLACES)?;
        let known = place.known.as_ref().filter(|known| known.raw == raw)?;
        let same = known.texts.iter().map(|text| &**text);
        same.eq(texts.iter()).then_some(&known.made)
    }

    /// Tell what was made of texts, which takes so many `bytes`; `made` is asked if they are to be
    /// remembered: when they were met before, and nothing else since that has the same place.
    pub(crate) fn tell(&mut self, raw: u64, texts: Texts, bytes: usize, made: impl FnOnce() -> T) {
        let new = || Place {
            met: 0,
            known: None,
        };
        self.places.resize_with(Self::PLACES, new);
        let place = &mut self.places[raw as usize % Self::PLACES];
        if std::mem::replace(&mut place.met, raw) != raw {
            return;
        }
        self.bytes -= place.known.take().map_or(0, |known| known.bytes);
        let of_texts = texts.iter().map(|text| size_of::<Box<[u8]>>() + text.len());
        let bytes = 256 + of_texts.sum::<usize>() + bytes;
        if self.bytes + bytes > Self::ROOM {
            *self = Self::default();
        } else {
            self.bytes += bytes;
            let texts: Vec<Box<[u8]>> = texts.iter().map(Box::from).collect();
            let made = made();
            place.known = Some(Box::new(Known {
                raw,
                texts,
                made,
                bytes,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::grouping::Grouping;
    use crate::parts::{Part, Parts};
    use crate::shingles::Alike;

    fn parts(text: &'static str) -> Parts<'static> {
        let part = Part {
            role: Cow::Borrowed("user"),
            opaque: false,
            text: Cow::Borrowed(text.as_bytes()),
            span: 0..0,
        };
        let list = vec![part];
        Parts {
            list,
            duplicate_keys: 0,
        }
    }

    #[test]
    fn a_text_is_known_by_itself_and_not_by_its_hash() {
        let mut recall = Recall::default();
        let (one, other) = (parts("one"), parts("other"));
        let (mut of_one, mut of_other) = (Grouping::default(), Grouping::default());
        let one = of_one.of(&one, Alike::Whole).next().expect("a group");
        let other = of_other.of(&other, Alike::Whole).next().expect("a group");
        recall.tell(7, one, 0, || 1);
        assert_eq!(recall.find(7, one), None); // met once
        recall.tell(7, one, 0, || 1);
        assert_eq!(recall.find(7, one), Some(&1));
        assert_eq!(recall.find(7, other), None);
        let same_place = 7 + Recall::<i32>::PLACES as u64;
        recall.tell(same_place, other, 0, || 2);
        assert_eq!(recall.find(7, one), Some(&1)); // the other was met once
        recall.tell(same_place, other, 0, || 2);
        assert_eq!(recall.find(same_place, other), Some(&2));
        assert_eq!(recall.find(7, one), None);
        recall.tell(7, one, Recall::<i32>::ROOM, || 3);
        recall.tell(7, one, Recall::<i32>::ROOM, || 3);
        assert_eq!(recall.find(7, one), None); // there is no room for so much
    }
}
