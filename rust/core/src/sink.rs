//! Where the bytes of a result go: gathered in whole pages, and written from front to end.
//!
//! Most of a long file goes past the page cache, if the file system has a way: all of it is written down
//! to the disk anyhow, and a copy in memory would be work for nothing, and push out what others read, the
//! inputs first of all.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::MmapMut;

use crate::blocks::copy_lines;

/// Bytes that are gathered before they are written, in whole pages: as many as fill a huge page.
pub(crate) const PAGES: usize = if cfg!(test) { 1 << 12 } else { 2 << 20 };
/// What of a file lies beyond so many bytes goes past the page cache, and may be written by another thread.
pub(crate) const LARGE: u64 = 2 * PAGES as u64;
/// Bytes that are copied and hashed before others are: they stay in the nearest cache meanwhile.
pub(crate) const AT_HAND: usize = if cfg!(test) { 1 << 10 } else { 1 << 12 };

/// Bytes that are gathered; they begin with a page, as is asked of what goes past the page cache.
pub(crate) struct Gathered {
    map: MmapMut,
    /// Where they begin in the map.
    start: usize,
    pub len: usize,
    /// Line feeds among all bytes that were ever taken.
    pub lines: u64,
}

impl Gathered {
    /// Takes no memory before it is used, and then as much as is.
    pub(crate) fn new() -> io::Result<Self> {
        let map = MmapMut::map_anon(PAGES)?;
        #[cfg(target_os = "linux")]
        let _ = map.advise(Advice::NoHugePage); // where there are none, there is nothing to advise
        Ok(Self::of(map, 0))
    }

    /// The same for much that is to come: in a huge page, if the system has one, which is handed to a disk
    /// in fewer pieces.
    fn huge() -> io::Result<Self> {
        let map = MmapMut::map_anon(2 * PAGES)?; // one of which begins where a huge page does
        #[cfg(target_os = "linux")]
        let _ = map.advise(Advice::HugePage);
        let start = map.as_ptr().align_offset(PAGES);
        Ok(Self::of(map, start))
    }

    fn of(map: MmapMut, start: usize) -> Self {
        let (len, lines) = (0, 0);
        Self {
            map,
            start,
            len,
            lines,
        }
    }

    /// Go on in other pages; gives back the full ones.
    fn turn(&mut self, next: Self) -> Self {
        let lines = self.lines;
        std::mem::replace(
            self,
            Self {
                len: 0,
                lines,
                ..next
            },
        )
    }

    /// Take the first of some bytes, as many as are at hand and there is room for; gives back the others.
    pub(crate) fn take<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let room = PAGES - self.len;
        let (now, rest) = bytes.split_at(bytes.len().min(room).min(AT_HAND));
        self.lines += copy_lines(now, &mut self.map[self.start + self.len..][..now.len()]);
        self.len += now.len();
        rest
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map[self.start..][..self.len]
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len == PAGES
    }
}

/// A file that is written from front to end.
struct Target {
    file: File,
    /// Does it go past the page cache?
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

    /// Write what was gathered, piece after piece; only the last of all may be no full one.
    fn write(&mut self, gathered: &[Gathered]) -> io::Result<()> {
        let full = gathered.iter().take_while(|piece| piece.is_full()).count();
        let (full, last) = gathered.split_at(full);
        self.write_pieces(full)?;
        if self.is_direct && !last.is_empty() {
            self.go_through_cache()?; // whole pages are asked for
        }
        self.write_pieces(last)
    }

    fn write_pieces(&mut self, gathered: &[Gathered]) -> io::Result<()> {
        let pieces = gathered.iter().map(|piece| IoSlice::new(piece.bytes()));
        let mut pieces: Vec<IoSlice> = pieces.collect();
        let mut rest = &mut pieces[..];
        IoSlice::advance_slices(&mut rest, 0); // passes over empty ones
        while !rest.is_empty() {
            let written = match &*rest {
                [one] => self.file.write(one),
                several => self.file.write_vectored(several),
            };
            match written {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
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
pub(crate) struct Sink {
    to: To,
    sent: u64,
    may_be_behind: bool,
}

enum To {
    /// The file, at once.
    Here(Target),
    /// A thread that writes them, while the next ones are gathered.
    Behind(Behind),
    /// Nowhere, since the file failed or is finished.
    Nowhere,
}

impl Sink {
    /// To a file; if that is allowed, what is beyond [`LARGE`] by a thread of its own.
    pub(crate) fn new(file: File, may_be_behind: bool) -> Self {
        let is_direct = false;
        Self {
            to: To::Here(Target { file, is_direct }),
            sent: 0,
            may_be_behind,
        }
    }

    /// Send what is gathered on its way, and leave room for more.
    pub(crate) fn send(&mut self, gathered: &mut Gathered) -> io::Result<()> {
        if self.sent == LARGE && gathered.is_full() {
            let mut target = self.target()?;
            target.go_direct();
            self.to = if self.may_be_behind {
                Behind::begin(target)
            } else {
                To::Here(target)
            };
        }
        self.sent += gathered.len as u64;
        match &mut self.to {
            To::Here(target) => {
                target.write(std::slice::from_ref(gathered))?;
                if self.sent == LARGE && gathered.is_full() {
                    gathered.turn(Gathered::huge()?);
                }
                gathered.len = 0;
                Ok(())
            }
            To::Behind(behind) if behind.add(gathered)? => Ok(()),
            To::Behind(_) => self.target().map(|_| ()), // which tells what is wrong with it
            To::Nowhere => unreachable!("a failure was told, and ends the file"),
        }
    }

    /// Bring down to the disk all that was sent, and no more.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.target()?.file.sync_all()
    }

    /// The file, once all is written.
    fn target(&mut self) -> io::Result<Target> {
        match std::mem::replace(&mut self.to, To::Nowhere) {
            To::Here(target) => Ok(target),
            To::Behind(mut behind) => behind.finish().expect("nobody asked before"),
            To::Nowhere => unreachable!("a failure was told, and ends the file"),
        }
    }
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
    /// So many times what is gathered may wait. It is written at once: on a busy machine the thread has its
    /// turn more seldom than the disk would.
    const WAITING: usize = 3;

    /// Write behind from now on, or, if the system has no thread to spare, as before.
    fn begin(target: Target) -> To {
        let (give, given) = sync_channel::<Target>(1);
        let (to, all) = sync_channel::<Gathered>(Self::WAITING);
        let (back, written) = channel();
        let write = move || {
            let mut target = given.recv().map_err(io::Error::other)?;
            while let Ok(first) = all.recv() {
                let gathered: Vec<Gathered> =
                    std::iter::once(first).chain(all.try_iter()).collect();
                target.write(&gathered)?;
                let mut written = gathered.into_iter();
                let _ = written.try_for_each(|piece| back.send(piece)); // nobody may want them any more
            }
            Ok(target)
        };
        let Ok(thread) = thread::Builder::new().spawn(write) else {
            return To::Here(target);
        };
        give.send(target).expect("the thread waits for it");
        To::Behind(Self {
            to: Some(to),
            written,
            thread: Some(thread),
        })
    }

    /// Take what is gathered, and leave room for more; false if the file failed.
    fn add(&self, gathered: &mut Gathered) -> io::Result<bool> {
        let next = self.written.try_recv().or_else(|_| Gathered::huge())?;
        let full = gathered.turn(next);
        Ok(self.to.as_ref().is_some_and(|to| to.send(full).is_ok()))
    }

    /// The file, once all is written; None if it was asked for before.
    fn finish(&mut self) -> Option<io::Result<Target>> {
        drop(self.to.take());
        let thread = self.thread.take()?;
        Some(thread.join().expect("writing does not panic"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gathered_may_begin_anywhere_in_its_map() {
        let (map, start) = (MmapMut::map_anon(2 * PAGES).expect("memory"), PAGES / 2);
        let mut gathered = Gathered::of(map, start);
        let bytes: Vec<u8> = (0..=PAGES).map(|at| at as u8).collect();
        let mut rest = &bytes[..];
        while !gathered.is_full() {
            rest = gathered.take(rest);
        }
        assert_eq!((gathered.bytes(), rest), bytes.split_at(PAGES));
        assert_eq!(&gathered.map[start..][..PAGES], &bytes[..PAGES]);
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
        let mut bytes = Vec::new();
        let pieces = [PAGES, PAGES, PAGES, PAGES / 2, 0].map(|size| {
            let piece: Vec<u8> = (0..size).map(|at| (at % 251 + bytes.len()) as u8).collect();
            let mut gathered = Gathered::new().expect("memory");
            let mut rest = &piece[..];
            while !rest.is_empty() {
                rest = gathered.take(rest);
            }
            bytes.extend(piece);
            gathered
        });
        target.write(&pieces).expect("written");
        let written = std::fs::read(&path).expect("read");
        assert!(written[100..] == bytes);
    }
}
