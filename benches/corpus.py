"""Build the corpus of the comparison: the documentation that Debian ships, cut into rows of 2 KB.

It repeats itself as real data does: two releases of one manual, pages beside their sources, the
same navigation on every page, equal paragraphs in different places. The result depends on nothing
but the versions of the packages and, for broken pages, of Python's `html.parser`. A manifest beside
it names the packages and has the SHA-256 of the rows.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

PACKAGES = (
    "cmake-doc",
    "git-doc",
    "libboost1.81-doc",
    "linux-doc-6.1",
    "llvm-14-doc",
    "llvm-15-doc",
    "postgresql-doc-15",
    "python-django-doc",
    "python-sqlalchemy-doc",
    "python3.11-doc",
    "qtbase5-doc-html",
    "sqlite3-doc",
    "vim-doc",
)
DEFAULT_FOLDER = Path(__file__).parent.parent / "build" / "bench"
ROW_CHARS = 2_000
"""A row ends at the first end of a paragraph after so many, or of a line after twice as many."""

_PARAGRAPH = frozenset(
    """
    address article aside blockquote body dd div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6
    header hr li main nav ol p pre section table ul
    """.split()  # noqa: SIM905 - thirty strings would be thirty lines
)
_LINE = frozenset(("br", "tr"))
_CELL = frozenset(("td", "th"))
_SILENT = frozenset(("script", "style", "svg"))


class Corpus(NamedTuple):
    """A file of rows, `{"text": ...}` each, and what it was made of."""

    path: Path
    rows: int
    bytes: int
    text_bytes: int
    sha256: str
    packages: dict[str, str]
    """Version of each package."""


def build(folder: Path) -> Corpus:
    """Build the corpus in `folder`, or check and take the one that is there already."""
    rows, manifest = folder / "corpus.jsonl", folder / "corpus.json"
    if not manifest.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            versions = _fetch(Path(scratch))
            facts = _write_rows(Path(scratch), rows)
        manifest.write_text(json.dumps(facts | {"packages": versions}, indent=2) + "\n")
    corpus = Corpus(path=rows, **json.loads(manifest.read_text()))
    with rows.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != corpus.sha256:
            sys.exit(f"`{rows}` has changed since it was built\nhint: delete `{folder}`")
    return corpus


def _fetch(folder: Path) -> dict[str, str]:
    """Download and unpack the packages, each into a folder of its name; give their versions."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            sys.exit(f"`{tool}` not found\nhint: the corpus is made of Debian packages, on Debian")
    download = ["apt-get", "-qq", "-o", "APT::Sandbox::User=", "download", *PACKAGES]
    if subprocess.run(download, cwd=folder, check=False).returncode:
        sys.exit("the packages cannot be downloaded\nhint: run `apt-get update` as root first")
    versions = {}
    for archive in map(str, folder.glob("*.deb")):
        show = ["dpkg-deb", "--show", "--showformat", "${Package} ${Version}", archive]
        shown = subprocess.run(show, check=True, capture_output=True, text=True).stdout
        package, versions[package] = shown.split()
        subprocess.run(["dpkg-deb", "--extract", archive, folder / package], check=True)
    return dict(sorted(versions.items()))


def _write_rows(folder: Path, target: Path) -> dict[str, int | str]:
    rows = text_bytes = 0
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for path in _documents(folder):
            text = path.read_text(encoding="utf-8", errors="replace")
            for row in cut(html_to_text(text) if path.suffix == ".html" else text):
                line = json.dumps({"text": row}, ensure_ascii=False).encode() + b"\n"
                digest.update(line)
                out.write(line)
                rows += 1
                text_bytes += len(row.encode())
    return {
        "rows": rows,
        "bytes": target.stat().st_size,
        "text_bytes": text_bytes,
        "sha256": digest.hexdigest(),
    }


def _documents(folder: Path) -> list[Path]:
    """All pages and plain texts below `folder`, in bytewise path order.

    Translations are left out: many have no spaces between words, and the peers bring no tokenizer.
    """
    found = (
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.endswith((".html", ".txt", ".rst"))
    )
    return sorted(
        (
            path
            for path in found
            if not path.is_symlink() and "translations" not in path.relative_to(folder).parts
        ),
        key=os.fsencode,
    )


def html_to_text(page: str) -> str:
    """The words of a page, its blocks apart by blank lines."""
    parser = _Page()
    parser.feed(page)
    parser.close()
    lines = (line.rstrip() for line in "".join(parser.out).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.out: list[str] = []
        self.silent = self.verbatim = 0

    def handle_starttag(self, tag: str, _attributes: list[tuple[str, str | None]]) -> None:
        self.silent += tag in _SILENT
        self.verbatim += tag == "pre"
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        self.silent = max(0, self.silent - (tag in _SILENT))
        self.verbatim = max(0, self.verbatim - (tag == "pre"))
        self._break(tag)

    def handle_startendtag(self, tag: str, _attributes: list[tuple[str, str | None]]) -> None:
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.out.append(data if self.verbatim else re.sub(r"\s+", " ", data))

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPH:
            self.out.append("\n\n")
        elif tag in _LINE:
            self.out.append("\n")
        elif tag in _CELL:
            self.out.append(" ")


def cut(text: str) -> Iterator[str]:
    """Cut a text into rows, at borders of paragraphs where there are any."""
    row: list[str] = []
    size = 0
    for line in text.splitlines():
        blank = not line.strip()
        if (blank and size >= ROW_CHARS) or size >= 2 * ROW_CHARS:
            yield "\n".join(row).strip()
            row, size = [], 0
        if not blank or row:
            row.append(line)
            size += len(line) + 1
    if last := "\n".join(row).strip():
        yield last


def main() -> None:
    """Build the corpus and print its manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder",
        type=Path,
        default=DEFAULT_FOLDER,
        help="where it is built (default: build/bench)",
    )
    corpus = build(parser.parse_args().folder)
    print(json.dumps(corpus._asdict(), indent=2, default=str))


if __name__ == "__main__":
    main()
