//! N-grams of tokens, as hashes.
//!
//! The hash of an n-gram is a polynomial over its tokens, finished by a full mix. Over a text it is
//! rolled from each n-gram to the next, or, where a machine multiplies eight numbers in one step,
//! computed anew for many at a time: the same, and faster, for nothing waits for what comes before.

#![allow(unsafe_code)] // one call a text, into instructions that the machine has

use crate::instructions::{Instructions, Set};
use crate::shingles::{MIX, mix};

const BASE: u64 = 0xD6E8_FEB8_6659_FD93;

/// N-grams that are hashed in one step, where the machine has the instructions.
#[cfg(target_arch = "x86_64")]
const LANES: usize = 16;

fn roll(hash: u64, token: u64) -> u64 {
    hash.wrapping_mul(BASE).wrapping_add(token)
}

/// Hash of a whole list of tokens.
pub(crate) fn all(tokens: &[u64]) -> u64 {
    const FOUR: u64 = BASE.wrapping_pow(4);
    // Every fourth token by itself, since each step waits for the one before it.
    let (first, fours) = tokens.as_rchunks::<4>();
    let first = first.iter().copied().fold(tokens.len() as u64, roll);
    let mut hashes = [0, 0, 0, first];
    for four in fours {
        for (hash, &token) in hashes.iter_mut().zip(four) {
            *hash = hash.wrapping_mul(FOUR).wrapping_add(token);
        }
    }
    mix(hashes.into_iter().fold(0, roll))
}

/// The n-grams of `tokens`, in order; of fewer than `ngram` tokens the one gram of them all.
pub(crate) fn ngrams(tokens: &[u64], ngram: usize, salt: u64) -> impl Iterator<Item = u64> {
    let leading = BASE.wrapping_pow(ngram as u32);
    let (head, rest) = tokens.split_at(ngram.min(tokens.len()));
    let first = if head.len() < ngram {
        all(tokens)
    } else {
        head.iter().copied().fold(0, roll)
    };
    let rolled = tokens
        .iter()
        .zip(rest)
        .scan(first, move |hash, (&leaves, &enters)| {
            *hash = roll(*hash, enters).wrapping_sub(leaves.wrapping_mul(leading));
            Some(*hash)
        });
    std::iter::once(first)
        .chain(rolled)
        .map(move |hash| mix(hash ^ salt))
}

/// The same, into a list, in place of what is there.
pub(crate) fn list(
    tokens: &[u64],
    ngram: usize,
    salt: u64,
    grams: &mut Vec<u64>,
    instructions: Instructions,
) {
    grams.clear();
    match instructions.set() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Instructions` is only made where the machine has them.
        Set::Avx512Vbmi | Set::Avx512 if tokens.len().saturating_sub(LANES) >= ngram => unsafe {
            list_avx512(tokens, ngram, salt, grams);
        },
        // `push` is faster than `extend` here.
        _ => ngrams(tokens, ngram, salt).for_each(|gram| grams.push(gram)),
    }
}

/// The n-grams of enough tokens for all lanes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn list_avx512(tokens: &[u64], ngram: usize, salt: u64, grams: &mut Vec<u64>) {
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi64, _mm512_loadu_epi64, _mm512_mullo_epi64, _mm512_set1_epi64,
        _mm512_srli_epi64, _mm512_storeu_epi64, _mm512_xor_si512,
    };

    let all = |number: u64| _mm512_set1_epi64(number.cast_signed());
    let times = |left: __m512i, right: u64| _mm512_mullo_epi64(left, all(right));
    // SAFETY: as many numbers can be read there.
    let load = |tokens: &[u64; 8]| unsafe { _mm512_loadu_epi64(tokens.as_ptr().cast()) };
    let count = tokens.len() + 1 - ngram;
    grams.resize(count, 0);
    let mut at = 0;
    while at < count {
        // The last step takes in some that are known already.
        let start = at.min(count - LANES);
        let mut hashes = [all(0); LANES / 8];
        for next in start..start + ngram {
            let tokens: &[u64; LANES] = tokens[next..].first_chunk().expect("as many more");
            for (hash, tokens) in hashes.iter_mut().zip(tokens.as_chunks().0) {
                *hash = _mm512_add_epi64(times(*hash, BASE), load(tokens));
            }
        }
        for (hash, grams) in hashes
            .into_iter()
            .zip(grams[start..].as_chunks_mut::<8>().0)
        {
            // This is `mix`.
            let hash = _mm512_xor_si512(hash, all(salt));
            let hash = times(_mm512_xor_si512(hash, _mm512_srli_epi64::<30>(hash)), MIX.0);
            let hash = times(_mm512_xor_si512(hash, _mm512_srli_epi64::<27>(hash)), MIX.1);
            let hash = _mm512_xor_si512(hash, _mm512_srli_epi64::<31>(hash));
            // SAFETY: as many numbers can be written there.
            unsafe { _mm512_storeu_epi64(grams.as_mut_ptr().cast(), hash) };
        }
        at += LANES;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_way_to_a_hash_gives_the_same(
            tokens in prop::collection::vec(any::<u64>(), 0..200),
            ngram in 1..20_usize,
            salt: u64,
        ) {
            let whole = |tokens: &[u64]| mix(tokens.iter().copied().fold(tokens.len() as u64, roll));
            let one = |window: &[u64]| mix(window.iter().copied().fold(0, roll) ^ salt);
            prop_assert_eq!(all(&tokens), whole(&tokens));
            let expected: Vec<u64> = if tokens.len() < ngram {
                vec![mix(whole(&tokens) ^ salt)]
            } else {
                tokens.windows(ngram).map(one).collect()
            };
            let rolled: Vec<u64> = ngrams(&tokens, ngram, salt).collect();
            prop_assert_eq!(&rolled, &expected);
            for instructions in Instructions::all() {
                let mut grams = vec![7];
                list(&tokens, ngram, salt, &mut grams, instructions);
                prop_assert_eq!(&grams, &expected);
            }
        }
    }

    #[test]
    fn short_texts_differ_from_the_start_of_longer_ones() {
        let all = |tokens: &[u64]| -> Vec<u64> { ngrams(tokens, 3, 0).collect() };
        assert_ne!(all(&[1]), all(&[1, 0]));
        assert_ne!(all(&[1, 2]), all(&[0, 1, 2]));
    }
}
