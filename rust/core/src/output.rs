//! Files of a result: written once, from front to end, hashed on the way, and down to the disk.
//!
//! A file of rows may be cut into shards and packed. Every [`STRIDE`] lines the offset is noted where
//! the next one begins; in a packed file a Zstandard frame begins there. So a reader finds a row by its
//! number without reading what stands before it, and a packed file is one that any tool unpacks.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};

/// Lines from one known offset to the next.
pub const STRIDE: usize = 1024;
/// Bytes of which each has a hash of its own, so that damage is found where it is.
pub const HASHED: usize = 16 << 20;
/// Bytes that are gathered before they are written; larger pieces are not gathered.
const BUFFER: usize = 1 << 16;
/// Bytes from which on a file is worth further threads.
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
    /// Write large files in a thread of its own, while what comes next is gathered?
    pub behind: bool,
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

/// Where the bytes of a file go.
enum Sink {
    /// To the file, at once.
    Here(BufWriter<File>),
    /// To a thread that writes them, while the next ones are gathered.
    Behind(Behind),
    /// Nowhere, since the file failed or is finished.
    Nowhere,
}

/// Writes pieces in a thread of its own, which ends with it.
struct Behind {
    to: Option<SyncSender<Vec<u8>>>,
    /// Pieces that are written, whose memory is used again.
    written: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<io::Result<BufWriter<File>>>>,
}

impl Drop for Behind {
    fn drop(&mut self) {
        let _ = self.finish(); // whoever wanted the file has it
    }
}

impl Behind {
    /// Pieces that may wait.
    const WAITING: usize = 4;

    /// Bytes of a piece at most: a few of them wait in memory.
    const LARGEST: usize = 4 << 20;

    /// Write behind from now on, or, if the system has no thread to spare, as before.
    fn begin(file: BufWriter<File>) -> Sink {
        let (give, given) = sync_channel::<BufWriter<File>>(1);
        let (to, pieces) = sync_channel::<Vec<u8>>(Self::WAITING);
        let (back, written) = channel();
        let write = move || {
            let mut file = given.recv().map_err(io::Error::other)?;
            for piece in pieces {
                file.write_all(&piece)?;
                let _ = back.send(piece); // nobody may want it any more
            }
            Ok(file)
        };
        let Ok(thread) = thread::Builder::new().spawn(write) else {
            return Sink::Here(file);
        };
        give.send(file).expect("the thread waits for it");
        Sink::Behind(Self {
            to: Some(to),
            written,
            thread: Some(thread),
        })
    }

    /// Take a piece, and leave an empty one; false if the file failed.
    fn add(&self, piece: &mut Vec<u8>) -> bool {
        let mut next = self.written.try_recv().unwrap_or_default();
        next.clear();
        let piece = std::mem::replace(piece, next);
        self.to.as_ref().is_some_and(|to| to.send(piece).is_ok())
    }

    /// The file, once all is written; None if it was asked for before.
    fn finish(&mut self) -> Option<io::Result<BufWriter<File>>> {
        drop(self.to.take());
        let thread = self.thread.take()?;
        Some(thread.join().expect("writing does not panic"))
    }
}

/// One file of a result.
pub(crate) struct Output {
    path: PathBuf,
    to: Sink,
    hashes: Hashes,
    rows: u64,
    index: Vec<u64>,
}

impl Output {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let path = path.to_owned();
        match File::create(&path) {
            Ok(file) => Ok(Self {
                path,
                to: Sink::Here(BufWriter::with_capacity(BUFFER, file)),
                hashes: Hashes::default(),
                rows: 0,
                index: Vec::new(),
            }),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hashes.add(bytes);
        match &mut self.to {
            Sink::Here(file) => file.write_all(bytes).map_err(|source| self.failed(source)),
            _ => unreachable!("only pieces are written behind"),
        }
    }

    /// Write a piece, and leave an empty one. From some size of the file on another thread writes, if that
    /// is allowed, and all else that is written must be pieces.
    fn write_piece(&mut self, piece: &mut Vec<u8>, may_be_behind: bool) -> Result<()> {
        if piece.len() > Behind::LARGEST {
            self.to = Sink::Here(self.file()?);
            self.write(piece)?;
            *piece = Vec::new();
            return Ok(());
        }
        if may_be_behind && self.hashes.bytes > LARGE && matches!(self.to, Sink::Here(_)) {
            self.to = Behind::begin(self.file()?);
        }
        if let Sink::Behind(behind) = &self.to {
            self.hashes.add(piece);
            if !behind.add(piece) {
                self.file()?;
            }
        } else {
            self.write(piece)?;
            piece.clear();
        }
        Ok(())
    }

    /// The file, to which nothing more is written; or what is wrong with it.
    fn file(&mut self) -> Result<BufWriter<File>> {
        let file = match std::mem::replace(&mut self.to, Sink::Nowhere) {
            Sink::Here(file) => Some(Ok(file)),
            Sink::Behind(mut behind) => behind.finish(),
            Sink::Nowhere => None,
        };
        let file = file.expect("a failure was told, and ends the file");
        file.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Write {
            path: self.path.clone(),
            source,
        }
    }

    pub(crate) fn line(&mut self, bytes: &[u8]) -> Result<()> {
        self.rows += 1;
        self.write(bytes)?;
        self.write(b"\n")
    }

    pub(crate) fn finish(mut self) -> Result<Written> {
        let mut file = self.file()?;
        let written = file.flush().and_then(|()| file.get_ref().sync_all());
        written.map_err(|source| self.failed(source))?;
        let Hashes {
            bytes,
            whole,
            block,
            mut blocks,
        } = self.hashes;
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
            self.output.index.push(self.output.hashes.bytes);
            if self.packing.zstd {
                self.frame = Some(self.packed(zstd::Encoder::new(Vec::new(), LEVEL))?);
            }
        }
        self.output.rows += rows as u64;
        self.bytes += lines.len() as u64;
        let Some(mut frame) = self.frame.take() else {
            return self.output.write_piece(lines, self.packing.behind);
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

    fn packed<T>(&self, result: io::Result<T>) -> Result<T> {
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
pub fn unpack(frames: &[u8]) -> io::Result<Vec<u8>> {
    zstd::decode_all(frames)
}

/// How many lines a file has, by the line feeds that end them; 0 threads are one a core.
///
/// # Errors
/// It cannot be read.
///
/// # Panics
/// Not by itself, but if a thread does.
pub fn count_lines(path: &Path, threads: usize) -> io::Result<u64> {
    const PIECE: usize = 1 << 18;
    let file = File::open(path)?;
    let (next, lines) = (AtomicU64::new(0), AtomicU64::new(0));
    let count = || -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            let mut start = next.fetch_add(PIECE as u64, Relaxed);
            let end = start + PIECE as u64;
            while start < end {
                match file.read_at(&mut piece[..(end - start) as usize], start) {
                    Ok(0) => return Ok(()),
                    Ok(read) => {
                        let found = memchr::memchr_iter(b'\n', &piece[..read]).count();
                        lines.fetch_add(found as u64, Relaxed);
                        start += read as u64;
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
    };
    let threads = match threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let threads = threads.min((file.metadata()?.len() / LARGE) as usize + 1);
    thread::scope(|scope| {
        // As many as the system has to spare.
        let others =
            (1..threads).map_while(|_| thread::Builder::new().spawn_scoped(scope, count).ok());
        let others: Vec<_> = others.collect();
        let mut counted = count();
        for other in others {
            counted = counted.and(other.join().expect("counting does not panic"));
        }
        counted
    })?;
    Ok(lines.into_inner())
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    #[test]
    fn a_full_disk_is_told_whoever_writes() {
        for (pieces, bytes) in [
            (1, 10),
            (3, BUFFER + 1),
            (40, BUFFER + 1),
            (3, Behind::LARGEST + 1),
        ] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let path = folder.path().join("rows.jsonl");
            std::os::unix::fs::symlink("/dev/full", &path).expect("linked");
            let packing = Packing {
                behind: true,
                ..Packing::default()
            };
            let mut files = RowFiles::create(folder.path(), "rows", packing).expect("opened");
            let mut add = || files.add(&mut vec![b'\n'; bytes], bytes);
            let added = (0..pieces).try_for_each(|_| add());
            let error = added.and_then(|()| files.finish().map(|_| ()));
            let error = error.expect_err("nothing can be written").to_string();
            assert!(error.contains("rows.jsonl"), "{error}");
        }
    }

    #[test]
    fn pieces_that_are_written_behind_are_those_that_are_hashed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let packing = Packing {
            behind: true,
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
        for threads in 0..4 {
            assert_eq!(count_lines(&path, threads).expect("read"), 5000);
        }
    }
}
