//! Hashes of words: XXH3, of many words at a time.
//!
//! Hashing is what remains of splitting a text once its words are found. Most have at most eight
//! bytes, for which XXH3 is a few operations on one register (Collet, xxHash 0.8: the paths for 1 to 3
//! and for 4 to 8 bytes, with seed 0). Nobody can guess how long the next word is, so both are computed
//! of each, without a jump, in as many lanes as the machine has. Longer words are hashed one by one.

#![allow(unsafe_code)] // one call a batch, into the widest instructions that the machine has

use twox_hash::XxHash3_64;

use crate::instructions::{Instructions, Set};
use crate::tokens::marked;

/// Most words that are hashed at a time.
pub const BATCH: usize = u64::BITS as usize;
/// Words that are hashed in one step, at most.
const LANES: usize = 8;
/// Bytes of a short word.
const SHORT: usize = 8;

/// What words of up to 3, 8 and 16 bytes are mixed with, from the default secret of XXH3.
const OF_3: u64 = 0x396C_FEB8 ^ 0xBE4B_A423;
const OF_8: u64 = 0x1CAD_21F7_2C81_017C ^ 0xDB97_9083_E96D_D4DE;
const OF_16: (u64, u64) = (
    0x1F67_B3B7_A4A4_4072 ^ 0x78E5_C0CC_4EE6_79CB,
    0x2172_FFCC_7DD0_5A82 ^ 0x8E24_43F7_7446_08B8,
);

/// Hash up to [`BATCH`] words, and mark those that are numbers.
///
/// `starts` and `lasts` are their first and last bytes; at least eight bytes stand behind each first
/// one. What is in `tokens` behind as many means nothing.
#[inline]
pub fn hash_words(
    bytes: &[u8],
    starts: &[usize],
    lasts: &[usize],
    tokens: &mut [u64; BATCH],
    instructions: Instructions,
) {
    match instructions.set() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Instructions` is only made where the machine has them.
        Set::Avx512Vbmi | Set::Avx512 => unsafe { hash_words_avx512(bytes, starts, lasts, tokens) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Set::Avx2 => unsafe { hash_words_avx2(bytes, starts, lasts, tokens) },
        Set::Portable => hash_words_portable(bytes, starts, lasts, tokens),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
fn hash_words_avx512(bytes: &[u8], starts: &[usize], lasts: &[usize], tokens: &mut [u64; BATCH]) {
    hash_words_by(bytes, starts, lasts, tokens, |starts, lasts| {
        fetch_avx512(bytes, starts, lasts)
    });
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn hash_words_avx2(bytes: &[u8], starts: &[usize], lasts: &[usize], tokens: &mut [u64; BATCH]) {
    hash_words_portable(bytes, starts, lasts, tokens);
}

#[inline(always)]
#[allow(clippy::inline_always)] // compiled once for each instruction set that calls it
fn hash_words_portable(bytes: &[u8], starts: &[usize], lasts: &[usize], tokens: &mut [u64; BATCH]) {
    hash_words_by(bytes, starts, lasts, tokens, |starts, lasts| {
        fetch(bytes, starts, lasts)
    });
}

/// The first bytes of words of a step, and how many of them there are.
struct Words {
    letters: [u64; LANES],
    lengths: [u64; LANES],
    /// A bit for each that is longer than fits.
    long: u8,
}

/// Fetch words.
#[inline(always)]
#[allow(clippy::inline_always)] // as above
fn fetch(bytes: &[u8], starts: &[usize], lasts: &[usize]) -> Words {
    let mut words = Words {
        letters: [0; LANES],
        lengths: [1; LANES],
        long: 0,
    };
    let mut fetch = |at: usize, start: usize, last: usize| {
        let whole = last - start + 1;
        words.long |= u8::from(whole > SHORT) << at;
        let length = whole.min(SHORT) as u64;
        let eight = bytes[start..start + SHORT].try_into().expect("eight bytes");
        words.lengths[at] = length;
        words.letters[at] = u64::from_le_bytes(eight) & first(length);
    };
    let whole = (starts.first_chunk::<LANES>(), lasts.first_chunk::<LANES>());
    if let (Some(starts), Some(lasts)) = whole {
        // Nearly always, and so often that the compiler has no end of it to look for.
        (0..LANES).for_each(|at| fetch(at, starts[at], lasts[at]));
    } else {
        let some = starts.iter().zip(lasts).enumerate();
        some.for_each(|(at, (&start, &last))| fetch(at, start, last));
    }
    words
}

/// The same, all at once.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
#[inline]
fn fetch_avx512(bytes: &[u8], starts: &[usize], lasts: &[usize]) -> Words {
    use std::arch::x86_64::{
        _mm512_add_epi64, _mm512_and_si512, _mm512_cmpgt_epu64_mask, _mm512_mask_i64gather_epi64,
        _mm512_maskz_loadu_epi64, _mm512_min_epu64, _mm512_set1_epi64, _mm512_setzero_si512,
        _mm512_slli_epi64, _mm512_srlv_epi64, _mm512_storeu_epi64, _mm512_sub_epi64,
    };

    let all = |number: usize| _mm512_set1_epi64((number as u64).cast_signed());
    let last_start = bytes.len().checked_sub(SHORT).expect("eight bytes or more");
    let there = u8::MAX >> LANES.saturating_sub(starts.len().min(lasts.len()));
    // SAFETY: as many numbers stand there as bits in the mask.
    let (starts, lasts) = unsafe {
        (
            _mm512_maskz_loadu_epi64(there, starts.as_ptr().cast()),
            _mm512_maskz_loadu_epi64(there, lasts.as_ptr().cast()),
        )
    };
    let are_inside = _mm512_cmpgt_epu64_mask(starts, all(last_start)) == 0;
    assert!(are_inside, "eight bytes stand behind each start");
    let nothing = _mm512_setzero_si512();
    // SAFETY: all that is fetched is inside.
    let fetched =
        unsafe { _mm512_mask_i64gather_epi64::<1>(nothing, there, starts, bytes.as_ptr().cast()) };
    let whole = _mm512_add_epi64(_mm512_sub_epi64(lasts, starts), all(1));
    let length = _mm512_min_epu64(whole, all(SHORT));
    let bits_behind = _mm512_sub_epi64(all(64), _mm512_slli_epi64::<3>(length));
    let kept = _mm512_srlv_epi64(_mm512_set1_epi64(-1), bits_behind);
    let mut words = Words {
        letters: [0; LANES],
        lengths: [0; LANES],
        long: _mm512_cmpgt_epu64_mask(whole, all(SHORT)),
    };
    let fetched = _mm512_and_si512(fetched, kept);
    // SAFETY: as many numbers can be written there.
    unsafe {
        _mm512_storeu_epi64(words.letters.as_mut_ptr().cast(), fetched);
        _mm512_storeu_epi64(words.lengths.as_mut_ptr().cast(), length);
    }
    words
}

/// By a way to fetch up to [`LANES`] words.
#[inline(always)]
#[allow(clippy::inline_always)] // as above
fn hash_words_by(
    bytes: &[u8],
    starts: &[usize],
    lasts: &[usize],
    tokens: &mut [u64; BATCH],
    fetch: impl Fn(&[usize], &[usize]) -> Words,
) {
    let mut long = 0;
    let places = starts.chunks(LANES).zip(lasts.chunks(LANES));
    let steps = places.zip(tokens.as_chunks_mut::<LANES>().0);
    for (step, ((starts, lasts), tokens)) in steps.enumerate() {
        let words = fetch(starts, lasts);
        for (token, (&letters, &length)) in tokens
            .iter_mut()
            .zip(words.letters.iter().zip(&words.lengths))
        {
            *token = short_token(letters, length);
        }
        long |= u64::from(words.long) << (step * LANES);
    }
    while long != 0 {
        let at = long.trailing_zeros() as usize;
        long &= long - 1;
        let word = &bytes[starts[at]..=lasts[at]];
        let is_number = word[0].is_ascii_digit() && word.iter().all(u8::is_ascii_digit);
        tokens[at] = marked(long_hash(word), is_number);
    }
}

/// The hash of a word of more than 8 bytes.
#[inline]
fn long_hash(word: &[u8]) -> u64 {
    let length = word.len();
    if length > 16 {
        return XxHash3_64::oneshot(word);
    }
    let eight = |at: usize| u64::from_le_bytes(word[at..at + 8].try_into().expect("eight bytes"));
    let (low, high) = (eight(0) ^ OF_16.0, eight(length - 8) ^ OF_16.1);
    let product = u128::from(low).wrapping_mul(u128::from(high));
    let mut hash = (length as u64)
        .wrapping_add(low.swap_bytes())
        .wrapping_add(high)
        .wrapping_add(product as u64 ^ (product >> 64) as u64);
    hash = (hash ^ hash >> 37).wrapping_mul(0x1656_6791_9E37_79F9);
    hash ^ hash >> 32
}

/// The token of a word of 1 to 8 bytes, which stand in `letters` from the lowest on.
#[inline(always)]
#[allow(clippy::inline_always)] // as above
fn short_token(letters: u64, length: u64) -> u64 {
    // What cannot overflow is said so, for a check of each lane would leave one lane.
    let behind = |bytes: u64| letters >> (bytes << 3 & 63);
    let letter = |at: u64| behind(at) & 0xFF;
    let ends = letter(length / 2) << 24 | letter(length.wrapping_sub(1));
    let mut short = (letter(0) << 16 | ends | length << 8) ^ OF_3;
    short = (short ^ short >> 33).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    short = (short ^ short >> 29).wrapping_mul(0x1656_67B1_9E37_79F9);
    short ^= short >> 32;
    let last_four = behind(length.max(4).wrapping_sub(4)) & 0xFFFF_FFFF;
    let mut hash = (last_four | letters << 32) ^ OF_8;
    hash ^= hash.rotate_left(49) ^ hash.rotate_left(24);
    hash = hash.wrapping_mul(0x9FB2_1C65_1E98_DF25);
    hash ^= (hash >> 35).wrapping_add(length);
    hash = hash.wrapping_mul(0x9FB2_1C65_1E98_DF25);
    hash ^= hash >> 28;
    // A digit is less than ten from `0`; else, or where the byte was none of ASCII, its highest bit
    // is set here. What is behind the word is made zeros.
    let from_zero = letters ^ 0x3030_3030_3030_3030 & first(length);
    let no_digit = from_zero.wrapping_add(0x7676_7676_7676_7676) | from_zero;
    let is_number = no_digit & 0x8080_8080_8080_8080 == 0;
    let hash = if length < 4 { short } else { hash };
    marked(hash, is_number)
}

/// The bits of the first bytes, 1 to 8 of them.
#[inline(always)]
#[allow(clippy::inline_always)] // as above
fn first(bytes: u64) -> u64 {
    u64::MAX >> (64_u64.wrapping_sub(bytes << 3) & 63)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn words_are_hashed_as_xxh3_does(
            text in "[ -~]{0,30}|[0-9a]{0,30}",
            words in prop::collection::vec((any::<prop::sample::Index>(), 0..30_usize), 0..=BATCH),
        ) {
            let mut bytes = format!("{text}.").into_bytes();
            let place = |(start, more): &(prop::sample::Index, usize)| {
                let start = start.index(bytes.len());
                (start, (start + more).min(bytes.len() - 1))
            };
            let (starts, lasts): (Vec<_>, Vec<_>) = words.iter().map(place).unzip();
            bytes.extend_from_slice(b"_more 8!");
            let expected = starts.iter().zip(&lasts).map(|(&start, &last)| {
                let word = &bytes[start..=last];
                marked(XxHash3_64::oneshot(word), word.iter().all(u8::is_ascii_digit))
            });
            let expected: Vec<u64> = expected.collect();
            for instructions in Instructions::all() {
                let mut tokens = [0; BATCH];
                hash_words(&bytes, &starts, &lasts, &mut tokens, instructions);
                prop_assert_eq!(&tokens[..expected.len()], &expected);
            }
        }
    }
}
