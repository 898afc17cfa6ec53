"""A judge to try things on, and records for it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from curatekit.backends import Backend
from curatekit.formats import CHAT
from curatekit.records import Batch
from curatekit.steps import Author, Context, Scores, scores
from curatekit_llm import OpenAI, Rubric

AUTHOR = Author(step="llm.rubric", plugin="curatekit-llm")
BACKENDS: Mapping[str, type[Backend]] = {"openai": OpenAI}


def chats(*turns: tuple[str, str]) -> Batch:
    """Make records of one question and one answer each."""
    names = ("user", "assistant")
    return Batch.of(
        [
            {
                "messages": [
                    {"role": role, "content": text} for role, text in zip(names, turn, strict=True)
                ]
            }
            for turn in turns
        ],
        CHAT,
    )


def numbered(count: int) -> Batch:
    """Make so many records, all different."""
    return chats(*((f"What is the number {at}?", f"It is {at}.") for at in range(count)))


@contextmanager
def judge(
    cache: Path,
    *,
    is_dry: bool = False,
    backends: Mapping[str, type[Backend]] = BACKENDS,
    **options: object,
) -> Iterator[Rubric]:
    """Open a judge, and close it again."""
    step = Rubric({"model": "m", "cache": str(cache), "concurrency": 1, "attempts": 2, **options})
    try:
        step.open(Context(is_dry=is_dry, backends=backends))
        yield step
    finally:
        step.close()


def judged(step: Rubric, batch: Batch) -> Scores:
    """Ask a judge as a run does."""
    return scores(step, batch, AUTHOR)


def told(said: Scores) -> list[tuple[str, float, str | None]]:
    """Give outcome, score (-1 for none) and note of each record."""
    column = [-1.0 if one != one else one for one in said.columns[""].tolist()]  # noqa: PLR0124 (NaN)
    return list(zip(said.outcome or (), column, said.notes or (), strict=True))
