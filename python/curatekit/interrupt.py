"""Requests to stop, held back until it does no harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_REQUESTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def unbroken() -> Iterator[list[int]]:
    """Hold requests to stop back until the block has ended, so that nothing is left half done.

    Gives the list of those that came; what is taken out of it is forgotten.
    """
    with _held(at_once=2**31) as requests:
        yield requests


@contextmanager
def drained() -> Iterator[list[int]]:
    """Hold the first request back, so that the block can end what it began; the second ends it."""
    with _held(at_once=2) as requests:
        yield requests


@contextmanager
def _held(at_once: int) -> Iterator[list[int]]:
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held
        return
    before = [signal.getsignal(one) for one in _REQUESTS]

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)
        if len(held) >= at_once:
            restore()
            signal.raise_signal(number)

    def restore() -> None:
        for request, handler in zip(_REQUESTS, before, strict=True):
            signal.signal(request, handler)

    for one in _REQUESTS:
        signal.signal(one, hold)
    try:
        yield held
    finally:
        restore()
    for number in held:
        signal.raise_signal(number)
