//! `MinHash` signatures: how alike two sets are, from a few hundred bytes each.
//!
//! A signature keeps, for each of [`SLOTS`] random functions, the least image of the set. Two sets
//! of Jaccard similarity `s` agree in any one slot with probability `s` (Broder 1997), so a band of
//! `r` slots agrees with probability `s^r`. Bands only propose pairs; [`crate::verify`] decides.
//!
//! The functions are `x -> (x ^ b) * a mod 2^32`, `a` odd, on the high half of a shingle hash. They
//! rely on input that is already mixed: [`crate::shingles`] mixes. Slots are independent, which
//! one-permutation and rotation schemes give up, and short rows need: at 30 shingles and `s = 0.5`
//! a band of such a scheme agrees 0.96 of the time where 0.06 is right.

#![allow(unsafe_code)] // one call a set, into the widest instructions that the machine has

use crate::shingles::mix;

/// Functions, and so minima, a signature.
pub const SLOTS: usize = 128;

/// The least image of a set under each function.
pub type Signature = [u32; SLOTS];

/// The functions, drawn from a seed.
#[derive(Debug, Clone)]
pub struct MinHash {
    factor: [u32; SLOTS],
    offset: [u32; SLOTS],
    wide: Wide,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wide {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl MinHash {
    /// Draw the functions by `SplitMix64` from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        let mut draw = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            mix(state)
        };
        let mut hash = Self {
            factor: [0; SLOTS],
            offset: [0; SLOTS],
            wide: Wide::here(),
        };
        for slot in 0..SLOTS {
            let bits = draw();
            hash.factor[slot] = (bits >> 32) as u32 | 1;
            hash.offset[slot] = bits as u32;
        }
        hash
    }

    /// The signature of nothing yet.
    #[must_use]
    pub fn empty() -> Signature {
        [u32::MAX; SLOTS]
    }

    /// Take shingles into a signature.
    pub fn add(&self, signature: &mut Signature, shingles: &[u64]) {
        match self.wide {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `here` found that this machine has the instructions.
            Wide::Avx512 => unsafe { self.add_avx512(signature, shingles) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Wide::Avx2 => unsafe { self.add_avx2(signature, shingles) },
            Wide::Portable => self.add_portable(signature, shingles),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
    fn add_avx512(&self, signature: &mut Signature, shingles: &[u64]) {
        self.add_portable(signature, shingles);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn add_avx2(&self, signature: &mut Signature, shingles: &[u64]) {
        self.add_portable(signature, shingles);
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // compiled once for each instruction set that calls it
    fn add_portable(&self, signature: &mut Signature, shingles: &[u64]) {
        const LANES: usize = 64;
        for block in (0..SLOTS).step_by(LANES) {
            let factor: &[u32; LANES] = self.factor[block..block + LANES]
                .try_into()
                .expect("blocks are whole");
            let offset: &[u32; LANES] = self.offset[block..block + LANES]
                .try_into()
                .expect("blocks are whole");
            let least: &mut [u32; LANES] = (&mut signature[block..block + LANES])
                .try_into()
                .expect("blocks are whole");
            let mut minima = *least;
            for &shingle in shingles {
                let high = (shingle >> 32) as u32;
                for lane in 0..LANES {
                    let image = (high ^ offset[lane]).wrapping_mul(factor[lane]);
                    minima[lane] = minima[lane].min(image);
                }
            }
            *least = minima;
        }
    }
}

impl Wide {
    fn here() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let all = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw");
            if all {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_gives_the_same_signature() {
        let hash = MinHash::new(1);
        let shingles: Vec<u64> = (0..1000).map(mix).collect();
        let mut expected = MinHash::empty();
        for (slot, least) in expected.iter_mut().enumerate() {
            let image = |&shingle: &u64| {
                ((shingle >> 32) as u32 ^ hash.offset[slot]).wrapping_mul(hash.factor[slot])
            };
            *least = shingles.iter().map(image).min().expect("not empty");
        }
        let mut paths = vec![Wide::Portable, Wide::here()];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            paths.push(Wide::Avx2);
        }
        for wide in paths {
            let mut signature = MinHash::empty();
            MinHash {
                wide,
                ..hash.clone()
            }
            .add(&mut signature, &shingles);
            assert_eq!(signature, expected, "{wide:?}");
        }
    }

    /// At least 10^5 slots, so that chance alone moves the rms of z by less than 0.03 once in 10^8.
    #[test]
    fn slots_agree_as_often_as_the_sets_are_alike() {
        for (size, shared) in [(5_u64, 4_u64), (30, 20), (300, 150), (1000, 900)] {
            let similarity = shared as f64 / (2 * size - shared) as f64;
            let trials = 1500_u64;
            let mut agreed = 0_usize;
            for trial in 0..trials {
                let hash = MinHash::new(trial);
                let element = |at: u64| mix((trial << 32) | ((size << 16) + at));
                let one: Vec<u64> = (0..size).map(element).collect();
                let two: Vec<u64> = (size - shared..2 * size - shared).map(element).collect();
                let (mut left, mut right) = (MinHash::empty(), MinHash::empty());
                hash.add(&mut left, &one);
                hash.add(&mut right, &two);
                agreed += left
                    .iter()
                    .zip(&right)
                    .filter(|(left, right)| left == right)
                    .count();
            }
            let slots = (trials * SLOTS as u64) as f64;
            // Slots of one pair share their sets, so their agreements are not independent where
            // sets are small: the number of distinct orders bounds it. Six standard errors of the
            // trials alone cover that.
            let error = (agreed as f64 / slots - similarity).abs();
            let allowed = 6.0 * (similarity * (1.0 - similarity) / slots).sqrt() + 1e-3;
            assert!(error < allowed, "size {size}: off by {error}");
        }
    }
}
