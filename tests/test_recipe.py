"""A recipe is read as it is meant, and all that is wrong with one is told at once."""

import pickle
from pathlib import Path

import pytest

from curatekit.errors import CurateError, RecipeError
from curatekit.recipe import Brakes, OfFilter, read

GOOD = """
input = ["data/*.jsonl", "more"]
output = "out"
format = "chat"

[[step]]
use = "text.unicode"
form = "NFKC"
timeout_seconds = 10

[[step]]
use = "near-dedup"
on = ["user"]
threshold = 1

[[step]]
use = "quality.length"
id = "short"
min_chars = 3
mode = "flag"

[brakes]
max_drop_share = 0.25
label = "topic"
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("recipe.toml")


def mistakes(path: Path, text: str, *overrides: str) -> list[str]:
    """All that is wrong with a recipe, a line each, with hints in brackets."""
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        read(path, overrides)
    found = caught.value.mistakes
    return [f"{one.message} [{one.hint}]" if one.hint else one.message for one in found]


def test_a_recipe_is_read(path: Path) -> None:
    path.write_text(GOOD)
    recipe = read(path)
    assert (recipe.input, recipe.output) == (("data/*.jsonl", "more"), "out")
    assert (recipe.format, recipe.field) == ("chat", None)
    assert recipe.brakes == Brakes(max_drop_share=0.25, label="topic")
    unicode, near, length = recipe.entries
    assert (unicode.use, unicode.id) == ("text.unicode", "unicode")
    assert unicode.rules.timeout_seconds == 10.0
    assert near.step is None
    assert (near.id, near.options.on, near.options.threshold) == ("near-dedup", ("user",), 1.0)  # type: ignore[attr-defined]
    assert length.id == "short"
    assert length.rules == OfFilter(mode="flag")
    assert length.step is not None
    assert length.step(length.options).options.min_chars == 3
    assert length.author is not None
    assert length.author.plugin.startswith("curatekit-quality ")


def test_a_recipe_without_steps_is_one(path: Path) -> None:
    path.write_text('input = ["a"]\noutput = "b"\n')
    assert read(path).entries == ()


EXPECTED = """
unknown key `inptu` [did you mean `input`?]
unknown key `inputs` [did you mean `input`?]
`output`: expected `str`, got `int` [string]
no key `input`
`format` is `chatt`, which is no layout [did you mean `chat`?]
step[0] `quality.length`: unknown option `min_char` [did you mean `min_chars`?]
step[0] `quality.length`: `max_chars`: expected `int` >= 0 [integer, at least 0]
step[0] `quality.length`: `role`: expected `str | null`, got `array` [string or null]
step[0] `quality.length`: `mode`: invalid enum value 'flagged' ["drop" or "flag"]
step[1] `near-dup`: there is no such step [did you mean `near-dedup`?]
step[2] `near-dedup`: `threshold`: expected `float` <= 1.0 [number, above 0, at most 1]
step[2] `near-dedup`: unknown option `mode`
step[3] `qualty.shape`: no plugin is called `qualty` [did you mean `quality`?]
step[4] `acme-demo.x`: no plugin is called `acme-demo` \
[`pip install curatekit-acme-demo` would install it, by the rule for names]
step[5]: no key `use`, which names the step
step[6] `quality.length`: a step before it has the id `length` [give one of them an `id`]
step[7] `text.unicode`: `id` is 'A b' [ids are like `too-long`]
brakes: unknown option `max_drop_shar` [did you mean `max_drop_share`?]
"""


def test_all_mistakes_are_told_at_once(path: Path) -> None:
    text = """
inptu = ["a"]
inputs = ["a"]
output = 3
format = "chatt"

[[step]]
use = "quality.length"
min_char = 3
max_chars = -1
mode = "flagged"
role = ["user"]

[[step]]
use = "near-dup"

[[step]]
use = "near-dedup"
threshold = 1.5
mode = "flag"

[[step]]
use = "qualty.shape"

[[step]]
use = "acme-demo.x"

[[step]]
id = "y"

[[step]]
use = "quality.length"

[[step]]
use = "text.unicode"
id = "A b"

[brakes]
max_drop_shar = 1
"""
    assert mistakes(path, text) == [
        *(f"recipe.toml: {line}" for line in EXPECTED.strip().split("\n")),
    ]


def test_the_message_holds_all_mistakes_and_hints(path: Path) -> None:
    path.write_text('inptu = ["a"]\noutput = "b"\n')
    with pytest.raises(CurateError) as caught:
        read(path)
    assert str(caught.value) == (
        "recipe.toml: unknown key `inptu`\n"
        "  hint: did you mean `input`?\n"
        "recipe.toml: no key `input`"
    )
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 (our own)


def test_what_is_no_toml_has_a_place(path: Path) -> None:
    (mistake,) = mistakes(path, "a = 1\na = 2")
    assert mistake.startswith("recipe.toml: Cannot overwrite a value (at ")
    path.write_bytes(b"a = '\xff'")
    with pytest.raises(RecipeError, match="'utf-8' codec can't decode"):
        read(path)


def test_a_recipe_that_is_not_there(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(path)


def test_options_are_overridden_from_outside(path: Path) -> None:
    path.write_text(GOOD)
    recipe = read(path, ["short.min_chars=7", "near-dedup.keep=longest", 'unicode.form = "NFD"'])
    unicode, near, length = recipe.entries
    assert unicode.options.form == "NFD"  # type: ignore[attr-defined]
    assert near.options.keep == "longest"  # type: ignore[attr-defined]
    assert length.options.min_chars == 7  # type: ignore[attr-defined]


def test_overrides_are_checked(path: Path) -> None:
    given = ("length.min_chars=1", "shrt.min_chars=1", "short", "short.min_char=1", "short.mode=x")
    place = "recipe.toml: step[2] `quality.length`: "
    assert mistakes(path, GOOD, *given) == [
        f"{place}unknown option `min_char` [did you mean `min_chars`?]",
        f'{place}`mode`: invalid enum value \'x\' ["drop" or "flag"]',
        "`length.min_chars=1`: no step has the id `length`",
        "`shrt.min_chars=1`: no step has the id `shrt` [did you mean `short`?]",
        "`short` is not like `ID.option=value`",
    ]


def test_a_file_is_a_plugin_if_the_recipe_names_it(path: Path) -> None:
    source = (
        "from curatekit.hookspecs import hookimpl\n"
        "from curatekit.steps import Options, Scorer\n"
        "CURATEKIT_API = 1\n"
        "class Needs(Options):\n    model: str\n"
        "class Judge(Scorer):\n"
        "    name = 'judge'\n    Options = Needs\n"
        "    def score(self, batch): ...\n"
        "@hookimpl\n"
        "def register_steps():\n    return [Judge]\n"
    )
    Path("mine.py").write_text(source)
    head = 'input = ["a"]\noutput = "b"\n'
    step = '[[step]]\nuse = "mine.judge"\nkeep_at_least = 4\n'
    (mistake,) = mistakes(path, head + step)
    assert mistake.startswith("recipe.toml: step[0] `mine.judge`: no plugin is called `mine` ")
    named = f'{head}plugins = ["./mine.py"]\n{step}'
    assert mistakes(path, named) == [
        "recipe.toml: step[0] `mine.judge`: no option `model`, which has no default"
    ]
    path.write_text(f'{named}model = "m"\n')
    (entry,) = read(path).entries
    assert entry.rules.keep_at_least == 4.0  # type: ignore[attr-defined]
