//! Rows as plugins see them: their texts as Python's strings, and new strings spliced in.

use std::path::PathBuf;

use curatekit_core as core;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyString};

use crate::arguments::{Copy, FormatArgument, Words};
use crate::failure::to_python;
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
            core::Corpus::open(&inputs, &formats, &reading, &spool, watch)
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
        let rows: Vec<usize> = rows.as_array().iter().map(|&row| row as usize).collect();
        rows.iter().try_for_each(|&row| check(&self.0, row))?;
        py.detach(|| self.0.block(&rows))
            .map(Block)
            .map_err(to_python)
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

/// Some rows, and where their texts stand.
#[pyclass(frozen, module = "curatekit._native")]
pub struct Block(core::Block);

#[pymethods]
impl Block {
    #[staticmethod]
    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn of(rows: Vec<Vec<u8>>, format: FormatArgument) -> PyResult<Self> {
        let layout = core::Layout::new(&format.into()).map_err(to_python)?;
        let rows = rows.iter().map(Vec::as_slice);
        Ok(Self(core::Block::of(rows, &layout)))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn slice(&self, start: usize, stop: usize) -> PyResult<Self> {
        if start > stop || stop > self.0.len() {
            let message = format!("there are no rows {start} to {stop} in the block");
            return Err(PyIndexError::new_err(message));
        }
        Ok(Self(self.0.slice(start..stop)))
    }

    fn row<'py>(&self, py: Python<'py>, at: usize) -> PyResult<Bound<'py, PyBytes>> {
        self.check(at)?;
        Ok(PyBytes::new(py, self.0.row(at)))
    }

    fn texts<'py>(
        &self,
        py: Python<'py>,
        role: Option<&str>,
    ) -> PyResult<Vec<Bound<'py, PyString>>> {
        let rows = 0..self.0.len();
        rows.map(|at| string(py, &self.0.said(at, role))).collect()
    }

    fn parts<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyString>>> {
        let texts = 0..self.0.texts();
        texts.map(|text| string(py, &self.0.text(text))).collect()
    }

    fn part_row<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        let rows = 0..self.0.len();
        let of_row = |at: usize| self.0.texts_of(at).map(move |_| at as u32);
        rows.flat_map(of_row).collect::<Vec<u32>>().into_pyarray(py)
    }

    fn part_role<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyString>> {
        let texts = 0..self.0.texts();
        texts
            .map(|text| PyString::intern(py, self.0.role(text)))
            .collect()
    }

    fn statistics<'py>(&self, py: Python<'py>) -> Vec<(&'static str, Bound<'py, PyArray1<u32>>)> {
        let rows: Vec<_> = self
            .0
            .statistics()
            .iter()
            .map(core::Statistics::counts)
            .collect();
        let column = |at: usize| -> Vec<u32> { rows.iter().map(|counts| counts[at]).collect() };
        let names = core::Statistics::NAMES.into_iter().enumerate();
        names
            .map(|(at, name)| (name, column(at).into_pyarray(py)))
            .collect()
    }

    fn paths(&self, at: usize) -> PyResult<Vec<String>> {
        self.check(at)?;
        Ok(self.0.paths(at))
    }

    fn problems(&self) -> Vec<(usize, &'static str, String)> {
        let told =
            |(at, problem): &(usize, core::Problem)| (*at, problem.id(), problem.to_string());
        self.0.problems.iter().map(told).collect()
    }

    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn rewritten<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<Option<Bound<'py, PyString>>>,
    ) -> PyResult<Vec<Option<Bound<'py, PyBytes>>>> {
        if texts.len() != self.0.texts() {
            let message = format!("{} texts for {} parts", texts.len(), self.0.texts());
            return Err(PyValueError::new_err(message));
        }
        let of_row = |at: usize| {
            if self.0.is_fixed(at) {
                return Ok(None);
            }
            let texts = texts[self.0.texts_of(at)].iter();
            let texts: Vec<Option<PyBackedStr>> = texts
                .map(|text| text.clone().map(PyBackedStr::try_from).transpose())
                .collect::<PyResult<_>>()?;
            let texts: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
            let row = self.0.rewritten(at, &texts);
            Ok(row.map(|row| PyBytes::new(py, &row)))
        };
        (0..self.0.len()).map(of_row).collect()
    }
}

impl Block {
    fn check(&self, at: usize) -> PyResult<()> {
        if at < self.0.len() {
            return Ok(());
        }
        Err(PyIndexError::new_err(format!(
            "there is no row {at} in the block"
        )))
    }
}

/// A text as Python's string; half a surrogate pair stays what it is.
fn string<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyString>> {
    if let Ok(text) = std::str::from_utf8(text) {
        return Ok(PyString::new(py, text));
    }
    let bytes = PyBytes::new(py, text);
    PyString::from_encoded_object(&bytes, Some(c"utf-8"), Some(c"surrogatepass"))
}
