//! Instruction sets: the ways in which this machine can run a kernel.
//!
//! A kernel is written once and compiled for each set, and which one runs is found out when it
//! runs. All of them give the same bits: `tests/golden.rs` holds what each kernel gives on each set
//! that the machine has.
//!
//! What a reader would get wrong: an [`Instructions`] is a proof, not a wish. Whoever holds one may
//! call code that was compiled for its [`Set`], so nothing but [`Instructions::all`] makes one.

use std::sync::OnceLock;

/// A set of instructions that this machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instructions(Set);

/// The sets that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// AVX-512 VBMI and VBMI2, which move bytes about, and all of [`Set::Avx512`].
    #[cfg(target_arch = "x86_64")]
    Avx512Vbmi,
    /// AVX-512 F, BW, DQ and VL, and all of [`Set::Avx2`].
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2, BMI1 and POPCNT.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every machine of the target has.
    Portable,
}

impl Set {
    /// The widest first.
    const ALL: &[Self] = &[
        #[cfg(target_arch = "x86_64")]
        Self::Avx512Vbmi,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        Self::Portable,
    ];

    fn runs_here(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vbmi => {
                Self::Avx512.runs_here()
                    && is_x86_feature_detected!("avx512vbmi")
                    && is_x86_feature_detected!("avx512vbmi2")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                // Kernels take a `usize` for 64 bits, and the compiler takes these two for granted.
                usize::BITS == u64::BITS
                    && Self::Avx2.runs_here()
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("popcnt")
            }
            Self::Portable => true,
        }
    }
}

impl Instructions {
    /// Every set that this machine runs, the widest first.
    pub fn all() -> impl Iterator<Item = Self> {
        let sets = Set::ALL.iter().copied();
        sets.filter(|set| set.runs_here()).map(Self)
    }

    /// The widest set that this machine runs.
    #[must_use]
    pub fn here() -> Self {
        static HERE: OnceLock<Instructions> = OnceLock::new();
        *HERE.get_or_init(|| Self::all().next().unwrap_or(Self(Set::Portable)))
    }

    /// The word for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512Vbmi => "avx512-vbmi",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            Set::Portable => "portable",
        }
    }

    /// The set that code may be called for.
    pub(crate) fn set(self) -> Set {
        self.0
    }
}

impl Default for Instructions {
    fn default() -> Self {
        Self::here()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_set_comes_first_and_the_portable_one_last() {
        let names: Vec<&str> = Instructions::all().map(Instructions::name).collect();
        assert_eq!(names.first(), Some(&Instructions::here().name()));
        assert_eq!(names.last(), Some(&"portable"));
        let mut known = ["avx512-vbmi", "avx512", "avx2", "portable"].iter();
        assert!(names.iter().all(|name| known.any(|known| known == name)));
    }
}
