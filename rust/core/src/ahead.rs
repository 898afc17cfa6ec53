//! Rows go to the files of their fates while later rows are still compared.
//!
//! Rows are decided in the order in which they are written, unless a priority says otherwise. So what is
//! decided for good is copied meanwhile, and the disk, which is slower than all of this, has longer.

use std::path::{Path, PathBuf};

use crate::corpus::Corpus;
use crate::decisions::State;
use crate::error::Result;
use crate::output::{Packing, RowFiles, STRIDE, Written};
use crate::watch::{Stage, Watch};

/// Files of rows that a run may write while it decides; if it does not, they are for the caller to write.
pub struct Ahead {
    folder: PathBuf,
    stems: [String; FATES],
    packing: Packing,
    with_removed: bool,
    copying: Option<Copying>,
}

/// Kept, removed, quarantined.
const FATES: usize = 3;

struct Copying {
    corpus: Corpus,
    with_removed: bool,
    /// Rows before this one are settled.
    settled: usize,
    fates: [Fate; FATES],
    /// Bytes of rows that were copied.
    copied: u64,
}

/// Where rows of one fate go.
struct Fate {
    files: RowFiles,
    /// Rows that are settled, and not copied yet.
    waiting: Vec<usize>,
}

impl Ahead {
    /// New files in a folder, as [`Corpus::copy_rows`] writes them: of the rows that are kept, of those that
    /// are removed, and of those that are quarantined. Those of removed rows may be left empty.
    #[must_use]
    pub const fn new(
        folder: PathBuf,
        stems: [String; FATES],
        packing: Packing,
        with_removed: bool,
    ) -> Self {
        Self {
            folder,
            stems,
            packing,
            with_removed,
            copying: None,
        }
    }

    /// Get ready to copy the rows of a corpus, if there is room for all of them, packed or not.
    pub(crate) fn begin(&mut self, corpus: &Corpus) -> Result<()> {
        self.stop();
        let rows = &corpus.rows;
        let bytes = (0..rows.len()).map(|row| rows.size(row) + 1).sum();
        if !has_room(&self.folder, bytes) {
            return Ok(());
        }
        let [kept, removed, quarantined] = &self.stems;
        let fate = |stem: &str| -> Result<Fate> {
            let files = RowFiles::create(&self.folder, stem, self.packing)?;
            let waiting = Vec::new();
            Ok(Fate { files, waiting })
        };
        self.copying = Some(Copying {
            corpus: corpus.share(),
            with_removed: self.with_removed,
            settled: 0,
            fates: [fate(kept)?, fate(removed)?, fate(quarantined)?],
            copied: 0,
        });
        Ok(())
    }

    /// Rows before `end` are decided for good: copy them.
    pub(crate) fn settle(
        &mut self,
        end: usize,
        state: impl Fn(usize) -> State,
        watch: &Watch,
    ) -> Result<()> {
        let Some(copying) = &mut self.copying else {
            return Ok(());
        };
        copying.settle(end, state);
        // What is packed comes in the pieces in which it comes afterwards: nobody promises that the bytes
        // do not depend on them.
        copying.copy(STRIDE, |_| watch.check())
    }

    /// All rows are decided. Those that are left are for [`Self::finish`].
    pub(crate) fn settle_all(&mut self, state: impl Fn(usize) -> State) {
        if let Some(copying) = &mut self.copying {
            copying.settle(copying.corpus.rows.len(), state);
        }
    }

    /// Copy what is left, down to the disk: the files of each fate. None if nothing was written ahead.
    ///
    /// # Errors
    /// Those of [`Corpus::copy_rows`].
    pub fn finish(&mut self, watch: &Watch) -> Result<Option<[Vec<Written>; FATES]>> {
        self.copying
            .take()
            .map(|copying| copying.finish(watch))
            .transpose()
    }

    /// Write no more; what was written stays as it is.
    pub fn stop(&mut self) {
        self.copying = None;
    }
}

impl Copying {
    fn settle(&mut self, end: usize, state: impl Fn(usize) -> State) {
        let [kept, removed, quarantined] = &mut self.fates;
        for row in self.settled..end {
            match state(row) {
                State::Kept => kept.waiting.push(row),
                State::Quarantined => quarantined.waiting.push(row),
                State::ExactDuplicate | State::NearDuplicate if self.with_removed => {
                    removed.waiting.push(row);
                }
                State::ExactDuplicate | State::NearDuplicate | State::Absent => {}
            }
        }
        self.settled = self.settled.max(end);
    }

    /// Copy rows of each fate as long as there are at least so many.
    fn copy(&mut self, least: usize, mut tell: impl FnMut(u64) -> Result<()>) -> Result<()> {
        for fate in &mut self.fates {
            let tell = |bytes| {
                self.copied += bytes;
                tell(bytes)
            };
            let (files, waiting) = (&mut fate.files, &fate.waiting);
            let left = self.corpus.copy_to(files, waiting, false, least, tell)?;
            let copied = waiting.len() - left.len();
            fate.waiting.drain(..copied);
        }
        Ok(())
    }

    fn finish(mut self, watch: &Watch) -> Result<[Vec<Written>; FATES]> {
        let left = self.fates.iter().flat_map(|fate| &fate.waiting);
        let left: u64 = left.map(|&row| self.corpus.rows.size(row)).sum();
        watch.begin(Stage::Write, self.copied + left);
        watch.advance(self.copied)?;
        self.copy(1, |bytes| watch.advance(bytes))?;
        let [kept, removed, quarantined] = self.fates.map(|fate| fate.files.finish());
        let written = [kept?, removed?, quarantined?];
        self.corpus.rows.check_inputs()?;
        Ok(written)
    }
}

/// Is there room for so many bytes? True where the system does not say.
fn has_room(folder: &Path, bytes: u64) -> bool {
    let room = rustix::fs::statvfs(folder);
    room.map_or(true, |room| {
        room.f_bavail.saturating_mul(room.f_frsize) >= bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_room_for_some_bytes_and_not_for_all_there_are() {
        let folder = std::env::temp_dir();
        assert!(has_room(&folder, 1));
        assert!(!has_room(&folder, u64::MAX));
        assert!(has_room(&folder.join("none"), u64::MAX));
    }
}
