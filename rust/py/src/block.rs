//! Rows as plugins see them: their texts as Python's strings, and new strings spliced in.

use curatekit_core as core;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyString};

use crate::arguments::FormatArgument;
use crate::failure::to_python;

/// Some rows, and where their texts stand.
#[pyclass(frozen, module = "curatekit._native")]
pub struct Block(pub core::Block);

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

    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn take(&self, rows: PyReadonlyArray1<u64>) -> PyResult<Self> {
        let rows: Vec<usize> = rows.as_array().iter().map(|&at| at as usize).collect();
        rows.iter().try_for_each(|&at| self.check(at))?;
        Ok(Self(self.0.take(rows)))
    }

    fn slice(&self, start: usize, stop: usize) -> PyResult<Self> {
        if start > stop || stop > self.0.len() {
            let message = format!("there are no rows {start} to {stop} in the block");
            return Err(PyIndexError::new_err(message));
        }
        Ok(Self(self.0.take(start..stop)))
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
        let (block, changed) = self.respelled(texts)?;
        let rows = changed.into_iter().enumerate();
        let row = |(at, is_new): (usize, bool)| is_new.then(|| PyBytes::new(py, block.0.row(at)));
        Ok(rows.map(row).collect())
    }

    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn respelled(&self, texts: Vec<Option<Bound<'_, PyString>>>) -> PyResult<(Self, Vec<bool>)> {
        if texts.len() != self.0.texts() {
            let message = format!("{} texts for {} parts", texts.len(), self.0.texts());
            return Err(PyValueError::new_err(message));
        }
        let is_fixed = (0..self.0.len()).flat_map(|at| {
            let is_fixed = self.0.is_fixed(at);
            self.0.texts_of(at).map(move |_| is_fixed)
        });
        // What is said of a row that never changes may be no Unicode either.
        let texts: Vec<Option<PyBackedStr>> = texts
            .into_iter()
            .zip(is_fixed)
            .map(|(text, is_fixed)| {
                text.filter(|_| !is_fixed)
                    .map(PyBackedStr::try_from)
                    .transpose()
            })
            .collect::<PyResult<_>>()?;
        let texts: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
        let (block, changed) = self.0.respelled(&texts);
        Ok((Self(block), changed))
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
