//! The Python face of curatekit-core: parse arguments, detach, call, convert. No algorithm lives
//! here.
//!
//! Documented for users in `python/curatekit/_native.pyi`.

mod ahead;
mod arguments;
mod block;
mod failure;
mod guard;
mod records;
mod summary;
mod waiting;

use std::path::PathBuf;

use curatekit_core as core;
use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::ahead::Ahead;
use crate::arguments::{FormatArgument, Words};
use crate::failure::to_python;
use crate::summary::{Family, Pair, Problem, Summary, WrittenFile};
use crate::waiting::watched;

/// Every row of the inputs, decided.
#[pyclass(frozen, module = "curatekit._native")]
struct Decided(core::Decisions);

#[pymethods]
impl Decided {
    #[getter]
    fn summary(&self) -> Summary {
        Summary::of(&self.0)
    }

    #[getter]
    fn seconds(&self) -> Vec<(&'static str, f64)> {
        self.0
            .seconds
            .iter()
            .map(|&(stage, seconds)| (stage.name(), seconds))
            .collect()
    }

    #[getter]
    fn pairs_compared(&self) -> u64 {
        self.0.pairs_compared
    }

    fn problems(&self, limit: usize) -> Vec<Problem> {
        Problem::first(&self.0, limit)
    }

    fn place(&self, row: usize) -> PyResult<(String, u64)> {
        records::place(&self.0.corpus, row)
    }

    fn families(&self) -> Vec<Family> {
        self.0.families.iter().map(Family::of).collect()
    }

    fn pairs(&self) -> Vec<Pair> {
        self.0.pairs.iter().map(Pair::of).collect()
    }

    #[getter]
    fn threads(&self) -> usize {
        self.0.threads()
    }

    fn dataset(&self) -> records::Dataset {
        records::Dataset::of(self.0.corpus.share())
    }

    #[pyo3(signature = (path, *, progress = None))]
    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn write_removals(
        &self,
        py: Python,
        path: PathBuf,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<WrittenFile> {
        watched(py, progress.as_ref(), |watch| {
            self.0.write_removals(&path, watch)
        })
        .map(WrittenFile::from)
    }

    fn state<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u8>> {
        self.0.state_codes().into_pyarray(py)
    }

    fn witness<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u64>> {
        self.0.witness_rows().into_pyarray(py)
    }

    fn shared<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        self.0.shared.clone().into_pyarray(py)
    }

    fn united<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        self.0.united.clone().into_pyarray(py)
    }

    fn codes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.state_codes())
    }

    fn piece<'py>(
        &self,
        py: Python<'py>,
        column: &str,
        start: usize,
        stop: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let all = match column {
            "witness" => Some(&self.0.witness),
            "shared" => Some(&self.0.shared),
            "united" => Some(&self.0.united),
            _ => None,
        };
        let piece = all.and_then(|all| all.get(start..stop)).ok_or_else(|| {
            PyIndexError::new_err(format!("there is no {start} to {stop} of `{column}`"))
        })?;
        let piece = piece.iter().copied();
        if column == "witness" {
            records::numbers(py, piece.map(u64::from), u64::to_ne_bytes)
        } else {
            records::numbers(py, piece, u32::to_ne_bytes)
        }
    }

    #[pyo3(signature = (path, *, progress = None))]
    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn write_decisions(
        &self,
        py: Python,
        path: PathBuf,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<WrittenFile> {
        watched(py, progress.as_ref(), |watch| self.0.write(&path, watch)).map(WrittenFile::from)
    }
}

#[pyfunction]
#[pyo3(signature = (inputs, formats, *, format, field, also, on, method, threshold_millis, ngram, alike, numbers, recall, keep,
    label, seed, max_line, on_error, threads, memory, io, spool, ahead = None, progress))]
#[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)] // keywords of a Python function
fn decide(
    py: Python,
    inputs: Vec<PathBuf>,
    formats: Vec<FormatArgument>,
    format: String,
    field: Option<String>,
    also: Vec<String>,
    on: Vec<String>,
    method: Words<core::Method>,
    threshold_millis: u32,
    ngram: Option<usize>,
    alike: Option<Words<core::Alike>>,
    numbers: Option<Words<core::Numbers>>,
    recall: Option<Words<core::Recall>>,
    keep: arguments::Keep,
    label: Option<String>,
    seed: u64,
    max_line: u64,
    on_error: Words<bool>,
    threads: usize,
    memory: u64,
    io: Words<arguments::Copy>,
    spool: PathBuf,
    ahead: Option<Py<Ahead>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Decided> {
    let formats: Vec<core::Format> = formats.into_iter().map(core::Format::from).collect();
    let settings = core::Settings {
        reading: core::Reading {
            format: (format != "auto").then_some(format),
            field,
            also,
            on,
            max_line,
            copy: io.0.0,
        },
        method: method.0,
        threshold_millis,
        ngram,
        alike: alike.map(|alike| alike.0),
        numbers: numbers.map(|numbers| numbers.0),
        recall: recall.map(|recall| recall.0),
        keep: keep.0,
        label,
        seed,
        stop_at_bad_row: on_error.0,
        threads,
        memory,
    };
    watched(py, progress.as_ref(), |watch| {
        let mut ahead = ahead.as_ref().map(|ahead| ahead.get().lock());
        core::decide(
            &inputs,
            &formats,
            &settings,
            &spool,
            ahead.as_deref_mut(),
            watch,
        )
    })
    .map(Decided)
}

#[pyfunction]
#[pyo3(signature = (row, format, *, field = None))]
#[allow(clippy::needless_pass_by_value)] // extracted from Python
fn parts(
    row: &[u8],
    format: FormatArgument,
    field: Option<String>,
) -> PyResult<Vec<(String, String)>> {
    let format = core::Format::from(format);
    core::texts_of(row, &format, field.as_deref())
        .map_err(to_python)?
        .map_err(|problem| PyValueError::new_err(problem.to_string()))
}

#[pyfunction]
fn rows_of_code<'py>(
    py: Python<'py>,
    codes: &[u8],
    code: u8,
    start: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let is_it = |&(_, &of_row): &(u64, &u8)| of_row == code;
    let codes = codes.get(start..).unwrap_or_default();
    let rows = || {
        (start as u64..)
            .zip(codes)
            .filter(is_it)
            .map(|(row, _)| row)
    };
    let count = rows().count();
    PyBytes::new_with(py, count * size_of::<u64>(), |bytes| {
        records::fill(bytes, rows(), u64::to_ne_bytes);
        Ok(())
    })
}

#[pyfunction]
fn unpack<'py>(py: Python<'py>, frames: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = core::unpack(frames).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(PyBytes::new(py, &bytes))
}

#[pyfunction]
fn guard_maps() -> PyResult<()> {
    guard::install().map_err(PyErr::from)
}

#[pyfunction]
fn give_back_memory() {
    guard::give_back();
}

#[pyfunction]
fn end_with_parent() -> PyResult<()> {
    guard::end_with_parent().map_err(PyErr::from)
}

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::{
        Decided, decide, end_with_parent, give_back_memory, guard_maps, parts, rows_of_code, unpack,
    };

    #[pymodule_export]
    use super::ahead::Ahead;

    #[pymodule_export]
    use super::block::Block;

    #[pymodule_export]
    use super::records::{Dataset, Files};

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    const WHEREABOUTS: usize = curatekit_core::WHEREABOUTS;

    /// Lines from one known offset of a file of rows to the next.
    #[pymodule_export]
    const STRIDE: usize = curatekit_core::STRIDE;

    #[pymodule_export]
    const UNICODE_VERSION: &str = curatekit_core::UNICODE_VERSION;
}
