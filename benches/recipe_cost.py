"""What a recipe costs: copying, filters over core columns, two processes instead of one, starting.

    python benches/recipe_cost.py [--runs N]

The rows are docstrings of the Python that runs this, as `make demo` writes them, many times over;
and the same texts joined to rows of some thousand characters, as answers of chat models are. Files
stand in memory (`/dev/shm`) where there is such a folder. Figures are the least of some runs in one
sitting, one after the other; a recipe that is carried out wrong ends it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Cost, run

ROOT = Path(__file__).parent.parent
README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- recipes -->", "<!-- end of recipes -->"
PLUGIN = Path(__file__).with_name("five_filters.py")
COLUMNS = ("chars", "words", "lines", "symbols", "digits")
MEGABYTES = 600
LONG = 2000
"""Characters from which a row of joined texts is long enough."""


def main() -> None:
    """Measure, and write the figures to benches/README.md."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    shared = Path("/dev/shm")  # noqa: S108 (a folder of ours is made in it)
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as made:
        folder = Path(made)
        lines = [*copying(folder, runs), *workers(folder), *starting(runs)]
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {told} |" for name, told in lines)])
    print(table)
    text = README.read_text()
    head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
    README.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}")


def copying(folder: Path, runs: int) -> list[tuple[str, str]]:
    """Measure a recipe without steps, and one with five filters."""
    lines = []
    for name, file in rows(folder).items():
        size, count = file.stat().st_size, file.read_bytes().count(b"\n")
        none, five = recipe(folder, file, []), recipe(folder, file, COLUMNS)
        costs: dict[Path, list[Cost]] = {none: [], five: []}
        copied: dict[Path, list[float]] = {none: [], five: []}
        for _ in range(runs):
            for path, found in costs.items():
                found.append(carried_out(path, count))
                copied[path].append(copying_seconds(folder))
        bare, filtered = (min(cost.cpu_seconds for cost in found) for found in costs.values())
        start = started(folder)
        mean = f"{name}, {size / count:,.0f} bytes on average"
        speed, core = size / 1e9 / (bare - start), size / 1e9 / min(copied[none])
        told = f"{core:.2f} GB/s a core, found, validated, hashed and written"
        lines.append((f"no steps: {mean}", f"{told}; {speed:.2f} GB/s with the count at the end"))
        micros = (filtered - bare) / count * 1e6
        lines.append((f"five filters over core columns: {mean}", f"{micros:.2f} µs a row in all"))
        file.unlink()
    return lines


def rows(folder: Path) -> dict[str, Path]:
    """Write rows of two lengths."""
    once = folder / "once.jsonl"
    command = [sys.executable, str(ROOT / "examples" / "stdlib_chat.py"), str(once)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    short = once.read_bytes()
    said = [json.loads(line)["messages"][1]["content"] for line in short.splitlines()]
    long, text = [], ""
    for one in said:
        text += f"{' '.join(one.split())} "
        if len(text) > LONG:
            turns = [("user", "Tell me more."), ("assistant", text)]
            messages = [{"role": role, "content": content} for role, content in turns]
            long.append(json.dumps({"messages": messages}, ensure_ascii=False))
            text = ""
    once.unlink()
    files = {}
    joined = "".join(f"{line}\n" for line in long).encode()
    for name, content in (("docstrings", short), ("joined docstrings", joined)):
        files[name] = folder / f"{name.replace(' ', '-')}.jsonl"
        files[name].write_bytes(content * (MEGABYTES * 1_000_000 // len(content)))
    return files


def recipe(folder: Path, file: Path, steps: tuple[str, ...] | list[str]) -> Path:
    """Write a recipe with some of the filters."""
    path = folder / f"{file.stem}-{len(steps)}.toml"
    head = [f"input = ['{file}']", f"output = '{folder / 'out'}'", f"plugins = ['{PLUGIN}']"]
    uses = [f"[[step]]\nuse = '{PLUGIN.stem}.{step}'" for step in steps]
    path.write_text("\n".join([*head, *uses]))
    return path


def carried_out(path: Path, count: int, workers: int = 1) -> Cost:
    """Carry a recipe out, and see that it kept every row."""
    command = [sys.executable, "-m", "curatekit", "run", "--quiet", "--force", path]
    cost = run([*map(str, command), "--workers", str(workers)], os.environ)
    report = json.loads((path.parent / "out" / "report.json").read_bytes())
    if report["kept"] != count:
        sys.exit(f"{report['kept']:,} of {count:,} rows were kept")
    return cost


def workers(folder: Path) -> list[tuple[str, str]]:
    """Measure a filter that reads texts, with one process and with two."""
    file = rows(folder)["docstrings"]
    count = file.read_bytes().count(b"\n")
    path = folder / "texts.toml"
    step = "[[step]]\nuse = 'quality.repetition'\nmode = 'flag'\n"
    path.write_text(f"input = ['{file}']\noutput = '{folder / 'out'}'\n{step}")
    one, two = (carried_out(path, count, number).wall_seconds for number in (1, 2))
    told = f"{two / one:.2f} of the time of one ({two:.1f} s and {one:.1f} s)"
    return [("two processes, `quality.repetition` over docstrings", told)]


def starting(runs: int) -> list[tuple[str, str]]:
    """Measure how long it takes before anything happens."""
    python = [sys.executable, "-c"]
    nothing = best([*python, "pass"], runs)
    imported = best([*python, "import curatekit"], runs) - nothing
    told = best([sys.executable, "-m", "curatekit", "--help"], runs)
    return [
        ("`import curatekit`", f"{imported:.3f} s"),
        ("`curatekit --help`", f"{told:.3f} s, {nothing:.3f} s of it Python's own start"),
    ]


def started(folder: Path) -> float:
    """Measure the CPU of a run over one row: what every run takes."""
    file = folder / "one.jsonl"
    file.write_text('{"text": "one"}\n')
    return min(carried_out(recipe(folder, file, []), 1).cpu_seconds for _ in range(3))


def copying_seconds(folder: Path) -> float:
    """Tell how long the last run, on one thread, took to find, validate and copy its rows."""
    seconds = json.loads((folder / "out" / "run.json").read_bytes())["seconds"]
    return float(sum(seconds[stage] for stage in ("find", "read", "write")))


def best(command: list[str], runs: int) -> float:
    """Measure the least time that a command takes."""
    times = []
    for _ in range(max(7, runs)):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main()
