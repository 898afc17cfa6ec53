"""The output folder appears whole, or not at all.

The work stands in `OUT.partial`, under a lock, and becomes OUT by one rename. What a dead run left
is cleared by the next one; what a person put there is never touched.
"""

import errno
import fcntl
import os
import shutil
import signal
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from curatekit.errors import CurateError

KEPT = "kept.jsonl"
REMOVED = "removed.jsonl"
QUARANTINE = "quarantine.jsonl"
DECISIONS = "decisions.jsonl"
REPORT = "report.json"
FIGURES = "run.json"
_LOCK = ".curatekit-lock"
LEDGER = "ledger"
ORDER = f"{LEDGER}/order.npy"
RECIPE_SCHEMA = "curatekit-recipe-report/1"
_OURS = {KEPT, REMOVED, QUARANTINE, DECISIONS, REPORT, FIGURES, LEDGER, _LOCK}
_MOVE_IT = "rename or remove it"
_BLOCK = 2**18
_LARGE = 2**26


def places(out: Path) -> tuple[Path, Path, Path]:
    """Name the folders that a run uses: OUT, the work in progress, an old OUT on its way out."""
    whole = Path(os.path.abspath(out))  # noqa: PTH100 (a link stays a link)
    if not whole.name:
        raise CurateError(
            f"`{out}` cannot be an output folder", "name a folder that does not exist yet"
        )
    work = whole.with_name(f"{whole.name}.partial")
    return whole, work, whole.with_name(f".{whole.name}.curatekit-replaced")


@contextmanager
def staged(out: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a folder to work in; it becomes `out` when the block ends, and goes when it fails.

    Args:
        out: The output folder. Missing parents are made, and removed again on failure.
        force: Replace an `out` that is empty or a former run.

    Raises:
        CurateError: `out` exists and may not be replaced, or another run is writing it.
        OSError: A folder cannot be made, or the disk fails.
    """
    whole, work, old = places(out)
    parents = [parent for parent in whole.parents if not parent.exists()]
    lock = None
    try:
        with _unbroken():
            _make_parent(whole, out)
            lock = _claim(work, out)
        _recover(whole, old)
        _check_free(whole, out, force=force)
        yield work
        with _unbroken() as requests:
            _check_free(whole, out, force=force)
            _publish(whole, work, old)
            requests.clear()  # they come too late: the run is done
    except BaseException:
        with _unbroken() as requests:
            if lock is not None:
                shutil.rmtree(work, ignore_errors=True)
            for parent in parents:
                with suppress(OSError):
                    parent.rmdir()
            requests.clear()  # the run ends anyway
        raise
    finally:
        if lock is not None:
            os.close(lock)


def write(path: Path, content: bytes) -> None:
    """Write a whole file, down to the disk."""
    with named(path):
        path.write_bytes(content)
    sync(path)


def check_counts(folder: Path, rows: int, expected: Mapping[str, int]) -> None:
    """Count the rows that were written, and hold them against those that should be there.

    Args:
        folder: Where they were written.
        rows: How many rows there are in all.
        expected: How many of them each file should hold.

    Raises:
        OSError: A row is missing, or there is one too many.
    """
    written = {name: _count_lines(folder / name) for name in expected}
    if written != expected or sum(written.values()) != rows:
        found = f"{rows:,} rows were read, but {sum(written.values()):,} written"
        raise OSError(errno.EIO, found, str(folder))


def _count_lines(path: Path) -> int:
    if path.stat().st_size > _LARGE:
        import numpy as np  # noqa: PLC0415 (slow, and pays only for large files)

        whole = np.memmap(path, np.uint8, "r")
        blocks = (whole[at : at + _BLOCK] for at in range(0, len(whole), _BLOCK))
        return sum(int(np.count_nonzero(block == ord("\n"))) for block in blocks)
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with named(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Add the path to an `OSError`, which lacks it where only a descriptor was at hand."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _check_free(whole: Path, out: Path, *, force: bool) -> None:
    if not os.path.lexists(whole):
        return
    if not force:
        raise CurateError(
            f"`{out}` exists already", "name another folder, or replace it with `--force`"
        )
    if not _is_replaceable(whole):
        raise CurateError(
            f"`{out}` holds more than a run leaves there, so it is not replaced",
            "name another folder, or remove it yourself",
        )


def _is_replaceable(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    names = {entry.name for entry in folder.iterdir()}
    return not names or (is_run(names) and names <= _OURS)


def is_run(names: Collection[str]) -> bool:
    """Tell by the names in a folder whether a run made it, or a prediction of one."""
    return {KEPT, DECISIONS}.issubset(names) or {DECISIONS, REPORT}.issubset(names)


def _make_parent(whole: Path, out: Path) -> None:
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError:  # as under /proc; it is no input that is missing
        raise CurateError(f"`{out}` cannot be made there", "name another folder") from None


def _claim(work: Path, out: Path) -> int:
    """Make the work folder, or take over a dead run's; closing what is returned unlocks it."""
    while True:
        try:
            work.mkdir(exist_ok=True)
        except FileExistsError:
            raise CurateError(f"`{work}` exists, but is not a folder", _MOVE_IT) from None
        try:
            if not (work / _LOCK).exists() and any(work.iterdir()):
                raise CurateError(f"`{work}` exists, but curatekit did not make it", _MOVE_IT)
            lock = os.open(work / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # the run that had it ended in this moment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), (work / _LOCK).stat()):
                _clear(work)
                return lock
        except BlockingIOError:
            os.close(lock)
            raise CurateError(f"another run is writing `{out}`", f"it works in `{work}`") from None
        except FileNotFoundError:
            pass  # as above
        os.close(lock)


def _clear(work: Path) -> None:
    for entry in work.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != _LOCK:
            entry.unlink()


def _recover(whole: Path, old: Path) -> None:
    """Finish what a run began that was killed while it replaced OUT."""
    if os.path.lexists(old) and _is_replaceable(old):
        if os.path.lexists(whole):
            shutil.rmtree(old)
        else:
            old.rename(whole)


def _publish(whole: Path, work: Path, old: Path) -> None:
    sync(work)
    replaced = os.path.lexists(whole)
    if replaced:
        whole.rename(old)
    try:
        work.rename(whole)
    except BaseException:
        if replaced:
            old.rename(whole)
        raise
    (whole / _LOCK).unlink()
    sync(whole)
    sync(whole.parent)
    if replaced:
        shutil.rmtree(old)


@contextmanager
def _unbroken() -> Iterator[list[int]]:
    """Hold requests to stop back until the block has ended, so that nothing is left half done."""
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held
        return
    requests = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.signal(one, lambda number, _: held.append(number)) for one in requests]
    try:
        yield held
    finally:
        for request, handler in zip(requests, handlers, strict=True):
            signal.signal(request, handler)
    for number in held:
        signal.raise_signal(number)
