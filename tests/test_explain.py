"""What is told of a row agrees with the decisions, the columns, and every file of rows."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import Struct, to_builtins

from conftest import Run, chat, in_terminal, write_rows
from curatekit.curate import DRY, curate
from curatekit.errors import CurateError, DataError
from curatekit.explain import Life, explain
from curatekit.folder import RunFolder
from curatekit.output import PLAIN, Packing
from curatekit.recipe import read
from curatekit.run import deduplicate
from curatekit.settings import Settings
from recipes import write_recipe
from test_same_recipe import STEPS, WORDS

PACKINGS = {
    "plain": PLAIN,
    "shards": Packing(shard_bytes=2000),
    "zst": Packing(compress="zst", shard_bytes=3000),
    "refer": Packing(removed="refer"),
    "packed-refer": Packing(removed="refer", compress="zst"),
}
TALE = "an old heron walks along the river at dusk and looks for frogs between the stones"
SPACED = chat("tell me a tale", f"{TALE.replace('dusk', 'dusk ')} ")


def rows() -> list[object]:
    """Rows to which everything happens that can, broken ones and blank lines among them."""
    chance = random.Random(11)

    def text(most: int) -> str:
        return "  ".join(chance.choices(WORDS, k=chance.randint(0, most)))

    found: list[object] = [chat(text(6) + chance.choice("?."), text(60) + "  ") for _ in range(120)]
    found += [*found[20:35], b"{", b'{"messages": "\xff"}', b"[]", chat("", ""), b"", b""]
    found += [chat("what", "a trigger of misbehaviour, at some length"), chat("misfit?", text(20))]
    found += [chat("tell", "on and on. " * 90), chat("what", "unheard"), SPACED]
    found += [chat("tell me a tale", TALE), chat("tell me a tale", TALE.replace("old", "odd"))]
    chance.shuffle(found)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain")
    write_rows(folder / "rows.jsonl", rows())
    recipe = write_recipe(folder, STEPS, brakes={"max_drop_share": 1.0})
    for name, packing in PACKINGS.items():
        curate(read(recipe), folder / name, workers=1, packing=packing)
    curate(read(recipe), folder / "plain", workers=1, is_dry=True)
    curate(read(recipe), folder / "first", workers=1, rows=90)
    return folder


class Expected(Struct):
    """A run over `rows.jsonl`, read by other means."""

    lines: list[tuple[int, bytes]]
    """Of each row its line, and the row."""
    decisions: dict[int, dict[str, Any]]
    steps: list[str]
    columns: dict[str, np.ndarray[Any, np.dtype[Any]]]
    kept: dict[int, list[bytes]]
    rewritten: dict[int, bytes]
    made: dict[int, bytes]
    """Rows that were made and are not kept."""

    @classmethod
    def read(cls, plain: Path) -> "Expected":
        """Read a folder of which no file is packed or cut."""
        ledger = plain / "ledger"
        written = (plain.parent / "rows.jsonl").read_bytes().split(b"\n")
        lines = [(number, line) for number, line in enumerate(written, 1) if line.strip()]
        decisions = {
            one["row"]: one
            for one in map(json.loads, (plain / "decisions.jsonl").read_bytes().splitlines())
        }
        kept: dict[int, list[bytes]] = {}
        order = np.load(ledger / "order.npy").tolist()
        for row, line in zip(order, _lines(plain / "kept.jsonl"), strict=True):
            kept.setdefault(row, []).append(line)
        numbers = np.load(ledger / "rewritten.npy").tolist()
        rewritten = dict(zip(numbers, _lines(ledger / "rewritten.jsonl"), strict=True))
        made: dict[int, bytes] = {}
        for state, name in (("removed", "removed"), ("quarantined", "quarantine")):
            some = [row for row, one in decisions.items() if one["state"] == state]
            both = zip(some, _lines(plain / f"{name}.jsonl"), strict=True)
            made |= {row: line for row, line in both if row >= len(lines)}
        paths = [path for kind in ("scores", "flags") for path in ledger.glob(f"{kind}/*.npy")]
        steps = json.loads((plain / "report.json").read_bytes())["steps"]
        return cls(
            lines,
            decisions,
            ["read", *(step["id"] for step in steps)],
            {f"{path.parent.name}/{path.stem}": np.load(path) for path in paths},
            kept,
            rewritten,
            made,
        )

    @property
    def total(self) -> int:
        """Rows that were read, and rows that were made."""
        return max(len(self.lines), *(row + 1 for row in self.decisions))

    def check(self, life: Life, *, has_texts: bool = True) -> None:
        """See that a life is what stands in the files."""
        row, said = life.row, self.decisions.get(life.row, {"state": "kept", "events": []})
        is_read = row < len(self.lines)
        assert (life.file is not None, life.line) == (
            (True, self.lines[row][0]) if is_read else (False, None)
        )
        assert (life.state, life.byte) == (said["state"], said.get("byte"))
        self._check_events(life, said)
        assert life.columns == {name: _value(column[row]) for name, column in self.columns.items()}
        stands_for = [
            one["row"]
            for one in self.decisions.values()
            if one.get("witness", {}).get("row") == row
        ]
        assert (list(life.stands_for), life.stands_for_rows) == (stands_for[:20], len(stands_for))
        if not has_texts:
            assert (life.original, life.now) == (None, None)
            return
        now = self.kept.get(row, [self.rewritten.get(row, self.made.get(row))])
        assert len(set(now)) == 1
        original = self.lines[row][1] if is_read else now[0]
        assert original is not None
        assert life.lines == (len(now) if row in self.kept else 0)
        assert life.original == original.decode(errors="replace")
        assert life.now == (now[0] or original).decode(errors="replace")

    def _check_events(self, life: Life, said: dict[str, Any]) -> None:
        events = said["events"]
        told = [one for one in to_builtins(life.steps) if one["action"] != "passed"]
        by_columns = [one for one in told if one["action"] == "scored" and "evidence" not in one]
        pairs = zip([one for one in told if one not in by_columns], events, strict=True)
        for deed, event in pairs:
            assert (deed["step"], deed["action"]) == (event["step"], event["action"])
            ends = event["action"] in {"removed", "quarantined"}
            grounds = said if ends else event
            for name in ("reason", "message", "evidence", "shared", "united", "scores"):
                assert deed.get(name) == grounds.get(name)
            assert deed.get("parent", {}).get("row") == event.get("parent")
            place = {"file": "", "line": 0} if "witness" in said else {}
            assert deed.get("witness", {}) == place | said.get("witness", {}) or not ends
            roles = {role: tuple(counts) for role, counts in said.get("roles", {}).items()}
            assert deed.get("roles", {}) == roles or not ends
        for deed in by_columns:
            assert deed["step"] == "length"
            assert deed["scores"] == {
                name: _value(self.columns[f"scores/{name}"][life.row])
                for name in ("length.half", "length.hundreds")
            }
        passed = list(dict.fromkeys(one.step for one in life.steps))
        made_by = next((one["step"] for one in events if one["action"] == "generated"), "read")
        end = said.get("step", self.steps[-1])
        first, last = self.steps.index(made_by), self.steps.index(end)
        assert passed == self.steps[first : last + 1]
        assert list(life.not_reached) == self.steps[last + 1 :]
        is_scored = first <= self.steps.index("length") <= last
        assert is_scored == any(one.scores for one in life.steps)


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


def _value(value: Any) -> float | None:  # noqa: ANN401 (of a column)
    number = float(value)
    return None if np.isnan(number) else float(f"{number:.6g}")


@pytest.mark.parametrize("name", PACKINGS)
def test_a_life_is_what_stands_in_the_files(folder: Path, name: str) -> None:
    expected = Expected.read(folder / "plain")
    found = RunFolder(folder / name, needs_rows=False)
    lives = [explain(found, row) for row in range(expected.total)]
    assert len(lives) == found.ledger.rows
    for life in lives:
        expected.check(life)
    told = {(one.action, one.reason) for life in lives for one in life.steps}
    assert {action for action, _ in told} == {
        *("passed", "changed", "flagged", "scored", "generated", "removed", "quarantined")
    }
    assert {("removed", "near-duplicate"), ("quarantined", "step-failed")} <= told
    assert any(life.witness_ended_by for life in lives)
    assert any(life.lines > 1 for life in lives)
    assert any(one.evidence == "nothing" for life in lives for one in life.steps)


def test_a_prediction_tells_the_same_without_texts(folder: Path) -> None:
    expected = Expected.read(folder / "plain")
    found = RunFolder(folder / f"plain{DRY}", needs_rows=False)
    for row in range(expected.total):
        life = explain(found, row)
        expected.check(life, has_texts=False)
        assert life.without_text == "a dry run writes no rows"


@pytest.mark.parametrize("name", ["plain", f"plain{DRY}"])
def test_a_row_is_found_by_its_line(folder: Path, name: str) -> None:
    ledger = RunFolder(folder / name, needs_rows=False).ledger
    lines = [number for number, _ in Expected.read(folder / "plain").lines]
    for file in ("rows.jsonl", str(folder / "rows.jsonl")):
        assert [ledger.find(f"{file}:{line}") for line in lines] == list(range(len(lines)))


def test_rows_that_were_not_looked_at_say_so(folder: Path) -> None:
    found = RunFolder(folder / "first")
    life = explain(found, 90)
    assert (life.state, life.steps, life.line) == ("absent", (), found.ledger.place(90)[1])  # type: ignore[index]
    assert (life.original, life.now) == (None, None)
    assert life.without_text == "the run did not look at it"
    assert life.not_reached == found.ledger.manifest.steps
    assert explain(found, 89).state != "absent"


def test_a_row_may_be_undecided(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"text": "known"}, {"text": "new"}])
    path = write_recipe(tmp_path, [{"use": "odd_plugin.priced"}, {"use": "odd_plugin.short"}])
    curate(read(path), is_dry=True)
    life = explain(RunFolder(tmp_path / f"out{DRY}", needs_rows=False), 1)
    assert life.state == "undecided"
    assert [(one.step, one.action) for one in life.steps] == [
        ("read", "passed"),
        ("priced", "undecided"),
    ]
    assert life.not_reached == ("short",)


@pytest.fixture
def tales(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.chdir(tmp_path)
    other = chat("tell me a tale", TALE.replace("old", "odd"))
    content = [chat("tell me a tale", TALE), SPACED, {"messages": 5}, other, other]
    write_rows(tmp_path / "rows.jsonl", content)

    def dedup(out: str, name: str = "rows.jsonl", packing: Packing = PLAIN, **also: Any) -> Path:  # noqa: ANN401 (settings)
        settings = Settings(ngram=1, threshold_millis=700, **({"max_drop_millis": 1000} | also))
        deduplicate(name, Path(out), settings, packing=packing)
        return Path(out)

    return dedup


def test_a_deduplication_has_steps_too(tales: Callable[..., Path]) -> None:
    found = RunFolder(tales("out"))
    lives = [explain(found, row) for row in range(5)]
    assert [[one.action for one in life.steps] for life in lives] == [
        ["passed", "passed", "passed"],
        ["passed", "passed", "removed"],
        ["quarantined"],
        ["passed", "passed", "removed"],
        ["passed", "passed", "removed"],
    ]
    assert (lives[0].stands_for, lives[0].stands_for_rows) == ((1, 3, 4), 3)
    exact = RunFolder(tales("exact", method="exact"))
    assert [one.step for one in explain(exact, 0).steps] == ["read", "exact-dedup"]
    assert explain(exact, 4).not_reached == ()


def test_a_packed_file_may_be_empty(tales: Callable[..., Path]) -> None:
    write_rows(Path("one.jsonl"), [chat("tell me a tale", TALE)])
    life = explain(RunFolder(tales("out", "one.jsonl", Packing(compress="zst"))), 0)
    assert (life.state, life.original) == ("kept", Path("one.jsonl").read_text().rstrip("\n"))


def test_a_text_that_is_gone_costs_only_the_text(tales: Callable[..., Path], run: Run) -> None:
    out = tales("out", packing=Packing(removed="refer"))
    assert explain(RunFolder(out), 1).original is not None
    Path("rows.jsonl").rename("moved.jsonl")
    assert explain(RunFolder(out), 1).without_text == (
        "rows.jsonl: cannot be read: No such file or directory"
    )
    told = run("explain", out, "1")
    assert told.returncode == 0
    assert told.stdout.splitlines()[-1] == (
        "  no text: rows.jsonl: cannot be read: No such file or directory"
    )
    Path("rows.jsonl.gz").write_bytes(gzip.compress(Path("moved.jsonl").read_bytes()))
    out = tales("packed", "rows.jsonl.gz", Packing(removed="refer"))
    life = explain(RunFolder(out), 1)
    assert life.without_text == "row 1 was removed, and stands only in `rows.jsonl.gz`"
    assert explain(RunFolder(out), 2).original == '{"messages": 5}'
    (out / "removed.jsonl").write_bytes(b"")
    (tales("broken", "moved.jsonl") / "removed.jsonl").write_bytes(b"")
    with pytest.raises(DataError, match="this line is missing"):
        explain(RunFolder(Path("broken")), 1)


def test_it_prints_steps_and_what_was_rewritten(run: Run, tmp_path: Path) -> None:
    said = [
        chat("how? ", f"it is  so\n\n\n\n{'and so on ' * 30}"),
        chat("\x1b[31mwhy?", "the old end"),
    ]
    write_rows(tmp_path / "rows.jsonl", [*said, said[1], {"messages": "\x1b[2J"}])
    steps = [{"use": "text.whitespace"}, {"use": "near-dedup"}, {"use": "odd_plugin.length"}]
    write_recipe(tmp_path, steps, input=["rows.jsonl"], output="out")
    assert run("run", "recipe.toml", "--quiet").returncode == 0
    assert run("explain", "out", "0").stdout.splitlines() == [
        "row 0 (rows.jsonl:1), byte 0: kept",
        "  read        passed",
        "  whitespace  changed",
        "  near-dedup  passed",
        "  length      scored: length.half 1.575, length.hundreds 3.15",
        "",
        "[-as it was read-]  {+as it left+}",
        "  user  differs in white space only",
        "    how?[- -]",
        "  assistant  differs in white space only",
        (
            "    it is  so[- ↵ and-]{+ ↵ and+} so on and so on and so on … 73 words … "
            "so on and so on and so on[- -]"
        ),
    ]
    assert "and so on " * 25 in run("explain", "out", "0", "--full").stdout
    assert run("explain", "out", "rows.jsonl:3").stdout.splitlines()[-4:] == [
        "",
        "[-only in this row-]  {+only in row 1+}",
        "  user  equal: [31mwhy?",
        "  assistant  equal: the old end",
    ]
    kept = run("explain", "out", "1").stdout
    assert kept.startswith("row 1 (rows.jsonl:2): kept, stands for 2\n")
    assert kept.endswith("\n\n  user  [31mwhy?\n  assistant  the old end\n")
    assert "\x1b" not in run("explain", "out", "3").stdout
    assert run("explain", "out", "3").stdout.splitlines()[1:3] == [
        "  read  quarantined: wrong-type, field `messages` is not an array",
        "  not reached: whitespace, near-dedup, length",
    ]
    whole = json.loads(run("explain", "out", "0", "--json").stdout)
    assert whole == json.loads(json.dumps(to_builtins(explain(RunFolder(tmp_path / "out"), 0))))


def test_it_has_colours_on_a_terminal(tales: Callable[..., Path]) -> None:
    code, written = in_terminal("explain", tales("out"), "3", columns=120)
    assert code == 0
    assert "\x1b[1;31mremoved\x1b[0m" in written
    assert "\x1b[1;31modd\x1b[0m" in written
    assert "[-" not in written


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("5", "there is no row 5: the run has 5 rows, counted from 0"),
        ("9" * 5000, f"there is no row {'9' * 5000}: the run has 5 rows, counted from 0"),
        ("five", "`five` is no row\nhint: a row is like `17` or `data/a.jsonl:18`"),
        ("other.jsonl:1", "no input is called `other.jsonl`\nhint: there is rows.jsonl"),
        (
            "rows.jsonl:9",
            "rows.jsonl:9: no row begins on this line\nhint: row 4 before it begins on line 5",
        ),
        ("rows.jsonl:0", "rows.jsonl:0: no row begins on this line"),
        (
            f"rows.jsonl:{2**64 + 1}",
            (
                f"rows.jsonl:{2**64 + 1}: no row begins on this line\n"
                "hint: row 4 before it begins on line 5"
            ),
        ),
    ],
)
def test_a_row_that_is_not_there_is_told(
    tales: Callable[..., Path], given: str, message: str
) -> None:
    ledger = RunFolder(tales("out")).ledger
    with pytest.raises(CurateError) as raised:
        ledger.find(given)
    assert str(raised.value) == message


def test_what_is_no_folder_is_told(run: Run) -> None:
    ended = run("explain", "nowhere", "1")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: `nowhere` is not the output of a run")
