//! Bytes looked at 64 at a time: a bit for each that is of some kind.
//!
//! What a backslash escapes is told from the runs of backslashes by a subtraction that carries along
//! them, for all of a block at once (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 2019).

#![allow(unsafe_code)] // vector instructions, where the machine has them

use crate::instructions::{Instructions, Set};

/// Bytes whose bits stand in one word.
pub(crate) const BLOCK: usize = u64::BITS as usize;

/// The second of each two bits.
const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;

/// What is known of a block inside of a JSON string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Bytes that have to be looked at: quotes that end it, control characters, and what is escaped but
    /// is none of `"\\bfnrt`.
    pub stops: u64,
    pub backslashes: u64,
}

/// The bits that [`Marks`] are made of.
struct Kinds {
    quotes: u64,
    backslashes: u64,
    controls: u64,
    not_ascii: u64,
}

impl Kinds {
    /// By a way to find the bytes of one kind.
    #[inline(always)]
    #[allow(clippy::inline_always)] // compiled once for each instruction set that calls it
    fn by(of: impl Fn(u8) -> u64, not_ascii: u64) -> Self {
        Self {
            quotes: of(QUOTE),
            backslashes: of(BACKSLASH),
            controls: of(CONTROL),
            not_ascii,
        }
    }
}

/// Find the marks of the first blocks of these bytes, as far as there are any; spaces stand behind them.
/// Tells whether they are ASCII.
///
/// `carry` is 1 if the first byte is escaped by what stands before it, else 0, and then tells the same
/// of what stands behind the blocks.
pub(crate) fn find_marks(
    bytes: &[u8],
    carry: &mut u64,
    found: &mut [Marks],
    instructions: Instructions,
) -> bool {
    match instructions.set() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Instructions` is only made where the machine has them.
        Set::Avx512Vbmi => unsafe { vbmi::find_marks(bytes, carry, found) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: every x86-64 machine has them.
        _ => unsafe { sse2::find_marks(bytes, carry, found) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => find_by(bytes, carry, found, portable::kinds, portable::short, false),
    }
}

#[inline(always)]
#[allow(clippy::inline_always)] // compiled once for each instruction set that calls it
fn find_by(
    bytes: &[u8],
    carry: &mut u64,
    found: &mut [Marks],
    kinds: impl Fn(&[u8; BLOCK]) -> Kinds,
    short: impl Fn(&[u8; BLOCK]) -> u64,
    is_cheap: bool,
) -> bool {
    let mut any_not_ascii = 0;
    let mut marks = |block: &[u8; BLOCK]| {
        let Kinds {
            quotes,
            backslashes,
            controls,
            not_ascii,
        } = kinds(block);
        any_not_ascii |= not_ascii;
        // Most texts have a backslash in some blocks and none in others: where it takes few instructions,
        // no branch is to guess in which.
        let escaped = if !is_cheap && backslashes == 0 {
            std::mem::take(carry)
        } else {
            escaped(backslashes, carry)
        };
        let odd = if !is_cheap && escaped == 0 {
            0
        } else {
            escaped & !short(block)
        };
        Marks {
            stops: quotes & !escaped | controls | odd,
            backslashes,
        }
    };
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut found = found.iter_mut();
    for (block, found) in blocks.iter().zip(found.by_ref()) {
        *found = marks(block);
    }
    if let Some(found) = found.next() {
        let mut filled = [b' '; BLOCK];
        filled[..rest.len()].copy_from_slice(rest);
        *found = marks(&filled);
    }
    any_not_ascii == 0
}

/// The bytes that a backslash escapes.
#[inline]
pub(crate) fn escaped(backslashes: u64, carry: &mut u64) -> u64 {
    let free = backslashes & !*carry;
    let ends = (free << 1 | ODD).wrapping_sub(free) ^ ODD;
    let escaped = ends ^ (backslashes | *carry);
    *carry = (ends & backslashes) >> (BLOCK - 1);
    escaped
}

/// The backslashes of a block.
#[inline]
pub(crate) fn backslashes(block: &[u8; BLOCK]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 machine has the instructions.
    return unsafe { sse2::equal(block, b'\\') };
    #[cfg(not(target_arch = "x86_64"))]
    return portable::bits(block, BACKSLASH);
}

/// Copy bytes: `copy_from_slice` leaves some thousands of them to the C library, and that to `rep movsb`,
/// which on AMD's Zen takes up to twice as long out of memory.
///
/// # Panics
/// There are not as many in both.
#[inline]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    copy_by(from, to, |_| {});
}

/// Copy bytes, and count the line feeds of the copy: while one waits for memory, that takes no time.
///
/// # Panics
/// There are not as many in both.
pub(crate) fn copy_lines(from: &[u8], to: &mut [u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 machine has the instructions.
    return unsafe { sse2::copy_lines(from, to) };
    #[cfg(not(target_arch = "x86_64"))]
    {
        copy(from, to);
        memchr::memchr_iter(b'\n', to).count() as u64
    }
}

/// Copy bytes and look at each block of the copy.
#[inline(always)]
#[allow(clippy::inline_always)] // as above
fn copy_by(from: &[u8], to: &mut [u8], mut look: impl FnMut(&[u8; BLOCK])) {
    assert_eq!(from.len(), to.len());
    let ((from, rest), (to, left)) = (from.as_chunks(), to.as_chunks_mut());
    for (from, to) in from.iter().zip(to) {
        *to = *from;
        look(to);
        // SAFETY: it does nothing. Without it the compiler may see a copy here, and call the library.
        unsafe { std::arch::asm!("", options(nostack, preserves_flags)) };
    }
    left.copy_from_slice(rest);
}

const CONTROL: u8 = 1;
const QUOTE: u8 = 2;
const BACKSLASH: u8 = 4;
const SHORT: u8 = 8;

/// Of each byte of ASCII: what it is.
const KINDS: [u8; 2 * BLOCK] = {
    let mut kinds = [0; 2 * BLOCK];
    let mut byte = 0;
    while byte < 2 * BLOCK {
        kinds[byte] = match byte as u8 {
            ..0x20 => CONTROL,
            b'"' => QUOTE | SHORT,
            b'\\' => BACKSLASH | SHORT,
            b'b' | b'f' | b'n' | b'r' | b't' => SHORT,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

#[cfg(target_arch = "x86_64")]
mod vbmi {
    use std::arch::x86_64::{
        __m512i, _mm512_loadu_epi8, _mm512_maskz_permutex2var_epi8, _mm512_movepi8_mask,
        _mm512_set1_epi8, _mm512_test_epi8_mask,
    };

    use super::{BLOCK, KINDS, Kinds, Marks, SHORT, find_by};

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1")]
    pub(super) fn find_marks(bytes: &[u8], carry: &mut u64, found: &mut [Marks]) -> bool {
        find_by(
            bytes,
            carry,
            found,
            |block| kinds(block),
            |block| of(look_up(block).0, SHORT),
            true,
        )
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    #[inline]
    fn kinds(block: &[u8; BLOCK]) -> Kinds {
        let (looked_up, not_ascii) = look_up(block);
        Kinds::by(|kind| of(looked_up, kind), not_ascii)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    #[inline]
    fn look_up(block: &[u8; BLOCK]) -> (__m512i, u64) {
        // SAFETY: as many bytes can be read there, wherever they stand.
        let (bytes, low, high) = unsafe {
            (
                _mm512_loadu_epi8(block.as_ptr().cast()),
                _mm512_loadu_epi8(KINDS.as_ptr().cast()),
                _mm512_loadu_epi8(KINDS[BLOCK..].as_ptr().cast()),
            )
        };
        // Where the highest bit is set, what is looked up would be that of the byte without it.
        let not_ascii = _mm512_movepi8_mask(bytes);
        let looked_up = _mm512_maskz_permutex2var_epi8(!not_ascii, low, bytes, high);
        (looked_up, not_ascii)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn of(kinds: __m512i, kind: u8) -> u64 {
        _mm512_test_epi8_mask(kinds, _mm512_set1_epi8(kind.cast_signed()))
    }
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi64, _mm_cmpeq_epi8, _mm_cvtsi128_si64, _mm_loadu_si128, _mm_min_epu8,
        _mm_movemask_epi8, _mm_or_si128, _mm_sad_epu8, _mm_set1_epi8, _mm_setzero_si128,
        _mm_sub_epi8, _mm_unpackhi_epi64,
    };

    use super::{BLOCK, Kinds, Marks, copy_by, find_by};

    /// Blocks after which no count of 8 bits has run over.
    const COUNTED: usize = u8::MAX as usize / (BLOCK / 16);

    #[target_feature(enable = "sse2")]
    pub(super) fn copy_lines(from: &[u8], to: &mut [u8]) -> u64 {
        assert_eq!(from.len(), to.len());
        let (zero, feed) = (_mm_setzero_si128(), _mm_set1_epi8(b'\n'.cast_signed()));
        let mut all = 0;
        for (from, to) in from
            .chunks(COUNTED * BLOCK)
            .zip(to.chunks_mut(COUNTED * BLOCK))
        {
            let mut counts = zero;
            copy_by(from, &mut *to, |block| {
                for part in block.as_chunks::<16>().0 {
                    // SAFETY: 16 bytes can be read there, wherever they stand.
                    let bytes = unsafe { _mm_loadu_si128(part.as_ptr().cast()) };
                    counts = _mm_sub_epi8(counts, _mm_cmpeq_epi8(bytes, feed)); // which is -1
                }
            });
            let sums = _mm_sad_epu8(counts, zero);
            let sum = _mm_add_epi64(sums, _mm_unpackhi_epi64(sums, sums));
            let rest = to.as_chunks::<BLOCK>().1;
            let rest = memchr::memchr_iter(b'\n', rest).count();
            all += _mm_cvtsi128_si64(sum).cast_unsigned() + rest as u64;
        }
        all
    }

    #[target_feature(enable = "sse2")]
    pub(super) fn find_marks(bytes: &[u8], carry: &mut u64, found: &mut [Marks]) -> bool {
        find_by(
            bytes,
            carry,
            found,
            |block| kinds(block),
            |block| short(block),
            false,
        )
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn kinds(block: &[u8; BLOCK]) -> Kinds {
        let last_control = _mm_set1_epi8(0x1F);
        Kinds {
            quotes: equal(block, b'"'),
            backslashes: equal(block, b'\\'),
            controls: bits(block, |bytes| {
                _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes)
            }),
            not_ascii: bits(block, |bytes| bytes), // its highest bits
        }
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn short(block: &[u8; BLOCK]) -> u64 {
        bits(block, |bytes| {
            let is = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()));
            let others = *b"\\bfnrt";
            others
                .into_iter()
                .fold(is(b'"'), |all, byte| _mm_or_si128(all, is(byte)))
        })
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn equal(block: &[u8; BLOCK], byte: u8) -> u64 {
        let byte = _mm_set1_epi8(byte.cast_signed());
        bits(block, |bytes| _mm_cmpeq_epi8(bytes, byte))
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn bits(block: &[u8; BLOCK], is: impl Fn(__m128i) -> __m128i) -> u64 {
        let (parts, _) = block.as_chunks::<16>();
        let mut bits = 0;
        for (part, at) in parts.iter().zip([0, 16, 32, 48]) {
            // SAFETY: 16 bytes can be read there, wherever they stand.
            let bytes = unsafe { _mm_loadu_si128(part.as_ptr().cast()) };
            bits |= u64::from(_mm_movemask_epi8(is(bytes)).cast_unsigned()) << at;
        }
        bits
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use super::{BLOCK, KINDS, Kinds, SHORT};

    pub(super) fn kinds(block: &[u8; BLOCK]) -> Kinds {
        let bytes = block.iter().rev();
        let not_ascii = bytes.fold(0, |bits, byte| bits << 1 | u64::from(!byte.is_ascii()));
        Kinds::by(|kind| bits(block, kind), not_ascii)
    }

    pub(super) fn short(block: &[u8; BLOCK]) -> u64 {
        bits(block, SHORT)
    }

    pub(super) fn bits(block: &[u8; BLOCK], kind: u8) -> u64 {
        let of = |byte: u8| KINDS.get(usize::from(byte)).copied().unwrap_or(0) & kind != 0;
        let bytes = block.iter().rev();
        bytes.fold(0, |bits, &byte| bits << 1 | u64::from(of(byte)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Byte by byte, as the rules say.
    fn expected(bytes: &[u8], mut is_escaped: bool) -> Vec<Marks> {
        let mut found = vec![Marks::default(); bytes.len() / BLOCK + 1];
        for at in 0..found.len() * BLOCK {
            let byte = bytes.get(at).copied().unwrap_or(b' ');
            let (marks, bit) = (&mut found[at / BLOCK], 1 << (at % BLOCK));
            let is_stop = if is_escaped {
                byte < 0x20 || !br#""\bfnrt"#.contains(&byte)
            } else {
                byte < 0x20 || byte == b'"'
            };
            marks.stops |= if is_stop { bit } else { 0 };
            marks.backslashes |= if byte == b'\\' { bit } else { 0 };
            is_escaped = byte == b'\\' && !is_escaped;
        }
        found
    }

    fn check(bytes: &[u8], is_escaped: bool) {
        for instructions in Instructions::all() {
            let mut found = vec![Marks::default(); bytes.len() / BLOCK + 1];
            let mut carry = u64::from(is_escaped);
            let is_ascii = find_marks(bytes, &mut carry, &mut found, instructions);
            assert_eq!(found, expected(bytes, is_escaped), "{instructions:?}");
            assert_eq!(is_ascii, bytes.is_ascii(), "{instructions:?}");
        }
        for is_cheap in [false, true] {
            let mut found = vec![Marks::default(); bytes.len() / BLOCK + 1];
            let mut carry = u64::from(is_escaped);
            let is_ascii = find_by(
                bytes,
                &mut carry,
                &mut found,
                portable::kinds,
                portable::short,
                is_cheap,
            );
            assert_eq!(found, expected(bytes, is_escaped), "cheap: {is_cheap}");
            assert_eq!(is_ascii, bytes.is_ascii());
        }
    }

    proptest! {
        #[test]
        fn what_is_copied_is_counted(
            lines in prop::collection::vec((0..300_usize, 1..200_usize), 0..60),
            only_feeds in any::<bool>(),
        ) {
            let line = |&(letters, feeds): &(usize, usize)| {
                let letters = if only_feeds { 0 } else { letters };
                [vec![b'x'; letters], vec![b'\n'; feeds]].concat()
            };
            let from: Vec<u8> = lines.iter().flat_map(line).collect();
            let (mut to, mut same) = (vec![0; from.len()], vec![0; from.len()]);
            let feeds: usize = lines.iter().map(|(_, feeds)| feeds).sum();
            prop_assert_eq!(copy_lines(&from, &mut to), feeds as u64);
            copy(&from, &mut same);
            prop_assert_eq!((&to, &same), (&from, &from));
        }
    }

    #[test]
    fn every_byte_is_known_everywhere() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                check(&block, false);
                if at > 0 {
                    block[at - 1] = b'\\';
                    check(&block, false);
                }
                for backslashes in [backslashes, |block: &_| portable::kinds(block).backslashes] {
                    assert_eq!(backslashes(&block) >> at & 1 == 1, byte == b'\\');
                }
            }
        }
    }

    proptest! {
        #[test]
        fn runs_of_backslashes_escape_every_second_byte(
            runs in prop::collection::vec(
                (0..200_usize, prop_oneof![Just(b'a'), Just(b'n'), Just(b'"'), Just(b'u'), any::<u8>()]),
                0..20,
            ),
            is_escaped: bool,
        ) {
            let mut bytes = Vec::new();
            for (length, end) in runs {
                bytes.resize(bytes.len() + length, if end == b'a' { b'a' } else { b'\\' });
                bytes.push(end);
            }
            check(&bytes, is_escaped);
        }
    }
}
