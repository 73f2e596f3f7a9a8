"""Writers of decisions: what a batch depends on is durable first, then it is written; in this order, or not at all."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from sophia._core.decision import set_error
from sophia._core.pattern import Pattern
from sophia._core.rhythm import Alarm
from sophia.brain import Batch, Sophia
from sophia.errors import OutputFailed
from sophia.store.ack import Ack
from sophia.store.pending import FileMark
from sophia.store.session_table import Session
from sophia.stream.decisions import (
    alarm_line,
    journalled,
    pattern_line,
    reason_of,
    record_line,
    session_line,
    unkept_line,
)
from sophia.stream.event import Event
from sophia.stream.summary import Summary

__all__ = ["Files", "Keeps", "StoreAway", "Writer"]


class StoreAway(Exception):
    """The store does not answer; what was to be kept is to be told without it. Never leaves the stream."""


class Keeps(Protocol):
    """What makes batches durable."""

    def begin(self, batch: Batch, ends: list[int] | None, mark: FileMark | None, records: list[str], /) -> Ack | None:
        """See :meth:`sophia.Sophia.begin`. StoreAway where the batch is to be told without the store."""


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

    `keeper` makes batches durable, in the place of the brain itself. What it cannot keep is told without the store, as
    no reflex and without answers, and such a line says so.
    """

    def __init__(self, brain: Sophia, files: Files, summary: Summary, keeper: Keeps | None = None) -> None:
        self._brain = brain
        self._keeper: Keeps = brain if keeper is None else keeper
        self._out, self._patterns, self._sessions, self._alarms = files
        self._summary = summary
        self._out.flush()
        self._descriptor = _descriptor(self._out)
        self._path = _path(self._descriptor)
        self._arrived = 0  # of the last batch, where the output went away meanwhile and that is known
        self.output_gone = False
        """The reader of the decisions has gone: nothing more is committed or written."""

    def write(self, events: list[Event], batch: Batch, departed: list[Pattern]) -> None:
        if self.output_gone:
            return
        decisions, reasons = batch.decisions, []
        self._arrived = 0
        try:
            self.write_patterns(departed)
            self.write_sessions(batch.ended)
            self.write_alarms(batch.alarms)
            reasons = [reason_of(event, decision) for event, decision in zip(events, decisions, strict=True)]
            lines = [record_line(d, event, reason) for d, event, reason in zip(decisions, events, reasons, strict=True)]
            try:
                self._tell(batch, lines)
            except StoreAway:
                for decision in decisions:
                    set_error(decision)
                told = zip(decisions, events, reasons, strict=True)
                self._put([unkept_line(d, event, reason) for d, event, reason in told])
        except BrokenPipeError:
            self.output_gone = True
            arrived = self._arrived
            self._summary.add(events[:arrived], decisions[:arrived], reasons[:arrived])
            return
        except BaseException:
            self._brain.discard()
            raise
        self._summary.add(events, decisions, reasons)

    def _tell(self, batch: Batch, lines: list[str]) -> None:
        records = journalled(lines, batch.decisions, batch.alarms) if self._brain.journals else []
        if self._descriptor is None:
            self._keeper.begin(batch, None, None, records)
            self._put(lines)
            return
        mark = FileMark.of(self._descriptor, self._path)
        ends = list(accumulate([len(line) + 1 for line in lines]))  # ASCII: a character is a byte
        ack = self._keeper.begin(batch, ends, mark, records)
        if ack is None:
            self._put(lines)
            return
        with _naming(self._out, "the decisions"):
            if mark is not None:
                ack.write(self._descriptor, _data(lines))
                return
            try:
                ack.send(self._descriptor, _data(lines))
            except BrokenPipeError:
                self._arrived = bisect_right(ends, ack.sent)
                raise

    def _put(self, lines: list[str]) -> None:
        with _naming(self._out, "the decisions"):
            self._out.write(_data(lines))
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


def _data(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode("ascii")


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
