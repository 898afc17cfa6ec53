//! Statistics of a text that filters ask for again and again, counted together.
//!
//! Scalars are told apart by the frozen classes of [`crate::unicode`], so that a count is the same on
//! every machine and for ever. Every scalar is a letter, a mark, a digit, white space or a symbol.
//!
//! What a reader would get wrong: half a surrogate pair, three bytes here, is one scalar and a symbol.

use crate::tokens::scalar;
use crate::unicode::{Class, class};

/// Bytes that are counted before a counter of one byte is full.
const FULL: usize = 255;

/// What is counted of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Unicode scalars.
    pub chars: u32,
    /// Runs without white space between them.
    pub words: u32,
    /// Line breaks, and one more if there is any scalar.
    pub lines: u32,
    /// Letters, and numbers that are no decimal digits.
    pub letters: u32,
    /// Decimal digits.
    pub digits: u32,
    /// White space.
    pub spaces: u32,
    /// All but letters, marks, digits and white space.
    pub symbols: u32,
}

impl Statistics {
    /// The names of the counts, in order.
    pub const NAMES: [&'static str; 7] = [
        "chars", "words", "lines", "letters", "digits", "spaces", "symbols",
    ];

    /// The counts, in the order of their names.
    #[must_use]
    pub const fn counts(&self) -> [u32; 7] {
        [
            self.chars,
            self.words,
            self.lines,
            self.letters,
            self.digits,
            self.spaces,
            self.symbols,
        ]
    }

    /// Count in a text, given as UTF-8 in which half surrogates may stand as three bytes.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let mut found = if text.is_ascii() {
            Self::of_ascii(text)
        } else {
            Self::of_scalars(text)
        };
        found.lines = count(text, |byte| byte == b'\n') + u32::from(!text.is_empty());
        found
    }

    /// Byte by byte, but in loops that become vector instructions.
    fn of_ascii(text: &[u8]) -> Self {
        let (chars, spaces) = (text.len() as u32, count(text, is_space));
        let letters = count(text, |byte| byte.is_ascii_alphabetic());
        let digits = count(text, |byte| byte.is_ascii_digit());
        Self {
            chars,
            words: count_words(text),
            lines: 0,
            letters,
            digits,
            spaces,
            symbols: chars - spaces - letters - digits,
        }
    }

    fn of_scalars(text: &[u8]) -> Self {
        let mut found = Self::default();
        let (mut at, mut was_space) = (0, true);
        while at < text.len() {
            let (next, length) = scalar(text, at);
            at += length;
            found.chars += 1;
            let is_space = is_white_space(next);
            found.words += u32::from(was_space && !is_space);
            was_space = is_space;
            match class(next) {
                _ if is_space => found.spaces += 1,
                Class::Word | Class::Unspaced => found.letters += 1,
                Class::Digit => found.digits += 1,
                Class::Extend => {}
                Class::Break | Class::Symbol => found.symbols += 1,
            }
        }
        found
    }

    /// The sums of two counts.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            chars: self.chars.saturating_add(other.chars),
            words: self.words.saturating_add(other.words),
            lines: self.lines.saturating_add(other.lines),
            letters: self.letters.saturating_add(other.letters),
            digits: self.digits.saturating_add(other.digits),
            spaces: self.spaces.saturating_add(other.spaces),
            symbols: self.symbols.saturating_add(other.symbols),
        }
    }
}

/// The property `White_Space` of Unicode 18.
const fn is_white_space(scalar: char) -> bool {
    matches!(
        scalar,
        '\t'..='\r'
            | ' '
            | '\u{85}'
            | '\u{a0}'
            | '\u{1680}'
            | '\u{2000}'..='\u{200a}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{202f}'
            | '\u{205f}'
            | '\u{3000}'
    )
}

/// The same for a byte of ASCII.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

fn count(bytes: &[u8], is: impl Fn(u8) -> bool) -> u32 {
    let in_chunk = |chunk: &[u8]| {
        let ones = chunk.iter().map(|&byte| u8::from(is(byte)));
        u32::from(ones.fold(0, u8::wrapping_add))
    };
    bytes.chunks(FULL).map(in_chunk).sum()
}

/// Bytes that are no space, behind one or at the beginning.
fn count_words(bytes: &[u8]) -> u32 {
    let Some((&first, rest)) = bytes.split_first() else {
        return 0;
    };
    let before = bytes.chunks(FULL).zip(rest.chunks(FULL));
    let in_chunk = |(before, after): (&[u8], &[u8])| {
        let pairs = before.iter().zip(after);
        let ones = pairs.map(|(&last, &next)| u8::from(is_space(last) & !is_space(next)));
        u32::from(ones.fold(0, u8::wrapping_add))
    };
    u32::from(!is_space(first)) + before.map(in_chunk).sum::<u32>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_scalar_is_counted_as_what_it_is() {
        let cases = [
            ("", [0; 7]),
            (" ", [1, 0, 1, 0, 0, 1, 0]),
            ("a b\n\nc3.", [8, 3, 3, 3, 1, 3, 1]),
            ("去年 ๔ é=e\u{301}½\u{a0}x\u{2028}", [13, 4, 1, 6, 1, 4, 1]),
        ];
        for (text, counts) in cases {
            assert_eq!(Statistics::of(text.as_bytes()).counts(), counts, "{text:?}");
        }
        let half = Statistics::of(b"\xED\xA0\x80a");
        assert_eq!(half.counts(), [2, 1, 1, 1, 0, 0, 1]);
    }

    proptest! {
        #[test]
        fn ascii_is_counted_as_any_text(text in "[ -~\t\n\r\u{b}\u{c}\u{1c}\u{7f}]{0,600}") {
            let (fast, slow) = (Statistics::of(text.as_bytes()), Statistics::of_scalars(text.as_bytes()));
            prop_assert_eq!(fast, Statistics { lines: fast.lines, ..slow });
        }
    }
}
