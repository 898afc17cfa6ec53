//! The text that the inside of a JSON string stands for.
//!
//! Text is copied 64 bytes at a time, and what was copied too much is written over: no search, and no
//! copy whose length nobody could guess. Up to the next backslash, or, where the machine can squeeze
//! bytes out of a block, with all escapes but codes.
//!
//! What a reader would get wrong: an escaped half of a surrogate pair (`"\ud800"`) is valid JSON. It
//! unescapes to three bytes as UTF-8 would encode it if it could ("WTF-8"), so that texts that differ
//! there stay different.

#![allow(unsafe_code)] // vector instructions, where the machine has them

use crate::blocks::{BLOCK, backslashes, escaped};
use crate::instructions::{Instructions, Set};

/// What the byte after a backslash stands for, if it is no `u`.
const MEANT: [u8; 256] = {
    let mut meant = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        meant[byte] = match byte as u8 {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            other => other,
        };
        byte += 1;
    }
    meant
};

/// The text of a valid string, given without its quotes.
pub(crate) fn unescape(inside: &[u8], instructions: Instructions) -> Vec<u8> {
    match instructions.set() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Instructions` is only made where the machine has them.
        Set::Avx512Vbmi => unsafe { unescape_avx512(inside) },
        _ => unescape_by(inside, plain),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,popcnt,bmi1")]
fn unescape_avx512(inside: &[u8]) -> Vec<u8> {
    unescape_by(inside, |block, text| escaped_avx512(block, text))
}

/// By a way to take the first of a block: how many bytes it takes and how many it writes. What it leaves
/// begins with an escape, or is taken with the next block.
#[inline(always)]
#[allow(clippy::inline_always)] // compiled once for each instruction set that calls it
fn unescape_by(
    inside: &[u8],
    first: impl Fn(&[u8; BLOCK], &mut [u8; BLOCK]) -> (usize, usize),
) -> Vec<u8> {
    // No text is longer than what stands for it; a block is written whole.
    let mut text = vec![0; inside.len() + BLOCK];
    let (mut at, mut end) = (0, 0);
    while at < inside.len() {
        let rest = &inside[at..];
        let to = text[end..].first_chunk_mut().expect("there is room");
        let (taken, written) = if let Some(block) = rest.first_chunk() {
            let (taken, written) = first(block, to);
            if taken == BLOCK {
                // By a number that is known, so that the next block need not wait for this one.
                at += BLOCK;
                end += written;
                continue;
            }
            (taken, written)
        } else {
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            let (taken, written) = first(&block, to);
            let behind = taken.saturating_sub(rest.len());
            (taken - behind, written - behind)
        };
        (at, end) = (at + taken, end + written);
        if inside.get(at) != Some(&b'\\') {
            continue;
        }
        let escaped = inside[at + 1];
        at += 2;
        if escaped == b'u' {
            let (code, digits) = code(&inside[at..]);
            at += digits;
            end += encode(code, &mut text[end..]);
        } else {
            text[end] = MEANT[usize::from(escaped)];
            end += 1;
        }
    }
    text.truncate(end);
    text
}

/// Takes what stands before the first backslash.
#[inline]
fn plain(block: &[u8; BLOCK], text: &mut [u8; BLOCK]) -> (usize, usize) {
    *text = *block;
    let plain = backslashes(block).trailing_zeros() as usize;
    (plain, plain)
}

/// Takes all but a code, and but an escape of which only the backslash is there.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,popcnt,bmi1")]
#[inline]
fn escaped_avx512(block: &[u8; BLOCK], text: &mut [u8; BLOCK]) -> (usize, usize) {
    use std::arch::x86_64::{
        _mm512_cmpeq_epi8_mask, _mm512_loadu_epi8, _mm512_mask2_permutex2var_epi8,
        _mm512_maskz_compress_epi8, _mm512_set1_epi8, _mm512_storeu_epi8,
    };

    // SAFETY: so many bytes can be read there, wherever they stand.
    let (bytes, low, high) = unsafe {
        (
            _mm512_loadu_epi8(block.as_ptr().cast()),
            _mm512_loadu_epi8(MEANT.as_ptr().cast()),
            _mm512_loadu_epi8(MEANT[BLOCK..2 * BLOCK].as_ptr().cast()),
        )
    };
    let mask = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte.cast_signed()));
    let backslashes = mask(b'\\');
    let mut goes_on = 0;
    let escaped = escaped(backslashes, &mut goes_on);
    let begins = escaped >> 1 | goes_on << 63;
    let codes = mask(b'u') & escaped;
    let taken = (codes >> 1 | begins & 1 << 63).trailing_zeros();
    let is_taken = 1_u64.checked_shl(taken).unwrap_or(0).wrapping_sub(1);
    let kept = is_taken & !begins;
    let meant = _mm512_mask2_permutex2var_epi8(low, bytes, escaped, high);
    let written = kept.count_ones();
    // SAFETY: so many bytes can be written there.
    unsafe {
        _mm512_storeu_epi8(
            text.as_mut_ptr().cast(),
            _mm512_maskz_compress_epi8(kept, meant),
        );
    };
    (taken as usize, written as usize)
}

/// A text with only what JSON asks for escaped, as briefly as it can be.
pub(crate) fn escape(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len() + text.len() / 8);
    for &byte in text {
        match byte {
            8 => escaped.extend_from_slice(b"\\b"),
            12 => escaped.extend_from_slice(b"\\f"),
            b'\n' => escaped.extend_from_slice(b"\\n"),
            b'\r' => escaped.extend_from_slice(b"\\r"),
            b'\t' => escaped.extend_from_slice(b"\\t"),
            b'"' | b'\\' => escaped.extend_from_slice(&[b'\\', byte]),
            ..0x20 => escaped.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => escaped.push(byte),
        }
    }
    escaped
}

/// The code that begins with four digits, and how many bytes it takes: half of a pair takes the other
/// half too, if it is there.
fn code(escaped: &[u8]) -> (u32, usize) {
    let high = hex(escaped);
    if (0xD800..0xDC00).contains(&high) && escaped[4..].starts_with(b"\\u") {
        let low = hex(&escaped[6..]);
        if (0xDC00..0xE000).contains(&low) {
            return (0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00), 10);
        }
    }
    (high, 4)
}

fn hex(digits: &[u8]) -> u32 {
    digits[..4].iter().fold(0, |code, &digit| {
        let digit = char::from(digit)
            .to_digit(16)
            .expect("validated as hexadecimal");
        code * 16 + digit
    })
}

/// Write a code; returns how many bytes it takes.
fn encode(code: u32, text: &mut [u8]) -> usize {
    if let Some(scalar) = char::from_u32(code) {
        return scalar.encode_utf8(text).len();
    }
    let low = |shift: u32| 0x80 | (code >> shift & 0x3F) as u8;
    text[..3].copy_from_slice(&[0xE0 | (code >> 12) as u8, low(6), low(0)]);
    3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_escaped_as_serde_json_does(text in "[\\x00-\\x7f]{0,99}|\\PC{0,99}") {
            let quoted = serde_json::to_string(&text).expect("a text");
            prop_assert_eq!(escape(text.as_bytes()), &quoted.as_bytes()[1..quoted.len() - 1]);
        }
    }

    #[test]
    fn escapes_mean_what_json_says() {
        let cases: [(&str, &[u8]); 8] = [
            ("", b""),
            ("plain", b"plain"),
            (r#"a\n\t\"\\\/\b\f\r"#, b"a\n\t\"\\/\x08\x0C\r"),
            (r"\u0041\u00e9\u00E9", "Aéé".as_bytes()),
            (r"\ud83d\ude00", "😀".as_bytes()),
            (r"\ud800", b"\xED\xA0\x80"),
            (r"\ud800\u0041", b"\xED\xA0\x80A"),
            (r"\udc00\ud800", b"\xED\xB0\x80\xED\xA0\x80"),
        ];
        for (inside, text) in cases {
            for instructions in Instructions::all() {
                assert_eq!(unescape(inside.as_bytes(), instructions), text, "{inside}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_however_it_was_escaped(
            letters in prop::collection::vec(
                (prop_oneof![any::<char>(), Just('\n'), Just('\\'), Just(' ')], 0..3),
                0..200,
            ),
        ) {
            use std::fmt::Write as _;

            let (mut inside, mut text) = (String::new(), String::new());
            for (letter, way) in letters {
                text.push(letter);
                if way == 0 {
                    for half in letter.encode_utf16(&mut [0; 2]) {
                        write!(inside, "\\u{half:04x}").expect("memory takes it");
                    }
                } else {
                    let quoted = serde_json::to_string(&letter).expect("a character");
                    inside.push_str(&quoted[1..quoted.len() - 1]);
                }
            }
            for instructions in Instructions::all() {
                prop_assert_eq!(unescape(inside.as_bytes(), instructions), text.as_bytes());
            }
        }
    }
}
