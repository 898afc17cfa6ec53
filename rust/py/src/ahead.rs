//! Files of rows that a run writes while it decides.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use curatekit_core as core;
use pyo3::prelude::*;

use crate::summary::WrittenFile;
use crate::waiting::watched;

/// Files of rows that `decide` may write ahead.
#[pyclass(frozen, module = "curatekit._native")]
pub struct Ahead(Mutex<core::Ahead>);

#[pymethods]
impl Ahead {
    #[new]
    #[pyo3(signature = (folder, stems, *, shard_bytes, zstd, with_removed))]
    fn new(
        folder: PathBuf,
        stems: [String; 3],
        shard_bytes: Option<u64>,
        zstd: bool,
        with_removed: bool,
    ) -> Self {
        let packing = core::Packing {
            shard_bytes,
            zstd,
            behind: true,
        };
        Self(Mutex::new(core::Ahead::new(
            folder,
            stems,
            packing,
            with_removed,
        )))
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_raised))]
    #[allow(clippy::needless_pass_by_value)] // as Python hands it over
    fn __exit__(&self, py: Python, _raised: Py<PyAny>) {
        py.detach(|| self.lock().stop());
    }

    #[allow(clippy::needless_pass_by_value)] // extracted from Python
    fn finish(
        &self,
        py: Python,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Option<[Vec<WrittenFile>; 3]>> {
        let written = watched(py, progress.as_ref(), |watch| self.lock().finish(watch))?;
        let told = |files: Vec<core::Written>| files.into_iter().map(WrittenFile::from).collect();
        Ok(written.map(|fates| fates.map(told)))
    }
}

impl Ahead {
    pub fn lock(&self) -> MutexGuard<'_, core::Ahead> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
