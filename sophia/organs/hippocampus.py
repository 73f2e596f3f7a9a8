# Over 600 lines: one class, whose calls share two locks; much of it says what they do.
"""Episodic memory: what was remembered, found again by what it is like, when it was, and whose it is.

SQLite has the truth (see :mod:`sophia.store.memories`); what is searched is made from it when the store opens.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, Literal

from sophia.errors import SophiaError, StoreFailed, StoreFrozen
from sophia.organs.long_term import LongTerm, resident
from sophia.organs.memory_content import Content, ContentReader
from sophia.organs.memory_finding import Known, Near
from sophia.organs.memory_index import Choice
from sophia.organs.memory_keeping import NEIGHBOURS, Keeping, clusters, fitting, let_go, limits, one_of
from sophia.organs.memory_sealing import LEAST, MOST, seal
from sophia.organs.memory_search import MemorySearch, arrow, closed
from sophia.organs.memory_table import rows_of
from sophia.organs.memory_words import checked, choice_of, whole
from sophia.organs.recall import Memory
from sophia.store.lock import waited
from sophia.store.memories import MOST_ID
from sophia.store.memory_row import MemoryRow
from sophia.store.store import Store

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Hippocampus"]

Durability = Literal["disk", "os", "memory"]

_RAISED = 0.1  # what being recalled adds to the strength, up to 1
_GROUP = 256  # memories that durability "memory" collects before they are written, or that merging makes at a time
_FORGOTTEN = 4096  # of which so many may stay in memory beside as many as are there


class Hippocampus(MemorySearch):
    """The memory of one store, open for writing. Make one with :meth:`open`; close it, or use it as a context manager.

    Thread-safe: searches run side by side, with the GIL released; what is remembered by several threads at the same
    time shares a commit. What is recalled grows stronger. In a process that was forked off afterwards every call raises
    StoreFailed: open the store there anew. Other processes read with
    :class:`~sophia.organs.memory_reader.MemoryReader`.

    Memory: 1,280 bytes for a vector of 10,000 bits, and the row itself (text, names).
    """

    def __init__(
        self,
        store: Store,
        *,
        dim: int,
        durability: Durability,
        texts: str = "words",
        scan_limit: int | None = None,
        workers: int = 1,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(dim, clock, texts, workers)
        self._store = store
        self._durability = durability
        self._writing = threading.Lock()  # of the store; taken before the other
        self._waiting: list[MemoryRow] = []
        self._early = durability == "memory"  # rows are found before they are written
        self._raised: dict[int, tuple[float, int]] = {}
        self._failed: dict[int, SophiaError] = {}  # of rows whose thread has not been told yet
        self._closing = False
        self._long_term = LongTerm(store, dim, resident() if scan_limit is None else scan_limit)
        self._unclean = True  # whether files may hold what went: a process that was killed may have left some
        self._settled = 0  # the highest id of which it is known what became of it
        self._last = 0
        self._reload()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "disk",
        dim: int | None = None,
        texts: str = "words",
        wait: float = 0.0,
        scan_limit: int | None = None,
        workers: int = 1,
        clock: Callable[[], float] = time,
    ) -> Hippocampus:
        """Opens the store in the folder `path`, made when it is not there.

        `durability` says when :meth:`remember` returns: "disk", when the memory is on the disk; "os", when the
        operating system has it (a crash of the process loses nothing, a power failure may); "memory", at once: it is
        written in groups of 256, by :meth:`flush`, and at the end. `dim` is the dimension of the vectors, 10,000 in a
        new store; a store keeps the one that it began with. `texts` says what a text is searched by: its "words" (some
        900 bytes of memory for a sentence of 20), or the "bits" of its vector, like any other. Where another process
        has the store open, `wait` is how many seconds to wait for it. Vectors of more than `scan_limit` bytes (four
        fifths of the machine's memory, if left out) are not read from end to end for a recall, where there is a
        long-term index to ask. `workers` threads scan the vectors of a recall, where there are several segments of
        them; what is found is the same.

        Raises StoreLocked when it stays open elsewhere, ValueError for another `dim` than the store's or another
        `durability`, and what :func:`sophia.open` raises of a store.
        """
        if durability not in ("disk", "os", "memory"):
            message = f"durability {durability!r} is not 'disk', 'os' or 'memory'"
            raise ValueError(message)
        if isinstance(scan_limit, bool) or not isinstance(scan_limit, int | None):
            message = f"scan_limit is {scan_limit!r}; it is a number of bytes"
            raise TypeError(message)
        if scan_limit is not None and scan_limit < 0:
            message = f"scan_limit is {scan_limit}; it is a number of bytes"
            raise ValueError(message)
        if dim is not None:
            ContentReader(dim)  # what cannot be one is refused before there is a store
        store = waited(lambda: Store(Path(path)), wait)
        try:
            if store.crystalline:
                message = (
                    f"the store {path} is crystalline: nothing may be remembered or forgotten there until "
                    f"`sophia crystallise --undo --store {path}`; sophia.MemoryReader reads it"
                )
                raise StoreFrozen(message)
            kept = store.dim
            if kept is not None and dim is not None and dim != kept:
                message = f"the store {path} has vectors of dim={kept}, not {dim}; leave dim out, or name another store"
                raise ValueError(message)
            if kept is None:
                kept = 10_000 if dim is None else dim
                store.set_meta("dim", str(kept))
            store.synchronise("FULL" if durability == "disk" else "NORMAL")
            store.tidy()
            return cls(
                store, dim=kept, durability=durability, texts=texts, scan_limit=scan_limit, workers=workers, clock=clock
            )
        except BaseException:
            store.close()
            raise

    # ------------------------------------------------------------------------------------------------ remember

    def remember(
        self,
        content: object,
        *,
        scope: str = "",
        context: str = "",
        actor: str = "",
        kind: str = "note",
        tags: Iterable[str] = (),
        ts: datetime | float | None = None,
        valence: float = 0.0,
        strength: float = 1.0,
        answer: str | None = None,
    ) -> int:
        """Remembers a text, hypervector or array (see :class:`~sophia.organs.memory_content.ContentReader`); its id.

        `scope` is whose it is, `context` the session it belongs to, `actor` who said it, `ts` when it happened: a
        datetime (a naive one is UTC) or seconds since the epoch; now, if left out. `valence` is -1 to 1, `strength` 0
        to 1. Ids rise, and none is given twice.

        Raises what the reader raises of the content, and ValueError or TypeError for the rest.
        """
        return self.remember_many(
            [content], scope=scope, context=context, actor=actor, kind=kind, tags=tags, ts=ts, valence=valence,
            strength=strength, answer=answer,
        )[0]  # fmt: skip

    def remember_many(self, contents: Iterable[object], **said: Any) -> list[int]:
        """Remembers all of them, or none: their ids.

        Each is a content as for :meth:`remember`, or a mapping with `content` and any of its other arguments; what a
        mapping leaves out is as `said`.
        """
        self._look()
        now = self._now()
        made: list[tuple[Content, dict[str, Any]]] = []
        if isinstance(contents, str | bytes):
            message = f"many memories are needed, not one {type(contents).__name__}; put it into a list"
            raise TypeError(message)
        if said.get("tags") is not None and not isinstance(said["tags"], str):
            said["tags"] = tuple(said["tags"])  # which may be read once only
        usual = checked(said, now)
        for number, each in enumerate(contents):
            try:
                if isinstance(each, dict):
                    given = {**said, **each}
                    if "content" not in given:
                        message = "a mapping without 'content'"
                        raise ValueError(message)
                    made.append((self._reader.read(given.pop("content")), checked(given, now)))
                else:
                    made.append((self._reader.read(each), usual))
            except (ValueError, TypeError) as error:
                if number or not isinstance(contents, list) or len(contents) > 1:
                    error.add_note(f"memory {number} of those given, counted from 0; none of them was remembered")
                raise
        return self._remember(made) if made else []

    def remember_table(self, table: pyarrow.Table, **said: Any) -> list[int]:
        """Remembers the rows of an Arrow table: a column `text` or `vector` (FixedSizeList<uint8>), and any of `scope`,
        `context`, `actor`, `kind`, `tags`, `ts`, `valence`, `strength`, `answer`. All of them, or none."""
        return self.remember_many(rows_of(table), **said)

    def _remember(self, made: Sequence[tuple[Content, dict[str, Any]]]) -> list[int]:
        with self._lock:
            if self._closing:
                raise closed()
            rows = [
                MemoryRow(id=self._last + number, dim=self.dim, text=content.text, vector=content.vector, **said)
                for number, (content, said) in enumerate(made, 1)
            ]
            before, self._stale = self._stale, True
            self._last += len(rows)
            self._waiting += rows
            if self._early:
                self._add(rows)
            self._stale = before
            full = len(self._waiting) >= _GROUP
        if full or not self._early:
            try:
                with self._writing:
                    if rows[-1].id > self._settled:  # nobody has written or refused them meanwhile
                        try:
                            self._drain()
                        except SophiaError:
                            self._take_back(rows)
                            raise
                    if self._index.unsealed >= MOST:
                        self._seal(LEAST)
            except SophiaError:
                raise
            except BaseException:  # an interrupt: nobody knows how far it came
                self._stale = True
                raise
            failed = self._take_back(rows) if rows[0].id in self._failed else None
            if failed is not None:  # by another thread, which wrote these with its own
                message = f"{len(rows)} memories could not be written: {failed}"
                raise StoreFailed(message) from failed
        return [row.id for row in rows]

    def _take_back(self, rows: Sequence[MemoryRow]) -> SophiaError | None:
        """Rows that could not be written were not remembered; why."""
        with self._lock:
            ids = {row.id for row in rows}
            self._waiting = [row for row in self._waiting if row.id not in ids]
            if self._early:
                for id in ids:
                    self._index.remove(id)
            found = [self._failed.pop(row.id, None) for row in rows]
            return found[0]

    def _drain(self) -> None:
        """Writes what waits; `_writing` is held. One thread does it for all that came meanwhile.

        Interrupted at any point it may be done again: what the store has already is not written twice, and what is not
        yet known to be there goes on waiting. What the store refuses was not remembered, unless that was promised.
        """
        if self._closed:
            return
        self._store.settle()
        with self._lock:
            rows, raised = list(self._waiting), dict(self._raised)
        done = self._store.last_memory
        fresh = [row for row in rows if row.id > done]
        if fresh or raised:
            try:
                self._store.remember(fresh, [(id, strength, at) for id, (strength, at) in raised.items()])
            except SophiaError as error:
                with self._lock:
                    if not self._early:
                        self._failed.update((row.id, error) for row in fresh)
                        self._settle(rows)
                raise
        with self._lock:
            if not self._early:
                self._add([row for row in rows if row.id > self._index.last])
            self._settle(rows)
            for id, change in raised.items():
                if self._raised.get(id) == change:
                    del self._raised[id]

    def _settle(self, rows: Sequence[MemoryRow]) -> None:
        """Nothing up to the last of these waits any more."""
        if rows:
            self._settled = rows[-1].id
            self._waiting = [row for row in self._waiting if row.id > self._settled]

    def _reload(self) -> None:
        """Makes what is searched anew, of the store and of what waits to be written."""
        self._stale = True
        self._store.settle()
        self._begin()
        self._fill(self._store)
        self._long_term.note()
        for id, change in self._raised.items():
            self._index.strengthen(id, *change)
        last = self._store.last_memory
        self._last, self._settled = max(self._last, last), max(self._settled, last)
        if self._early:
            self._add([row for row in self._waiting if row.id > last])
        self._stale = False

    def _look(self) -> None:
        super()._look()
        if self._stale:
            with self._writing, self._lock:
                if self._stale and not self._closed:
                    self._reload()

    def _seal(self, least: int) -> None:
        """Puts memories into segments, which are read faster; `_writing` is held. Nothing is lost where that fails."""
        if not arrow():
            return
        try:
            self._store.settle()
            texts = self._texts if self._by_words else None
            if seal(self._store, self._index, texts, self._lock, least=least, upto=self._settled):
                self._stale = True
        except (SophiaError, OSError) as error:
            self._stale = True
            self._store.notes.append(f"memories could not be put into a segment: {error}")

    def flush(self) -> None:
        """Writes what durability "memory" has not written yet, and the strengths that recalls have raised."""
        self._look()
        with self._writing:
            self._drain()

    def _found(self, memories: Iterable[Memory], now: int) -> None:
        """What is recalled grows stronger."""
        for memory in memories:
            if self._index.find(memory.id) is not None:
                strength = min(1.0, memory.strength + _RAISED)
                self._index.strengthen(memory.id, strength, now)
                self._raised[memory.id] = strength, now

    # ------------------------------------------------------------------------------------------------ sleep

    def sleep(self, steps: int | None = None) -> int:
        """Consolidates: memories go into segments, and into the long-term index, at most 10,000 in a step; pieces of it
        become one. `steps` is how many to make at most; all that there are, if left out. How many memories the
        long-term index took.

        Others may remember and recall between two steps. What is found stays the same. Killed at any point it goes on
        where it was. Without lancedb (extra `brain`) there is no long-term index. Raises StoreFailed where it cannot be
        written.
        """
        if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 0):
            message = f"steps is {steps!r}; it is a whole number of steps, or None for all"
            raise ValueError(message)
        taken = 0
        self._look()
        while steps is None or steps > 0:
            self._look()
            with self._writing:
                super()._look()
                self._drain()
                if not self._stale:
                    self._seal(LEAST)
                step = self._long_term.step(LEAST)
            if step is None:
                break
            taken += step
            steps = None if steps is None else steps - 1
        return taken

    def keep(
        self,
        *,
        since: datetime | float | None = None,
        least: float | None = None,
        most: int | None = None,
        disk: int | None = None,
        merge: float | None = None,
        order: str = "weakest",
    ) -> dict[str, int]:
        """Lets memories go, and makes one of those that say nearly the same: how many were `let_go`, and how
        many `merged` into how many that were `made`.

        Those from before `since` go, those whose strength has faded below `least`, and where there are more than
        `most`, or than fit into `disk` bytes with all that is made of them (see
        :func:`sophia.organs.memory_keeping.fitting`), the first in this `order`: "weakest" (of equally weak ones the
        older), "oldest" (of what happened first), or "stored" (that were stored first). Then those of one
        scope, context, actor and kind whose vectors differ in no more than the share `merge` of their bits become one
        (see :func:`sophia.organs.memory_keeping.one_of`): it has a new id, and the text of the strongest. Nothing is
        done that is not asked for. What goes is overwritten in the database, as with :meth:`forget`. Killed at any
        point it has let go and merged some of them, or all.
        """
        keeping, merge = limits(since=since, least=least, most=most, disk=disk, merge=merge, order=order)
        self._look()
        done = {"let_go": 0, "merged": 0, "made": 0}
        with self._writing, self._lock:
            self._ready()
            if merge is not None and not all(piece.sound for _, piece in self._index.pieces()):
                self._reload()  # memories are made of what is there: not of what was damaged since it was mapped
            if ids := self._gone(keeping, disk):
                done["let_go"] = self._exchange(ids, [])
            again = merge is not None
            while again and merge is not None:
                alike = list(clusters(self._index, merge))
                for start in range(0, len(alike), _GROUP):
                    some = alike[start : start + _GROUP]
                    made = [
                        replace(one_of(self._index, places, self._now()), id=self._last + number)
                        for number, places in enumerate(some, 1)
                    ]
                    gone = self._index.ids()[[at for places in some for at in places]].tolist()
                    done["merged"] += self._exchange(gone, made)
                    done["made"] += len(made)
                again = any(len(places) >= NEIGHBOURS for places in alike)
            self._clean(done["let_go"] + done["merged"])
        return done

    def would_keep(self, **what: Any) -> dict[str, int]:
        """How many memories :meth:`keep` would let go, and merge, with the same arguments; changes nothing. What has
        become one of several may be merged again: then more are than is said here."""
        keeping, merge = limits(**what)
        self._look()
        with self._writing, self._lock:
            self._ready()
            gone = self._gone(keeping, what.get("disk"))
            left = {at for id in gone if (at := self._index.find(id)) is not None}
            alike = () if merge is None else clusters(self._index, merge, left)
            sizes = [len(each) for each in alike]
            return {"let_go": len(gone), "merged": sum(sizes), "made": len(sizes)}

    def _gone(self, keeping: Keeping, disk: int | None) -> list[int]:
        """The ids of those that go; both locks are held."""
        if disk is not None:
            texts = self._store.text_sizes()
            if len(self._index) and not fitting(disk, self.dim, min(texts.values(), default=0)):
                message = f"disk is {disk}, less than a store with one memory takes; give more, or forget them"
                raise ValueError(message)
            return let_go(self._index, keeping, self._now(), disk, texts)
        return let_go(self._index, keeping, self._now())

    def _clean(self, gone: int) -> None:
        """Leaves nothing of what went, now or when an earlier call was broken off; `_writing` is held."""
        if gone or self._unclean:
            self._long_term.note()
            self._store.clean()
            self._long_term.note()
            self._unclean = False

    def _exchange(self, gone: Sequence[int], made: Sequence[MemoryRow]) -> int:
        """Some memories in the place of others; both locks are held."""
        self._stale = self._unclean = True  # until both agree again, and nothing is left of what went
        try:
            count = self._store.exchange(gone, made)
        except SophiaError:
            self._stale = False
            raise
        for id in gone:
            self._index.remove(id)
            self._raised.pop(id, None)
        self._add(made)
        for row in made:
            self._last = self._settled = row.id
        self._stale = self._index.size > 2 * len(self._index) + _FORGOTTEN
        return count

    def _known(self, words: Sequence[str], choice: Choice) -> Known | None:
        if not self._long_term.knows():
            return None
        with self._writing:
            super()._look()
            self._store.settle()
            return self._long_term.known(words, choice)

    def _elsewhere(self, vectors: Sequence[bytes], k: int, choice: Choice) -> Near | None:
        if not self._long_term.nears():
            return None
        with self._writing:
            super()._look()
            self._store.settle()
            return self._long_term.near(vectors, k, choice)

    # ------------------------------------------------------------------------------------------------ forget

    def forget(
        self,
        id: int | Iterable[int] | None = None,
        *,
        scope: str | None = None,
        before: datetime | float | None = None,
    ) -> int:
        """Forgets one memory or some, all of a scope, all from before a time, or all of a scope from before it; how
        many.

        What is forgotten is in no page of the database and not in its log before this returns: all pages are written
        anew, in the time and with the room that the whole database takes, so forget what you can in one call.
        StoreFailed where another program keeps reading an older state: it is forgotten then, but in the log until the
        store is closed. :func:`sophia.forget_scope` takes all else that is known of a scope.
        """
        self._look()
        if id is None and scope is None and before is None:
            message = "say what to forget: an id, a scope, or before when"
            raise TypeError(message)
        if id is not None and (scope is not None or before is not None):
            message = "an id names one memory already; leave scope and before out"
            raise TypeError(message)
        some = None
        if id is not None:
            some = list(
                dict.fromkeys(map(whole, [id] if isinstance(id, str | bytes) or not isinstance(id, Iterable) else id))
            )
            some = [each for each in some if 0 < each <= MOST_ID]  # SQLite has no other numbers
        choice = choice_of(scope=scope, until=before)
        with self._writing, self._lock:
            self._ready()
            if some is None:
                ids = self._index.ids()[self._index.chosen(choice)].tolist()
            else:
                ids = [each for each in some if self._index.find(each) is not None]
            self._stale = self._unclean = True  # until both agree again, and nothing is left of what went
            try:
                gone = self._store.forget(some, scope=choice.scope, before=choice.until)
            except SophiaError:
                self._stale = False
                raise
            for each in ids:
                self._index.remove(each)
                self._raised.pop(each, None)
            # Where most of what is held was forgotten, the next call makes it anew.
            self._stale = self._index.size > 2 * len(self._index) + _FORGOTTEN
            self._clean(gone)
        return gone

    def _ready(self) -> None:
        """Both locks are held: what waits is written, and index and store agree."""
        super()._look()
        self._drain()
        if self._stale:
            self._reload()

    def stats(self) -> dict[str, Any]:
        """Facts, for JSON; keys may be added and are never renamed."""
        self._look()
        with self._lock:
            super()._look()
            return {
                "memories": len(self._index),
                "dim": self.dim,
                "durability": self._durability,
                "waiting": len(self._waiting),
                "damaged": self._damaged,
                "rebuilt": self._rebuilt + self._long_term.rebuilt,
                "archived": self._long_term.count,
                "last_id": self._last,
                "index_bytes": self._index.nbytes + self._texts.nbytes,
                "file_bytes": self._store.file.stat().st_size,
            }

    # ------------------------------------------------------------------------------------------------ the rest

    async def aremember(self, content: object, **said: Any) -> int:
        """:meth:`remember`, from an event loop."""
        return await self._aside.run(self.remember, content, **said)

    async def aremember_many(self, contents: Iterable[object], **said: Any) -> list[int]:
        """:meth:`remember_many`, from an event loop."""
        return await self._aside.run(self.remember_many, contents, **said)

    async def aremember_table(self, table: pyarrow.Table, **said: Any) -> list[int]:
        """:meth:`remember_table`, from an event loop."""
        return await self._aside.run(self.remember_table, table, **said)

    async def asleep(self, steps: int | None = None) -> int:
        """:meth:`sleep`, from an event loop."""
        return await self._aside.run(self.sleep, steps)

    async def akeep(self, **limits: Any) -> dict[str, int]:
        """:meth:`keep`, from an event loop."""
        return await self._aside.run(self.keep, **limits)

    async def aforget(self, id: int | Iterable[int] | None = None, **which: Any) -> int:
        """:meth:`forget`, from an event loop."""
        return await self._aside.run(self.forget, id, **which)

    def close(self) -> None:
        """Writes what waits and gives the store back; may be called twice.

        Raises what :meth:`flush` raises; then it is still open, and may be closed again when there is room.
        """
        if self._forked:
            return
        with self._writing:
            try:
                if not self._closed:
                    self._end()
            finally:
                if self._closed:
                    self._give_back()

    def _give_back(self) -> None:
        """Done at each call: a Ctrl-C may have kept the one before from it, and the store must not stay locked."""
        try:
            self._aside.close()
            self._scanners.close()
        finally:
            self._store.close()

    def _end(self) -> None:
        """Takes in nothing more, and writes what waits; where that fails, it goes on."""
        try:
            with self._lock:
                self._closing = True
            self._drain()
        except BaseException:
            self._closing = False
            raise
        try:
            if not self._stale and len(self._index) >= LEAST:
                self._seal(LEAST)
        finally:
            self._closed = True
