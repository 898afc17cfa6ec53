//! What must hold of the core whatever the bytes: each target a property, checked against something
//! slower that nobody here wrote, or that is too simple to be wrong.
//!
//! `make fuzz` feeds them to libFuzzer; `cargo test` feeds them the seeds, and what the fuzzer
//! found.

pub mod lines;
pub mod parts;
pub mod seeds;
pub mod slow;
pub mod tokens;
pub mod unescape;
pub mod validate;

/// A target's name, and what must hold.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 5] = [
    ("lines", lines::holds),
    ("validate", validate::holds),
    ("parts", parts::holds),
    ("unescape", unescape::holds),
    ("tokens", tokens::holds),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_target_holds_of_its_seeds() {
        for (name, holds) in TARGETS {
            let seeds = seeds::of(name);
            assert!(seeds.len() > 10, "{name}");
            for seed in seeds {
                holds(&seed);
            }
        }
    }

    /// Inputs for which a target once failed.
    #[test]
    fn what_was_found_stays_mended() {
        let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("found");
        for (name, holds) in TARGETS {
            for entry in fs::read_dir(found.join(name)).into_iter().flatten() {
                let path = entry.expect("a file").path();
                println!("{}", path.display());
                holds(&fs::read(path).expect("can be read"));
            }
        }
    }
}
