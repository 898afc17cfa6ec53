"""What a cache promises to threads, to processes, and to whoever opens the file."""

import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from curatekit.backends import Message, Question, Reply
from curatekit_llm.cache import Asked, Cache, CacheError

HELLO = Question(model="m", messages=(Message("user", "hé"),), schema={"type": "object"})
KEY = "6a01f544c00a4e56c8e6f90335b0a37b7d71da469ba29c8cbaf9bd2b342271b2"


def asked(text: str) -> Asked:
    question = Question(model="m", messages=(Message("user", text),))
    return Asked.of(question, backend="b", base_url=None)


def test_a_key_is_for_ever() -> None:
    """Another key for the same question would have everybody pay again."""
    assert Asked.of(HELLO, backend="openai", base_url="http://h/v1").key == KEY


def test_a_person_can_read_it(tmp_path: Path) -> None:
    one = Asked.of(HELLO, backend="openai", base_url=None)
    cache = Cache(tmp_path / "a.sqlite")
    cache.keep(one, Reply(text="yes", input_tokens=3, output_tokens=1))
    cache.close()
    database = sqlite3.connect(tmp_path / "a.sqlite")
    ((key, model, question, reply, created),) = database.execute("SELECT * FROM answers")
    database.close()
    assert (key, model) == (hashlib.sha256(question.encode()).hexdigest(), "m")
    assert json.loads(question)["question"]["messages"] == [{"role": "user", "content": "hé"}]
    assert json.loads(reply)["text"] == "yes"
    assert created.endswith("+00:00")


def test_a_reply_comes_back_as_it_was(tmp_path: Path) -> None:
    whole = Reply(text='{"a": "\0é"}', input_tokens=7, output_tokens=2)
    refused = Reply(refusal="no", is_whole=False)
    cache = Cache(tmp_path / "a.sqlite")
    assert cache.get(asked("a")) is None
    assert cache.keep(asked("a"), whole) == cache.get(asked("a")) == whole
    assert cache.keep(asked("b"), refused) == cache.get(asked("b")) == refused
    cache.close()
    cache = Cache(tmp_path / "a.sqlite")
    assert (cache.get(asked("a")), cache.get(asked("b"))) == (whole, refused)
    assert cache.keep(asked("a"), refused) == whole  # the first is the answer
    cache.close()


def test_threads_share_a_cache(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "a.sqlite")

    def keep(at: int) -> Reply:
        return cache.keep(asked(f"{at % 50}"), Reply(text=f"{at}"))

    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(keep, range(200)))
    assert given == [cache.get(asked(f"{at % 50}")) for at in range(200)]
    cache.close()


CHILD = """
import sys
from pathlib import Path
from curatekit.backends import Reply
from curatekit_llm.cache import Cache
from test_cache import asked

sys.stdin.readline()
cache = Cache(Path(sys.argv[1]))
for at in range(40):
    print(cache.keep(asked(f"{at}"), Reply(text=sys.argv[2])).text)
cache.close()
"""


def test_processes_share_a_cache(tmp_path: Path) -> None:
    """All open the same new file, and each is given the answer that was first."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, tmp_path / "a.sqlite", name],
            cwd=Path(__file__).parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    given = [child.communicate()[0].split() for child in children]
    assert [child.returncode for child in children] == [0] * 4
    assert len(given[0]) == 40
    assert all(one == given[0] for one in given)


def foreign(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE answers (a)")
    database.commit()
    database.close()


def newer(path: Path) -> None:
    Cache(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 2")
    database.close()


def text(path: Path) -> None:
    path.write_text("no database " * 100)


def cut(path: Path) -> None:
    with closing(Cache(path)) as cache:
        for at in range(100):
            cache.keep(asked(f"{at}"), Reply(text="yes" * 100))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (foreign, "is no cache of curatekit-llm"),
        (newer, "is a cache of version 2, and this is for 1"),
        (text, "cannot be used as a cache: file is not a database"),
        (cut, "cannot be used as a cache: database disk image is malformed"),
        (Path.mkdir, "cannot be used as a cache: unable to open database file"),
    ],
    ids=["foreign", "newer", "text", "cut", "folder"],
)
def test_a_file_that_is_no_cache(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "a.sqlite"
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(CacheError) as raised, closing(Cache(path)) as cache:
        cache.get(asked("0"))
    assert f"{path}: {message}" in raised.value.message
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_reply_that_someone_spoiled(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    cache = Cache(path)
    cache.keep(asked("a"), Reply(text="a"))
    cache.close()
    database = sqlite3.connect(path)
    database.execute("UPDATE answers SET reply = '{'")
    database.commit()
    database.close()
    cache = Cache(path)
    with pytest.raises(CacheError, match=f"{path}: cannot be used as a cache: "):
        cache.get(asked("a"))
    cache.close()
