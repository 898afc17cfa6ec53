//! Files of a result: written once, from front to end, hashed on the way, and down to the disk.
//!
//! A file of rows may be cut into shards and packed. Every [`STRIDE`] lines the offset is noted where
//! the next one begins; in a packed file a Zstandard frame begins there. So a reader finds a row by its
//! number without reading what stands before it, and a packed file is one that any tool unpacks.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use memmap2::MmapMut;
use twox_hash::XxHash3_128;

use crate::blocks::copy;
use crate::error::{Error, Result};

/// Lines from one known offset to the next.
pub const STRIDE: usize = 1024;
/// Bytes of which each has a hash of its own, so that damage is found where it is.
pub const HASHED: usize = 16 << 20;
/// Bytes that are gathered before they are written, in whole pages. Less is more work for the system.
const PAGES: usize = if cfg!(test) { 1 << 12 } else { 1 << 20 };
/// What of a file lies beyond so many bytes goes past the page cache, and may be written by another thread.
const LARGE: u64 = 16 * PAGES as u64;
/// Bytes that are copied, hashed and counted before others are: they stay in the nearest cache meanwhile.
pub(crate) const AT_HAND: usize = if cfg!(test) { 1 << 10 } else { 1 << 14 };
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
    /// The same of each [`HASHED`] of them.
    pub blocks: Vec<u128>,
    /// Where every [`STRIDE`]th line begins, from the first on.
    pub index: Vec<u64>,
}

/// Counts and hashes what goes by.
#[derive(Default)]
struct Hashes {
    bytes: u64,
    whole: XxHash3_128,
    block: XxHash3_128,
    blocks: Vec<u128>,
}

impl Hashes {
    fn add(&mut self, mut bytes: &[u8]) {
        self.whole.write(bytes);
        while !bytes.is_empty() {
            let room = HASHED - (self.bytes as usize) % HASHED;
            let (now, rest) = bytes.split_at(bytes.len().min(room));
            self.block.write(now);
            self.bytes += now.len() as u64;
            if now.len() == room {
                self.blocks
                    .push(std::mem::take(&mut self.block).finish_128());
            }
            bytes = rest;
        }
    }
}

/// Bytes that are gathered; they begin with a page, as is asked of what goes past the page cache.
struct Gathered {
    pages: MmapMut,
    len: usize,
}

impl Gathered {
    fn new() -> io::Result<Self> {
        let pages = MmapMut::map_anon(PAGES)?; // takes no memory before it is used
        Ok(Self { pages, len: 0 })
    }

    /// Take some bytes, as many as there is room for, and give back the others.
    fn take<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let room = PAGES - self.len;
        let (now, rest) = bytes.split_at(bytes.len().min(room).min(AT_HAND));
        copy(now, &mut self.pages[self.len..][..now.len()]);
        self.len += now.len();
        rest
    }

    fn bytes(&self) -> &[u8] {
        &self.pages[..self.len]
    }

    fn is_full(&self) -> bool {
        self.len == PAGES
    }
}

/// A file that is written from front to end.
struct Target {
    file: File,
    /// Does it go past the page cache? To copy it there is work for nothing, since all is written down to
    /// the disk, and would push out what others read, the inputs first of all.
    is_direct: bool,
}

impl Target {
    /// Write past the page cache from now on, if the file system has a way.
    fn go_direct(&mut self) {
        self.is_direct = self.set_direct(true).is_ok();
    }

    #[cfg(target_os = "linux")]
    fn set_direct(&self, direct: bool) -> io::Result<()> {
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

        let mut flags = fcntl_getfl(&self.file)?;
        flags.set(OFlags::DIRECT, direct);
        Ok(fcntl_setfl(&self.file, flags)?)
    }

    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unused_self)] // as where there is a way
    fn set_direct(&self, _: bool) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn write(&mut self, gathered: &Gathered) -> io::Result<()> {
        if self.is_direct && !gathered.is_full() {
            self.go_through_cache()?; // whole pages are asked for
        }
        let mut rest = gathered.bytes();
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // After a part of a page, or on a file system that takes the flag and not the write.
                Err(error) if error.kind() == ErrorKind::InvalidInput && self.is_direct => {
                    self.go_through_cache()?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn go_through_cache(&mut self) -> io::Result<()> {
        self.is_direct = false;
        self.set_direct(false)
    }
}

/// Where the bytes of a file go, as they are gathered.
enum Sink {
    /// To the file, at once.
    Here(Target),
    /// To a thread that writes them, while the next ones are gathered.
    Behind(Behind),
    /// Nowhere, since the file failed or is finished.
    Nowhere,
}

/// Writes in a thread of its own, which ends with it.
struct Behind {
    to: Option<SyncSender<Gathered>>,
    /// What is written, whose memory is used again.
    written: Receiver<Gathered>,
    thread: Option<JoinHandle<io::Result<Target>>>,
}

impl Drop for Behind {
    fn drop(&mut self) {
        let _ = self.finish(); // whoever wanted the file has it
    }
}

impl Behind {
    /// So many times what is gathered may wait.
    const WAITING: usize = 4;

    /// Write behind from now on, or, if the system has no thread to spare, as before.
    fn begin(target: Target) -> Sink {
        let (give, given) = sync_channel::<Target>(1);
        let (to, all) = sync_channel::<Gathered>(Self::WAITING);
        let (back, written) = channel();
        let write = move || {
            let mut target = given.recv().map_err(io::Error::other)?;
            for gathered in all {
                target.write(&gathered)?;
                let _ = back.send(gathered); // nobody may want it any more
            }
            Ok(target)
        };
        let Ok(thread) = thread::Builder::new().spawn(write) else {
            return Sink::Here(target);
        };
        give.send(target).expect("the thread waits for it");
        Sink::Behind(Self {
            to: Some(to),
            written,
            thread: Some(thread),
        })
    }

    /// Take what is gathered, and leave room for more; None if the file failed.
    fn add(&self, gathered: &mut Gathered) -> io::Result<Option<()>> {
        let next = self.written.try_recv().or_else(|_| Gathered::new())?;
        let full = std::mem::replace(gathered, Gathered { len: 0, ..next });
        Ok(self.to.as_ref().and_then(|to| to.send(full).ok()))
    }

    /// The file, once all is written; None if it was asked for before.
    fn finish(&mut self) -> Option<io::Result<Target>> {
        drop(self.to.take());
        let thread = self.thread.take()?;
        Some(thread.join().expect("writing does not panic"))
    }
}

/// One file of a result.
pub(crate) struct Output {
    path: PathBuf,
    to: Sink,
    may_be_behind: bool,
    gathered: Gathered,
    /// Bytes of these that are hashed.
    hashed: usize,
    hashes: Hashes,
    lines: u64,
    index: Vec<u64>,
}

impl Output {
    pub(crate) fn create(path: &Path, may_be_behind: bool) -> Result<Self> {
        let made = File::create(path).and_then(|file| Ok((file, Gathered::new()?)));
        let path = path.to_owned();
        match made {
            Ok((file, gathered)) => Ok(Self {
                path,
                to: Sink::Here(Target {
                    file,
                    is_direct: false,
                }),
                may_be_behind,
                gathered,
                hashed: 0,
                hashes: Hashes::default(),
                lines: 0,
                index: Vec::new(),
            }),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            bytes = self.gathered.take(bytes);
            if self.gathered.len - self.hashed >= AT_HAND {
                self.look();
            }
            if self.gathered.is_full() {
                self.send()?;
            }
        }
        Ok(())
    }

    /// Hash what is new, and count its lines: of what will be written, not of what was asked for.
    fn look(&mut self) {
        let new = &self.gathered.bytes()[self.hashed..];
        self.hashes.add(new);
        self.lines += memchr::memchr_iter(b'\n', new).count() as u64;
        self.hashed = self.gathered.len;
    }

    /// Send what is gathered on its way.
    fn send(&mut self) -> Result<()> {
        self.look();
        if self.hashes.bytes == LARGE + PAGES as u64 && self.gathered.is_full() {
            let mut target = self.target()?;
            target.go_direct();
            self.to = if self.may_be_behind {
                Behind::begin(target)
            } else {
                Sink::Here(target)
            };
        }
        self.hashed = 0;
        let sent = match &mut self.to {
            Sink::Here(target) => target.write(&self.gathered).map(|()| {
                self.gathered.len = 0;
                Some(())
            }),
            Sink::Behind(behind) => behind.add(&mut self.gathered),
            Sink::Nowhere => unreachable!("a failure was told, and ends the file"),
        };
        match sent {
            Ok(Some(())) => Ok(()),
            Ok(None) => self.target().map(|_| ()),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// The file, to which nothing more is written; or what is wrong with it.
    fn target(&mut self) -> Result<Target> {
        let target = match std::mem::replace(&mut self.to, Sink::Nowhere) {
            Sink::Here(target) => Some(Ok(target)),
            Sink::Behind(mut behind) => behind.finish(),
            Sink::Nowhere => None,
        };
        let target = target.expect("a failure was told, and ends the file");
        target.map_err(|source| self.failed(source))
    }

    /// Bytes that were given to it.
    fn bytes(&self) -> u64 {
        self.hashes.bytes + (self.gathered.len - self.hashed) as u64
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
        let target = self.target()?;
        let Hashes {
            bytes,
            whole,
            block,
            mut blocks,
        } = std::mem::take(&mut self.hashes);
        let written = target.file.sync_all().and_then(|()| {
            let stands = target.file.metadata()?.len();
            if stands == bytes {
                Ok(())
            } else {
                let told = format!("{bytes} bytes were written, but {stands} are there");
                Err(io::Error::other(told))
            }
        });
        written.map_err(|source| self.failed(source))?;
        if !bytes.is_multiple_of(HASHED as u64) {
            blocks.push(block.finish_128());
        }
        let name = self.path.file_name().unwrap_or_default();
        Ok(Written {
            name: name.to_string_lossy().into_owned(),
            rows: self.lines,
            bytes,
            hash: whole.finish_128(),
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
    /// Rows of the shard, as it is told of them.
    rows: usize,
    /// Lines that were packed.
    packed: u64,
    done: Vec<Written>,
}

impl<'f> RowFiles<'f> {
    pub(crate) fn create(folder: &'f Path, stem: &'f str, packing: Packing) -> Result<Self> {
        Ok(Self {
            output: Output::create(&folder.join(name(stem, packing, 1)), packing.behind)?,
            folder,
            stem,
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
        let name = name(self.stem, self.packing, self.done.len() + 2);
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
    use super::*;

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

    #[test]
    fn a_part_of_a_page_may_be_written_at_a_time() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("rows");
        let file = File::create(&path).expect("created");
        let mut target = Target {
            file,
            is_direct: false,
        };
        target.go_direct();
        // As a disk that is nearly full may leave it.
        target.file.set_len(100).expect("grown");
        std::io::Seek::seek(&mut target.file, io::SeekFrom::End(0)).expect("sought");
        let mut gathered = Gathered::new().expect("memory");
        let (bytes, mut rest) = ([b'x'; PAGES], &[b'x'; PAGES][..]);
        while !rest.is_empty() {
            rest = gathered.take(rest);
        }
        target.write(&gathered).expect("written");
        let written = std::fs::read(&path).expect("read");
        assert_eq!((written.len(), &written[100..]), (100 + PAGES, &bytes[..]));
    }
}
