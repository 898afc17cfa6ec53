//! Why rows are not kept: a line for each.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use crate::corpus::Buffer;
use crate::decisions::{Decisions, State};
use crate::error::Result;
use crate::json::quoted;
use crate::output::{Output, Written};
use crate::shingles::{Alike, RowSets, Shingler};
use crate::verify::{Overlap, by_role};
use crate::watch::Watch;

/// Rows whose lines are made before they are written, and those of them that one thread makes.
const BLOCK: usize = 4096;
const PIECE: usize = 64;

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
                watch.check()?;
                tell(&teller, row, scratch, &mut lines)?;
                lines.push(b'\n');
            }
            Ok(lines)
        };
        let mut rows = (0..self.state.len()).filter(|&row| is_told(self.state[row]));
        let mut blocks = std::iter::from_fn(|| {
            let block: Vec<usize> = rows.by_ref().take(BLOCK).collect();
            (!block.is_empty()).then_some(block)
        });
        let mut output = Output::create(path, self.threads() > 1)?;
        let written = blocks.try_for_each(|block| {
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
