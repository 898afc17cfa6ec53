"""A plugin of the tests: steps of every kind, and a filter that misbehaves as it is told."""

import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curatekit.hookspecs import hookimpl
from curatekit.records import Batch, Rows
from curatekit.steps import (
    UNDECIDED,
    Context,
    Filter,
    Generator,
    Normalizer,
    Offspring,
    Options,
    Scorer,
    Scores,
    Selector,
    Step,
    Verdicts,
)

CURATEKIT_API = 1
TRIGGER = "trigger"
"""Rows that hold this word bring misbehaviour about."""


class OddOptions(Options):
    how: str
    marker: str = ""
    """A file that says that it was done once."""


class Odd(Filter):
    """Keep everything, and misbehave where a row holds the trigger."""

    name = "odd"
    reasons = ("never",)
    Options = OddOptions
    options: OddOptions

    def check(self, batch: Batch) -> NDArray[np.uint8]:
        codes = np.zeros(len(batch), np.uint8)
        if any(TRIGGER in text.lower() for text in batch.texts()):
            wrong: NDArray[np.uint8] = self._misbehave(codes)
            return wrong
        return codes

    def _misbehave(self, codes: NDArray[np.uint8]) -> Any:  # noqa: ANN401, C901, PLR0912 (it is odd)
        match self.options.how:
            case "wrong-dtype":
                return codes.astype(np.float64)
            case "too-few":
                return codes[:-1]
            case "out-of-range":
                return codes + np.uint8(9)
            case "raise":
                raise LookupError("there is no such word")
            case "raise-odd":
                raise BaseException("half of \ud800")  # noqa: TRY002
            case "sys-exit":
                sys.exit(3)
            case "interrupt":
                raise KeyboardInterrupt
            case "os-exit":
                os._exit(7)
            case "signal":
                os.kill(os.getpid(), signal.SIGRTMIN + 6)
            case "close-everything":
                os.closerange(0, 64)
                time.sleep(3600)
            case "write-everywhere":
                for descriptor in range(3, 64):
                    with suppress(OSError):
                        os.write(descriptor, b"\xff" * 64)
            case "hold-the-lock":
                Path(self.options.marker).touch()
                re.match("(a+)+$", "a" * 60 + "b")
            case "fork":
                if os.fork() == 0:
                    return codes + np.uint8(1)
            case "hang":
                time.sleep(3600)
            case "hang-once":
                marker = Path(self.options.marker)
                if not marker.exists():
                    marker.touch()
                    time.sleep(3600)
            case "noise":
                print("noise on standard output")
                os.write(1, b"\x00\xff noise past Python\n")
                sys.stdin.read()
            case "killed-once":
                marker = Path(self.options.marker)
                if not marker.exists():
                    marker.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
        return codes


class Shout(Normalizer):
    """Write everything in capitals."""

    name = "shout"

    def rewrite(self, batch: Batch) -> Sequence[str | None]:
        return [text.upper() for text in batch.parts]


class Double(Normalizer):
    """Say everything twice."""

    name = "double"

    def rewrite(self, batch: Batch) -> Sequence[str | None]:
        return [text + text for text in batch.parts]


class Short(Filter):
    """Drop texts of less than 30 characters, and say how long they are."""

    name = "short"
    reasons = ("too-short",)

    def check(self, batch: Batch) -> Verdicts:
        chars = batch.column("chars")
        evidence = list(np.array([f"{count} characters" for count in chars.tolist()]))
        return Verdicts(codes=(chars < 30).astype(np.uint8), evidence=evidence)


class Length(Scorer):
    """Score rows by their length, in hundreds; the longest have no score."""

    name = "length"
    range = (0.0, 9.0)

    def score(self, batch: Batch) -> Scores:
        chars = batch.column("chars").astype(np.float32) / np.float32(100)
        chars[chars > 9] = np.nan
        notes = ["nothing" if score == 0 else None for score in chars.tolist()]
        words = {"unheard": "failed", "undecided": UNDECIDED}
        outcome = [words.get(text, "scored") for text in batch.texts()]
        twice = {"hundreds": chars, "half": chars / np.float32(2)}
        return Scores(columns=twice, notes=notes, outcome=outcome)


class Priced(Scorer):
    """Score rows, but in a dry run only those that are known already."""

    name = "priced"
    placement = "one"
    is_dry: bool = False

    def open(self, context: Context) -> None:
        self.is_dry = context.is_dry

    def score(self, batch: Batch) -> Scores:
        is_known = ["known" in text or not self.is_dry for text in batch.texts()]
        score = np.array([len(text) % 3 for text in batch.texts()], np.float32)
        score[~np.array(is_known, np.bool_)] = np.nan
        outcome = ["scored" if known else UNDECIDED for known in is_known]
        return Scores(columns={"": score}, outcome=outcome)


class Echo(Generator):
    """Make of each row that asks something a row that repeats the question."""

    name = "echo"

    def generate(self, batch: Batch) -> Sequence[Offspring]:
        found = []
        for at, record in enumerate(batch):
            said = record.parts[0].text if record.parts else ""
            if said.endswith("?"):
                turns = [{"role": "user", "content": f"Again: {said}"}]
                found.append(Offspring(parent=at, object={"messages": turns}))
            if "misfit" in said:
                found.append(Offspring(parent=at, object={"no": "messages"}))
        return found


class Twice(Selector):
    """Take every second of the rows that are left twice, and drop every fifth."""

    name = "twice"
    reasons = ("fifth",)

    def select(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.uint16]:
        places = np.arange(len(columns["row"]))
        return np.where(places % 5 == 4, 0, 1 + places % 2).astype(np.uint16)


class Often(Selector):
    """Take every row many times."""

    name = "often"
    reasons = ("never",)

    def select(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.uint16]:
        return np.full(len(columns["row"]), 256, np.uint16)


class OpenOptions(Options):
    log: str


class Typical(Filter):
    """Drop rows that are longer than the mean of all; says what it is called for."""

    name = "typical"
    reasons = ("too-long",)
    Options = OpenOptions
    options: OpenOptions
    mean: float = 0.0

    def _log(self, what: str) -> None:
        with Path(self.options.log).open("a") as file:
            file.write(f"{what}\n")

    def open(self, context: Context) -> None:
        threads = os.environ.get("OMP_NUM_THREADS")
        self._log(f"open {context.is_dry} {sorted(context.backends)} {threads}")

    def fit(self, dataset: Rows) -> None:
        counts = [batch.column("chars") for batch in dataset.batches(7)]
        self.mean = float(np.concatenate(counts).mean())
        self._log(f"fit {len(dataset)} {dataset[0].row}")

    def check(self, batch: Batch) -> NDArray[np.uint8]:
        return (batch.column("chars") > self.mean).astype(np.uint8)

    def close(self) -> None:
        self._log("close")


class NeedyOptions(Options):
    least: float = 0.0


class Needy(Filter):
    """Drop rows by what a scorer said before."""

    name = "needy"
    reasons = ("low",)
    needs = ("length.half",)
    Options = NeedyOptions
    options: NeedyOptions

    def check(self, batch: Batch) -> NDArray[np.uint8]:
        return (batch.column("length.half") < self.options.least).astype(np.uint8)


@hookimpl
def register_steps() -> list[type[Step]]:
    return [Odd, Often, Double, Shout, Short, Length, Echo, Twice, Typical, Needy, Priced]
