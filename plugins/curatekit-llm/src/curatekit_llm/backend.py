"""A backend for everything that speaks as OpenAI's API does: most servers of models do.

The SDK is imported when the first client is made: it takes half a second, and a run that asks
nothing need not wait for it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isnan
from typing import TYPE_CHECKING, Any

from curatekit.backends import Backend, BackendError, Message, Question, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openai import APIStatusError
    from openai.types.chat import ChatCompletionMessageParam

BASE_URL = "https://api.openai.com/v1"
"""Where the model is if nobody says. The SDK would look into the environment; a recipe would then
mean one thing here and another there."""

_NO_KEY = "none"
"""The SDK insists on a key, and a server of one's own needs none."""
_PASSING = (408, 409, 429)
_GENERAL = (401, 403, 404)
_MOST_SECONDS = 24 * 60 * 60.0
"""Longest wait that is believed; a day is longer than any run will wait."""
_MOST_CHARS = 500
"""Most of what a server says about an error: some send a page."""


class OpenAI(Backend):
    """Ask a chat model over HTTP, with a strict schema where the question has one."""

    name = "openai"

    def __init__(self, *, base_url: str | None, api_key: str | None, timeout: float) -> None:
        import openai  # noqa: PLC0415 (slow)

        self._api_key = api_key
        self._client = openai.OpenAI(
            base_url=base_url or BASE_URL,
            api_key=api_key or _NO_KEY,
            timeout=timeout,
            max_retries=0,
        )

    def ask(self, question: Question) -> Reply:
        """Ask once.

        Raises:
            BackendError: There is no answer. It is passing where there was no connection or no
                answer in time, or the status is 408, 409, 429 or from 500 on.
        """
        import openai  # noqa: PLC0415 (slow, and here it is loaded)

        try:
            answer: object = self._client.chat.completions.create(
                model=question.model,
                messages=[_param(message) for message in question.messages],
                temperature=question.temperature,
                max_tokens=question.max_tokens,
                seed=question.seed,
                response_format=(
                    openai.omit if question.schema is None else _format(question.schema)
                ),
            )
        except openai.APIStatusError as error:
            if error.code == "content_filter":
                return Reply(refusal=self._said(error))
            raise self._error(error) from error
        except openai.APIConnectionError as error:
            raise BackendError(self._told(error), is_passing=True) from error
        except (openai.OpenAIError, ValueError) as error:  # a body that is broken JSON
            raise BackendError(f"no answer: {self._told(error)}", is_passing=True) from error
        return _reply(answer)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _error(self, error: APIStatusError) -> BackendError:
        status = error.status_code
        is_general = status in _GENERAL or error.code == "insufficient_quota"
        return BackendError(
            f"HTTP {status}: {self._said(error)}",
            is_passing=not is_general and (status in _PASSING or status >= 500),  # noqa: PLR2004
            is_general=is_general,
            wait_seconds=_wait_seconds(error.response.headers),
        )

    def _said(self, error: APIStatusError) -> str:
        """Tell what the server said about an error."""
        body = error.body
        said = body.get("message") if isinstance(body, dict) else body
        return self._without_key(said if isinstance(said, str) and said else error.message)

    def _told(self, error: Exception) -> str:
        cause = error.__cause__
        return self._without_key(f"{error} ({cause})" if cause is not None else str(error))

    def _without_key(self, message: str) -> str:
        if self._api_key:
            message = message.replace(self._api_key, "…")
        return message[:_MOST_CHARS]


def _param(message: Message) -> ChatCompletionMessageParam:
    match message.role:
        case "system":
            return {"role": "system", "content": message.content}
        case "user":
            return {"role": "user", "content": message.content}
        case "assistant":
            return {"role": "assistant", "content": message.content}


def _format(schema: Mapping[str, Any]) -> Any:  # noqa: ANN401 (a dict that the SDK has a type for)
    described = {"name": "answer", "strict": True, "schema": dict(schema)}
    return {"type": "json_schema", "json_schema": described}


def _reply(answer: object) -> Reply:
    """Take what matters out of an answer, which the SDK does not check."""
    choices: object = getattr(answer, "choices", None)
    choice: object = choices[0] if isinstance(choices, list) and choices else None
    message: object = getattr(choice, "message", None)
    if message is None:
        raise BackendError(
            "the answer is no chat completion; is `base_url` right?", is_passing=False
        )
    end: object = getattr(choice, "finish_reason", None)
    refusal: object = getattr(message, "refusal", None)
    if not isinstance(refusal, str) or not refusal:
        refusal = "stopped by a content filter" if end == "content_filter" else None
    text: object = getattr(message, "content", None)
    usage: object = getattr(answer, "usage", None)
    return Reply(
        text=text if isinstance(text, str) else "",
        refusal=refusal,
        is_whole=end != "length",
        input_tokens=_count(usage, "prompt_tokens"),
        output_tokens=_count(usage, "completion_tokens"),
    )


def _count(usage: object, name: str) -> int:
    count: object = getattr(usage, name, 0)
    return count if type(count) is int else 0


def _wait_seconds(headers: Mapping[str, str]) -> float | None:
    """Read for how long a server wants to be left alone: seconds, or a date."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            return _bounded(float(headers.get(name, "")) / unit)
        except ValueError:
            continue
    try:
        then = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return _bounded((then - datetime.now(UTC)).total_seconds())


def _bounded(seconds: float) -> float:
    return max(0.0, min(seconds, _MOST_SECONDS)) if not isnan(seconds) else 0.0
