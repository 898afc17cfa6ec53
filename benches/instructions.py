"""Count the instructions of the kernels, and compare with what they were.

    python benches/instructions.py [--write] [WORD...]

Valgrind counts, so the figures hardly depend on the machine or on what else it does. It knows no
AVX-512: those kernels are seen by the clock alone, in `cargo bench`. Fails if a kernel takes more
than 3 % more instructions than `instructions.tsv` says, and tells if one takes less, so that the
file can be written anew with `--write`. With another compiler than the one of the file, or on a
machine without AVX2, all is told and nothing fails.
"""

import argparse
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_suffix(".tsv")
PROGRAM = ROOT / "target/release/one_kernel"
BUILD = ["cargo", "build", "--quiet", "--locked", "--release", "--package", "curatekit-counts"]

MARGIN = 0.03

# Work of other threads is not counted, and that is most of it.
ELSEWHERE = "bands"


def build() -> list[str]:
    """Build the program that runs a kernel, and list those that valgrind can run."""
    subprocess.run(BUILD, cwd=ROOT, check=True)
    command = ["valgrind", "--quiet", "--tool=none", str(PROGRAM)]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [name for name in names.splitlines() if name.split(" ")[0] != ELSEWHERE]


def count(name: str) -> int:
    """Count the instructions that a kernel takes, all that it calls included."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += ["--toggle-collect=one_kernel::counted*", str(PROGRAM), name]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if not found or found[1] == "0":
        sys.exit(f"valgrind counted nothing of `{name}`\n{run.stderr}")
    return int(found[1])


def load() -> tuple[str, dict[str, int]]:
    """Read the compiler and the counts of the file."""
    if not FILE.exists():
        return "none", {}
    compiler, *lines = FILE.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t") for line in lines)
    return compiler, {name: int(instructions) for name, instructions in pairs}


def verdict(before: int | None, now: int) -> str:
    """Say what became of a count."""
    if before is None:
        return "NEW"
    if now > before * (1 + MARGIN):
        return "SLOWER"
    return "faster" if now < before * (1 - MARGIN) else ""


def main() -> None:
    """Count, tell, and compare or write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the counts into the file")
    parser.add_argument("words", nargs="*", metavar="WORD", help="count kernels named so")
    asked = parser.parse_args()
    if platform.machine() != "x86_64" or sys.platform != "linux":
        print("instructions are counted on x86-64 Linux alone")
        return
    if not shutil.which("valgrind"):
        sys.exit("valgrind: not found\n  hint: install it: `apt-get install valgrind`")
    compiler = subprocess.run(
        ["rustc", "--version"], check=True, capture_output=True, text=True
    ).stdout.strip()
    known_compiler, known = load()
    names = build()
    chosen = [name for name in names if all(word in name for word in asked.words)]
    counts = {name: count(name) for name in chosen}
    told = {name: verdict(known.get(name), now) for name, now in counts.items()}
    for name, now in counts.items():
        change = f"{now / known[name] - 1:+8.2%}" if name in known else " " * 8
        print(f"{name:28} {now:12,} {change} {told[name]}")
    if asked.write:
        counts = {name: counts.get(name, known.get(name, 0)) for name in names}
        lines = [compiler, *(f"{name}\t{now}" for name, now in counts.items())]
        FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return
    if "faster" in told.values():
        print("hint: some are faster; keep that: python benches/instructions.py --write")
    gone = sorted(set(known) - set(names))
    if gone:
        print(f"not on this machine: {', '.join(gone)}")
    wrong = [name for name, said in told.items() if said in {"SLOWER", "NEW"}]
    if wrong and compiler != known_compiler:
        print(f"the counts are of {known_compiler}, and this is {compiler}: nothing fails")
    elif wrong and not gone:
        sys.exit(
            f"{len(wrong)} of {len(counts)} kernels take more instructions than before or are new\n"
            "hint: if that is worth it, say why: python benches/instructions.py --write"
        )


if __name__ == "__main__":
    main()
