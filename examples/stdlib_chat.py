"""Write the documentation of Python's standard library as chat records, for `curatekit dedup`.

    python examples/stdlib_chat.py stdlib.jsonl
    curatekit dedup stdlib.jsonl -o out

Every module, class and function of the Python that runs this asks a question by its bare name,
and its docstring answers. It is real text with real duplicates: half the library has a `close`.
The modules are parsed, never imported, so nothing runs, and one installation of Python always
gives the same rows.
"""

import argparse
import ast
import json
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

MIN_WORDS = 8
"""Shorter docstrings say little."""


def records(library: Path) -> Iterator[dict[str, object]]:
    """Yield a chat record for every documented name under `library`, file by file in path order."""
    for path in sorted(library.rglob("*.py")):
        if "site-packages" in path.parts:
            continue
        try:
            module = ast.parse(path.read_bytes(), path)
        except (SyntaxError, ValueError):  # the library keeps broken files to test its parser on
            continue
        for question, answer in questions(module, path):
            user = {"role": "user", "content": question}
            yield {"messages": [user, {"role": "assistant", "content": answer}]}


def questions(module: ast.Module, path: Path) -> Iterator[tuple[str, str]]:
    """Yield a question about each name in `module`, and the docstring that answers it."""
    for node in ast.walk(module):
        match node:
            case ast.Module():
                name = path.parent.name if path.stem == "__init__" else path.stem
                question = f"What is the Python module `{name}` for?"
            case ast.ClassDef(name=name):
                question = f"What is a `{name}` in Python?"
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                question = f"What does `{name}` do in Python?"
            case _:
                continue
        answer = ast.get_docstring(node)
        if answer and len(answer.split()) >= MIN_WORDS:
            yield question, answer


def main() -> None:
    """Write the records to the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("target", type=Path, metavar="FILE")
    target: Path = parser.parse_args().target
    warnings.simplefilter("ignore")  # about old escapes in the library itself
    rows = 0
    with target.open("w", encoding="utf-8", newline="\n") as out:
        for record in records(Path(sysconfig.get_path("stdlib"))):
            out.write(json.dumps(record) + "\n")
            rows += 1
    print(f"{target}: {rows:,} rows from the docstrings of Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
