"""One pass over a stream: read, decide, commit, write; what `sophia run` is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, BinaryIO

from sophia._core.rhythm import Alarm
from sophia.actors.message import Terminated
from sophia.actors.orchestrator import Orchestrator
from sophia.actors.supervision import Supervision
from sophia.brain import Sophia
from sophia.organs.weaver import RECENT, Weaver
from sophia.organs.weaver_organ import WeaverOrgan
from sophia.stream.intake import Intake
from sophia.stream.keeper import Keeper, KeepingOrgan
from sophia.stream.pipeline import Hooks, Read, Scribe, Source, StreamThalamus, Watch
from sophia.stream.readers import Reader
from sophia.stream.reloading import Reloading
from sophia.stream.score import Score
from sophia.stream.session_key import SessionKey
from sophia.stream.summary import Summary
from sophia.stream.writer import Files, Writer

if TYPE_CHECKING:
    from sophia.stream.collect import Collector

__all__ = ["Summary", "run"]

# Bytes of patterns that may have to make room during one batch.
_DEPARTED_BYTES = 1 << 26

# Batches that may wait before an organ.
_WAITING = 4
# Stretches that may wait to be told as chapters; nobody waits for that.
_UNTOLD = 64
# Whose error is raised where several have one: what one fails with may make those after it fail.
_ERRORS = ("scribe", "hippocampus", "thalamus", "source", "weaver")
# Seconds of one wait in the system. Python calls the handlers of signals between two instructions of its main thread:
# one that came just before such a wait, or to another thread, is not seen until the wait ends.
_LOOK = 1.0
# Seconds that a store has at the end that does not answer.
_AWAY = 0.1


def run(
    reader: Reader | Intake,
    brain: Sophia,
    out: BinaryIO,
    patterns: BinaryIO,
    *,
    strict: bool = False,
    zone: Callable[[str], str] | None = None,
    score: Score | None = None,
    watch: Watch | None = None,
    collector: Collector | None = None,
    session_key: SessionKey | None = None,
    sessions: BinaryIO | None = None,
    alarms: BinaryIO | None = None,
    alarmed: Callable[[list[Alarm]], None] | None = None,
    patience: float = 10.0,
    tell: Callable[[str], None] = lambda _: None,
    weave: bool = True,
    reloading: Reloading | None = None,
) -> Summary:
    """Decides every event of `reader`; returns the totals.

    One record a line goes to `out`, written and flushed after what it depends on is durable; one line for each
    pattern goes to `patterns`, at the end or when it has to make room for another. Reading, commits and writing have
    threads of their own, the deciding that of an event loop (:mod:`sophia.stream.pipeline`): so not in a coroutine.
    `reader.stop()` (see `Interrupt`) ends the run after what has been read is decided and written; so does a reader
    of `out` that goes away, as `| head` does, without what it has not taken.

    With `strict` the run ends before the first input with which something is wrong, or where an input cannot be
    read on; `Summary.stopped` says where. `zone` completes event times, see `sophia.stream.times`. `collector`
    sees all that was decided.

    `session_key` finds the sessions of inputs; one line for each that has ended goes to `sessions`. Where the inputs
    come to their end all sessions do; those of a run that ends earlier go on in the store, if there is one. One line
    for each pattern that came too seldom or too often goes to `alarms`, and `alarmed` is told of it at once.

    With `weave` the run is told as chapters (:mod:`sophia.organs.weaver`): `Summary.chapters`, and the store has them.

    `reloading` follows a settings file meanwhile.

    A store that does not answer within `patience` seconds is done without: see :class:`sophia.stream.keeper.Keeper`.
    `tell` is told of that, on the thread of the event loop.
    """
    table = brain.thalamus.patterns
    summary = Summary(brain.settings, table.newest)
    table.keep_departed(_DEPARTED_BYTES)
    files = Files(out, patterns, sessions, alarms)
    limit = brain.settings.max_chars if strict else None
    pipeline = _Pipeline(reader, brain, files, summary, limit, patience, tell)
    hooks = Hooks(zone=zone, session_key=session_key, score=score, collector=collector, alarmed=alarmed, watch=watch)
    weaver = None
    if weave:
        weaver = Weaver(run=brain.thalamus.hot_path.run, newest=table.newest, recent=brain.chapters(RECENT))
    asyncio.run(pipeline.run(hooks, weaver, reloading))
    writer = pipeline.writer
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


class _Pipeline:
    """The organs of one run, from the first input to the last line."""

    def __init__(
        self,
        reader: Reader | Intake,
        brain: Sophia,
        files: Files,
        summary: Summary,
        strict: int | None,
        patience: float,
        tell: Callable[[str], None],
    ) -> None:
        self._tell = tell
        self._reader = reader
        self._brain = brain
        self._files = files
        self._summary = summary
        self._strict = strict
        self._patience = patience
        self._errors: dict[str, BaseException] = {}
        self._cancelled = False
        self.writer: Writer

    async def run(self, hooks: Hooks, weaver: Weaver | None, reloading: Reloading | None) -> None:
        """Reads, decides and tells to the end; raises what an organ failed with."""
        brain, summary = self._brain, self._summary
        # What fails ends the run: the store knows what was told, and learns the rest anew.
        organs = Orchestrator(Supervision(told="stop"), shutdown_timeout=self._patience)
        hippocampus = organs.spawn(lambda: KeepingOrgan(brain), "hippocampus", blocking=True, capacity=_WAITING)
        loop = asyncio.get_running_loop()

        def tell(words: str) -> None:
            loop.call_soon_threadsafe(self._tell, words)

        keeper = Keeper(brain, hippocampus, self._patience, tell)
        self.writer = Writer(brain, self._files, summary, keeper)
        telling = Scribe(self.writer, self._reader.stop)
        scribe = organs.spawn(telling, "scribe", blocking=True, capacity=_WAITING)
        if weaver is not None:
            weaving = WeaverOrgan(weaver, self._tell_chapter)
            teller = organs.spawn(weaving, "weaver", capacity=_UNTOLD, overflow="drop_new")
            hooks = hooks._replace(weaver=weaver, teller=teller)
        deciding = StreamThalamus(brain, scribe, summary, hooks)
        thalamus = organs.spawn(deciding, "thalamus", priority="critical", capacity=_WAITING)
        source = Source(self._reader, thalamus, self._strict)
        reading = organs.spawn(source, "source", blocking=self._reader.waits, capacity=_WAITING)
        beside = [asyncio.create_task(_look())]
        if reloading is not None:
            beside.append(asyncio.create_task(reloading.follow(brain)))
        try:
            for organ in (reading, thalamus, scribe, *([hooks.teller] if hooks.teller is not None else [])):
                organ.watch(self._ended)
            reading.tell(Read())
            await self._drained(reading.stopped())
            for organ in (thalamus, scribe):  # what one still sends finds the next
                await self._drained(organs.stop(organ, None))
            if hooks.teller is not None:
                await self._drained(organs.stop(hooks.teller, None))
        finally:
            for task in beside:
                task.cancel()
            summary.stopped = source.stopped
            summary.count_unkept(keeper.hung, keeper.unkept)
            if self.writer.output_gone:
                brain.discard()  # the next open learns what arrived, and that only
            await organs.shutdown(_AWAY if keeper.away else None)
            await asyncio.gather(*beside, return_exceptions=True)
        for name in _ERRORS:
            if name in self._errors:
                raise self._errors[name]
        if self._cancelled:
            raise asyncio.CancelledError

    def _tell_chapter(self, chapter: dict[str, Any]) -> None:
        self._summary.chapters.append(chapter)
        self._brain.add_chapters([chapter])

    async def _drained(self, end: Coroutine[object, object, object]) -> None:
        """Waits for an organ's end; who cancels that ends the reading, and what was read is decided and told."""
        ending = asyncio.ensure_future(end)
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:
                self._cancelled = True
                self._reader.stop()

    def _ended(self, end: Terminated) -> None:
        if end.error is not None:
            self._errors[end.name] = end.error
            self._reader.stop()


async def _look() -> None:
    while True:
        await asyncio.sleep(_LOOK)
