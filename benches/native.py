"""Measure what run-time dispatch costs: the wheel that everybody gets beside one for this machine.

    python benches/native.py FILE [--runs 5]

Builds both from this checkout, the second with `-C target-cpu=native` and in a target folder of its
own, and lets each deduplicate the file on one thread, in turn. Both must write the same bytes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from statistics import median

from measure import run

ROOT = Path(__file__).parents[1]
OURS = Path(sys.executable).parent
NATIVE = {"RUSTFLAGS": "-C target-cpu=native", "CARGO_TARGET_DIR": str(ROOT / "target/native")}


def environment(flags: dict[str, str], folder: Path) -> Path:
    """Build a wheel and install it; returns the folder of its programs."""
    wheels = folder / "wheels"
    build = [str(OURS / "maturin"), "build", "--release", "--locked", "--quiet"]
    build += ["--out", str(wheels), "--interpreter", sys.executable]
    subprocess.run(build, cwd=ROOT, env=os.environ | flags, check=True)
    venv.create(folder / "env", with_pip=True)
    programs = folder / "env" / "bin"
    install = [str(programs / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, *map(str, wheels.glob("*.whl"))], check=True)
    return programs


def main() -> None:
    """Build both, measure them in turn, and tell the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="what is deduplicated")
    parser.add_argument("--runs", type=int, default=5, help="of each (5)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds: dict[str, list[float]] = {"portable": [], "native": []}
        programs = {}
        for wheel, flags in (("portable", {}), ("native", NATIVE)):
            programs[wheel] = environment(flags, folder / wheel)
        for _ in range(asked.runs):
            kept = []
            for wheel, taken in seconds.items():
                out = folder / wheel / "out"
                command = [programs[wheel] / "curatekit", "dedup", asked.file, "-o", out]
                options = ["--threads", "1", "--force", "--quiet", "--max-drop", "1"]
                taken.append(run([*command, *options], os.environ).cpu_seconds)
                kept.append((out / "kept.jsonl").read_bytes())
            assert kept[0] == kept[1]  # a fast wrong answer is not a result
    for wheel, taken in seconds.items():
        shown = ", ".join(f"{cpu:.3f}" for cpu in taken)
        print(f"{wheel:9} {median(taken):.3f} CPU s ({shown})")
    ratio = median(seconds["portable"]) / median(seconds["native"])
    print(f"portable / native: {ratio:.3f}")


if __name__ == "__main__":
    main()
