//! Work without the interpreter lock, while this thread looks after signals and progress.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use curatekit_core::{Result, Watch};
use pyo3::prelude::*;

use crate::failure::to_python;
use crate::guard;

/// How often Python is asked for signals, and told how far the work is.
const PAUSE: Duration = Duration::from_millis(80);

/// Run `work` on a thread of its own; Ctrl-C, or an exception in `progress`, stops it.
pub fn watched<T: Send>(
    py: Python,
    progress: Option<&Py<PyAny>>,
    work: impl FnOnce(&Watch) -> Result<T> + Send,
) -> PyResult<T> {
    let watch = Watch::default();
    guard::was_struck(); // what struck an earlier run is no news
    let report = || {
        Python::attach(|py| {
            py.check_signals()?;
            let (stage, done, total) = watch.progress();
            progress.map_or(Ok(()), |progress| {
                progress.call1(py, (stage.name(), done, total)).map(drop)
            })
        })
    };
    let (result, raised) = py.detach(|| {
        thread::scope(|scope| {
            let (finished, waiter) = channel::<()>();
            let worker = scope.spawn(|| {
                let _finished = finished; // dropped when the work ends, also by a panic
                work(&watch)
            });
            let mut raised = None;
            while waiter.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                if raised.is_none() {
                    raised = report().err();
                }
                if raised.is_some() || guard::was_struck() {
                    watch.stop();
                }
            }
            let result = worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (result, raised.or_else(|| report().err()))
        })
    });
    match raised {
        Some(error) => Err(error),
        None => result.map_err(to_python),
    }
}
