//! xxh3-128, for two states at once that take the same bytes.
//!
//! The hash takes a kilobyte at a time, whose bytes it multiplies with a secret and adds to a state: what is
//! added is the same for every state that begins a kilobyte there, and is made once.
//!
//! Source: the specification of xxHash (`doc/xxhash_spec.md`, XXH3, large inputs), with its own secret and
//! no seed. Where all is short, and in tests, a library has the word.

#![allow(unsafe_code)] // vector instructions, where the machine has them

use twox_hash::XxHash3_128;

use crate::instructions::{Instructions, Set};

/// Bytes that are multiplied at once.
pub(crate) const STRIPE: usize = 64;
/// Bytes after which a state is scrambled.
pub(crate) const STEP: usize = 16 * STRIPE;
/// Up to so many bytes, the hash is another one.
const SHORT: u64 = 240;

/// As many numbers as are multiplied at once.
pub(crate) type Lanes = [u64; STRIPE / 8];

const PRIME32: [u64; 3] = [0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D];
const PRIME64: [u64; 5] = [
    0x9E37_79B1_85EB_CA87,
    0xC2B2_AE3D_27D4_EB4F,
    0x1656_67B1_9E37_79F9,
    0x85EB_CA77_C2B2_AE63,
    0x27D4_EB2F_1656_67C5,
];

/// The state of nothing yet.
pub(crate) const START: Lanes = [
    PRIME32[2], PRIME64[0], PRIME64[1], PRIME64[2], PRIME64[3], PRIME32[1], PRIME64[4], PRIME32[0],
];

#[rustfmt::skip]
const SECRET: [u8; 192] = [
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
];

/// Eight bytes of the secret.
const fn secret(at: usize) -> u64 {
    let mut bytes = [0; 8];
    let mut byte = 0;
    while byte < 8 {
        bytes[byte] = SECRET[at + byte];
        byte += 1;
    }
    u64::from_le_bytes(bytes)
}

/// The same for all of a stripe.
const fn secrets(at: usize) -> Lanes {
    let mut lanes = [0; STRIPE / 8];
    let mut lane = 0;
    while lane < lanes.len() {
        lanes[lane] = secret(at + 8 * lane);
        lane += 1;
    }
    lanes
}

/// What each stripe of a step is multiplied with.
const OF_STRIPES: [Lanes; STEP / STRIPE] = {
    let mut all = [[0; STRIPE / 8]; STEP / STRIPE];
    let mut stripe = 0;
    while stripe < all.len() {
        all[stripe] = secrets(8 * stripe);
        stripe += 1;
    }
    all
};
const OF_LAST: Lanes = secrets(SECRET.len() - STRIPE - 7);
const OF_SCRAMBLE: Lanes = secrets(SECRET.len() - STRIPE);

/// What a stripe adds to a state.
fn product(stripe: &[u8; STRIPE], secret: &Lanes) -> Lanes {
    let mut data = [0; STRIPE / 8];
    for (lane, bytes) in data.iter_mut().zip(stripe.as_chunks::<8>().0) {
        *lane = u64::from_le_bytes(*bytes);
    }
    std::array::from_fn(|lane| {
        let keyed = data[lane] ^ secret[lane];
        data[lane ^ 1].wrapping_add((keyed & 0xFFFF_FFFF) * (keyed >> 32))
    })
}

fn add(state: &mut Lanes, product: &Lanes) {
    for (lane, product) in state.iter_mut().zip(product) {
        *lane = lane.wrapping_add(*product);
    }
}

fn scramble(state: &mut Lanes) {
    for (lane, secret) in state.iter_mut().zip(OF_SCRAMBLE) {
        *lane = (*lane ^ *lane >> 47 ^ secret).wrapping_mul(PRIME32[0]);
    }
}

/// Take whole steps into two states.
pub(crate) fn take(states: &mut [Lanes; 2], steps: &[[u8; STEP]], instructions: Instructions) {
    match instructions.set() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Instructions` is only made where the machine has them.
        Set::Avx512Vbmi | Set::Avx512 => unsafe { avx512::take(states, steps) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Set::Avx2 => unsafe { avx2::take(states, steps) },
        Set::Portable => take_portable(states, steps),
    }
}

fn take_portable(states: &mut [Lanes; 2], steps: &[[u8; STEP]]) {
    for step in steps {
        for (stripe, secret) in step.as_chunks().0.iter().zip(&OF_STRIPES) {
            let product = product(stripe, secret);
            for state in &mut *states {
                add(state, &product);
            }
        }
        for state in &mut *states {
            scramble(state);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512i, _MM_PERM_BADC, _mm512_add_epi64, _mm512_loadu_epi64, _mm512_mul_epu32,
        _mm512_mullo_epi64, _mm512_set1_epi64, _mm512_shuffle_epi32, _mm512_srli_epi64,
        _mm512_storeu_epi64, _mm512_xor_si512,
    };

    use super::{Lanes, OF_SCRAMBLE, OF_STRIPES, PRIME32, STEP};

    #[target_feature(enable = "avx512f,avx512dq")]
    pub(super) fn take(states: &mut [Lanes; 2], steps: &[[u8; STEP]]) {
        // SAFETY: a state, a stripe and a secret are as long as a vector.
        let load = |bytes: *const u8| unsafe { _mm512_loadu_epi64(bytes.cast()) };
        let [mut one, mut other] = states.each_ref().map(|state| load(state.as_ptr().cast()));
        for step in steps {
            for (stripe, secret) in step.as_chunks::<64>().0.iter().zip(&OF_STRIPES) {
                let data = load(stripe.as_ptr());
                let keyed = _mm512_xor_si512(data, load(secret.as_ptr().cast()));
                let product = _mm512_mul_epu32(keyed, _mm512_srli_epi64::<32>(keyed));
                let swapped = _mm512_shuffle_epi32::<_MM_PERM_BADC>(data);
                let added = _mm512_add_epi64(product, swapped);
                (one, other) = (_mm512_add_epi64(one, added), _mm512_add_epi64(other, added));
            }
            (one, other) = (scramble(one), scramble(other));
        }
        for (state, vector) in states.iter_mut().zip([one, other]) {
            // SAFETY: as above.
            unsafe { _mm512_storeu_epi64(state.as_mut_ptr().cast(), vector) };
        }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    fn scramble(state: __m512i) -> __m512i {
        // SAFETY: it is as long as a vector.
        let secret = unsafe { _mm512_loadu_epi64(OF_SCRAMBLE.as_ptr().cast()) };
        let mixed = _mm512_xor_si512(state, _mm512_srli_epi64::<47>(state));
        let prime = _mm512_set1_epi64(PRIME32[0].cast_signed());
        _mm512_mullo_epi64(_mm512_xor_si512(mixed, secret), prime)
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi64, _mm256_loadu_si256, _mm256_mul_epu32, _mm256_set1_epi64x,
        _mm256_shuffle_epi32, _mm256_slli_epi64, _mm256_srli_epi64, _mm256_storeu_si256,
        _mm256_xor_si256,
    };

    use super::{Lanes, OF_SCRAMBLE, OF_STRIPES, PRIME32, STEP};

    #[target_feature(enable = "avx2")]
    pub(super) fn take(states: &mut [Lanes; 2], steps: &[[u8; STEP]]) {
        // SAFETY: a state, a stripe and a secret are as long as two vectors.
        let load = |bytes: *const u8| unsafe { _mm256_loadu_si256(bytes.cast()) };
        let halves = |bytes: *const u8| [load(bytes), load(bytes.wrapping_add(32))];
        let [mut one, mut other] = states.each_ref().map(|state| halves(state.as_ptr().cast()));
        let of_scramble = halves(OF_SCRAMBLE.as_ptr().cast());
        for step in steps {
            for (stripe, secret) in step.as_chunks::<64>().0.iter().zip(&OF_STRIPES) {
                let (data, secret) = (halves(stripe.as_ptr()), halves(secret.as_ptr().cast()));
                for half in 0..2 {
                    let keyed = _mm256_xor_si256(data[half], secret[half]);
                    let product = _mm256_mul_epu32(keyed, _mm256_srli_epi64::<32>(keyed));
                    let swapped = _mm256_shuffle_epi32::<0b0100_1110>(data[half]);
                    let added = _mm256_add_epi64(product, swapped);
                    one[half] = _mm256_add_epi64(one[half], added);
                    other[half] = _mm256_add_epi64(other[half], added);
                }
            }
            for state in [&mut one, &mut other] {
                for (half, secret) in state.iter_mut().zip(of_scramble) {
                    *half = scramble(*half, secret);
                }
            }
        }
        for (state, [low, high]) in states.iter_mut().zip([one, other]) {
            let to: *mut __m256i = state.as_mut_ptr().cast();
            // SAFETY: as above.
            unsafe {
                _mm256_storeu_si256(to, low);
                _mm256_storeu_si256(to.add(1), high);
            }
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn scramble(state: __m256i, secret: __m256i) -> __m256i {
        let mixed = _mm256_xor_si256(state, _mm256_srli_epi64::<47>(state));
        let mixed = _mm256_xor_si256(mixed, secret);
        let prime = _mm256_set1_epi64x(PRIME32[0].cast_signed());
        let low = _mm256_mul_epu32(mixed, prime);
        let high = _mm256_mul_epu32(_mm256_srli_epi64::<32>(mixed), prime);
        _mm256_add_epi64(low, _mm256_slli_epi64::<32>(high))
    }
}

/// The hash of `bytes` bytes: all but the last up to [`STEP`] are in the state, the last ones are given, and
/// the stripe before them.
pub(crate) fn finish(mut state: Lanes, bytes: u64, before: &[u8; STRIPE], last: &[u8]) -> u128 {
    if bytes <= SHORT {
        return XxHash3_128::oneshot(last);
    }
    let whole = last[..last.len() - 1].as_chunks().0;
    for (stripe, secret) in whole.iter().zip(&OF_STRIPES) {
        add(&mut state, &product(stripe, secret));
    }
    let end = [before, last].concat();
    let (_, end) = end.split_last_chunk().expect("there is a stripe before it");
    add(&mut state, &product(end, &OF_LAST));
    let half = |start: u64, at: usize| {
        let pairs = state.as_chunks::<2>().0.iter().zip((at..).step_by(16));
        let folded = pairs.map(|(&[low, high], at)| {
            let product = u128::from(low ^ secret(at)) * u128::from(high ^ secret(at + 8));
            product as u64 ^ (product >> 64) as u64
        });
        let sum = folded.fold(start, u64::wrapping_add);
        let mixed = (sum ^ sum >> 37).wrapping_mul(0x1656_6791_9E37_79F9);
        mixed ^ mixed >> 32
    };
    let low = half(bytes.wrapping_mul(PRIME64[0]), 11);
    let high = half(!bytes.wrapping_mul(PRIME64[1]), SECRET.len() - STRIPE - 11);
    u128::from(high) << 64 | u128::from(low)
}
