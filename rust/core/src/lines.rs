//! Where the lines of a file begin and end: found by all threads, and hashed on the way.

use std::ops::Range;

use memchr::memchr;
use rayon::prelude::*;

use crate::error::Result;
use crate::hashes::Hashes;
use crate::json::is_space;
use crate::jsonl::Place;
use crate::watch::Watch;

/// Bytes in which lines are found, and which then are hashed: they stay in the cache meanwhile.
const WINDOW: usize = if cfg!(test) { 64 } else { 1 << 16 };
/// Bytes in which one of several threads finds lines.
const PIECE: usize = if cfg!(test) { 32 } else { 1 << 22 };

/// The hash of a file of which some was hashed while it was at hand for other reasons.
pub(crate) fn hash_rest(mut hashes: Hashes, bytes: &[u8], watch: &Watch) -> Result<u128> {
    for start in (hashes.bytes() as usize..bytes.len()).step_by(WINDOW) {
        watch.check()?;
        hashes.up_to(bytes, bytes.len().min(start + WINDOW));
    }
    Ok(hashes.finish().0)
}

/// List the lines that are rows; returns how many are blank.
pub(crate) fn find_lines(
    bytes: &[u8],
    mut start: usize,
    places: &mut Vec<Place>,
    hashes: &mut Hashes,
    watch: &Watch,
) -> Result<u64> {
    // Asked for only if there is enough to share out: outside of a pool, it would start one.
    let threads = if bytes.len() > PIECE {
        rayon::current_num_threads()
    } else {
        1
    };
    let mut lines = Lines {
        next: 1,
        ..Lines::default()
    };
    while start < bytes.len() {
        watch.check()?;
        // A few lines, which then are at hand to be hashed; or as many as all threads have enough of.
        if threads == 1 {
            let end = line_end(bytes, start + WINDOW);
            lines.add(bytes, start..end, places);
            start = end;
            hashes.up_to(bytes, end);
            continue;
        }
        let mut pieces = Vec::with_capacity(threads);
        for _ in 0..threads {
            let end = line_end(bytes, start + PIECE);
            pieces.push(start..end);
            start = end;
        }
        let of_piece = |piece: Range<usize>| {
            let (mut lines, mut places) = (Lines::default(), Vec::new());
            lines.add(bytes, piece, &mut places);
            (lines, places)
        };
        let (found, ()) = rayon::join(
            || {
                let pieces = pieces.into_par_iter().map(of_piece);
                pieces.collect::<Vec<_>>()
            },
            || hashes.up_to(bytes, start),
        );
        for (more, found) in found {
            places.extend(found.into_iter().map(|place| Place {
                line: place.line + lines.next,
                ..place
            }));
            lines.next += more.next;
            lines.blank += more.blank;
        }
    }
    Ok(lines.blank)
}

/// Where the line ends that a byte stands in, behind its line feed.
fn line_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    memchr(b'\n', rest).map_or(bytes.len(), |found| at + found + 1)
}

/// Counts lines.
#[derive(Default)]
struct Lines {
    /// The number of the next line.
    next: u64,
    blank: u64,
}

impl Lines {
    /// List those lines of a range that are rows.
    fn add(&mut self, bytes: &[u8], range: Range<usize>, places: &mut Vec<Place>) {
        let mut start = range.start;
        while start < range.end {
            let rest = &bytes[start..range.end];
            let end = memchr(b'\n', rest).map_or(range.end, |found| start + found);
            if bytes[start..end].iter().all(|&byte| is_space(byte)) {
                self.blank += 1;
            } else {
                places.push(Place {
                    start: start as u64,
                    bytes: (end - start) as u64,
                    line: self.next,
                });
            }
            self.next += 1;
            start = end + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use twox_hash::XxHash3_128;

    use super::*;
    use crate::dedup::pool;
    use crate::jsonl::{BOM, Framing, find, framing_of};

    proptest! {
        #[test]
        fn lines_are_the_same_for_any_number_of_threads(
            lines in prop::collection::vec("[ \r\u{e9}x{}]{0,50}|x{200,300}", 0..60),
            is_ended: bool,
            bom: bool,
        ) {
            let text = lines.join("\n");
            let bytes = [if bom { BOM } else { b"" }, text.as_bytes(), if is_ended { b"\n" } else { b"" }].concat();
            prop_assume!(framing_of(&bytes, if bom { BOM.len() } else { 0 }, Path::new("x.jsonl")) == Framing::Lines);
            let mut expected = Vec::new();
            let mut start = if bom { BOM.len() } else { 0 };
            let mut blank = 0;
            for (line, bytes) in bytes[start..].split_inclusive(|&byte| byte == b'\n').enumerate() {
                let row = bytes.strip_suffix(b"\n").unwrap_or(bytes);
                if row.iter().all(|&byte| is_space(byte)) {
                    blank += 1;
                } else {
                    expected.push((start, row.len(), line + 1));
                }
                start += bytes.len();
            }
            for threads in [1, 2, 3] {
                let mut places = Vec::new();
                let find = || find(&bytes, Path::new("x.jsonl"), &mut places, &Watch::default());
                let found = pool(threads).expect("threads").install(find).expect("lines");
                let place = |place: &Place| (place.start as usize, place.bytes as usize, place.line as usize);
                let places: Vec<_> = places.iter().map(place).collect();
                prop_assert_eq!(&places, &expected, "{} threads", threads);
                prop_assert_eq!((found.blank_lines, found.bom), (blank, bom));
                prop_assert_eq!(found.hash, XxHash3_128::oneshot(&bytes));
            }
        }
    }
}
