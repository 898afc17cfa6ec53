//! How a caller watches a run from another thread, and stops it.

use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::error::{Error, Result};

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Finding rows, validating them, hashing their text. Counted in bytes.
    Read,
    /// Grouping equal rows. Counted in rows.
    Exact,
    /// Finding and verifying near-duplicates. Counted in rows.
    Near,
    /// Copying rows to their files. Counted in bytes.
    Write,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Read, Self::Exact, Self::Near, Self::Write];

    /// The word that callers show.
    #[must_use]
    pub fn name(self) -> &'static str {
        ["read", "exact", "near", "write"][self as usize]
    }
}

/// How far a stage is.
#[derive(Debug, Default)]
struct Lap {
    begun: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
}

/// Shared between a run and whoever waits for it.
#[derive(Debug, Default)]
pub struct Watch {
    stop: AtomicBool,
    stage: AtomicU8,
    laps: [Lap; 4],
}

impl Watch {
    /// Ask the run to stop; it returns [`Error::Stopped`] soon after.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Of each stage that was begun, in order: work done in it, work in all. What comes before the
    /// last one is done.
    #[must_use]
    pub fn progress(&self) -> Vec<(Stage, u64, u64)> {
        let last = self.stage.load(Acquire);
        let begun = Stage::ALL.into_iter().zip(&self.laps);
        let begun = begun.filter(|(stage, lap)| *stage as u8 <= last && lap.begun.load(Relaxed));
        let lap = |(stage, lap): (Stage, &Lap)| {
            let total = lap.total.load(Relaxed);
            let is_done = (stage as u8) < last;
            let done = if is_done {
                total
            } else {
                lap.done.load(Relaxed)
            };
            (stage, done, total)
        };
        begun.map(lap).collect()
    }

    /// Begin a stage, or begin it anew with another total.
    pub(crate) fn begin(&self, stage: Stage, total: u64) {
        let lap = &self.laps[stage as usize];
        lap.done.store(0, Relaxed);
        lap.total.store(total, Relaxed);
        lap.begun.store(true, Relaxed);
        self.stage.store(stage as u8, Release);
    }

    /// Count work as done; an error if the run should stop.
    pub(crate) fn advance(&self, work: u64) -> Result<()> {
        let lap = &self.laps[self.stage.load(Relaxed) as usize];
        lap.done.fetch_add(work, Relaxed);
        self.check()
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.stop.load(Relaxed) {
            Err(Error::Stopped)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_that_were_begun_are_told_and_those_before_the_last_are_done() {
        let watch = Watch::default();
        assert_eq!(watch.progress(), []);
        watch.begin(Stage::Read, 0);
        watch.begin(Stage::Read, 9);
        watch.advance(4).expect("nobody stops it");
        assert_eq!(watch.progress(), [(Stage::Read, 4, 9)]);
        watch.begin(Stage::Near, 5);
        watch.advance(2).expect("nobody stops it");
        watch.advance(1).expect("nobody stops it");
        assert_eq!(watch.progress(), [(Stage::Read, 9, 9), (Stage::Near, 3, 5)]);
    }
}
