"""Environments of their own for peers whose requirements contradict ours, in exact versions.

The versions stand in `pyproject.toml`, as groups. An environment is made when a bench first needs
it, and again when its group changes.
"""

import shutil
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")

WITHOUT_REQUIREMENTS = {"bench-text-dedup": ("text-dedup==0.4.0",)}
"""What is installed alone. text-dedup requires Spark, Sphinx and ONNX; its MinHash loads none."""


class CannotInstallError(Exception):
    """A peer is not to be had here; the message says why."""


def python(group: str, folder: Path) -> Path:
    """The interpreter of the environment of a group, made in `folder` if it is not there."""
    place = folder / "venvs" / group
    interpreter, stamp = place / "bin" / "python", place / "made-of"
    alone = WITHOUT_REQUIREMENTS.get(group, ())
    wanted = "\n".join([*tomllib.loads(PROJECT.read_text())["dependency-groups"][group], *alone])
    if stamp.exists() and stamp.read_text() == wanted:
        return interpreter
    print(f"installing {group}", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    target = (*PIP, "--python", str(interpreter), "install")
    _install([*target, "--group", f"{PROJECT}:{group}"])
    if alone:
        _install([*target, "--no-deps", *alone])
    stamp.write_text(wanted)
    return interpreter


def _install(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["pip failed without a word"]
        raise CannotInstallError(lines[-1])


def release(name: str) -> str:
    """The version of a distribution, in this environment or in one of those made here."""
    with suppress(PackageNotFoundError):
        return version(name)
    groups = tomllib.loads(PROJECT.read_text())["dependency-groups"]
    pins = chain.from_iterable([*groups.values(), *WITHOUT_REQUIREMENTS.values()])
    return dict(pin.split("==") for pin in pins if isinstance(pin, str))[name]
