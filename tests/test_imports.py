"""The shape of the house: who imports whom, and rooms that must not be built."""

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "python" / "curatekit"

# `a ← b`: b may import a, and whatever a stands on. A new module is drawn here, or the test fails.
DRAWING = """
    errors ← output ← inputs ← dedup, records
    formats ← settings, _native ← dedup ← run
    settings, _native ← records ← steps ← hookspecs, options ← plugins
    backends ← steps
    steps ← built_in ← recipe
    plugins ← recipe, cli, testing ← scaffold
    steps ← frames ← worker, crew
    built_in, plugins ← worker
    errors ← interrupt ← output, stages
    output, frames ← journal ← stages
    frames ← crew ← stages ← barriers ← curate ← cli
    dedup, gauge ← barriers
    dedup ← curate
    output, _native ← manifest ← columns, publish, decided
    settings, evidence ← decided ← dedup
    columns ← ledger, fates, recipe_report, brakes
    output, evidence, _native ← ledger ← folder
    report ← publish ← dedup
    evidence ← dedup
    steps, evidence ← fates ← stages
    recipe ← recipe_schema ← cli
    recipe ← stages
    settings, _native ← notices ← report ← brakes
    report ← gauge ← run, curate
    fates, recipe ← recipe_report
    report ← recipe_report ← curate
    evidence ← report, folder
    recipe ← brakes
    output, _native ← folder ← brakes ← run, curate ← cli
    folder ← explain ← diff ← cli
    ledger ← compare ← diff
    curate ← diff
    ledger ← restore ← cli
    errors, _native ← verify ← cli
    errors, dedup, records, run ← __init__ ← cli ← __main__
"""
HEAPS = ("utils", "util", "common", "helpers", "base", "manager", "api", "registry", "logging")


def foundations(drawing: str) -> dict[str, set[str]]:
    """Give for every module of the drawing the modules that it may import."""
    direct = defaultdict[str, set[str]](set)
    for line in drawing.split("\n"):
        ranks = [[name.strip() for name in rank.split(",")] for rank in line.split("←")]
        for below, above in pairwise(ranks):
            for name in above:
                direct[name].update(below)

    def stands_on(name: str) -> set[str]:
        return direct[name].union(*map(stands_on, direct[name]))

    drawn = {name for names in direct.values() for name in names} | set(direct)
    return {name: stands_on(name) for name in drawn}


def arrows(package: Path) -> Iterator[tuple[str, str, str]]:
    """Yield importer, imported and place of every import inside the package."""
    modules = {path.stem for path in package.iterdir()}
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.pyi")]):
        inner = path.relative_to(package)
        importer = inner.parts[0].partition(".")[0]
        for node in ast.walk(ast.parse(path.read_bytes(), path)):
            match node:
                case ast.Import(names=names):
                    dotted = [alias.name for alias in names]
                case ast.ImportFrom(level=1 | 2 | 3):
                    pytest.fail(f"{inner}:{node.lineno}: an import names the whole path")
                case ast.ImportFrom(module="curatekit", names=names):
                    dotted = [f"curatekit.{alias.name}" for alias in names]
                case ast.ImportFrom(module=str(module)):
                    dotted = [module]
                case _:
                    continue
            for name in dotted:
                top, _, rest = name.partition(".")
                if top == "curatekit":
                    imported = rest.partition(".")[0]
                    imported = imported if imported in modules else "__init__"
                    if imported != importer:
                        yield importer, imported, f"{inner}:{node.lineno}"


def wrong(package: Path, drawing: str) -> list[str]:
    """List what a package does that the drawing does not show."""
    allowed = foundations(drawing)
    present = {path.stem for path in package.iterdir() if path.suffix in {"", ".py", ".pyi"}}
    present -= {"__pycache__", "py"}
    return [
        *(f"{name}: not in the drawing" for name in sorted(present - allowed.keys())),
        *(f"{name}: drawn, but not there" for name in sorted(allowed.keys() - present)),
        *(
            f"{place}: {importer} imports {imported}"
            for importer, imported, place in arrows(package)
            if imported not in allowed.get(importer, ())
        ),
    ]


def test_the_drawing_holds() -> None:
    assert wrong(PACKAGE, DRAWING) == []


@pytest.mark.parametrize(
    ("module", "text", "found"),
    [
        ("errors.py", "from curatekit.run import go", "errors.py:1: errors imports run"),
        ("errors.py", "from curatekit import run", "errors.py:1: errors imports run"),
        ("errors.py", "def f():\n    import curatekit.run", "errors.py:2: errors imports run"),
        ("errors.py", "import curatekit", "errors.py:1: errors imports __init__"),
        ("cli/show.py", "from curatekit import Public", "cli/show.py:1: cli imports __init__"),
        ("extra.py", "", "extra: not in the drawing"),
    ],
)
def test_what_is_not_drawn_is_found(tmp_path: Path, module: str, text: str, found: str) -> None:
    for name in ("__init__.py", "errors.py", "run.py", "cli/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("from curatekit import errors" if name == "run.py" else "")
    drawing = "errors ← run ← cli, __init__"
    assert wrong(tmp_path, drawing) == []
    (tmp_path / module).write_text(text)
    assert wrong(tmp_path, drawing) == [found]


def test_the_core_knows_nothing_of_python() -> None:
    core = tomllib.loads((ROOT / "rust/core/Cargo.toml").read_text())
    tables = [core, *core.get("target", {}).values()]
    kinds = [table[kind] for table in tables for kind in table if "dependencies" in kind]
    needs = {name for kind in kinds for name in kind}
    assert needs.isdisjoint({"pyo3", "pyo3-ffi", "numpy", "curatekit-py"})
    assert needs  # the check above reads what it means to read


def test_no_room_is_a_heap() -> None:
    folders = [ROOT / folder for folder in ("python", "rust", "tests")]
    sources = [path for folder in folders for path in folder.rglob("*.*")]
    assert len(sources) > 10
    assert [path for path in sources if {path.stem, path.parent.name} & set(HEAPS)] == []
