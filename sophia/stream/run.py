"""One pass over a stream: read, decide, commit, write; what `sophia run` is made of."""

from __future__ import annotations

import queue
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from time import monotonic, process_time
from typing import Any, BinaryIO

from sophia._core.decision import Decision
from sophia._core.pattern import Pattern
from sophia.brain import Sophia
from sophia.organs.thalamus import Columns
from sophia.store.changes import Changes
from sophia.stream.decisions import decision_line, pattern_line
from sophia.stream.event import PLAIN, Event
from sophia.stream.readers import Reader

__all__ = ["Summary", "run"]

# Called after each batch, to show progress.
Watch = Callable[["Summary", Reader], None]

# Batches that may wait between the deciding and the writing thread.
_WAITING = 4
_SHOWN_BAD = 20
# Bytes of patterns that may have to make room during one batch.
_DEPARTED_BYTES = 1 << 26
_FAULTS = {"empty": "empty", "too-long-line": "too-long"}


class Summary:
    """Totals of a run: what was decided, why, and how long it took. Its size does not grow with the stream."""

    def __init__(self) -> None:
        self.decisions = 0
        self.routes: Counter[str] = Counter()
        self.whys: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self.served = 0
        self.patterns = 0
        self.interrupted = False
        self.bad_lines: list[tuple[str, int, str]] = []
        self._us: Counter[float] = Counter()
        self._bad: Counter[str] = Counter()
        self._started = monotonic()
        self._cpu = process_time()

    def add(self, decisions: list[Decision]) -> None:
        """Counts one batch."""
        self.decisions += len(decisions)
        self.routes.update([d.route for d in decisions])
        self.whys.update([d.why for d in decisions])
        self.verdicts.update([d.verdict for d in decisions])
        self.rules.update([d.danger.rule for d in decisions if d.danger is not None])
        self.served += sum(d.answer is not None for d in decisions)
        # Two significant digits: at most 90 keys a decade.
        self._us.update([float(f"{d.us:.1e}") for d in decisions[:1]] * len(decisions))

    def add_bad(self, events: list[Event]) -> None:
        """Keeps where the first unreadable lines of each reason stand, at most 20 of a reason."""
        for event in events:
            if event.invalid and self._bad[event.invalid] < _SHOWN_BAD:
                self._bad[event.invalid] += 1
                self.bad_lines.append((event.source, event.line, event.invalid))

    def quantile(self, share: float) -> float:
        """Microseconds that at most `share` of the decisions took longer than or equal to; 0.0 before the first."""
        wanted = share * self.decisions
        seen = 0
        for us in sorted(self._us):
            seen += self._us[us]
            if seen >= wanted:
                return us
        return 0.0

    @property
    def seconds(self) -> float:
        return monotonic() - self._started

    @property
    def cpu_seconds(self) -> float:
        return process_time() - self._cpu

    def as_dict(self) -> dict[str, object]:
        """The totals under stable names, ready for JSON."""
        return {
            "decisions": self.decisions,
            "routes": dict(sorted(self.routes.items())),
            "whys": dict(sorted(self.whys.items())),
            "verdicts": dict(sorted(self.verdicts.items())),
            "rules": dict(self.rules.most_common()),
            "served_from_memory": self.served,
            "patterns": self.patterns,
            "interrupted": self.interrupted,
            "bad_lines": [
                {"source": source, "line": line, "reason": reason} for source, line, reason in self.bad_lines
            ],
            "us_p50": self.quantile(0.5),
            "us_p99": self.quantile(0.99),
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
        }


class _Writer:
    """Commits what a batch has taught, then writes and flushes its decisions: in this order, or not at all."""

    def __init__(self, brain: Sophia, out: BinaryIO, patterns: BinaryIO, summary: Summary) -> None:
        self._brain = brain
        self._out = out
        self._patterns = patterns
        self._summary = summary

    def write(self, decisions: list[Decision], changes: Changes, departed: list[Pattern]) -> None:
        self._brain.commit(changes)
        self.write_patterns(departed)
        text = "\n".join([decision_line(decision) for decision in decisions]) + "\n"
        self._out.write(text.encode("ascii"))
        self._out.flush()
        self._summary.add(decisions)

    def write_patterns(self, patterns: Iterable[Pattern]) -> None:
        for pattern in patterns:
            self._patterns.write(pattern_line(pattern).encode("ascii") + b"\n")
            self._summary.patterns += pattern.merged_into is None

    def close(self) -> None:
        """Nothing waits here."""


class _ThreadedWriter(_Writer):
    """The same in a thread of its own: a commit's wait for the disk overlaps with the next batch.

    Order is kept (one queue, one thread). The first error stops the thread and is raised by the next `write`
    or by `close`.
    """

    def __init__(self, brain: Sophia, out: BinaryIO, patterns: BinaryIO, summary: Summary) -> None:
        super().__init__(brain, out, patterns, summary)
        self._queue: queue.Queue[tuple[list[Decision], Changes, list[Pattern]] | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="sophia-writer", daemon=True)
        self._thread.start()

    def write(self, decisions: list[Decision], changes: Changes, departed: list[Pattern]) -> None:
        self._raise()
        self._queue.put((decisions, changes, departed))

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


class _Interrupt:
    """Ctrl-C stops the reading, never a batch that is being decided and written.

    Python's own way, an exception anywhere, could lose a batch between its commit and its record.
    """

    def __init__(self) -> None:
        self.seen = False
        self._reading = False
        self._before: Any = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)

    def read(self, reader: Reader) -> list[Event] | None:
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


def run(
    reader: Reader,
    brain: Sophia,
    out: BinaryIO,
    patterns: BinaryIO,
    *,
    workers: int = 1,
    watch: Watch | None = None,
) -> Summary:
    """Decides every event of `reader`; returns the totals.

    One record a line goes to `out`, written and flushed after what it depends on is durable; one line for each
    pattern goes to `patterns`, at the end or when it has to make room for another. With two or more workers
    the commits and the writing have a thread of their own; the decisions and their order are the same. An
    interrupt (Ctrl-C) ends the run after what has been decided is written.
    """
    summary = Summary()
    interrupt = _Interrupt()
    table = brain.thalamus.patterns
    table.keep_departed(_DEPARTED_BYTES)
    writer = (_ThreadedWriter if workers > 1 else _Writer)(brain, out, patterns, summary)
    try:
        while (events := interrupt.read(reader)) is not None:
            batch = columns(events)
            if batch.faults is not None:
                summary.add_bad(events)
            decisions, changes = brain.decide(batch)
            writer.write(decisions, changes, table.departed())  # a decision may name them, so the file must
            if watch is not None:
                watch(summary, reader)
    finally:
        interrupt.release()
        writer.close()
    summary.interrupted = interrupt.seen
    writer.write_patterns(table.patterns())
    return summary


def columns(events: list[Event]) -> Columns:
    """A batch of events by column; a column that no event uses is None, so plain lines stay cheap."""
    texts, scopes, contexts, stamps, answers, names, flags, faults = zip(
        *[(e.text, e.scope, e.context, e.ts, e.answer, e.id, e.flags, e.invalid) for e in events], strict=True
    )
    return Columns(
        list(texts),
        scopes=list(scopes) if any(scopes) else None,
        contexts=list(contexts) if any(contexts) else None,
        answers=list(answers) if any(answer is not None for answer in answers) else None,
        stamps=list(stamps) if any(stamps) else None,
        names=list(names) if any(names) else None,
        lines=[bool(flag & PLAIN) for flag in flags] if any(flag & PLAIN for flag in flags) else None,
        faults=[fault and _FAULTS.get(fault, "invalid") for fault in faults] if any(faults) else None,
    )
