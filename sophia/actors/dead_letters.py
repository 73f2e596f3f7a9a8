"""Dead letters: messages that nobody handled, counted, the last of them kept."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from sophia.actors.complaint import complain
from sophia.actors.listeners import Listeners

__all__ = ["DeadLetter", "DeadLetters"]

# What is kept, at most.
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
        self._listeners: Listeners[DeadLetter] = Listeners("dead letters")
        self._lock = threading.RLock()  # re-entered by a signal's handler

    @property
    def kept(self) -> list[DeadLetter]:
        """The last ones, the oldest first."""
        return list(self._kept)

    def __repr__(self) -> str:
        return f"<DeadLetters {self.count}, {len(self._kept)} of them kept>"

    def subscribe(self, listener: Callable[[DeadLetter], object]) -> None:
        """Called with each dead letter, on the thread where it became one; what it raises is logged. TypeError for what
        cannot be called, ValueError for one more than 64."""
        self._listeners.subscribe(listener)

    def add(self, to: str, message: Any, reason: str) -> None:
        """One more."""
        letter = DeadLetter(to, message, reason)
        with self._lock:
            self.count = count = self.count + 1
            self._kept.append(letter)
        if str(count).strip("0") == "1":  # the 1st, 10th, 100th ...: a flood must not flood the log too
            complain("dead letter %d, to actor %r: %s", count, to, reason, level=logging.WARNING)
        self._listeners.tell(letter)
