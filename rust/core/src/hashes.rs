//! The hash of a file, and that of each of its blocks, for little more than the price of one.
//!
//! Blocks are as many whole steps of the hash, so it takes each byte once, for both.

use crate::instructions::Instructions;
use crate::xxh3::{self, Lanes, STEP, STRIPE};

/// Bytes of which each has a hash of its own, so that damage is found where it is.
pub const HASHED: usize = if cfg!(test) { 4 * STEP } else { 16 << 20 };

/// Counts and hashes what goes by.
pub(crate) struct Hashes {
    /// The states of all, and of the block that they are in.
    states: [Lanes; 2],
    /// Bytes that are in the states.
    taken: u64,
    /// The last of them.
    before: [u8; STRIPE],
    /// Up to a step that is not: the last of all is taken in another way.
    waiting: Vec<u8>,
    blocks: Vec<u128>,
    instructions: Instructions,
}

impl Default for Hashes {
    fn default() -> Self {
        Self::new(Instructions::here())
    }
}

impl Hashes {
    pub(crate) fn new(instructions: Instructions) -> Self {
        Self {
            states: [xxh3::START; 2],
            taken: 0,
            before: [0; STRIPE],
            waiting: Vec::with_capacity(STEP),
            blocks: Vec::new(),
            instructions,
        }
    }

    /// Bytes that went by.
    pub(crate) fn bytes(&self) -> u64 {
        self.taken + self.waiting.len() as u64
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let room = STEP - self.waiting.len();
        if bytes.len() <= room {
            self.waiting.extend_from_slice(bytes);
            return;
        }
        let (now, rest) = bytes.split_at(room);
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.extend_from_slice(now);
        self.take(waiting.as_chunks().0);
        let (steps, _) = rest[..rest.len() - 1].as_chunks();
        self.take(steps);
        waiting.clear();
        waiting.extend_from_slice(&rest[steps.len() * STEP..]);
        self.waiting = waiting;
    }

    /// Hash what is left of some bytes before `end`.
    pub(crate) fn up_to(&mut self, bytes: &[u8], end: usize) {
        self.add(&bytes[self.bytes() as usize..end]);
    }

    /// Take steps behind which there is something.
    fn take(&mut self, mut steps: &[[u8; STEP]]) {
        if let Some(last) = steps.last() {
            // Looked at only where less than a stripe is behind it, which no block ends with.
            self.before = *last.last_chunk().expect("a step is longer than a stripe");
        }
        while !steps.is_empty() {
            let to_border = (HASHED - self.taken as usize % HASHED) / STEP;
            if let Some((of_block, rest)) = steps.split_at_checked(to_border) {
                let (end, others) = of_block.split_last().expect("a block has not ended");
                xxh3::take(&mut self.states, others, self.instructions);
                let block = xxh3::finish(self.states[1], HASHED as u64, &self.before, end);
                self.blocks.push(block);
                let end = std::slice::from_ref(end);
                xxh3::take(&mut self.states, end, self.instructions);
                self.states[1] = xxh3::START;
                self.taken += (of_block.len() * STEP) as u64;
                steps = rest;
            } else {
                xxh3::take(&mut self.states, steps, self.instructions);
                self.taken += (steps.len() * STEP) as u64;
                steps = &[];
            }
        }
    }

    /// The hash of all, and those of the blocks.
    pub(crate) fn finish(mut self) -> (u128, Vec<u128>) {
        let of = |state, bytes| xxh3::finish(state, bytes, &self.before, &self.waiting);
        let [whole, block] = self.states;
        let bytes = self.bytes() - self.blocks.len() as u64 * HASHED as u64;
        if bytes > 0 {
            self.blocks.push(of(block, bytes));
        }
        (of(whole, self.bytes()), self.blocks)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use twox_hash::XxHash3_128;

    use super::*;

    fn check(bytes: &[u8], pieces: &[usize]) {
        let expected: Vec<u128> = bytes.chunks(HASHED).map(XxHash3_128::oneshot).collect();
        for instructions in Instructions::all() {
            let mut hashes = Hashes::new(instructions);
            let mut rest = bytes;
            for &piece in pieces {
                let (now, left) = rest.split_at(piece.min(rest.len()));
                hashes.add(now);
                rest = left;
            }
            hashes.add(rest);
            assert_eq!(hashes.bytes(), bytes.len() as u64);
            let (whole, blocks) = hashes.finish();
            assert_eq!(whole, XxHash3_128::oneshot(bytes), "{instructions:?}");
            assert_eq!(blocks, expected, "{instructions:?}");
        }
    }

    #[test]
    fn a_library_has_the_same_for_every_length() {
        let bytes: Vec<u8> = (0_u32..3 * HASHED as u32)
            .map(|at| ((at * at) >> 5) as u8)
            .collect();
        for length in 0..=bytes.len() {
            check(&bytes[..length], &[]);
        }
    }

    proptest! {
        #[test]
        fn a_library_has_the_same_for_all_pieces(
            bytes in prop::collection::vec(any::<u8>(), 0..5 * HASHED),
            pieces in prop::collection::vec(prop_oneof![0..70_usize, 0..2 * STEP, Just(STEP)], 0..30),
        ) {
            check(&bytes, &pieces);
        }
    }
}
