//! Tokens: the words of a text, as 64-bit hashes.
//!
//! A word is a maximal run of letters, marks and digits. Scripts that are written without spaces
//! give overlapping windows of three scalars. Mathematical and currency symbols are tokens of their
//! own, or `2+3` and `2*3` would be one text; other punctuation is dropped. Scalars are decomposed
//! and lower-cased by frozen tables ([`crate::unicode`]), so that both normal forms of a text give
//! the same tokens, on every machine and for ever.
//!
//! What a reader would get wrong: a combining mark belongs to whatever it follows, also to a symbol
//! (`≠` is `=` and a mark) and to what is dropped, or all emoji with a variation selector would be one
//! token; and half a surrogate pair, three bytes here, counts as U+FFFD, which ends a run.

use std::ops::Range;

use memchr::memchr;
use twox_hash::XxHash3_64;

use crate::ascii::Ascii;
use crate::instructions::Instructions;
use crate::unicode::{Class, class, fold, reorder};
use crate::word_hash::{BATCH, hash_words};

/// Stands between the texts of one role. It is no token's hash but by a chance of 1 in 2⁶³.
pub const SEPARATOR: u64 = 0x9E37_79B9_7F4A_7C14;

/// The bit of a token that is set for numbers, and only for them.
const NUMBER: u64 = 1;

/// Bytes of a text whose words are listed at a time, if there is a space behind them.
const PIECE: usize = 1 << 16;

/// Scalars a window, in scripts without spaces.
const WINDOW: usize = 3;

/// Is a token made of decimal digits alone?
#[must_use]
pub const fn is_number(token: u64) -> bool {
    token & NUMBER != 0
}

/// Splits texts into tokens; keeps its buffers between calls.
#[derive(Debug, Default)]
pub struct Tokenizer {
    instructions: Instructions,
    ascii: Ascii,
    run: Vec<char>,
    /// Where each scalar of the run comes from.
    places: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tokenizer {
    /// One that uses these instructions, whatever wider ones the machine has.
    #[must_use]
    pub fn with(instructions: Instructions) -> Self {
        Self {
            instructions,
            ..Self::default()
        }
    }

    /// Append the tokens of a text, given as UTF-8 in which half surrogates may stand as three
    /// bytes.
    pub fn split(&mut self, text: &[u8], tokens: &mut Vec<u64>) {
        for piece in pieces(text, PIECE) {
            self.batches(&text[piece], |batch, _, _| tokens.extend_from_slice(batch));
        }
    }

    /// Call `found` with each token of a text and the bytes that it comes from.
    pub fn each(&mut self, text: &[u8], found: impl FnMut(u64, Range<usize>)) {
        self.each_of(text, PIECE, found);
    }

    pub(crate) fn each_of(
        &mut self,
        text: &[u8],
        size: usize,
        mut found: impl FnMut(u64, Range<usize>),
    ) {
        for piece in pieces(text, size) {
            let base = piece.start;
            self.batches(&text[piece], |tokens, starts, lasts| {
                for ((&token, &start), &last) in tokens.iter().zip(starts).zip(lasts) {
                    found(token, base + start..base + last + 1);
                }
            });
        }
    }

    /// Call `found` with tokens of a piece in order, and the first and the last bytes that each comes
    /// from.
    fn batches(&mut self, text: &[u8], mut found: impl FnMut(&[u64], &[usize], &[usize])) {
        let mut ascii = std::mem::take(&mut self.ascii);
        ascii.read(text, self.instructions);
        let (lower, starts, lasts) = ascii.spans();
        let mut tokens = [0; BATCH];
        let mut at = 0;
        while at < starts.len() {
            let (first, most) = (starts[at], starts.len().min(at + BATCH));
            // What is not ASCII may be a token of its own, or belong to the one before it.
            let end = if ascii.is_pure() {
                most
            } else if lower[first].is_ascii() {
                let plain = first + ascii_length(&lower[first..=lasts[most - 1] + 1]);
                at + lasts[at..most].partition_point(|last| last + 1 < plain)
            } else {
                at
            };
            if at < end {
                let (starts, lasts) = (&starts[at..end], &lasts[at..end]);
                hash_words(lower, starts, lasts, &mut tokens, self.instructions);
                found(&tokens[..end - at], starts, lasts);
                at = end;
            }
            if end < most {
                let mut one = |token, place: Range<usize>| {
                    found(&[token], &[place.start], &[place.end - 1]);
                };
                let done = self.token_at(text, starts[at], &mut one);
                at += starts[at..]
                    .iter()
                    .take_while(|&&start| start < done)
                    .count();
            }
        }
        self.ascii = ascii;
    }

    /// The token that begins at `at`, if one does, with whatever belongs to it; returns where to go
    /// on. Slow, and right for any text.
    pub(crate) fn token_at(
        &mut self,
        text: &[u8],
        at: usize,
        found: &mut impl FnMut(u64, Range<usize>),
    ) -> usize {
        let (first, length) = scalar(text, at);
        match class(first) {
            Class::Break | Class::Extend => at + length, // a mark belongs to what it follows
            Class::Symbol => self.run(text, at, found, |_| false),
            Class::Unspaced => self.run(text, at, found, |next| next == Class::Unspaced),
            Class::Word | Class::Digit => self.run(text, at, found, |next| {
                matches!(next, Class::Word | Class::Digit)
            }),
        }
    }

    /// The run that begins at `at` and takes in what `joins` it, and every mark; returns where it
    /// ends.
    fn run(
        &mut self,
        text: &[u8],
        mut at: usize,
        found: &mut impl FnMut(u64, Range<usize>),
        joins: impl Fn(Class) -> bool,
    ) -> usize {
        let (first, length) = scalar(text, at);
        self.run.clear();
        self.places.clear();
        self.take(first, at);
        at += length;
        let mut is_number = class(first) == Class::Digit;
        while at < text.len() {
            let (next, length) = scalar(text, at);
            let next_class = class(next);
            if next_class != Class::Extend && !joins(next_class) {
                break;
            }
            is_number &= next_class == Class::Digit;
            self.take(next, at);
            at += length;
        }
        reorder(&mut self.run);
        if class(first) == Class::Unspaced && self.run.len() > WINDOW {
            for start in 0..=self.run.len() - WINDOW {
                let end = start + WINDOW;
                let place = self.places[start]..*self.places.get(end).unwrap_or(&at);
                found(hash(&self.run[start..end], false, &mut self.bytes), place);
            }
        } else {
            let place = self.places[0]..at;
            found(hash(&self.run, is_number, &mut self.bytes), place);
        }
        at
    }

    fn take(&mut self, scalar: char, place: usize) {
        fold(scalar, &mut self.run);
        self.places.resize(self.run.len(), place);
    }
}

/// Cut a text into pieces of about a size: behind a space, where no token goes on.
fn pieces(text: &[u8], size: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let least = start + size;
        let more = text.get(least..).and_then(|rest| memchr(b' ', rest));
        let piece = start..more.map_or(text.len(), |more| least + more + 1);
        start = piece.end;
        (!piece.is_empty()).then_some(piece)
    })
}

/// How many bytes stand before the first that is not ASCII.
fn ascii_length(text: &[u8]) -> usize {
    let (eights, rest) = text.as_chunks();
    let high_bits = |eight: &[u8; 8]| u64::from_le_bytes(*eight) & 0x8080_8080_8080_8080;
    if let Some(at) = eights.iter().position(|eight| high_bits(eight) != 0) {
        return 8 * at + high_bits(&eights[at]).trailing_zeros() as usize / 8;
    }
    let first = rest.iter().position(|byte| !byte.is_ascii());
    first.map_or(text.len(), |first| text.len() - rest.len() + first)
}

fn hash(scalars: &[char], is_number: bool, bytes: &mut Vec<u8>) -> u64 {
    bytes.clear();
    for scalar in scalars {
        bytes.extend_from_slice(scalar.encode_utf8(&mut [0; 4]).as_bytes());
    }
    marked(XxHash3_64::oneshot(bytes), is_number)
}

/// A token is the hash of its folded scalars, with one bit for [`is_number`].
pub(crate) fn marked(hash: u64, is_number: bool) -> u64 {
    hash & !NUMBER | u64::from(is_number)
}

/// The scalar at `at` and its length in bytes, as far as they are there: whatever the bytes, it moves
/// on and stays inside.
pub(crate) fn scalar(text: &[u8], at: usize) -> (char, usize) {
    let byte = |offset: usize| {
        text.get(at + offset)
            .map_or(0, |&byte| u32::from(byte & 0x3F))
    };
    let first = u32::from(text[at]);
    let (code, length) = match first {
        0..0x80 => (first, 1),
        0xC0..0xE0 => ((first & 0x1F) << 6 | byte(1), 2),
        0xE0..0xF0 => ((first & 0x0F) << 12 | byte(1) << 6 | byte(2), 3),
        0xF0.. => (
            (first & 0x07) << 18 | byte(1) << 12 | byte(2) << 6 | byte(3),
            4,
        ),
        _ => (0xFFFD, 1),
    };
    (
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
        length.min(text.len() - at),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> Vec<u64> {
        let mut tokens = Vec::new();
        Tokenizer::default().split(text.as_bytes(), &mut tokens);
        tokens
    }

    fn words(words: &[&str]) -> Vec<u64> {
        let is_number = |word: &str| word.chars().all(|c| class(c) == Class::Digit);
        words
            .iter()
            .map(|word| marked(XxHash3_64::oneshot(word.as_bytes()), is_number(word)))
            .collect()
    }

    #[test]
    fn a_text_becomes_its_words() {
        let cases: [(&str, &[&str]); 13] = [
            ("", &[]),
            ("...!? \u{1F600}", &[]),
            ("It's 3.14, OK", &["it", "s", "3", "14", "ok"]),
            ("snake_case-name", &["snake", "case", "-", "name"]),
            ("2+3=5 €7", &["2", "+", "3", "=", "5", "€", "7"]),
            ("Straße ÀB", &["straße", "a\u{300}b"]),
            ("cafe\u{301} CAFÉ", &["cafe\u{301}", "cafe\u{301}"]),
            ("去年今日", &["去年今", "年今日"]),
            ("今日abc人", &["今日", "abc", "人"]),
            (
                "한 \u{1112}\u{1161}\u{11AB}",
                &["\u{1112}\u{1161}\u{11AB}", "\u{1112}\u{1161}\u{11AB}"],
            ),
            ("≠", &["=\u{338}"]),
            ("❤\u{FE0F} \u{301}a", &["a"]),
            (
                "ガ\u{30AB}\u{3099}",
                &["\u{30AB}\u{3099}\u{30AB}", "\u{3099}\u{30AB}\u{3099}"],
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(tokens(text), words(expected), "{text}");
        }
    }

    #[test]
    fn digits_alone_are_a_number() {
        for (text, expected) in [
            ("7", true),
            ("2024", true),
            ("٣٤", true),
            ("๕", true),
            ("12a", false),
            ("a1", false),
            ("½", false),
            ("7\u{301}", false),
            ("七", false),
            ("+", false),
        ] {
            let found: Vec<bool> = tokens(text).into_iter().map(is_number).collect();
            assert_eq!(found, [expected], "{text}");
        }
        assert!(!is_number(SEPARATOR));
    }

    #[test]
    fn a_token_knows_its_place() {
        let text = "Ünd 2+3, 去年今日x";
        let mut places = Vec::new();
        let found = |_, place: Range<usize>| places.push(&text[place]);
        Tokenizer::default().each(text.as_bytes(), found);
        assert_eq!(places, ["Ünd", "2", "+", "3", "去年今", "年今日", "x"]);
    }

    #[test]
    fn half_a_surrogate_pair_ends_a_word() {
        let mut found = Vec::new();
        Tokenizer::default().split(b"a\xED\xA0\x80b", &mut found);
        assert_eq!(found, words(&["a", "b"]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The fast way and the slow one, which looks at every scalar, say the same.
        #[test]
        fn words_are_found_as_if_scalar_by_scalar(
            pieces in prop::collection::vec(prop_oneof![
                4 => "[a-zA-Z0-9]{1,9}",
                1 => "[a-z0-9]{50,140}",
                3 => " {1,3}|[-+*/=<>^%$|~.,_'\\x00-\\x1f]{1,4}",
                2 => "[éßÅ\u{301}\u{338}\u{FE0F}😀中今日ガ한٣€≠\u{FFFD}]{1,4}",
                1 => any::<char>().prop_map(String::from),
            ], 0..60),
            cut in any::<prop::sample::Index>(),
            size in prop::sample::select(vec![0, 1, 20, 100, PIECE]),
        ) {
            let mut text = pieces.concat().into_bytes();
            text.truncate(cut.index(text.len() + 1)); // perhaps in the middle of a scalar
            let mut tokenizer = Tokenizer::default();
            let (mut fast, mut slow) = (Vec::new(), Vec::new());
            tokenizer.each_of(&text, size, |token, place| fast.push((token, place)));
            let mut at = 0;
            while at < text.len() {
                at = tokenizer.token_at(&text, at, &mut |token, place| slow.push((token, place)));
            }
            prop_assert_eq!(fast, slow);
        }
    }

    #[test]
    fn no_bytes_are_out_of_reach() {
        for bytes in [&b"\xFF"[..], b"\xE4\xB8", b"a\xF0", b"\x80\x80", b"\xC3"] {
            Tokenizer::default().split(bytes, &mut Vec::new());
        }
    }
}
