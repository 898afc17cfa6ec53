//! Frozen Unicode: what a scalar is in a text (`class`), and what it is compared as (`fold`).
//!
//! The tables of the standard library and of Unicode crates move with every compiler and release,
//! and would silently change which rows are duplicates. These come from one named [`VERSION`],
//! written by `generate.py`, and change only with the version of the text rules. `table.tsv` states
//! the same facts for readers without Rust.
//!
//! A text is folded scalar by scalar: canonical decomposition (The Unicode Standard, chapter 3),
//! then simple lower case. After [`reorder`], every normal form of a text gives the same scalars.
//! The classes agree too: a scalar and the first of its fold are of one class, and the rest of a
//! fold goes on with it.
//!
//! What a reader would get wrong: folding is not case folding (`ß` stays `ß`, `ς` is not `σ`) and
//! not compatibility (`ﬁ` stays one letter); and a mark that can be reordered is always
//! [`Class::Extend`], also in Thai or Hebrew, or else two normal forms of a text could fall into
//! different runs.

mod tables;

pub use tables::VERSION;
use tables::{BLOCK, FOLD_BLOCKS, FOLD_ENDS, FOLD_INDEX, FOLDS, TRAIT_BLOCKS, TRAIT_INDEX, TRAITS};

/// What a scalar does to the text around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Ends a run and belongs to none: space, punctuation, control, emoji, unassigned.
    Break,
    /// A letter, number or mark of a script with words.
    Word,
    /// A decimal digit, which is a letter of a word too.
    Digit,
    /// A letter or mark of a script written without spaces: Han, Hiragana, Katakana, Thai, Lao,
    /// Khmer, Myanmar, Tibetan.
    Unspaced,
    /// A mark that belongs to whatever it follows.
    Extend,
    /// A mathematical or currency symbol.
    Symbol,
}

/// The class of a scalar.
#[must_use]
#[inline]
pub fn class(c: char) -> Class {
    traits(c).0
}

/// The canonical combining class of a scalar: 0 for one that stays in its place.
#[must_use]
#[inline]
pub fn combining_class(c: char) -> u8 {
    if c < '\u{300}' { 0 } else { traits(c).1 }
}

/// Append the canonical decomposition of a scalar in simple lower case.
#[inline]
pub fn fold(c: char, out: &mut impl Extend<char>) {
    if c.is_ascii() {
        out.extend([c.to_ascii_lowercase()]);
    } else if let FIRST_SYLLABLE..=LAST_SYLLABLE = c {
        out.extend(jamo(c));
    } else {
        match number(&FOLD_INDEX, &FOLD_BLOCKS, c) {
            0 => out.extend([c]),
            n => out.extend(folds(n).iter().copied()),
        }
    }
}

/// Put the marks of folded scalars into canonical order.
pub fn reorder(scalars: &mut [char]) {
    for run in scalars.split_mut(|&c| combining_class(c) == 0) {
        if run.len() > 1 {
            run.sort_by_key(|&c| combining_class(c));
        }
    }
}

fn traits(c: char) -> (Class, u8) {
    TRAITS[number(&TRAIT_INDEX, &TRAIT_BLOCKS, c)]
}

/// The entry of a two-stage table.
fn number<T: Copy + Into<usize>>(index: &[u8], blocks: &[T], c: char) -> usize {
    let c = c as usize;
    let block = index.get(c / BLOCK).map_or(0, |&block| usize::from(block));
    blocks[block * BLOCK + c % BLOCK].into()
}

fn folds(number: usize) -> &'static [char] {
    &FOLDS[FOLD_ENDS[number - 1].into()..FOLD_ENDS[number].into()]
}

const FIRST_SYLLABLE: char = '가';
const LAST_SYLLABLE: char = '힣';

/// The letters of a Hangul syllable (The Unicode Standard, section 3.12).
fn jamo(syllable: char) -> impl Iterator<Item = char> {
    let place = syllable as u32 - FIRST_SYLLABLE as u32;
    let (lead, vowel, tail) = (place / 588, place / 28 % 21, place % 28);
    let tail = (tail > 0).then_some(0x11A7 + tail);
    let letters = [0x1100 + lead, 0x1161 + vowel].into_iter().chain(tail);
    letters.filter_map(char::from_u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut scalars = Vec::new();
        for c in text.chars() {
            fold(c, &mut scalars);
        }
        reorder(&mut scalars);
        scalars.into_iter().collect()
    }

    #[test]
    fn a_scalar_has_the_class_that_its_text_needs() {
        let cases = [
            (
                Class::Break,
                " \n.,_'\"`´。・゛😀❤\u{200D}\u{FFFD}\u{378}\u{1FED}\u{E000}\u{10FFFF}",
            ),
            (Class::Word, "aZéßµªⅣ½²Жᄒ한ב\u{93E}༪"),
            (Class::Digit, "09२٣๕໕៥၅༥"),
            (
                Class::Unspaced,
                "中㐀豈𠮷々〆〇〡ーｰあアｱก\u{E31}ລខ\u{17B6}မ\u{1031}ཀ",
            ),
            (
                Class::Extend,
                "\u{301}\u{3099}\u{302A}\u{FE0F}\u{20E3}\u{E0100}\u{E38}\u{94D}\u{5B4}\u{64B}\u{F73}",
            ),
            (Class::Symbol, "+-*/=<>^%$€|~¬×−≠∑＋"),
        ];
        for (expected, text) in cases {
            for c in text.chars() {
                assert_eq!(class(c), expected, "U+{:04X}", c as u32);
            }
        }
    }

    #[test]
    fn a_text_folds_to_decomposed_small_letters() {
        let cases = [
            ("ABC xyz 123", "abc xyz 123"),
            ("Straße ẞ", "straße ß"),
            ("İI", "i\u{307}i"),
            ("ΣΟΦΌΣ ς", "σοφο\u{301}σ ς"),
            ("Å\u{212B}K\u{212A}", "a\u{30A}a\u{30A}kk"),
            ("Ǆ ǅ ﬁ Ａ", "ǆ ǆ ﬁ ａ"),
            ("Ꭰ Ა \u{A7CB}\u{16EA0}", "ꭰ ა \u{264}\u{16EBB}"),
            (
                "한가힣",
                "\u{1112}\u{1161}\u{11AB}\u{1100}\u{1161}\u{1112}\u{1175}\u{11C2}",
            ),
            ("ガ≠\u{F900}", "カ\u{3099}=\u{338}\u{8C48}"),
            ("ℂ𝐀", "ℂ𝐀"),
        ];
        for (text, expected) in cases {
            assert_eq!(folded(text), expected, "{text}");
        }
    }

    #[test]
    fn every_normal_form_folds_alike() {
        let cases = [
            ("\u{1EC7}", "e\u{323}\u{302}", "e\u{302}\u{323}"),
            ("\u{1E69}", "s\u{323}\u{307}", "\u{1E61}\u{323}"),
            ("\u{1FA7}", "\u{1F67}\u{345}", "ω\u{314}\u{342}\u{345}"),
            ("한", "\u{1112}\u{1161}\u{11AB}", "하\u{11AB}"),
            ("\u{F73}", "\u{F71}\u{F72}", "\u{F72}\u{F71}"),
            ("ש\u{5C1}\u{5B0}", "\u{FB2A}\u{5B0}", "ש\u{5B0}\u{5C1}"),
        ];
        for (one, two, three) in cases {
            assert_eq!(folded(one), folded(two));
            assert_eq!(folded(one), folded(three));
        }
    }

    #[test]
    fn folding_twice_changes_nothing_and_stays_in_the_run() {
        for c in '\0'..=char::MAX {
            let once = folded(&c.to_string());
            assert_eq!(once, folded(&once), "U+{:04X}", c as u32);
            let mut classes = once.chars().map(class);
            assert_eq!(classes.next(), Some(class(c)), "U+{:04X}", c as u32);
            assert!(
                classes.all(|next| next == Class::Extend || next == class(c)),
                "U+{:04X}",
                c as u32
            );
            assert!(
                combining_class(c) == 0 || class(c) == Class::Extend,
                "U+{:04X}",
                c as u32
            );
        }
    }

    #[test]
    fn marks_move_only_within_their_base() {
        let mut scalars: Vec<char> = "a\u{302}\u{323}b\u{301}\u{300}\u{34F}\u{323}"
            .chars()
            .collect();
        reorder(&mut scalars);
        assert!(scalars.iter().eq(&[
            'a', '\u{323}', '\u{302}', 'b', '\u{301}', '\u{300}', '\u{34F}', '\u{323}'
        ]));
    }
}
