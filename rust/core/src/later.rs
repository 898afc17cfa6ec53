//! Rows as they now are, where that is no longer how they stand in an input.
//!
//! A run that rewrites rows or makes new ones writes them to a spool, one a line, and goes on with
//! the same row numbers: a rewritten row keeps its own, and made ones are numbered after all others.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::source::Source;

/// Where a row stands in the spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of its first byte.
    pub start: u64,
    /// Bytes without the line feed; 0 for a row that stands in its input.
    pub bytes: u64,
}

/// A row that was made from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// The row of an input from which it descends, and whose layout it has.
    pub origin: u32,
    /// Its bytes.
    pub span: Span,
}

/// What became of rows since they were read.
#[derive(Debug, Clone, Default)]
pub struct Later {
    spool: Option<Arc<Source>>,
    /// Of each row of the inputs; empty while none is rewritten.
    spans: Arc<Vec<Span>>,
    made: Arc<Vec<Made>>,
}

impl Later {
    /// What is known now, and some rows more.
    ///
    /// `rows` is how many the inputs have; `rewritten` are rows with their new places.
    ///
    /// # Errors
    /// The spool cannot be read.
    ///
    /// # Panics
    /// A rewritten row is neither of an input nor made before.
    pub fn and(
        &self,
        spool: &Path,
        rows: usize,
        rewritten: impl IntoIterator<Item = (usize, Span)>,
        made: &[Made],
    ) -> Result<Self> {
        let failed = |source| Error::Write {
            path: spool.to_owned(),
            source,
        };
        let file = File::open(spool).map_err(failed)?;
        let source = Source::of_spool(file, spool).map_err(failed)?;
        let mut spans = Vec::clone(&self.spans);
        let mut all = Vec::clone(&self.made);
        all.extend_from_slice(made);
        for (row, span) in rewritten {
            if row < rows {
                if spans.is_empty() {
                    spans = vec![Span::default(); rows];
                }
                spans[row] = span;
            } else {
                all[row - rows].span = span;
            }
        }
        Ok(Self {
            spool: Some(Arc::new(source)),
            spans: Arc::new(spans),
            made: Arc::new(all),
        })
    }

    /// The spool, if there is one yet.
    pub(crate) fn spool(&self) -> Option<&Source> {
        self.spool.as_deref()
    }

    /// Where a row of an input stands now, if no longer there.
    pub(crate) fn span(&self, row: usize) -> Option<Span> {
        self.spans.get(row).copied().filter(|span| span.bytes > 0)
    }

    /// The rows of inputs that were rewritten, in order.
    pub fn rewritten(&self) -> impl Iterator<Item = usize> {
        let spans = self.spans.iter().enumerate();
        spans.filter_map(|(row, span)| (span.bytes > 0).then_some(row))
    }

    /// The rows that were made, in order.
    #[must_use]
    pub fn made(&self) -> &[Made] {
        &self.made
    }

    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        let all = self.spool().map_or(&[][..], Source::bytes);
        let start = span.start as usize;
        &all[start..start + span.bytes as usize]
    }
}
