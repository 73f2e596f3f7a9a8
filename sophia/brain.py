"""Sophia: opens a store, wires the organs, answers the program that uses it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from time import monotonic, time
from types import TracebackType

from sophia._core.cuckoo import GenerationalFilter
from sophia._core.decision import Decision
from sophia._core.idf import IdfTable
from sophia._core.pattern import Pattern, PatternTable
from sophia.config import Settings
from sophia.errors import SophiaError
from sophia.organs.danger import RuleSet
from sophia.organs.thalamus import CHANGE_LOG, Columns, Thalamus, is_line
from sophia.store.changes import Changes
from sophia.store.store import Store

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
        clock: Callable[[], float] = time,
    ) -> None:
        self._lock = threading.Lock()
        self._store = store
        self._closed = False
        self._forked = False
        self._n = 0
        self._pending = 0
        self._committed_at = monotonic()
        self._thalamus = (
            Thalamus(settings, rules, clock=clock) if store is None else _load(store, settings, rules, clock)
        )
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
            with self._lock:
                self._check()
                decisions += self._thalamus.route_batch(columns, self._n + 1)
                self._n += size
                self._pending += size
                if self._store is not None:
                    self._commit_when_due()
        return decisions

    def patterns(self) -> list[Pattern]:
        """Every template that is known, merged ones too, by id. May be called from any thread."""
        with self._lock:
            self._check()
            return list(self._thalamus.patterns.patterns())

    def decide(self, columns: Columns) -> tuple[list[Decision], Changes]:
        """One batch with all its columns, and what must be committed before its decisions are told.

        The caller commits the changes itself, in order (:meth:`commit`): `sophia run` does so in another
        thread while the next batch is routed.
        """
        with self._lock:
            self._check()
            decisions = self._thalamus.route_batch(columns, self._n + 1)
            self._n += len(columns.texts)
            return decisions, self._thalamus.take_changes()

    def commit(self, changes: Changes) -> None:
        """Makes `changes` durable. Without a store they are dropped: memory is all there is."""
        if self._store is None or not changes:
            return
        self._store.commit(changes)
        if changes.familiar is None:  # more than the log between two commits could hold
            self._store.fold("familiar", self._thalamus.dump("familiar"))

    def complete(self, decision: Decision, *, answer: str) -> bool:
        """Stores the answer of the expensive step for later repeats; durable when this returns.

        False where nothing may be stored: a text that is not allowed, unreadable or too long, or a decision
        made under another policy.
        """
        if not isinstance(decision, Decision) or not isinstance(answer, str):
            message = f"complete takes a Decision and a str, not {type(decision).__name__}, {type(answer).__name__}"
            raise TypeError(message)
        with self._lock:
            self._check()
            stored = self._thalamus.complete(decision, answer)
            self._commit_now()
            return stored

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
        """Commits and closes the store; may be called twice."""
        with self._lock:
            if self._closed or self._forked:
                self._closed = True
                return
            try:
                self._commit_now()
            finally:
                self._closed = True
                if self._store is not None:
                    try:
                        for name in self._store.long_logs():
                            self._store.fold(name, self._thalamus.dump(name))
                    finally:
                        self._store.close()

    def __enter__(self) -> Sophia:
        self._check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _commit_when_due(self) -> None:
        if self._pending >= _COMMIT_DECISIONS or monotonic() - self._committed_at >= _COMMIT_SECONDS:
            self._commit_now()

    def _commit_now(self) -> None:
        self._pending = 0
        self._committed_at = monotonic()
        self.commit(self._thalamus.take_changes())

    def _check(self) -> None:
        if self._closed:
            message = "this Sophia is closed; open it again with sophia.open(path)"
            raise SophiaError(message)
        if self._forked:
            message = "this Sophia was opened before a fork; open the store in the child, after the parent closed it"
            raise SophiaError(message)


def open(
    path: str | os.PathLike[str] | None,
    *,
    settings: Settings | None = None,
    rules: Sequence[str | os.PathLike[str]] = (),
    clock: Callable[[], float] = time,
) -> Sophia:
    """Opens the brain whose memory is the folder `path` (made when it is not there); None keeps nothing.

    `rules` are further danger rule files (TOML) beside the shipped set. Raises StoreLocked when another
    process has the store open, StoreVersionError for one of a newer version, StoreCorrupt for a damaged one,
    RuleError for a rule that cannot be taken.
    """
    rule_set = RuleSet.load([Path(rule) for rule in rules]) if rules else _shipped_rules()
    store = None if path is None else Store(Path(path))
    try:
        return Sophia(store, settings or Settings(), rule_set, clock=clock)
    except BaseException:
        if store is not None:
            store.close()
        raise


@cache
def _shipped_rules() -> RuleSet:
    """Immutable and thread-safe, so every brain of a process shares one."""
    return RuleSet.load()


def _batches(texts: Iterable[str], size: int) -> Iterator[list[str | None]]:
    iterator = iter(texts)
    while batch := list[str | None](islice(iterator, size)):
        yield batch


def _load(store: Store, settings: Settings, rules: RuleSet, clock: Callable[[], float]) -> Thalamus:
    """A Thalamus that knows what the store holds.

    The familiarity filter keeps the capacity and seed that it was made with.
    """
    filter_dump, filter_log = store.derived("familiar")
    idf_dump, idf_log = store.derived("idf")
    patterns = PatternTable.restore(store.pattern_rows(), capacity=settings.pattern_capacity)
    familiar = None if filter_dump is None else GenerationalFilter.load(filter_dump, track_changes=CHANGE_LOG)
    idf = None if idf_dump is None else IdfTable.load(idf_dump)
    thalamus: Thalamus

    def recall(key: bytes) -> tuple[bytes, str, str, float] | None:
        found = store.answer(key, thalamus.policy_version, clock())
        return None if found is None or found.text is None else (found.raw, found.text, found.name, found.expires)

    thalamus = Thalamus(
        settings,
        rules,
        run=store.begin_run(),
        patterns=patterns,
        familiar=familiar,
        idf=idf,
        recall=recall,
        keep_changes=True,
        clock=clock,
    )
    for name, log in (("familiar", filter_log), ("idf", idf_log)):
        for changes in log:
            thalamus.replay(name, changes)
    thalamus.take_changes()  # what was loaded is not news
    store.purge(clock())
    if thalamus.cache is not None:
        answers, more = store.answers(thalamus.policy_version, clock(), settings.cache_entries // 2)
        thalamus.load_answers(answers, complete=not more)
    return thalamus


_OPEN: weakref.WeakSet[Sophia] = weakref.WeakSet()


def _mark_forked() -> None:
    for brain in _OPEN:
        brain._forked = True
        brain._lock = threading.Lock()  # the parent's may have been held by a thread that is not here


os.register_at_fork(after_in_child=_mark_forked)
