"""Whatever ends a run, at any moment: the same command goes on, and comes to the same bytes."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import faults
from conftest import COMMAND, chat, write_rows
from curatekit.journal import standing
from faults import Call, Disk, struck
from recipes import ODD, toml
from running import Argument, beside, complaint, contents, run

pytestmark = [
    pytest.mark.skipif(bool(faults.missing), reason=f"not installed: {', '.join(faults.missing)}"),
    pytest.mark.timeout(900),
]
PARTS = 12
"""Into so many the points of a run are divided, at each of which something happens to it."""
STEPS: list[dict[str, object]] = [
    {"use": "text.whitespace"},
    {"use": "near-dedup"},
    {"use": "odd_plugin.short"},
    {"use": "odd_plugin.length", "keep_at_most": 1.9},
    {"use": "odd_plugin.echo"},
    {"use": "odd_plugin.twice"},
]
FEW = ("--workers", "1", "--batch-rows", "64", "--journal-seconds", "0")
MANY = ("--batch-rows", "256", "--journal-seconds", "0")


def parts() -> Iterator[object]:
    """One part for each time, the others for the night."""
    for part in range(PARTS):
        yield pytest.param(part, marks=[pytest.mark.nightly] if part else [])


class Bench:
    """A recipe over some rows, and what an unbroken run makes of them."""

    def __init__(self, folder: Path, rows: int, *options: str) -> None:
        chance = random.Random(rows)
        self.folder = folder
        self.work = folder / "work"
        self.out = self.work / "out"
        self.log = folder / "log"
        self.work.mkdir()
        words = [f"{chance.randrange(10**6):x}" for _ in range(2000)]

        def text(most: int) -> str:
            return "  ".join(chance.choices(words, k=chance.randint(1, most)))

        found: list[object] = [chat(f"{text(9)}?", f"{text(40)} ") for _ in range(rows * 9 // 10)]
        found += chance.choices(found, k=rows - len(found) - 2)
        write_rows(folder / "rows.jsonl", [*found, b"{", chat("short", "")])
        head = {"input": [str(folder / "rows.jsonl")], "output": str(self.out)}
        head |= {"plugins": [str(ODD)]}
        lines = [f"{name} = {toml(value)}" for name, value in head.items()]
        for step in STEPS:
            lines += ["[[step]]", *(f"{name} = {toml(value)}" for name, value in step.items())]
        (folder / "recipe.toml").write_text("\n".join([*lines, "[brakes]", "max_drop_share = 1.0"]))
        self.command: tuple[Argument, ...] = (
            *(*COMMAND, "run", "--quiet", folder / "recipe.toml"),
            *options,
        )
        assert self.again() == 1
        self.expected = contents(self.out)
        report = json.loads(self.expected["report.json"])
        assert all(self.did(step) for step in report["steps"])
        self.clear()

    @staticmethod
    def did(step: dict[str, object]) -> object:
        """Tell whether a step did anything."""
        return step["removed"] or step["changed"] or step["generated"]

    def journaled(self, *options: str, until: int) -> int:
        """Run the same command until its journal is so long, or it is done; tell how long it is.

        One that goes on is left alone until it has begun to.
        """
        journal = self.work / "out.partial/journal"
        until = max(until, journal.stat().st_size + 1 if journal.exists() else 0)
        running = subprocess.Popen([*self.command, *options], stderr=subprocess.PIPE)
        longest = 0
        while running.poll() is None and longest < until and not self.is_written:
            longest = max(longest, journal.stat().st_size if journal.exists() else 0)
            time.sleep(0.001)  # the run goes on meanwhile, and has no other sign of where it is
        running.kill()
        running.communicate()
        return longest

    @property
    def is_written(self) -> bool:
        """Whether a run has come to write what it publishes."""
        return (self.work / "out.partial/out/kept.jsonl").exists()

    def clear(self) -> None:
        """Remove what runs have made."""
        shutil.rmtree(self.work)
        self.work.mkdir()

    def again(self, *options: str) -> int:
        """Run the same command, and tell how often it was begun; 0 is an OUT that is there."""
        ended = run(*self.command, *options)
        if ended.returncode == 2 and b"exists already" in ended.stderr:
            return 0
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert beside(self.out) == ["out"]
        attempts: int = json.loads((self.out / "run.json").read_bytes())["attempts"]
        return attempts

    def check(self, *options: str) -> int:
        """Go on, and hold the result against that of the unbroken run; tell the attempts."""
        attempts = self.again(*options)
        assert contents(self.out) == self.expected
        assert beside(self.out) == ["out"]
        self.clear()
        return attempts

    def calls(self) -> list[Call]:
        """List the calls at which something may happen to a run."""
        found = faults.calls(self.command, self.log, self.work)
        self.clear()
        return found


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Bench]:
    few = Bench(tmp_path_factory.mktemp("few"), 300, *FEW)
    return few, Bench(tmp_path_factory.mktemp("many"), 20_000, *MANY)


@pytest.fixture
def few(benches: tuple[Bench, Bench]) -> Bench:
    benches[0].clear()
    return benches[0]


@pytest.fixture
def many(benches: tuple[Bench, Bench]) -> Bench:
    benches[1].clear()
    return benches[1]


@pytest.fixture(scope="module")
def points(benches: tuple[Bench, Bench]) -> list[Call]:
    found = benches[0].calls()
    assert {call.name for call in found} >= {"write", "fsync", "rename", "ftruncate"}
    assert len(found) > 100
    return found


@pytest.mark.parametrize("part", list(parts()))
def test_a_kill_at_any_call_costs_nothing(few: Bench, points: list[Call], part: int) -> None:
    for call in points[part::PARTS]:
        ended = struck(few.command, call, "signal=KILL", few.log)
        assert ended.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        few.check()


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("part", list(parts()))
def test_an_error_at_any_call_names_the_file(
    few: Bench, points: list[Call], part: int, error: str
) -> None:
    problem = {"EIO": "input/output error", "ENOSPC": "no space left on device"}[error]
    for call in points[part::PARTS]:
        ended = struck(few.command, call, f"error={error}", few.log)
        message = complaint(4, ended)
        place = call.path.partition(faults.UNNAMED)[0]
        assert message.startswith(f"error: {place}: {problem}"), (call, message)
        goes_on = "the same command goes on from what is done" in message
        assert goes_on == (few.work / "out.partial").exists()
        assert not few.out.exists()
        few.check()


def test_a_write_may_take_less_than_it_was_given(few: Bench) -> None:
    """As POSIX allows, also where it is no sign of anything else."""
    rule = "enable_random name=posix/io/rw/write/reduce,probability=0.5"
    whole = ("fiu-run", "-x", "-c", rule, *few.command)
    ended = faults.traced(
        whole, few.log, "-e", "trace=write", "-P", str(few.work / "out.partial/rows")
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    few.check()
    told = few.log.read_text(errors="replace").count("write(")
    ended = faults.traced(
        few.command, few.log, "-e", "trace=write", "-P", str(few.work / "out.partial/rows")
    )
    assert ended.returncode == 0
    assert told > few.log.read_text(errors="replace").count("write(")  # some of them were cut
    few.clear()


@pytest.mark.parametrize("part", list(parts()))
def test_a_power_cut_costs_no_more_than_was_not_yet_sure(few: Bench, part: int) -> None:
    """After a journal is down on the disk, all that it says is there."""
    disk, events = Disk.watched(few.command, few.log, few.work)
    few.clear()
    sure = 0
    cuts = 0
    for at, event in enumerate(events):
        if not disk.apply(event):
            continue
        is_record = event.name == "fsync" and event.arguments.endswith("/out.partial/journal>")
        sure += is_record
        is_sync = event.name in ("fsync", "fdatasync", "rename")
        cuts += is_sync
        is_part = is_sync and cuts % PARTS == part
        if is_record or is_part:
            disk.cut()
            goes_on = not few.out.exists() and sure > 1
            if goes_on:
                place = few.work / "out.partial"
                found = standing(place / "journal", place / "rows")
                assert found.commits >= sure, f"after call {at}, {event}"
            if is_part:
                attempts = few.check()
                assert attempts > 1 or not goes_on
    disk.cut()
    assert contents(few.out) == few.expected
    few.clear()


def kills() -> Iterator[object]:
    """Runs that are killed five times each: two each time, and forty in the night."""
    for seed in range(40):
        yield pytest.param(seed, marks=[pytest.mark.nightly] if seed > 1 else [])


@pytest.mark.parametrize("seed", list(kills()))
def test_kills_at_random_cost_nothing(many: Bench, seed: int) -> None:
    """Four of five come between the first and the last record of the journal."""
    chance = random.Random(seed)
    journal = many.work / "out.partial/journal"
    whole = many.journaled(until=2**60)
    many.clear()
    inside = 0
    for share in sorted(chance.uniform(0.01, 0.9) for _ in range(4)):
        workers, memory = str(chance.choice((1, 2, 3))), chance.choice(("64MiB", "4GiB"))
        options = ("--workers", workers, "--memory", memory)
        many.journaled(*options, until=int(share * whole))
        found = standing(journal, journal.with_name("rows"))
        inside += found.commits > 0 and not many.is_written
    many.journaled(until=2**60)
    killed = inside + 1
    assert inside == 4
    assert many.check() == killed + 1


# Runs on a disk of so many bytes that it alone sees, makes that larger, and runs again.
DISK = """
size=$1 work=$2 result=$3; shift 3
mount -t tmpfs -o size="$size" none "$work" || exit 99
"$@"
code=$?
[ -e "$work/out" ] && exit 98
mount -o remount,size=100m "$work" && "$@" || exit 97
cp -r "$work/out" "$result"
exit $code
"""


@pytest.mark.parametrize("size", range(16))
def test_a_full_disk_costs_nothing_once_there_is_room(few: Bench, size: int) -> None:
    """From a disk that has room for hardly anything to one that only lacks the last pages."""
    whole = sum(len(content) // 4096 + 1 for content in few.expected.values())
    result = few.folder / "result"
    pages = 4 + whole * size // 16
    ended = run(
        *("unshare", "--mount", "sh", "-c", DISK, "sh", str(pages * 4096), few.work, result),
        *few.command,
    )
    message = complaint(4, ended)
    found = re.match(rf"error: {few.work}/out.partial(/\S+)?: (.+)\n", message)
    assert found
    assert re.match("no space left on device|needs .+ for the rows alone", found[2])
    assert contents(result) == few.expected
    shutil.rmtree(result)


def halted(bench: Bench, call: Call, seconds: int) -> subprocess.Popen[bytes]:
    """Start a run that waits at a call, and wait until it is there."""
    delay = f"inject={call.name}:delay_enter={seconds * 1_000_000}:when={call.number}"
    options = ("-P", call.path, "-e", f"trace={call.name}", "-e", delay)
    whole = ("strace", "-f", "-qq", "-o", bench.log, *options, *bench.command)
    bench.log.unlink(missing_ok=True)
    pipe = subprocess.PIPE
    running = subprocess.Popen([*whole], stdout=pipe, stderr=pipe)
    while not bench.log.exists() or bench.log.read_text().count(f"{call.name}(") < call.number:
        assert running.poll() is None
        time.sleep(0.001)  # as above
    return running


def ended(running: subprocess.Popen[bytes]) -> subprocess.CompletedProcess[bytes]:
    stdout, stderr = running.communicate(timeout=60)
    return subprocess.CompletedProcess(running.args, running.returncode, stdout, stderr)


def midway(bench: Bench, name: str = "fsync", number: int = 6) -> Call:
    return Call(name, str(bench.work / "out.partial/journal"), number)


def test_of_two_runs_into_one_folder_the_second_is_refused(few: Bench) -> None:
    running = halted(few, midway(few), 3)
    message = complaint(2, run(*few.command))
    assert f"another run is writing `{few.out}`" in message
    assert ended(running).returncode == 0
    assert contents(few.out) == few.expected
    few.clear()


def test_an_input_cut_short_in_the_middle_of_a_run_is_refused(few: Bench) -> None:
    rows = few.folder / "rows.jsonl"
    before = rows.read_bytes()
    running = halted(few, midway(few), 3)
    os.truncate(rows, 100)
    message = complaint(3, ended(running))
    rows.write_bytes(before)
    assert "rows.jsonl: changed while it was read" in message
    assert beside(few.out) == []


@pytest.mark.parametrize("force", [False, True])
def test_what_is_published_is_not_published_again(few: Bench, *, force: bool) -> None:
    """A run that is killed when OUT is there is done; what it leaves is no work to go on with."""
    call = Call("unlink", str(few.work / "out.partial/journal"), 1)
    struck(few.command, call, "signal=KILL", few.log)
    assert contents(few.out) == few.expected
    assert beside(few.out) == ["out", "out.partial"]
    assert few.again(*(("--force",) if force else ())) == force
    assert contents(few.out) == few.expected
    assert beside(few.out) == ["out"]
    few.clear()


@pytest.mark.parametrize("name", ["journal", "rows"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_a_damaged_journal_is_believed_up_to_the_damage(
    few: Bench, points: list[Call], name: str, share: float
) -> None:
    last = [call for call in points if call.path.endswith("/journal") and call.name == "write"][-1]
    struck(few.command, last, "signal=KILL", few.log)
    place = few.work / "out.partial"
    whole = standing(place / "journal", place / "rows")
    content = bytearray((place / name).read_bytes())
    damaged = int(len(content) * share)
    content[damaged] ^= 1
    (place / name).write_bytes(content)
    found = standing(place / "journal", place / "rows")
    assert found.commits < whole.commits
    assert (found.end if name == "journal" else found.spooled) <= damaged
    few.check()


def test_a_run_that_goes_on_can_be_killed_again_and_again(few: Bench, points: list[Call]) -> None:
    """At the same record each time, so that only what was there before is the work of another."""
    journal = [call for call in points if call.path.endswith("/journal") and call.name == "fsync"]
    place = few.work / "out.partial"
    before = 0
    for call in journal[2:7]:
        struck(few.command, call._replace(number=2), "signal=KILL", few.log)
        commits = standing(place / "journal", place / "rows").commits
        assert commits > before
        before = commits
        for name in ("journal", "rows"):  # a frame and a row that were not written whole
            with (place / name).open("ab") as file:
                file.write(b"\x09\0\0\0\0\0\0\0torn")
    assert few.check() > 1
