"""One pass over a stream: read, decide, commit, write; what `sophia run` is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from sophia._core.normaliser import stream_safe
from sophia._core.rhythm import Alarm
from sophia.brain import Sophia
from sophia.errors import InputError
from sophia.organs.batch import Columns
from sophia.stream.event import PLAIN, Event
from sophia.stream.intake import Intake
from sophia.stream.readers import Reader
from sophia.stream.score import Score
from sophia.stream.session_key import SessionKey
from sophia.stream.summary import Summary
from sophia.stream.writer import Files, ThreadedWriter, Writer

if TYPE_CHECKING:
    from sophia.stream.collect import Collector

__all__ = ["Summary", "run"]

# Called after each batch, to show progress.
Watch = Callable[[Summary], None]

# Bytes of patterns that may have to make room during one batch.
_DEPARTED_BYTES = 1 << 26
_FAULTS = {"empty": "empty", "too-long-line": "too-long"}


def run(
    reader: Reader | Intake,
    brain: Sophia,
    out: BinaryIO,
    patterns: BinaryIO,
    *,
    workers: int = 1,
    strict: bool = False,
    zone: Callable[[str], str] | None = None,
    score: Score | None = None,
    watch: Watch | None = None,
    collector: Collector | None = None,
    session_key: SessionKey | None = None,
    sessions: BinaryIO | None = None,
    alarms: BinaryIO | None = None,
    alarmed: Callable[[list[Alarm]], None] | None = None,
) -> Summary:
    """Decides every event of `reader`; returns the totals.

    One record a line goes to `out`, written and flushed after what it depends on is durable; one line for each
    pattern goes to `patterns`, at the end or when it has to make room for another. With two or more workers
    the commits and the writing have a thread of their own; the decisions and their order are the same.
    `reader.stop()` (see `Interrupt`) ends the run after what has been read is decided and written; so does a reader
    of `out` that goes away, as `| head` does, without what it has not taken.

    With `strict` the run ends before the first input with which something is wrong, or where an input cannot be
    read on; `Summary.stopped` says where. `zone` completes event times, see `sophia.stream.times`. `collector`
    sees all that was decided.

    `session_key` finds the sessions of inputs; one line for each that has ended goes to `sessions`. Where the inputs
    come to their end all sessions do; those of a run that ends earlier go on in the store, if there is one. One line
    for each pattern that came too seldom or too often goes to `alarms`, and `alarmed` is told of it at once.
    """
    table = brain.thalamus.patterns
    summary = Summary(brain.settings, table.newest)
    table.keep_departed(_DEPARTED_BYTES)
    writer = (ThreadedWriter if workers > 1 else Writer)(brain, Files(out, patterns, sessions, alarms), summary)
    try:
        for events in reader:
            if strict:
                events, summary.stopped = _up_to_a_fault(events, brain.settings.max_chars)
                if not events:
                    break
            try:
                batch = brain.decide(columns(events, zone, session_key))
                if score is not None:
                    score.add(events, batch.decisions)
                writer.write(events, batch, table.departed())  # a decision may name them, so the file must
            except BaseException:
                brain.discard()
                raise
            if batch.alarms and alarmed is not None:
                alarmed(batch.alarms)
            if collector is not None:
                collector.add(events, batch.decisions)
            if writer.output_gone or summary.stopped is not None:
                break
            if watch is not None:
                watch(summary)
    except InputError as error:
        if not strict:
            raise
        summary.stopped = str(error)
    finally:
        reader.close()
        writer.close()
        if writer.output_gone:
            brain.discard()  # the next open learns what arrived, and that only
    summary.output_gone = writer.output_gone or reader.output_gone
    summary.interrupted = reader.stopped and not summary.output_gone
    summary.add_audit(brain.audit)
    if brain.settings.remember != "none":
        summary.memories = brain.memories
    if session_key is not None and not summary.output_gone:
        if not brain.durable or not (summary.interrupted or summary.stopped):
            writer.write_sessions(brain.end_sessions())
        summary.add_sessions(brain.open_sessions)
    if summary.samples:
        summary.sensor_notes = brain.thalamus.sensors.notes()
    writer.write_patterns(table.patterns())
    if collector is not None:
        collector.finish()
    summary.end()
    return summary


def _up_to_a_fault(events: list[Event], max_chars: int) -> tuple[list[Event], str | None]:
    """The events before the first with which something is wrong, and where that stands."""
    for i, event in enumerate(events):
        reason = event.invalid
        if reason is None and event.text is not None:
            if len(event.text) > max_chars:
                reason = "too-long"
            elif not event.flags & PLAIN and not stream_safe(event.text):
                reason = "invalid"
        if reason is not None:
            return events[:i], f"{event.source}:{event.line}: {reason}"
    return events, None


def columns(
    events: list[Event], zone: Callable[[str], str] | None = None, session_key: SessionKey | None = None
) -> Columns:
    """A batch of events by column; a column that no event uses is None, so plain lines stay cheap."""
    texts, scopes, contexts, stamps, answers, names, flags, faults, samples = zip(
        *[(e.text, e.scope, e.context, e.ts, e.answer, e.id, e.flags, e.invalid, e.sample) for e in events], strict=True
    )
    sessions = [] if session_key is None else session_key.of(events)
    lines = any(flag & PLAIN for flag in flags)
    return Columns(
        list(texts),
        scopes=list(scopes) if any(scopes) else None,
        contexts=list(contexts) if any(contexts) else None,
        answers=list(answers) if any(answer is not None for answer in answers) else None,
        stamps=[ts and zone(ts) if zone else ts for ts in stamps] if any(stamps) else None,
        names=list(names) if any(names) else None,
        lines=[bool(flag & PLAIN) for flag in flags] if lines else None,
        faults=[fault and _FAULTS.get(fault, "invalid") for fault in faults] if any(faults) else None,
        sessions=sessions if any(sessions) else None,
        sources=[event.source for event in events] if lines or any(stamps) else None,
        samples=list(samples) if any(samples) else None,
    )
