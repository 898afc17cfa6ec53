"""Backends: ways to ask a model.

A step that wants a model's opinion asks through a backend, which a plugin registers. What the step
asks is data, so that the answer can be kept: the same question need not be paid for twice.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from msgspec import Struct


class Message(Struct, frozen=True):
    """One turn of what is said to a model."""

    role: Literal["system", "user", "assistant"]
    content: str


class Question(Struct, frozen=True, kw_only=True):
    """All that makes a difference to what a model answers."""

    model: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None = None
    """JSON schema that the answer must keep to, strictly."""
    temperature: float = 0.0
    max_tokens: int = 512
    seed: int = 0


class Reply(Struct, frozen=True, kw_only=True):
    """What a model answered."""

    text: str = ""
    refusal: str | None = None
    """Why it will not answer."""
    is_whole: bool = True
    """False where it was cut off."""
    input_tokens: int = 0
    output_tokens: int = 0


class BackendError(Exception):
    """A model could not be asked.

    Attributes:
        is_passing: Whether asking again may help.
        is_general: Whether it concerns every question, as a wrong key does.
        wait_seconds: How long to wait before asking again, where the server says so.
    """

    def __init__(
        self,
        message: str,
        *,
        is_passing: bool,
        is_general: bool = False,
        wait_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.is_passing = is_passing
        self.is_general = is_general
        self.wait_seconds = wait_seconds


class Backend(ABC):
    """A way to ask a model; a plugin's class derives from it. Several threads may ask at once.

    It asks once. Asking again, waiting and counting are up to who asks.

    Attributes:
        name: What recipes call it: lower case, with hyphens.
    """

    name: ClassVar[str]

    @abstractmethod
    def __init__(self, *, base_url: str | None, api_key: str | None, timeout: float) -> None:
        """Get ready to ask.

        Args:
            base_url: Where the model is, if not where the backend would look.
            api_key: What proves that we may ask.
            timeout: Seconds to wait for an answer.
        """

    @abstractmethod
    def ask(self, question: Question) -> Reply:
        """Ask once.

        Raises:
            BackendError: There is no answer.
        """

    def close(self) -> None:  # noqa: B027 (most need nothing)
        """Let go of connections."""
