"""Sophia: opens a store, wires the organs, answers the program that uses it."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from time import monotonic, time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sophia._core.cuckoo import GenerationalFilter
from sophia._core.decision import Decision
from sophia._core.idf import IdfTable
from sophia._core.pattern import Pattern, PatternTable
from sophia.config import Settings
from sophia.errors import SophiaError, StoreCorrupt
from sophia.organs.aside import SideThreads
from sophia.organs.audit import Audit, AuditReport
from sophia.organs.danger import RuleSet
from sophia.organs.masks import Masks
from sophia.organs.thalamus import CHANGE_LOG, LOG_BYTES, Columns, Thalamus, is_line
from sophia.store.changes import Changes
from sophia.store.store import Store

if TYPE_CHECKING:  # loaded when first used, as a start need not pay for it
    from sophia.organs.flight import Flights, Reply

__all__ = ["Sophia", "open"]

# Sightings and familiarity are committed in groups; answers at once, see Sophia.complete.
_COMMIT_DECISIONS = 256
_COMMIT_SECONDS = 1.0


class Sophia:
    """A brain over one store. Open it with :func:`open`, close it or use it in a ``with`` block.

    Thread-safe: one lock around each call. Not fork-safe: in a forked child every call raises SophiaError,
    since the lock and the store belong to the parent.
    """

    def __init__(
        self,
        store: Store | None,
        settings: Settings,
        rules: RuleSet,
        *,
        same: Callable[[str, str], bool] | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._lock = threading.RLock()  # re-entered by a signal handler only: see _check
        self._store = store
        # What was learned and is not durable yet, oldest first; the store takes it in this order, each once.
        self._unsaved: deque[Changes] = deque()
        self._saving = threading.RLock()
        self._notes: list[str] = []
        self._clock = clock
        self._closed = False
        self._forked = False
        self._close_wanted = False
        self._n = 0
        self._pending = 0
        self._committed_at = monotonic()
        self._same = same
        self._thalamus = (
            Thalamus(settings, rules, audit=Audit(settings, same=same), clock=clock)
            if store is None
            else self._load(store, settings, rules, clock)
        )
        self._aside = SideThreads()
        self._flights: Flights | None = None
        self._route = self._thalamus.hot_path.route
        _OPEN.add(self)

    @property
    def settings(self) -> Settings:
        return self._thalamus.settings

    @property
    def policy_version(self) -> str:
        """Names everything that a stored answer depends on; an answer is served under the same policy only."""
        return self._thalamus.policy_version

    @property
    def notes(self) -> list[str]:
        """What the user should know: damage found when the store was opened, answers that are switched off."""
        with self._lock:
            off = self._thalamus.audit.off
        return [*self._notes, *([_OFF] if off else [])]

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
        self, text: str, *, scope: str | None = None, context: str | None = None, kind: str = "message"
    ) -> Decision:
        """Decides how much thought `text` deserves. About 1 us for a repeat, 3 to 6 us for a new text.

        `kind` is "message" (compared in its normal form) or "line" (a log line, compared as it stands).
        An answer comes back only where text (normalised), scope and context are identical to one completed
        before; no scope means the default scope. Refuse when ``allowed`` is False, whatever the route.

            >>> import sophia
            >>> with sophia.open(None) as brain:
            ...     first = brain.route("Cancel my subscription", scope="ana")
            ...     kept = brain.complete(first, answer="Done.")
            ...     again = brain.route("cancel my subscription.", scope="ana")
            >>> first.why, kept, again.why, again.answer
            ('novel', True, 'repeat', 'Done.')
        """
        line = kind != "message" and is_line(kind)
        with self._lock:
            if self._closed or self._forked:
                self._check()
            self._n = n = self._n + 1
            decision = self._route(text, n, scope, context, line)
            self._pending += 1
            if self._store is not None:
                self._commit_when_due()
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
    ) -> list[Decision]:
        """Decisions for many texts of one scope and context, the same as one `route` each in order.

        Works in batches of 256, in which a new text costs about 2 us. Other threads may route in between.
        """
        if isinstance(texts, str):
            message = "route_many takes many texts; give one text to route, or a list of it"
            raise TypeError(message)
        decisions: list[Decision] = []
        for batch in _batches(texts, 256):
            size = len(batch)
            columns = Columns(
                batch,
                scopes=None if scope is None else [scope] * size,
                contexts=None if context is None else [context] * size,
                lines=[True] * size if is_line(kind) else None,
            )
            decisions += self._decide_batch(columns)
        return decisions

    async def aroute(
        self, text: str, *, scope: str | None = None, context: str | None = None, kind: str = "message"
    ) -> Decision:
        """`route` in a thread, about 100 us: the event loop never waits for the disk or for another thread.

        `route` itself may be called in a coroutine: it takes microseconds, but now and then a commit.
        """
        return await self._aside.run(self.route, text, scope=scope, context=context, kind=kind)

    async def astream(
        self,
        texts: Iterable[str | Mapping[str, Any]] | AsyncIterable[str | Mapping[str, Any]],
        *,
        scope: str | None = None,
        context: str | None = None,
        kind: str = "message",
    ) -> AsyncIterator[Decision]:
        """Decisions for a stream, in its order; at most 256 inputs are taken before their decisions are.

        An input is a text or an object with `text` and, where it has them, `scope`, `context`, `id`, `ts` and
        `answer`, as in `sophia run`. An asynchronous source is decided in batches of what has arrived, a plain one in
        batches of 256.

            >>> import asyncio
            >>> async def whys(texts):
            ...     with open(None) as brain:
            ...         return [decision.why async for decision in brain.astream(texts)]
            >>> asyncio.run(whys([{"text": "When?", "answer": "Now."}, "when"]))
            ['novel', 'repeat']
        """
        from sophia.organs.arrivals import arrivals

        async for batch in arrivals(texts, 256):
            columns = _columns(batch, scope, context, line=is_line(kind))
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

            >>> with open(None) as brain:
            ...     one = brain.answer("When do you open?", lambda decision: "At nine.")
            ...     two = brain.answer("when do you open", lambda decision: "never called")
            >>> one.answer, one.origin, two.answer, two.origin
            ('At nine.', 'thought', 'At nine.', 'memory')
        """
        return self._single_flight().answer(text, think, timeout, {"scope": scope, "context": context, "kind": kind})

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
        return await self._single_flight().aanswer(
            text, think, timeout, {"scope": scope, "context": context, "kind": kind}
        )

    def resume_answers(self) -> None:
        """Serves answers again after the audit has switched them off, and counts from nothing; durable.

        First find out why they were wrong: `reject` single ones, or raise `Settings.audit_budget`, or give `open` a
        comparison of your own where answers differ only in words.
        """
        with self._lock:
            self._check()
            self._thalamus.resume_answers()
            self._commit_now()

    def patterns(self) -> list[Pattern]:
        """Every template that is known, merged ones too, by id. May be called from any thread."""
        with self._lock:
            self._check()
            return list(self._thalamus.patterns.patterns())

    def decide(self, columns: Columns) -> tuple[list[Decision], Changes]:
        """One batch with all its columns, and what must be committed before its decisions are told.

        The caller commits the changes itself (:meth:`commit`): `sophia run` does so in another thread while the
        next batch is routed.
        """
        with self._lock:
            self._check()
            decisions = self._thalamus.route_batch(columns, self._n + 1)
            self._n += len(columns.texts)
            return decisions, self._take()

    def commit(self, changes: Changes) -> None:
        """Makes `changes`, and all that came before them, durable. Without a store there is nothing to do.

        When it fails nothing is lost: the changes wait for the next commit, or for close. May be called from any
        thread.
        """
        if self._store is None:
            return
        with self._saving:
            while any(waiting is changes for waiting in self._unsaved):
                self._store.commit(self._unsaved[0])
                self._unsaved.popleft()

    def complete(self, decision: Decision, *, answer: str) -> bool:
        """Stores the answer of the expensive step for later repeats; durable when this returns.

        False where nothing may be stored: a text that is not allowed, unreadable or too long, or a decision
        made under another policy. For an audited decision the answer is compared, once, with the one that was served,
        and replaces it.
        """
        if not isinstance(decision, Decision) or not isinstance(answer, str):
            message = f"complete takes a Decision and a str, not {type(decision).__name__}, {type(answer).__name__}"
            raise TypeError(message)
        return self._keep(decision, answer, self._judge(decision, answer))

    def reject(self, decision: Decision) -> None:
        """Undoes a wrong decision: its answer, its familiarity and its sighting are taken back, durably.

        The next input of the kind is novel again.
        """
        if not isinstance(decision, Decision):
            message = f"reject takes a Decision, not {type(decision).__name__}"
            raise TypeError(message)
        with self._lock:
            self._check()
            self._thalamus.reject(decision)
            self._commit_now()

    def flush(self) -> None:
        """Commits what was learned since the last commit (at most 256 decisions or one second of them)."""
        with self._lock:
            self._check()
            self._commit_now()

    def close(self) -> None:
        """Commits and closes the store; may be called twice. From a signal handler it takes effect after the call
        that was interrupted."""
        with self._lock:
            if self._closed or self._forked:
                self._closed = True
                return
            if self._thalamus.hot_path.busy:
                self._close_wanted = True
                return
            self._closed = True
            try:
                self._commit_now()
            finally:
                if self._flights is not None:
                    self._flights.close()
                self._aside.close()
                if self._store is not None:
                    self._store.close()

    def __enter__(self) -> Sophia:
        self._check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decide_batch(self, columns: Columns) -> list[Decision]:
        with self._lock:
            self._check()
            size = len(columns.texts)
            decisions = self._thalamus.route_batch(columns, self._n + 1)
            self._n += size
            self._pending += size
            if self._store is not None:
                self._commit_when_due()
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
            self._check()
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
            self._check()
            if agrees is not None:
                self._thalamus.count_audit(agrees=agrees)
            stored = self._thalamus.complete(decision, answer)
            self._commit_now()
            return stored

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
                    keep=self._keep,
                    aside=self._aside,
                )
            return self._flights

    def _load_audit(self, store: Store, settings: Settings) -> Audit:
        """The audit as the store has it. Where that cannot be read, answers stay off: they may have been."""
        try:
            return Audit(settings, same=self._same, state=store.meta("audit"))
        except StoreCorrupt as error:
            self._start_anew("audit", error)
            audit = Audit(settings, same=self._same)
            audit.off = True
            return audit

    def _load(self, store: Store, settings: Settings, rules: RuleSet, clock: Callable[[], float]) -> Thalamus:
        """A Thalamus that knows what the store holds. The filter keeps the capacity and seed it was made with."""
        patterns = PatternTable.restore(
            store.pattern_rows(), capacity=settings.pattern_capacity, masks=settings.mask != "none"
        )
        tables: dict[str, Any] = {}
        logs: dict[str, list[bytes]] = {}
        for name, load in _DERIVED.items():
            dump, logs[name] = store.derived(name)
            try:
                tables[name] = None if dump is None else load(dump)
            except StoreCorrupt as error:
                self._start_anew(name, error)
                tables[name], logs[name] = None, []
        thalamus = Thalamus(
            settings,
            rules,
            run=store.begin_run(),
            patterns=patterns,
            recall=self._recall,
            keep_changes=True,
            audit=self._load_audit(store, settings),
            clock=clock,
            **tables,
        )
        for name, log in logs.items():
            size = store.log_bytes(name)
            try:
                for changes in log:
                    thalamus.replay(name, changes)
            except StoreCorrupt as error:
                self._start_anew(name, error)
                size = LOG_BYTES + 1  # the next commit replaces the log by a dump
            thalamus.count_log(name, size)
        loaded = thalamus.take_changes()  # what was loaded is not news, but a dump in the place of a bad log is
        if loaded.dumps:
            store.commit(Changes([], [], b"", b"", loaded.dumps))
        store.purge(clock())
        if thalamus.cache is not None:
            answers, more = store.answers(thalamus.policy_version, clock(), settings.cache_entries // 2)
            thalamus.load_answers(answers, complete=not more)
        return thalamus

    def _start_anew(self, name: str, error: StoreCorrupt) -> None:
        """A derived table that cannot be read is made again: what it forgets is only thought about once more."""
        self._notes.append(f"the {name} table of the store is damaged and starts anew ({error})")

    def _recall(self, key: bytes) -> tuple[bytes, str, str, float] | None:
        """An answer that the cache had no room for: not durable yet, or in the store."""
        with self._saving:
            found = self._thalamus.pending_answer(key)
            for changes in reversed(self._unsaved):
                found = found or next((a for a in reversed(changes.answers) if a.key == key), None)
            if found is None and self._store is not None:
                found = self._store.answer(key, self._thalamus.policy_version, self._clock())
        return None if found is None or found.text is None else (found.raw, found.text, found.name, found.expires)

    def _commit_when_due(self) -> None:
        if self._pending >= _COMMIT_DECISIONS or monotonic() - self._committed_at >= _COMMIT_SECONDS:
            self._commit_now()

    def _commit_now(self) -> None:
        self._pending = 0
        self._committed_at = monotonic()
        self.commit(self._take())

    def _take(self) -> Changes:
        """What was learned, put in line for the store."""
        changes = self._thalamus.take_changes()
        if self._store is not None and changes:
            with self._saving:
                self._unsaved.append(changes)
        return changes

    def _check(self) -> None:
        if self._closed:
            message = "this Sophia is closed; open it again with sophia.open(path)"
            raise SophiaError(message)
        if self._forked:
            message = "this Sophia was opened before a fork; open the store in the child, after the parent closed it"
            raise SophiaError(message)
        if self._thalamus.hot_path.busy:
            message = "this Sophia is in the middle of a call of the same thread; a signal handler cannot route"
            raise SophiaError(message)


def open(
    path: str | os.PathLike[str] | None,
    *,
    settings: Settings | None = None,
    rules: Sequence[str | os.PathLike[str]] = (),
    same: Callable[[str, str], bool] | None = None,
    clock: Callable[[], float] = time,
) -> Sophia:
    """Opens the brain whose memory is the folder `path` (made when it is not there); None keeps nothing.

    `rules` are further danger rule files (TOML) beside the shipped set. `same(served, new)` says whether two answers
    to an audited input are the same; without it they must be equal but for line ends and outer white space.

    Raises StoreLocked when another process has the store open, StoreVersionError for one of a newer version,
    StoreCorrupt for a damaged one, RuleError for a rule that cannot be taken, ConfigError for a mask.
    """
    rule_set = RuleSet.load([Path(rule) for rule in rules]) if rules else _shipped_rules()
    if settings is not None and settings.mask not in ("auto", "none"):
        Masks.load(settings.mask)  # what cannot be taken is refused before there is a store
    store = None if path is None else Store(Path(path))
    try:
        return Sophia(store, settings or Settings(), rule_set, same=same, clock=clock)
    except BaseException:
        if store is not None:
            store.close()
        raise


@cache
def _shipped_rules() -> RuleSet:
    """Immutable and thread-safe, so every brain of a process shares one."""
    return RuleSet.load()


def _columns(
    batch: Sequence[str | Mapping[str, Any]], scope: str | None, context: str | None, *, line: bool
) -> Columns:
    """Texts and objects by column; `scope` and `context` are those of an object that names none."""
    objects = [{"text": item} if isinstance(item, str) else item for item in batch]
    for item in objects:
        if not isinstance(item, Mapping) or "text" not in item:
            message = f"an input is a str or an object with a text, not {item!r:.80}"
            raise TypeError(message)
    column = {key: [item.get(key) for item in objects] for key in ("text", "answer", "ts", "id")}
    return Columns(
        column["text"],
        scopes=[item.get("scope", scope) for item in objects],
        contexts=[item.get("context", context) for item in objects],
        answers=column["answer"],
        stamps=column["ts"],
        names=column["id"],
        lines=[line] * len(batch),
    )


def _batches(texts: Iterable[str], size: int) -> Iterator[list[str | None]]:
    iterator = iter(texts)
    while batch := list[str | None](islice(iterator, size)):
        yield batch


# How the derived tables are read; their names are those of the store and of Thalamus.
_DERIVED: dict[str, Callable[[bytes], Any]] = {
    "familiar": lambda dump: GenerationalFilter.load(dump, track_changes=CHANGE_LOG),
    "idf": IdfTable.load,
}

_OFF = (
    "answers are switched off: too many audited ones were wrong. Find out why, then brain.resume_answers(), "
    "or sophia run --resume-answers"
)

_OPEN: weakref.WeakSet[Sophia] = weakref.WeakSet()


def _mark_forked() -> None:
    for brain in _OPEN:
        brain._forked = True
        brain._lock = threading.RLock()  # the parent's may have been held by a thread that is not here
        brain._aside = SideThreads()  # nor are its threads
        brain._flights = None


os.register_at_fork(after_in_child=_mark_forked)
