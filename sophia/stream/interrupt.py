"""Signals that end a run early, between two batches and never inside one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = ["Interrupt"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """While it is entered, the first SIGINT, SIGTERM or SIGHUP calls `stop`; the second ends the process at once.

    Python's own way, an exception anywhere, could lose a batch between its commit and its record. A SIGHUP that is
    ignored (`nohup`) stays ignored. SIGINT and SIGTERM are taken in any case: a script starts its background jobs with
    SIGINT ignored, and nobody could then ask such a run for its end. In a thread that is not the main one, which
    cannot have handlers, nothing is changed.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._before: dict[int, Any] = {}
        self._number = 0

    @property
    def exit_code(self) -> int:
        """128 + the number of the signal that came, 0 if none did."""
        return 128 + self._number if self._number else 0

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                before = signal.getsignal(number)
                # None: a handler that is not Python's, which could not be given back
                if before is not None and not (number == signal.SIGHUP and before == signal.SIG_IGN):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _note(self, number: int, _: object) -> None:
        if self._number:
            # the end itself may be what hangs (a full disk, a reader that does not read): nothing may run here
            os._exit(128 + number)
        self._number = number
        self._stop()
