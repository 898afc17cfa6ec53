//! The written result: every row copied to the file of its fate, and one line for each that is not
//! simply kept.
//!
//! Rows are copied as they stand, in row order. Interleaved again by row number, the three files
//! are the input's rows.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use crate::corpus::{Buffer, Corpus};
use crate::decisions::{Decisions, State};
use crate::error::Result;
use crate::json::quoted;
use crate::output::{Output, Packing, RowFiles, Written};
use crate::shingles::{Alike, RowSets, Shingler};
use crate::sink::AT_HAND;
use crate::verify::{Overlap, by_role};
use crate::watch::{Stage, Watch};

/// Rows whose lines are made before they are written, and those of them that one thread makes.
const BLOCK: usize = 4096;
const PIECE: usize = 64;
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
        let size = |&row: &usize| {
            if original {
                self.rows.original(row).len() as u64
            } else {
                self.rows.size(row)
            }
        };
        watch.begin(Stage::Write, rows.iter().map(size).sum());
        let mut told = 0;
        let mut rest = rows;
        while !rest.is_empty() {
            let room = output.room(rest.iter().map(size))?;
            let mut piece = &rest[..room.min(rest.len())];
            rest = &rest[piece.len()..];
            while let Some(&row) = piece.first() {
                let (lines, count) = match self.rows.run(piece, original, AT_HAND) {
                    Some((lines, count)) => (Cow::Borrowed(lines), count),
                    None if original => (self.rows.original_line(row), 1),
                    None => (self.rows.one_line(row), 1),
                };
                piece = &piece[count..];
                output.add(&lines, count)?;
                told += lines.len() + 1;
                if told >= TOLD {
                    watch.advance(std::mem::take(&mut told) as u64)?;
                }
            }
        }
        watch.advance(told as u64)?;
        let written = output.finish()?;
        self.rows.check_inputs()?;
        Ok(written)
    }
}

type Roles = Vec<(Arc<str>, Overlap)>;

/// What a thread keeps from row to row.
type Scratch = (Buffer, Shingler);

impl Decisions {
    /// Write to a file a line for each row that is not kept, in row order, down to the disk.
    ///
    /// # Errors
    /// [`Error::Write`] names the file; [`Error::Changed`] means that it cannot be trusted.
    pub fn write(&self, path: &Path, watch: &Watch) -> Result<Written> {
        let is_told = |state| !matches!(state, State::Kept | State::Absent);
        self.write_lines(path, watch, is_told, Teller::explain)
    }

    /// Write to a file what was decided: a line for each removed row, in row order, with the row, the
    /// reason, the witness, and how alike they are.
    ///
    /// # Errors
    /// [`Error::Write`] names the file; [`Error::Changed`] means that it cannot be trusted.
    pub fn write_removals(&self, path: &Path, watch: &Watch) -> Result<Written> {
        let is_told = |state| matches!(state, State::ExactDuplicate | State::NearDuplicate);
        self.write_lines(path, watch, is_told, Teller::removal)
    }

    /// Write a line for each row of some states; threads make them, some rows at a time.
    fn write_lines<'d>(
        &'d self,
        path: &Path,
        watch: &Watch,
        is_told: impl Fn(State) -> bool,
        tell: impl Fn(&Teller<'d>, usize, &mut Scratch, &mut Vec<u8>) -> Result<()> + Sync,
    ) -> Result<Written> {
        let teller = Teller::new(self);
        let lines_of = |scratch: &mut Scratch, rows: &[usize]| -> Result<Vec<u8>> {
            let mut lines = Vec::new();
            for &row in rows {
                tell(&teller, row, scratch, &mut lines)?;
                lines.push(b'\n');
            }
            Ok(lines)
        };
        let rows = (0..self.state.len()).filter(|&row| is_told(self.state[row]));
        let rows: Vec<usize> = rows.collect();
        let mut output = Output::create(path, false)?;
        let written = rows.chunks(BLOCK).try_for_each(|block| {
            watch.check()?;
            let pieces = block.par_chunks(PIECE);
            let pieces = pieces.map_init(Default::default, lines_of);
            let pieces: Vec<Vec<u8>> = self.pool.install(|| pieces.collect::<Result<_>>())?;
            pieces.iter().try_for_each(|lines| output.write(lines))
        });
        self.corpus.rows.check_inputs()?;
        written?;
        output.finish()
    }
}

/// Tells of rows.
struct Teller<'d> {
    decisions: &'d Decisions,
    /// The path of each input, quoted.
    files: Vec<String>,
}

impl<'d> Teller<'d> {
    fn new(decisions: &'d Decisions) -> Self {
        let shards = decisions.corpus.rows.shards.iter();
        let files = shards
            .map(|shard| quoted(&shard.source.path.to_string_lossy()))
            .collect();
        Self { decisions, files }
    }

    /// Why a row is not kept.
    fn explain(&self, row: usize, scratch: &mut Scratch, line: &mut Vec<u8>) -> Result<()> {
        let decisions = self.decisions;
        let state = decisions.state[row];
        if state == State::Quarantined {
            let problems = &decisions.problems;
            let at = problems.binary_search_by_key(&(row as u32), |&(row, _)| row);
            let (_, problem) = &problems[at.expect("every quarantined row has its problem")];
            let (id, message) = (problem.id(), problem.to_string());
            self.begin(row, "quarantined", "read", id, line);
            push(line, format_args!(",\"message\":{}", quoted(&message)));
            end("read", "quarantined", id, line);
            return Ok(());
        }
        let (step, reason) = removal(state);
        self.begin(row, "removed", step, reason, line);
        self.evidence(row, scratch, line)?;
        end(step, "removed", reason, line);
        Ok(())
    }

    /// What was decided of a removed row.
    fn removal(&self, row: usize, scratch: &mut Scratch, line: &mut Vec<u8>) -> Result<()> {
        let reason = removal(self.decisions.state[row]).1;
        push(
            line,
            format_args!(r#"{{"row":{row},"action":"removed","reason":"{reason}""#),
        );
        self.evidence(row, scratch, line)?;
        line.push(b'}');
        Ok(())
    }

    /// The witness of a removed row, and how alike the two are.
    fn evidence(&self, row: usize, scratch: &mut Scratch, line: &mut Vec<u8>) -> Result<()> {
        let decisions = self.decisions;
        let witness = decisions.witness[row] as usize;
        push(line, format_args!(r#","witness":{{"row":{witness}"#));
        if witness < decisions.corpus.rows.read() {
            let (file, at) = (self.file(witness), decisions.corpus.rows.line(witness));
            push(line, format_args!(r#","file":{file},"line":{at}"#));
        }
        line.push(b'}');
        if decisions.state[row] == State::NearDuplicate {
            let (shared, united) = (decisions.shared[row], decisions.united[row]);
            push(
                line,
                format_args!(r#","shared":{shared},"united":{united}"#),
            );
            let roles = self.roles(row, witness, scratch)?;
            let mut before = ",\"roles\":{";
            for (role, Overlap { shared, united }) in &roles {
                push(
                    line,
                    format_args!("{before}{}:[{shared},{united}]", quoted(role)),
                );
                before = ",";
            }
            if !roles.is_empty() {
                line.push(b'}');
            }
        }
        Ok(())
    }

    /// How alike a near-duplicate is to its witness, in each role.
    fn roles(&self, row: usize, witness: usize, scratch: &mut Scratch) -> Result<Roles> {
        let Decisions {
            corpus, shingling, ..
        } = self.decisions;
        if shingling.alike == Alike::Whole {
            return Ok(Vec::new());
        }
        let (buffer, shingler) = scratch;
        let mut sets = |row: usize| -> Result<RowSets> {
            let read = corpus.read_again(row, buffer)?;
            Ok(shingler.sets(&read.parts, *shingling))
        };
        Ok(by_role(&sets(row)?, &sets(witness)?))
    }

    fn begin(&self, row: usize, state: &str, step: &str, reason: &str, line: &mut Vec<u8>) {
        let rows = &self.decisions.corpus.rows;
        let (file, at, byte) = (self.file(row), rows.line(row), rows.offset(row));
        push(
            line,
            format_args!(r#"{{"row":{row},"file":{file},"line":{at},"byte":{byte},"#),
        );
        push(
            line,
            format_args!(r#""state":"{state}","step":"{step}","reason":"{reason}""#),
        );
    }

    fn file(&self, row: usize) -> &str {
        &self.files[self.decisions.corpus.rows.shard_index(row)]
    }
}

/// The step that removes a row of this state, and the reason.
fn removal(state: State) -> (&'static str, &'static str) {
    match state {
        State::NearDuplicate => ("near-dedup", "near-duplicate"),
        _ => ("exact-dedup", "exact-duplicate"),
    }
}

fn end(step: &str, action: &str, reason: &str, line: &mut Vec<u8>) {
    push(
        line,
        format_args!(
            r#","events":[{{"step":"{step}","action":"{action}","reason":"{reason}"}}]}}"#
        ),
    );
}

fn push(line: &mut Vec<u8>, text: std::fmt::Arguments) {
    line.write_fmt(text).expect("writing to memory succeeds");
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
