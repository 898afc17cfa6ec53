//! Files of a result: written once, from front to end, hashed on the way, and down to the disk.
//!
//! A file of rows may be cut into shards and packed. Every [`STRIDE`] lines the offset is noted where
//! the next one begins; in a packed file a Zstandard frame begins there. So a reader finds a row by its
//! number without reading what stands before it, and a packed file is one that any tool unpacks.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};

/// Lines from one known offset to the next.
pub const STRIDE: usize = 1024;
/// Bytes of which each has a hash of its own, so that damage is found where it is.
pub const HASHED: usize = 16 << 20;
/// Bytes that are gathered before they are written; larger pieces are not gathered.
const BUFFER: usize = 1 << 16;
/// Bytes from which on a file is worth a second thread.
const LARGE: u64 = if cfg!(test) { 64 } else { 1 << 24 };
/// zstd's own default.
const LEVEL: i32 = 3;

/// How files of rows are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packing {
    /// Most bytes of a shard before it is packed, unless its first row is longer; None is one shard.
    pub shard_bytes: Option<u64>,
    /// Pack with Zstandard?
    pub zstd: bool,
    /// Hash large files in a thread beside the one that writes them?
    pub beside: bool,
}

/// What was written to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its name in its folder.
    pub name: String,
    /// Lines.
    pub rows: u64,
    /// Bytes, as they stand in the file.
    pub bytes: u64,
    /// xxh3-128 of these bytes.
    pub hash: u128,
    /// The same of each [`HASHED`] of them.
    pub blocks: Vec<u128>,
    /// Where every [`STRIDE`]th line begins, from the first on.
    pub index: Vec<u64>,
}

/// Counts and hashes what goes by.
#[derive(Default)]
struct Hashes {
    bytes: u64,
    whole: Xxh3,
    block: Xxh3,
    blocks: Vec<u128>,
}

impl Hashes {
    fn add(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        while !bytes.is_empty() {
            let room = HASHED - (self.bytes as usize) % HASHED;
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.block.update(now);
            self.bytes += now.len() as u64;
            if now.len() == room {
                self.blocks.push(self.block.digest128());
                self.block.reset();
            }
            bytes = rest;
        }
    }
}

/// Hashes pieces in a thread of its own.
struct Beside {
    to: SyncSender<Vec<u8>>,
    /// Pieces that are done with, whose memory is used again.
    done: Receiver<Vec<u8>>,
    thread: JoinHandle<Hashes>,
}

impl Beside {
    /// Pieces that may wait.
    const WAITING: usize = 4;

    fn begin(mut hashes: Hashes) -> Self {
        let (to, pieces) = sync_channel::<Vec<u8>>(Self::WAITING);
        let (back, done) = channel();
        let thread = std::thread::spawn(move || {
            for piece in pieces {
                hashes.add(&piece);
                let _ = back.send(piece); // nobody may want it any more
            }
            hashes
        });
        Self { to, done, thread }
    }

    /// Take a piece, and leave an empty one.
    fn add(&self, piece: &mut Vec<u8>) {
        let mut next = self.done.try_recv().unwrap_or_default();
        next.clear();
        let taken = self.to.send(std::mem::replace(piece, next));
        taken.expect("the thread takes pieces until there are no more");
    }

    fn finish(self) -> Hashes {
        drop(self.to);
        self.thread.join().expect("hashing does not panic")
    }
}

/// One file of a result.
pub(crate) struct Output {
    path: PathBuf,
    to: BufWriter<File>,
    bytes: u64,
    hashes: Hashes,
    /// Has the hashes from then on, if the file is large.
    beside: Option<Beside>,
    rows: u64,
    index: Vec<u64>,
}

impl Output {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let path = path.to_owned();
        match File::create(&path) {
            Ok(file) => Ok(Self {
                path,
                to: BufWriter::with_capacity(BUFFER, file),
                bytes: 0,
                hashes: Hashes::default(),
                beside: None,
                rows: 0,
                index: Vec::new(),
            }),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hashes.add(bytes);
        self.put(bytes)
    }

    /// Write a piece, and leave an empty one. From some size on it is hashed in another thread, if that
    /// is allowed; nothing else may then be written.
    fn write_piece(&mut self, piece: &mut Vec<u8>, may_be_beside: bool) -> Result<()> {
        self.put(piece)?;
        if may_be_beside && self.beside.is_none() && self.bytes > LARGE {
            self.beside = Some(Beside::begin(std::mem::take(&mut self.hashes)));
        }
        if let Some(beside) = &self.beside {
            beside.add(piece);
        } else {
            self.hashes.add(piece);
            piece.clear();
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.to.write_all(bytes).map_err(|source| Error::Write {
            path: self.path.clone(),
            source,
        })
    }

    pub(crate) fn line(&mut self, bytes: &[u8]) -> Result<()> {
        self.rows += 1;
        self.write(bytes)?;
        self.write(b"\n")
    }

    pub(crate) fn finish(mut self) -> Result<Written> {
        let written = self.to.flush().and_then(|()| self.to.get_ref().sync_all());
        written.map_err(|source| Error::Write {
            path: self.path.clone(),
            source,
        })?;
        let Hashes {
            bytes,
            whole,
            block,
            mut blocks,
        } = self.beside.map_or(self.hashes, Beside::finish);
        if !bytes.is_multiple_of(HASHED as u64) {
            blocks.push(block.digest128());
        }
        let name = self.path.file_name().unwrap_or_default();
        Ok(Written {
            name: name.to_string_lossy().into_owned(),
            rows: self.rows,
            bytes,
            hash: whole.digest128(),
            blocks,
            index: self.index,
        })
    }
}

/// The files of one kind of rows: `kept.jsonl`, or `kept-00001.jsonl.zst` and so on.
pub(crate) struct RowFiles<'f> {
    folder: &'f Path,
    stem: &'f str,
    packing: Packing,
    output: Output,
    /// The frame that is being packed.
    frame: Option<zstd::Encoder<'static, Vec<u8>>>,
    /// Bytes of the shard before they are packed.
    bytes: u64,
    done: Vec<Written>,
}

impl<'f> RowFiles<'f> {
    pub(crate) fn create(folder: &'f Path, stem: &'f str, packing: Packing) -> Result<Self> {
        Ok(Self {
            output: Output::create(&folder.join(name(stem, packing, 1)))?,
            folder,
            stem,
            packing,
            frame: None,
            bytes: 0,
            done: Vec::new(),
        })
    }

    /// How many of the next rows, of these sizes, go into one piece: up to the next offset to be noted,
    /// and as many as the shard has room for. A new shard begins where there is none for the first.
    pub(crate) fn room(&mut self, mut sizes: impl Iterator<Item = u64>) -> Result<usize> {
        let most = |output: &Output| STRIDE - output.rows as usize % STRIDE;
        let Some(limit) = self.packing.shard_bytes else {
            return Ok(most(&self.output));
        };
        let first = sizes.next().unwrap_or_default();
        if self.bytes > 0 && self.bytes + first + 1 > limit {
            self.begin_shard()?;
        }
        let most = most(&self.output);
        let mut end = self.bytes + first + 1;
        let fits = sizes.take(most - 1).take_while(|size| {
            end += size + 1;
            end <= limit
        });
        Ok(1 + fits.count())
    }

    /// Write a piece, some rows with a line feed after each, and leave an empty one.
    pub(crate) fn add(&mut self, lines: &mut Vec<u8>, rows: usize) -> Result<()> {
        if (self.output.rows as usize).is_multiple_of(STRIDE) {
            self.end_frame()?;
            self.output.index.push(self.output.bytes);
            if self.packing.zstd {
                self.frame = Some(self.packed(zstd::Encoder::new(Vec::new(), LEVEL))?);
            }
        }
        self.output.rows += rows as u64;
        self.bytes += lines.len() as u64;
        let Some(mut frame) = self.frame.take() else {
            return self.output.write_piece(lines, self.packing.beside);
        };
        self.packed(frame.write_all(lines))?;
        lines.clear();
        let packed = std::mem::take(frame.get_mut());
        self.frame = Some(frame);
        self.output.write(&packed)
    }

    pub(crate) fn finish(mut self) -> Result<Vec<Written>> {
        if self.packing.zstd && self.output.rows == 0 {
            self.frame = Some(self.packed(zstd::Encoder::new(Vec::new(), LEVEL))?);
        }
        self.end_frame()?;
        self.done.push(self.output.finish()?);
        Ok(self.done)
    }

    fn begin_shard(&mut self) -> Result<()> {
        self.end_frame()?;
        let name = name(self.stem, self.packing, self.done.len() + 2);
        let next = Output::create(&self.folder.join(name))?;
        let full = std::mem::replace(&mut self.output, next);
        self.done.push(full.finish()?);
        self.bytes = 0;
        Ok(())
    }

    fn end_frame(&mut self) -> Result<()> {
        if let Some(frame) = self.frame.take() {
            let packed = self.packed(frame.finish())?;
            self.output.write(&packed)?;
        }
        Ok(())
    }

    fn packed<T>(&self, result: std::io::Result<T>) -> Result<T> {
        result.map_err(|source| Error::Write {
            path: self.output.path.clone(),
            source,
        })
    }
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
pub fn unpack(frames: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::decode_all(frames)
}

/// How many lines a file has, by the line feeds that end them.
///
/// # Errors
/// It cannot be read.
pub fn count_lines(path: &Path) -> std::io::Result<u64> {
    let mut file = File::open(path)?;
    let mut piece = vec![0; 1 << 18];
    let mut lines = 0;
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(lines),
            Ok(read) => lines += memchr::memchr_iter(b'\n', &piece[..read]).count() as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    #[test]
    fn pieces_are_hashed_beside_as_they_are_written() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let packing = Packing {
            beside: true,
            ..Packing::default()
        };
        let mut files = RowFiles::create(folder.path(), "rows", packing).expect("created");
        let (mut piece, mut expected) = (Vec::new(), Vec::new());
        for row in 0..5000 {
            assert!(piece.is_empty(), "row {row}");
            piece.extend_from_slice(format!("row {row}\n").as_bytes());
            expected.extend_from_slice(&piece);
            files.add(&mut piece, 1).expect("written");
        }
        let written = files.finish().expect("written").remove(0);
        let path = folder.path().join("rows.jsonl");
        assert_eq!(std::fs::read(&path).expect("read"), expected);
        assert_eq!(written.hash, xxh3_128(&expected));
        assert_eq!((written.rows, written.bytes), (5000, expected.len() as u64));
        assert_eq!(count_lines(&path).expect("read"), 5000);
    }
}
