//! The decisions of a run, put together from what each of its steps noted.
//!
//! A step notes what it did to rows in a file of its own, an event a line, in row order:
//!
//! ```text
//! {"row":17,"action":"removed","reason":"too-short","evidence":"3 characters"}
//! ```
//!
//! `row` and `action` come first; `reason` follows where there is one. The files are merged by row, so
//! that nothing of them is held in memory. The last event that ended a row's way decides its state, and
//! lends its details to the whole line.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::json::quoted;
use crate::output::{Output, Written};
use crate::watch::Watch;

/// The events of one step.
struct Life {
    step: String,
    path: PathBuf,
    from: BufReader<File>,
    line: Vec<u8>,
    /// The row of `line`; None at the end.
    row: Option<usize>,
}

/// What an event says, as it stands in its line.
struct Event<'e> {
    action: &'e str,
    /// `"reason":"…"`, or nothing.
    reason: &'e str,
    /// All that follows, with a comma before each field.
    rest: &'e str,
}

impl Life {
    fn open(step: &str, path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })?;
        let mut life = Self {
            step: quoted(step),
            path: path.to_owned(),
            from: BufReader::with_capacity(1 << 16, file),
            line: Vec::new(),
            row: None,
        };
        life.advance()?;
        Ok(life)
    }

    fn advance(&mut self) -> Result<()> {
        self.line.clear();
        let read = self.from.read_until(b'\n', &mut self.line);
        read.map_err(|source| Error::Write {
            path: self.path.clone(),
            source,
        })?;
        let row = |line: &[u8]| {
            let digits = line.strip_prefix(br#"{"row":"#)?;
            let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
            std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
        };
        self.row = match (self.line.is_empty(), row(&self.line)) {
            (true, _) => None,
            (false, Some(row)) => Some(row),
            (false, None) => return Err(self.misfit()),
        };
        Ok(())
    }

    fn event(&self) -> Result<Event<'_>> {
        fn string<'e>(line: &'e str, name: &str) -> Option<(&'e str, &'e str)> {
            let value = line.strip_prefix(name)?;
            let end = value.find('"')?;
            Some((&value[..end], &value[end + 1..]))
        }
        let whole = || {
            let line = std::str::from_utf8(&self.line).ok()?.trim_end();
            let line = &line[line.find(',')?..];
            let (action, rest) = string(line, ",\"action\":\"")?;
            let after = string(rest, ",\"reason\":\"").map_or(rest, |(_, after)| after);
            let (reason, rest) = rest.split_at(rest.len() - after.len());
            Some(Event {
                action,
                reason,
                rest: rest.strip_suffix('}')?,
            })
        };
        whole().ok_or_else(|| self.misfit())
    }

    fn misfit(&self) -> Error {
        Error::Broken {
            path: self.path.clone(),
            problem: "holds a line that is no event of a row".into(),
            hint: None,
        }
    }
}

impl Corpus {
    /// Write a decision for each row that something happened to, in row order; `lives` are the steps
    /// and their files, in the order of the run.
    ///
    /// # Errors
    /// A file cannot be read or written, or holds something else than events.
    pub fn write_decisions(
        &self,
        lives: &[(String, PathBuf)],
        path: &Path,
        watch: &Watch,
    ) -> Result<Written> {
        let open = |(step, path): &(String, PathBuf)| Life::open(step, path);
        let mut lives: Vec<Life> = lives.iter().map(open).collect::<Result<_>>()?;
        let mut output = Output::create(path, false)?;
        let (mut line, mut events) = (Vec::new(), Vec::new());
        while let Some(row) = lives.iter().filter_map(|life| life.row).min() {
            watch.check()?;
            line.clear();
            events.clear();
            let mut decided = (String::from("\"state\":\"kept\""), String::new());
            for life in &mut lives {
                while life.row == Some(row) {
                    let Event {
                        action,
                        reason,
                        rest,
                    } = life.event()?;
                    let step = &life.step;
                    let comma = if events.is_empty() { "" } else { "," };
                    let ends = matches!(action, "removed" | "quarantined" | "undecided");
                    let details = if ends { "" } else { rest };
                    if ends {
                        let state = format!("\"state\":\"{action}\",\"step\":{step}{reason}");
                        decided = (state, rest.to_owned());
                    }
                    write!(
                        events,
                        "{comma}{{\"step\":{step},\"action\":\"{action}\"{reason}{details}}}"
                    )
                    .expect("writing to memory succeeds");
                    life.advance()?;
                }
            }
            let (state, details) = decided;
            write!(line, "{{\"row\":{row}").expect("writing to memory succeeds");
            if row < self.rows.read() {
                let file = quoted(&self.rows.shard(row).source.path.to_string_lossy());
                let (at, byte) = (self.rows.line(row), self.rows.offset(row));
                write!(line, ",\"file\":{file},\"line\":{at},\"byte\":{byte}")
                    .expect("writing to memory succeeds");
            }
            write!(line, ",{state}{details},\"events\":[").expect("writing to memory succeeds");
            line.extend_from_slice(&events);
            line.extend_from_slice(b"]}");
            output.line(&line)?;
        }
        output.finish()
    }
}
