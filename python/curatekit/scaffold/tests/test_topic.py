"""What the filter drops, and that it is what a filter must be."""

from curatekit.formats import TEXT
from curatekit.plugins import load
from curatekit.records import Batch
from curatekit.testing import conformance
from curatekit_topic import Loud


def test_it_is_installed() -> None:
    assert list(load().found["topic"].steps) == ["topic.loud"]


def test_conformance() -> None:
    conformance(Loud())
    conformance(Loud({"max_capital_share": 0.0}))


def test_loud() -> None:
    batch = Batch.of([{"text": "STOP IT"}, {"text": "Stop it"}, {"text": "1 2 3"}], TEXT)
    assert Loud().check(batch).tolist() == [1, 0, 0]
    assert Loud({"max_capital_share": 1.0}).check(batch).tolist() == [0, 0, 0]
