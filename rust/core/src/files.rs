//! A dataset as child processes see it: its files, mapped, and nothing known of where rows stand.
//!
//! The parent found the rows. It hands a child the descriptors of what it mapped, and of each batch the
//! whereabouts of its rows: 24 bytes a row, and no text. So files that were unpacked to an unnamed
//! spool are there too, and no child looks for line ends again.

use std::collections::BTreeSet;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;

use crate::corpus::{Corpus, Reading, candidates};
use crate::error::{Error, Result};
use crate::format::{Format, Layout};
use crate::jsonl::{Framing, Shard};
use crate::records::Block;
use crate::source::Source;
use crate::tape::Tape;

/// Bytes that tell where a row is: shard, start and length, little-endian; the first bit of the
/// length is set where that is in the spool.
pub const WHEREABOUTS: usize = 4 + 8 + 8;
const IN_SPOOL: u64 = 1 << 63;

/// One file, for a child to map.
#[derive(Debug, Clone)]
pub struct Descriptor {
    /// The input as given, for messages.
    pub path: PathBuf,
    /// What the parent has mapped.
    pub descriptor: RawFd,
    /// How rows stand in it.
    pub framing: Framing,
    /// The name of its layout.
    pub format: String,
}

/// The files of a dataset in a child.
#[derive(Debug)]
pub struct Files {
    shards: Vec<(Source, Framing, Layout)>,
    spool: Option<Source>,
}

impl Corpus {
    /// What a child needs to map the inputs.
    #[must_use]
    pub fn descriptors(&self) -> Vec<Descriptor> {
        let shards = self.rows.shards.iter().zip(&self.layouts);
        let of = |(shard, layout): (&Shard, &Arc<Layout>)| Descriptor {
            path: shard.source.path.clone(),
            descriptor: shard.source.descriptor(),
            framing: shard.framing,
            format: layout.name().to_owned(),
        };
        shards.map(of).collect()
    }

    /// The descriptor of the spool of rewritten and generated rows, if there is one.
    #[must_use]
    pub fn spool_descriptor(&self) -> Option<RawFd> {
        self.rows.later.spool().map(Source::descriptor)
    }

    /// Where rows are, for [`Files::block`].
    ///
    /// # Panics
    /// There is no such row.
    #[must_use]
    pub fn whereabouts(&self, rows: &[usize]) -> Vec<u8> {
        let mut told = Vec::with_capacity(rows.len() * WHEREABOUTS);
        for &row in rows {
            let (shard, span, in_spool) = self.rows.whereabouts(row);
            let flag = if in_spool { IN_SPOOL } else { 0 };
            told.extend_from_slice(&(shard as u32).to_le_bytes());
            told.extend_from_slice(&span.start.to_le_bytes());
            told.extend_from_slice(&(span.bytes | flag).to_le_bytes());
        }
        told
    }
}

impl Files {
    /// Map what a parent left open. `formats` and `field` are those that it opened its inputs with.
    ///
    /// # Errors
    /// A descriptor is closed, or a format is not among those given.
    pub fn open(
        descriptors: &[Descriptor],
        spool: Option<RawFd>,
        formats: &[Format],
        field: Option<&str>,
    ) -> Result<Self> {
        let open = |descriptor: RawFd, path: PathBuf| {
            Source::of_descriptor(descriptor, &path).map_err(|source| Error::Read { path, source })
        };
        let shard = |of: &Descriptor| {
            let reading = Reading {
                format: Some(of.format.clone()),
                field: field.map(str::to_owned),
                ..Reading::default()
            };
            let layout = Layout::new(&candidates(formats, &reading)?[0])?;
            Ok((open(of.descriptor, of.path.clone())?, of.framing, layout))
        };
        Ok(Self {
            shards: descriptors.iter().map(shard).collect::<Result<_>>()?,
            spool: spool
                .map(|descriptor| open(descriptor, "spool".into()))
                .transpose()?,
        })
    }

    /// Copy the rows whose whereabouts these are, and find their texts.
    ///
    /// # Errors
    /// An input changed since it was mapped; [`Error::Setting`] if a row lies outside of its file.
    pub fn block(&self, whereabouts: &[u8]) -> Result<Block> {
        let outside = || Error::Setting("a row lies outside of its file".into());
        let mut block = Block::new();
        let mut shards = BTreeSet::new();
        let mut tape = Tape::default();
        for row in whereabouts.chunks_exact(WHEREABOUTS) {
            let (shard, rest) = number(row, 4);
            let (start, rest) = number(rest, 8);
            let (bytes, _) = number(rest, 8);
            let shard = shard as usize;
            let (source, framing, layout) = self.shards.get(shard).ok_or_else(outside)?;
            let spool = self.spool.as_ref().filter(|_| bytes & IN_SPOOL != 0);
            let end = start.saturating_add(bytes & !IN_SPOOL) as usize;
            let found = spool.unwrap_or(source).bytes().get(start as usize..end);
            let line = framing.one_line(found.ok_or_else(outside)?);
            block.add(&line, layout, &mut tape);
            shards.insert(shard);
        }
        for shard in shards {
            self.shards[shard].0.check()?;
        }
        Ok(block)
    }
}

/// A number at the start of some bytes, and those after it.
fn number(bytes: &[u8], length: usize) -> (u64, &[u8]) {
    let (number, rest) = bytes.split_at(length);
    let value = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
    (number.iter().rev().fold(0, value), rest)
}
