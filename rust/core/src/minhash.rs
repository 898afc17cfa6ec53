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

use crate::instructions::{Instructions, Set};
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
    instructions: Instructions,
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
            instructions: Instructions::here(),
        };
        for slot in 0..SLOTS {
            let bits = draw();
            hash.factor[slot] = (bits >> 32) as u32 | 1;
            hash.offset[slot] = bits as u32;
        }
        hash
    }

    /// The same functions, by other instructions.
    #[must_use]
    pub fn with(self, instructions: Instructions) -> Self {
        Self {
            instructions,
            ..self
        }
    }

    /// The signature of nothing yet.
    #[must_use]
    pub fn empty() -> Signature {
        [u32::MAX; SLOTS]
    }

    /// The same functions in another order: at each place that of the slot which is told for it.
    #[must_use]
    pub(crate) fn in_order(&self, slot: impl Fn(usize) -> usize) -> Self {
        Self {
            factor: std::array::from_fn(|place| self.factor[slot(place)]),
            offset: std::array::from_fn(|place| self.offset[slot(place)]),
            instructions: self.instructions,
        }
    }

    pub(crate) fn instructions(&self) -> Instructions {
        self.instructions
    }

    /// Take shingles into a signature.
    pub fn add(&self, signature: &mut Signature, shingles: &[u64]) {
        match self.instructions.set() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Instructions` is only made where the machine has them.
            Set::Avx512Vbmi | Set::Avx512 => unsafe { self.add_avx512(signature, shingles) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Set::Avx2 => unsafe { self.add_avx2(signature, shingles) },
            Set::Portable => self.add_portable(signature, shingles),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bands::Banding;

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
        for instructions in Instructions::all() {
            let mut signature = MinHash::empty();
            hash.clone()
                .with(instructions)
                .add(&mut signature, &shingles);
            assert_eq!(signature, expected, "{instructions:?}");
        }
    }

    /// A frozen signature: it may only change with the version of the text rules.
    #[test]
    fn a_signature_is_for_ever() {
        let shingles: Vec<u64> = (1..=100).map(mix).collect();
        let mut signature = MinHash::empty();
        MinHash::new(7).add(&mut signature, &shingles);
        assert_eq!(
            signature[..4],
            [35_119_965, 58_369_032, 39_331_470, 206_368_073]
        );
        let all = signature
            .iter()
            .fold(0, |hash, &slot| mix(hash ^ u64::from(slot)));
        assert_eq!(all, 0x2959_3E3A_2D5C_353D);
    }

    /// Signatures of `trials` pairs of sets of `size` elements, `shared` of them in both; the
    /// functions and the elements are new for each.
    fn pairs(size: u64, shared: u64, trials: u64) -> impl Iterator<Item = (Signature, Signature)> {
        (0..trials).map(move |trial| {
            let hash = MinHash::new(mix(trial ^ size << 40));
            let element = |at: u64| mix(mix(trial ^ size << 32).wrapping_add(at));
            let one: Vec<u64> = (0..size).map(element).collect();
            let two: Vec<u64> = (size - shared..2 * size - shared).map(element).collect();
            let (mut left, mut right) = (MinHash::empty(), MinHash::empty());
            hash.add(&mut left, &one);
            hash.add(&mut right, &two);
            (left, right)
        })
    }

    /// Slots agree as often as the sets are alike, and independently of one another: bias below
    /// 0.002, and the root of the mean square of z within 0.97 and 1.03.
    fn check_estimate(size: u64, shared: u64, trials: u64) {
        let similarity = shared as f64 / (2 * size - shared) as f64;
        let error = (similarity * (1.0 - similarity) / SLOTS as f64).sqrt();
        let (mut sum, mut squares) = (0.0, 0.0);
        for (left, right) in pairs(size, shared, trials) {
            let agreed = left
                .iter()
                .zip(&right)
                .filter(|(left, right)| left == right);
            let z = (agreed.count() as f64 / SLOTS as f64 - similarity) / error;
            sum += z;
            squares += z * z;
        }
        let bias = sum / trials as f64 * error;
        let spread = (squares / trials as f64).sqrt();
        assert!(bias.abs() < 0.002, "{size}: bias {bias}");
        assert!((0.97..=1.03).contains(&spread), "{size}: rms z {spread}");
    }

    #[test]
    fn slots_agree_as_often_as_the_sets_are_alike() {
        for (size, shared) in [(5, 4), (10, 5), (30, 20), (100, 80)] {
            check_estimate(size, shared, 6000);
        }
    }

    #[test]
    #[ignore = "long: run by `make nightly`"]
    fn slots_of_large_sets_agree_as_often_too() {
        check_estimate(1000, 900, 6000);
        check_estimate(100_000, 80_000, 3000);
    }

    /// How often two signatures agree in as many bands as are asked for, against the formula: within
    /// five standard errors, once in two million by chance.
    #[test]
    fn bands_agree_as_often_as_they_should() {
        const TRIALS: u64 = 4000;
        for (size, shared) in [(30, 26), (30, 20), (90, 80), (90, 55)] {
            let similarity = shared as f64 / (2 * size - shared) as f64;
            let banding = Banding::for_threshold(800).expect("there is one");
            let band = similarity.powf(banding.slots as f64);
            let (bands, none) = (
                banding.bands as f64,
                (1.0 - band).powf(banding.bands as f64),
            );
            let one = bands * band * (1.0 - band).powf(bands - 1.0);
            let expected = 1.0 - none - one;
            let agree = |(left, right): &(Signature, Signature)| {
                let keys = |signature| banding.keys(signature, Instructions::here());
                let keys = keys(left).into_iter().zip(keys(right));
                keys.filter(|(left, right)| left == right).count() >= banding.agree
            };
            let hits = pairs(size, shared, TRIALS).filter(agree).count() as f64;
            let trials = TRIALS as f64;
            let allowed = 5.0 * (trials * expected * (1.0 - expected)).sqrt() + 1.0;
            assert!(
                (hits - trials * expected).abs() < allowed,
                "{similarity}: {hits}, not {expected}"
            );
        }
    }
}
