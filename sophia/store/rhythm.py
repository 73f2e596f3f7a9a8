"""What is usual of a pattern or a source: its gaps, hours and minutes, and the rules by which it falls silent."""

from __future__ import annotations

import struct
from array import array
from heapq import heapify, heappush
from math import inf
from typing import NamedTuple

__all__ = ["Alarm", "Last", "Rhythm", "Source", "Usual"]

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

# Seconds that inputs may be out of order. What is further back begins its source anew.
TOLERANCE = 120.0
LONGEST = 1e12

_USUAL = struct.Struct("<QQ4d4QqQ24Q")


class Alarm(NamedTuple):
    """Something that came too seldom or too often.

    `kind` is "silence" (of a pattern, while others of its source came), "quiet" (of a whole source; `pattern` is 0) or
    "rate". `at` is when it was noticed, `since` when it came last, or when the minute began; both in event time,
    seconds since 1970. `usual` is the usual gap in seconds, or the largest usual number in a minute; `found` the gap
    so far, or the number so far. `n` is the number of the input at which it was noticed, where somebody counts them,
    `template` what its pattern looked like then, where somebody knows.
    """

    kind: str
    source: str
    pattern: int
    at: float
    since: float
    usual: float
    found: float
    n: int = 0
    template: str | None = None


class Rhythm(NamedTuple):
    """How often a pattern comes: its number, first and last event time, the median and the longest of its last 16
    gaps in seconds (0 where it has none), minutes in which it came by hour of the day (UTC), and its largest number
    in a minute."""

    comings: int
    first: float
    last: float
    gap: float
    longest: float
    hours: tuple[int, ...]
    most: int


class Usual:
    """What is usual of a pattern in all sources, or of one source."""

    __slots__ = (
        "between", "changed", "count", "day", "days", "first", "gaps", "hours", "key", "last", "limit", "longest",
        "minute", "most", "number", "others", "reach", "turn", "windows",
    )  # fmt: skip

    def __init__(self, key: int, moment: float, size: int) -> None:
        self.key = key
        self.count = 0  # but for windows that are open
        self.first = self.last = moment
        self.gaps = array("f", bytes(4 * size))  # a ring, of `number` gaps in all
        self.others = array("f", bytes(4 * size))  # seconds of the source in between that said something
        self.number = 0
        self.longest = self.between = 0.0  # the most in the rings
        self.reach = -inf  # the longest gap that is remembered, see `MEMORY`
        self.most = self.windows = 0
        self.limit: float = inf  # of a window
        self.hours = [0] * 24
        self.days = self.day = 0
        self.minute = -inf  # the last one in which it came ended
        self.turn = 0
        self.changed = False

    def learn(self, gap: float, others: float) -> None:
        """One more gap."""
        gaps, counts = self.gaps, self.others
        place = self.number % len(gaps)
        old, old_others = gaps[place], counts[place]
        gaps[place] = gap if gap < LONGEST else LONGEST
        counts[place] = others
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
        if hour // 24 > self.day or not self.days:  # sources may be in different years
            self.day = hour // 24
            self.days += 1
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
        gaps = sorted(self.gaps[: self.number])
        return gaps[len(gaps) // 2] if gaps else 0.0

    def patience(self) -> float:
        """Seconds after which it is silent; infinite while that is not known."""
        if self.number < KNOWN or self.last - self.first < SPAN:
            return inf
        gaps = sorted(self.gaps[: self.number])
        return max(SHORTEST, SILENCE * gaps[-1] * (gaps[-1] / max(gaps[-TAIL], 1e-3 * gaps[-1], 1e-9)))

    def awake(self, since: float, moment: float) -> float:
        """Seconds of a time that lie in usual hours, all while those are not known."""
        seconds = moment - since
        if self.days < DAYS or seconds <= 0 or min(self.hours) >= PART * sum(self.hours):
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
            self.key, self.count, self.first, self.last, self.minute, self.reach,
            self.number, self.most, self.windows, self.days, self.day, self.turn, *self.hours,
        )  # fmt: skip
        size = len(self.gaps)
        return _USUAL.pack(*numbers) + struct.pack(f"<{2 * size}f", *self.gaps, *self.others)

    def restore(self, data: memoryview, at: int) -> int:
        """Takes what was packed; where it ends."""
        (
            self.key, self.count, self.first, self.last, self.minute, self.reach,
            self.number, self.most, self.windows, self.days, self.day, self.turn, *self.hours,
        ) = _USUAL.unpack_from(data, at)  # fmt: skip
        size = len(self.gaps)
        rings = struct.unpack_from(f"<{2 * size}f", data, at + _USUAL.size)
        self.gaps, self.others = array("f", rings[:size]), array("f", rings[size:])
        self.longest, self.between = max(self.gaps), max(self.others)
        self.set_limit()
        return at + _USUAL.size + 8 * size


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
        "anew", "due", "end", "heap", "lasts", "moment", "name", "quiet", "second", "skipped", "turn", "usual",
    )  # fmt: skip

    def __init__(self, name: str, moment: float) -> None:
        self.name = name
        self.usual = Usual(0, moment, SOURCE_GAPS)
        self.begin(moment)
        self.turn = 0

    def begin(self, moment: float) -> None:
        """Begins anew: what was usual stays."""
        self.moment = moment
        self.end = -inf
        self.skipped = 0.0
        self.second = 0  # how many seconds said something
        self.quiet = False
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
        if self.end > -inf:
            gap = learned = moment - self.moment
            known = usual.number >= KNOWN
            if gap > QUIET_SHORTEST and gap > usual.longest:
                quiet = self.find_quiet(moment)
                learned = min(usual.awake(self.moment, moment), QUIET / SILENCE * usual.patience())
                if usual.days < DAYS:
                    usual.reach = max(usual.reach, min(gap, REMEMBERED) + moment / MEMORY)
            if gap > usual.longest and known:
                self.skipped += gap - self.going(gap)
            usual.learn(learned, 0.0)
        self.quiet = False
        self.second += 1
        self.end = moment + 1.0
        if moment >= usual.minute or moment < usual.minute - 60:
            usual.came(moment)
        return quiet

    def find_quiet(self, moment: float) -> Alarm | None:
        """The alarm where nothing was said for too long by now, once."""
        gap, usual = moment - self.moment, self.usual
        if self.quiet or gap <= QUIET_SHORTEST:
            return None
        patience = max(QUIET_SHORTEST, QUIET * usual.patience() / SILENCE)
        if usual.days < DAYS:
            patience = max(patience, NIGHT * (usual.reach - moment / MEMORY))
        if usual.awake(self.moment, moment) <= patience:
            return None
        self.quiet = True
        return Alarm("quiet", self.name, 0, moment, self.moment, usual.middle(), gap)

    def wake(self, last: Last, due: float) -> None:
        """Looks at a silence at a time of the clock."""
        heap = self.heap
        if len(heap) > 2 * len(self.lasts) + 64:
            heap[:] = [(one.due, key) for key, one in self.lasts.items() if one.due < inf and one is not last]
            heapify(heap)
        last.due = due
        heappush(heap, (due, last.usual.key))
        self.due = heap[0][0]
