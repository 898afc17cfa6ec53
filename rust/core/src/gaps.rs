//! What stands between rows: line feeds, and all that is no row and no line feed either.
//!
//! Before the first row of an input, between two, and after its last there is a gap, which may be empty.
//! Rows and gaps together are the input, byte for byte. Nearly all gaps between rows are equal, so one
//! is noted for the input, and of the others only those that differ.

use crate::corpus::Corpus;
use crate::jsonl::{Framing, Shard};

/// The gaps of all inputs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// For each input what stands between two rows, unless it is noted below.
    pub usual: Vec<Vec<u8>>,
    /// The others, in order. The gaps of an input count from its first row plus its place among the
    /// inputs; it has one more of them than it has rows.
    pub numbers: Vec<u64>,
    /// Where each ends in `bytes`.
    pub ends: Vec<u64>,
    /// Their bytes.
    pub bytes: Vec<u8>,
}

impl Corpus {
    /// What stands between the rows of the inputs.
    #[must_use]
    pub fn gaps(&self) -> Gaps {
        let mut gaps = Gaps::default();
        for (at, shard) in self.rows.shards.iter().enumerate() {
            gaps.add(self, at, shard);
        }
        gaps
    }
}

impl Gaps {
    fn add(&mut self, corpus: &Corpus, at: usize, shard: &Shard) {
        let bytes = shard.source.bytes();
        let rows = shard.first_row..shard.first_row + shard.rows;
        let usual = match shard.framing {
            Framing::Lines => b"\n",
            Framing::Array if shard.rows > 1 => {
                let (_, first) = corpus.rows.bounds(rows.start);
                &bytes[first..corpus.rows.bounds(rows.start + 1).0]
            }
            Framing::Array | Framing::Object => &b""[..],
        };
        self.usual.push(usual.to_vec());
        let mut end = 0;
        let mut note = |number: usize, gap: &[u8], usual: &[u8]| {
            if gap != usual {
                self.bytes.extend_from_slice(gap);
                self.numbers.push(number as u64);
                self.ends.push(self.bytes.len() as u64);
            }
        };
        for row in rows.clone() {
            let (start, next) = corpus.rows.bounds(row);
            // Between two lines there is a line feed at least; there is no need to look at it.
            if shard.framing == Framing::Lines && row > rows.start && start == end + 1 {
                end = next;
                continue;
            }
            let usual = if row == rows.start { &b""[..] } else { usual };
            note(row + at, &bytes[end..start], usual);
            end = next;
        }
        // A file of lines ends with a line feed, if it has a line; the others end with their last row.
        let last = match shard.framing {
            Framing::Lines if shard.rows > 0 => &b"\n"[..],
            _ => b"",
        };
        note(rows.end + at, &bytes[end..], last);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::copy::tests::{inputs, open};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn rows_and_gaps_are_the_input(files in inputs()) {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let corpus = open(folder.path(), &files);
            let gaps = corpus.gaps();
            let starts = [0].iter().chain(&gaps.ends);
            let mut noted = gaps.numbers.iter().zip(starts.zip(&gaps.ends)).peekable();
            for ((at, shard), file) in corpus.rows.shards.iter().enumerate().zip(&files) {
                let mut whole = Vec::new();
                for inner in 0..=shard.rows {
                    let number = (shard.first_row + inner + at) as u64;
                    if let Some((_, (&start, &end))) = noted.next_if(|(gap, _)| **gap == number) {
                        whole.extend_from_slice(&gaps.bytes[start as usize..end as usize]);
                    } else if inner > 0 && inner < shard.rows {
                        whole.extend_from_slice(&gaps.usual[at]);
                    } else if inner > 0 && shard.framing == Framing::Lines {
                        whole.push(b'\n');
                    }
                    if inner < shard.rows {
                        whole.extend_from_slice(corpus.rows.original(shard.first_row + inner));
                    }
                }
                prop_assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(file.as_bytes()));
            }
            prop_assert!(noted.next().is_none());
        }
    }
}
