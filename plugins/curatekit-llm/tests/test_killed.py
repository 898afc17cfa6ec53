"""A judge whose run is killed again and again: no answer is paid for twice but those in flight."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from hostile_server import Answer, Hostile, Request, hostile, verdict

ROWS = 400
CONCURRENCY = 4
KILLS = 8
RUN = (sys.executable, "-m", "curatekit", "run", "--quiet", "--journal-seconds", "0.01")
RECIPE = """
input = ["rows.jsonl"]
output = "{out}"
[[step]]
use = "text.whitespace"
[[step]]
use = "llm.rubric"
model = "m"
base_url = "{url}"
cache = "{out}.sqlite"
concurrency = {concurrency}
keep_at_least = 3
"""


def answered(request: Request) -> Answer:
    """Judge a record by how long it is, after a moment's thought."""
    time.sleep(0.002)  # or nothing would ever be in flight
    return verdict(1 + len(request.shown) % 5, "its length")


def started(folder: Path, server: Hostile, out: str) -> subprocess.Popen[bytes]:
    path = folder / f"{out}.toml"
    path.write_text(RECIPE.format(out=out, url=server.url, concurrency=CONCURRENCY))
    environment = os.environ | {"OPENAI_API_KEY": "k"}
    return subprocess.Popen(
        [*RUN, path], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def written(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    other = ("run.json", "report.json", "manifest.json")  # they name the server and the cache
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in files if path.name not in other
    }


@pytest.mark.timeout(300)
def test_no_answer_is_asked_for_twice_but_those_in_flight(tmp_path: Path) -> None:
    chance = random.Random(5)
    with (tmp_path / "rows.jsonl").open("w") as file:
        for row in range(ROWS):
            turns = [("user", f"What is {row}?"), ("assistant", f"It is  {row * 'x'}.")]
            messages = [{"role": role, "content": text} for role, text in turns]
            file.write(json.dumps({"messages": messages}) + "\n")
    with hostile(answered) as server:
        for target in sorted(chance.sample(range(10, ROWS - 20), KILLS)):
            running = started(tmp_path, server, "out")
            while len(server.requests) < target:
                assert running.poll() is None
                time.sleep(0.001)  # the server tells how far it is, and nobody else
            running.kill()
            running.communicate()
        running = started(tmp_path, server, "out")
        stdout, stderr = running.communicate(timeout=120)
        assert (running.returncode, stdout, stderr) == (0, b"", b"")
        asked = Counter(request.shown for request in server.requests)
    assert len(asked) == ROWS
    assert asked.total() <= ROWS + KILLS * CONCURRENCY
    report = json.loads((tmp_path / "out/report.json").read_bytes())
    assert report["steps"][1]["outcomes"] == {"scored": ROWS}
    assert json.loads((tmp_path / "out/run.json").read_bytes())["attempts"] == KILLS + 1
    with hostile(answered) as server:
        running = started(tmp_path, server, "whole")
        running.communicate(timeout=120)
        assert running.returncode == 0
        assert len(server.requests) == ROWS
    assert written(tmp_path / "whole") == written(tmp_path / "out")
