"""Signals that end a run early, between two batches and never inside one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

from sophia.stream.event import Event

__all__ = ["Interrupt"]


class Interrupt:
    """Ctrl-C stops the reading, never a batch that is being decided and written.

    Python's own way, an exception anywhere, could lose a batch between its commit and its record.
    """

    def __init__(self) -> None:
        self.seen = False
        self._reading = False
        self._before: Any = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)

    def read(self, reader: Iterator[list[Event]]) -> list[Event] | None:
        """The next batch; None at the end or after an interrupt."""
        if self.seen:
            return None
        try:
            self._reading = True
            return next(reader, None)
        except KeyboardInterrupt:
            self.seen = True
            return None
        finally:
            self._reading = False

    def release(self) -> None:
        """Gives the signal back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: object) -> None:
        self.seen = True
        if self._reading:
            raise KeyboardInterrupt
