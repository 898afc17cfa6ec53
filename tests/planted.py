"""Plant bugs in a copy, one at a time: the tests that are there for it catch each.

    python tests/planted.py [WORD...]

Bugs of the core are caught by the comparison with the reference, those of the journal by the
harness of faults. Needs what `make test` sets up, and takes some minutes; words choose bugs. Fails
if a bug is not caught, or if the place where it belongs is no longer there.
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


PACKAGE = Path("python/curatekit")
TESTS = {CORE: "tests/test_reference.py", PACKAGE: "tests/test_faults.py"}
"""What is to catch a bug, by the folder that it is in."""


class Bug(NamedTuple):
    """A small change to a file that makes it wrong, and in what way."""

    wrong: str
    file: str
    old: str
    new: str
    more: tuple[tuple[str, str], ...] = ()
    """Further changes to the file, without which it would not even run."""
    folder: Path = CORE


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
        "fate => return fate == KEPT,",
        "_ => return true,",
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
        "list.push(mix(raw));",
        "list.push(mix(salt));",
    ),
    Bug(
        "of equal keys the first counts",
        "parts.rs",
        "                found[at] = value;",
        "if found[at] == 0 { found[at] = value; }",
    ),
    Bug(
        "a character escaped as a surrogate pair becomes two",
        "unescape.rs",
        "if (0xDC00..0xE000).contains(&low) {",
        "if false {",
    ),
)

JOURNAL_BUGS = (
    Bug(
        "a run that goes on appends to what a dead one left of its last frame",
        "journal.py",
        "            self._file.truncate(found.end)\n            self._file.seek(found.end)",
        "            self._file.seek(0, os.SEEK_END)",
    ),
    Bug(
        "the spool is not cut where it is no longer sure",
        "journal.py",
        "self._hash = xxh3_128(self._file.read(end - committed))",
        "self._hash = xxh3_128(self._file.read(end - committed)); self._file.seek(0, os.SEEK_END)",
        (("                self._file.truncate(end)\n", ""),),
    ),
    Bug(
        "the journal goes down to the disk before what it speaks of",
        "journal.py",
        "        self.add(self._spool.commit())\n",
        "        self.add(Commit(self._spool.end, self._spool._hash.hexdigest()))\n",
        (
            (
                "            os.fsync(self._file.fileno())\n        self._committed,",
                """            os.fsync(self._file.fileno())
        self._spool.commit()
        self._committed,""",
            ),
        ),
    ),
    Bug(
        "the folder of the journal is not brought down to the disk",
        "journal.py",
        "            sync(self._path.parent)\n            sync(self._path.parent.parent)\n",
        "",
    ),
    Bug(
        "the folder of what a deduplication removed is not brought down to the disk",
        "barriers.py",
        "            sync(path.parent)\n            sync(path.parent.parent)\n",
        "",
    ),
    Bug(
        "the folder in which OUT appears is not brought down to the disk",
        "output.py",
        "        sync(whole.parent)\n",
        "",
    ),
    Bug(
        "folders in OUT are not brought down to the disk",
        "output.py",
        "        sync(Path(folder))\n",
        "        pass\n",
    ),
    Bug(
        "a run goes on with the rows that are in no answer, whatever the stage",
        "stages.py",
        "        rows = self._rows[done : done + answered.rows]\n",
        "        rows = self._rows[done : done + answered.rows]\n"
        "        _SEEN.update(() if is_new else rows.tolist())\n",
        (
            (
                "            where = self._dataset.whereabouts(rows)\n",
                """            rows = rows[~np.isin(rows, list(_SEEN))]
            where = self._dataset.whereabouts(rows)
""",
            ),
            ("class Stage:\n", "_SEEN: set[int] = set()\n\n\nclass Stage:\n"),
        ),
    ),
    Bug(
        "frames are believed whatever their hash",
        "journal.py",
        " or xxh3_64_digest(body) != head[8:]",
        "",
    ),
    Bug(
        "the spool is believed whatever its hash",
        "journal.py",
        "if _hash_of(rows, frame.bytes - found.spooled) != frame.hash:",
        "if _hash_of(rows, frame.bytes - found.spooled) == frame:",
    ),
    Bug(
        "what is published is published again",
        "output.py",
        "(place / JOURNAL).exists() and not is_done",
        "(place / JOURNAL).exists()",
    ),
    Bug(
        "a lock keeps nobody out",
        "output.py",
        "fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(lock, fcntl.LOCK_UN)",
    ),
)


def build(copy: Path) -> None:
    """Build the native module of a copy, quickly, and put it in place."""
    target = ROOT / "build" / "planted"
    environment = os.environ | {"CARGO_TARGET_DIR": str(target), "PYO3_PYTHON": sys.executable}
    command = ["cargo", "build", "--quiet", "--locked", "--package", "curatekit-py"]
    subprocess.run(command, cwd=copy, env=environment, check=True)
    shutil.copy(target / "debug" / LIBRARY, copy / "python/curatekit/_native.abi3.so")


def failed(copy: Path, tests: str) -> str:
    """Run tests in a copy, and give what they say if one fails."""
    environment = os.environ | {"PYTHONPATH": str(copy / "python")}
    command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", tests]
    run = subprocess.run(
        command, cwd=copy, env=environment, check=False, capture_output=True, text=True
    )
    if run.returncode not in (0, 1):
        sys.exit(f"{copy}: the tests do not run\n{run.stdout}{run.stderr}")
    return run.stdout if run.returncode else ""


def is_caught(bug: Bug, copy: Path) -> bool:
    """Plant one bug, see what the tests say, and take it out again."""
    file = copy / bug.folder / bug.file
    good = file.read_text(encoding="utf-8")
    bad = good
    for old, new in ((bug.old, bug.new), *bug.more):
        bad = bad.replace(old, new)
    file.write_text(bad, encoding="utf-8")
    try:
        if bug.folder == CORE:
            build(copy)
        return bool(failed(copy, TESTS[bug.folder]))
    finally:
        file.write_text(good, encoding="utf-8")


def main() -> None:
    """Plant the bugs that were asked for, or all."""
    known = [*BUGS, *(bug._replace(folder=PACKAGE) for bug in JOURNAL_BUGS)]
    bugs = [bug for bug in known if all(word in bug.wrong for word in sys.argv[1:])]
    for bug in bugs:
        text = (ROOT / bug.folder / bug.file).read_text(encoding="utf-8")
        for old in (bug.old, *(old for old, _ in bug.more)):
            if (times := text.count(old)) != 1:
                sys.exit(f"{bug.folder / bug.file}: `{old}` stands there {times} times, not once")
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
        for tests in sorted({TESTS[bug.folder] for bug in bugs}):
            if told := failed(copy, tests):
                sys.exit(f"{told}\n{tests} fails without a bug\nhint: mend that first")
        bugs.sort(key=lambda bug: bug.folder == CORE)  # those build other natives
        for bug in bugs:
            caught = is_caught(bug, copy)
            missed += not caught
            print("caught" if caught else "MISSED", bug.wrong, flush=True)
    sys.exit(f"{missed} of {len(bugs)} bugs were not caught" if missed else 0)


if __name__ == "__main__":
    main()
