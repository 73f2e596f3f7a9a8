# Over 600 lines: one algorithm, written once more as plainly as it can be.
"""Rhythms in plain Python: `sophia._core.rhythm` says the same to the last bit, in alarms and in bytes."""

from __future__ import annotations

import struct
from array import array
from collections import OrderedDict
from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush, nsmallest
from math import inf, nextafter
from zlib import crc32

from sophia._core.rhythm import Alarm, Rhythm
from sophia.errors import StoreCorrupt
from sophia.names import bounded

__all__ = ["RhythmTable"]

# The last gaps that say what is usual: of a pattern, of a source.
GAPS = 16
SOURCE_GAPS = 64
# A rhythm is known after so many gaps ...
KNOWN = 8
# ... and so many seconds from first to last: eight lines of one burst are no rhythm.
SPAN = 3600.0
# Silence is longer than the longest gap times this, ...
SILENCE = 3.0
# ... times how far the longest is beyond the fourth longest: gaps of a heavy tail are usual.
TAIL = 4
# ... and longer than this times the longest that was no alarm, of which a 256th is forgotten with each gap.
PEAK = 2.0
FORGET = 1 / 256
# Other seconds of the source that said something meanwhile, by the most that did so between two comings.
OTHERS = 1.0
# No silence, in seconds, is shorter than this.
SHORTEST = 60.0
# A gap shorter than the longest by this belongs to a burst, until no longer one came for twice the longest.
BURST = 16.0
# The time of the patterns of a source stands still in a pause, but for its longest gap times this; if quiet, times 1.
PAUSE = 4.0
# A gap that was alarmed is learned as the longest times this.
LEARNED = 4.0
# A source is quiet after its longest gap (and tail) times this, and so many seconds.
QUIET = 4.0
QUIET_SHORTEST = 600.0
# A source remembers a gap for so many times its length: one night until the next.
MEMORY = 8.0
REMEMBERED = 3 * 86400.0  # at most
NIGHT = 1.5  # a gap is no news within the remembered one times this
# Hours of the day are known after so many days; usual ones hold at least this part of all.
DAYS = 4
PART = 0.005

# Too often is the most in a minute times this, and more than the floor, once it came in so many minutes.
WINDOW = 60.0
RATE = 3.0
RATE_FLOOR = 9
WINDOWS = 16

# Seconds that inputs may be out of order.
TOLERANCE = 120.0
# What is further back, or further ahead than this, counts once so many in a row agree: one wrong date moves no source.
AHEAD = 32 * 86400.0
HELD = 3
# A clock that was put back by no more goes over hours that were heard before; what is further back begins anew.
BACK = 7200.0
FURTHEST = 1e15  # seconds before or after 1970
LONGEST = 1e12

_PATTERNS = 4096
_SOURCES = 64
# Lasts of all patterns in all sources; over it the source that was silent longest begins anew. About 350 bytes each.
_LASTS = 4 * _PATTERNS
# A pattern gets a row when it comes for the third time; so many others wait for that.
_COMINGS = 3
_WAITING = 4096

_MAGIC = b"SophRhy2"
_HEAD = struct.Struct("<Q6I")
_SOURCE_ROW = struct.Struct("<5d2QB?")
_LAST_ROW = struct.Struct("<HQ6dQQ??")
_KEY = struct.Struct("<Q")
_USUAL = struct.Struct("<QQ5d4QqQ24Q")


class Usual:
    """What is usual of a pattern in all sources, or of one source."""

    __slots__ = (
        "between", "changed", "count", "day", "days", "first", "gaps", "hours", "key", "last", "limit", "longest",
        "minute", "most", "number", "others", "peak", "reach", "turn", "walls", "windows",
    )  # fmt: skip

    def __init__(self, key: int, moment: float, size: int) -> None:
        self.key = key
        self.count = 0  # but for windows that are open
        self.first = self.last = moment
        self.gaps = array("f", bytes(4 * size))  # a ring, of `number` gaps in all, once known in usual hours alone
        self.others = array("f", bytes(4 * size))  # seconds of the source in between that said something
        self.walls = array("f", bytes(4 * size))  # the gaps as a calendar has them
        self.number = 0
        self.longest = self.between = 0.0  # the most in the rings
        self.peak = 0.0  # see `PEAK`
        self.reach = -inf  # the longest gap that is remembered, see `MEMORY`
        self.most = self.windows = 0
        self.limit: float = inf  # of a window
        self.hours = [0] * 24
        self.days = self.day = 0
        self.minute = -inf  # the last one in which it came ended
        self.turn = 0
        self.changed = False

    def learn(self, gap: float, others: float, wall: float, alarmed: bool) -> None:
        """One more gap."""
        gaps, counts = self.gaps, self.others
        place = self.number % len(gaps)
        old, old_others = gaps[place], counts[place]
        gaps[place] = gap if gap < LONGEST else LONGEST
        counts[place] = others
        self.walls[place] = wall if wall < LONGEST else LONGEST
        if not alarmed and self.number > KNOWN:
            self.peak = max(self.peak - FORGET * self.peak, gaps[place])
        self.number += 1
        if gap >= self.longest:
            self.longest = gaps[place]
        elif old >= self.longest:
            self.longest = max(gaps)
        if others >= self.between:
            self.between = counts[place]
        elif old_others >= self.between:
            self.between = max(counts)

    def came(self, moment: float) -> None:
        """It came in one more minute."""
        minute = moment // 60
        self.minute = 60 * minute + 60
        hour = int(minute // 60)
        self.hours[hour % 24] += 1
        day = hour // 24
        if day > self.day or day + 1 < self.day or not self.days:  # what is a day late is no other day
            self.day = day
            self.days += 1
            if self.days == DAYS and self.partly():
                self.number = 0  # from now on gaps count in these hours
                self.longest = self.between = self.peak = 0.0
                for ring in (self.gaps, self.others, self.walls):
                    ring[:] = array("f", bytes(4 * len(ring)))
        if moment > self.last:
            self.last = moment
        elif moment < self.first:
            self.first = moment

    def close(self, number: int) -> None:
        """A minute with so many is over. What was too many is learned as the most that would not have been."""
        self.count += number
        self.windows += 1
        if number > self.most:
            self.most = int(min(number, self.limit))
            self.set_limit()
        elif self.windows == WINDOWS:
            self.set_limit()

    def set_limit(self) -> None:
        self.limit = max(RATE_FLOOR, RATE * self.most) if self.windows >= WINDOWS else inf

    def middle(self) -> float:
        """Its median gap, 0 without any."""
        walls = sorted(self.walls[: self.number])
        return walls[len(walls) // 2] if walls else 0.0

    def patience(self) -> float:
        """Seconds after which it is silent; infinite while that is not known."""
        if self.number < KNOWN or self.last - self.first < SPAN:
            return inf
        gaps = sorted(self.gaps[: self.number])
        tail = gaps[-1] / max(gaps[-TAIL], 1e-3 * gaps[-1], 1e-9)
        return max(SHORTEST, SILENCE * gaps[-1] * tail, PEAK * self.peak)

    def partly(self) -> bool:
        """Whether there are hours of the day in which it does not come; not known in the first days."""
        return self.days >= DAYS and min(self.hours) < PART * sum(self.hours)

    def awake(self, since: float, moment: float) -> float:
        """Seconds of a time that lie in usual hours, all while those are not known."""
        seconds = moment - since
        if seconds <= 0 or not self.partly():
            return seconds
        least = PART * sum(self.hours)
        usual = [number >= least for number in self.hours]
        days, rest = divmod(seconds, 86400.0)
        total = days * 3600.0 * sum(usual)
        at = moment - rest
        while at < moment:
            hour = at // 3600
            until = min((hour + 1) * 3600.0, moment)
            if until <= at:  # so far away that seconds are not told apart
                break
            if usual[int(hour) % 24]:
                total += until - at
            at = until
        return total

    def packed(self) -> bytes:
        numbers = (
            self.key, self.count, self.first, self.last, self.minute, self.reach, self.peak,
            self.number, self.most, self.windows, self.days, self.day, self.turn, *self.hours,
        )  # fmt: skip
        size = len(self.gaps)
        return _USUAL.pack(*numbers) + struct.pack(f"<{3 * size}f", *self.gaps, *self.others, *self.walls)

    def restore(self, data: memoryview, at: int) -> int:
        """Takes what was packed; where it ends."""
        (
            self.key, self.count, self.first, self.last, self.minute, self.reach, self.peak,
            self.number, self.most, self.windows, self.days, self.day, self.turn, *self.hours,
        ) = _USUAL.unpack_from(data, at)  # fmt: skip
        size = len(self.gaps)
        rings = array("f", struct.unpack_from(f"<{3 * size}f", data, at + _USUAL.size))
        self.gaps, self.others, self.walls = rings[:size], rings[size : 2 * size], rings[2 * size :]
        self.longest, self.between = max(self.gaps), max(self.others)
        self.set_limit()
        return at + _USUAL.size + 12 * size


class Last:
    """The last coming of a pattern in a source."""

    __slots__ = ("changed", "clock", "due", "end", "long", "loud", "moment", "n", "second", "silent", "usual", "window")

    def __init__(self, usual: Usual, moment: float, clock: float, second: int) -> None:
        self.usual = usual
        self.moment = moment
        self.clock = clock  # of its source
        self.second = second  # of its source
        self.end = -inf  # what comes before it needs no thought
        self.long = clock  # the last gap that was of no burst ended
        self.due: float = inf  # when its silence is looked at, by the clock
        self.window = moment  # the minute began
        self.n = 0
        self.loud = self.silent = self.changed = False


class Source:
    """An input with a clock of its own: its event time without what was unusually long."""

    __slots__ = (
        "anew", "due", "end", "heap", "held", "holds", "lasts", "moment", "name", "second", "skipped", "turn", "usual",
        "was",
    )  # fmt: skip

    def __init__(self, name: str, moment: float) -> None:
        self.name = name
        self.usual = Usual(0, moment, SOURCE_GAPS)
        self.moment = moment
        self.begin(moment)
        self.turn = 0

    def begin(self, moment: float) -> None:
        """Begins anew: what was usual stays."""
        self.usual.reach += (moment - self.moment) / MEMORY  # as far behind as before
        self.moment = moment
        self.end = -inf
        self.was = -inf  # what comes before it was heard before
        self.held = moment  # an event time that is too far away, for now; `holds` in a row agree
        self.holds = 0
        self.skipped = 0.0
        self.second = 0  # how many seconds said something
        self.lasts: dict[int, Last] = {}
        self.heap: list[tuple[float, int]] = []
        self.due: float = inf
        self.anew = True

    def going(self, gap: float) -> float:
        """How much of a gap counts for its patterns."""
        longest = self.usual.longest
        return min(gap, max(1.0, longest if gap > QUIET_SHORTEST else PAUSE * longest))

    def pass_to(self, moment: float) -> Alarm | None:
        """An input comes in a new second; the alarm where nothing was said for too long before."""
        usual, quiet = self.usual, None
        since = max(self.moment, min(self.was, moment))
        if self.end > -inf and since > self.moment:
            self.skipped += since - self.moment
        if self.end > -inf and since < moment:
            gap = learned = moment - since
            known = usual.number >= KNOWN
            if gap > QUIET_SHORTEST and gap > usual.longest:
                quiet = self.find_quiet(since, moment)
                learned = usual.awake(since, moment)
                if quiet is not None:
                    learned = min(learned, QUIET / SILENCE * usual.patience())
                if usual.days < DAYS:
                    usual.reach = max(usual.reach, min(gap, REMEMBERED) + moment / MEMORY)
            if gap > usual.longest and known:
                self.skipped += gap - self.going(gap)
            usual.learn(learned, 0.0, gap, quiet is not None)
        self.second += 1
        self.end = moment + 1.0
        if moment >= usual.minute or moment < usual.minute - 60:
            usual.came(moment)
        return quiet

    def off(self, moment: float) -> bool:
        """Whether an input is too far away from the others to be believed, unless those before it agree."""
        if self.moment - TOLERANCE <= moment <= self.moment + AHEAD:
            self.holds = 0
            return False
        agrees = self.holds and abs(moment - self.held) <= abs(moment - self.moment)
        self.holds = self.holds + 1 if agrees else 1
        self.held = moment
        if self.holds < HELD:
            return True
        self.holds = 0
        return False

    def put_back(self, moment: float) -> None:
        """The clock goes back, and stands still until it is where it was."""
        step = moment - self.moment
        self.was = max(self.was, self.moment)
        self.skipped += step
        self.moment = self.end = moment
        for last in self.lasts.values():
            last.moment += step
            last.window += step
            last.end += step

    def find_quiet(self, since: float, moment: float) -> Alarm | None:
        """The alarm where nothing was said for too long by now."""
        gap, usual = moment - since, self.usual
        if gap <= QUIET_SHORTEST:
            return None
        patience = max(QUIET_SHORTEST, QUIET * usual.patience() / SILENCE)
        if usual.days < DAYS:
            patience = max(patience, NIGHT * (usual.reach - moment / MEMORY))
        if usual.awake(since, moment) <= patience:
            return None
        return Alarm("quiet", self.name, 0, moment, since, usual.middle(), gap)

    def wake(self, last: Last, due: float) -> None:
        """Looks at a silence at a time of the clock."""
        heap = self.heap
        if len(heap) > 2 * len(self.lasts) + 64:
            heap[:] = [(one.due, key) for key, one in self.lasts.items() if one.due < inf and one is not last]
            heapify(heap)
        last.due = due
        heappush(heap, (due, last.usual.key))
        self.due = heap[0][0]


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
        if not -FURTHEST < moment < FURTHEST:
            raise ValueError(moment)
        one = self._sources.get(source)
        alarms: list[Alarm] | None = None
        if one is None:
            one = self._source(source, moment)
        if moment >= one.end or moment < one.moment or one.holds:
            if one.off(moment):
                self._touch(one)
                return ()
            if moment < one.moment:
                if moment >= one.moment - TOLERANCE:
                    moment = one.moment  # a little out of order
                elif moment >= one.moment - BACK:
                    one.put_back(moment)
                    self._touch(one)
                    for last in one.lasts.values():
                        self._keep(one, last)
                else:
                    self._begin(one, moment)
            elif moment > one.moment + AHEAD and one.usual.number < KNOWN:
                self._begin(one, moment)  # a first date that was wrong
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
            self._keep(one, last)
        if clock >= one.due:
            found = self._silences(one, moment, clock)
            if found and alarming:
                alarms = alarms + found if alarms else found
        return alarms or ()

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
            max(usual.walls),
            tuple(usual.hours),
            max([usual.most, *(last.n for last in lasts)]),
        )

    def most_regular(self, k: int) -> list[tuple[int, Rhythm]]:
        """The patterns with a known rhythm whose longest gap is least beyond the usual one. Looks at all."""
        known = [one for one in self._usual.values() if one.patience() < inf]
        best = nsmallest(k, known, lambda one: (max(one.walls) / max(one.middle(), 1e-9), one.key))
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
                raise ValueError("it is not whole")
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
            numbers = one.moment, one.end, one.skipped, one.held, one.was, one.second, one.turn, one.holds, one.anew
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
            moment, end, skipped, held, was, second, turn, holds, anew = _SOURCE_ROW.unpack_from(data, at)
            if not abs(moment) + abs(skipped) < 4 * FURTHEST:
                raise ValueError("no time")
            one = self._sources.get(name) or Source(name, moment)
            self._sources[name] = one
            if anew:
                one.begin(moment)
            one.moment, one.end, one.skipped, one.second, one.turn = moment, end, skipped, second, turn
            one.held, one.was, one.holds, one.anew = held, was, holds, False
            at = one.usual.restore(data, at + _SOURCE_ROW.size)
            sources.append(one)
        for _ in range(n_usual):
            (key,) = _KEY.unpack_from(data, at)
            at = self._usual.setdefault(key, Usual(key, 0.0, GAPS)).restore(data, at)
        for each in _LAST_ROW.iter_unpack(data[at:]):
            place, pattern, moment, clock, end, long, due, window, second, n, loud, silent = each
            if not abs(moment) + abs(clock) + abs(window) + abs(long) < 9 * FURTHEST:
                raise ValueError("no time")
            last = Last(self._usual[pattern], moment, clock, second)
            last.end, last.long, last.window, last.n, last.loud, last.silent = end, long, window, n, loud, silent
            sources[place].lasts[pattern] = last
            if due < inf:
                sources[place].wake(last, due)
            n_lasts -= 1
        if n_lasts:
            raise ValueError("it ends too early or too late")
        total = sum(len(one.lasts) for one in self._sources.values())
        if len(self._usual) > _PATTERNS or len(self._sources) > _SOURCES or total > _LASTS:
            raise ValueError("there are too many")

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

    def _keep(self, one: Source, last: Last) -> None:
        if not last.changed:
            last.changed = True
            if self._track:
                self._lasts.append((one, last))

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
                usual.learn(gap, others, moment - last.moment, last.silent)
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
            self._keep(one, last)
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
            if others:
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
    if end > len(data):
        raise ValueError("it is cut off")
    return str(data[at + 2 : end], "utf-8", "surrogatepass"), end
