"""The known layouts: where text lives in each.

A format is data, so that the core can follow it without asking: the keys that tell it, and for each
place of text its path and its role. Paths are keys and `[*]`, joined by dots.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field


class PartRule(Struct, frozen=True):
    """One place where text lives.

    Exactly one of `role` and `role_path` is set. `kind` says what may stand there: `text` is a
    string or null; `content` is a string, a content block, a list of these, or something else,
    which is opaque; `opaque` is any value, compared only by its raw bytes.
    """

    path: str
    role: str = ""
    role_path: str = ""
    kind: Literal["text", "content", "opaque"] = "content"


class Format(Struct, frozen=True):
    """A layout. A record has it if, of each group in `needs`, one key is present and not null."""

    name: str
    needs: tuple[tuple[str, ...], ...]
    parts: tuple[PartRule, ...]
    roles: Mapping[str, str] = field(default_factory=dict)
    """Words for a role in the data, and what they mean; other words stand for themselves."""


_SAME = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_CHATTY = _SAME | {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
    "observation": "tool",
    "function_response": "tool",
    "tool_response": "tool",
}


def _turns(path: str, role: str = "", role_path: str = "") -> tuple[PartRule, ...]:
    """The parts of one message of the OpenAI layout, at `path`."""
    said = (
        "content",
        "reasoning_content",
        "refusal",
        "function_call.name",
        "function_call.arguments",
        "tool_calls[*].function.name",
        "tool_calls[*].function.arguments",
        "tool_calls[*].name",
        "tool_calls[*].arguments",
    )
    return tuple(PartRule(f"{path}.{name}", role, role_path) for name in said)


_TOOLS = (
    PartRule("tools", "system", kind="opaque"),
    PartRule("functions", "system", kind="opaque"),
)

CHAT = Format(
    "chat", (("messages",),), (*_TOOLS, *_turns("messages[*]", role_path="messages[*].role")), _SAME
)
SHAREGPT = Format(
    "sharegpt",
    (("conversations",),),
    (
        PartRule("system", "system", kind="text"),
        *_TOOLS,
        PartRule("images", "user", kind="opaque"),
        PartRule("conversations[*].value", role_path="conversations[*].from"),
    ),
    _CHATTY,
)
ALPACA = Format(
    "alpaca",
    (("instruction",), ("output", "response")),
    (
        PartRule("system", "system", kind="text"),
        PartRule("history", "user", kind="opaque"),
        PartRule("instruction", "user", kind="text"),
        PartRule("input", "user", kind="text"),
        PartRule("output", "assistant", kind="text"),
        PartRule("response", "assistant", kind="text"),
    ),
)
PROMPT_COMPLETION = Format(
    "prompt-completion",
    (("prompt",), ("completion",)),
    (
        *_TOOLS,
        PartRule("prompt", "user"),
        *_turns("prompt[*]", role_path="prompt[*].role"),
        PartRule("completion", "assistant"),
        *_turns("completion[*]", role_path="completion[*].role"),
    ),
    _SAME,
)
PREFERENCE = Format(
    "preference",
    (("chosen",), ("rejected",)),
    (
        *_TOOLS,
        PartRule("system", "system", kind="text"),
        PartRule("prompt", "user"),
        *_turns("prompt[*]", role_path="prompt[*].role"),
        PartRule("chosen", "chosen"),
        *_turns("chosen[*]", "chosen"),
        PartRule("rejected", "rejected"),
        *_turns("rejected[*]", "rejected"),
    ),
    _SAME,
)
TEXT = Format("text", (("text",),), (PartRule("text", "text", kind="text"),))
RECORD = Format("record", (), (PartRule("**", "text", kind="text"),))
"""Any other object: every string in it, in document order. It fits everything, so it comes last."""

FORMATS = (CHAT, SHAREGPT, ALPACA, PROMPT_COMPLETION, PREFERENCE, TEXT, RECORD)
