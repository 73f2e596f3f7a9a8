"""The organs of a run: one reads, one decides, one tells, and one keeps what was decided; each waits for the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sophia._core.mailbox import Delivery
from sophia._core.normaliser import stream_safe
from sophia._core.pattern import Pattern
from sophia._core.rhythm import Alarm
from sophia._core.stretch import Stretch
from sophia.actors.actor import Actor, handles
from sophia.actors.ref import ActorRef
from sophia.brain import Batch, Sophia
from sophia.errors import InputError
from sophia.organs.batch import Columns
from sophia.organs.thalamus_organ import ThalamusOrgan
from sophia.organs.weaver import Weaver
from sophia.stream.event import PLAIN, Event
from sophia.stream.intake import Intake
from sophia.stream.readers import Reader
from sophia.stream.score import Score
from sophia.stream.session_key import SessionKey
from sophia.stream.summary import Summary
from sophia.stream.writer import Writer

if TYPE_CHECKING:
    from sophia.stream.collect import Collector

__all__ = ["Decided", "Hooks", "Inputs", "Read", "Scribe", "Source", "StreamThalamus", "Watch", "columns"]

_T = TypeVar("_T")

# Called after each batch, to show progress.
Watch = Callable[[Summary], None]

# Batches that are told together, and committed at once, where so many have come meanwhile.
_TOGETHER = 4
_FAULTS = {"empty": "empty", "too-long-line": "too-long"}


class Read(NamedTuple):
    """Read the next batch."""


class Inputs(NamedTuple):
    """A batch that was read."""

    events: list[Event]


class Decided(NamedTuple):
    """A batch that was decided, and the patterns that had to make room meanwhile."""

    events: list[Event]
    batch: Batch
    departed: list[Pattern]


class Hooks(NamedTuple):
    """What a run does with inputs and decisions beside telling them; see :func:`sophia.stream.run.run`."""

    zone: Callable[[str], str] | None = None
    session_key: SessionKey | None = None
    score: Score | None = None
    collector: Collector | None = None
    alarmed: Callable[[list[Alarm]], None] | None = None
    watch: Watch | None = None
    weaver: Weaver | None = None
    teller: ActorRef | None = None


class Source(Actor):
    """Reads batches and sends each to the Thalamus as soon as that has room, until there is nothing more to read. What
    may wait for its input wants a thread of its own: a pipe may have nothing to say for days."""

    accepts = (Read,)

    def __init__(self, reader: Reader | Intake, thalamus: ActorRef, strict: int | None) -> None:
        """With `strict` the reading ends before the first input with which something is wrong: it is how many
        characters an input may have."""
        self._reader = reader
        self._thalamus = thalamus
        self._strict = strict
        self.stopped: str | None = None
        """Where and why the reading ended before the inputs did."""

    def handle(self, read: Read) -> Delivery | None:
        """Reads a batch, and then the next."""
        events = self._next()
        if events is None or self.stopped is not None:
            self.ref.stop()
        else:
            self.ref.tell(read)
        if not events:
            return None
        sent = self._thalamus.tell(Inputs(events))
        return None if sent else sent  # which is waited for

    def on_stop(self) -> None:
        """Closes the input that is open."""
        self._reader.close()

    def _next(self) -> list[Event] | None:
        """The next batch; None at the end, or where it was told to stop."""
        try:
            events = next(iter(self._reader), None)
        except InputError as error:
            if self._strict is None:
                raise
            self.stopped = str(error)
            return None
        if events is not None and self._strict is not None:
            events, self.stopped = _up_to_a_fault(events, self._strict)
        return events


class StreamThalamus(ThalamusOrgan):
    """Decides batches in the order in which they come, and hands each to the Scribe."""

    def __init__(self, brain: Sophia, scribe: ActorRef, summary: Summary, hooks: Hooks) -> None:
        super().__init__(brain.route)
        self._brain = brain
        self._scribe = scribe
        self._summary = summary
        self._hooks = hooks

    @handles(Inputs)
    def inputs(self, inputs: Inputs) -> Delivery | None:
        """Decides a batch. What it gives is awaited where the Scribe has no room yet."""
        events, hooks = inputs.events, self._hooks
        try:
            batch = self._brain.decide(columns(events, hooks.zone, hooks.session_key))
            if hooks.score is not None:
                hooks.score.add(events, batch.decisions)
            # a decision may name these patterns, so the file must
            sent = self._scribe.tell(Decided(events, batch, self._brain.thalamus.patterns.departed()))
        except BaseException:
            self._brain.discard()
            raise
        if batch.alarms and hooks.alarmed is not None:
            hooks.alarmed(batch.alarms)
        if hooks.collector is not None:
            hooks.collector.add(events, batch.decisions)
        if hooks.weaver is not None:
            self._end(hooks.weaver.follow(events, batch))
        if hooks.watch is not None:
            hooks.watch(self._summary)
        return None if sent else sent

    def on_stop(self) -> None:
        """Ends the last stretch of the stream."""
        if self._hooks.weaver is not None:
            self._end(self._hooks.weaver.finish())

    def _end(self, stretches: list[Stretch]) -> None:
        """Hands over what is to be told as chapters. Nobody waits for that."""
        for stretch in stretches:
            if self._hooks.teller is None or self._hooks.teller.tell(stretch).outcome != "accepted":
                self._summary.unwoven += stretch.tally.inputs


class Scribe(Actor):
    """Tells decisions: makes durable what they depend on, then writes them. In a thread of its own, as both wait."""

    accepts = (Decided,)

    def __init__(self, writer: Writer, gone: Callable[[], None]) -> None:
        self._writer = writer
        self._gone = gone

    def handle(self, decided: Decided) -> None:
        """Tells one batch."""
        self._tell([decided])

    def handle_batch(self, waiting: list[Decided]) -> None:
        """Tells several, and commits what may be committed together at once."""
        for group in _groups(waiting):
            self._tell(group)

    def _tell(self, group: list[Decided]) -> None:
        if self._writer.output_gone:
            return
        events, batches, departed = zip(*group, strict=True)
        self._writer.write(_chained(events), Batch.joined(batches), _chained(departed))
        if self._writer.output_gone:
            self._gone()


def _groups(waiting: list[Decided]) -> Iterator[list[Decided]]:
    group: list[Decided] = []
    for one in waiting:
        if group and (len(group) == _TOGETHER or not group[-1].batch.takes(one.batch)):
            yield group
            group = []
        group.append(one)
    yield group


def _chained(lists: Any) -> list[Any]:
    return list(chain.from_iterable(lists))


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
