//! The written result: every row copied to the file of its fate, and one line for each that is not
//! simply kept.
//!
//! Rows are copied as they stand, in row order. Interleaved again by row number, the three files
//! are the input's rows.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::decisions::{Decisions, State};
use crate::error::{Error, Result};
use crate::json::quoted;
use crate::shingles::{Alike, Shingler};
use crate::verify::{Overlap, by_role};
use crate::watch::{Stage, Watch};

/// Rows whose evidence is gathered at a time.
const BLOCK: usize = 4096;

/// One file of the result.
struct Output {
    path: PathBuf,
    to: BufWriter<File>,
}

impl Output {
    fn create(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        match File::create(&path) {
            Ok(file) => Ok(Self {
                path,
                to: BufWriter::with_capacity(1 << 20, file),
            }),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    fn line(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self
            .to
            .write_all(bytes)
            .and_then(|()| self.to.write_all(b"\n"));
        written.map_err(|source| Error::Write {
            path: self.path.clone(),
            source,
        })
    }

    fn finish(mut self) -> Result<()> {
        let written = self.to.flush().and_then(|()| self.to.get_ref().sync_all());
        written.map_err(|source| Error::Write {
            path: self.path,
            source,
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
        let mut kept = Output::create(folder, "kept.jsonl")?;
        let mut removed = Output::create(folder, "removed.jsonl")?;
        let mut quarantine = Output::create(folder, "quarantine.jsonl")?;
        let mut decisions = Output::create(folder, "decisions.jsonl")?;
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
            let mut buffer = Vec::new();
            let read = self.corpus.read_again(row, &mut buffer)?;
            Ok(Shingler::default().sets(&read.parts, self.shingling))
        };
        Ok(by_role(&sets(row)?, &sets(self.witness[row] as usize)?))
    }

    fn explain_removal(&self, row: usize, roles: &Roles, line: &mut Vec<u8>) {
        let (step, reason) = match self.state[row] {
            State::NearDuplicate => ("near-dedup", "near-duplicate"),
            _ => ("exact-dedup", "exact-duplicate"),
        };
        self.begin(row, "removed", step, reason, line);
        let witness = self.witness[row] as usize;
        let (file, at) = (self.file(witness), self.corpus.rows.line(witness));
        push(
            line,
            format_args!(r#","witness":{{"row":{witness},"file":{file},"line":{at}}}"#),
        );
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
        end(step, "removed", reason, line);
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
