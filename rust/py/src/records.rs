//! The rows of inputs, by number: where they stand, what became of them, and how they are written.

use std::os::fd::RawFd;
use std::path::PathBuf;

use curatekit_core as core;
use numpy::ndarray::ArrayView1;
use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::Decided;
use crate::arguments::{Copy, FormatArgument, Keep, Words};
use crate::block::Block;
use crate::failure::to_python;
use crate::summary::{Input, WrittenFile};
use crate::waiting::watched;

/// Opened inputs.
#[pyclass(frozen, module = "curatekit._native")]
pub struct Dataset(core::Corpus);

#[pymethods]
impl Dataset {
    #[new]
    #[pyo3(signature = (inputs, formats, *, format, field, max_line, io, spool, progress))]
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)] // keywords of a Python function
    fn new(
        py: Python,
        inputs: Vec<PathBuf>,
        formats: Vec<FormatArgument>,
        format: String,
        field: Option<String>,
        max_line: u64,
        io: Words<Copy>,
        spool: PathBuf,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let formats: Vec<core::Format> = formats.into_iter().map(core::Format::from).collect();
        let reading = core::Reading {
            format: (format != "auto").then_some(format),
            field,
            max_line,
            copy: io.0.0,
            ..core::Reading::default()
        };
        watched(py, progress.as_ref(), |watch| {
            // One thread: whoever wants the rows of a dataset has other work for the others.
            let open = || core::Corpus::open(&inputs, &formats, &reading, &spool, watch);
            core::pool(1)?.install(open)
        })
        .map(Self)
    }

    fn __len__(&self) -> usize {
        self.0.rows.len()
    }

    fn formats(&self) -> Vec<(String, &str)> {
        let paths = self.0.rows.shards.iter().map(|shard| &shard.source.path);
        let names = self.0.layouts.iter().map(|layout| layout.name());
        paths
            .map(|path| path.to_string_lossy().into_owned())
            .zip(names)
            .collect()
    }

    fn place(&self, row: usize) -> PyResult<(String, u64)> {
        place(&self.0, row)
    }

    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn block(&self, py: Python, rows: PyReadonlyArray1<u64>) -> PyResult<Block> {
        let rows = rows_of(&self.0, &rows)?;
        py.detach(|| self.0.block(&rows))
            .map(Block)
            .map_err(to_python)
    }

    fn offset(&self, row: usize) -> PyResult<u64> {
        check(&self.0, row)?;
        Ok(self.0.rows.offset(row))
    }

    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn problems(
        &self,
        py: Python,
        rows: PyReadonlyArray1<u64>,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Vec<(u32, &'static str, String)>> {
        let rows = rows_of(&self.0, &rows)?;
        let found = watched(py, progress.as_ref(), |watch| {
            self.0.problems(&rows, threads, watch)
        })?;
        let told = |(row, problem): (u32, core::Problem)| (row, problem.id(), problem.to_string());
        Ok(found.into_iter().map(told).collect())
    }

    fn descriptors(&self) -> Vec<(String, RawFd, &'static str, String)> {
        let told = |of: core::Descriptor| {
            let path = of.path.to_string_lossy().into_owned();
            (path, of.descriptor, of.framing.name(), of.format)
        };
        self.0.descriptors().into_iter().map(told).collect()
    }

    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn labels(
        &self,
        py: Python,
        field: &str,
        rows: PyReadonlyArray1<u64>,
    ) -> PyResult<Vec<Option<String>>> {
        let rows = rows_of(&self.0, &rows)?;
        watched(py, None, |watch| {
            core::pool(1)?.install(|| self.0.labels(field, &rows, watch))
        })
    }

    fn inputs(&self) -> Vec<Input> {
        Input::all(&self.0)
    }

    fn lines<'py>(
        &self,
        py: Python<'py>,
        start: usize,
        stop: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        if stop > start {
            check(&self.0, stop - 1)?;
        }
        let lines = (start..stop.max(start)).map(|row| self.0.rows.line(row));
        numbers(py, lines, u64::to_ne_bytes)
    }

    fn rewritten<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let rows: Vec<usize> = self.0.rows.later.rewritten().collect();
        numbers(py, rows.into_iter().map(|row| row as u64), u64::to_ne_bytes)
    }

    #[allow(clippy::type_complexity)] // a tuple of Python
    fn gaps<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(
        Vec<Bound<'py, PyBytes>>,
        Bound<'py, PyBytes>,
        Bound<'py, PyBytes>,
    )> {
        let gaps = py.detach(|| self.0.gaps());
        let usual = gaps.usual.iter().map(|gap| PyBytes::new(py, gap));
        let others: Vec<u64> = gaps
            .numbers
            .into_iter()
            .zip(gaps.ends)
            .flat_map(<[u64; 2]>::from)
            .collect();
        Ok((
            usual.collect(),
            numbers(py, others.into_iter(), u64::to_ne_bytes)?,
            PyBytes::new(py, &gaps.bytes),
        ))
    }

    fn bytes_read(&self) -> usize {
        let shards = self.0.rows.shards.iter();
        shards.map(|shard| shard.source.bytes().len()).sum()
    }

    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn bytes_of(&self, present: Option<PyReadonlyArray1<bool>>) -> u64 {
        let rows = 0..self.0.rows.read();
        let bytes = |row| self.0.rows.original_size(row);
        let Some(present) = present else {
            return rows.map(bytes).sum();
        };
        let present = rows.zip(present.as_array());
        let present = present.filter(|&(_, &is_present)| is_present);
        present.map(|(row, _)| bytes(row)).sum()
    }

    fn spool_descriptor(&self) -> Option<RawFd> {
        self.0.spool_descriptor()
    }

    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn whereabouts<'py>(
        &self,
        py: Python<'py>,
        rows: PyReadonlyArray1<u64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let rows = rows_of(&self.0, &rows)?;
        Ok(PyBytes::new(py, &self.0.whereabouts(&rows)))
    }

    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn later(
        &self,
        spool: PathBuf,
        rewritten: PyReadonlyArray2<u64>,
        made: PyReadonlyArray2<u64>,
    ) -> PyResult<Self> {
        let (rewritten, made) = (rewritten.as_array(), made.as_array());
        if rewritten.shape() != [self.0.rows.len(), 2] || made.ncols() != 3 {
            return Err(PyValueError::new_err("a span is start and length"));
        }
        let span = |start, bytes| core::Span { start, bytes };
        let descend = |made: ArrayView1<u64>| {
            let parent = made[0] as usize;
            check(&self.0, parent)?;
            let origin = self.0.rows.origin(parent) as u32;
            let span = span(made[1], made[2]);
            Ok(core::Made { origin, span })
        };
        let made: Vec<core::Made> = made.outer_iter().map(descend).collect::<PyResult<_>>()?;
        let spans = rewritten.outer_iter().map(|now| span(now[0], now[1]));
        let rewritten = spans.enumerate().filter(|(_, span)| span.bytes > 0);
        self.0
            .later(&spool, rewritten, &made)
            .map(Self)
            .map_err(to_python)
    }

    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn write_decisions(
        &self,
        py: Python,
        lives: Vec<(String, PathBuf)>,
        path: PathBuf,
    ) -> PyResult<WrittenFile> {
        watched(py, None, |watch| {
            self.0.write_decisions(&lives, &path, watch)
        })
        .map(WrittenFile::from)
    }

    #[pyo3(signature = (rows, folder, stem, *, original, shard_bytes, zstd, threads, progress))]
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)] // keywords of a Python function
    fn copy(
        &self,
        py: Python,
        rows: PyBuffer<u64>,
        folder: PathBuf,
        stem: &str,
        original: bool,
        shard_bytes: Option<u64>,
        zstd: bool,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Vec<WrittenFile>> {
        let rows: Vec<usize> = rows
            .to_vec(py)?
            .into_iter()
            .map(|row| row as usize)
            .collect();
        rows.iter().try_for_each(|&row| check(&self.0, row))?;
        let packing = core::Packing {
            shard_bytes,
            zstd,
            behind: threads != 1,
        };
        let written = watched(py, progress.as_ref(), |watch| {
            self.0
                .copy_rows(&rows, original, &folder, stem, packing, watch)
        })?;
        Ok(written.into_iter().map(WrittenFile::from).collect())
    }

    #[pyo3(signature = (present, *, also, on, method, threshold_millis, ngram, alike, numbers, recall, keep, seed, threads,
        memory, spool, progress))]
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)] // keywords of a Python function
    fn decide(
        &self,
        py: Python,
        present: PyReadonlyArray1<bool>,
        also: Vec<String>,
        on: Vec<String>,
        method: Words<core::Method>,
        threshold_millis: u32,
        ngram: Option<usize>,
        alike: Option<Words<core::Alike>>,
        numbers: Option<Words<core::Numbers>>,
        recall: Option<Words<core::Recall>>,
        keep: Keep,
        seed: u64,
        threads: usize,
        memory: u64,
        spool: PathBuf,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Decided> {
        let present: Vec<bool> = present.as_array().to_vec();
        if present.len() != self.0.rows.len() {
            let message = format!("{} values for {} rows", present.len(), self.0.rows.len());
            return Err(PyValueError::new_err(message));
        }
        let settings = core::Settings {
            reading: core::Reading {
                also,
                on,
                ..core::Reading::default()
            },
            method: method.0,
            threshold_millis,
            ngram,
            alike: alike.map(|alike| alike.0),
            numbers: numbers.map(|numbers| numbers.0),
            recall: recall.map(|recall| recall.0),
            keep: keep.0,
            seed,
            threads,
            memory,
            ..core::Settings::default()
        };
        watched(py, progress.as_ref(), |watch| {
            core::decide_among(&self.0, &present, &settings, &spool, watch)
        })
        .map(Decided)
    }
}

impl Dataset {
    pub fn of(corpus: core::Corpus) -> Self {
        Self(corpus)
    }
}

/// The files of a dataset, mapped from what a parent process left open.
#[pyclass(frozen, module = "curatekit._native")]
pub struct Files(core::Files);

#[pymethods]
impl Files {
    #[new]
    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn new(
        descriptors: Vec<(PathBuf, RawFd, Words<core::Framing>, String)>,
        spool: Option<RawFd>,
        formats: Vec<FormatArgument>,
        field: Option<String>,
    ) -> PyResult<Self> {
        let formats: Vec<core::Format> = formats.into_iter().map(core::Format::from).collect();
        let of = |(path, descriptor, framing, format)| {
            let framing: Words<core::Framing> = framing;
            core::Descriptor {
                path,
                descriptor,
                framing: framing.0,
                format,
            }
        };
        let descriptors: Vec<_> = descriptors.into_iter().map(of).collect();
        core::Files::open(&descriptors, spool, &formats, field.as_deref())
            .map(Self)
            .map_err(to_python)
    }

    fn block(&self, py: Python, whereabouts: &[u8]) -> PyResult<Block> {
        py.detach(|| self.0.block(whereabouts))
            .map(Block)
            .map_err(to_python)
    }
}

/// Row numbers, checked.
fn rows_of(corpus: &core::Corpus, rows: &PyReadonlyArray1<u64>) -> PyResult<Vec<usize>> {
    let rows: Vec<usize> = rows.as_array().iter().map(|&row| row as usize).collect();
    rows.iter().try_for_each(|&row| check(corpus, row))?;
    Ok(rows)
}

/// Numbers as they stand in memory.
pub fn numbers<T, const BYTES: usize>(
    py: Python<'_>,
    of: impl ExactSizeIterator<Item = T>,
    to_bytes: impl Fn(T) -> [u8; BYTES],
) -> PyResult<Bound<'_, PyBytes>> {
    PyBytes::new_with(py, of.len() * BYTES, |bytes| {
        fill(bytes, of, to_bytes);
        Ok(())
    })
}

/// Put numbers where there is room for them.
pub fn fill<T, const BYTES: usize>(
    bytes: &mut [u8],
    of: impl Iterator<Item = T>,
    to_bytes: impl Fn(T) -> [u8; BYTES],
) {
    for (place, number) in bytes.as_chunks_mut().0.iter_mut().zip(of) {
        *place = to_bytes(number);
    }
}

/// The path of a row's file as given, and the row's line in it.
pub fn place(corpus: &core::Corpus, row: usize) -> PyResult<(String, u64)> {
    check(corpus, row)?;
    let (path, line) = corpus.place(row);
    Ok((path.to_string_lossy().into_owned(), line))
}

fn check(corpus: &core::Corpus, row: usize) -> PyResult<()> {
    if row < corpus.rows.len() {
        return Ok(());
    }
    Err(PyIndexError::new_err(format!("there is no row {row}")))
}
