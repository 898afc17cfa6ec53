"""Faults, as a run may meet them: kills, errors and power cuts at chosen calls to the system.

A run under `strace` tells which calls it makes, and another is killed, or sees an error, at one of
them. From what was written and what was brought down to the disk follows what a power cut would
have left. The rules are those of POSIX, which promises no more than was asked for by fsync.
"""

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from running import Argument

WRITES = ("write", "writev", "pwrite64", "fsync", "rename", "ftruncate")
"""Calls that change what is on the disk, or see that it gets there."""
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")
_PLACED = re.compile(r'^(?:\d+<([^>]*)>|"([^"]*)")')
UNNAMED = "/#"
"""Stands in the path of a file that has no name in its folder."""
TOOLS = ("strace", "unshare", "fiu-run")
missing = [tool for tool in TOOLS if shutil.which(tool) is None]
"""What the tests with faults need, and is not installed."""


class Call(NamedTuple):
    """A call to the system on a path, the n-th of its name there."""

    name: str
    path: str
    number: int


def traced(
    command: Iterable[Argument], log: Path, *options: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command under strace."""
    whole = ("strace", "-f", "-qq", "-o", log, *options, *command)
    return subprocess.run(whole, capture_output=True, check=False)


def calls(command: Iterable[Argument], log: Path, under: Path) -> list[Call]:
    """List the calls of a run that change what is under a path, in order."""
    ended = traced(command, log, "-y", "-s", "0", "-e", f"trace={','.join(WRITES)}")
    assert ended.returncode == 0, ended.stderr
    counts = Counter[tuple[str, str, str]]()
    found: dict[Call, None] = {}
    for line in log.read_text(errors="replace").splitlines():
        call = _CALL.match(line)
        placed = call and _PLACED.match(call[3])
        path = placed and (placed[1] or placed[2])
        if call and path and path.startswith(str(under)):
            counts[call[1], call[2], path] += 1
            found[Call(call[2], path, counts[call[1], call[2], path])] = None
    return list(found)


def struck(
    command: Iterable[Argument], call: Call, fault: str, log: Path
) -> subprocess.CompletedProcess[bytes]:
    """Run a command that meets a fault at a call: `signal=KILL`, or `error=EIO`."""
    inject = f"inject={call.name}:{fault}:when={call.number}"
    place = () if UNNAMED in call.path else ("-P", call.path)  # of those each run has others
    ended = traced(command, log, *place, "-e", f"trace={call.name}", "-e", inject)
    told = log.read_text(errors="replace")
    assert "(INJECTED)" in told or "killed by SIGKILL" in told, f"{call} did not happen"
    return ended


@dataclass
class _File:
    """A file: its bytes, and those that are sure to be on the disk."""

    now: bytearray = field(default_factory=bytearray)
    sure: bytes = b""


@dataclass
class _Folder:
    """A folder: what is in it, and what is sure to be."""

    now: dict[str, "_File | _Folder"] = field(default_factory=dict)
    sure: dict[str, "_File | _Folder"] = field(default_factory=dict)


class Event(NamedTuple):
    """A call that succeeded, with its arguments as strace spells them."""

    name: str
    arguments: str
    result: int


class Disk:
    """What stands under a path, as calls change it; and what a power cut would leave of it."""

    def __init__(self, under: Path) -> None:
        self._under = under
        self._root = _Folder()
        self._places: dict[tuple[str, str], int] = {}

    @classmethod
    def watched(
        cls, command: Iterable[Argument], log: Path, under: Path
    ) -> tuple[Self, list[Event]]:
        """Run a command, and list all that it did under a path."""
        others = "openat,read,lseek,fdatasync,unlink,unlinkat,mkdir,rmdir"
        trace = f"trace={others},{','.join(WRITES)}"
        options = ("-y", "-xx", "-s", "99999999", "-e", trace)
        ended = traced(command, log, *options)
        assert ended.returncode == 0, ended.stderr
        return cls(under), list(_events(log))

    def apply(self, event: Event) -> bool:
        """Do what a call did; tell whether it was about something here."""
        match event.name:
            case "openat":
                return self._open(event)
            case "rename":
                one, other = (_text(found) for found in _STRING.findall(event.arguments)[:2])
                return self._move(one, other)
            case "unlink" | "rmdir" | "mkdir":
                return self._entry(event.name, _text(_STRING.findall(event.arguments)[0]))
            case "unlinkat":
                folder = _FD.match(event.arguments)
                name = _text(_STRING.findall(event.arguments)[0])
                path = name if folder is None or name.startswith("/") else f"{folder[2]}/{name}"
                kind = "rmdir" if "AT_REMOVEDIR" in event.arguments else "unlink"
                return self._entry(kind, path)
        return self._on_file(event)

    def cut(self) -> None:
        """Leave on the real disk what a power cut would leave now."""
        for entry in self._under.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self._lay(self._root, self._under)

    def keep(self) -> None:
        """Take what is on the real disk now for what was there before, and sure."""
        self._root = _taken(self._under)

    def _lay(self, folder: _Folder, path: Path) -> None:
        path.mkdir(exist_ok=True)
        for name, entry in folder.sure.items():
            if isinstance(entry, _Folder):
                self._lay(entry, path / name)
            else:
                (path / name).write_bytes(entry.sure)

    def _find(self, path: str) -> "_File | _Folder | None":
        if path == str(self._under):
            return self._root
        if not path.startswith(f"{self._under}/"):
            return None
        found: _File | _Folder | None = self._root
        for name in path.removeprefix(f"{self._under}/").split("/"):
            found = found.now.get(name) if isinstance(found, _Folder) else None
        return found

    def _parent(self, path: str) -> tuple[_Folder, str] | None:
        parent, _, name = path.rpartition("/")
        found = self._find(parent)
        return (found, name) if isinstance(found, _Folder) else None

    def _open(self, event: Event) -> bool:
        path = _text(_STRING.findall(event.arguments)[0])
        place = self._parent(path)
        if place is None:
            return False
        folder, name = place
        if "O_CREAT" in event.arguments and name not in folder.now:
            folder.now[name] = _File()
        entry = folder.now.get(name)
        if isinstance(entry, _File) and "O_TRUNC" in event.arguments:
            entry.now.clear()
        self._places[str(event.result), path] = 0
        return True

    def _on_file(self, event: Event) -> bool:
        found = _FD.match(event.arguments)
        entry = self._find(found[2]) if found else None
        if found is None or entry is None:
            return False
        if isinstance(entry, _Folder):
            if event.name == "fsync":
                entry.sure = dict(entry.now)
            return True
        key = (found[1], found[2])
        at = self._places.get(key, 0)
        match event.name:
            case "write" | "writev" | "pwrite64":
                pieces = map(_bytes, _STRING.findall(event.arguments))
                data = b"".join(pieces)[: event.result]
                if event.name == "pwrite64":
                    at = int(event.arguments.rpartition(",")[2].rstrip(")"))
                entry.now[at : at + len(data)] = data
                if event.name != "pwrite64":
                    self._places[key] = at + len(data)
            case "read":
                self._places[key] = at + event.result
            case "lseek":
                self._places[key] = event.result
            case "ftruncate":
                del entry.now[int(event.arguments.rpartition(",")[2].rstrip(")")) :]
            case _:
                entry.sure = bytes(entry.now)
        return True

    def _move(self, one: str, other: str) -> bool:
        source, target = self._parent(one), self._parent(other)
        if source is None or target is None:
            return False
        target[0].now[target[1]] = source[0].now.pop(source[1])
        return True

    def _entry(self, kind: str, path: str) -> bool:
        place = self._parent(path)
        if place is None:
            return False
        folder, name = place
        if kind == "mkdir":
            folder.now[name] = _Folder()
        else:
            folder.now.pop(name, None)
        return True


_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_FD = re.compile(r"^(\d+|AT_FDCWD)<([^>]*)>")
_RESULT = re.compile(r"^(.*)\) += (\d+)(?:<.*>)?$", re.DOTALL)


def _taken(path: Path) -> _Folder:
    entries: dict[str, _File | _Folder] = {}
    for entry in path.iterdir():
        if entry.is_dir():
            entries[entry.name] = _taken(entry)
        else:
            content = entry.read_bytes()
            entries[entry.name] = _File(bytearray(content), content)
    return _Folder(dict(entries), entries)


def _bytes(spelled: str) -> bytes:
    return bytes.fromhex(spelled.replace("\\x", ""))


def _text(spelled: str) -> str:
    return _bytes(spelled).decode() if spelled.startswith("\\x") else spelled


def _events(log: Path) -> Iterator[Event]:
    """Read calls that succeeded, in the order in which they ended."""
    begun: dict[str, str] = {}
    with log.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            process, _, told = line.rstrip("\n").partition(" ")
            told = told.lstrip()
            if told.endswith("<unfinished ...>"):
                begun[process] = told.removesuffix("<unfinished ...>")
                continue
            if told.startswith("<... "):
                told = begun.pop(process, "") + told.partition("resumed>")[2]
            name, _, rest = told.partition("(")
            if found := _RESULT.match(rest):
                yield Event(name, _paths_in_clear(found[1]), int(found[2]))


def _paths_in_clear(arguments: str) -> str:
    """Spell the path of a descriptor as it is: strace writes it in hexadecimal too."""
    return re.sub(
        r"<((?:\\x[0-9a-f]{2})+)>", lambda path: f"<{_text(path[1])}>", arguments, count=1
    )
