//! How a caller watches a run from another thread, and stops it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};

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

/// Shared between a run and whoever waits for it.
#[derive(Debug, Default)]
pub struct Watch {
    stop: AtomicBool,
    stage: AtomicU8,
    done: AtomicU64,
    total: AtomicU64,
}

impl Watch {
    /// Ask the run to stop; it returns [`Error::Stopped`] soon after.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Stage, work done in it, work in all.
    #[must_use]
    pub fn progress(&self) -> (Stage, u64, u64) {
        let stage = Stage::ALL[self.stage.load(Relaxed) as usize];
        (stage, self.done.load(Relaxed), self.total.load(Relaxed))
    }

    pub(crate) fn begin(&self, stage: Stage, total: u64) {
        self.stage.store(stage as u8, Relaxed);
        self.done.store(0, Relaxed);
        self.total.store(total, Relaxed);
    }

    /// Count work as done; an error if the run should stop.
    pub(crate) fn advance(&self, work: u64) -> Result<()> {
        self.done.fetch_add(work, Relaxed);
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
