"""Writers of decisions: a batch is committed first, then written and flushed; in this order, or not at all."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from typing import BinaryIO

from sophia._core.decision import Decision
from sophia._core.pattern import Pattern
from sophia.brain import Sophia
from sophia.store.changes import Changes
from sophia.stream.decisions import pattern_line, reason_of, record_line
from sophia.stream.event import Event
from sophia.stream.summary import Summary

__all__ = ["ThreadedWriter", "Writer"]

# Batches that may wait between the deciding and the writing thread.
_WAITING = 4
_Item = tuple[list[Event], list[Decision], Changes, list[Pattern]]


class Writer:
    """Commits what a batch has taught, then writes and flushes its decisions: in this order, or not at all."""

    def __init__(self, brain: Sophia, out: BinaryIO, patterns: BinaryIO, summary: Summary) -> None:
        self._brain = brain
        self._out = out
        self._patterns = patterns
        self._summary = summary
        self.output_gone = False
        """The reader of the decisions has gone: nothing more is committed or written."""

    def write(self, events: list[Event], decisions: list[Decision], changes: Changes, departed: list[Pattern]) -> None:
        if self.output_gone:
            return
        self._brain.commit(changes)
        self.write_patterns(departed)
        reasons = [reason_of(event, decision) for event, decision in zip(events, decisions, strict=True)]
        lines = [record_line(d, event, reason) for d, event, reason in zip(decisions, events, reasons, strict=True)]
        try:
            self._out.write(("\n".join(lines) + "\n").encode("ascii"))
            self._out.flush()
        except BrokenPipeError:
            self.output_gone = True
            return
        self._summary.add(events, decisions, reasons)

    def write_patterns(self, patterns: Iterable[Pattern]) -> None:
        for pattern in patterns:
            self._patterns.write(pattern_line(pattern).encode("ascii") + b"\n")
            self._summary.patterns += pattern.merged_into is None

    def close(self) -> None:
        """Nothing waits here."""


class ThreadedWriter(Writer):
    """The same in a thread of its own: a commit's wait for the disk overlaps with the next batch.

    Order is kept (one queue, one thread). The first error stops the thread and is raised by the next `write`
    or by `close`.
    """

    def __init__(self, brain: Sophia, out: BinaryIO, patterns: BinaryIO, summary: Summary) -> None:
        super().__init__(brain, out, patterns, summary)
        self._queue: queue.Queue[_Item | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="sophia-writer", daemon=True)
        self._thread.start()

    def write(self, events: list[Event], decisions: list[Decision], changes: Changes, departed: list[Pattern]) -> None:
        self._raise()
        self._queue.put((events, decisions, changes, departed))

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        failed = False
        while (item := self._queue.get()) is not None:
            if failed:
                continue  # keep taking, so that the other side never blocks on a full queue
            try:
                super().write(*item)
            except BaseException as error:
                self._error = error
                failed = True
