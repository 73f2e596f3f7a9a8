"""Writers of decisions: what a batch depends on is durable first, then it is written; in this order, or not at all."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate, chain
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from sophia._core.pattern import Pattern
from sophia._core.rhythm import Alarm
from sophia.brain import Batch, Sophia
from sophia.errors import OutputFailed
from sophia.store.pending import FileMark
from sophia.store.session_table import Session
from sophia.stream.decisions import alarm_line, pattern_line, reason_of, record_line, session_line
from sophia.stream.event import Event
from sophia.stream.summary import Summary

__all__ = ["Files", "ThreadedWriter", "Writer"]

_T = TypeVar("_T")

# Batches that may wait between the deciding and the writing thread.
_WAITING = 4


class Files(NamedTuple):
    """Where a run writes: decisions, patterns and, for whoever wants them, sessions that have ended and alarms."""

    decisions: BinaryIO
    patterns: BinaryIO
    sessions: BinaryIO | None = None
    alarms: BinaryIO | None = None


class Writer:
    """Makes durable what a batch depends on, then writes its decisions: in this order, or not at all.

    A decision is acknowledged when its whole line has arrived at `out`. With a store, what arrived is counted by the
    kernel (see sophia.store.ack) where `out` has a descriptor; then its own buffer is passed by. When anything fails
    the brain gives up what was not acknowledged, and learns it anew from the store when it is opened again.
    """

    def __init__(self, brain: Sophia, files: Files, summary: Summary) -> None:
        self._brain = brain
        self._out, self._patterns, self._sessions, self._alarms = files
        self._summary = summary
        self._out.flush()
        self._descriptor = _descriptor(self._out)
        self._path = _path(self._descriptor)
        self.output_gone = False
        """The reader of the decisions has gone: nothing more is committed or written."""

    def write(self, events: list[Event], batch: Batch, departed: list[Pattern]) -> None:
        if self.output_gone:
            return
        decisions = batch.decisions
        try:
            self.write_patterns(departed)
            self.write_sessions(batch.ended)
            self.write_alarms(batch.alarms)
            reasons = [reason_of(event, decision) for event, decision in zip(events, decisions, strict=True)]
            lines = [record_line(d, event, reason) for d, event, reason in zip(decisions, events, reasons, strict=True)]
            data = ("\n".join(lines) + "\n").encode("ascii")
            self._tell(batch, lines, data)
        except BrokenPipeError:
            self.output_gone = True
            return
        except BaseException:
            self._brain.discard()
            raise
        self._summary.add(events, decisions, reasons)

    def _tell(self, batch: Batch, lines: list[str], data: bytes) -> None:
        if self._descriptor is None:
            self._brain.begin(batch)
            self._put(data)
            return
        mark = FileMark.of(self._descriptor, self._path)
        ends = list(accumulate([len(line) + 1 for line in lines]))  # ASCII: a character is a byte
        ack = self._brain.begin(batch, ends, mark)
        with _naming(self._out, "the decisions"):
            if ack is None:
                self._put(data)
            elif mark is not None:
                ack.write(self._descriptor, data)
            else:
                ack.send(self._descriptor, data)

    def _put(self, data: bytes) -> None:
        with _naming(self._out, "the decisions"):
            self._out.write(data)
            self._out.flush()

    def write_patterns(self, patterns: Iterable[Pattern]) -> None:
        with _naming(self._patterns, "the patterns"):
            for pattern in patterns:
                self._patterns.write(pattern_line(pattern).encode("ascii") + b"\n")
                self._summary.add_pattern(pattern)
            self._patterns.flush()

    def write_sessions(self, ended: list[Session]) -> None:
        """A line for each; one whose last inputs were not acknowledged is told again by the next run."""
        if self._sessions is None or not ended:
            return
        with _naming(self._sessions, "the sessions"):
            self._sessions.write("".join([session_line(session) + "\n" for session in ended]).encode("ascii"))
            self._sessions.flush()
        self._summary.count_sessions(ended)

    def write_alarms(self, alarms: list[Alarm]) -> None:
        """A line for each; one at an input that was not acknowledged is told again by the next run."""
        if not alarms:
            return
        if self._alarms is not None:
            with _naming(self._alarms, "the alarms"):
                self._alarms.write("".join([alarm_line(alarm) + "\n" for alarm in alarms]).encode("ascii"))
                self._alarms.flush()
        self._summary.count_alarms(alarms)

    def close(self) -> None:
        """Nothing waits here."""


class ThreadedWriter(Writer):
    """The same in a thread of its own: a commit's wait for the disk overlaps with the next batches.

    What arrives during a commit is committed together. Order is kept (one queue, one thread). The first error stops
    the thread and is raised by the next `write` or by `close`.
    """

    def __init__(self, brain: Sophia, files: Files, summary: Summary) -> None:
        super().__init__(brain, files, summary)
        self._queue: queue.Queue[_Item | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="sophia-writer", daemon=True)
        self._thread.start()

    def write(self, events: list[Event], batch: Batch, departed: list[Pattern]) -> None:
        self._raise()
        self._queue.put((events, batch, departed))

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
        held: _Item | None = None
        while (first := held or self._queue.get()) is not None:
            group, held = self._group(first)
            if failed:
                continue  # keep taking, so that the other side never blocks on a full queue
            try:
                events, batches, departed = zip(*group, strict=True)
                super().write(_chained(events), Batch.joined(batches), _chained(departed))
            except BaseException as error:
                self._error = error
                failed = True

    def _group(self, first: _Item) -> tuple[list[_Item], _Item | None]:
        """`first` and what has arrived since and may be told with it, and one that has arrived and may not."""
        group = [first]
        while len(group) < _WAITING:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._queue.put(None)  # the last that is ever put: there is room for it
                break
            if not group[-1][1].takes(item[1]):
                return group, item
            group.append(item)
        return group, None


_Item = tuple[list[Event], Batch, list[Pattern]]


def _chained(lists: Iterable[list[_T]]) -> list[_T]:
    return list(chain.from_iterable(lists))


def _descriptor(out: BinaryIO) -> int | None:
    """The system's number of `out`; None for a file that lives in memory."""
    try:
        return out.fileno()
    except OSError:
        return None


def _path(descriptor: int | None) -> str:
    """What the file is called; "" where the system does not say."""
    if descriptor is None:
        return ""
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return ""


@contextmanager
def _naming(out: BinaryIO, what: str) -> Iterator[None]:
    """Says which file failed, once; a reader of ours that has gone stays a BrokenPipeError."""
    try:
        yield
    except (BrokenPipeError, OutputFailed):
        raise
    except OSError as error:
        name = getattr(out, "name", None)
        where = name if isinstance(name, str) and name else "standard output"
        message = (
            f"{what} cannot be written to {where} ({error.strerror or error}); make room or name another --out, and "
            "run again with the lines whose decisions are missing"
        )
        raise OutputFailed(message) from error
