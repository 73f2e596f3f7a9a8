"""One pass over a stream: read, decide, commit, write; what `sophia run` is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from sophia.brain import Sophia
from sophia.organs.thalamus import Columns
from sophia.stream.event import PLAIN, Event
from sophia.stream.interrupt import Interrupt
from sophia.stream.readers import Reader
from sophia.stream.summary import Summary
from sophia.stream.writer import ThreadedWriter, Writer

__all__ = ["Summary", "run"]

# Called after each batch, to show progress.
Watch = Callable[[Summary, Reader], None]

# Bytes of patterns that may have to make room during one batch.
_DEPARTED_BYTES = 1 << 26
_FAULTS = {"empty": "empty", "too-long-line": "too-long"}


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
    interrupt = Interrupt()
    table = brain.thalamus.patterns
    table.keep_departed(_DEPARTED_BYTES)
    writer = (ThreadedWriter if workers > 1 else Writer)(brain, out, patterns, summary)
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
