# Over 600 lines: the Python API in one place, most of it docstrings.
"""Sophia: the organs over one store, and the calls of the program that uses them."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sophia._core.decision import Decision
from sophia._core.pattern import Pattern
from sophia._core.rhythm import Alarm
from sophia.config import Settings
from sophia.errors import NotBorn, SophiaError, StoreFrozen
from sophia.organs.aside import SideThreads
from sophia.organs.audit import AuditReport
from sophia.organs.batch import Batch, Columns, check_session, is_line
from sophia.organs.scanning import Scanners
from sophia.organs.thalamus import Thalamus
from sophia.store.ack import Ack
from sophia.store.changes import Answer, Changes
from sophia.store.journal import Journal
from sophia.store.ledger import Ledger
from sophia.store.outputs import KINDS, Output
from sophia.store.pending import FileMark, Pending

if TYPE_CHECKING:  # loaded when first used, as a start need not pay for it
    from sophia.organs.flight import Flights, Reply
    from sophia.organs.intents import Explanation, Intents
    from sophia.organs.recall import Recall
    from sophia.organs.sessions import Session

__all__ = ["Batch", "Sophia"]

# Inputs that are decided under one lock, at most.
_BATCH = 256
# Chapters that wait for a commit, at most.
_CHAPTERS = 256


class Sophia:
    """A brain over one store. Open it with :func:`sophia.open`, close it or use it in a ``with`` block.

    `thalamus` decides; `ledger`, where there is a store, makes durable what it learns. Both are the brain's own from
    then on, and closing it closes the store. `notes` is what was found when it was opened.

    Thread-safe: one lock around each call. Not fork-safe: in a forked child every call raises SophiaError,
    since the lock and the store belong to the parent.
    """

    def __init__(
        self,
        thalamus: Thalamus,
        ledger: Ledger | None = None,
        *,
        rule_files: Sequence[str] = (),
        notes: Sequence[str] = (),
        clock: Callable[[], float] = time,
        scanners: Scanners | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._lock = threading.RLock()  # re-entered by a signal handler only: see _require_usable
        self._learning = threading.Lock()  # held while a router is made of the one in use
        self._applying = threading.RLock()  # held while settings change
        self._deciding = False
        self._taken_back = 0  # answers that were
        self._thalamus = thalamus
        self._gestating = thalamus.gestating
        self._choose_route()
        self._ledger = ledger
        self._store = None if ledger is None else ledger.store
        self._changed_settings = thalamus.settings.changed()
        self._rule_files = list(rule_files)
        self._notes = list(notes)
        self._clock = clock
        self._closed = self._closing = False
        self._discarded = False
        self._away = False
        self._forked = False
        self._close_wanted = False
        self._n = 0
        self._aside = SideThreads()
        self._scanners = scanners
        self._journal = journal
        self._flights: Flights | None = None
        self._chapters: deque[Mapping[str, Any]] = deque(maxlen=_CHAPTERS)
        _OPEN.add(self)

    @property
    def settings(self) -> Settings:
        return self._thalamus.settings

    @property
    def policy_version(self) -> str:
        """Names everything that a stored answer depends on; an answer is served under the same policy only."""
        return self._thalamus.policy_version

    @property
    def stage(self) -> str:
        """Of its life: "gestating", "fluid" or "crystalline"; see :mod:`sophia.gestation`."""
        with self._lock:
            gestation = self._thalamus.gestation
            return "fluid" if gestation is None else gestation.stage

    @property
    def birth(self) -> dict[str, Any] | None:
        """When it was born, after what, and its calibration; None before that. Facts, for JSON; keys may be added and
        are never renamed."""
        with self._lock:
            gestation = self._thalamus.gestation
            return None if gestation is None else gestation.birth

    def crystallise(self) -> None:
        """From now on it decides as it does, and learns nothing: nothing in its store changes until `liquefy`. Durable.
        It raises no alarms either, as it does not follow how often patterns come.

        NotBorn before it is born; StoreFrozen is raised by whatever would teach it.

            >>> import sophia
            >>> with sophia.open(None, settings=sophia.Settings(gestation_inputs=0)) as brain:
            ...     first = brain.complete(brain.route("When do you open?"), answer="At nine.")
            ...     brain.crystallise()
            ...     again, new = brain.route("when do you open"), [brain.route("And where?") for _ in range(2)]
            >>> again.answer, [one.why for one in new]
            ('At nine.', ['novel', 'novel'])
        """
        with self._lock:
            self._require_usable()
            if self._thalamus.gestating:
                message = "this brain is not born yet: it can be made crystalline when it has learned what is usual"
                raise NotBorn(message)
            self._thalamus.crystallise(self._commit_now)

    def liquefy(self) -> None:
        """Learns again, durably. Does nothing to a brain that is not crystalline."""
        with self._lock:
            self._require_usable()
            if self._thalamus.frozen:
                self._thalamus.liquefy()
                self._commit_now()

    @property
    def notes(self) -> list[str]:
        """What the user should know: damage found when the store was opened, answers that are switched off."""
        with self._lock:
            off, frozen = self._thalamus.audit.off, self._thalamus.frozen
        kept = self._store.notes if self._store is not None else []
        return [*self._notes, *kept, *([_OFF] if off else []), *([_FROZEN] if frozen else [])]

    @property
    def audit(self) -> AuditReport:
        """How often audited answers were wrong, and whether answers are switched off for it."""
        with self._lock:
            return self._thalamus.audit.report()

    @property
    def thalamus(self) -> Thalamus:
        """The routing organ, for those who build on it; calls on it are not locked."""
        return self._thalamus

    def route(
        self,
        text: str,
        *,
        scope: str | None = None,
        context: str | None = None,
        kind: str = "message",
        session: str | None = None,
    ) -> Decision:
        """Decides how much thought `text` deserves. About 1 us for a repeat, 3 to 6 us for a new text.

        `kind` is "message" (compared in its normal form) or "line" (a log line, compared as it stands).
        An answer comes back only where text (normalised), scope and context are identical to one completed
        before; no scope means the default scope. Refuse when ``allowed`` is False, whatever the route.

        `session` names the sequence that the text belongs to, in its scope (about 3 us more): where the last patterns
        of it have never come in this order, the route is "deep_thought" and ``session_novel`` has them. See
        `end_session`.

            >>> import sophia
            >>> with sophia.open(None) as brain:
            ...     first = brain.route("Cancel my subscription", scope="ana")
            ...     kept = brain.complete(first, answer="Done.")
            ...     again = brain.route("cancel my subscription.", scope="ana")
            >>> first.why, kept, again.why, again.answer
            ('novel', True, 'repeat', 'Done.')
        """
        line = kind != "message" and is_line(kind)
        if session is not None:
            check_session(session)
        with self._lock:
            if self._closed or self._forked or self._discarded:
                self._require_usable()
            self._n = n = self._n + 1
            try:
                decision = self._route(text, n, scope, context, line)
            except UnicodeEncodeError as error:
                raise _unreadable(error, scope=scope, context=context) from error
            if self._gestating and not self._thalamus.gestating:
                self._gestating = False
                self._choose_route()
            if session:
                self._thalamus.sessions.follow([decision], [session])
            if self._ledger is not None and self._ledger.is_due(1):
                self._commit_now()
            if self._close_wanted:
                self.close()
            return decision

    def route_many(
        self,
        texts: Iterable[str],
        *,
        scope: str | None = None,
        context: str | None = None,
        kind: str = "message",
        session: str | None = None,
    ) -> list[Decision]:
        """Decisions for many texts of one scope, context and session, the same as one `route` each in order.

        Works in batches of 256, in which a new text costs about 2 us. Other threads may route in between.
        """
        if isinstance(texts, str):
            message = "route_many takes many texts; give one text to route, or a list of it"
            raise TypeError(message)
        check_session(session)
        decisions: list[Decision] = []
        for batch in _batches(texts):
            size = len(batch)
            columns = Columns(
                batch,
                scopes=None if scope is None else [scope] * size,
                contexts=None if context is None else [context] * size,
                lines=[True] * size if is_line(kind) else None,
                sessions=[session] * size if session else None,
            )
            decisions += self._decide_batch(columns)
        return decisions

    async def aroute(
        self,
        text: str,
        *,
        scope: str | None = None,
        context: str | None = None,
        kind: str = "message",
        session: str | None = None,
    ) -> Decision:
        """`route` in a thread, about 100 us: the event loop never waits for the disk or for another thread.

        `route` itself may be called in a coroutine: it takes microseconds, but now and then a commit.
        """
        return await self._aside.run(self.route, text, scope=scope, context=context, kind=kind, session=session)

    async def astream(
        self,
        texts: Iterable[str | Mapping[str, Any]] | AsyncIterable[str | Mapping[str, Any]],
        *,
        scope: str | None = None,
        context: str | None = None,
        kind: str = "message",
    ) -> AsyncIterator[Decision]:
        """Decisions for a stream, in its order; at most 256 inputs are taken before their decisions are.

        An input is a text or an object with `text` and, where it has them, `scope`, `context`, `session`, `id`, `ts`
        and `answer`, as in `sophia run`. An asynchronous source is decided in batches of what has arrived, a plain one
        in batches of 256.

            >>> import asyncio
            >>> import sophia
            >>> async def whys(texts):
            ...     with sophia.open(None) as brain:
            ...         return [decision.why async for decision in brain.astream(texts)]
            >>> asyncio.run(whys([{"text": "When?", "answer": "Now."}, "when"]))
            ['novel', 'repeat']
        """
        from sophia.organs.arrivals import arrivals

        async for batch in arrivals(texts, _BATCH):
            columns = Columns.of(batch, scope, context, line=is_line(kind))
            for decision in await self._aside.run(self._decide_batch, columns):
                yield decision

    def answer(
        self,
        text: str,
        think: Callable[[Decision], str],
        *,
        scope: str | None = None,
        context: str | None = None,
        kind: str = "message",
        timeout: float | None = 60.0,
    ) -> Reply:
        """The answer to `text`: from memory, or else from `think`, which is called once for all identical inputs
        that arrive while it works. What it gives is stored as by `complete`.

        Identical means what memory means by it: the same normal form, scope, context and policy. A text that is not
        allowed is refused, and a flagged, unreadable or too long one shares with no other. An audited answer is
        thought about as well, and the new answer given; where thinking fails, the stored one.

        When `think` raises, the error is its caller's; the next of the waiting takes over, the others go on waiting.
        Raises AnswerTimeout after `timeout` seconds of waiting for another caller (None waits for ever; `think` itself
        is not timed), DeadlockError when `think` asks for its own answer, SophiaError when the brain is closed.

            >>> import sophia
            >>> with sophia.open(None) as brain:
            ...     one = brain.answer("When do you open?", lambda decision: "At nine.")
            ...     two = brain.answer("when do you open", lambda decision: "never called")
            >>> one.answer, one.origin, two.answer, two.origin
            ('At nine.', 'thought', 'At nine.', 'memory')
        """
        return self._single_flight().answer(text, think, timeout, scope=scope, context=context, kind=kind)

    async def aanswer(
        self,
        text: str,
        think: Callable[[Decision], Awaitable[str]],
        *,
        scope: str | None = None,
        context: str | None = None,
        kind: str = "message",
        timeout: float | None = 60.0,
    ) -> Reply:
        """`answer` for coroutines; threads and other event loops share its flights.

        A caller that is cancelled while it thinks hands over to the next of the waiting.
        """
        return await self._single_flight().aanswer(text, think, timeout, scope=scope, context=context, kind=kind)

    def resume_answers(self) -> None:
        """Serves answers again after the audit has switched them off, and counts from nothing; durable.

        First find out why they were wrong: `reject` single ones, or raise `Settings.audit_budget`, or give `open` a
        comparison of your own where answers differ only in words.
        """
        with self._lock:
            self._require_fluid()
            self._thalamus.resume_answers()
            self._commit_now()

    def sense(
        self,
        values: Mapping[str, float],
        *,
        sensor: str = "",
        scope: str | None = None,
        ts: str | None = None,
    ) -> Decision:
        """Decides how much thought the next sample of a sensor deserves: numbers by channel, NaN for a gap.

        Unusual numbers (see :class:`sophia.hdc.sensor.SensorAnomaly`; how they are judged is in `Settings.sensor_*`)
        raise the level to "deep_thought"; `Decision.anomaly` and `.channel` say how unusual, and which of them. As in
        `sophia run --format sensor`; about 30 us. ValueError for numbers that are infinite, or none.

            >>> import sophia
            >>> with sophia.open(None, settings=sophia.Settings(sensor_warmup=50)) as brain:
            ...     for hour in range(100):
            ...         usual = brain.sense({"celsius": 20.0 + hour % 4}, sensor="kitchen")
            ...     unusual = brain.sense({"celsius": 35.0}, sensor="kitchen")
            >>> usual.why, unusual.route, unusual.why, unusual.channel
            ('gestating', 'deep_thought', 'novel', 'celsius')
        """
        from sophia.organs.sensors import as_sample, sample_text

        sample = as_sample(values, sensor)
        if ts is not None and not isinstance(ts, str):
            message = f"ts takes a str, not {type(ts).__name__}"
            raise TypeError(message)
        columns = Columns(
            [sample_text(sample, named=bool(sample.sensor))],
            scopes=[scope],
            stamps=None if ts is None else [ts],
            lines=[True],
            sources=[sample.sensor],
            samples=[sample],
        )
        return self._decide_batch(columns)[0]

    def end_session(self, session: str, *, scope: str | None = None) -> Session | None:
        """Ends a session and says what was new in it: orders, and the counts of its patterns, which are known only
        now. None where it is not open: it had no input, or has ended (see `ended_sessions`).

            >>> import sophia
            >>> with sophia.open(None) as brain:
            ...     for name in ("a", "b", "c"):
            ...         for line in ("open the door", "go in", "close the door")[: 3 if name != "c" else 2]:
            ...             _ = brain.route(line, kind="line", session=name)
            ...         ended = brain.end_session(name)
            ...         print(ended.session, ended.novel, ended.orders_novel, ended.counts_novel)
            a True 2 True
            b False 0 False
            c True 0 True
        """
        check_session(session)
        with self._lock:
            self._require_usable()
            return self._thalamus.sessions.end(session, scope or "") if self._thalamus.has_sessions else None

    def end_sessions(self) -> list[Session]:
        """Ends all sessions; returns these, after those of `ended_sessions`."""
        with self._lock:
            self._require_usable()
            if self._thalamus.has_sessions:
                self._thalamus.sessions.end_all()
            return self.ended_sessions()

    def ended_sessions(self) -> list[Session]:
        """Sessions that have ended of themselves since the last call: idle, too long, or to make room for others."""
        with self._lock:
            self._require_usable()
            return self._thalamus.sessions.take_ended() if self._thalamus.has_sessions else []

    def alarms(self) -> list[Alarm]:
        """What has come too seldom or too often since the last call: lines that were regular and have fallen silent,
        that come far more often than ever, sources that say nothing.

        Only inputs with an event time can raise one (`ts` in `astream`), from birth on; the last 4,096 are kept.
        Silence is noticed when a later input of the same source comes: time passes by what inputs say, by no clock.

            >>> import asyncio
            >>> import sophia
            >>> beats = [{"text": f"heartbeat {i}", "ts": str(i * 300)} for i in range(30)]
            >>> others = [{"text": f"request {i} served", "ts": str(i * 10)} for i in range(1200)]
            >>> stream = sorted(beats + others, key=lambda item: int(item["ts"]))
            >>> async def alarms():
            ...     with sophia.open(None) as brain:
            ...         _ = [one async for one in brain.astream(stream, kind="line")]
            ...         return [(one.kind, one.usual, one.found >= 600) for one in brain.alarms()]
            >>> asyncio.run(alarms())
            [('silence', 300.0, True)]
        """
        with self._lock:
            self._require_usable()
            return self._thalamus.take_alarms()

    def recall(self, query: object, k: int = 10, **choice: Any) -> Recall:
        """The memories that are most like a text or vector, as :meth:`sophia.Hippocampus.recall` says: what this brain
        has remembered, and what its store had before.

        Needs ``Settings(recall=True)``; ``Settings(remember="new")`` makes memories of new and of answered inputs.

            >>> import sophia
            >>> with sophia.open(None, settings=sophia.Settings(remember="new", recall=True)) as brain:
            ...     first = brain.route("When does the office open on Monday?", scope="ana")
            ...     other = brain.route("And when does it open on Sunday?", scope="ana")
            ...     found = brain.recall("office monday", 1)
            >>> first.match, found[0].text
            (None, 'When does the office open on Monday?')
        """
        with self._lock:
            self._require_usable()
            remembering = self._thalamus.remembering
            if remembering is None or not remembering.recalls:
                message = "this brain recalls nothing: open it with Settings(recall=True)"
                raise SophiaError(message)
            return remembering.recall(query, k, **choice)

    @property
    def memories(self) -> tuple[int, int]:
        """How many memories this brain has made of its inputs, and how many it has let go for their age or number."""
        with self._lock:
            remembering = self._thalamus.remembering
            return (0, 0) if remembering is None else remembering.counted

    @property
    def open_sessions(self) -> int:
        """How many sessions go on; with a store they go on in the next run as well."""
        with self._lock:
            return len(self._thalamus.sessions.table) if self._thalamus.has_sessions else 0

    @property
    def durable(self) -> bool:
        """Whether there is a store that keeps what is learned."""
        return self._store is not None

    @property
    def intents(self) -> Intents | None:
        """The router in use, or None."""
        return self._thalamus.intents

    def use(self, intents: Intents | None) -> None:
        """Judges with this router from the next call on, or with none; may be called at any time, from any thread.

        The store keeps what it had: the next open finds the router that was last fitted there.
        """
        if intents is not None and not hasattr(intents, "model"):
            message = f"use takes a router of intents or None, not {type(intents).__name__}; load one with Intents.load"
            raise TypeError(message)
        with self._lock:
            self._require_usable()
            self._thalamus.use(intents)

    def fit(self, texts: Sequence[str], labels: Sequence[str], **options: Any) -> Intents:
        """Trains a router of intents, uses it, and keeps it in the store; takes what :meth:`Intents.fit` takes.

        Seconds for 10,000 examples, during which other threads route on with the old one.

            >>> import sophia
            >>> with sophia.open(None) as brain:
            ...     _ = brain.fit(["turn on the light", "lights please", "light it up", "what time is it",
            ...                    "tell me the time", "how late is it"], ["light"] * 3 + ["time"] * 3)
            ...     decision = brain.route("turn the lights on")
            >>> decision.route, decision.why, decision.intent
            ('cortical', 'route', 'light')
        """
        from sophia.organs.intents import Intents

        return self._learn(lambda _: Intents.fit(texts, labels, **options))

    def partial_fit(self, texts: Sequence[str], labels: Sequence[str]) -> Intents:
        """Teaches the router in use these examples, new labels among them; in effect, and durable, on return.

        Without a router it is a first `fit`.
        """
        from sophia.organs.intents import Intents

        return self._learn(lambda old: Intents.fit(texts, labels) if old is None else old.partial_fit(texts, labels))

    def add_route(
        self, name: str, utterances: Sequence[str], *, threshold: float | None = None, reflex_safe: bool = False
    ) -> Intents:
        """Adds a route to the router in use, from a few utterances, or teaches one; in effect on return."""
        return self._learn(
            lambda old: _needed(old).add_route(name, utterances, threshold=threshold, reflex_safe=reflex_safe)
        )

    def remove_route(self, name: str) -> Intents:
        """Takes a route out of the router in use; KeyError where it has none of that name."""
        return self._learn(lambda old: _needed(old).remove_route(name))

    def explain(self, what: Decision | str) -> Explanation | None:
        """Which pieces of a text speak for its best route; None where it has no feature.

        A decision must have been made with the router in use: another one's reasons were others.
        """
        with self._lock:
            self._require_usable()
            intents = _needed(self._thalamus.intents)
        if isinstance(what, str):
            return intents.explain(what)
        if what.model != intents.version:
            message = f"this decision was made with model {what.model}, and {intents.version} is in use; route it again"
            raise SophiaError(message)
        return None if what.text is None else intents.explain(what.text)

    def apply(self, settings: Settings, *, rules: Sequence[str | os.PathLike[str]] | None = None) -> str:
        """Decides by other settings from the next input on; the new policy version. From any thread: no decision, and
        no batch, sees two policies, and each decision names its own.

        `rules` are further danger rule files, read now; None keeps those that are in use. Answers are served under the
        policy that they were given under; those that a store has, also after a return to it. All of it holds, or,
        where something cannot be taken, nothing: ConfigError for a setting that is fixed while a brain is open (all but
        those that docs/settings.md calls live), RuleError for a rule, StoreFailed where the store cannot be read.

            >>> import sophia
            >>> with sophia.open(None) as brain:
            ...     before = brain.route("a long text of many words")
            ...     version = brain.apply(brain.settings.with_changes(max_chars=10))
            ...     after = brain.route("a long text of many words")
            >>> before.why, after.why, after.policy_version == version != before.policy_version
            ('novel', 'too-long', True)
        """
        from sophia.organs.danger import RuleSet

        files = None if rules is None else [Path(rule).absolute() for rule in rules]
        loaded = None if files is None else RuleSet.load(files)
        with self._applying:
            self.settings.refuse_fixed(settings)
            rule_set = self._thalamus.rules if loaded is None else loaded
            version = self._thalamus.version_of(settings, rule_set)
            while True:
                taken_back = self._taken_back
                # Without the brain's lock, for it takes as long as the disk does.
                answers, complete = self._answers_of(version, settings)
                with self._lock:
                    self._require_usable()
                    if self._deciding:
                        message = (
                            "settings cannot change in the middle of a decision, as a signal handler would have it"
                        )
                        raise SophiaError(message)
                    if taken_back != self._taken_back:
                        continue  # one of these may be among them
                    self._thalamus.apply(settings, rule_set, answers, complete=complete)
                    self._changed_settings = settings.changed()
                    if files is not None:
                        self._rule_files = [str(file) for file in files]
                    if self._ledger is not None:
                        self._ledger.hurry()
                    return self.policy_version

    def patterns(self) -> list[Pattern]:
        """Every template that is known, merged ones too, by id. May be called from any thread."""
        with self._lock:
            self._require_usable()
            return list(self._thalamus.patterns.patterns())

    def decide(self, columns: Columns) -> Batch:
        """One batch with all its columns; its decisions may be told after :meth:`begin`.

        `sophia run` does both in different threads, and writes while the next batch is routed.
        """
        with self._lock:
            self._require_usable()
            ledger = None if self._thalamus.frozen else self._ledger
            # Of the batches before: they will all have been told when this one begins.
            changes = None if ledger is None else ledger.take_when_full(self._take_changes, self._n)
            n, at = self._n + 1, self._clock()
            settings, rules = self._changed_settings, self._rule_files
            self._deciding = True
            try:
                decisions = self._thalamus.route_batch(columns, n)
            except BaseException:
                self._discarded = True  # half of a batch may have been learned
                raise
            finally:
                self._deciding = False
            self._n += len(columns.texts)
            whole = False
            if ledger is not None and not ledger.expect(len(columns.texts), columns.chars):
                whole = True
                changes = ledger.take(self._take_changes, self._n)
            ended = [] if columns.sessions is None else self._thalamus.sessions.take_ended()
            return Batch(
                decisions, columns, n, at, changes, whole, ended, self._thalamus.take_alarms(), self._away,
                settings, rules,
            )  # fmt: skip

    def begin(
        self,
        batch: Batch,
        ends: list[int] | None = None,
        mark: FileMark | None = None,
        records: list[str] | None = None,
    ) -> Ack | None:
        """Makes what `batch` depends on durable: all that came before it, and its inputs. To be called in order.
        `records` are what is about to be told, which the journal of the store keeps.

        `ends` are the ends, in bytes, of its records, which the caller then sends by the :class:`Ack` that is
        returned; `mark` is where the file stands that gets them. When the process dies, the next `open` learns the
        inputs whose records arrived once more, as they were, and drops the others. Without `ends` all inputs count as
        arrived, and None is returned; so it is without a store. When this fails nothing is lost and nothing may be
        told; `discard` and open again. May be called from any thread.
        """
        if self._ledger is None or self._thalamus.frozen:
            return None
        if batch.whole:
            self._ledger.begin(None, batch.changes)
            self._journalise(batch.at, records)
            return None
        record = Pending(
            self._thalamus.hot_path.run,
            batch.n,
            batch.at,
            {name: getattr(batch.columns, name) for name in Columns.__slots__},
            ends,
            mark,
            batch.settings,
            batch.rules,
        )
        ack = self._ledger.begin(record, batch.changes)
        self._journalise(
            batch.at, records
        )  # the store knows its inputs now, so that what is not told of it can be cut off again
        return ack

    def _journalise(self, at: float, records: list[str] | None) -> None:
        if self._journal is not None and records:
            self._journal.append(self._thalamus.hot_path.run, at, records)

    @property
    def journals(self) -> bool:
        """Whether its store keeps a journal of what is told."""
        return self._journal is not None

    @property
    def unjournaled(self) -> tuple[int, str | None]:
        """How many records the journal of the store could not take, and why; see :mod:`sophia.store.journal`."""
        return (0, None) if self._journal is None else (self._journal.dropped, self._journal.fault)

    def add_chapters(self, chapters: Sequence[Mapping[str, Any]]) -> None:
        """Gives the store chapters that have ended, of decisions that were made; they are committed with what these
        taught. From any thread. Without a store nothing is done."""
        if self._store is not None:
            self._chapters.extend(chapters)

    def chapters(self, count: int = 32) -> list[dict[str, Any]]:
        """The last chapters of the store, the oldest first, as `sophia weave --json` prints them; those that wait for a
        commit are among them. Without a store there are none. One commit, and some 10 us a chapter."""
        with self._lock:
            self._require_usable()
            if self._store is None:
                return []
            if self._chapters and not self._thalamus.frozen:
                self._commit_now()
            return self._store.chapters(count)

    def note_outputs(self, files: Mapping[str, str | os.PathLike[str]]) -> None:
        """Tells the store, durably, which files this run is about to write: paths by what they are ("decisions",
        "patterns", "sessions", "alarms", "log", "report"). :func:`sophia.forget_scope` cleans them. Without a store
        nothing is done. One commit. Raises ValueError for another kind of file."""
        if strange := sorted(set(files) - set(KINDS)):
            message = f"{strange[0]!r} is no kind of file; use {', '.join(KINDS)}"
            raise ValueError(message)
        run = self._thalamus.hot_path.run
        noted = [Output(str(Path(path).absolute()), kind, run) for kind, path in files.items()]
        with self._lock:
            self._require_usable()
            if self._ledger is not None and not self._thalamus.frozen:
                self._ledger.note_outputs(noted)

    def limit_store(self, seconds: float) -> None:
        """An answer that is sought in the store while a commit takes longer than that counts as none."""
        if self._ledger is not None:
            self._ledger.patience = seconds

    def lose_store(self) -> None:
        """The store does not answer: from now on the brain decides with what it knows and learns nothing, so nothing
        has to be made durable. What was learned and not committed waits for `catch_up`. From any thread."""
        with self._lock:  # between two batches
            self._away = True
            self._thalamus.hot_path.frozen = True

    def catch_up(self) -> None:
        """Commits what waited for a store that was lost. From any thread; waits for the disk without the brain's
        lock."""
        if self._ledger is not None:
            with self._lock:
                changes = self._ledger.take(self._take_changes, self._n)
            self._ledger.begin(None, changes)

    def regain_store(self) -> None:
        """The store answers again, and what waited for it was committed: learns from now on. From any thread."""
        with self._lock:
            self._thalamus.hot_path.frozen = self._thalamus.crystalline
            self._away = False

    def discard(self) -> None:
        """Gives up what was learned since the last commit, and the brain with it: only `close` may follow.

        For a run whose output has failed: what it told is in the store as inputs, and the next `open` learns exactly
        that.
        """
        self._discarded = True

    def complete(self, decision: Decision, *, answer: str) -> bool:
        """Stores the answer of the expensive step for later repeats; durable when this returns.

        False where nothing may be stored: a text that is not allowed, unreadable or too long, or a decision
        made under another policy. For an audited decision the answer is compared, once, with the one that was served,
        and replaces it.
        """
        if not isinstance(decision, Decision) or not isinstance(answer, str):
            message = f"complete takes a Decision and a str, not {type(decision).__name__}, {type(answer).__name__}"
            raise TypeError(message)
        answer = str.__str__(answer)  # of a subclass, its characters
        if not _storable(answer):
            message = f"the answer {answer!r:.80} holds half a surrogate pair, which cannot be stored; replace it"
            raise ValueError(message)
        return self._keep(decision, answer, self._judge(decision, answer))

    def reject(self, decision: Decision) -> None:
        """Undoes a wrong decision: its answer, its familiarity and its sighting are taken back, durably.

        The next input of the kind is novel again.
        """
        if not isinstance(decision, Decision):
            message = f"reject takes a Decision, not {type(decision).__name__}"
            raise TypeError(message)
        with self._lock:
            self._require_fluid()
            self._taken_back += 1
            self._thalamus.reject(decision)
            self._commit_now()

    def flush(self) -> None:
        """Commits what was learned since the last commit (at most 256 decisions or one second of them)."""
        with self._lock:
            self._require_usable()
            self._commit_now()

    def close(self) -> None:
        """Commits and closes the store; may be called twice. From a signal handler it takes effect after the call
        that was interrupted."""
        with self._lock:
            if self._forked or self._closing:
                self._closed = True
                return
            if not self._closed and self._thalamus.hot_path.busy:
                self._close_wanted = True
                return
            self._closing = True
            try:
                if not self._closed:
                    self._closed = True
                    if not self._discarded and not self._away:
                        self._commit_now()
            finally:
                # Done at each call: a Ctrl-C may have kept the one before from it, and the store must not stay locked.
                try:
                    if self._flights is not None:
                        self._flights.close()
                    self._aside.close()
                    if self._scanners is not None:
                        self._scanners.close()
                    if self._journal is not None and not self._away:
                        self._journal.close()
                        self._journal = None
                finally:
                    self._closing = False
                    # a store that does not answer would keep us, too
                    if self._store is not None and not (self._away and self._ledger is not None and self._ledger.busy):
                        self._store.close()

    def __enter__(self) -> Sophia:
        self._require_usable()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _choose_route(self) -> None:
        """What decides a single text: the hot path itself where nobody follows it."""
        thalamus = self._thalamus
        followed = self._gestating or thalamus.remembering is not None
        self._route = thalamus.route if followed else thalamus.hot_path.route

    def _answers_of(self, policy_version: str, settings: Settings) -> tuple[list[Answer], bool]:
        """What the store has to serve under a policy, as far as the cache should begin with it; whether that is all."""
        if self._ledger is None or not settings.cache or policy_version == self.policy_version:
            return [], True
        return self._ledger.answers(policy_version, self._clock(), settings.cache_entries // 2)

    def _take_changes(self) -> Changes:
        """What was learned since the last call, and the chapters that have ended."""
        changes = self._thalamus.take_changes()
        chapters = [self._chapters.popleft() for _ in range(len(self._chapters))]
        return replace(changes, chapters=(*changes.chapters, *chapters)) if chapters else changes

    def _decide_batch(self, columns: Columns) -> list[Decision]:
        with self._lock:
            self._require_usable()
            size = len(columns.texts)
            self._deciding = True
            try:
                decisions = self._thalamus.route_batch(columns, self._n + 1)
            except UnicodeEncodeError as error:
                raise _unreadable(error) from error
            finally:
                self._deciding = False
            self._n += size
            if self._ledger is not None and self._ledger.is_due(size):
                self._commit_now()
            if self._close_wanted:
                self.close()
            return decisions

    def _judge(self, decision: Decision, answer: str) -> bool | None:
        """Whether the answer to an audited decision agrees with what was served; None where there is nothing to
        compare. Without the lock: the user's comparison may take its time."""
        if not decision.audit or decision.answer is None:
            return None
        audit = self._thalamus.audit
        with self._lock:
            self._require_usable()
            if not audit.claim(decision):
                return None
        try:
            return bool(audit.agree(decision.answer, answer))
        except BaseException:
            with self._lock:
                audit.expect(decision)
            raise

    def _keep(self, decision: Decision, answer: str, agrees: bool | None) -> bool:
        with self._lock:
            self._require_fluid()
            if agrees is not None:
                self._thalamus.count_audit(agrees=agrees)
            stored = _storable(answer) and self._thalamus.complete(decision, answer)
            self._commit_now()
            return stored

    def _keep_thought(self, decision: Decision, answer: str, agrees: bool | None) -> bool:
        """As `_keep`, but that a crystalline brain only gives what was thought."""
        with self._lock:
            return not self._thalamus.frozen and self._keep(decision, answer, agrees)

    def _single_flight(self) -> Flights:
        if self._flights is not None:
            return self._flights
        from sophia.organs.flight import Flights

        with self._lock:
            if self._flights is None:
                self._flights = Flights(
                    lock=self._lock,
                    route=self.route,
                    key=self._thalamus.answer_key,
                    judge=self._judge,
                    keep=self._keep_thought,
                    aside=self._aside,
                )
            return self._flights

    def _learn(self, make: Callable[[Intents | None], Intents]) -> Intents:
        """Makes a router of the one in use, one caller at a time, so that nothing that was learned is lost."""
        with self._lock:
            self._require_fluid()
        with self._learning:
            learned = make(self._thalamus.intents)
            with self._lock:
                self._require_fluid()
                if self._ledger is not None:
                    self._ledger.keep_router(learned.dump())
                self._thalamus.use(learned)
            return learned

    def _commit_now(self) -> None:
        if self._ledger is not None and not self._thalamus.frozen:
            self._ledger.commit(self._take_changes, self._n)

    def _require_fluid(self) -> None:
        self._require_usable()
        if self._thalamus.frozen:
            message = "this brain is crystalline: it learns nothing; `sophia crystallise --undo` or liquefy() ends that"
            raise StoreFrozen(message)

    def _require_usable(self) -> None:
        if self._closed:
            message = "this Sophia is closed; open it again with sophia.open(path)"
            raise SophiaError(message)
        if self._discarded:
            message = "this Sophia has given up what a failed output did not get; close it and open it again"
            raise SophiaError(message)
        if self._forked:
            message = "this Sophia was opened before a fork; open the store in the child, after the parent closed it"
            raise SophiaError(message)
        if self._thalamus.hot_path.busy:
            message = "this Sophia is in the middle of a call of the same thread; a signal handler cannot route"
            raise SophiaError(message)


def _needed(intents: Intents | None) -> Intents:
    if intents is None:
        message = "no router of intents is in use; fit one first, or open with model=FILE"
        raise SophiaError(message)
    return intents


def _storable(text: str) -> bool:
    """Whether UTF-8 has the text: not where it holds half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unreadable(error: UnicodeEncodeError, **given: str | None) -> ValueError:
    """An error that names the argument that cannot be encoded."""
    name = next((name for name, value in given.items() if value == error.object), "a scope, context, name or answer")
    return ValueError(
        f"{name} is {error.object!r:.80}: it holds half a surrogate pair, which UTF-8 has not; replace it"
    )


def _batches(texts: Iterable[str]) -> Iterator[list[str | None]]:
    iterator = iter(texts)
    while batch := list[str | None](islice(iterator, _BATCH)):
        yield batch


_OFF = (
    "answers are switched off: too many audited ones were wrong. Find out why, then brain.resume_answers(), "
    "or sophia run --resume-answers"
)

_FROZEN = "this brain is crystalline: it decides with what it knows, learns and remembers nothing, and raises no alarm"

_OPEN: weakref.WeakSet[Sophia] = weakref.WeakSet()


def _mark_forked() -> None:
    for brain in _OPEN:
        brain._forked = True
        brain._lock = threading.RLock()  # the parent's may have been held by a thread that is not here
        brain._aside = SideThreads()  # nor are its threads
        brain._flights = None


os.register_at_fork(after_in_child=_mark_forked)
