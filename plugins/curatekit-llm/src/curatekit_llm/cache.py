"""The cache: what a model answered, in a file that outlives the run and the process.

An answer is committed, and on the disk, before it is given to anyone. So whatever ends a run, an
answer that was used is one that need not be paid for again.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from curatekit.backends import Question, Reply
from curatekit.errors import CurateError

_APPLICATION = 0x63754C4C
"""Says in a SQLite file whose it is: `cuLL`."""
_VERSION = 1
_BUSY_SECONDS = 60.0
_TABLE = """
    CREATE TABLE IF NOT EXISTS answers (
        key TEXT PRIMARY KEY,
        model TEXT NOT NULL,
        question TEXT NOT NULL,
        reply TEXT NOT NULL,
        created TEXT NOT NULL
    )
"""


class CacheError(CurateError):
    """The file of the cache cannot be used."""


class Asked(msgspec.Struct, frozen=True):
    """A question as it is kept: with where it was asked, and its key.

    The key is the SHA-256 of the text, which is JSON with sorted keys.
    """

    question: Question
    text: str
    key: str

    @classmethod
    def of(cls, question: Question, *, backend: str, base_url: str | None) -> Asked:
        """Spell out all that makes a difference to an answer."""
        whole = {"backend": backend, "base_url": base_url, "question": question}
        encoded = msgspec.json.encode(whole, order="deterministic")
        return cls(question, encoded.decode(), hashlib.sha256(encoded).hexdigest())


class Cache:
    """Answers by the key of their question; for several threads, and several processes.

    A person can read it: `sqlite3 llm.sqlite 'select model, reply from answers'`.

    Raises:
        CacheError: The file is no cache of ours, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._told():
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with self._told():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def get(self, asked: Asked) -> Reply | None:
        """Look for the answer to a question.

        Raises:
            CacheError: The file is damaged.
        """
        with self._lock, self._told():
            return self._get(asked)

    def keep(self, asked: Asked, reply: Reply) -> Reply:
        """Commit an answer, and give it back; if there is one already, give that.

        Raises:
            CacheError: It cannot be written.
        """
        created = datetime.now(UTC).isoformat(timespec="seconds")
        encoded = msgspec.json.encode(reply).decode()
        row = (asked.key, asked.question.model, asked.text, encoded, created)
        with self._lock, self._told():
            self._connection.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?)", row)
            return self._get(asked) or reply

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _get(self, asked: Asked) -> Reply | None:
        found = self._connection.execute("SELECT reply FROM answers WHERE key = ?", (asked.key,))
        row = found.fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Reply)

    def _prepare(self) -> None:
        execute = self._connection.execute
        # One who comes while another makes the file waits for this lock, and not for the next.
        execute("BEGIN IMMEDIATE")
        (whose,) = execute("PRAGMA application_id").fetchone()
        (version,) = execute("PRAGMA user_version").fetchone()
        (tables,) = execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and whose != _APPLICATION:
            raise CacheError(f"{self._path}: is no cache of curatekit-llm", "set `cache`")
        if tables and version != _VERSION:
            raise CacheError(
                f"{self._path}: is a cache of version {version}, and this is for {_VERSION}"
            )
        execute(f"PRAGMA application_id = {_APPLICATION}")
        execute(f"PRAGMA user_version = {_VERSION}")
        execute(_TABLE)
        execute("COMMIT")
        execute("PRAGMA synchronous = FULL")
        self._use_wal()

    def _use_wal(self) -> None:
        """Let readers go on while one writes. It needs the file for itself for a moment.

        Without it an answer is kept as well, and others wait longer.
        """
        for _ in range(100):
            try:
                self._connection.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                self._connection.execute("BEGIN IMMEDIATE")  # waits until another is done
                self._connection.execute("COMMIT")
            else:
                return

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say which file it is that something is wrong with."""
        try:
            yield
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise CacheError(f"{self._path}: cannot be used as a cache: {error}") from error
