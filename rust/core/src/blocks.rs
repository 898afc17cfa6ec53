//! Bytes looked at 64 at a time: a bit for each that is of some kind.

#![allow(unsafe_code)] // vectors that every x86-64 machine has

/// Bytes whose bits stand in one word.
pub(crate) const BLOCK: usize = u64::BITS as usize;

/// The bytes that do not mean themselves in a JSON string: quote, backslash, control character.
#[inline]
pub(crate) fn marks(block: &[u8; BLOCK]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 machine has the instructions.
    return unsafe { sse2::marks(block) };
    #[cfg(not(target_arch = "x86_64"))]
    return portable::marks(block);
}

#[inline]
pub(crate) fn backslashes(block: &[u8; BLOCK]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above.
    return unsafe { sse2::backslashes(block) };
    #[cfg(not(target_arch = "x86_64"))]
    return portable::backslashes(block);
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };

    use super::BLOCK;

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn marks(block: &[u8; BLOCK]) -> u64 {
        let (quote, backslash) = (_mm_set1_epi8(b'"'.cast_signed()), all_backslashes());
        let control = _mm_set1_epi8(0x1F);
        bits(block, |bytes| {
            let special = _mm_or_si128(
                _mm_cmpeq_epi8(bytes, quote),
                _mm_cmpeq_epi8(bytes, backslash),
            );
            _mm_or_si128(special, _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes))
        })
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn backslashes(block: &[u8; BLOCK]) -> u64 {
        let backslash = all_backslashes();
        bits(block, |bytes| _mm_cmpeq_epi8(bytes, backslash))
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn all_backslashes() -> __m128i {
        _mm_set1_epi8(b'\\'.cast_signed())
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
    use super::BLOCK;

    /// The place of each byte of a block among its eight neighbours.
    const BITS: [u8; BLOCK] = {
        let mut bits = [0; BLOCK];
        let mut at = 0;
        while at < BLOCK {
            bits[at] = 1 << (at % 8);
            at += 1;
        }
        bits
    };

    pub(super) fn marks(block: &[u8; BLOCK]) -> u64 {
        bits(block, |byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    }

    pub(super) fn backslashes(block: &[u8; BLOCK]) -> u64 {
        bits(block, |byte| byte == b'\\')
    }

    fn bits(block: &[u8; BLOCK], is: impl Fn(u8) -> bool) -> u64 {
        let mut flags = [0; BLOCK];
        for ((flag, &byte), &bit) in flags.iter_mut().zip(block).zip(&BITS) {
            *flag = if is(byte) { bit } else { 0 };
        }
        let mut bits = 0;
        for eight in flags.chunks_exact(8).rev() {
            let eight = u64::from_le_bytes(eight.try_into().expect("chunks are eight bytes"));
            // No two flags share a bit: the highest byte of the product is all of them.
            bits = bits << 8 | eight.wrapping_mul(u64::MAX / 255) >> 56;
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_known_everywhere() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                let is_mark = byte < 0x20 || matches!(byte, b'"' | b'\\');
                for marks in [marks, portable::marks] {
                    assert_eq!(marks(&block), u64::from(is_mark) << at, "{byte} at {at}");
                }
                let is_backslash = u64::from(byte == b'\\');
                for backslashes in [backslashes, portable::backslashes] {
                    assert_eq!(backslashes(&block), is_backslash << at, "{byte} at {at}");
                }
            }
        }
    }
}
