"""How often the patterns of each source usually come; alarms where one falls silent or comes far too often. Bounded."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Collection, Sequence
from heapq import heappop
from math import inf, isfinite, nextafter
from zlib import crc32

from sophia.errors import StoreCorrupt
from sophia.store.rhythm import (
    BURST,
    GAPS,
    KNOWN,
    LEARNED,
    OTHERS,
    SHORTEST,
    SILENCE,
    TOLERANCE,
    WINDOW,
    Alarm,
    Last,
    Rhythm,
    Source,
    Usual,
)
from sophia.store.session_table import bounded

__all__ = ["Alarm", "Rhythm", "RhythmTable"]

_PATTERNS = 4096
_SOURCES = 64
# Lasts of all patterns in all sources; over it the source that was silent longest begins anew. About 350 bytes each.
_LASTS = 4 * _PATTERNS
# A pattern gets a row when it comes for the third time; so many others wait for that.
_COMINGS = 3
_WAITING = 4096

_MAGIC = b"SophRhy1"
_HEAD = struct.Struct("<Q6I")
_SOURCE_ROW = struct.Struct("<3dQQ??")
_LAST_ROW = struct.Struct("<HQ6dQQ??")
_KEY = struct.Struct("<Q")


class RhythmTable:
    """Rhythms of at most 4,096 patterns, in at most 64 sources. Not thread-safe, deterministic.

    Event times must be finite, patterns below 2**64. About 0.5 us an input where many come in a second, 2 to 3 where
    each comes in a second of its own, 8 where hours lie between them. With `track` what changed is kept for `changes`,
    which must then be called now and then.
    """

    def __init__(self, *, track: bool = False) -> None:
        self._usual: dict[int, Usual] = {}
        self._sources: dict[str, Source] = {}
        self._waiting: OrderedDict[int, int] = OrderedDict()
        self._turn = 0
        self._track = track
        self._lasts: list[tuple[Source, Last]] = []
        self._changed: list[Usual] = []
        # What `changes` has to tell.
        self._met: OrderedDict[int, None] = OrderedDict()
        self._gone: dict[int, None] = {}
        self._closed: dict[str, None] = {}
        self._touched: dict[str, None] = {}

    def __len__(self) -> int:
        """How many patterns have a row."""
        return len(self._usual)

    def observe(self, source: str, pattern: int, moment: float, *, alarming: bool = True) -> Sequence[Alarm]:
        """One more input of a source, in order, at an event time in seconds since 1970; what is noticed by it.

        Without `alarming` it is only learned: what falls silent or comes too often meanwhile is never told.
        """
        one = self._sources.get(source)
        alarms: list[Alarm] | None = None
        if one is None:
            one = self._source(source, moment)
        if moment >= one.end or moment < one.moment:
            if moment < one.moment:
                if moment >= one.moment - TOLERANCE:
                    moment = one.moment  # a little out of order
                else:
                    self._begin(one, moment)
            if moment >= one.end:
                self._turn += 1
                one.turn = self._turn
                self._touch(one)
                quiet = one.pass_to(moment)
                if quiet is not None and alarming:
                    alarms = [quiet]
        one.moment = moment
        clock = moment - one.skipped
        last = one.lasts.get(pattern)
        if last is None:
            last = self._meet(one, pattern, moment, clock)
        if last is not None:
            if moment >= last.end:
                self._visit(one, last, moment, clock)
            last.moment = moment
            last.clock = clock
            last.second = one.second
            n = last.n = last.n + 1
            if n > last.usual.limit and not last.loud:
                last.loud = True
                if alarming:
                    usual = last.usual.most
                    alarms = alarms or []
                    alarms.append(Alarm("rate", one.name, pattern, moment, last.window, usual, n))
            if not last.changed:
                last.changed = True
                if self._track:
                    self._lasts.append((one, last))
        if clock >= one.due:
            found = self._silences(one, moment, clock)
            if found and alarming:
                alarms = alarms + found if alarms else found
        return alarms or ()

    def expire(self, source: str, moment: float) -> Sequence[Alarm]:
        """Event time has reached `moment` without an input of the source: the silences that are due by then."""
        one = self._sources.get(bounded(source))
        if one is None or moment <= one.moment:
            return ()
        self._touch(one)
        quiet = one.find_quiet(moment)
        gap = moment - one.moment
        clock = one.moment + (one.going(gap) if one.usual.number >= KNOWN else gap) - one.skipped
        found = self._silences(one, moment, clock) if clock >= one.due else []
        return [quiet, *found] if quiet is not None else found

    def forget(self, patterns: Collection[int]) -> int:
        """Drops all that is known of patterns; of how many something was."""
        known = 0
        for pattern in patterns:
            known += self._usual.pop(pattern, None) is not None or self._waiting.pop(pattern, None) is not None
            if self._track:
                self._gone[pattern] = None
            for one in self._sources.values():
                one.lasts.pop(pattern, None)
        return known

    def rhythm(self, pattern: int) -> Rhythm | None:
        """How a pattern comes, None where it has no row. About 5 us."""
        usual = self._usual.get(pattern)
        if usual is None:
            return None
        lasts = [one.lasts[pattern] for one in self._sources.values() if pattern in one.lasts]
        return Rhythm(
            usual.count + sum(last.n for last in lasts),
            usual.first,
            max([usual.last, *(last.moment for last in lasts)]),
            usual.middle(),
            usual.longest,
            tuple(usual.hours),
            max([usual.most, *(last.n for last in lasts)]),
        )

    def most_regular(self, k: int) -> list[tuple[int, Rhythm]]:
        """The patterns with a known rhythm whose longest gap is least beyond the usual one. Looks at all."""
        from heapq import nsmallest

        known = [one for one in self._usual.values() if one.patience() < inf]
        best = nsmallest(k, known, lambda one: (one.longest / max(one.middle(), 1e-9), one.key))
        return [(one.key, rhythm) for one in best if (rhythm := self.rhythm(one.key)) is not None]

    def changes(self) -> bytes:
        """What changed since the last call, for `replay`; nothing is b""."""
        if not (self._lasts or self._changed or self._met or self._gone or self._closed or self._touched):
            return b""
        for one, last in self._lasts:
            last.changed = False
            self._touched[one.name] = None
        sources = [self._sources[name] for name in self._touched if name in self._sources]
        lasts = [(one, last) for one, last in self._lasts if one.lasts.get(last.usual.key) is last]
        usual = [one for one in self._changed if self._usual.get(one.key) is one]
        packed = self._packed(
            list(self._gone), list(self._closed), [(key, self._waiting.get(key, 0)) for key in self._met],
            sources, usual, [pair for pair in lasts if self._sources.get(pair[0].name) is pair[0]],
        )  # fmt: skip
        for one in sources:
            one.anew = False
        for each in self._changed:
            each.changed = False
        for kept in (self._lasts, self._changed, self._met, self._gone, self._closed, self._touched):
            kept.clear()
        return packed

    def dump(self) -> bytes:
        """The whole table: about 410 bytes a pattern, 78 for each source in which it came, 850 a source."""
        sources = list(self._sources.values())
        return self._packed(
            [], [], list(self._waiting.items()), sources, list(self._usual.values()),
            [(one, last) for one in sources for last in one.lasts.values()],
        )  # fmt: skip

    @classmethod
    def load(cls, data: bytes, *, track: bool = False) -> RhythmTable:
        """The table of a dump. StoreCorrupt for bytes that are none."""
        table = cls(track=track)
        table.replay(data)
        return table

    def replay(self, changes: bytes) -> None:
        """Brings the table to where it was when these `changes` were asked for. StoreCorrupt where they say nothing."""
        try:
            if changes[:8] != _MAGIC or crc32(changes[12:]) != int.from_bytes(changes[8:12], "little"):
                raise ValueError("it is not whole")  # noqa: EM101
            self._unpack(memoryview(changes), 12)
        except (ValueError, KeyError, IndexError, OverflowError, struct.error) as error:
            message = f"rhythms cannot be read ({error})"
            raise StoreCorrupt(message) from error

    def _packed(
        self,
        gone: list[int],
        closed: list[str],
        waiting: list[tuple[int, int]],
        sources: list[Source],
        usual: list[Usual],
        lasts: list[tuple[Source, Last]],
    ) -> bytes:
        names = {one.name: place for place, one in enumerate(sources)}
        parts = [_HEAD.pack(self._turn, len(gone), len(closed), len(waiting), len(sources), len(usual), len(lasts))]
        parts.append(struct.pack(f"<{len(gone)}Q", *gone))
        parts += map(_name_packed, closed)
        parts += [struct.pack("<QB", *pair) for pair in waiting]
        for one in sources:
            numbers = one.moment, one.end, one.skipped, one.second, one.turn, one.quiet, one.anew
            parts += (_name_packed(one.name), _SOURCE_ROW.pack(*numbers), one.usual.packed())
        parts += [each.packed() for each in usual]
        parts += [
            _LAST_ROW.pack(
                names[one.name], last.usual.key, last.moment, last.clock, last.end, last.long, last.due, last.window,
                last.second, last.n, last.loud, last.silent,
            )
            for one, last in lasts
        ]  # fmt: skip
        return _sealed(b"".join(parts))

    def _unpack(self, data: memoryview, at: int) -> None:
        self._turn, n_gone, n_closed, n_waiting, n_sources, n_usual, n_lasts = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        for pattern in struct.unpack_from(f"<{n_gone}Q", data, at):
            self._usual.pop(pattern, None)
            self._waiting.pop(pattern, None)
            for one in self._sources.values():
                one.lasts.pop(pattern, None)
        at += 8 * n_gone
        for _ in range(n_closed):
            name, at = _name(data, at)
            self._sources.pop(name, None)
        for _ in range(n_waiting):
            pattern, number = struct.unpack_from("<QB", data, at)
            at += 9
            self._waiting.pop(pattern, None)
            if number:
                self._waiting[pattern] = number
        sources = []
        for _ in range(n_sources):
            name, at = _name(data, at)
            moment, end, skipped, second, turn, quiet, anew = _SOURCE_ROW.unpack_from(data, at)
            if not isfinite(moment + skipped):
                raise ValueError("no time")  # noqa: EM101
            one = self._sources.get(name) or Source(name, moment)
            self._sources[name] = one
            if anew:
                one.begin(moment)
            one.moment, one.end, one.skipped, one.second, one.turn = moment, end, skipped, second, turn
            one.quiet, one.anew = quiet, False
            at = one.usual.restore(data, at + _SOURCE_ROW.size)
            sources.append(one)
        for _ in range(n_usual):
            (key,) = _KEY.unpack_from(data, at)
            at = self._usual.setdefault(key, Usual(key, 0.0, GAPS)).restore(data, at)
        for each in _LAST_ROW.iter_unpack(data[at:]):
            place, pattern, moment, clock, end, long, due, window, second, n, loud, silent = each
            if not isfinite(moment + clock + window + long):
                raise ValueError("no time")  # noqa: EM101
            last = Last(self._usual[pattern], moment, clock, second)
            last.end, last.long, last.window, last.n, last.loud, last.silent = end, long, window, n, loud, silent
            sources[place].lasts[pattern] = last
            if due < inf:
                sources[place].wake(last, due)
            n_lasts -= 1
        if n_lasts:
            raise ValueError("it ends too early or too late")  # noqa: EM101

    def _source(self, source: str, moment: float) -> Source:
        name = bounded(source)
        one = self._sources.get(name)
        if one is None:
            if len(self._sources) >= _SOURCES:
                oldest = min(self._sources.values(), key=lambda one: one.turn)
                self._begin(oldest, oldest.moment)
                del self._sources[oldest.name]
                if self._track:
                    self._closed[oldest.name] = None
            one = self._sources[name] = Source(name, moment)
        return one

    def _begin(self, one: Source, moment: float) -> None:
        """Begins a source anew: no gap is measured from what came before."""
        for last in one.lasts.values():
            last.usual.close(last.n)
            self._mark(last.usual)
        one.begin(moment)
        self._touch(one)

    def _touch(self, one: Source) -> None:
        if self._track:
            self._touched[one.name] = None

    def _mark(self, usual: Usual) -> None:
        if not usual.changed:
            usual.changed = True
            if self._track:
                self._changed.append(usual)

    def _visit(self, one: Source, last: Last, moment: float, clock: float) -> None:
        """A pattern comes in a new second, or a new minute."""
        usual = last.usual
        usual.turn = self._turn
        self._mark(usual)
        if moment >= last.window + WINDOW or not last.n:
            if last.n:
                if last.n <= usual.limit or moment >= last.window + 2 * WINDOW:
                    last.loud = False
                usual.close(last.n)
            last.window = moment // WINDOW * WINDOW
            last.n = 0
            if moment >= usual.minute or moment < usual.minute - 60:
                usual.came(moment)
        pause = 1.0
        if last.end > -inf:
            gap = clock - last.clock
            longest = usual.longest
            burst = longest / BURST
            if gap >= burst or clock - last.long > 2 * longest:
                others: float = one.second - last.second
                if gap > longest:
                    gap = min(gap, usual.awake(last.moment, moment))
                    if last.silent:  # what was alarmed does not become usual at once
                        gap, others = min(gap, LEARNED * longest), min(others, LEARNED * usual.between)
                if gap >= burst:
                    last.long = clock
                usual.learn(gap, others)
                longest = usual.longest
            elif burst > 1.0:
                pause = burst  # what comes before it belongs to the burst too
            last.silent = False
            if usual.number >= KNOWN:
                due = SILENCE * longest
                due = clock + (due if due > SHORTEST else SHORTEST)
                if due < last.due:
                    one.wake(last, due)
        end = last.window + WINDOW
        last.end = end if end < moment + pause else moment + pause

    def _silences(self, one: Source, moment: float, clock: float) -> list[Alarm]:
        """The patterns that are silent for too long by now."""
        heap, lasts = one.heap, one.lasts
        alarms = []
        while heap and heap[0][0] <= clock:
            due, pattern = heappop(heap)
            last = lasts.get(pattern)
            if last is None or last.due != due:
                continue
            if not last.changed:
                last.changed = True
                if self._track:
                    self._lasts.append((one, last))
            usual = last.usual
            silent = clock - last.clock
            wait = max(SHORTEST, SILENCE * usual.longest) - silent  # at least
            if wait <= 0:
                wait = usual.patience() - min(silent, usual.awake(last.moment, moment))
            # the source goes on: others came at least as much as ever between two comings
            if wait <= 0 and one.second - last.second < max(OTHERS * usual.between, 1.0):
                wait = silent / 8  # a look at each input would cost
            last.due = inf
            if wait <= 0:
                last.silent = True
                alarms.append(
                    Alarm("silence", one.name, pattern, moment, last.moment, usual.middle(), moment - last.moment)
                )
            elif wait < inf:
                one.wake(last, max(clock + wait, nextafter(clock, inf)))
        one.due = heap[0][0] if heap else inf
        return alarms

    def _meet(self, one: Source, pattern: int, moment: float, clock: float) -> Last | None:
        """The row of a pattern that has none in this source yet, None where it has not come often enough."""
        self._touch(one)
        if not pattern:
            return None
        usual = self._usual.get(pattern)
        self._turn += 1
        if usual is None:
            waiting = self._waiting
            number = waiting.pop(pattern, 0) + 1
            if self._track:
                self._met[pattern] = None
                self._met.move_to_end(pattern)
            if number < _COMINGS:
                waiting[pattern] = number
                if len(waiting) > _WAITING:
                    dropped, _ = waiting.popitem(last=False)
                    if self._track:
                        self._met[dropped] = None
                return None
            if len(self._usual) >= _PATTERNS:
                oldest = sorted((usual.turn, key) for key, usual in self._usual.items())[: _PATTERNS // 8]
                self.forget([key for _, key in oldest])
            usual = self._usual[pattern] = Usual(pattern, moment, GAPS)
            usual.count = number - 1
        if sum(len(each.lasts) for each in self._sources.values()) >= _LASTS:
            others = [each for each in self._sources.values() if each is not one and each.lasts]
            longest = min(others, key=lambda each: each.turn)
            self._begin(longest, longest.moment)
        last = one.lasts[pattern] = Last(usual, moment, clock, one.second)
        return last


def _sealed(body: bytes) -> bytes:
    return b"".join((_MAGIC, crc32(body).to_bytes(4, "little"), body))


def _name_packed(name: str) -> bytes:
    text = name.encode("utf-8", "surrogatepass")
    return len(text).to_bytes(2, "little") + text


def _name(data: memoryview, at: int) -> tuple[str, int]:
    end = at + 2 + int.from_bytes(data[at : at + 2], "little")
    return str(data[at + 2 : end], "utf-8", "surrogatepass"), end
