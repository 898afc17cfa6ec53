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
///
/// However short a stage was, `progress` is told of it, and of its end.
pub fn watched<T: Send>(
    py: Python,
    progress: Option<&Py<PyAny>>,
    work: impl FnOnce(&Watch) -> Result<T> + Send,
) -> PyResult<T> {
    let watch = Watch::default();
    guard::was_struck(); // what struck an earlier run is no news
    let mut told = 0; // stages whose end was reported
    let mut report = |is_done: bool| {
        Python::attach(|py| {
            py.check_signals()?;
            let Some(progress) = progress else {
                return Ok(());
            };
            let stages = watch.progress();
            let last = stages.len().saturating_sub(1);
            for &(stage, done, total) in stages.iter().skip(told) {
                let done = if is_done { total } else { done };
                progress.call1(py, (stage.name(), done, total))?;
            }
            told = last;
            Ok(())
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
                    raised = report(false).err();
                }
                if raised.is_some() || guard::was_struck() {
                    watch.stop();
                }
            }
            let result = worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let raised = raised.or_else(|| report(result.is_ok()).err());
            (result, raised)
        })
    });
    match raised {
        Some(error) => Err(error),
        None => result.map_err(to_python),
    }
}
