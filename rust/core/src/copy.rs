//! The written result: every row copied to the file of its fate, and one line for each that is not
//! simply kept.
//!
//! Rows are copied as they stand, in row order. Interleaved again by row number, the three files
//! are the input's rows.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use xxhash_rust::xxh3::Xxh3;

use crate::corpus::{Buffer, Corpus};
use crate::decisions::{Decisions, State};
use crate::error::{Error, Result};
use crate::json::quoted;
use crate::shingles::{Alike, Shingler};
use crate::verify::{Overlap, by_role};
use crate::watch::{Stage, Watch};

/// Rows whose evidence is gathered at a time.
const BLOCK: usize = 4096;
/// Bytes that are hashed and written at a time.
const PIECE: usize = 1 << 18;

/// One file of the result.
pub(crate) struct Output {
    path: PathBuf,
    to: BufWriter<File>,
}

impl Output {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Self::with_buffer(path, 1 << 20)
    }

    /// For writes as large as [`PIECE`].
    fn unbuffered(path: &Path) -> Result<Self> {
        Self::with_buffer(path, 0)
    }

    fn with_buffer(path: &Path, bytes: usize) -> Result<Self> {
        let path = path.to_owned();
        match File::create(&path) {
            Ok(file) => Ok(Self {
                path,
                to: BufWriter::with_capacity(bytes, file),
            }),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.to.write_all(bytes).map_err(|source| Error::Write {
            path: self.path.clone(),
            source,
        })
    }

    pub(crate) fn line(&mut self, bytes: &[u8]) -> Result<()> {
        self.write(bytes)?;
        self.write(b"\n")
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        let written = self.to.flush().and_then(|()| self.to.get_ref().sync_all());
        written.map_err(|source| Error::Write {
            path: self.path,
            source,
        })
    }
}

/// What was written to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Lines.
    pub rows: u64,
    /// Bytes, line feeds among them.
    pub bytes: u64,
    /// xxh3-128 of these bytes.
    pub hash: u128,
}

impl Corpus {
    /// Write rows to a new file, one a line in the order given, down to the disk: as they now are, or
    /// as they stand in their inputs.
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
        path: &Path,
        watch: &Watch,
    ) -> Result<Written> {
        let mut output = Output::unbuffered(path)?;
        watch.begin(
            Stage::Write,
            rows.iter().map(|&row| self.rows.size(row)).sum(),
        );
        let mut hash = Xxh3::new();
        let mut bytes = 0;
        // Bytes leave the map once; what is hashed is what is written.
        let mut copy = Vec::with_capacity(2 * PIECE);
        let mut flush = |copy: &mut Vec<u8>| {
            hash.update(copy);
            bytes += copy.len() as u64;
            output.write(copy)?;
            watch.advance(copy.len() as u64)?;
            copy.clear();
            Ok(())
        };
        let mut rest = rows;
        while let Some(&row) = rest.first() {
            let (lines, count) = match self.rows.run(rest, original, PIECE) {
                Some((lines, count)) => (Cow::Borrowed(lines), count),
                None if original => (self.rows.original_line(row), 1),
                None => (self.rows.one_line(row), 1),
            };
            rest = &rest[count..];
            copy.extend_from_slice(&lines);
            copy.push(b'\n');
            if copy.len() >= PIECE {
                flush(&mut copy)?;
            }
        }
        flush(&mut copy)?;
        output.finish()?;
        self.rows.check_inputs()?;
        Ok(Written {
            rows: rows.len() as u64,
            bytes,
            hash: hash.digest128(),
        })
    }
}

type Roles = Vec<(Arc<str>, Overlap)>;

impl Decisions {
    /// Write `kept.jsonl`, `removed.jsonl`, `quarantine.jsonl` and `decisions.jsonl` to a folder,
    /// down to the disk.
    ///
    /// # Errors
    /// [`Error::Write`] names the file; [`Error::Changed`] means that nothing written can be
    /// trusted.
    pub fn write(&self, folder: &Path, watch: &Watch) -> Result<()> {
        let result = self.pool.install(|| self.write_all(folder, watch));
        self.corpus.rows.check_inputs()?;
        result
    }

    fn write_all(&self, folder: &Path, watch: &Watch) -> Result<()> {
        let rows = &self.corpus.rows;
        watch.begin(
            Stage::Write,
            (0..rows.len()).map(|row| rows.size(row)).sum(),
        );
        let mut kept = Output::create(&folder.join("kept.jsonl"))?;
        let mut removed = Output::create(&folder.join("removed.jsonl"))?;
        let mut quarantine = Output::create(&folder.join("quarantine.jsonl"))?;
        let mut decisions = Output::create(&folder.join("decisions.jsonl"))?;
        let mut problems = self.problems.iter();
        let mut line = Vec::new();
        for first in (0..rows.len()).step_by(BLOCK) {
            let block = first..rows.len().min(first + BLOCK);
            let roles: Vec<Roles> = block
                .clone()
                .into_par_iter()
                .map(|row| self.roles(row))
                .collect::<Result<_>>()?;
            for (row, roles) in block.zip(roles) {
                let bytes = rows.one_line(row);
                line.clear();
                match self.state[row] {
                    State::Kept => kept.line(&bytes)?,
                    State::ExactDuplicate | State::NearDuplicate => {
                        removed.line(&bytes)?;
                        self.explain_removal(row, &roles, &mut line);
                        decisions.line(&line)?;
                    }
                    State::Quarantined => {
                        quarantine.line(&bytes)?;
                        let (_, problem) = problems
                            .next()
                            .expect("every quarantined row has its problem");
                        let (id, message) = (problem.id(), problem.to_string());
                        self.begin(row, "quarantined", "read", id, &mut line);
                        push(&mut line, format_args!(",\"message\":{}", quoted(&message)));
                        end("read", "quarantined", id, &mut line);
                        decisions.line(&line)?;
                    }
                    State::Absent => {}
                }
                watch.advance(rows.size(row))?;
            }
        }
        [kept, removed, quarantine, decisions]
            .into_iter()
            .try_for_each(Output::finish)
    }

    /// How alike a near-duplicate is to its witness, in each role.
    fn roles(&self, row: usize) -> Result<Roles> {
        if self.state[row] != State::NearDuplicate || self.shingling.alike == Alike::Whole {
            return Ok(Vec::new());
        }
        let sets = |row: usize| {
            let mut buffer = Buffer::default();
            let read = self.corpus.read_again(row, &mut buffer)?;
            Ok(Shingler::default().sets(&read.parts, self.shingling))
        };
        Ok(by_role(&sets(row)?, &sets(self.witness[row] as usize)?))
    }

    /// Write to a file what was decided: a line for each removed row, in row order, with the row, the
    /// reason, the witness, and how alike they are.
    ///
    /// # Errors
    /// [`Error::Write`] names the file; [`Error::Changed`] means that it cannot be trusted.
    pub fn write_removals(&self, path: &Path, watch: &Watch) -> Result<()> {
        let removed: Vec<usize> = (0..self.state.len())
            .filter(|&row| {
                matches!(
                    self.state[row],
                    State::ExactDuplicate | State::NearDuplicate
                )
            })
            .collect();
        let mut output = Output::create(path)?;
        let mut line = Vec::new();
        for block in removed.chunks(BLOCK) {
            watch.check()?;
            let roles = self.pool.install(|| {
                let roles = block.par_iter().map(|&row| self.roles(row));
                roles.collect::<Result<Vec<Roles>>>()
            });
            self.corpus.rows.check_inputs()?;
            for (&row, roles) in block.iter().zip(roles?) {
                let reason = removal(self.state[row]).1;
                line.clear();
                push(
                    &mut line,
                    format_args!(r#"{{"row":{row},"action":"removed","reason":"{reason}""#),
                );
                self.evidence(row, &roles, &mut line);
                line.push(b'}');
                output.line(&line)?;
            }
        }
        output.finish()
    }

    fn explain_removal(&self, row: usize, roles: &Roles, line: &mut Vec<u8>) {
        let (step, reason) = removal(self.state[row]);
        self.begin(row, "removed", step, reason, line);
        self.evidence(row, roles, line);
        end(step, "removed", reason, line);
    }

    /// The witness of a removed row, and how alike the two are.
    fn evidence(&self, row: usize, roles: &Roles, line: &mut Vec<u8>) {
        let witness = self.witness[row] as usize;
        push(line, format_args!(r#","witness":{{"row":{witness}"#));
        if witness < self.corpus.rows.read() {
            let (file, at) = (self.file(witness), self.corpus.rows.line(witness));
            push(line, format_args!(r#","file":{file},"line":{at}"#));
        }
        line.push(b'}');
        if self.state[row] == State::NearDuplicate {
            let (shared, united) = (self.shared[row], self.united[row]);
            push(
                line,
                format_args!(r#","shared":{shared},"united":{united}"#),
            );
            let mut before = ",\"roles\":{";
            for (role, Overlap { shared, united }) in roles {
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
    }

    fn begin(&self, row: usize, state: &str, step: &str, reason: &str, line: &mut Vec<u8>) {
        let (file, at, byte) = (
            self.file(row),
            self.corpus.rows.line(row),
            self.corpus.rows.offset(row),
        );
        push(
            line,
            format_args!(r#"{{"row":{row},"file":{file},"line":{at},"byte":{byte},"#),
        );
        push(
            line,
            format_args!(r#""state":"{state}","step":"{step}","reason":"{reason}""#),
        );
    }

    fn file(&self, row: usize) -> String {
        quoted(&self.corpus.rows.shard(row).source.path.to_string_lossy())
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
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;
    use crate::corpus::Reading;
    use crate::format::Format;
    use crate::later::Span;

    fn inputs() -> impl Strategy<Value = Vec<String>> {
        let line = prop::sample::select(vec!["{}", "{\"a\":1}\r", "", " ", "\r", "x", "\u{e9} "]);
        let file = (prop::collection::vec(line, 1..30), any::<bool>());
        let file =
            file.prop_map(|(lines, is_ended)| lines.join("\n") + if is_ended { "\n" } else { "" });
        let array = Just("[{\"a\":\n1},\n{},{}]".to_owned());
        prop::collection::vec(prop_oneof![4 => file, 1 => array], 1..4)
    }

    fn open(folder: &Path, files: &[String]) -> Corpus {
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn rows_are_copied_as_if_one_by_one(
            files in inputs(),
            picks in prop::collection::vec((any::<prop::sample::Index>(), 1..20_usize), 0..8),
            rewritten in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
            most in 0..40_usize,
        ) {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let (corpus, watch) = (open(folder.path(), &files), Watch::default());
            let all = corpus.rows.len();
            prop_assume!(all > 0);
            let spool = folder.path().join("spool");
            fs::write(&spool, "{\"new\":1}\n").expect("written");
            let span = Span { start: 0, bytes: 9 };
            let rewritten: Vec<_> = rewritten.iter().map(|row| (row.index(all), span)).collect();
            let corpus = corpus.later(&spool, &rewritten, &[]).expect("mapped");
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
                let path = folder.path().join("copy");
                let written = corpus.copy_rows(&rows, original, &path, &watch).expect("copied");
                let copied = fs::read(&path).expect("read");
                prop_assert_eq!(String::from_utf8_lossy(&copied), String::from_utf8_lossy(&expected));
                prop_assert_eq!(written.hash, xxh3_128(&expected));
                prop_assert_eq!((written.rows, written.bytes), (rows.len() as u64, expected.len() as u64));
                if let Some((lines, count)) = corpus.rows.run(&rows, original, most) {
                    let whole: Vec<_> = rows[..count].iter().map(|&row| line(row)).collect();
                    prop_assert_eq!(lines, whole.join(&b'\n'));
                }
            }
        }
    }
}
