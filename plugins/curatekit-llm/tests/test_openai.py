"""How the backend asks, and what it makes of errors."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from curatekit.backends import BackendError, Message, Question, Reply
from curatekit_llm import OpenAI
from curatekit_llm.backend import BASE_URL
from hostile_server import Answer, completion, error, hostile

HELLO = Question(
    model="m",
    messages=(Message("system", "s"), Message("user", "u"), Message("assistant", "a")),
)


def ask(answer: Answer) -> Reply:
    with hostile(answer) as server:
        backend = OpenAI(base_url=server.url, api_key="k", timeout=30)
        try:
            return backend.ask(HELLO)
        finally:
            backend.close()
            assert len(server.requests) == 1


def test_a_question_without_a_schema() -> None:
    with hostile(completion("hello")) as server:
        backend = OpenAI(base_url=server.url, api_key=None, timeout=30)
        reply = backend.ask(HELLO)
        backend.close()
    assert reply == Reply(text="hello", input_tokens=1000, output_tokens=100)
    (request,) = server.requests
    assert "response_format" not in request.body
    roles = [(one["role"], one["content"]) for one in request.body["messages"]]
    assert roles == [("system", "s"), ("user", "u"), ("assistant", "a")]


@pytest.mark.parametrize(
    ("status", "is_passing", "is_general"),
    [
        (400, False, False),
        (401, False, True),
        (403, False, True),
        (404, False, True),
        (408, True, False),
        (409, True, False),
        (413, False, False),
        (422, False, False),
        (429, True, False),
        (500, True, False),
        (503, True, False),
        (529, True, False),
    ],
)
def test_which_errors_pass(status: int, is_passing: bool, is_general: bool) -> None:  # noqa: FBT001
    with pytest.raises(BackendError, match=f"HTTP {status}: no") as raised:
        ask(error(status))
    assert (raised.value.is_passing, raised.value.is_general) == (is_passing, is_general)


def test_a_quota_that_is_used_up_does_not_pass() -> None:
    with pytest.raises(BackendError) as raised:
        ask(error(429, code="insufficient_quota"))
    assert (raised.value.is_passing, raised.value.is_general) == (False, True)


@pytest.mark.parametrize(
    ("header", "value", "least", "most"),
    [
        ("retry_after", "7", 7, 7),
        ("retry_after", "0.5", 0.5, 0.5),
        ("retry_after_ms", "250", 0.25, 0.25),
        ("retry_after", "-3", 0, 0),
        ("retry_after", "nan", 0, 0),
        ("retry_after", "inf", 86400, 86400),
        ("retry_after", "Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("retry_after", format_datetime(datetime.now(UTC) + timedelta(hours=5)), 10, 18000),
    ],
)
def test_how_long_to_wait(header: str, value: str, least: float, most: float) -> None:
    with pytest.raises(BackendError) as raised:
        ask(error(429, **{header: value}))
    assert raised.value.wait_seconds is not None
    assert least <= raised.value.wait_seconds <= most


@pytest.mark.parametrize("headers", [{}, {"retry_after": "soon"}])
def test_nobody_says_how_long_to_wait(headers: dict[str, str]) -> None:
    with pytest.raises(BackendError) as raised:
        ask(error(503, **headers))
    assert raised.value.wait_seconds is None


def test_where_the_model_is_stands_in_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe means the same everywhere; what is kept is kept for the place it came from."""
    with hostile(completion("hello")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # and nothing leaves this machine
        backend = OpenAI(base_url=None, api_key="k", timeout=5)
        with pytest.raises(BackendError) as raised:
            backend.ask(HELLO)
        backend.close()
    assert raised.value.is_passing
    assert server.requests == []
    assert BASE_URL == "https://api.openai.com/v1"
