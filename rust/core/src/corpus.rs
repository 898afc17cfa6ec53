//! The inputs, opened: rows, the layout of each file, and what of a row is compared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::blocks::copy;
use crate::dedup::pool;
use crate::error::{Error, Problem, Result};
use crate::format::{Format, Layout, PartRule, RoleRule, RuleKind};
use crate::json::validate;
use crate::jsonl::Rows;
use crate::later::{Made, Span};
use crate::parts::{self, Part, Parts, Place, Selection};
use crate::read::{BLOCK, broken_file};
use crate::source::Source;
use crate::tape::Tape;
use crate::value::Value;
use crate::watch::{Stage, Watch};

/// Rows of a file that are looked at to tell its format.
const SAMPLE: usize = 100;

/// Bytes that a thread reads between two looks at its watch.
const LAP: u64 = 1 << 16;

/// How inputs are to be read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Name of a format, or None to tell each file's from its rows.
    pub format: Option<String>,
    /// The one field that holds the text, whatever else stands in the rows.
    pub field: Option<String>,
    /// Further top-level fields to compare.
    pub also: Vec<String>,
    /// Roles compared; empty means all.
    pub on: Vec<String>,
    /// Longest row in bytes.
    pub max_line: u64,
    /// Spool inputs instead of mapping them.
    pub copy: bool,
}

impl Default for Reading {
    fn default() -> Self {
        let (format, field) = (None, None);
        Self {
            format,
            field,
            also: Vec::new(),
            on: Vec::new(),
            max_line: 64 << 20,
            copy: false,
        }
    }
}

/// Where rows are read to, one after the other.
#[derive(Debug, Default)]
pub struct Buffer {
    /// As many as the longest row had.
    bytes: Vec<u8>,
    tape: Tape,
}

impl Buffer {
    /// Bytes of a row for which memory is kept while the buffer is idle.
    const KEPT: usize = 1 << 16;

    /// A copy of a row, and the tape that is to be written of it.
    fn hold(&mut self, row: &[u8]) -> (&[u8], &mut Tape) {
        if self.bytes.len() < row.len() {
            self.bytes.clear();
            self.bytes.resize(row.len(), 0);
        }
        let bytes = &mut self.bytes[..row.len()];
        copy(row, bytes);
        (bytes, &mut self.tape)
    }

    /// Give back what a long row took.
    pub(crate) fn rest(&mut self) {
        if self.bytes.capacity() > Self::KEPT {
            *self = Self::default();
        }
    }
}

/// A good row.
#[derive(Debug)]
pub struct Read<'b> {
    /// The object that it is.
    pub object: Value<'b>,
    /// Its compared parts.
    pub parts: Parts<'b>,
}

/// Opened inputs.
#[derive(Debug)]
pub struct Corpus {
    /// The rows of all inputs.
    pub rows: Rows,
    /// The layout of each shard.
    pub layouts: Vec<Arc<Layout>>,
    selection: Selection,
    max_line: u64,
}

impl Layout {
    /// The layout's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Corpus {
    /// Open inputs, find their rows, tell their formats. `formats` stand in the order of detection;
    /// the last fits all. Works with the threads of the pool that it is called in.
    ///
    /// # Errors
    /// An input or the spool fails, or a setting names no format.
    pub fn open(
        paths: &[PathBuf],
        formats: &[Format],
        reading: &Reading,
        spool: &Path,
        watch: &Watch,
    ) -> Result<Self> {
        let mut known = Vec::new();
        for format in candidates(formats, reading)? {
            let layout = Layout::new(&format)?.with_fields(&reading.also);
            known.push(Arc::new(layout));
        }
        let mut corpus = Self {
            rows: Rows::default(),
            layouts: Vec::new(),
            selection: Selection {
                on: reading.on.clone(),
            },
            max_line: reading.max_line,
        };
        watch.begin(Stage::Read, 0);
        let opened: Result<Vec<Option<Arc<Layout>>>> = paths
            .iter()
            .map(|path| {
                let source = Source::open(path, spool, reading.copy, watch)?;
                corpus.rows.add(source, watch)?;
                Ok(corpus.detect(&known, corpus.rows.shards.len() - 1))
            })
            .collect();
        corpus.rows.check_inputs()?;
        let detected = opened?;
        corpus.layouts = fill_in(detected, &known);
        Ok(corpus)
    }

    /// The same rows, with other parts of them compared.
    #[must_use]
    pub(crate) fn comparing(&self, reading: &Reading) -> Self {
        let with_fields = |layout: &Arc<Layout>| {
            if reading.also.is_empty() {
                return Arc::clone(layout);
            }
            Arc::new(Layout::clone(layout).with_fields(&reading.also))
        };
        Self {
            rows: self.rows.clone(),
            layouts: self.layouts.iter().map(with_fields).collect(),
            selection: Selection {
                on: reading.on.clone(),
            },
            max_line: self.max_line,
        }
    }

    /// The same rows, for another owner; nothing is copied.
    #[must_use]
    pub fn share(&self) -> Self {
        self.comparing(&Reading::default())
    }

    /// The same inputs with some rows rewritten or made, which stand in `spool`.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub fn later(
        &self,
        spool: &Path,
        rewritten: impl IntoIterator<Item = (usize, Span)>,
        made: &[Made],
    ) -> Result<Self> {
        let mut corpus = self.share();
        let read = corpus.rows.read();
        corpus.rows.later = corpus.rows.later.and(spool, read, rewritten, made)?;
        Ok(corpus)
    }

    /// Validate rows: those that cannot be judged, in the order given, and why.
    ///
    /// # Errors
    /// A file is broken as a whole or changed, or the work is stopped.
    pub fn problems(
        &self,
        rows: &[usize],
        threads: usize,
        watch: &Watch,
    ) -> Result<Vec<(u32, Problem)>> {
        let bytes = rows.iter().map(|&row| self.rows.size(row)).sum();
        watch.begin(Stage::Read, bytes);
        let of_block = |buffer: &mut Buffer, block: &[usize]| -> Result<Vec<(u32, Problem)>> {
            let mut found = Vec::new();
            let mut bytes = 0;
            for &row in block {
                if let Err(problem) = self.check(row, buffer) {
                    found.push((row as u32, problem));
                }
                bytes += self.rows.size(row);
                if bytes >= LAP {
                    watch.advance(bytes)?;
                    bytes = 0;
                }
            }
            watch.advance(bytes)?;
            Ok(found)
        };
        let blocks = rows.par_chunks(BLOCK);
        let found: Result<Vec<_>> =
            pool(threads)?.install(|| blocks.map_init(Buffer::default, of_block).collect());
        self.rows.check_inputs()?;
        let found: Vec<(u32, Problem)> = found?.into_iter().flatten().collect();
        let mut fatal = found.iter();
        fatal
            .find_map(|(row, problem)| broken_file(self, *row as usize, problem))
            .map_or(Ok(found), Err)
    }

    /// The first layout that more than half of the sampled objects follow; None without objects.
    fn detect(&self, known: &[Arc<Layout>], shard: usize) -> Option<Arc<Layout>> {
        let (last, rest) = known.split_last().expect("there is a format");
        let shard = &self.rows.shards[shard];
        let everything = Selection::default();
        let mut objects = 0;
        let mut fits = vec![0; rest.len()];
        let mut buffer = Buffer::default();
        for row in shard.first_row..shard.first_row + shard.rows.min(SAMPLE) {
            let Ok(object) = self.object(row, &mut buffer) else {
                continue;
            };
            objects += usize::from(object.is_object());
            for (fits, layout) in fits.iter_mut().zip(rest) {
                *fits += usize::from(parts::check(object, layout, &everything).is_ok());
            }
        }
        let chosen = rest.iter().zip(fits).find(|(_, fits)| fits * 2 > objects);
        let layout = chosen.map_or(last, |(layout, _)| layout);
        (objects > 0).then(|| Arc::clone(layout))
    }

    /// Is a row short enough to be read?
    pub(crate) fn check_length(&self, row: usize) -> std::result::Result<(), Problem> {
        let (bytes, most) = (self.rows.size(row), self.max_line);
        if bytes > most {
            return Err(Problem::TooLong { bytes, most });
        }
        Ok(())
    }

    /// The value of a row. All is read from a copy: the map of a file may change under us.
    fn object<'b>(
        &self,
        row: usize,
        buffer: &'b mut Buffer,
    ) -> std::result::Result<Value<'b>, Problem> {
        self.check_length(row)?;
        let (bytes, tape) = buffer.hold(self.rows.bytes(row));
        validate(bytes, tape)
    }

    /// Is a row valid, and of the layout of its file?
    fn check(&self, row: usize, buffer: &mut Buffer) -> std::result::Result<(), Problem> {
        let object = self.object(row, buffer)?;
        parts::check(object, self.layout(row), &self.selection)
    }

    /// Validate a row and list its compared parts.
    ///
    /// # Errors
    /// Why the row cannot be judged.
    pub fn read<'b>(
        &'b self,
        row: usize,
        buffer: &'b mut Buffer,
    ) -> std::result::Result<Read<'b>, Problem> {
        let object = self.object(row, buffer)?;
        let parts = Parts::read(object, self.layout(row), &self.selection)?;
        Ok(Read { object, parts })
    }

    /// Validate a row and tell where its compared parts stand; what was told of a row that cannot be
    /// judged does not count. Returns how many of its keys stood more than once.
    pub(crate) fn each_part<'b>(
        &'b self,
        row: usize,
        buffer: &'b mut Buffer,
        found: impl FnMut(Place<'b>),
    ) -> std::result::Result<u64, Problem> {
        let object = self.object(row, buffer)?;
        parts::places(object, self.layout(row), &self.selection, found)
    }

    /// Are two rows the same bytes, to be read in the same way?
    pub(crate) fn are_same_bytes(&self, row: usize, other: usize) -> bool {
        let (layout, other_layout) = (self.layout(row), self.layout(other));
        std::ptr::eq(layout, other_layout) && self.rows.bytes(row) == self.rows.bytes(other)
    }

    fn layout(&self, row: usize) -> &Layout {
        &self.layouts[self.rows.shard_index(row)]
    }

    /// The same for a row that was good before.
    ///
    /// # Errors
    /// [`Error::Changed`], if it is not any more.
    pub fn read_again<'b>(&'b self, row: usize, buffer: &'b mut Buffer) -> Result<Read<'b>> {
        self.read(row, buffer).map_err(|_| Error::Changed {
            path: self.rows.shard(row).source.path.clone(),
        })
    }

    /// The input and line of a row, for messages.
    #[must_use]
    pub fn place(&self, row: usize) -> (PathBuf, u64) {
        (
            self.rows.shard(row).source.path.clone(),
            self.rows.line(row),
        )
    }
}

/// A file without a good row says nothing, and must not change how the others are compared.
fn fill_in(detected: Vec<Option<Arc<Layout>>>, known: &[Arc<Layout>]) -> Vec<Arc<Layout>> {
    let first = detected.iter().flatten().next().or(known.last());
    let first = Arc::clone(first.expect("there is a format"));
    let layouts = detected.into_iter();
    layouts
        .map(|layout| layout.unwrap_or_else(|| Arc::clone(&first)))
        .collect()
}

/// The parts of one row by itself, as role and text; an opaque part as its raw JSON.
///
/// # Errors
/// The format is malformed, or (inside) the row is not of it.
pub fn texts_of(
    row: &[u8],
    format: &Format,
    field: Option<&str>,
) -> Result<std::result::Result<Vec<(String, String)>, Problem>> {
    let reading = Reading {
        field: field.map(str::to_owned),
        ..Reading::default()
    };
    let formats = candidates(std::slice::from_ref(format), &reading)?;
    let layout = Layout::new(&formats[0])?;
    let text = |part: &Part| {
        (
            part.role.to_string(),
            String::from_utf8_lossy(&part.text).into_owned(),
        )
    };
    Ok(validate(row, &mut Tape::default())
        .and_then(|object| Parts::read(object, &layout, &Selection::default()))
        .map(|parts| parts.list.iter().map(text).collect()))
}

/// The formats that a file may turn out to be of.
pub(crate) fn candidates(formats: &[Format], reading: &Reading) -> Result<Vec<Format>> {
    if let Some(field) = &reading.field {
        if reading.format.as_ref().is_some_and(|name| name != "text") {
            return Err(Error::Setting("`field` is for format `text`".into()));
        }
        let rule = PartRule {
            path: String::new(),
            role: RoleRule::Fixed("text".into()),
            kind: RuleKind::Text,
        };
        return Ok(vec![Format {
            name: "text".into(),
            needs: vec![vec![field.clone()]],
            parts: vec![PartRule {
                path: field.clone(),
                ..rule
            }],
            ..Format::default()
        }]);
    }
    let chosen = |format: &&Format| {
        reading
            .format
            .as_ref()
            .is_none_or(|name| *name == format.name)
    };
    let chosen: Vec<Format> = formats.iter().filter(chosen).cloned().collect();
    if chosen.is_empty() {
        let names: Vec<&str> = formats.iter().map(|format| &*format.name).collect();
        let name = reading.format.as_deref().unwrap_or("auto");
        return Err(Error::Setting(format!(
            "no format is called `{name}`; there are `{}`",
            names.join("`, `")
        )));
    }
    Ok(chosen)
}
