"""Sessions as sequences of pattern ids: which are open, and which orders and counts were ever seen. Bounded."""

from __future__ import annotations

import json
import struct
from collections import OrderedDict
from contextlib import suppress
from typing import Any, NamedTuple

from sophia._core.cuckoo import GenerationalFilter
from sophia.errors import FilterFull, StoreCorrupt
from sophia.names import bounded

__all__ = ["Session", "SessionRules", "SessionTable"]

# Orders and counts that are known: at least so many of the last ones. Of 10,000 new ones about one is missed.
_KNOWN = 1 << 17
# What all open sessions may hold together: each counts one, and one for each of its patterns. About 100 bytes each.
_CELLS = 400_000
# Orders that are named of one session; further ones are counted.
_NAMED = 8
_MAGIC = b"SophSes1"


class SessionRules(NamedTuple):
    """What makes an order or a count new, and when a session ends; see :class:`sophia.Settings`."""

    ngram: int = 2
    exact: bool = False
    learn: bool = True
    limit: int = 10_000
    length: int = 10_000
    idle: int = 0


class Session(NamedTuple):
    """A session that has ended, and what was new in it. `first` and `last` are (run, n) of its inputs.

    `orders` are the first 8 of `orders_novel` runs of patterns that had never come in this order; `counts_novel` says
    that its patterns had never come together this often. `patterns` has how often each came. `sound` is False where a
    danger rule hit an input, or one could not be read: those are left out of both, and the counts of such a session are
    not learned. `ended` is "asked", "end" (of the input), "idle", "length" or "room".
    """

    session: str
    scope: str
    first: tuple[int, int]
    last: tuple[int, int]
    inputs: int
    orders: tuple[tuple[int, ...], ...]
    orders_novel: int
    counts_novel: bool
    patterns: dict[int, int]
    sound: bool
    ended: str

    @property
    def novel(self) -> bool:
        """Whether its order, or its counts, had never been seen."""
        return self.orders_novel > 0 or self.counts_novel


class _Open:
    """A session that goes on."""

    __slots__ = ("counts", "first", "inputs", "last", "orders", "orders_novel", "recent", "seen", "sound")

    def __init__(self, first: tuple[int, int]) -> None:
        self.first = self.last = first
        self.inputs = 0
        self.seen = 0  # the table's number of its last input
        self.recent: tuple[int, ...] = ()
        self.counts: dict[int, int] = {}
        self.orders: list[tuple[int, ...]] = []
        self.orders_novel = 0
        self.sound = True

    def state(self) -> list[Any]:
        counts = [number for pair in self.counts.items() for number in pair]
        return [
            self.first, self.last, self.inputs, self.seen,
            self.recent, counts, self.orders, self.orders_novel, self.sound,
        ]  # fmt: skip

    @classmethod
    def restored(cls, state: list[Any]) -> _Open:
        first, last, inputs, seen, recent, counts, orders, orders_novel, sound = state
        one = cls(_place(first))
        one.last = _place(last)
        one.inputs, one.seen, one.orders_novel = map(_whole, (inputs, seen, orders_novel))
        one.recent = tuple(map(_whole, recent))
        one.counts = dict(zip(map(_whole, counts[::2]), map(_whole, counts[1::2]), strict=True))
        one.orders = [tuple(map(_whole, order)) for order in orders]
        one.sound = bool(sound)
        return one


class SessionTable:
    """Open sessions, and a filter of all orders and counts that were seen. Not thread-safe.

    At most `rules.limit` sessions are open, and fewer where they hold many patterns: the one that was silent longest
    makes room. About 3 us an input, 6 us for a session that ends. With `track` what happened is kept for `changes`.
    """

    def __init__(self, rules: SessionRules | None = None, *, seed: int = 0, track: bool = False) -> None:
        self.rules = SessionRules() if rules is None else rules
        self._open: OrderedDict[tuple[str, str], _Open] = OrderedDict()
        self._known = GenerationalFilter(_KNOWN, seed=seed)
        self._inputs = 0
        self._cells = 0
        self._ended: list[Session] = []
        self._track = track
        self._log: list[list[Any]] = []

    def __len__(self) -> int:
        """How many sessions are open."""
        return len(self._open)

    @property
    def known(self) -> int:
        """About how many orders and counts are known."""
        return len(self._known)

    def observe(self, scope: str, name: str, place: tuple[int, int], pattern: int) -> tuple[int, ...] | None:
        """One more input of a session: the last patterns of it where they have never come in this order, else None.

        `place` is the (run, n) of the input. A `pattern` of 0 stands for an input that nothing may be learned from: it
        has no part in order and counts, the order begins anew after it, and the session is not sound.
        """
        rules = self.rules
        scope, name = bounded(scope), bounded(name)
        if self._track:
            self._log.append([scope, name, *place, pattern])
        self._inputs += 1
        key = scope, name
        one = self._open.get(key)
        if one is None:
            one = self._open[key] = _Open(place)
            self._cells += 1
        else:
            self._open.move_to_end(key)
        one.last, one.seen = place, self._inputs
        one.inputs += 1
        novel = None
        if pattern == 0:
            one.sound, one.recent = False, ()
        else:
            novel = self._follow(scope, one, pattern)
        if one.inputs >= rules.length:
            self._end(key, "length")
        if rules.idle or len(self._open) > rules.limit or self._cells > _CELLS:
            self._make_room()
        return novel

    def end(self, scope: str, name: str) -> Session | None:
        """Ends one session; None where it is not open."""
        key = bounded(scope), bounded(name)
        if key not in self._open:
            return None
        if self._track:
            self._log.append([*key])
        self._end(key, "asked")
        return self._ended.pop()

    def end_all(self) -> None:
        """Ends all sessions, the one that was silent longest first."""
        if self._track and self._open:
            self._log.append([])
        while self._open:
            self._end(next(iter(self._open)), "end")

    def forget(self, scope: str) -> int:
        """Drops the open sessions of a scope, as if they had not been; how many. Orders and counts that are known of it
        stay: only fingerprints of them are kept, which do not say whose they are."""
        gone = [key for key in self._open if key[0] == bounded(scope)]
        for key in gone:
            self._cells -= 1 + len(self._open.pop(key).counts)
        return len(gone)

    def take_ended(self) -> list[Session]:
        """The sessions that have ended since the last call, in order, but for those that were asked to."""
        ended, self._ended = self._ended, []
        return ended

    def changes(self) -> bytes:
        """What happened since the last call, for `replay`; nothing is b""."""
        log, self._log = self._log, []
        return json.dumps([self.rules, log], separators=(",", ":")).encode() if log else b""

    def replay(self, changes: bytes) -> None:
        """Does once more what `changes` says, under the rules of that time. StoreCorrupt where it says nothing."""
        rules, track, self._track = self.rules, self._track, False
        try:
            then, log = json.loads(changes)
            self.rules = _rules(then)
            for entry in log:
                if len(entry) == 5:
                    scope, name, run, n, pattern = entry
                    self.observe(scope, name, (_whole(run), _whole(n)), _whole(pattern))
                elif entry:
                    self.end(*entry)
                else:
                    self.end_all()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, struct.error) as error:
            message = f"a change of the sessions cannot be read ({error})"
            raise StoreCorrupt(message) from error
        finally:
            self.rules, self._track = rules, track
            self._ended.clear()  # they were told at their time

    def dump(self) -> bytes:
        """The whole table but for `rules`: those are the settings of whoever opens it."""
        state = [self._inputs, [[*key, *one.state()] for key, one in self._open.items()]]
        text = json.dumps(state, separators=(",", ":")).encode()
        return b"".join((_MAGIC, len(text).to_bytes(8, "little"), text, self._known.dump()))

    @classmethod
    def load(cls, data: bytes, *, track: bool = False) -> SessionTable:
        """The table of a dump. StoreCorrupt for bytes that are none."""
        table = cls(track=track)
        try:
            if data[:8] != _MAGIC:
                raise ValueError("it begins otherwise")  # noqa: EM101
            end = 16 + int.from_bytes(data[8:16], "little")
            inputs, sessions = json.loads(data[16:end])
            table._inputs = _whole(inputs)
            for scope, name, *state in sessions:
                if type(scope) is not str or type(name) is not str:
                    raise TypeError("a name is no text")  # noqa: EM101
                table._open[scope, name] = _Open.restored(state)
            table._cells = sum(1 + len(one.counts) for one in table._open.values())
            table._known = GenerationalFilter.load(data[end:])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            message = f"the dump of the sessions cannot be read ({error})"
            raise StoreCorrupt(message) from error
        return table

    def _follow(self, scope: str, one: _Open, pattern: int) -> tuple[int, ...] | None:
        """Counts a pattern, and compares the window that ends with it."""
        rules, counts = self.rules, one.counts
        if pattern not in counts:
            self._cells += 1
        counts[pattern] = counts.get(pattern, 0) + 1
        window = (*one.recent[-(rules.ngram - 1) :], pattern) if rules.ngram > 1 else (pattern,)
        one.recent = window[1:] if len(window) == rules.ngram else window
        if len(window) < rules.ngram or self._seen(b"o" + _packed(scope, window), rules.learn):
            return None
        one.orders_novel += 1
        if len(one.orders) < _NAMED:
            one.orders.append(window)
        return window

    def _seen(self, key: bytes, learn: bool) -> bool:
        """Whether an order, or counts, are known; learns them."""
        known = key in self._known
        if learn:
            with suppress(FilterFull):  # what is not learned will be new again: that only costs thought
                self._known.refresh(key)
        return known

    def _make_room(self) -> None:
        rules, opened = self.rules, self._open
        while len(opened) > rules.limit or (self._cells > _CELLS and len(opened) > 1):
            self._end(next(iter(opened)), "room")
        if rules.idle:
            while opened:
                key = next(iter(opened))
                if self._inputs - opened[key].seen <= rules.idle:
                    break
                self._end(key, "idle")

    def _end(self, key: tuple[str, str], why: str) -> None:
        one = self._open.pop(key)
        self._cells -= 1 + len(one.counts)
        scope, name = key
        counts_novel = False
        if one.counts:
            exact = self.rules.exact
            numbers = [
                n for id in sorted(one.counts) for n in (id, one.counts[id] if exact else _rough(one.counts[id]))
            ]
            kind = b"e" if exact else b"r"
            counts_novel = not self._seen(kind + _packed(scope, numbers), self.rules.learn and one.sound)
        self._ended.append(
            Session(
                name,
                scope,
                one.first,
                one.last,
                one.inputs,
                tuple(one.orders),
                one.orders_novel,
                counts_novel,
                one.counts,
                one.sound,
                why,
            )
        )


def _rough(count: int) -> int:
    """A count by its magnitude: once, several times (2 to 9), tens, hundreds, ...

    >>> [_rough(count) for count in (1, 2, 9, 10, 99, 100)]
    [0, 1, 1, 2, 2, 3]
    """
    return 0 if count == 1 else len(str(count))


def _packed(scope: str, numbers: Any) -> bytes:
    """Numbers of a scope as bytes that no others have."""
    return struct.pack(f"<I{len(numbers)}Q", len(numbers), *numbers) + scope.encode("utf-8", "surrogatepass")


def _place(value: Any) -> tuple[int, int]:
    run, n = value
    return _whole(run), _whole(n)


def _rules(value: Any) -> SessionRules:
    ngram, exact, learn, limit, length, idle = value
    return SessionRules(_whole(ngram), bool(exact), bool(learn), _whole(limit), _whole(length), _whole(idle))


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        message = f"{value!r} is no number of it"
        raise ValueError(message)
    return value
