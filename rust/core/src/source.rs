//! The bytes of one input: a map of the file, or of an unnamed spool where the file itself cannot
//! be mapped.
//!
//! Compressed inputs and standard input are written to the spool once. The map of an input is
//! shared with the rest of the system: it can change or shrink under us. So a source remembers what
//! the file was, and [`Source::check`] says whether it still is that; nothing read is to be
//! published before.

#![allow(unsafe_code)] // one map per input, see `map`; a descriptor, see `of_descriptor`

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::watch::Watch;

/// The longest window that Zstandard's own `--long` writes, as a power of two.
const LONGEST_WINDOW: u32 = 31;

/// Standard input, as a path.
pub const STDIN: &str = "-";

/// How an input is packed, told by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, one or more members.
    Gzip,
    /// Zstandard, one or more frames.
    Zstd,
}

impl Compression {
    /// The word for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn of(head: &[u8]) -> Self {
        if head.starts_with(&[0x1F, 0x8B]) {
            Self::Gzip
        } else if matches!(
            head,
            [0x28, 0xB5, 0x2F, 0xFD] | [0x50..=0x5F, 0x2A, 0x4D, 0x18]
        ) {
            Self::Zstd // a frame, or one to be skipped
        } else {
            Self::None
        }
    }
}

/// The decompressed bytes of one input.
#[derive(Debug)]
pub struct Source {
    /// The input as given.
    pub path: PathBuf,
    /// How it was packed.
    pub compression: Compression,
    map: Option<Mmap>,
    /// What is mapped: the input itself, or a spool.
    file: File,
    /// What the input was when it was opened; None for a spool, which is ours alone.
    seen: Option<Fingerprint>,
}

#[derive(Debug, PartialEq, Eq)]
struct Fingerprint {
    bytes: u64,
    modified: (i64, i64),
}

impl Fingerprint {
    fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self {
            bytes: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        })
    }
}

impl Source {
    /// Open an input. `copy` spools it even where it could be mapped, so that nobody can change it
    /// under us.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Broken`] for the input, [`Error::Write`] for the spool.
    pub fn open(path: &Path, spool: &Path, copy: bool, watch: &Watch) -> Result<Self> {
        let broken = |problem: String, hint| Error::Broken {
            path: path.to_owned(),
            problem,
            hint,
        };
        let read_error = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let is_stdin = path == Path::new(STDIN);
        let file = if is_stdin { stdin() } else { open(path) }.map_err(read_error)?;
        let meta = file.metadata().map_err(read_error)?;
        let mut patient = Patient { file: &file, watch };
        let mut head = Vec::new();
        let read = (&mut patient).take(4).read_to_end(&mut head);
        watch.check()?;
        read.map_err(read_error)?;
        let compression = Compression::of(&head);
        if head.starts_with(&[0xFF, 0xFE]) || head.starts_with(&[0xFE, 0xFF]) {
            return Err(broken(
                "is UTF-16".into(),
                Some("convert it first: `iconv -f UTF-16 -t UTF-8`"),
            ));
        }
        let promised = match ending(path).as_deref() {
            Some("gz") => Compression::Gzip,
            Some("zst") => Compression::Zstd,
            _ => compression,
        };
        if promised != compression && head.is_empty() {
            return Err(cut_short(path, promised));
        }
        if promised != compression {
            return Err(broken(format!("is not {} data", promised.name()), None));
        }
        if meta.is_file() && !is_stdin && !copy && compression == Compression::None {
            let fingerprint = Fingerprint::of(&file).map_err(read_error)?;
            let map = map(&file, fingerprint.bytes).map_err(read_error)?;
            return Ok(Self {
                path: path.to_owned(),
                compression,
                map,
                file,
                seen: Some(fingerprint),
            });
        }
        let packed = BufReader::with_capacity(1 << 20, head.as_slice().chain(patient));
        let (spooled, bytes) = match compression {
            Compression::None => fill(packed, path, spool, watch),
            Compression::Gzip => fill(
                flate2::bufread::MultiGzDecoder::new(packed),
                path,
                spool,
                watch,
            ),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(packed).map_err(read_error)?;
                decoder.window_log_max(LONGEST_WINDOW).map_err(read_error)?;
                fill(decoder, path, spool, watch)
            }
        }
        .map_err(|error| match error {
            Error::Read { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof => {
                cut_short(path, compression)
            }
            Error::Read { source, .. }
                if compression != Compression::None && source.raw_os_error().is_none() =>
            {
                broken(
                    format!("its {} data is damaged: {source}", compression.name()),
                    None,
                )
            }
            other => other,
        })?;
        let map = map(&spooled, bytes).map_err(|source| Error::Write {
            path: spool.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            compression,
            map,
            file: spooled,
            seen: None,
        })
    }

    /// Map a spool of our own, as far as it is written.
    pub(crate) fn of_spool(file: File, path: &Path) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            compression: Compression::None,
            map: map(&file, bytes)?,
            file,
            seen: None,
        })
    }

    /// Map what another process of ours has mapped, from a descriptor that it left us.
    pub(crate) fn of_descriptor(descriptor: RawFd, path: &Path) -> io::Result<Self> {
        // SAFETY: the parent left it open for this, so nobody else here owns it; if it is not open, the
        // next call fails.
        let file = unsafe { File::from_raw_fd(descriptor) };
        let seen = Fingerprint::of(&file)?;
        let mut source = Self::of_spool(file, path)?;
        source.seen = Some(seen);
        Ok(source)
    }

    /// The descriptor of what is mapped, for [`Source::of_descriptor`] in a child.
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// All bytes, after decompression.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// Is the input still what it was when it was opened?
    ///
    /// # Errors
    /// [`Error::Changed`] if not.
    pub fn check(&self) -> Result<()> {
        match &self.seen {
            Some(seen) if Fingerprint::of(&self.file).ok().as_ref() != Some(seen) => {
                Err(Error::Changed {
                    path: self.path.clone(),
                })
            }
            _ => Ok(()),
        }
    }
}

/// The ending of a name, in lower case.
pub(crate) fn ending(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

fn cut_short(path: &Path, compression: Compression) -> Error {
    Error::Broken {
        path: path.to_owned(),
        problem: format!("its {} data ends early", compression.name()),
        hint: Some("the file was cut short: fetch it again"),
    }
}

/// Open without waiting: a named pipe that nobody writes to opens at once, and is waited for by
/// [`Patient`].
fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag is a small number");
    File::options().read(true).custom_flags(flags).open(path)
}

/// Reads what may keep us waiting, a pipe or a terminal, and gives up soon after the run is
/// stopped.
struct Patient<'a> {
    file: &'a File,
    watch: &'a Watch,
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        const PAUSE: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: 50_000_000,
        };
        loop {
            self.watch.check().map_err(io::Error::other)?;
            let mut ready = [PollFd::new(self.file, PollFlags::IN)];
            if poll(&mut ready, Some(&PAUSE)).is_ok_and(|ready| ready > 0) {
                match self.file.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read,
                }
            }
        }
    }
}

/// Standard input as a file of our own, so that dropping it leaves the process's open.
fn stdin() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

pub(crate) fn map(file: &File, bytes: u64) -> io::Result<Option<Mmap>> {
    if bytes == 0 {
        return Ok(None); // an empty map is an error to the system
    }
    // SAFETY: the map is only lent as `&[u8]`, and every value of a byte is sound. Others may write
    // to an input all the same, and then two reads of a byte may differ: parsers check bounds at
    // each step and never assume what an earlier pass saw, and `check` refuses the result. A
    // shrunken file is a SIGBUS, which programs of ours guard against.
    unsafe { Mmap::map(file) }.map(Some)
}

/// Copy everything to an unnamed file in `folder`, which vanishes with its last user, however the
/// process ends.
fn fill(mut from: impl Read, path: &Path, folder: &Path, watch: &Watch) -> Result<(File, u64)> {
    let write_error = |source| Error::Write {
        path: folder.to_owned(),
        source,
    };
    let mut to = tempfile::tempfile_in(folder).map_err(write_error)?;
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        watch.check()?;
        let got = match from.read(&mut buffer) {
            Ok(0) => return Ok((to, bytes)),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => {
                watch.check()?; // what waited for input gave up, and did not fail
                let path = path.to_owned();
                return Err(Error::Read { path, source });
            }
        };
        to.write_all(&buffer[..got]).map_err(write_error)?;
        bytes += got as u64;
    }
}
