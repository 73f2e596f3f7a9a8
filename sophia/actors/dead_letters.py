"""Dead letters: messages that nobody handled, counted, the last of them kept."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from sophia.actors.complaint import complain

__all__ = ["DeadLetter", "DeadLetters"]

# Who may listen, and what is kept, at most.
_MOST = 64
_MOST_KEPT = 1_000_000


class DeadLetter(NamedTuple):
    """A message that nobody handled."""

    to: str
    message: Any
    reason: str


class DeadLetters:
    """Counts dead letters and keeps the last of them. Thread-safe."""

    def __init__(self, keep: int = 100) -> None:
        if isinstance(keep, bool) or not isinstance(keep, int) or not 0 <= keep <= _MOST_KEPT:
            message = f"keep is {keep!r:.80}; give a whole number of dead letters to keep, 0 to {_MOST_KEPT:,}"
            raise ValueError(message)
        self.count = 0
        self._kept: deque[DeadLetter] = deque(maxlen=keep)
        self._listeners: list[Callable[[DeadLetter], object]] = []
        self._lock = threading.RLock()  # re-entered by a signal's handler

    @property
    def kept(self) -> list[DeadLetter]:
        """The last ones, the oldest first."""
        return list(self._kept)

    def __repr__(self) -> str:
        return f"<DeadLetters {self.count}, {len(self._kept)} of them kept>"

    def subscribe(self, listener: Callable[[DeadLetter], object]) -> None:
        """Called with each dead letter, on the thread where it became one; what it raises is logged."""
        if not callable(listener):
            message = f"subscribe: {listener!r:.80} is no function"
            raise TypeError(message)
        if len(self._listeners) >= _MOST:
            message = f"{_MOST} listeners hear of dead letters already"
            raise ValueError(message)
        self._listeners.append(listener)

    def add(self, to: str, message: Any, reason: str) -> None:
        """One more."""
        letter = DeadLetter(to, message, reason)
        with self._lock:
            self.count = count = self.count + 1
            self._kept.append(letter)
        if str(count).strip("0") == "1":  # the 1st, 10th, 100th ...: a flood must not flood the log too
            complain("dead letter %d, to actor %r: %s", count, to, reason, level=logging.WARNING)
        for listener in self._listeners:
            try:
                listener(letter)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                complain("a listener to dead letters failed", exc_info=True)
