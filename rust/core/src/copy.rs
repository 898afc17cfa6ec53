//! The written result: every row copied to the file of its fate.
//!
//! Rows are copied as they stand, in row order. Interleaved again by row number, the three files
//! are the input's rows.

use std::borrow::Cow;
use std::path::Path;

use crate::corpus::Corpus;
use crate::error::Result;
use crate::output::{Packing, RowFiles, Written};
use crate::sink::AT_HAND;
use crate::watch::{Stage, Watch};

/// Bytes after which it is told how far the copy is.
const TOLD: usize = 1 << 18;

impl Corpus {
    /// Write rows to new files in a folder, one a line in the order given, down to the disk: as they now
    /// are, or as they stand in their inputs.
    ///
    /// # Errors
    /// [`Error::Write`] names the file; [`Error::Changed`] means that it cannot be trusted.
    ///
    /// # Panics
    /// There is no such row.
    pub fn copy_rows(
        &self,
        rows: &[usize],
        original: bool,
        folder: &Path,
        stem: &str,
        packing: Packing,
        watch: &Watch,
    ) -> Result<Vec<Written>> {
        let mut output = RowFiles::create(folder, stem, packing)?;
        let sizes = rows.iter().map(|&row| self.size(row, original));
        watch.begin(Stage::Write, sizes.sum());
        let tell = |bytes| watch.advance(bytes);
        self.copy_to(&mut output, rows, original, 1, tell)?;
        let written = output.finish()?;
        self.rows.check_inputs()?;
        Ok(written)
    }

    /// Write rows as long as there are at least so many; gives back the others. `tell` learns how many
    /// bytes they had, now and then.
    pub(crate) fn copy_to<'r>(
        &self,
        output: &mut RowFiles,
        mut rows: &'r [usize],
        original: bool,
        least: usize,
        mut tell: impl FnMut(u64) -> Result<()>,
    ) -> Result<&'r [usize]> {
        let mut bytes = 0;
        while rows.len() >= least {
            let room = output.room(rows.iter().map(|&row| self.size(row, original)))?;
            let (mut piece, rest) = rows.split_at(room.min(rows.len()));
            rows = rest;
            while let Some(&row) = piece.first() {
                let (lines, count) = match self.rows.run(piece, original, AT_HAND) {
                    Some((lines, count)) => (Cow::Borrowed(lines), count),
                    None if original => (self.rows.original_line(row), 1),
                    None => (self.rows.one_line(row), 1),
                };
                piece = &piece[count..];
                output.add(&lines, count)?;
                bytes += lines.len() + 1 - count; // those of the rows, without line feeds
                if bytes >= TOLD {
                    tell(std::mem::take(&mut bytes) as u64)?;
                }
            }
        }
        tell(bytes as u64)?;
        Ok(rows)
    }

    fn size(&self, row: usize, original: bool) -> u64 {
        if original {
            self.rows.original_size(row)
        } else {
            self.rows.size(row)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::path::PathBuf;

    use proptest::prelude::*;
    use twox_hash::XxHash3_128;

    use super::*;
    use crate::corpus::Reading;
    use crate::format::Format;
    use crate::hashes::HASHED;
    use crate::later::Span;
    use crate::output::{STRIDE, unpack};

    pub(crate) fn inputs() -> impl Strategy<Value = Vec<String>> {
        let line = prop::sample::select(vec!["{}", "{\"a\":1}\r", "", " ", "\r", "x", "\u{e9} "]);
        let file = (prop::collection::vec(line, 1..30), any::<bool>());
        let file =
            file.prop_map(|(lines, is_ended)| lines.join("\n") + if is_ended { "\n" } else { "" });
        let array = Just("[{\"a\":\n1},\n{},{}]".to_owned());
        prop::collection::vec(prop_oneof![4 => file, 1 => array], 1..4)
    }

    pub(crate) fn open(folder: &Path, files: &[String]) -> Corpus {
        let path = |at: usize| folder.join(format!("{at}.json"));
        let paths: Vec<PathBuf> = (0..files.len()).map(path).collect();
        for (path, file) in paths.iter().zip(files) {
            fs::write(path, file).expect("written");
        }
        let name = "record".into();
        let record = Format {
            name,
            ..Format::default()
        };
        let (reading, watch) = (Reading::default(), Watch::default());
        Corpus::open(&paths, &[record], &reading, folder, &watch).expect("opened")
    }

    #[test]
    fn a_run_ends_with_its_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // The second row begins where one would that follows the first in its file.
        let corpus = open(folder.path(), &["{}".into(), "\n\n\n{}".into()]);
        assert_eq!(corpus.rows.run(&[0, 1], false, 99), Some((&b"{}"[..], 1)));
    }

    #[test]
    fn a_row_is_found_by_its_number() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let line = |row: usize| format!("{{\"row\":{row}}}\n");
        let corpus = open(folder.path(), &[(0..5 * STRIDE).map(line).collect()]);
        let rows: Vec<usize> = (0..5 * STRIDE).collect();
        for (zstd, shard_bytes) in [(false, None), (true, None), (true, Some(40_000))] {
            let packing = Packing {
                shard_bytes,
                zstd,
                ..Packing::default()
            };
            let watch = Watch::default();
            let files = corpus.copy_rows(&rows, false, folder.path(), "copy", packing, &watch);
            let mut first = 0;
            for file in files.expect("copied") {
                let bytes = fs::read(folder.path().join(&file.name)).expect("read");
                assert_eq!(file.index.len(), (file.rows as usize).div_ceil(STRIDE));
                for (at, &start) in file.index.iter().enumerate() {
                    let end = file
                        .index
                        .get(at + 1)
                        .map_or(bytes.len(), |&end| end as usize);
                    let frame = &bytes[start as usize..end];
                    let lines = if zstd {
                        unpack(frame).expect("frames")
                    } else {
                        frame.to_vec()
                    };
                    let begins = line(first + at * STRIDE);
                    assert!(lines.starts_with(begins.as_bytes()), "{begins}");
                }
                first += file.rows as usize;
            }
            assert_eq!(first, rows.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn rows_are_copied_as_if_one_by_one(
            files in inputs(),
            picks in prop::collection::vec((any::<prop::sample::Index>(), 1..20_usize), 0..8),
            rewritten in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
            most in 0..40_usize,
            shard_bytes in prop::option::of(1..60_u64),
            zstd in any::<bool>(),
            behind in any::<bool>(),
        ) {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let (corpus, watch) = (open(folder.path(), &files), Watch::default());
            let all = corpus.rows.len();
            prop_assume!(all > 0);
            let spool = folder.path().join("spool");
            fs::write(&spool, "{\"new\":1}\n").expect("written");
            let span = Span { start: 0, bytes: 9 };
            let rewritten: Vec<_> = rewritten.iter().map(|row| (row.index(all), span)).collect();
            let corpus = corpus.later(&spool, rewritten, &[]).expect("mapped");
            let runs = picks.iter().map(|(row, count)| {
                let first = row.index(all);
                first..all.min(first + count)
            });
            let rows: Vec<usize> = runs.flatten().collect();
            for original in [false, true] {
                let line = |row: usize| if original {
                    corpus.rows.original_line(row)
                } else {
                    corpus.rows.one_line(row)
                };
                let mut expected = Vec::new();
                for &row in &rows {
                    expected.extend_from_slice(&line(row));
                    expected.push(b'\n');
                }
                let packing = Packing { shard_bytes, zstd, behind };
                let files = corpus.copy_rows(&rows, original, folder.path(), "copy", packing, &watch);
                let files = files.expect("copied");
                let mut copied = Vec::new();
                for file in &files {
                    let bytes = fs::read(folder.path().join(&file.name)).expect("read");
                    prop_assert_eq!((file.bytes, file.hash), (bytes.len() as u64, XxHash3_128::oneshot(&bytes)));
                    let hashes: Vec<u128> = bytes.chunks(HASHED).map(XxHash3_128::oneshot).collect();
                    prop_assert_eq!(&file.blocks, &hashes);
                    let lines = if zstd { unpack(&bytes).expect("frames") } else { bytes };
                    let count = memchr::memchr_iter(b'\n', &lines).count();
                    prop_assert_eq!(file.rows, count as u64);
                    let fits = shard_bytes.is_none_or(|most| lines.len() as u64 <= most);
                    prop_assert!(fits || file.rows == 1);
                    copied.extend_from_slice(&lines);
                }
                prop_assert_eq!(String::from_utf8_lossy(&copied), String::from_utf8_lossy(&expected));
                if let Some((lines, count)) = corpus.rows.run(&rows, original, most) {
                    let whole: Vec<_> = rows[..count].iter().map(|&row| line(row)).collect();
                    prop_assert_eq!(lines, whole.join(&b'\n'));
                }
            }
        }
    }
}
