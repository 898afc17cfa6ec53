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

use xxhash_rust::xxh3::xxh3_64;

use crate::unicode::{Class, class, fold, reorder};

/// Stands between the texts of one role. It is no token's hash but by a chance of 1 in 2⁶⁴.
pub const SEPARATOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// Scalars a window, in scripts without spaces.
const WINDOW: usize = 3;

/// Splits texts into tokens; keeps its buffers between calls.
#[derive(Debug, Default)]
pub struct Tokenizer {
    run: Vec<char>,
    bytes: Vec<u8>,
}

impl Tokenizer {
    /// Append the tokens of a text, given as UTF-8 in which half surrogates may stand as three
    /// bytes.
    pub fn split(&mut self, text: &[u8], tokens: &mut Vec<u64>) {
        let mut at = 0;
        while at < text.len() {
            if is_ascii_word(text[at]) {
                let length = text[at..].iter().position(|&byte| !is_ascii_word(byte));
                let end = length.map_or(text.len(), |length| at + length);
                let goes_on = end < text.len()
                    && !text[end].is_ascii()
                    && matches!(class(scalar(text, end).0), Class::Word | Class::Extend);
                if !goes_on {
                    self.bytes.clear();
                    self.bytes
                        .extend(text[at..end].iter().map(u8::to_ascii_lowercase));
                    tokens.push(xxh3_64(&self.bytes));
                    at = end;
                    continue;
                }
            }
            let (first, length) = scalar(text, at);
            at = match class(first) {
                Class::Break | Class::Extend => at + length, // a mark belongs to what it follows
                Class::Symbol => self.run(text, at, tokens, |_| false),
                Class::Unspaced => self.run(text, at, tokens, |next| next == Class::Unspaced),
                Class::Word => self.run(text, at, tokens, |next| next == Class::Word),
            };
        }
    }

    /// The run that begins at `at` and takes in what `joins` it, and every mark; returns where it
    /// ends.
    fn run(
        &mut self,
        text: &[u8],
        mut at: usize,
        tokens: &mut Vec<u64>,
        joins: impl Fn(Class) -> bool,
    ) -> usize {
        let (first, length) = scalar(text, at);
        self.run.clear();
        fold(first, &mut self.run);
        at += length;
        while at < text.len() {
            let (next, length) = scalar(text, at);
            let next_class = class(next);
            if next_class != Class::Extend && !joins(next_class) {
                break;
            }
            fold(next, &mut self.run);
            at += length;
        }
        reorder(&mut self.run);
        if class(first) == Class::Unspaced && self.run.len() > WINDOW {
            for start in 0..=self.run.len() - WINDOW {
                tokens.push(hash(&self.run[start..start + WINDOW], &mut self.bytes));
            }
        } else {
            tokens.push(hash(&self.run, &mut self.bytes));
        }
        at
    }
}

fn hash(scalars: &[char], bytes: &mut Vec<u8>) -> u64 {
    bytes.clear();
    for scalar in scalars {
        bytes.extend_from_slice(scalar.encode_utf8(&mut [0; 4]).as_bytes());
    }
    xxh3_64(bytes)
}

const fn is_ascii_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// The scalar at `at` and its length in bytes. Total: whatever the bytes, it moves on and stays
/// inside.
fn scalar(text: &[u8], at: usize) -> (char, usize) {
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
        length,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<u64> {
        let mut tokens = Vec::new();
        Tokenizer::default().split(text.as_bytes(), &mut tokens);
        tokens
    }

    fn words(words: &[&str]) -> Vec<u64> {
        words.iter().map(|word| xxh3_64(word.as_bytes())).collect()
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
    fn half_a_surrogate_pair_ends_a_word() {
        let mut found = Vec::new();
        Tokenizer::default().split(b"a\xED\xA0\x80b", &mut found);
        assert_eq!(found, words(&["a", "b"]));
    }

    #[test]
    fn no_bytes_are_out_of_reach() {
        for bytes in [&b"\xFF"[..], b"\xE4\xB8", b"a\xF0", b"\x80\x80", b"\xC3"] {
            Tokenizer::default().split(bytes, &mut Vec::new());
        }
    }
}
