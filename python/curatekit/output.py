"""The output folder appears whole, or not at all.

The work stands in `OUT.partial`, under a lock, and what is to be published in a folder of it that
becomes OUT by one rename. What a dead run left is taken up or cleared by the next one; what a
person put there is never touched.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct
from rich.filesize import decimal

from curatekit.errors import CurateError
from curatekit.interrupt import unbroken

KEPT = "kept.jsonl"
REMOVED = "removed.jsonl"
QUARANTINE = "quarantine.jsonl"
STEMS = ("kept", "removed", "quarantine")
"""How the files of rows are called before `.jsonl`, or the number of a shard."""
DECISIONS = "decisions.jsonl"
REPORT = "report.json"
FIGURES = "run.json"
_LOCK = ".curatekit-lock"
_WHOLE = "out"
"""What is to be published, in the folder of the work."""
_PUBLISHED = "published"
"""Says in that folder that all was written; once the other is gone, it has become OUT."""
JOURNAL = "journal"
"""What a run has done so far, for another one to go on from."""
LEDGER = "ledger"
ORDER = f"{LEDGER}/order.npy"
RECIPE_SCHEMA = "curatekit-recipe-report/1"
_OURS = {DECISIONS, REPORT, FIGURES, LEDGER}
_ROWS = re.compile(r"(kept|removed|quarantine)(-\d{5,})?\.jsonl(\.zst)?")
_MOVE_IT = "rename or remove it"


class Packing(Struct, frozen=True, kw_only=True):
    """How the files of rows are written."""

    shard_bytes: int | None = None
    """Most bytes of a file, before it is packed; None is one file, however large."""
    compress: Literal["none", "zst"] = "none"
    removed: Literal["copy", "refer"] = "copy"
    """Copy removed rows, or only tell where they are."""


PLAIN = Packing()


class Work(Struct):
    """A run's place to work in."""

    place: Path
    """For what goes when the run is done."""
    folder: Path
    """For what becomes OUT."""
    is_kept: bool = False
    """Whether another run may go on from here if this one fails."""

    def clear(self) -> None:
        """Begin anew: remove all that a dead run left here."""
        for entry in self.place.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != _LOCK:
                entry.unlink()


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
def staged(out: Path, *, force: bool = False, resumes: bool = False) -> Iterator[Work]:
    """Give a place to work in, whose folder becomes `out` when the block ends.

    If the block fails, all of it goes, unless `Work.is_kept` says that another run may go on there.

    Args:
        out: The output folder. Missing parents are made, and removed again on failure.
        force: Replace an `out` that is empty or a former run.
        resumes: Leave what a dead run left there; the caller looks whether it can go on.

    Raises:
        CurateError: `out` exists and may not be replaced, another run is writing it, or one is not
            finished.
        OSError: A folder cannot be made, or the disk fails.
    """
    whole, place, old = places(out)
    parents = [parent for parent in whole.parents if not parent.exists()]
    work = Work(place, place / _WHOLE)
    lock = None
    try:
        with unbroken():
            _make_parent(whole, out)
            lock = _claim(place, out)
        _recover(whole, old)
        is_done = (place / _PUBLISHED).exists() and _has_become(work.folder, whole)
        work.is_kept = (place / JOURNAL).exists() and not is_done
        _check_free(whole, out, force=force)
        if work.is_kept and not resumes and not force:
            raise unfinished(place, "it is none that this command can go on with")  # noqa: TRY301
        (place / _PUBLISHED).unlink(missing_ok=True)
        if not work.is_kept or not resumes:
            work.clear()
        elif work.folder.exists():
            shutil.rmtree(work.folder)
        work.folder.mkdir()
        yield work
        with unbroken() as requests:
            _check_free(whole, out, force=force)
            _publish(whole, work, old)
            requests.clear()  # they come too late: the run is done
    except BaseException as error:
        with unbroken() as requests:
            if lock is not None and work.is_kept:
                error.add_note(f"the same command goes on from what is done in `{place}`")
            elif lock is not None:
                _leave(work)
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


def check_space(folder: Path, needed: int) -> None:
    """See that a disk has room for so many bytes, before anything is written.

    Raises:
        OSError: It has not.
    """
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if free < needed:
        told = f"needs {decimal(needed)} for the rows alone, and {decimal(free)} are free"
        raise OSError(errno.ENOSPC, told, str(folder))


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
    strange = {name for name in names - _OURS if not _ROWS.fullmatch(name)}
    return not names or (is_run(names) and not strange)


def is_run(names: Collection[str]) -> bool:
    """Tell by the names in a folder whether a run made it, or a prediction of one."""
    return DECISIONS in names and (REPORT in names or holds_rows(names))


def holds_rows(names: Collection[str]) -> bool:
    """Tell by the names in the folder of a run whether it wrote rows, and did not only predict."""
    return any(_ROWS.fullmatch(name) for name in names)


def _make_parent(whole: Path, out: Path) -> None:
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError:  # as under /proc; it is no input that is missing
        raise CurateError(f"`{out}` cannot be made there", "name another folder") from None


def _claim(work: Path, out: Path) -> int:
    """Make the place to work in, or take over a dead run's; closing what is returned unlocks it."""
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
                return lock
        except BlockingIOError:
            os.close(lock)
            raise CurateError(f"another run is writing `{out}`", f"it works in `{work}`") from None
        except FileNotFoundError:
            pass  # as above
        os.close(lock)


def _recover(whole: Path, old: Path) -> None:
    """Finish what a run began that was killed while it replaced OUT."""
    if os.path.lexists(old) and _is_replaceable(old):
        if os.path.lexists(whole):
            shutil.rmtree(old)
        else:
            old.rename(whole)


def _has_become(folder: Path, whole: Path) -> bool:
    """Tell whether a folder that was to be published has been.

    A power cut may leave it in both places: no two runs took the same time.
    """
    if not folder.exists():
        return True
    try:
        return (folder / FIGURES).read_bytes() == (whole / FIGURES).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return False


def _publish(whole: Path, work: Work, old: Path) -> None:
    for folder, _, _ in os.walk(work.folder):
        sync(Path(folder))
    write(work.place / _PUBLISHED, b"")
    sync(work.place)
    replaced = os.path.lexists(whole)
    if replaced:
        whole.rename(old)
    try:
        work.folder.rename(whole)
        sync(whole.parent)
    except BaseException:
        if not work.folder.exists():
            whole.rename(work.folder)
        if replaced:
            old.rename(whole)
        raise
    if replaced:
        shutil.rmtree(old)
    _leave(work)


def _leave(work: Work) -> None:
    """Remove the place; another run may want it in this moment."""
    with suppress(OSError):
        work.clear()
        (work.place / _LOCK).unlink()
        work.place.rmdir()


def unfinished(place: Path, why: str) -> CurateError:
    """Make the error that says that another run was not finished."""
    hint = "finish that run, or begin anew with `--force`"
    return CurateError(f"`{place}` holds the work of an unfinished run: {why}", hint)
