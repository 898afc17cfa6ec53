//! Files of a result: written once, from front to end, hashed on the way, and down to the disk.
//!
//! A file of rows may be cut into shards and packed. Every [`STRIDE`] lines the offset is noted where
//! the next one begins; in a packed file a Zstandard frame begins there. So a reader finds a row by its
//! number without reading what stands before it, and a packed file is one that any tool unpacks.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::hashes::Hashes;
use crate::sink::{AT_HAND, Gathered, Sink};

/// Lines from one known offset to the next.
pub const STRIDE: usize = 1024;
/// zstd's own default.
const LEVEL: i32 = 3;

/// How files of rows are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packing {
    /// Most bytes of a shard before it is packed, unless its first row is longer; None is one shard.
    pub shard_bytes: Option<u64>,
    /// Pack with Zstandard?
    pub zstd: bool,
    /// Write large files in a thread of its own, while what comes next is gathered?
    pub behind: bool,
}

/// What was written to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its name in its folder.
    pub name: String,
    /// Lines, by the line feeds that were written; of a packed file those that were packed.
    pub rows: u64,
    /// Bytes, as they stand in the file.
    pub bytes: u64,
    /// xxh3-128 of these bytes.
    pub hash: u128,
    /// The same of each [`crate::HASHED`] of them.
    pub blocks: Vec<u128>,
    /// Where every [`STRIDE`]th line begins, from the first on.
    pub index: Vec<u64>,
}

/// One file of a result.
pub(crate) struct Output {
    path: PathBuf,
    to: Sink,
    gathered: Gathered,
    /// Bytes of these that are hashed.
    hashed: usize,
    hashes: Hashes,
    index: Vec<u64>,
}

impl Output {
    pub(crate) fn create(path: &Path, may_be_behind: bool) -> Result<Self> {
        let made = File::create(path).and_then(|file| Ok((file, Gathered::new()?)));
        let path = path.to_owned();
        match made {
            Ok((file, gathered)) => Ok(Self {
                path,
                to: Sink::new(file, may_be_behind),
                gathered,
                hashed: 0,
                hashes: Hashes::default(),
                index: Vec::new(),
            }),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            bytes = self.gathered.take(bytes);
            if self.gathered.len - self.hashed >= AT_HAND {
                self.hash();
            }
            if self.gathered.is_full() {
                self.send()?;
            }
        }
        Ok(())
    }

    /// Hash what is new: what will be written, not what was asked for.
    fn hash(&mut self) {
        self.hashes.add(&self.gathered.bytes()[self.hashed..]);
        self.hashed = self.gathered.len;
    }

    fn send(&mut self) -> Result<()> {
        self.hash();
        self.hashed = 0;
        let sent = self.to.send(&mut self.gathered);
        sent.map_err(|source| self.failed(source))
    }

    /// Bytes that were given to it.
    fn bytes(&self) -> u64 {
        self.hashes.bytes() + (self.gathered.len - self.hashed) as u64
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Write {
            path: self.path.clone(),
            source,
        }
    }

    pub(crate) fn line(&mut self, bytes: &[u8]) -> Result<()> {
        self.write(bytes)?;
        self.write(b"\n")
    }

    pub(crate) fn finish(mut self) -> Result<Written> {
        self.send()?;
        let finished = self.to.finish();
        finished.map_err(|source| self.failed(source))?;
        let bytes = self.hashes.bytes();
        let (hash, blocks) = self.hashes.finish();
        let name = self.path.file_name().unwrap_or_default();
        Ok(Written {
            name: name.to_string_lossy().into_owned(),
            rows: self.gathered.lines,
            bytes,
            hash,
            blocks,
            index: self.index,
        })
    }
}

/// The files of one kind of rows: `kept.jsonl`, or `kept-00001.jsonl.zst` and so on.
pub(crate) struct RowFiles {
    folder: PathBuf,
    stem: String,
    packing: Packing,
    output: Output,
    /// The frame that is being packed.
    frame: Option<zstd::Encoder<'static, Vec<u8>>>,
    /// Bytes of the shard before they are packed.
    bytes: u64,
    /// Rows of the shard, as it is told of them.
    rows: usize,
    /// Lines that were packed.
    packed: u64,
    done: Vec<Written>,
}

impl RowFiles {
    pub(crate) fn create(folder: &Path, stem: &str, packing: Packing) -> Result<Self> {
        Ok(Self {
            output: Output::create(&folder.join(name(stem, packing, 1)), packing.behind)?,
            folder: folder.to_owned(),
            stem: stem.to_owned(),
            packing,
            frame: None,
            bytes: 0,
            rows: 0,
            packed: 0,
            done: Vec::new(),
        })
    }

    /// How many of the next rows, of these sizes, go into one piece: up to the next offset to be noted,
    /// and as many as the shard has room for. A new shard begins where there is none for the first.
    pub(crate) fn room(&mut self, mut sizes: impl Iterator<Item = u64>) -> Result<usize> {
        let most = |rows: usize| STRIDE - rows % STRIDE;
        let Some(limit) = self.packing.shard_bytes else {
            return Ok(most(self.rows));
        };
        let first = sizes.next().unwrap_or_default();
        if self.bytes > 0 && self.bytes + first + 1 > limit {
            self.begin_shard()?;
        }
        let mut end = self.bytes + first + 1;
        let fits = sizes.take(most(self.rows) - 1).take_while(|size| {
            end += size + 1;
            end <= limit
        });
        Ok(1 + fits.count())
    }

    /// Write some rows, which stand in lines with a line feed between them.
    pub(crate) fn add(&mut self, lines: &[u8], rows: usize) -> Result<()> {
        if self.rows.is_multiple_of(STRIDE) {
            self.end_frame()?;
            self.output.index.push(self.output.bytes());
            if self.packing.zstd {
                self.frame = Some(self.pack(zstd::Encoder::new(Vec::new(), LEVEL))?);
            }
        }
        self.rows += rows;
        self.bytes += lines.len() as u64 + 1;
        let Some(mut frame) = self.frame.take() else {
            self.output.write(lines)?;
            return self.output.write(b"\n");
        };
        for bytes in [lines, b"\n"] {
            self.pack(frame.write_all(bytes))?;
            self.packed += memchr::memchr_iter(b'\n', bytes).count() as u64;
        }
        let packed = std::mem::take(frame.get_mut());
        self.frame = Some(frame);
        self.output.write(&packed)
    }

    pub(crate) fn finish(mut self) -> Result<Vec<Written>> {
        if self.packing.zstd && self.rows == 0 {
            self.frame = Some(self.pack(zstd::Encoder::new(Vec::new(), LEVEL))?);
        }
        self.end_frame()?;
        let last = self.output.finish()?;
        self.done.push(told(last, self.packing, self.packed));
        Ok(self.done)
    }

    fn begin_shard(&mut self) -> Result<()> {
        self.end_frame()?;
        let name = name(&self.stem, self.packing, self.done.len() + 2);
        let next = Output::create(&self.folder.join(name), self.packing.behind)?;
        let full = std::mem::replace(&mut self.output, next);
        let packed = std::mem::take(&mut self.packed);
        self.done.push(told(full.finish()?, self.packing, packed));
        (self.bytes, self.rows) = (0, 0);
        Ok(())
    }

    fn end_frame(&mut self) -> Result<()> {
        if let Some(frame) = self.frame.take() {
            let packed = self.pack(frame.finish())?;
            self.output.write(&packed)?;
        }
        Ok(())
    }

    fn pack<T>(&self, result: io::Result<T>) -> Result<T> {
        result.map_err(|source| Error::Write {
            path: self.output.path.clone(),
            source,
        })
    }
}

/// What is told of a file: of a packed one so many lines, and not those of its bytes.
fn told(written: Written, packing: Packing, packed: u64) -> Written {
    let rows = if packing.zstd { packed } else { written.rows };
    Written { rows, ..written }
}

/// Shards count from 1.
fn name(stem: &str, packing: Packing, shard: usize) -> String {
    let ending = if packing.zstd { ".jsonl.zst" } else { ".jsonl" };
    match packing.shard_bytes {
        Some(_) => format!("{stem}-{shard:05}{ending}"),
        None => format!("{stem}{ending}"),
    }
}

/// Unpack whole Zstandard frames.
///
/// # Errors
/// They are none, or damaged.
pub fn unpack(frames: &[u8]) -> io::Result<Vec<u8>> {
    zstd::decode_all(frames)
}

#[cfg(test)]
mod tests {
    use twox_hash::XxHash3_128;

    use super::*;
    use crate::sink::{LARGE, PAGES};

    fn packing(behind: bool) -> Packing {
        Packing {
            behind,
            ..Packing::default()
        }
    }

    #[test]
    fn a_full_disk_is_told_whoever_writes() {
        for (pieces, bytes) in [(1, 10), (3, PAGES), (100, PAGES), (1, 100 * PAGES)] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let path = folder.path().join("rows.jsonl");
            std::os::unix::fs::symlink("/dev/full", &path).expect("linked");
            for behind in [false, true] {
                let files = RowFiles::create(folder.path(), "rows", packing(behind));
                let mut files = files.expect("opened");
                let rows = vec![b'\n'; bytes];
                let added = (0..pieces).try_for_each(|_| files.add(&rows, bytes + 1));
                let error = added.and_then(|()| files.finish().map(|_| ()));
                let error = error.expect_err("nothing can be written").to_string();
                assert!(error.contains("rows.jsonl"), "{error}");
            }
        }
    }

    /// Folders of several file systems, if there are: one in memory takes writes past the cache or does
    /// not, one on a disk asks for whole pages.
    fn folders() -> impl Iterator<Item = tempfile::TempDir> {
        let places = ["/dev/shm", "/var/tmp", "."].into_iter();
        let places = places.map(PathBuf::from).chain([std::env::temp_dir()]);
        places.filter_map(|place| tempfile::tempdir_in(place).ok())
    }

    #[test]
    fn what_stands_in_a_file_is_what_was_hashed() {
        for folder in folders() {
            for (rows, behind) in [0, 1, 5_000, 40_000]
                .into_iter()
                .flat_map(|rows| [(rows, false), (rows, true)])
            {
                let files = RowFiles::create(folder.path(), "rows", packing(behind));
                let mut files = files.expect("created");
                let mut expected = Vec::new();
                for row in 0..rows {
                    let line = format!("row {row}");
                    files.add(line.as_bytes(), 1).expect("written");
                    expected.extend_from_slice(line.as_bytes());
                    expected.push(b'\n');
                }
                let written = files.finish().expect("written").remove(0);
                let path = folder.path().join("rows.jsonl");
                assert_eq!(std::fs::read(&path).expect("read"), expected);
                assert_eq!(written.hash, XxHash3_128::oneshot(&expected));
                assert_eq!((written.rows, written.bytes), (rows, expected.len() as u64));
            }
        }
    }

    #[test]
    fn whole_pages_end_a_file_as_others_do() {
        let large = LARGE as usize / PAGES;
        for folder in folders() {
            for (pages, behind) in [1, large, large + 1, large + 2, large + 7]
                .into_iter()
                .flat_map(|pages| [(pages, false), (pages, true)])
            {
                let path = folder.path().join("x");
                let mut output = Output::create(&path, behind).expect("created");
                let line = vec![b'x'; pages * PAGES - 1];
                output.line(&line).expect("written");
                let written = output.finish().expect("written");
                assert_eq!((written.rows, written.bytes), (1, line.len() as u64 + 1));
                let bytes = std::fs::read(&path).expect("read");
                assert_eq!(written.hash, XxHash3_128::oneshot(&bytes));
                assert_eq!(bytes.len(), pages * PAGES);
            }
        }
    }
}
