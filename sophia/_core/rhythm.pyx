# cython: auto_pickle=False
# Over 600 lines: what is usual, the clocks of sources and the table of both read each other's fields.
"""Rhythms: how often the patterns of each source usually come; alarms where one falls silent or comes far too often.

A `RhythmTable` learns from what comes, at its event time: the gaps, hours and minutes of each pattern. By these it
falls silent, or comes too often. It is bounded, and can say what has changed.

Floats are doubles with Python's meaning of // throughout, rings of gaps are floats: what a table says follows from its
inputs alone, and a plain Python table (tests/oracle/rhythm.py) says the same to the last bit.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Realloc
from libc.math cimport INFINITY, fabs, floor, fmod, nextafter
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import struct
from collections import OrderedDict
from heapq import nsmallest
from operator import index
from typing import NamedTuple
from zlib import crc32

from sophia.errors import StoreCorrupt
from sophia.names import bounded


cdef enum:
    _GAPS = 16          # the last gaps that say what is usual of a pattern: a power of two
    _SOURCE_GAPS = 64   # and of a source
    _KNOWN = 8          # a rhythm is known after so many gaps, and _SPAN
    _TAIL = 4           # see _SILENCE
    _DAYS = 4           # hours of the day are known after so many days
    _WINDOWS = 16       # what is too often is known once it came in so many minutes
    _COMINGS = 3        # a pattern gets a row when it comes for this time
    _HELD = 3           # see _AHEAD
    _SLACK = 64         # deadlines that no longer hold, beside as many as two for each pattern

# Seconds from the first to the last coming of a known rhythm: eight lines of one burst are no rhythm.
cdef double _SPAN = 3600.0
# Silence is longer than the longest gap times this, times how far the longest is beyond the fourth longest (_TAIL):
# gaps of a heavy tail are usual, ...
cdef double _SILENCE = 3.0
# ... and longer than this times the longest that was no alarm, of which a 256th is forgotten with each gap.
cdef double _PEAK = 2.0
cdef double _FORGET = 1 / 256
# Other seconds of the source that said something meanwhile, by the most that did so between two comings.
cdef double _OTHERS = 1.0
# No silence, in seconds, is shorter than this.
cdef double _SHORTEST = 60.0
# A gap shorter than the longest by this belongs to a burst, until no longer one came for twice the longest.
cdef double _BURST = 16.0
# The time of the patterns of a source stands still in a pause, but for its longest gap times this; if quiet, times 1.
cdef double _PAUSE = 4.0
# A gap that was alarmed is learned as the longest times this.
cdef double _LEARNED = 4.0
# A source is quiet after its longest gap (and tail) times this, and so many seconds.
cdef double _QUIET = 4.0
cdef double _QUIET_SHORTEST = 600.0
# A source remembers a gap for so many times its length: one night until the next.
cdef double _MEMORY = 8.0
cdef double _REMEMBERED = 3 * 86400.0  # at most
cdef double _NIGHT = 1.5  # a gap is no news within the remembered one times this
# Usual hours of the day hold at least this part of all.
cdef double _PART = 0.005
# Too often is the most in a minute times this, and more than the floor.
cdef double _WINDOW = 60.0
cdef double _RATE = 3.0
cdef double _RATE_FLOOR = 9.0
# Seconds that inputs may be out of order.
cdef double _TOLERANCE = 120.0
# What is further back, or further ahead than this, counts once so many in a row agree (_HELD): one wrong date moves no
# source.
cdef double _AHEAD = 32 * 86400.0
# A clock that was put back by no more goes over hours that were heard before; what is further back begins anew.
cdef double _BACK = 7200.0
cdef double _FURTHEST = 1e15  # seconds before or after 1970
cdef double _LONGEST = 1e12

# Python's numbers, as tests set smaller ones; looked at only where a row is made.
_PATTERNS = 4096
_SOURCES = 64
# Lasts of all patterns in all sources; over it the source that was silent longest begins anew. About 250 bytes each.
_LASTS = 4 * _PATTERNS
# So many patterns without a row wait for one.
_WAITING = 4096

_MAGIC = b"SophRhy2"
_HEAD = struct.Struct("<Q6I")
_SOURCE_ROW = struct.Struct("<5d2QB?")


cdef packed struct sophia_last_row:  # as it lies in a dump
    uint16_t place  # of its source
    uint64_t key
    double moment
    double clock
    double end
    double gap_end
    double due
    double window
    uint64_t second
    uint64_t n
    uint8_t loud
    uint8_t silent


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
    """How often a pattern comes: its number, the event times at which it came for the third and for the last time, the
    median and the longest of its last 16 gaps in seconds (0 where it has none; anew after four days, where it does not
    come at all hours), minutes in which it came by hour of the day (UTC), and its largest number
    in a minute."""

    comings: int
    first: float
    last: float
    gap: float
    longest: float
    hours: tuple[int, ...]
    most: int


cdef inline double _floor_divide(double x, double by) noexcept:
    """x // by as Python has it, for an x below 2**52 and a `by` that is a whole number above 0. fmod is slow."""
    cdef double whole = floor(x / by)
    if whole * by > x:
        whole -= 1
    elif (whole + 1) * by <= x:
        whole += 1
    return whole


cdef inline double _most(const float *values, int size) noexcept:
    cdef float most = values[0]
    cdef int i
    for i in range(1, size):
        if values[i] > most:
            most = values[i]
    return most


# No cycle goes through these two, and there may be thousands: the collector need not look at them.
@cython.final
@cython.no_gc
cdef class _Usual:
    def __dealloc__(self):
        PyMem_Free(self.rings)

    cdef void learn(self, double gap, double others, double wall, bint alarmed) noexcept:
        """One more gap."""
        cdef int place = <int>(self.row.number & <uint64_t>(self.size - 1))
        cdef float *gaps = self.rings
        cdef float *counts = self.rings + self.size
        cdef float old = gaps[place], old_others = counts[place]
        cdef double peak = self.row.peak - _FORGET * self.row.peak
        gaps[place] = <float>(gap if gap < _LONGEST else _LONGEST)
        counts[place] = <float>others
        self.rings[2 * self.size + place] = <float>(wall if wall < _LONGEST else _LONGEST)
        if not alarmed and self.row.number > _KNOWN:
            self.row.peak = gaps[place] if gaps[place] > peak else peak
        self.row.number += 1
        if gap >= self.longest:
            self.longest = gaps[place]
        elif old >= self.longest:
            self.longest = _most(gaps, self.size)
        if others >= self.between:
            self.between = counts[place]
        elif old_others >= self.between:
            self.between = _most(counts, self.size)

    cdef void came(self, double moment) noexcept:
        """It came in one more minute."""
        cdef double minute = _floor_divide(moment, 60.0)
        cdef int64_t hour = <int64_t>_floor_divide(minute, 60.0)
        cdef int64_t day = <int64_t>_floor_divide(<double>hour, 24.0)
        self.row.minute = 60 * minute + 60
        self.row.hours[hour - 24 * day] += 1
        if day > self.row.day or day + 1 < self.row.day or not self.row.days:  # what is a day late is no other day
            self.row.day = day
            self.row.days += 1
            if self.row.days == _DAYS and self.partly():  # from now on gaps count in these hours
                self.row.number = 0
                self.longest = self.between = self.row.peak = 0.0
                memset(self.rings, 0, 3 * self.size * sizeof(float))
        if moment > self.row.last:
            self.row.last = moment
        elif moment < self.row.first:
            self.row.first = moment

    cdef void close(self, uint64_t number) noexcept:
        """A minute with so many is over. What was too many is learned as the most that would not have been."""
        self.row.count += number
        self.row.windows += 1
        if number > self.row.most:
            self.row.most = <uint64_t>self.limit if self.limit < <double>number else number
            self.set_limit()
        elif self.row.windows == _WINDOWS:
            self.set_limit()

    cdef void set_limit(self) noexcept:
        cdef double limit = _RATE * <double>self.row.most
        if self.row.windows < _WINDOWS:
            self.limit = INFINITY
        else:
            self.limit = limit if limit > _RATE_FLOOR else _RATE_FLOOR

    cdef double middle(self) noexcept:
        """Its median gap, 0 without any. About 2 us for a source, less for a pattern."""
        cdef int size = self.size if self.row.number > <uint64_t>self.size else <int>self.row.number
        cdef float ordered[_SOURCE_GAPS]
        cdef float gap
        cdef int i, j
        if size == 0:
            return 0.0
        for i in range(size):
            gap = self.rings[2 * self.size + i]
            j = i
            while j > 0 and ordered[j - 1] > gap:
                ordered[j] = ordered[j - 1]
                j -= 1
            ordered[j] = gap
        return ordered[size >> 1]

    cdef double patience(self) noexcept:
        """Seconds after which it is silent; infinite while that is not known."""
        cdef int size = self.size if self.row.number > <uint64_t>self.size else <int>self.row.number
        cdef float top[_TAIL]  # the longest first
        cdef float gap
        cdef double longest, tail, silence
        cdef int i, j
        if self.row.number < _KNOWN or self.row.last - self.row.first < _SPAN:
            return INFINITY
        for i in range(_TAIL):
            top[i] = -INFINITY
        for i in range(size):
            gap = self.rings[i]
            if gap > top[_TAIL - 1]:
                j = _TAIL - 1
                while j > 0 and gap > top[j - 1]:
                    top[j] = top[j - 1]
                    j -= 1
                top[j] = gap
        longest, tail = top[0], top[_TAIL - 1]
        if 1e-3 * longest > tail:
            tail = 1e-3 * longest
        if 1e-9 > tail:
            tail = 1e-9
        silence = _SILENCE * longest * (longest / tail)
        if not silence > _SHORTEST:
            silence = _SHORTEST
        return silence if silence >= _PEAK * self.row.peak else _PEAK * self.row.peak

    cdef bint partly(self) noexcept:
        """Whether there are hours of the day in which it does not come; not known in the first days."""
        cdef uint64_t fewest = self.row.hours[0], total = 0
        cdef int place
        if self.row.days < _DAYS:
            return False
        for place in range(24):
            total += self.row.hours[place]
            if self.row.hours[place] < fewest:
                fewest = self.row.hours[place]
        return <double>fewest < _PART * <double>total

    cdef double awake(self, double since, double moment) noexcept:
        """Seconds of a time that lie in usual hours, all while those are not known. About 0.2 us where they are."""
        cdef double seconds = moment - since, least, at, until, rest, days, hour, total
        cdef uint64_t all_hours = 0
        cdef bint usual[24]
        cdef int place, number = 0
        if seconds <= 0 or not self.partly():
            return seconds
        for place in range(24):
            all_hours += self.row.hours[place]
        least = _PART * <double>all_hours
        for place in range(24):
            usual[place] = <double>self.row.hours[place] >= least
            number += usual[place]
        days, rest = _floor_divide(seconds, 86400.0), fmod(seconds, 86400.0)
        total = days * 3600.0 * number
        at = moment - rest
        while at < moment:
            hour = _floor_divide(at, 3600.0)
            until = (hour + 1) * 3600.0
            if moment < until:
                until = moment
            if until <= at:  # so far away that seconds are not told apart
                break
            place = <int>fmod(hour, 24.0)
            if usual[place + 24 if place < 0 else place]:
                total += until - at
            at = until
        return total

    def packed(self):
        """Its row in a dump, as bytes."""
        cdef Py_ssize_t rings = 3 * self.size * <Py_ssize_t>sizeof(float)
        cdef bytes data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>sizeof(sophia_usual) + rings)
        memcpy(PyBytes_AS_STRING(data), &self.row, sizeof(sophia_usual))
        memcpy(PyBytes_AS_STRING(data) + sizeof(sophia_usual), self.rings, rings)
        return data

    cdef void restore(self, const char *data) noexcept:
        """Takes what was packed; there must be _usual_bytes() of it."""
        memcpy(&self.row, data, sizeof(sophia_usual))
        memcpy(self.rings, data + sizeof(sophia_usual), 3 * self.size * sizeof(float))
        self.longest, self.between = _most(self.rings, self.size), _most(self.rings + self.size, self.size)
        self.set_limit()


cdef Py_ssize_t _usual_bytes(int size) noexcept:
    return <Py_ssize_t>(sizeof(sophia_usual) + 3 * size * sizeof(float))


cdef _Usual _new_usual(uint64_t key, double moment, int size):
    cdef _Usual usual = _Usual.__new__(_Usual)
    usual.rings = <float *>PyMem_Calloc(3 * size, sizeof(float))
    if usual.rings == NULL:
        raise MemoryError("no memory for another rhythm")
    usual.size = size
    memset(&usual.row, 0, sizeof(usual.row))
    usual.row.key = key
    usual.row.first = usual.row.last = moment
    usual.row.minute = usual.row.reach = -INFINITY
    usual.limit = INFINITY
    return usual


@cython.final
@cython.no_gc
cdef class _Last:
    @property
    def long(self):
        return self.gap_end


cdef _Last _new_last(_Usual usual, double moment, double clock, uint64_t second):
    cdef _Last last = _Last.__new__(_Last)
    last.usual = usual
    last.moment = last.window = moment
    last.clock = last.gap_end = clock
    last.second = second
    last.end = -INFINITY
    last.due = INFINITY
    return last


cdef inline bint _before(sophia_deadline one, sophia_deadline other) noexcept:
    return one.due < other.due or (one.due == other.due and one.key < other.key)


@cython.final
cdef class _Source:
    def __dealloc__(self):
        PyMem_Free(self.deadlines)

    @property
    def heap(self):
        """(when, pattern) of its deadlines; some hold no longer."""
        return [(self.deadlines[i].due, self.deadlines[i].key) for i in range(self.waiting)]

    cdef void begin(self, double moment):
        """Begins anew: what was usual stays."""
        self.usual.row.reach += (moment - self.moment) / _MEMORY  # as far behind as before
        self.moment = moment
        self.end = -INFINITY
        self.was = -INFINITY
        self.held = moment
        self.holds = 0
        self.skipped = 0.0
        self.second = 0
        self.lasts = {}
        self.waiting = 0
        self.due = INFINITY
        self.anew = True

    cdef double going(self, double gap) noexcept:
        """How much of a gap counts for its patterns."""
        cdef double most = self.usual.longest if gap > _QUIET_SHORTEST else _PAUSE * self.usual.longest
        if not most > 1.0:
            most = 1.0
        return most if most < gap else gap

    cdef object pass_to(self, double moment):
        """An input comes in a new second; the alarm where nothing was said for too long before."""
        cdef _Usual usual = self.usual
        cdef object quiet = None
        cdef double gap, learned, most, since = self.was if self.was < moment else moment
        cdef bint known
        if not since > self.moment:
            since = self.moment
        if self.end > -INFINITY and since > self.moment:
            self.skipped += since - self.moment
        if self.end > -INFINITY and since < moment:
            gap = learned = moment - since
            known = usual.row.number >= _KNOWN
            if gap > _QUIET_SHORTEST and gap > usual.longest:
                quiet = self.find_quiet(since, moment)
                learned = usual.awake(since, moment)
                most = _QUIET / _SILENCE * usual.patience()
                if quiet is not None and most < learned:
                    learned = most
                if usual.row.days < _DAYS:
                    most = (_REMEMBERED if _REMEMBERED < gap else gap) + moment / _MEMORY
                    if most > usual.row.reach:
                        usual.row.reach = most
            if gap > usual.longest and known:
                self.skipped += gap - self.going(gap)
            usual.learn(learned, 0.0, gap, quiet is not None)
        self.second += 1
        self.end = moment + 1.0
        if moment >= usual.row.minute or moment < usual.row.minute - 60:
            usual.came(moment)
        return quiet

    cdef bint off(self, double moment) noexcept:
        """Whether an input is too far away from the others to be believed, unless those before it agree."""
        cdef bint agrees
        if self.moment - _TOLERANCE <= moment <= self.moment + _AHEAD:
            self.holds = 0
            return False
        agrees = self.holds and fabs(moment - self.held) <= fabs(moment - self.moment)
        self.holds = self.holds + 1 if agrees else 1
        self.held = moment
        if self.holds < _HELD:
            return True
        self.holds = 0
        return False

    cdef void put_back(self, double moment) noexcept:
        """The clock goes back, and stands still until it is where it was."""
        cdef double step = moment - self.moment
        cdef _Last last
        if self.moment > self.was:
            self.was = self.moment
        self.skipped += step
        self.moment = self.end = moment
        for last in self.lasts.values():
            last.moment += step
            last.window += step
            last.end += step

    cdef object find_quiet(self, double since, double moment):
        """The alarm where nothing was said for too long by now."""
        cdef double gap = moment - since, patience, night
        cdef _Usual usual = self.usual
        if gap <= _QUIET_SHORTEST:
            return None
        patience = _QUIET * usual.patience() / _SILENCE
        if not patience > _QUIET_SHORTEST:
            patience = _QUIET_SHORTEST
        if usual.row.days < _DAYS:
            night = _NIGHT * (usual.row.reach - moment / _MEMORY)
            if night > patience:
                patience = night
        if usual.awake(since, moment) <= patience:
            return None
        return Alarm("quiet", self.name, 0, moment, since, usual.middle(), gap)

    cdef int wake(self, _Last last, double due) except -1:
        """Looks at a silence at a time of the clock."""
        cdef _Last each
        if self.waiting > 2 * len(self.lasts) + _SLACK:
            self.waiting = 0
            for each in self.lasts.values():
                if each.due < INFINITY and each is not last:
                    self.push(each.due, each.usual.row.key)
        last.due = due
        self.push(due, last.usual.row.key)
        self.due = self.deadlines[0].due
        return 0

    cdef int push(self, double due, uint64_t key) except -1:
        cdef Py_ssize_t at = self.waiting, above, room
        cdef sophia_deadline one
        cdef sophia_deadline *grown
        if at == self.room:
            room = 2 * self.room + 16
            grown = <sophia_deadline *>PyMem_Realloc(self.deadlines, room * sizeof(sophia_deadline))
            if grown == NULL:
                raise MemoryError("no memory for another deadline")
            self.deadlines, self.room = grown, room
        one.due, one.key = due, key
        while at > 0:
            above = (at - 1) >> 1
            if not _before(one, self.deadlines[above]):
                break
            self.deadlines[at] = self.deadlines[above]
            at = above
        self.deadlines[at] = one
        self.waiting += 1
        return 0

    cdef sophia_deadline pop(self) noexcept:
        """Takes the first one of at least one."""
        cdef sophia_deadline first = self.deadlines[0], one
        cdef Py_ssize_t at = 0, below
        self.waiting -= 1
        one = self.deadlines[self.waiting]
        while True:
            below = 2 * at + 1
            if below >= self.waiting:
                break
            if below + 1 < self.waiting and _before(self.deadlines[below + 1], self.deadlines[below]):
                below += 1
            if not _before(self.deadlines[below], one):
                break
            self.deadlines[at] = self.deadlines[below]
            at = below
        self.deadlines[at] = one
        return first


cdef _Source _new_source(object name, double moment):
    cdef _Source one = _Source.__new__(_Source)
    one.name = name
    one.usual = _new_usual(0, moment, _SOURCE_GAPS)
    one.moment = moment
    one.begin(moment)
    return one


@cython.final
cdef class RhythmTable:
    """Rhythms of at most 4,096 patterns, in at most 64 sources. Not thread-safe, deterministic.

    Event times are seconds since 1970 and must be finite, patterns are whole numbers below 2**64. Less than 0.1 us an
    input where many come in a second, 0.1 to 0.3 where each comes in a second of its own or hours lie between them.
    With `track` what changed is kept for `changes`, which must then be called now and then.

    Bytes: about 720 for a pattern, 250 for each source in which it came, 1,500 for a source. All methods hold the GIL.
    Example::

        >>> table = RhythmTable()
        >>> beats = [("log", 7, 300.0 * n) for n in range(40)]
        >>> others = [("log", 1, 20.0 * n) for n in range(700)]
        >>> events = sorted(beats + others, key=lambda event: event[2])
        >>> [alarm[:6] for event in events for alarm in table.observe(*event)]
        [('silence', 'log', 7, 12600.0, 11700.0, 300.0)]
    """

    def __cinit__(self, *, bint track=False):
        self._usual = {}
        self._sources = {}
        self._waiting = OrderedDict()
        self._track = track
        self._lasts = []
        self._changed = []
        self._met = OrderedDict()
        self._gone = {}
        self._closed = {}
        self._touched = {}

    def __len__(self):
        """How many patterns have a row."""
        return len(self._usual)

    def observe(self, source, pattern, double moment, *, bint alarming=True):
        """One more input of a source, in order, at an event time in seconds since 1970; what is noticed by it.

        A sequence of `Alarm`, mostly empty. Pattern 0 is a sign of life of its source. Without `alarming` it is only
        learned: what falls silent or comes too often meanwhile is never told. An input more than 120 s back, or 32 days
        ahead, is not counted until the third in a row. Raises ValueError for what is no time.
        """
        _check_time(moment)
        cdef _Source one = self._sources.get(source)
        if one is None:
            one = self.source_of(source, moment)
        cdef list alarms = self.observe_one(one, pattern, moment, alarming)
        return () if alarms is None else alarms

    def observe_many(self, sources, patterns, moments, *, bint alarming=True):
        """Inputs in order, as `observe` takes them one after the other: a list of (index, `Alarm`).

        `sources` are str, or None where all inputs are of the source ""; `patterns` and `moments` are as many. An input
        whose moment is None is left out, a pattern of None is 0. Raises ValueError for other lengths, before anything
        is learned. About 20 ns an input less than `observe`.
        """
        cdef list given = list(patterns), when = list(moments), names = None if sources is None else list(sources)
        cdef list found = [], alarms
        cdef Py_ssize_t i, count = len(when)
        cdef object name = "", known = None, pattern
        cdef _Source one = None
        cdef double moment
        if len(given) != count or (names is not None and len(names) != count):
            raise ValueError(f"{count} moments need as many patterns and sources")
        for i in range(count):
            if when[i] is None:
                continue
            moment = when[i]
            _check_time(moment)
            if names is not None:
                name = names[i]
            # A source is only ever dropped where another one is looked up.
            if one is None or name is not known:
                one, known = self._sources.get(name), name
                if one is None:
                    one = self.source_of(name, moment)
            pattern = given[i]
            alarms = self.observe_one(one, 0 if pattern is None else pattern, moment, alarming)
            if alarms is not None:
                found += [(i, alarm) for alarm in alarms]
        return found

    cdef list observe_one(self, _Source one, object pattern, double moment, bint alarming):
        cdef list alarms = None, found
        cdef _Last last
        cdef double clock
        if type(pattern) is not int:  # no code of others runs amid the table's
            pattern = int(index(pattern))
        if moment >= one.end or moment < one.moment or one.holds:
            if one.off(moment):
                self.touch(one)
                return None
            if moment < one.moment:
                if moment >= one.moment - _TOLERANCE:
                    moment = one.moment  # a little out of order
                elif moment >= one.moment - _BACK:
                    one.put_back(moment)
                    self.touch(one)
                    for last in one.lasts.values():
                        self.keep(one, last)
                else:
                    self.begin(one, moment)
            elif moment > one.moment + _AHEAD and one.usual.row.number < _KNOWN:
                self.begin(one, moment)  # a first date that was wrong
            if moment >= one.end:
                self._turn += 1
                one.turn = self._turn
                self.touch(one)
                quiet = one.pass_to(moment)
                if quiet is not None and alarming:
                    alarms = [quiet]
        one.moment = moment
        clock = moment - one.skipped
        last = one.lasts.get(pattern)
        if last is None:
            last = self.meet(one, pattern, moment, clock)
        if last is not None:
            if moment >= last.end:
                self.visit(one, last, moment, clock)
            last.moment = moment
            last.clock = clock
            last.second = one.second
            last.n += 1
            if <double>last.n > last.usual.limit and not last.loud:
                last.loud = True
                if alarming:
                    alarms = [] if alarms is None else alarms
                    alarms.append(
                        Alarm("rate", one.name, last.usual.row.key, moment, last.window, last.usual.row.most, last.n)
                    )
            self.keep(one, last)
        if clock >= one.due:
            found = self.silences(one, moment, clock)
            if found and alarming:
                alarms = found if alarms is None else alarms + found
        return alarms

    def forget(self, patterns):
        """Drops all that is known of patterns; of how many something was."""
        cdef _Source one
        cdef uint64_t key
        known = 0
        for each in patterns:
            key = index(each)
            pattern = int(key)
            known += self._usual.pop(pattern, None) is not None or self._waiting.pop(pattern, None) is not None
            if self._track:
                self._gone[pattern] = None
            for one in self._sources.values():
                one.lasts.pop(pattern, None)
        return known

    def rhythm(self, pattern):
        """How a pattern comes, a `Rhythm`, None where it has no row. About 2 us."""
        cdef _Usual usual = self._usual.get(pattern)
        cdef _Source one
        cdef _Last last
        cdef double latest, longest
        cdef uint64_t count, most
        if usual is None:
            return None
        count, latest, most = usual.row.count, usual.row.last, usual.row.most
        for one in self._sources.values():
            last = one.lasts.get(pattern)
            if last is not None:
                count += last.n
                latest = last.moment if last.moment > latest else latest
                most = last.n if last.n > most else most
        hours = tuple([usual.row.hours[i] for i in range(24)])
        longest = _most(usual.rings + 2 * usual.size, usual.size)
        return Rhythm(count, usual.row.first, latest, usual.middle(), longest, hours, most)

    def most_regular(self, k):
        """(pattern, `Rhythm`) of the k with a known rhythm whose longest gap is least beyond the usual one. Looks at
        all, about 0.5 us each."""
        cdef _Usual usual
        cdef double middle, longest
        known = []
        for usual in self._usual.values():
            if usual.patience() < INFINITY:
                middle = usual.middle()
                longest = _most(usual.rings + 2 * usual.size, usual.size)
                known.append((longest / (middle if middle > 1e-9 else 1e-9), usual.row.key))
        return [(key, rhythm) for _, key in nsmallest(k, known) if (rhythm := self.rhythm(key)) is not None]

    def changes(self):
        """What changed since the last call, as bytes for `replay`; nothing is b"". About 0.3 us a pattern that came."""
        cdef _Source one
        cdef _Last last
        cdef _Usual each
        if not (self._lasts or self._changed or self._met or self._gone or self._closed or self._touched):
            return b""
        for one, last in self._lasts:
            last.changed = False
            self._touched[one.name] = None
        sources = [self._sources[name] for name in self._touched if name in self._sources]
        lasts = []
        for pair in self._lasts:
            one, last = pair
            if one.lasts.get(last.usual.row.key) is last and self._sources.get(one.name) is one:
                lasts.append(pair)
        usual = []
        for each in self._changed:
            each.changed = False
            if self._usual.get(each.row.key) is each:
                usual.append(each)
        packed = self.pack(
            list(self._gone), list(self._closed), [(key, self._waiting.get(key, 0)) for key in self._met],
            sources, usual, lasts,
        )
        for one in sources:
            one.anew = False
        for kept in (self._lasts, self._changed, self._met, self._gone, self._closed, self._touched):
            kept.clear()
        return packed

    def dump(self):
        """The whole table as bytes: about 490 a pattern, 76 for each source in which it came, 1,100 a source."""
        cdef _Source one
        cdef list sources = list(self._sources.values()), lasts = []
        for one in sources:
            lasts += [(one, last) for last in one.lasts.values()]
        return self.pack([], [], list(self._waiting.items()), sources, list(self._usual.values()), lasts)

    @classmethod
    def load(cls, data, *, bint track=False):
        """The table of a dump. StoreCorrupt for bytes that are none."""
        table = cls(track=track)
        table.replay(data)
        return table

    def replay(self, changes):
        """Brings the table to where it was when these `changes` were asked for. StoreCorrupt where they say nothing."""
        cdef bytes data = bytes(changes)
        try:
            if data[:8] != _MAGIC or crc32(data[12:]) != int.from_bytes(data[8:12], "little"):
                raise ValueError("it is not whole")
            self.unpack(data, 12)
        except (ValueError, KeyError, IndexError, OverflowError, struct.error) as error:
            raise StoreCorrupt(f"rhythms cannot be read ({error})") from error

    cdef bytes pack(self, list gone, list closed, list waiting, list sources, list usual, list lasts):
        cdef _Source one
        cdef _Last last
        cdef _Usual each
        cdef sophia_last_row row
        cdef dict places = {one.name: place for place, one in enumerate(sources)}
        cdef list parts = [
            _HEAD.pack(self._turn, len(gone), len(closed), len(waiting), len(sources), len(usual), len(lasts)),
            struct.pack(f"<{len(gone)}Q", *gone),
        ]
        parts += [_name_packed(name) for name in closed]
        parts += [struct.pack("<QB", *pair) for pair in waiting]
        for one in sources:
            parts.append(_name_packed(one.name))
            parts.append(_SOURCE_ROW.pack(
                one.moment, one.end, one.skipped, one.held, one.was, one.second, one.turn, one.holds, one.anew
            ))
            parts.append(one.usual.packed())
        for each in usual:
            parts.append(each.packed())
        for one, last in lasts:
            row.place, row.key = places[one.name], last.usual.row.key
            row.moment, row.clock, row.end, row.gap_end = last.moment, last.clock, last.end, last.gap_end
            row.due, row.window, row.second, row.n = last.due, last.window, last.second, last.n
            row.loud, row.silent = last.loud, last.silent
            parts.append(PyBytes_FromStringAndSize(<const char *>&row, sizeof(row)))
        return _sealed(b"".join(parts))

    cdef int unpack(self, bytes data, Py_ssize_t at) except -1:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef const char *bytes_ = PyBytes_AS_STRING(data)
        cdef uint32_t n_gone, n_closed, n_waiting, n_sources, n_usual, n_lasts
        cdef uint64_t key
        cdef _Source one
        cdef _Last last
        cdef _Usual usual
        cdef sophia_last_row row
        cdef list sources = []
        self._turn, n_gone, n_closed, n_waiting, n_sources, n_usual, n_lasts = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        for pattern in struct.unpack_from(f"<{n_gone}Q", data, at):
            self._usual.pop(pattern, None)
            self._waiting.pop(pattern, None)
            for one in self._sources.values():
                one.lasts.pop(pattern, None)
        at += 8 * <Py_ssize_t>n_gone
        for _ in range(n_closed):
            name, at = _name(data, at)
            self._sources.pop(name, None)
        for _ in range(n_waiting):
            pattern, number = struct.unpack_from("<QB", data, at)
            at += 9
            self._waiting.pop(pattern, None)
            if number:
                self._waiting[pattern] = number
        for _ in range(n_sources):
            name, at = _name(data, at)
            moment, end, skipped, held, was, second, turn, holds, anew = _SOURCE_ROW.unpack_from(data, at)
            at += _SOURCE_ROW.size
            if not fabs(moment) + fabs(skipped) < 4 * _FURTHEST:
                raise ValueError("no time")
            one = self._sources.get(name)
            if one is None:
                one = self._sources[name] = _new_source(name, moment)
            if anew:
                one.begin(moment)
            one.moment, one.end, one.skipped, one.second, one.turn = moment, end, skipped, second, turn
            one.held, one.was, one.holds, one.anew = held, was, holds, False
            _check(at, _usual_bytes(_SOURCE_GAPS), size)
            one.usual.restore(bytes_ + at)
            at += _usual_bytes(_SOURCE_GAPS)
            sources.append(one)
        for _ in range(n_usual):
            _check(at, _usual_bytes(_GAPS), size)
            memcpy(&key, bytes_ + at, sizeof(key))
            usual = self._usual.get(key)
            if usual is None:
                usual = self._usual[key] = _new_usual(key, 0.0, _GAPS)
            usual.restore(bytes_ + at)
            at += _usual_bytes(_GAPS)
        if size - at != <Py_ssize_t>n_lasts * <Py_ssize_t>sizeof(row):
            raise ValueError("it ends too early or too late")
        for _ in range(n_lasts):
            memcpy(&row, bytes_ + at, sizeof(row))
            at += sizeof(row)
            if not fabs(row.moment) + fabs(row.clock) + fabs(row.window) + fabs(row.gap_end) < 9 * _FURTHEST:
                raise ValueError("no time")
            last = _new_last(self._usual[row.key], row.moment, row.clock, row.second)
            last.end, last.gap_end, last.window, last.n = row.end, row.gap_end, row.window, row.n
            last.loud, last.silent = row.loud != 0, row.silent != 0
            one = sources[row.place]
            one.lasts[row.key] = last
            if row.due < INFINITY:
                one.wake(last, row.due)
        total = 0
        for one in self._sources.values():
            total += len(one.lasts)
        if len(self._usual) > _PATTERNS or len(self._sources) > _SOURCES or total > _LASTS:
            raise ValueError("there are too many")
        return 0

    cdef _Source source_of(self, object source, double moment):
        """The source of a name that is not there as it is; a new one may drop the one that was silent longest."""
        cdef _Source one, each, oldest = None
        name = bounded(source)
        one = self._sources.get(name)
        if one is None:
            if len(self._sources) >= _SOURCES:
                for each in self._sources.values():
                    if oldest is None or each.turn < oldest.turn:
                        oldest = each
                self.begin(oldest, oldest.moment)
                del self._sources[oldest.name]
                if self._track:
                    self._closed[oldest.name] = None
            one = self._sources[name] = _new_source(name, moment)
        return one

    cdef int begin(self, _Source one, double moment) except -1:
        """Begins a source anew: no gap is measured from what came before."""
        cdef _Last last
        for last in one.lasts.values():
            last.usual.close(last.n)
            self.mark(last.usual)
        one.begin(moment)
        return self.touch(one)

    cdef int touch(self, _Source one) except -1:
        if self._track:
            self._touched[one.name] = None
        return 0

    cdef int keep(self, _Source one, _Last last) except -1:
        if not last.changed:
            last.changed = True
            if self._track:
                self._lasts.append((one, last))
        return 0

    cdef int mark(self, _Usual usual) except -1:
        if not usual.changed:
            usual.changed = True
            if self._track:
                self._changed.append(usual)
        return 0

    cdef int visit(self, _Source one, _Last last, double moment, double clock) except -1:
        """A pattern comes in a new second, or a new minute."""
        cdef _Usual usual = last.usual
        cdef double gap, longest, burst, others, most, due, end, pause
        usual.row.turn = self._turn
        self.mark(usual)
        if moment >= last.window + _WINDOW or not last.n:
            if last.n:
                if <double>last.n <= usual.limit or moment >= last.window + 2 * _WINDOW:
                    last.loud = False
                usual.close(last.n)
            last.window = _floor_divide(moment, _WINDOW) * _WINDOW
            last.n = 0
            if moment >= usual.row.minute or moment < usual.row.minute - 60:
                usual.came(moment)
        pause = 1.0
        if last.end > -INFINITY:
            gap = clock - last.clock
            longest = usual.longest
            burst = longest / _BURST
            if gap >= burst or clock - last.gap_end > 2 * longest:
                others = <double><int64_t>(one.second - last.second)
                if gap > longest:
                    most = usual.awake(last.moment, moment)
                    if most < gap:
                        gap = most
                    if last.silent:  # what was alarmed does not become usual at once
                        if _LEARNED * longest < gap:
                            gap = _LEARNED * longest
                        if _LEARNED * usual.between < others:
                            others = _LEARNED * usual.between
                if gap >= burst:
                    last.gap_end = clock
                usual.learn(gap, others, moment - last.moment, last.silent)
                longest = usual.longest
            elif burst > 1.0:
                pause = burst  # what comes before it belongs to the burst too
            last.silent = False
            if usual.row.number >= _KNOWN:
                due = _SILENCE * longest
                due = clock + (due if due > _SHORTEST else _SHORTEST)
                if due < last.due:
                    one.wake(last, due)
        end = last.window + _WINDOW
        last.end = end if end < moment + pause else moment + pause
        return 0

    cdef list silences(self, _Source one, double moment, double clock):
        """The patterns that are silent for too long by now."""
        cdef list alarms = []
        cdef sophia_deadline first
        cdef _Last last
        cdef _Usual usual
        cdef double silent, wait, awake, others
        while one.waiting and one.deadlines[0].due <= clock:
            first = one.pop()
            last = one.lasts.get(first.key)
            if last is None or last.due != first.due:
                continue
            self.keep(one, last)
            usual = last.usual
            silent = clock - last.clock
            wait = _SILENCE * usual.longest  # at least
            wait = (wait if wait > _SHORTEST else _SHORTEST) - silent
            if wait <= 0:
                awake = usual.awake(last.moment, moment)
                wait = usual.patience() - (awake if awake < silent else silent)
            # the source goes on: others came at least as much as ever between two comings
            others = _OTHERS * usual.between
            if wait <= 0 and <double><int64_t>(one.second - last.second) < (1.0 if 1.0 > others else others):
                wait = silent / 8  # a look at each input would cost
            last.due = INFINITY
            if wait <= 0:
                last.silent = True
                alarms.append(Alarm(
                    "silence", one.name, first.key, moment, last.moment, usual.middle(), moment - last.moment
                ))
            elif wait < INFINITY:
                wait = clock + wait
                due = nextafter(clock, INFINITY)
                one.wake(last, due if due > wait else wait)
        one.due = one.deadlines[0].due if one.waiting else INFINITY
        return alarms

    cdef _Last meet(self, _Source one, object pattern, double moment, double clock):
        """The row of a pattern that has none in this source yet, None where it has not come often enough."""
        cdef uint64_t key = pattern
        cdef _Usual usual
        cdef _Source each, longest = None
        cdef _Last last
        cdef Py_ssize_t total = 0
        self.touch(one)
        if not key:
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
                self.forget(self._oldest(_PATTERNS // 8))
            usual = self._usual[pattern] = _new_usual(key, moment, _GAPS)
            usual.row.count = number - 1
        for each in self._sources.values():
            total += len(each.lasts)
        if total >= _LASTS:
            for each in self._sources.values():
                if each is not one and each.lasts and (longest is None or each.turn < longest.turn):
                    longest = each
            if longest is not None:
                self.begin(longest, longest.moment)
        last = one.lasts[pattern] = _new_last(usual, moment, clock, one.second)
        return last

    def _oldest(self, k):
        """The k patterns that came least recently, the oldest first."""
        cdef _Usual usual
        turns = []
        for usual in self._usual.values():
            turns.append((usual.row.turn, usual.row.key))
        return [key for _, key in sorted(turns)[:k]]


def _sealed(body):
    return b"".join((_MAGIC, crc32(body).to_bytes(4, "little"), body))


cdef bytes _name_packed(object name):
    text = name.encode("utf-8", "surrogatepass")
    return len(text).to_bytes(2, "little") + text


cdef tuple _name(bytes data, Py_ssize_t at):
    """A name and where it ends."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), end
    _check(at, 2, size)
    end = at + 2 + int.from_bytes(data[at:at + 2], "little")
    _check(at, end - at, size)
    return data[at + 2:end].decode("utf-8", "surrogatepass"), end


cdef int _check_time(double moment) except -1:
    if not -_FURTHEST < moment < _FURTHEST:
        raise ValueError(f"an event time is in seconds since 1970, not {moment}")
    return 0


cdef int _check(Py_ssize_t at, Py_ssize_t need, Py_ssize_t size) except -1:
    """There must be so many bytes more."""
    if need > size - at:
        raise ValueError("it is cut off")
    return 0
