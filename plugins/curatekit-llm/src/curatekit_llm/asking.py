"""Asking a model many questions: each once, again where that may help, and within a budget."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from msgspec import structs

from curatekit.backends import Backend, BackendError, Question, Reply
from curatekit.errors import CurateError
from curatekit_llm.cache import Asked, Cache

if TYPE_CHECKING:
    from tenacity import RetryCallState

FIRST_WAIT_SECONDS = 0.5
"""Wait before the second attempt, and what is added at random; it doubles with each."""
MOST_WAIT_SECONDS = 60.0
"""Longest wait, unless the server asks for a longer one."""


class BudgetError(CurateError):
    """What may be spent is spent."""


class ModelError(CurateError):
    """The model can be asked nothing at all: the key or its name is wrong."""


class Budget:
    """Counts what answers cost. Several threads may count at once.

    What is spent can exceed the budget by the answers that are under way when it is reached.

    Attributes:
        spent_usd: What the answers have cost so far.
    """

    def __init__(self, max_cost_usd: float, *, usd_per_input: float, usd_per_output: float) -> None:
        """Take prices, in US dollars for a million tokens."""
        self.spent_usd = 0.0
        self._max_cost_usd = max_cost_usd
        self._prices = (usd_per_input / 1e6, usd_per_output / 1e6)
        self._lock = threading.Lock()

    def count(self, reply: Reply) -> None:
        """Count an answer.

        Raises:
            BudgetError: Nobody says how long it was.
        """
        if not reply.input_tokens and not reply.output_tokens:
            raise BudgetError(
                "the server does not tell the tokens of an answer, so `max_cost_usd` means nothing",
                "leave it out",
            )
        with self._lock:
            for tokens, price in zip(
                (reply.input_tokens, reply.output_tokens), self._prices, strict=True
            ):
                self.spent_usd += tokens * price

    def check(self) -> None:
        """Go on only if something is left.

        Raises:
            BudgetError: Nothing is.
        """
        if self.spent_usd >= self._max_cost_usd:
            raise BudgetError(
                f"answers for {self.spent_usd:.4g} USD have used up `max_cost_usd`, "
                f"which is {self._max_cost_usd:g}",
                "the answers are kept, and another run goes on from them",
            )


class Asker:
    """Asks through a backend, several questions at a time, and keeps the answers.

    What stops one question for a reason that is not its own stops all that come after it.
    """

    def __init__(
        self,
        backend: Backend,
        cache: Cache,
        *,
        attempts: int,
        concurrency: int,
        budget: Budget | None = None,
    ) -> None:
        self._backend = backend
        self._cache = cache
        self._attempts = attempts
        self._concurrency = concurrency
        self._budget = budget
        self._stopped: Exception | None = None
        self._stopping = threading.Event()

    def ask(self, questions: Sequence[Asked]) -> Mapping[str, Reply | BackendError]:
        """Ask each question of which the answer is not known yet.

        Returns:
            By key the answer, or why there is none.

        Raises:
            ModelError: The server would answer no question.
            BudgetError: The budget is spent.
            CacheError: The answers cannot be kept.
        """
        different = {asked.key: asked for asked in questions}
        with ThreadPoolExecutor(self._concurrency) as pool:
            under_way = {key: pool.submit(self._answer, one) for key, one in different.items()}
        answers = {key: future.result() for key, future in under_way.items()}
        if self._stopped is not None:
            raise self._stopped
        return {key: answer for key, answer in answers.items() if answer is not None}

    def close(self) -> None:
        """Let go of the backend."""
        self._stopping.set()
        self._backend.close()

    def _answer(self, asked: Asked) -> Reply | BackendError | None:
        try:
            return self._asked(asked)
        except Exception as error:  # noqa: BLE001 (`ask` raises it, once the others have seen it)
            self._stopped = self._stopped or error
            self._stopping.set()
            return None

    def _asked(self, asked: Asked) -> Reply | BackendError:
        from tenacity import (  # noqa: PLC0415 (slow)
            Retrying,
            retry_if_exception,
            sleep_using_event,
            stop_after_attempt,
        )

        again = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=_wait_seconds,
            retry=retry_if_exception(_is_passing),
            sleep=sleep_using_event(self._stopping),
            reraise=True,
        )
        try:
            reply = again(self._once, asked.question)
        except BackendError as error:
            if error.is_general:
                hint = "look at `base_url`, `model` and the key that `api_key_env` names"
                raise ModelError(f"no question can be asked: {error}", hint) from error
            return error
        kept = self._cache.keep(asked, reply)
        if self._budget is not None:
            self._budget.count(reply)  # what it cost, whatever another process was told before
        return kept

    def _once(self, question: Question) -> Reply:
        if self._stopped is not None:
            raise self._stopped
        if self._budget is not None:
            self._budget.check()
        reply = self._backend.ask(question)
        refusal = None if reply.refusal is None else encodable(reply.refusal)
        return structs.replace(reply, text=encodable(reply.text), refusal=refusal)


def encodable(text: str) -> str:
    """Give a text that can be written as UTF-8: with `?` for each half of a surrogate pair."""
    return text.encode(errors="replace").decode()


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, BackendError) and error.is_passing


def _wait_seconds(state: RetryCallState) -> float:
    """Wait twice as long each time, and as long as the server asks; the rest is chance.

    Without chance those who were turned away together would come back together.
    """
    error = state.outcome.exception() if state.outcome is not None else None
    asked = (error.wait_seconds if isinstance(error, BackendError) else None) or 0.0
    doubled = FIRST_WAIT_SECONDS * 2.0 ** (state.attempt_number - 1)
    chance = random.uniform(0, FIRST_WAIT_SECONDS)  # noqa: S311 (no secret)
    return max(asked, min(doubled, MOST_WAIT_SECONDS)) + chance
