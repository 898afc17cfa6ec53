"""Real datasets through the real command: nothing is lost or changed, and every witness holds."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from running import DATA, Layout, Output, Place, dedup, needs_data, places

pytestmark = needs_data

FILES: dict[str, tuple[str, Layout]] = {
    "instruct/alpaca_identity_placeholders.json": ("alpaca", "array"),
    "instruct/alpaca_tiny_fixture.json": ("alpaca", "array"),
    "instruct/gpteacher_roleplay_alpaca.json": ("alpaca", "array"),
    "instruct/gpteacher_toolformer_sim0.6.json": ("alpaca", "array"),
    "instruct/gpteacher_toolformer_sim0.7.json": ("alpaca", "array"),
    "instruct/ja_instruction.jsonl": ("record", "lines"),
    "instruct/prompt_completion.jsonl": ("prompt-completion", "lines"),
    "instruct/ru_seed_tasks.jsonl": ("record", "lines"),
    "instruct/self_instruct_seed_tasks.jsonl": ("record", "lines"),
    "instruct/self_instruct_user_oriented.jsonl": ("record", "lines"),
    "instruct/sharegpt_conversation.json": ("sharegpt", "object"),
    "instruct/sharegpt_conversation_missing_turns.json": ("sharegpt", "object"),
    "instruct/sharegpt_identity_dummy.json": ("sharegpt", "array"),
    "instruct/sharegpt_toolcalls_glaive_en.json": ("sharegpt", "array"),
    "instruct/text_wikisql_train.jsonl": ("text", "lines"),
    "instruct/text_wikisql_valid.jsonl": ("text", "lines"),
    "instruct/tools_bfcl_multi_turn.jsonl": ("record", "lines"),
    "instruct/tools_bfcl_simple_python.jsonl": ("record", "lines"),
    "instruct/tools_bfcl_simple_python_answers.jsonl": ("record", "lines"),
    "instruct/zh_seed_tasks.jsonl": ("record", "lines"),
    "preference/hh_rlhf_harmless_test_head300.jsonl": ("preference", "lines"),
}
COMPARED = {
    "alpaca": ("instruction", "input", "output", "response", "system", "history"),
    "prompt-completion": ("prompt", "completion"),
    "sharegpt": ("conversations", "system", "tools", "images"),
    "text": ("text",),
    "preference": ("prompt", "chosen", "rejected"),
}


@dataclass(frozen=True)
class Run:
    """One of the files, and what became of it."""

    path: Path
    format: str
    layout: Layout
    places: list[Place]
    output: Output


@pytest.fixture(scope="module", params=FILES)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    name: str = request.param
    format, layout = FILES[name]
    path = DATA / name
    output = dedup(tmp_path_factory.mktemp("real") / "out", path)
    return Run(path, format, layout, places(path.read_bytes(), layout), output)


def compared(row: bytes, format: str) -> str:
    """What of a row its format compares, as text."""
    record: dict[str, Any] = json.loads(row)
    return json.dumps([record.get(key) for key in COMPARED.get(format, record)])


def chat(row: bytes) -> dict[str, Any]:
    """A row of the function calling leaderboard in the layout that trainers take."""
    task = json.loads(row)
    return {"messages": task["question"][0], "tools": task["function"]}


def test_the_table_names_every_file() -> None:
    found = [path for folder in ("instruct", "preference") for path in (DATA / folder).iterdir()]
    assert sorted(path.relative_to(DATA).as_posix() for path in found) == sorted(FILES)


def test_the_format_is_told_and_no_row_is_bad(ran: Run) -> None:
    report = ran.output.report
    assert (report["rows"], report["quarantined"]) == (len(ran.places), {})
    (file,) = report["files"]
    assert (file["name"], file["format"], file["framing"]) == (
        str(ran.path),
        ran.format,
        ran.layout,
    )
    assert (file["rows"], file["bytes"]) == (len(ran.places), ran.path.stat().st_size)


def test_no_row_is_lost_or_changed(ran: Run) -> None:
    assert ran.output.rows() == [place.row for place in ran.places]


def test_the_counts_are_those_of_the_files(ran: Run) -> None:
    report, output = ran.output.report, ran.output
    assert report["kept"] == len(output.kept)
    assert sum(report["removed"].values()) == len(output.removed)
    assert sum(report["quarantined"].values()) == len(output.quarantined) == 0
    for reason, rows in report["removed"].items():
        assert output.fates().count(reason) == rows


def test_every_witness_is_kept_and_comes_earlier(ran: Run) -> None:
    fates = ran.output.fates()
    for decision in ran.output.decisions:
        witness = decision["witness"]
        assert witness["row"] < decision["row"]
        assert fates[witness["row"]] == "kept"
        for place in (decision, witness):
            assert place["file"] == str(ran.path)
            assert place["line"] == ran.places[place["row"]].line
        assert decision["byte"] == ran.places[decision["row"]].byte


def test_copies_are_copies_and_near_duplicates_are_alike(ran: Run) -> None:
    rows = [compared(place.row, ran.format) for place in ran.places]
    for decision in ran.output.decisions:
        if decision["reason"] == "exact-duplicate":
            assert rows[decision["row"]] == rows[decision["witness"]["row"]]
        else:
            assert decision["shared"] * 1000 >= decision["united"] * 800
    kept = [row for row, fate in zip(rows, ran.output.fates(), strict=True) if fate == "kept"]
    assert len(set(kept)) == len(kept)


@pytest.mark.parametrize(
    "name", ["instruct/prompt_completion.jsonl", "instruct/sharegpt_identity_dummy.json"]
)
def test_a_copy_of_a_near_removed_row_names_the_kept_row(tmp_path: Path, name: str) -> None:
    """The copies are spelled anew, so that only what they say is equal."""
    rows = [place.row for place in places((DATA / name).read_bytes(), FILES[name][1])]
    source = tmp_path / "rows.jsonl"
    source.write_bytes(b"\n".join(rows))
    options = ("--alike", "each-role", "--max-drop", "1")
    alone = dedup(tmp_path / "alone", source, *options)
    near = [decision for decision in alone.decisions if decision["reason"] == "near-duplicate"]
    assert len(near) > 20
    copies = [json.dumps(json.loads(rows[decision["row"]]), indent=1) for decision in near]
    (tmp_path / "more.jsonl").write_text("\n".join(copy.replace("\n", "") for copy in copies))
    both = dedup(tmp_path / "both", source, tmp_path / "more.jsonl", *options)
    assert both.decisions[: len(alone.decisions)] == alone.decisions
    evidence = ("reason", "witness", "shared", "united", "roles")
    of_copies = both.decisions[len(alone.decisions) :]
    assert [decision["row"] for decision in of_copies] == [*range(len(rows), len(rows + copies))]
    assert [[decision[key] for key in evidence] for decision in of_copies] == [
        [decision[key] for key in evidence] for decision in near
    ]


@pytest.mark.parametrize("format", ["sharegpt", "chat"])
def test_rows_that_differ_only_in_tools_both_stay(tmp_path: Path, format: str) -> None:
    """Each row is followed by itself with one word more in its tools: both meet the same fate."""
    if format == "sharegpt":
        rows = json.loads((DATA / "instruct/sharegpt_toolcalls_glaive_en.json").read_bytes())
        more = [row | {"tools": row["tools"] + " more"} for row in rows]
    else:
        path = DATA / "instruct/tools_bfcl_simple_python.jsonl"
        rows = [chat(place.row) for place in places(path.read_bytes(), "lines")]
        more = [row | {"tools": [*row["tools"], {"name": "more"}]} for row in rows]
    pairs = [json.dumps(row) for pair in zip(rows, more, strict=True) for row in pair]
    (tmp_path / "rows.jsonl").write_text("\n".join(pairs))
    output = dedup(tmp_path / "out", tmp_path / "rows.jsonl")
    assert output.report["files"][0]["format"] == format
    fates = output.fates()
    assert fates[::2] == fates[1::2]
    assert fates.count("kept") > len(fates) * 0.8
    assert all(
        decision["row"] % 2 == decision["witness"]["row"] % 2 for decision in output.decisions
    )
