"""Listeners: who is told of what happens to actors, and what becomes of what they raise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sophia.actors.complaint import complain

__all__ = ["Listeners", "tell"]

T = TypeVar("T")

_MOST = 64


class Listeners(Generic[T]):
    """Those who hear of `subject`, at most 64, in the order in which they came."""

    __slots__ = ("_all", "_subject")

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._all: list[Callable[[T], object]] = []

    def subscribe(self, listener: Callable[[T], object]) -> None:
        """One more. TypeError for what cannot be called, ValueError where there are too many."""
        if not callable(listener):
            message = f"subscribe: {listener!r:.80} is no function"
            raise TypeError(message)
        if len(self._all) >= _MOST:
            message = f"{_MOST} listeners hear of {self._subject} already"
            raise ValueError(message)
        self._all.append(listener)

    def tell(self, news: T) -> None:
        """Calls each of them, on this thread; what one raises is logged, and hinders none of the others."""
        for listener in self._all:
            tell(listener, news, "a listener to %s failed", self._subject)


def tell(listener: Callable[[T], object], news: T, words: str, *values: Any) -> None:
    """Calls a listener; what it raises is logged in these words, but for an interrupt and an exit of the process."""
    try:
        listener(news)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        complain(words, *values, exc_info=True)
