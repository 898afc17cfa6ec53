"""From what a person names to the list of files: globs, folders, standard input.

The order of the files numbers the rows, so it depends on nothing but the names: what is given comes
in the order given, and what a glob or a folder holds comes in bytewise order of the paths.
"""

import errno
import glob
import os
import stat
import sys
from collections.abc import Collection, Iterator, Sequence
from os import PathLike
from pathlib import Path

from curatekit.errors import CurateError, DataError
from curatekit.output import KEPT, is_run

STDIN = "-"
SUFFIXES = tuple(
    f".{layout}{packing}"
    for layout in ("jsonl", "ndjson", "json")
    for packing in ("", ".gz", ".zst")
)
"""Endings of the files that are taken from a folder."""
_SUFFIX_HINT = "they end in .jsonl, .ndjson or .json, plain or with .gz or .zst"

Inputs = str | PathLike[str] | Sequence[str | PathLike[str]]


def expand(inputs: Inputs, *, outside: Collection[Path] = ()) -> list[str]:
    """List the files that `inputs` name, in the order that numbers their rows.

    A path that exists is taken literally. A folder gives its files with a data suffix, recursively;
    a glob gives the files that it matches. `-` is standard input.

    Args:
        inputs: Files, folders, globs or `-`, one or several.
        outside: Folders that hold no input, since the output goes there. Their files are passed
            over where a folder or a glob finds them, and refused where they are named.

    Raises:
        FileNotFoundError: A path does not exist.
        DataError: A folder or a file's entry cannot be read.
        CurateError: A file is given twice, a glob or folder gives nothing, a folder holds the
            output of a run, or an input lies in `outside`.
    """
    given = [inputs] if isinstance(inputs, str | PathLike) else inputs
    if not given:
        raise CurateError("no input is given")
    barred = [Path(os.path.realpath(folder)) for folder in outside]
    spellings: dict[object, str] = {}
    for one in given:
        for path in _files(os.fspath(one), barred):
            identity = _identity(path)
            if identity in spellings:
                raise _twice(spellings[identity], path)
            spellings[identity] = path
    return list(spellings.values())


def _files(given: str, barred: Sequence[Path]) -> list[str]:
    if given == STDIN:
        if sys.stdin is None:
            raise DataError(STDIN, None, "cannot be read: standard input is closed")
        return [STDIN]
    if glob.has_magic(given) and not os.path.lexists(given):
        matches = glob.glob(given, recursive=True)  # noqa: PTH207 (keeps the spelling)
        found = [path for path in matches if not Path(path).is_dir()]
        nothing = CurateError(f"`{given}` matches no file", "a folder is given by its name alone")
    elif _is_barred(given, barred):
        raise CurateError(f"`{given}` lies where the output goes", "name another output folder")
    elif stat.S_ISDIR(_stat(given).st_mode):
        found = [path for path in _walk(given, barred) if path.lower().endswith(SUFFIXES)]
        nothing = CurateError(f"`{given}` is a folder without data files", _SUFFIX_HINT)
    else:
        return [given]
    files = [path for path in found if not _is_barred(path, barred)]
    if not files:
        raise nothing
    return sorted(files, key=os.fsencode)


def _walk(folder: str, barred: Sequence[Path]) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise _unreadable(error.filename, error) from None

    seen: set[object] = set()
    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        seen.add(_identity(parent))
        # A link to a folder is followed, and one back to where we were is not.
        inner = {name: _identity(os.path.join(parent, name)) for name in folders}  # noqa: PTH118
        folders[:] = [name for name, identity in inner.items() if identity not in seen]
        if is_run(names) and not _is_barred(parent, barred):
            hint = f"for its dataset name `{parent}/{KEPT}`; else move the folder away"
            raise CurateError(f"`{parent}` is the output of a run", hint)
        yield from (os.path.join(parent, name) for name in names)  # noqa: PTH118 (keeps the spelling)


def _identity(path: str) -> object:
    if path == STDIN:
        return STDIN
    status = _stat(path)
    return status.st_dev, status.st_ino


def _stat(path: str) -> os.stat_result:
    try:
        return Path(path).stat()
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "no such file or folder", path) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _is_barred(path: str, barred: Sequence[Path]) -> bool:
    place = Path(os.path.realpath(path))  # unlike `resolve`, lets links lead in a circle
    return any(place.is_relative_to(folder) for folder in barred)


def _unreadable(path: str, error: OSError) -> DataError:
    return DataError(path, None, f"cannot be read: {(error.strerror or str(error)).lower()}")


def _twice(first: str, second: str) -> CurateError:
    if first == second:
        return CurateError(f"`{first}` is given twice")
    return CurateError(f"`{first}` and `{second}` are the same file", "give each file once")
