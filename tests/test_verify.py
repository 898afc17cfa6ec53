"""A run folder is recounted by other means than it was written by, and no damage goes unseen."""

from __future__ import annotations

import ast
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from xxhash import xxh3_128

from conftest import COMMAND, chat, write_rows
from curatekit import dedup as library
from curatekit import verify as verify_module
from curatekit.errors import CurateError
from curatekit.output import PLAIN, Packing
from curatekit.verify import verify
from folders import RUNS, File, carry_out, inputs, packings
from running import complaint, run

REFER = Packing(removed="refer")
PACKED = Packing(shard_bytes=60_000, compress="zst")
VERIFY = (*COMMAND, "verify")


class Folder:
    """A run folder that is damaged on purpose."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self, name: str) -> list[bytes]:
        """The lines of a file, with their line feeds."""
        return (self.path / name).read_bytes().splitlines(keepends=True)

    def write(self, name: str, lines: Sequence[bytes]) -> None:
        """Write lines to a file."""
        (self.path / name).write_bytes(b"".join(lines))

    def column(self, name: str) -> NDArray[Any]:
        """A copy of a column."""
        column: NDArray[Any] = np.load(self.path / f"ledger/{name}.npy")
        return column

    def save(self, name: str, column: NDArray[Any]) -> None:
        """Write a column."""
        np.save(self.path / f"ledger/{name}.npy", column)

    def document(self, name: str) -> dict[str, Any]:
        """A JSON document."""
        document: dict[str, Any] = json.loads((self.path / name).read_bytes())
        return document

    def save_document(self, name: str, document: object) -> None:
        """Write a JSON document."""
        (self.path / name).write_text(json.dumps(document))

    def decisions(self) -> list[dict[str, Any]]:
        """All decisions."""
        return [json.loads(line) for line in self.lines("decisions.jsonl")]

    def save_decisions(self, decisions: Sequence[object]) -> None:
        """Write decisions as they are written by a run."""
        lines = [msgspec.json.encode(one) + b"\n" for one in decisions]
        self.write("decisions.jsonl", lines)

    def seal(self) -> None:
        """Make the manifest and the report tell the sizes and hashes that files now have."""
        manifest, report = self.document("ledger/manifest.json"), self.document("report.json")
        for name, told in report.get("written", {}).items():
            content = (self.path / name).read_bytes()
            told |= {"bytes": len(content), "xxh3_128": xxh3_128(content).hexdigest()}
        self.save_document("report.json", report)
        for name in manifest["files"]:
            content = (self.path / name).read_bytes()
            blocks = [xxh3_128(content).hexdigest()] if content else []
            manifest["files"][name] = {"bytes": len(content), "blocks": blocks}
        self.save_document("ledger/manifest.json", manifest)


def rows() -> list[object]:
    """Rows of every fate, with some blank lines and repetitions."""
    chance = random.Random(3)
    words = ["walk", "river", "stone", "bridge", "willow", "heron", "reed", "mill", "Ähre"]

    def text(most: int) -> str:
        return " ".join(chance.choices(words, k=chance.randint(1, most)))

    made: list[object] = [
        chat(text(6) + chance.choice("?."), text(30) + "  " * (number % 2))
        for number in range(1500)
    ]
    for number in range(9):
        asked = f"how {text(9)}"
        made += [chat(asked, f"it is {words[number]} {end}") for end in ("", "!")]
    made += [*made[50:90], *made[300:340], chat("what", "a trigger, at some length, of trouble")]
    made += [b"{", b"[]", b"", b" \r", b'{"messages": 7}']
    chance.shuffle(made)
    return [b"\xef\xbb\xbf", *made, *made[:9]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each kind of run."""
    whole = tmp_path_factory.mktemp("folders")
    path = write_rows(whole / "rows.jsonl", rows())
    array = whole / "few.json"
    array.write_text(json.dumps([chat("who?", "x"), chat("who?", "x"), 7], indent=1))
    empty = write_rows(whole / "empty.jsonl", [])
    kinds: dict[str, tuple[str, list[Path], Packing, dict[str, Any]]] = {
        "dedup": ("dedup", [path, array, empty], PLAIN, {}),
        "recipe": ("everything", [path, array], PLAIN, {}),
        "packed": ("dedup", [path], PACKED, {}),
        "packed-recipe": ("everything", [path], PACKED, {}),
        "referred": ("dedup", [path, array], REFER, {}),
        "referred-recipe": ("everything", [array, path], REFER, {}),
        "late": ("late", [path], Packing(shard_bytes=9_000), {}),
        "dry": ("everything", [path], PLAIN, {"is_dry": True}),
        "trial": ("everything", [path, array], PLAIN, {"rows": 700}),
        "nothing": ("dedup", [empty], PLAIN, {}),
        "nothing-packed": ("sorted", [empty], PACKED, {}),
    }
    made = {}
    for name, (what, paths, packing, options) in kinds.items():
        (whole / name).mkdir()
        made[name] = carry_out(what, whole / name, paths, packing, **options)
    library.near(path, format="chat").write(whole / "library")
    return made | {"library": whole / "library"}


KINDS = (
    *("dedup", "recipe", "packed", "packed-recipe", "referred", "referred-recipe", "late", "dry"),
    *("trial", "nothing", "nothing-packed", "library"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_as_it_was_written_passes(folders: dict[str, Path], kind: str) -> None:
    found = verify(folders[kind])
    assert [str(problem) for problem in found.problems] == []
    manifest = json.loads((folders[kind] / "ledger/manifest.json").read_bytes())
    assert found.rows == manifest["rows"] + manifest["generated"]
    assert found.files == len(manifest["files"])
    assert found.bytes == sum(one["bytes"] for one in manifest["files"].values())
    blocks = sum(len(one["blocks"]) for one in manifest["files"].values())
    inputs = sum(one["framing"] == "lines" for one in manifest["inputs"])
    is_whole = kind not in ("dry", "trial", "referred", "referred-recipe")
    assert found.hashes == blocks + (inputs if is_whole else 0)


def test_the_folders_hold_what_is_verified(folders: dict[str, Path]) -> None:
    """Without these, the tests of this file would see less than they say."""
    report = json.loads((folders["recipe"] / "report.json").read_bytes())
    assert all(report[name] > 2 for name in ("generated", "kept", "removed", "quarantined"))
    assert sum(report["unreadable"].values()) < report["quarantined"]
    order = np.load(folders["recipe"] / "ledger/order.npy")
    assert len(np.unique(order)) < len(order)
    assert (np.diff(order.astype(np.int64)) < 0).any()
    for name in ("originals", "rewritten", "order", "witness", "flags/long"):
        assert len(np.load(folders["recipe"] / f"ledger/{name}.npy"))
    assert len(np.load(folders["dedup"] / "ledger/index/kept.jsonl.npy")) == 2
    assert len(list(folders["packed"].glob("kept-*.jsonl.zst"))) > 1


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(RUNS),
    inputs(),
    packings(),
    st.sampled_from(["copy", "refer"]),
    st.sampled_from([{}, {"is_dry": True}, {"rows": 2}]),
)
def test_every_folder_passes(
    what: str, files: list[File], packing: Packing, removed: str, options: dict[str, Any]
) -> None:
    packing = msgspec.structs.replace(packing, removed=removed)
    with tempfile.TemporaryDirectory() as name:
        paths = [file.write(Path(name)) for file in files]
        options = {} if what == "dedup" else options
        found = verify(carry_out(what, Path(name), paths, packing, **options))
    assert [str(problem) for problem in found.problems] == []


# Damage that nobody has covered up, so that sizes and hashes tell of it.


def flip_a_bit(folder: Folder) -> None:
    content = bytearray((folder.path / "kept.jsonl").read_bytes())
    content[1000] ^= 1
    (folder.path / "kept.jsonl").write_bytes(content)


def cut_decisions(folder: Folder) -> None:
    content = (folder.path / "decisions.jsonl").read_bytes()
    (folder.path / "decisions.jsonl").write_bytes(content[:-100])


def cut_a_column(folder: Folder) -> None:
    content = (folder.path / "ledger/witness.npy").read_bytes()
    (folder.path / "ledger/witness.npy").write_bytes(content[:-8])


def append_to_removed(folder: Folder) -> None:
    with (folder.path / "removed.jsonl").open("ab") as file:
        file.write(b"{}\n")


def lose_a_file(folder: Folder) -> None:
    (folder.path / "quarantine.jsonl").unlink()


def lose_gaps(folder: Folder) -> None:
    (folder.path / "ledger/gaps.bin").unlink()


def add_a_file(folder: Folder) -> None:
    (folder.path / "ledger/notes.txt").touch()


def add_a_link(folder: Folder) -> None:
    (folder.path / "elsewhere").symlink_to("/")


def break_the_manifest(folder: Folder) -> None:
    (folder.path / "ledger/manifest.json").write_bytes(b'{"schema": ')


def lose_the_manifest(folder: Folder) -> None:
    (folder.path / "ledger/manifest.json").unlink()


def lead_out(folder: Folder) -> None:
    manifest = folder.document("ledger/manifest.json")
    manifest["of_rows"]["kept"][0]["name"] = "../../rows.jsonl"
    folder.save_document("ledger/manifest.json", manifest)


def break_figures(folder: Folder) -> None:
    (folder.path / "run.json").write_bytes(b"\xff")


def lose_figures(folder: Folder) -> None:
    (folder.path / "run.json").unlink()


def break_the_report(folder: Folder) -> None:
    (folder.path / "report.json").write_bytes(b"[]\n")


def change_a_hash(folder: Folder) -> None:
    manifest = folder.document("ledger/manifest.json")
    manifest["files"]["kept.jsonl"]["blocks"] = ["0" * 32]
    folder.save_document("ledger/manifest.json", manifest)


Case = tuple[str, Callable[[Folder], None], str, str]
"""A folder, what is done to it, and the file and the words of a problem that is found."""
OPEN: list[Case] = [
    ("dedup", flip_a_bit, "kept.jsonl", "is not what was written"),
    ("dedup", cut_decisions, "decisions.jsonl", "bytes, but should have"),
    ("recipe", cut_a_column, "ledger/witness.npy", "is cut short"),
    ("dedup", append_to_removed, "removed.jsonl", "lines, but the manifest says"),
    ("recipe", lose_a_file, "quarantine.jsonl", "is missing"),
    ("recipe", lose_gaps, "ledger/gaps.bin", "is missing"),
    ("dedup", add_a_file, "ledger/notes.txt", "is not in the manifest"),
    ("dedup", add_a_link, "elsewhere", "is not in the manifest"),
    ("dedup", break_the_manifest, "ledger/manifest.json", "cannot be read"),
    ("dedup", lose_the_manifest, "ledger/manifest.json", "is missing"),
    ("dedup", lead_out, "ledger/manifest.json", "leads out of the folder"),
    ("dedup", break_figures, "run.json", "cannot be read"),
    ("dedup", lose_figures, "run.json", "is missing"),
    ("recipe", break_the_report, "report.json", "cannot be read"),
    ("dedup", change_a_hash, "kept.jsonl", "is not what was written"),
]


# Damage that somebody has covered up: sizes and hashes are those of the damaged files.


def move_a_row(folder: Folder) -> None:
    removed, kept = folder.lines("removed.jsonl"), folder.lines("kept.jsonl")
    folder.write("kept.jsonl", [*kept, removed[0]])
    folder.write("removed.jsonl", removed[1:])


def exchange_rows(folder: Folder) -> None:
    """A removed row for a kept one, so that every count is right."""
    removed, kept = folder.lines("removed.jsonl"), folder.lines("kept.jsonl")
    folder.write("kept.jsonl", [removed[0], *kept[1:]])
    folder.write("removed.jsonl", [kept[0], *removed[1:]])


def drop_a_row(folder: Folder) -> None:
    folder.write("kept.jsonl", folder.lines("kept.jsonl")[1:])


def drop_a_row_everywhere(folder: Folder) -> None:
    folder.write("kept.jsonl", folder.lines("kept.jsonl")[:-1])
    manifest, report = folder.document("ledger/manifest.json"), folder.document("report.json")
    manifest["of_rows"]["kept"][0]["rows"] -= 1
    manifest["counts"]["kept"] -= 1
    report["kept"] -= 1
    folder.save_document("ledger/manifest.json", manifest)
    folder.save_document("report.json", report)


def swap_neighbours(folder: Folder) -> None:
    first, second, *rest = folder.lines("kept.jsonl")
    folder.write("kept.jsonl", [second, first, *rest])


def change_a_word(folder: Folder) -> None:
    kept = folder.lines("kept.jsonl")
    at = next(at for at, line in enumerate(kept) if b"river" in line)
    folder.write("kept.jsonl", [*kept[:at], kept[at].replace(b"river", b"liver"), *kept[at + 1 :]])


def split_a_row(folder: Folder) -> None:
    first, *rest = folder.lines("kept.jsonl")
    folder.write("kept.jsonl", [first.replace(b" ", b"\n", 1), *rest])


def break_a_rewritten_row(folder: Folder) -> None:
    first, *rest = folder.lines("kept.jsonl")
    folder.write("kept.jsonl", [b"[" + first[1:], *rest])


def change_one_copy(folder: Folder) -> None:
    order, kept = folder.column("order"), folder.lines("kept.jsonl")
    values, counts = np.unique(order, return_counts=True)
    at = int(np.flatnonzero(order == values[counts > 1][0])[1])
    folder.write("kept.jsonl", [*kept[:at], b'{"a":1}\n', *kept[at + 1 :]])


def delete_a_decision(folder: Folder) -> None:
    folder.save_decisions(folder.decisions()[1:])


def change_a_reason(folder: Folder) -> None:
    decisions = folder.decisions()
    one = next(one for one in decisions if one.get("reason") == "exact-duplicate")
    one["reason"] = one["events"][-1]["reason"] = "near-duplicate"
    folder.save_decisions(decisions)


def change_an_event(folder: Folder) -> None:
    decisions = folder.decisions()
    decisions[0]["events"][-1]["reason"] = "because"
    folder.save_decisions(decisions)


def invent_an_event(folder: Folder) -> None:
    decisions = folder.decisions()
    one = next(one for one in decisions if one["state"] == "kept")
    one["events"].append({"step": "long", "action": "flagged", "reason": "too-short"})
    folder.save_decisions(decisions)


def swap_decisions(folder: Folder) -> None:
    first, second, *rest = folder.decisions()
    folder.save_decisions([second, first, *rest])


def move_a_decision(folder: Folder) -> None:
    decisions = folder.decisions()
    decisions[0]["byte"] += 1
    folder.save_decisions(decisions)


def change_a_file(folder: Folder) -> None:
    decisions = folder.decisions()
    decisions[0]["file"] = "other.jsonl"
    folder.save_decisions(decisions)


def point_at_a_removed_row(folder: Folder) -> None:
    """The column, and the decision too."""
    witness, state = folder.column("witness"), folder.column("state")
    step, lines = folder.column("step"), folder.column("line")
    by_dedup = np.flatnonzero(witness != np.arange(len(witness)))
    row, wrong = int(by_dedup[-1]), int(by_dedup[0])
    assert state[wrong] == 1
    assert step[wrong] == step[row]
    witness[row] = wrong
    folder.save("witness", witness)
    decisions = folder.decisions()
    one = next(one for one in decisions if one["row"] == row)
    one["witness"] |= {"row": wrong, "line": int(lines[wrong]), "file": decisions[0]["file"]}
    folder.save_decisions(decisions)


def forget_a_witness(folder: Folder) -> None:
    witness = folder.column("witness")
    row = int(np.flatnonzero(witness != np.arange(len(witness)))[0])
    witness[row] = row
    folder.save("witness", witness)
    decisions = folder.decisions()
    one = next(one for one in decisions if one["row"] == row)
    for name in ("witness", "shared", "united"):
        one.pop(name, None)
    folder.save_decisions(decisions)


def change_what_is_shared(folder: Folder) -> None:
    shared = folder.column("shared")
    shared[int(np.flatnonzero(shared)[0])] -= 1
    folder.save("shared", shared)


def flip_a_state(folder: Folder) -> None:
    """A removed row is said to be kept, in all counts too."""
    state, step, reason = (folder.column(name) for name in ("state", "step", "reason"))
    row = int(np.flatnonzero((state == 1) & (reason == 1))[0])
    state[row] = step[row] = reason[row] = 0
    for name, column in (("state", state), ("step", step), ("reason", reason)):
        folder.save(name, column)
    folder.save_decisions([one for one in folder.decisions() if one["row"] != row])
    manifest, report = folder.document("ledger/manifest.json"), folder.document("report.json")
    manifest["counts"]["kept"] += 1
    manifest["counts"]["removed"] -= 1
    report["kept"] += 1
    report["removed"]["exact-duplicate"] -= 1
    report["files"][0]["kept"] += 1
    report["files"][0]["exact_duplicates"] -= 1
    folder.save_document("ledger/manifest.json", manifest)
    folder.save_document("report.json", report)


def change_a_step(folder: Folder) -> None:
    state, step = folder.column("state"), folder.column("step")
    row = np.flatnonzero(state == 1)[0]
    step[row] = 1 + step[row] % 2
    folder.save("step", step)


def change_a_line(folder: Folder) -> None:
    line, state = folder.column("line"), folder.column("state")
    line[np.flatnonzero(state[: len(line)] == 0)[5]] += 1
    folder.save("line", line)


def widen_a_column(folder: Folder) -> None:
    folder.save("state", folder.column("state").astype(np.uint16))


def remove_a_gap(folder: Folder) -> None:
    gaps = folder.column("gaps")
    content = (folder.path / "ledger/gaps.bin").read_bytes()
    start, end = int(gaps[0, 1]), int(gaps[1, 1])
    gaps[1:, 1] -= np.uint64(end - start)
    folder.save("gaps", np.delete(gaps, 1, axis=0))
    (folder.path / "ledger/gaps.bin").write_bytes(content[:start] + content[end:])


def move_a_gap(folder: Folder) -> None:
    gaps = folder.column("gaps")
    gaps[1, 0] += 1
    folder.save("gaps", gaps)


def fill_a_gap(folder: Folder) -> None:
    content = (folder.path / "ledger/gaps.bin").read_bytes()
    (folder.path / "ledger/gaps.bin").write_bytes(content[:-1] + b"x")


def shift_an_index(folder: Folder) -> None:
    index = folder.column("index/kept.jsonl")
    index[1] += 1
    folder.save("index/kept.jsonl", index)


def shift_a_packed_index(folder: Folder) -> None:
    index = folder.column("index/removed-00001.jsonl.zst")
    folder.save("index/removed-00001.jsonl.zst", index + np.uint64(1))


def pack_other_frames(folder: Folder) -> None:
    """The same lines, but not where the index says."""
    name = "removed-00001.jsonl.zst"
    lines = zstandard.ZstdDecompressor().stream_reader((folder.path / name).read_bytes()).readall()
    packed = zstandard.ZstdCompressor().compress(lines + b"{}\n")
    (folder.path / name).write_bytes(packed)


def change_the_order(folder: Folder) -> None:
    order = folder.column("order")
    at = int(np.flatnonzero(np.diff(order.astype(np.int64)))[0])
    order[[at, at + 1]] = order[[at + 1, at]]
    folder.save("order", order)


def order_another_row(folder: Folder) -> None:
    order, state = folder.column("order"), folder.column("state")
    order[-1] = np.flatnonzero(state == 1)[0]
    folder.save("order", order)


def forget_an_original(folder: Folder) -> None:
    rows, lines = folder.column("originals"), folder.lines("ledger/originals.jsonl")
    folder.save("originals", rows[1:])
    folder.write("ledger/originals.jsonl", lines[1:])
    manifest = folder.document("ledger/manifest.json")
    manifest["of_rows"]["originals"][0]["rows"] -= 1
    folder.save_document("ledger/manifest.json", manifest)


def rewrite_a_kept_row(folder: Folder) -> None:
    rows, state = folder.column("rewritten"), folder.column("state")
    rows[0] = np.flatnonzero(state[: rows[1]] == 0)[0]
    folder.save("rewritten", rows)


def change_a_flag(folder: Folder) -> None:
    flags = folder.column("flags/long")
    flags[np.flatnonzero(flags)[0]] = 0
    folder.save("flags/long", flags)


def change_a_parent(folder: Folder) -> None:
    decisions = folder.decisions()
    for event in decisions[-1]["events"]:
        if event["action"] == "generated":
            event["parent"] = decisions[-1]["row"]
    folder.save_decisions(decisions)


def change_an_input(folder: Folder) -> None:
    manifest = folder.document("ledger/manifest.json")
    manifest["inputs"][1]["bytes"] += 1
    folder.save_document("ledger/manifest.json", manifest)


def leave_a_row_out(folder: Folder) -> None:
    state = folder.column("state")
    row = int(np.flatnonzero(state == 0)[3])
    state[row] = 4
    folder.save("state", state)


def name_a_file(folder: Folder) -> None:
    (folder.path / "more.txt").touch()
    manifest = folder.document("ledger/manifest.json")
    manifest["files"]["more.txt"] = {}
    folder.save_document("ledger/manifest.json", manifest)


def _in_report(change: Callable[[dict[str, Any]], None]) -> Callable[[Folder], None]:
    def damage(folder: Folder) -> None:
        report = folder.document("report.json")
        change(report)
        folder.save_document("report.json", report)

    damage.__name__ = change.__name__
    return damage


def count_more_kept(report: dict[str, Any]) -> None:
    report["kept"] += 1


def count_another_reason(report: dict[str, Any]) -> None:
    report["removed"]["exact-duplicate"] -= 1
    report["removed"]["near-duplicate"] += 1


def count_in_another_file(report: dict[str, Any]) -> None:
    report["files"][0]["kept"] -= 1
    report["files"][1]["kept"] += 1


def count_in_another_step(report: dict[str, Any]) -> None:
    report["steps"][3]["removed"]["too-short"] -= 1


def let_fewer_rows_in(report: dict[str, Any]) -> None:
    report["steps"][4]["rows"] -= 1


def count_lines(report: dict[str, Any]) -> None:
    report["written"]["kept.jsonl"]["rows"] += 1


def write_less(report: dict[str, Any]) -> None:
    report["written"].pop("removed.jsonl")


REBUILT = "its rows and gaps are not what was read"
COVERED: list[Case] = [
    ("dedup", move_a_row, "kept.jsonl", "lines, but the manifest says"),
    ("dedup", exchange_rows, "ledger/manifest.json", "its rows and gaps"),
    ("dedup", drop_a_row, "kept.jsonl", "lines, but the manifest says"),
    ("dedup", drop_a_row_everywhere, "ledger/manifest.json", "`of_rows.kept`"),
    ("dedup", swap_neighbours, "ledger/manifest.json", REBUILT),
    ("dedup", change_a_word, "ledger/manifest.json", REBUILT),
    ("packed", change_an_event, "decisions.jsonl", "something else"),
    ("dedup", split_a_row, "kept.jsonl", "is no JSON object"),
    ("recipe", break_a_rewritten_row, "kept.jsonl", "is no JSON object"),
    ("recipe", change_one_copy, "ledger/order.npy", "is no copy of row"),
    ("dedup", delete_a_decision, "decisions.jsonl", "but has no decision"),
    ("referred", delete_a_decision, "decisions.jsonl", "but has no decision"),
    ("dry", delete_a_decision, "decisions.jsonl", "but has no decision"),
    ("dedup", change_a_reason, "decisions.jsonl", '`reason` is "near-duplicate"'),
    ("recipe", invent_an_event, "report.json", "`steps[4].flagged`"),
    ("recipe", swap_decisions, "decisions.jsonl", "is about row"),
    ("dedup", move_a_decision, "decisions.jsonl", "begins at byte"),
    ("referred", move_a_decision, "decisions.jsonl", "begins at byte"),
    ("dedup", change_a_file, "decisions.jsonl", "`file` is"),
    ("dedup", point_at_a_removed_row, "ledger/witness.npy", "was not kept itself"),
    ("recipe", point_at_a_removed_row, "ledger/witness.npy", "was not kept itself"),
    ("recipe", forget_a_witness, "ledger/witness.npy", "should have one"),
    ("late", forget_a_witness, "ledger/witness.npy", "should have one"),
    ("dedup", change_what_is_shared, "decisions.jsonl", "`shared` is"),
    ("dedup", flip_a_state, "ledger/witness.npy", "has a witness, or should have one"),
    ("referred", flip_a_state, "ledger/manifest.json", "`of_rows.kept`"),
    ("recipe", change_a_step, "decisions.jsonl", "`step` is"),
    ("dedup", change_a_line, "ledger/line.npy", "is on line"),
    ("trial", change_a_line, "ledger/line.npy", "is on line"),
    ("dry", change_a_line, "ledger/line.npy", "is on line"),
    ("dedup", widen_a_column, "ledger/state.npy", "of shape"),
    ("dedup", remove_a_gap, "ledger/manifest.json", "its rows and gaps have"),
    ("dry", remove_a_gap, "ledger/line.npy", "is on line"),
    ("dedup", move_a_gap, "ledger/line.npy", "is on line"),
    ("dedup", fill_a_gap, "ledger/gaps.bin", "holds what is no gap"),
    ("dedup", shift_an_index, "ledger/index/kept.jsonl.npy", "line 1025 begins at"),
    ("packed", shift_a_packed_index, "ledger/index/removed-00001.jsonl.zst.npy", "ascending"),
    ("packed", pack_other_frames, "removed-00001.jsonl.zst", "lines, not"),
    ("recipe", change_the_order, "ledger/manifest.json", "its rows and gaps"),
    ("recipe", order_another_row, "ledger/order.npy", "does not hold each kept row"),
    ("recipe", forget_an_original, "decisions.jsonl", "what it was before is not there"),
    ("recipe", rewrite_a_kept_row, "ledger/rewritten.npy", "is not removed or quarantined"),
    ("recipe", change_a_flag, "ledger/flags/long.npy", "`rows with a flag`"),
    ("recipe", change_a_parent, "decisions.jsonl", "cannot be made of row"),
    ("dedup", change_an_input, "ledger/manifest.json", "its rows and gaps have"),
    ("trial", leave_a_row_out, "ledger/state.npy", "is not looked at, but others are"),
    ("dedup", name_a_file, "more.txt", "is none that a run writes"),
    ("dedup", _in_report(count_more_kept), "report.json", "`kept` is"),
    ("recipe", _in_report(count_more_kept), "report.json", "`kept` is"),
    ("dedup", _in_report(count_another_reason), "report.json", "`removed` is"),
    ("recipe", _in_report(count_in_another_file), "report.json", "`files[1].kept` is"),
    ("recipe", _in_report(count_in_another_step), "report.json", "`steps[3].removed` is"),
    ("recipe", _in_report(let_fewer_rows_in), "report.json", "`steps[4].rows` is"),
    ("recipe", _in_report(count_lines), "report.json", "`written.kept.jsonl.rows` is"),
    ("recipe", _in_report(write_less), "report.json", "`written` tells of"),
]


def damaged(path: Path, to: Path, damage: Callable[[Folder], None], *, covered: bool) -> list[str]:
    """Damage a copy of a folder, and tell what is found."""
    shutil.copytree(path, to)
    folder = Folder(to)
    damage(folder)
    if covered:
        folder.seal()
    return [str(problem) for problem in verify(to).problems]


def named(case: object) -> str | None:
    return f"{case[0]}-{case[1].__name__}" if isinstance(case, tuple) else None


@pytest.mark.parametrize("case", OPEN, ids=named)
def test_damage_is_found(folders: dict[str, Path], tmp_path: Path, case: Case) -> None:
    kind, damage, file, what = case
    told = damaged(folders[kind], tmp_path / "out", damage, covered=False)
    assert any(one.startswith(f"{file}: ") and what in one for one in told), told


@pytest.mark.parametrize("case", COVERED, ids=named)
def test_damage_that_is_covered_up_is_found(
    folders: dict[str, Path], tmp_path: Path, case: Case
) -> None:
    kind, damage, file, what = case
    told = damaged(folders[kind], tmp_path / "out", damage, covered=True)
    assert any(one.startswith(f"{file}: ") and what in one for one in told), told
    assert not any("is not what was written" in one for one in told)


@pytest.mark.parametrize("kind", ["dedup", "recipe", "packed-recipe", "dry"])
def test_sealing_a_whole_folder_damages_nothing(
    folders: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    """Else the test above would prove nothing."""
    assert damaged(folders[kind], tmp_path / "out", lambda _: None, covered=True) == []


@pytest.mark.parametrize("kind", ["dedup", "recipe", "packed-recipe", "dry"])
def test_no_byte_of_a_folder_may_change(
    folders: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    """And whatever it is, it is told as a problem."""
    shutil.copytree(folders[kind], tmp_path / "out")
    chance = random.Random(11)
    paths = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    for path in paths:
        whole = path.read_bytes()
        if not whole or path.name == "run.json":
            continue
        content = bytearray(whole)
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        assert verify(tmp_path / "out").total, path
        path.write_bytes(whole[: chance.randrange(len(whole))])
        assert verify(tmp_path / "out").total, path
        path.write_bytes(whole)
    assert verify(tmp_path / "out").total == 0


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_damage_brings_it_down(folders: dict[str, Path], data: st.DataObject) -> None:
    """Whatever stands in a file whose hashes are right, there is an answer, and no exception."""
    kind = data.draw(st.sampled_from(["dedup", "recipe", "packed-recipe", "referred", "trial"]))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "out")
        shutil.copytree(folders[kind], path)
        folder = Folder(path)
        files = sorted(folder.document("ledger/manifest.json")["files"])
        for one in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=3)):
            content = bytearray((path / one).read_bytes())
            for _ in range(data.draw(st.integers(1, 4)) if content else 0):
                at = data.draw(st.integers(0, len(content)))
                content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
            (path / one).write_bytes(content)
        try:
            folder.seal()
        except ValueError:
            return  # the report is none any more, which other tests are about
        verify(path)


def test_the_command_says_that_all_is_well(folders: dict[str, Path]) -> None:
    ended = run(*VERIFY, folders["dedup"])
    assert ended.returncode == 0
    told = f"{verify(folders['dedup']).rows:,} rows, "
    assert ended.stdout.decode().startswith(told)
    assert ended.stdout.endswith(b" hashes: all is as it should be\n")
    ended = run(*VERIFY, "--quiet", folders["dedup"])
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_the_command_lists_what_is_wrong(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["dedup"], tmp_path / "out")
    folder = Folder(tmp_path / "out")
    folder.save_decisions([])
    folder.seal()
    ended = run(*VERIFY, "--quiet", "out", cwd=tmp_path)
    assert ended.returncode == 3
    *shown, last = ended.stdout.decode().splitlines()
    assert len(shown) == 20
    assert all(line.startswith("decisions.jsonl: row ") for line in shown)
    count = int(last.removeprefix("and ").removesuffix(" more"))
    assert count + 20 >= len(Folder(folders["dedup"]).decisions())
    assert ended.stderr.decode() == f"error: out: {count + 20} problems found\n"


def test_what_is_no_run_is_not_verified(tmp_path: Path) -> None:
    assert "is not the output of a run" in complaint(2, run(*VERIFY, "-q", tmp_path))
    with pytest.raises(CurateError, match="is not the output of a run"):
        verify(tmp_path / "nowhere")


def test_it_shares_no_code_with_what_writes() -> None:
    allowed = {"numpy", "msgspec", "xxhash", "curatekit.errors", "curatekit._native.unpack"}
    folder = Path(verify_module.__file__).parent
    assert folder.name == "verify"
    modules = sorted(folder.glob("*.py"))
    assert len(modules) > 5
    for module in modules:
        for node in ast.walk(ast.parse(module.read_bytes())):
            if isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                names = {f"{node.module}.{alias.name}" for alias in node.names}
            else:
                continue
            for name in names:
                top = name.partition(".")[0]
                is_ours = name.startswith("curatekit.verify.")
                is_allowed = any(name == one or name.startswith(f"{one}.") for one in allowed)
                assert top in sys.stdlib_module_names or is_ours or is_allowed, (module, name)
