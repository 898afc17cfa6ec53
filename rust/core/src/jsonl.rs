//! Rows: which bytes of which input are one record.
//!
//! A row is a line with a non-blank byte, an element of one JSON array, or a file that is one JSON
//! object. Rows are numbered from 0 over all inputs, for ever: every result is a column over them.
//! Lines count from 1 in their file, and count blank ones. A byte order mark and blank lines are no
//! rows.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use memchr::{memchr, memchr_iter};

use crate::error::{Error, Result};
use crate::hashes::Hashes;
use crate::json::{check, skip_space, validate_first};
use crate::later::{Later, Span};
use crate::lines::{find_lines, hash_rest};
use crate::source::{Source, ending};
use crate::value::end_of_container;
use crate::watch::Watch;

pub(crate) const BOM: &[u8] = b"\xEF\xBB\xBF";

/// How the rows of a file stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One a line.
    Lines,
    /// Elements of one array.
    Array,
    /// The whole file is one object.
    Object,
}

impl Framing {
    /// The word for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Array => "array",
            Self::Object => "object",
        }
    }

    /// A row on one line.
    pub(crate) fn one_line(self, row: &[u8]) -> Cow<'_, [u8]> {
        if self == Self::Lines || memchr::memchr2(b'\n', b'\r', row).is_none() {
            return Cow::Borrowed(row);
        }
        let flat = |&byte: &u8| {
            if matches!(byte, b'\n' | b'\r') {
                b' '
            } else {
                byte
            }
        };
        Cow::Owned(row.iter().map(flat).collect())
    }
}

/// One input and where its rows begin in the count of all rows.
#[derive(Debug)]
pub struct Shard {
    /// The bytes.
    pub source: Source,
    /// How rows stand in them.
    pub framing: Framing,
    /// Number of the first row.
    pub first_row: usize,
    /// How many rows.
    pub rows: usize,
    /// Lines with nothing but white space.
    pub blank_lines: u64,
    /// Does the file begin with a byte order mark?
    pub bom: bool,
    /// xxh3-128 of the decompressed bytes.
    pub hash: u128,
}

/// Where one row stands in its file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub start: u64,
    pub bytes: u64,
    pub line: u64,
}

/// All rows: those of the inputs, and after them those that were made from them.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The inputs, in order.
    pub shards: Arc<Vec<Shard>>,
    places: Arc<Vec<Place>>,
    /// What became of rows since.
    pub later: Later,
}

impl Rows {
    /// Find the rows of one more input.
    ///
    /// # Errors
    /// [`Error::Broken`] for an array that is not closed or not an array; [`Error::Setting`] beyond
    /// 2³² rows.
    ///
    /// # Panics
    /// The rows were cloned before all inputs were added.
    pub fn add(&mut self, source: Source, watch: &Watch) -> Result<()> {
        let shards = Arc::get_mut(&mut self.shards).expect("only cloned when complete");
        let places = Arc::get_mut(&mut self.places).expect("only cloned when complete");
        let first_row = places.len();
        shards.push(Shard {
            source,
            framing: Framing::Lines,
            first_row,
            rows: 0,
            blank_lines: 0,
            bom: false,
            hash: 0,
        });
        // Pushed before it is read, so that `check_inputs` sees it if reading fails.
        let [.., shard] = &mut shards[..] else {
            unreachable!("a shard was just pushed")
        };
        let found = find(shard.source.bytes(), &shard.source.path, places, watch)?;
        if places.len() >= u32::MAX as usize {
            return Err(Error::Setting(format!(
                "more than {} rows in one run",
                u32::MAX - 1
            )));
        }
        (shard.framing, shard.rows) = (found.framing, places.len() - first_row);
        (shard.blank_lines, shard.bom) = (found.blank_lines, found.bom);
        shard.hash = found.hash;
        Ok(())
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len() + self.later.made().len()
    }

    /// How many rows the inputs have.
    #[must_use]
    pub fn read(&self) -> usize {
        self.places.len()
    }

    /// Are there no rows at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row of an input that row `row` is, or descends from.
    #[must_use]
    pub fn origin(&self, row: usize) -> usize {
        let made = row.checked_sub(self.places.len());
        made.map_or(row, |at| self.later.made()[at].origin as usize)
    }

    /// The shard that row `row` stands in, or descends from.
    #[must_use]
    pub fn shard(&self, row: usize) -> &Shard {
        // Shards without rows share their first row with the next one; the last of them holds it.
        &self.shards[self.shard_index(row)]
    }

    /// The number of that shard.
    #[must_use]
    pub fn shard_index(&self, row: usize) -> usize {
        let origin = self.origin(row);
        self.shards
            .partition_point(|shard| shard.first_row <= origin)
            - 1
    }

    /// Where a row stands in the spool, if not in an input.
    fn span(&self, row: usize) -> Option<Span> {
        match row.checked_sub(self.places.len()) {
            Some(made) => Some(self.later.made()[made].span),
            None => self.later.span(row),
        }
    }

    /// The bytes of a row as it now is, without the line feed.
    #[must_use]
    pub fn bytes(&self, row: usize) -> &[u8] {
        self.span(row)
            .map_or_else(|| self.original(row), |span| self.later.bytes(span))
    }

    /// The bytes of a row as they stand in the input, without the line feed; of one that was made,
    /// as it now is.
    #[must_use]
    pub fn original(&self, row: usize) -> &[u8] {
        let Some(place) = self.places.get(row) else {
            return self.bytes(row);
        };
        let start = place.start as usize;
        &self.shard(row).source.bytes()[start..start + place.bytes as usize]
    }

    /// Length in bytes of what [`Self::original`] gives.
    #[must_use]
    pub fn original_size(&self, row: usize) -> u64 {
        let place = self.places.get(row);
        place.map_or_else(|| self.size(row), |place| place.bytes)
    }

    /// Where a row of an input begins and ends in it.
    pub(crate) fn bounds(&self, row: usize) -> (usize, usize) {
        let Place { start, bytes, .. } = self.places[row];
        (start as usize, (start + bytes) as usize)
    }

    /// Line on which the row begins, from 1; of one that was made, that of its origin.
    #[must_use]
    pub fn line(&self, row: usize) -> u64 {
        self.places[self.origin(row)].line
    }

    /// Offset at which the row, or its origin, begins in its decompressed file.
    #[must_use]
    pub fn offset(&self, row: usize) -> u64 {
        self.places[self.origin(row)].start
    }

    /// Length of a row in bytes, as it now is.
    #[must_use]
    pub fn size(&self, row: usize) -> u64 {
        self.span(row)
            .map_or_else(|| self.places[row].bytes, |span| span.bytes)
    }

    /// Where another process finds a row: its shard, its span, and whether that is in the spool.
    pub(crate) fn whereabouts(&self, row: usize) -> (usize, Span, bool) {
        let shard = self.shard_index(row);
        if let Some(span) = self.span(row) {
            return (shard, span, true);
        }
        let Place { start, bytes, .. } = self.places[row];
        (shard, Span { start, bytes }, false)
    }

    /// A row as it is written: one line. Only line breaks between tokens change, and only outside
    /// line files.
    #[must_use]
    pub fn one_line(&self, row: usize) -> Cow<'_, [u8]> {
        self.shard(row).framing.one_line(self.bytes(row))
    }

    /// The same of a row as it stands in its input.
    #[must_use]
    pub fn original_line(&self, row: usize) -> Cow<'_, [u8]> {
        self.shard(row).framing.one_line(self.original(row))
    }

    /// The first of these rows, and those that follow it in the list and on the lines of its input, up to
    /// about `most` bytes: their bytes with line feeds between, and how many they are. None if the first
    /// one does not stand in its input as it is written.
    pub(crate) fn run(
        &self,
        rows: &[usize],
        original: bool,
        most: usize,
    ) -> Option<(&[u8], usize)> {
        let as_read = |row: usize| original || self.later.span(row).is_none();
        let first = *rows.first()?;
        let Place { start, bytes, .. } = *self.places.get(first)?;
        let shard = self.shard(first);
        if shard.framing != Framing::Lines || !as_read(first) {
            return None;
        }
        let last = shard.first_row + shard.rows;
        let (mut end, mut next) = (start + bytes, first + 1);
        for &row in &rows[1..] {
            let is_next = row == next && row < last && self.places[row].start == end + 1;
            if !is_next || !as_read(row) || end - start >= most as u64 {
                break;
            }
            end += 1 + self.places[row].bytes;
            next += 1;
        }
        let lines = &shard.source.bytes()[start as usize..end as usize];
        Some((lines, next - first))
    }

    /// Are all inputs still what they were?
    ///
    /// # Errors
    /// [`Error::Changed`] names the first that is not.
    pub fn check_inputs(&self) -> Result<()> {
        self.shards
            .iter()
            .try_for_each(|shard| shard.source.check())
    }
}

/// What is known of an input once its rows are.
pub(crate) struct Found {
    pub framing: Framing,
    pub blank_lines: u64,
    pub bom: bool,
    pub hash: u128,
}

/// Find the rows of an input.
pub(crate) fn find(
    bytes: &[u8],
    path: &Path,
    places: &mut Vec<Place>,
    watch: &Watch,
) -> Result<Found> {
    let bom = bytes.starts_with(BOM);
    let start = if bom { BOM.len() } else { 0 };
    let framing = framing_of(bytes, start, path);
    let mut blank_lines = 0;
    let mut hashes = Hashes::default();
    match framing {
        Framing::Lines => blank_lines = find_lines(bytes, start, places, &mut hashes, watch)?,
        Framing::Array => {
            find_elements(bytes, start, places, watch).map_err(|stray| stray.of(path))?;
        }
        Framing::Object => {
            let start = skip_space(bytes, start);
            let kept = bytes[start..].trim_ascii_end().len();
            let line = 1 + memchr_iter(b'\n', &bytes[..start]).count() as u64;
            places.push(Place {
                start: start as u64,
                bytes: kept as u64,
                line,
            });
        }
    }
    let hash = hash_rest(hashes, bytes, watch)?;
    Ok(Found {
        framing,
        blank_lines,
        bom,
        hash,
    })
}

/// List the elements of the array that begins at `start`, trusting nothing inside them.
fn find_elements(
    bytes: &[u8],
    start: usize,
    places: &mut Vec<Place>,
    watch: &Watch,
) -> std::result::Result<(), Stray> {
    let open = skip_space(bytes, start);
    let mut counted = 0;
    let mut line = 1;
    let mut at = skip_space(bytes, open + 1);
    if bytes.get(at) != Some(&b']') {
        loop {
            let end = match bytes.get(at) {
                None => return Err(Stray::At(at, "an element")),
                Some(b'{' | b'[') => end_of_container(bytes, at)
                    .ok_or(Stray::At(bytes.len(), "the end of the array"))?,
                Some(_) => validate_first(bytes, at).map_err(|_| Stray::At(at, "an element"))?,
            };
            line += memchr_iter(b'\n', &bytes[counted..at]).count() as u64;
            counted = at;
            places.push(Place {
                start: at as u64,
                bytes: (end - at) as u64,
                line,
            });
            watch.check().map_err(Stray::Stopped)?;
            at = skip_space(bytes, end);
            match bytes.get(at) {
                Some(b',') => at = skip_space(bytes, at + 1),
                Some(b']') => break,
                _ => return Err(Stray::At(at, "`,` or `]`")),
            }
        }
    }
    let rest = skip_space(bytes, at + 1);
    if rest < bytes.len() {
        Err(Stray::At(rest, "nothing after the array"))
    } else {
        Ok(())
    }
}

enum Stray {
    At(usize, &'static str),
    Stopped(Error),
}

impl Stray {
    fn of(self, path: &Path) -> Error {
        match self {
            Self::Stopped(error) => error,
            Self::At(at, expected) => Error::Broken {
                path: path.to_owned(),
                problem: format!("the JSON array is broken at byte {at}: expected {expected}"),
                hint: Some(
                    "a file whose first byte is `[` is read as one array; in a `.jsonl` file only \
                     where `{` follows",
                ),
            },
        }
    }
}

pub(crate) fn framing_of(bytes: &[u8], start: usize, path: &Path) -> Framing {
    let at = skip_space(bytes, start);
    let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |found| at + found);
    let first_line_is_whole = || check(&bytes[at..end]).is_ok();
    match bytes.get(at) {
        Some(b'[') if named_as_lines(path) => {
            // A row that is an array is a bad row; an array of rows under this name is a slip.
            let next = bytes.get(skip_space(bytes, at + 1));
            let holds_rows = matches!(next, Some(b'{' | b']') | None);
            let goes_on = skip_space(bytes, end) < bytes.len();
            if !holds_rows || goes_on && first_line_is_whole() {
                Framing::Lines
            } else {
                Framing::Array
            }
        }
        Some(b'[') => Framing::Array,
        Some(b'{') => {
            // It spans lines: what is wrong with a lone line may be its encoding only.
            let is_one_object = || {
                let ends = validate_first(bytes, at);
                ends.is_ok_and(|ends| ends > end && skip_space(bytes, ends) == bytes.len())
            };
            if !first_line_is_whole() && is_one_object() {
                Framing::Object
            } else {
                Framing::Lines
            }
        }
        _ => Framing::Lines,
    }
}

/// Does the name promise one record a line?
fn named_as_lines(path: &Path) -> bool {
    let packed = matches!(ending(path).as_deref(), Some("gz" | "zst"));
    let name = if packed {
        Path::new(path.file_stem().unwrap_or_default())
    } else {
        path
    };
    matches!(ending(name).as_deref(), Some("jsonl" | "ndjson"))
}
