//! The core's errors as Python's exceptions.

use std::io;
use std::path::Path;

use curatekit_core::Error;
use pyo3::exceptions::{PyFileNotFoundError, PyKeyboardInterrupt, PyOSError, PyValueError};
use pyo3::prelude::*;

pyo3::import_exception!(curatekit.errors, DataError);

/// The exception that `_native.pyi` promises for an error.
pub fn to_python(error: Error) -> PyErr {
    match error {
        Error::Read { path, source } if source.kind() == io::ErrorKind::NotFound => {
            PyFileNotFoundError::new_err(system_error(&source, &path))
        }
        Error::Read { path, source } => data_error(
            &path,
            None,
            format!("cannot be read: {}", reason(&source)),
            (source.raw_os_error() == Some(libc::EMFILE))
                .then_some("every input is an open file: `ulimit -n` allows more of them"),
        ),
        Error::Write { path, source } => PyOSError::new_err(system_error(&source, &path)),
        Error::Broken {
            path,
            problem,
            hint,
        } => data_error(&path, None, problem, hint),
        Error::Row {
            path,
            line,
            problem,
        } => data_error(&path, Some(line), problem.to_string(), None),
        Error::Changed { path } => {
            let hint = Some("run again when nothing else writes to it");
            data_error(&path, None, "changed while it was read".into(), hint)
        }
        Error::Stopped => PyKeyboardInterrupt::new_err(()),
        other => PyValueError::new_err(other.to_string()),
    }
}

fn data_error(
    path: &Path,
    line: Option<u64>,
    problem: String,
    hint: Option<&'static str>,
) -> PyErr {
    DataError::new_err((path.to_string_lossy().into_owned(), line, problem, hint))
}

/// What `OSError` takes: errno, its meaning, the file.
fn system_error(error: &io::Error, path: &Path) -> (Option<i32>, String, String) {
    (
        error.raw_os_error(),
        reason(error),
        path.to_string_lossy().into_owned(),
    )
}

/// The system's words in the style of our own: lower case, and without the errno that Rust adds.
fn reason(error: &io::Error) -> String {
    let words = error.to_string();
    let words = words.split(" (os error").next().unwrap_or(&words);
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}
