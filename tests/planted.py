"""Plant bugs in a copy of the core, one at a time: the comparison with the reference catches each.

    python tests/planted.py [WORD...]

Needs what `make test` sets up, and takes some minutes; words choose bugs. Fails if a bug is not
caught, or if the place where it belongs is no longer there.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
CORE = Path("rust/core/src")
COPIED = ("Cargo.toml", "Cargo.lock", "pyproject.toml", "rust", "python", "tests")
LIBRARY = "lib_native.dylib" if sys.platform == "darwin" else "lib_native.so"


class Bug(NamedTuple):
    """A small change to a file of the core that makes it wrong, and in what way."""

    wrong: str
    file: str
    old: str
    new: str


BUGS = (
    Bug(
        "a pair exactly at the threshold is not alike",
        "verify.rs",
        "(shared >= needed).then_some(shared)",
        "(shared > needed).then_some(shared)",
    ),
    Bug(
        "the most similar role is reported, not the least",
        "verify.rs",
        "overlap.is_less_than(least)",
        "least.is_less_than(overlap)",
    ),
    Bug(
        "a row is removed for a neighbour that was removed itself",
        "cluster.rs",
        "if settled.is_kept[other] {",
        "if true {",
    ),
    Bug(
        "a prefix is one element too short",
        "prefix.rs",
        "let prefix = elements.len() + 1 - least;",
        "let prefix = elements.len().max(least + 1) - least;",
    ),
    Bug(
        "two of the family may go another way",
        "consensus.rs",
        "count <= 1 || 5 * count < total",
        "count <= 2 || 5 * count < total",
    ),
    Bug(
        "a fifth of the family may go another way",
        "consensus.rs",
        "5 * count < total",
        "5 * count <= total",
    ),
    Bug(
        "a context that stands again and again is asked like any other",
        "consensus.rs",
        "if !is_few(places - told) {",
        "if places < told {",
    ),
    Bug(
        "the rest is what half of a family does not say",
        "consensus.rs",
        "(count as usize) < self.enough",
        "count as usize * 2 <= self.size",
    ),
    Bug(
        "a difference that enough others share is no difference",
        "consensus.rs",
        "rest.shared + different;",
        "rest.united + 0 * different;",
    ),
    Bug(
        "the last words of a text weigh less than others",
        "consensus.rs",
        "[first, last].concat()",
        "[first, last][..1].concat()",
    ),
    Bug(
        "texts are linked at the threshold",
        "families.rs",
        "threshold_millis * 5 / 8",
        "threshold_millis",
    ),
    Bug(
        "numbers are counted, not compared",
        "consensus.rs",
        "numbers(&left[hunk.left.clone()]) != numbers(&right[hunk.right.clone()])",
        "numbers(&left[hunk.left.clone()]).len() != numbers(&right[hunk.right.clone()]).len()",
    ),
    Bug(
        "a copy of a removed row stays an exact duplicate",
        "dedup.rs",
        "if self.state[first] == State::NearDuplicate {",
        "if self.state[first] == State::Quarantined {",
    ),
    Bug(
        "marks are compared in the order in which they stand",
        "tokens.rs",
        "reorder(&mut self.run);",
        "reorder(&mut []);",
    ),
    Bug(
        "one of the last letters of a Hangul syllable is lost",
        "unicode/mod.rs",
        "(tail > 0).then_some",
        "(tail > 1).then_some",
    ),
    Bug(
        "nothing stands between the first two texts of a role",
        "shingles.rs",
        "if index > 0 {",
        "if index > 1 {",
    ),
    Bug(
        "all texts without a token are alike",
        "shingles.rs",
        "vec![mix(raw)]",
        "vec![mix(salt)]",
    ),
    Bug(
        "of equal keys the first counts",
        "parts.rs",
        "                found[at] = value;",
        "if found[at] == 0 { found[at] = value; }",
    ),
    Bug(
        "a character escaped as a surrogate pair becomes two",
        "value.rs",
        "if (0xDC00..0xE000).contains(&low) {",
        "if false {",
    ),
)


def build(copy: Path) -> None:
    """Build the native module of a copy, quickly, and put it in place."""
    target = ROOT / "build" / "planted"
    environment = os.environ | {"CARGO_TARGET_DIR": str(target), "PYO3_PYTHON": sys.executable}
    command = ["cargo", "build", "--quiet", "--locked", "--package", "curatekit-py"]
    subprocess.run(command, cwd=copy, env=environment, check=True)
    shutil.copy(target / "debug" / LIBRARY, copy / "python/curatekit/_native.abi3.so")


def passes(copy: Path) -> bool:
    """Run the comparison with the reference in a copy."""
    environment = os.environ | {"PYTHONPATH": str(copy / "python")}
    command = [sys.executable, "-m", "pytest", "-qx", "tests/test_reference.py"]
    run = subprocess.run(
        command, cwd=copy, env=environment, check=False, capture_output=True, text=True
    )
    if run.returncode not in (0, 1):
        sys.exit(f"{copy}: the tests do not run\n{run.stdout}{run.stderr}")
    return run.returncode == 0


def is_caught(bug: Bug, copy: Path) -> bool:
    """Plant one bug, see what the tests say, and take it out again."""
    file = copy / CORE / bug.file
    good = file.read_text(encoding="utf-8")
    file.write_text(good.replace(bug.old, bug.new), encoding="utf-8")
    try:
        build(copy)
        return not passes(copy)
    finally:
        file.write_text(good, encoding="utf-8")


def main() -> None:
    """Plant the bugs that were asked for, or all."""
    bugs = [bug for bug in BUGS if all(word in bug.wrong for word in sys.argv[1:])]
    for bug in bugs:
        times = (ROOT / CORE / bug.file).read_text(encoding="utf-8").count(bug.old)
        if times != 1:
            sys.exit(f"{CORE / bug.file}: `{bug.old}` stands there {times} times, not once")
    missed = 0
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            # Copied files are new, or cargo would take what it built of an earlier copy for this.
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, copy_function=shutil.copyfile)
            else:
                shutil.copyfile(ROOT / name, copy / name)
        build(copy)
        if not passes(copy):
            sys.exit("the tests fail without a bug\nhint: mend that first")
        for bug in bugs:
            caught = is_caught(bug, copy)
            missed += not caught
            print("caught" if caught else "MISSED", bug.wrong, flush=True)
    sys.exit(f"{missed} of {len(bugs)} bugs were not caught" if missed else 0)


if __name__ == "__main__":
    main()
