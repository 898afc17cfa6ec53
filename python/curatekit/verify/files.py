"""The files of a run folder: that they are there, and are what was written."""

import os
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from xxhash import xxh3_128

from curatekit.errors import CurateError
from curatekit.verify.findings import Findings, Progress, short
from curatekit.verify.form import BLOCK, DECISIONS, FIGURES, MANIFEST, REPORT, File, Manifest


def read_manifest(folder: Path, found: Findings) -> Manifest | None:
    """Read what says what there is; None if it cannot be read.

    Raises:
        CurateError: The folder is none that a run left.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if not (folder / DECISIONS).exists():
            raise CurateError(
                f"`{folder}` is not the output of a run: it has no `{MANIFEST}`"
            ) from None
        found.add(MANIFEST, "is missing")
        return None
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        found.add(MANIFEST, f"cannot be read: {error}")
        return None
    of_rows = (file.name for file in chain.from_iterable(manifest.of_rows.values()))
    for name in (*manifest.files, *of_rows):
        if name != str(PurePosixPath(name)) or name.startswith("/") or ".." in name.split("/"):
            found.add(MANIFEST, f"`{name}` leads out of the folder")
            return None
    return manifest


def document(
    folder: Path, name: str, schemas: Sequence[str], manifest: Manifest, found: Findings
) -> dict[str, Any]:
    """Read a small document; an empty one cannot be read, or need not be there."""
    if name == REPORT and REPORT not in manifest.files:
        return {}
    try:
        document = msgspec.json.decode((folder / name).read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        if name == FIGURES:  # others are named by the manifest
            found.add(name, "is missing")
        return {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        found.add(name, f"cannot be read: {error}")
        return {}
    if document.get("schema") not in schemas:
        found.add(name, f"`schema` is {short(document.get('schema'))}, not `{schemas[0]}`")
        return {}
    found.compare(name, "curatekit", document.get("curatekit"), manifest.curatekit)
    return document


def rehash(
    folder: Path, manifest: Manifest, found: Findings, progress: Progress | None
) -> dict[str, str]:
    """Compare every file with its hashes, and look for others; give the hash of each whole file."""
    total, done = sum(file.bytes for file in manifest.files.values()), 0
    whole: dict[str, str] = {}
    for name, file in manifest.files.items():
        try:
            whole[name] = _rehash_file(folder / name, name, file, found)
        except (FileNotFoundError, NotADirectoryError):
            found.add(name, "is missing")
        except IsADirectoryError:
            found.add(name, "is a folder")
        done += file.bytes
        if progress is not None:
            progress("read", done, total)
    for parent, folders, names in os.walk(folder):
        links = [one for one in folders if (Path(parent) / one).is_symlink()]
        for one in sorted([*names, *links]):
            name = (Path(parent) / one).relative_to(folder).as_posix()
            if name not in manifest.files and name not in (MANIFEST, FIGURES):
                found.add(name, "is not in the manifest")
    return whole


def _rehash_file(path: Path, name: str, file: File, found: Findings) -> str:
    whole, size, blocks = xxh3_128(), 0, []
    with path.open("rb") as opened:
        while block := opened.read(BLOCK):
            size += len(block)
            whole.update(block)
            blocks.append(xxh3_128(block).hexdigest())
    found.files += 1
    found.bytes += size
    found.hashes += len(blocks)
    if size != file.bytes:
        found.add(name, f"has {size:,} bytes, but should have {file.bytes:,}")
    for at, (block_hash, expected) in enumerate(zip_longest(blocks, file.blocks)):
        if block_hash != expected:
            found.add(name, "is not what was written", f"bytes from {at * BLOCK:,} on")
    return whole.hexdigest()
