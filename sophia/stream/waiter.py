"""Waiting for input in such a way that a signal, another thread or a lost reader of the output ends it at once."""

from __future__ import annotations

import os
from _thread import RLock  # threading costs 2 ms at start
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Stopped", "Waiter"]


# Seconds of one wait in the system. Of a signal that came just before it, or to another thread, nothing is known until
# it ends: Python calls its handlers between two instructions of the main thread only.
_LOOK = 1.0


class Stopped(Exception):
    """The reading was stopped while it waited. Never leaves the readers."""


class Waiter:
    """Waits for descriptors until one is ready, time is up, or `stop` was called.

    `stop` may be called from a signal handler and from any thread; it interrupts the wait through a pipe, so no
    exception has to fly through the code that reads, and no byte that was taken is lost. The pipe is made by the
    first wait, `close` closes it.
    """

    __slots__ = ("_lock", "_output", "_wake", "output_gone", "stopped")

    def __init__(self) -> None:
        self.stopped = False
        self.output_gone = False
        """Nobody reads the watched output any more."""
        self._output: int | None = None
        self._wake: tuple[int, int] | None = None
        self._lock = RLock()  # re-entered by a signal handler

    def stop(self) -> None:
        """Ends this wait and every later one."""
        self.stopped = True
        with self._lock:
            if self._wake is None:
                return
            try:
                os.write(self._wake[1], b"!")
            except BlockingIOError:
                return  # it is full of earlier calls

    def watch_output(self, fd: int) -> None:
        """Also stops when the pipe or socket `fd`, to which results go, has lost its reader."""
        self._output = fd

    def ready(self, fds: Iterable[int], seconds: float | None = None) -> set[int]:
        """Those of `fds` that can be read, are at their end or broken; empty when time is up. Raises Stopped."""
        import select

        if self._wake is None:
            with self._lock:
                self._wake = os.pipe()
                for end in self._wake:
                    os.set_blocking(end, False)
        if self.stopped:
            raise Stopped
        poll = select.poll()
        poll.register(self._wake[0], select.POLLIN)
        if self._output is not None:
            poll.register(self._output, 0)  # errors are always told
        for fd in fds:
            poll.register(fd, select.POLLIN)
        until = None if seconds is None else monotonic() + seconds
        while True:
            left = _LOOK if until is None else max(0.0, until - monotonic())
            found = {fd for fd, _ in poll.poll(1000 * min(left, _LOOK))}
            if found or self.stopped or (until is not None and left < _LOOK):
                break
        if self._output is not None and self._output in found:
            self.output_gone = True
            self.stop()
        if self.stopped:
            raise Stopped
        return found

    def pause(self, seconds: float) -> None:
        """Sleeps. Raises Stopped."""
        self.ready((), seconds)

    def close(self) -> None:
        """Closes the pipe; a later wait makes a new one."""
        with self._lock:
            wake, self._wake = self._wake, None
            for end in wake or ():
                os.close(end)
