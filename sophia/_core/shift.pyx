"""Where a stream becomes another one: windows of it as hypervectors, and a cumulative sum of how strange they are."""

cimport cython
from libc.math cimport sin
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memmove

from sophia._core.search import greatest_similarity, similarity

WINDOW = WINDOW_SIZE
"""Inputs of one window."""
DIM = 2048
"""Bits of a window's vector: two unrelated ones are alike by .02, and 10,000 would cost five times as much."""

cdef enum:
    WARM = 16  # windows in which a stretch is learned, and how strange its windows usually are
    PROTOTYPES = 64
    # Windows after which one is learned: two streams may meet in the midst of a window, whose half would say enough.
    LAG = 8
    LEAST = 4  # windows of a new stretch when it is found
    FEW = 8  # of its inputs must have a pattern
    SKIP = 8  # of windows of known patterns one in so many is looked at

cdef double _ALLOWANCE = 0.25  # so much stranger than usual is nothing yet
cdef double _LIMIT = 4.0  # of the sum
cdef double _CALM = 1.0  # below that sum it is learned what is usual
cdef double _RATE = 1.0 / 64
cdef double _QUARTER = 1.5707963267948966  # of a turn


@cython.final
cdef class Window:
    """`WINDOW` inputs: the pattern of each (0: none), and the vote of their texts (None: there was no text), which is
    `made` when it is first asked for. `count` is how many have a pattern."""

    def __cinit__(self, patterns, made):
        cdef int i = 0
        if len(patterns) != WINDOW_SIZE:
            raise ValueError(f"a window is of {WINDOW_SIZE} inputs, not {len(patterns)}")
        for pattern in patterns:
            if i == WINDOW_SIZE:
                break
            self._ids[i] = pattern
            self.count += self._ids[i] != 0
            i += 1
        self._made = made

    @property
    def patterns(self) -> tuple:
        """The pattern of each input."""
        return tuple([self._ids[i] for i in range(WINDOW_SIZE)])

    @property
    def vector(self):
        """The vote of their texts."""
        if self._made is not None:
            self._vector, self._made = self._made(), None
        return self._vector


@cython.final
cdef class KnownPatterns:
    """Patterns by number: the latest 16,384 that were added and were not in it. 384 kB at most, which grow with it.

        >>> known = KnownPatterns()
        >>> known.add(Window([1, 2] * 16, lambda: None)), known.unknown(Window([2, 3] * 16, lambda: None)), list(known)
        (True, 16, [1, 2])
    """

    def __cinit__(self):
        self._room(WINDOW_SIZE)

    def __dealloc__(self):
        free(self._slots)
        free(self._order)

    cdef bint has(self, uint64_t id) noexcept:
        cdef size_t place = (id * <uint64_t>0x9E3779B97F4A7C15) >> 32
        while True:
            place &= self._size - 1
            if self._slots[place] == id:
                return True
            if not self._slots[place]:
                return False
            place += 1

    cdef void _put(self, uint64_t id) noexcept:
        """Puts one that is not there, for which there is room."""
        cdef size_t place = (id * <uint64_t>0x9E3779B97F4A7C15) >> 32
        while self._slots[place & (self._size - 1)]:
            place += 1
        self._slots[place & (self._size - 1)] = id

    cdef int _room(self, size_t more) except -1:
        """Makes room for so many: the oldest quarter goes, or the tables grow."""
        cdef size_t i, gone = MOST_KNOWN // 4 if self._count + more > MOST_KNOWN else 0
        cdef size_t count = self._count - gone, size = self._size if self._size else 4 * WINDOW_SIZE
        cdef uint64_t *slots
        cdef uint64_t *order
        while size < 2 * (count + more):
            size *= 2
        if size == self._size and not gone:
            return 0
        slots = <uint64_t *>calloc(size, sizeof(uint64_t))
        order = <uint64_t *>calloc(size // 2, sizeof(uint64_t))
        if slots == NULL or order == NULL:
            free(slots)
            free(order)
            raise MemoryError(f"no memory for {size // 2} patterns")
        for i in range(count):
            order[i] = self._order[gone + i]
        free(self._slots)
        free(self._order)
        self._slots, self._order, self._size, self._count = slots, order, size, count
        for i in range(count):
            self._put(order[i])
        return 0

    cdef bint learn(self, Window window) except -1:
        """Adds the patterns of a window, from the lowest number on; whether there was a new one."""
        cdef uint64_t new[WINDOW_SIZE]
        cdef int i, j, count = 0
        for i in range(WINDOW_SIZE):
            if not window._ids[i] or self.has(window._ids[i]):
                continue
            j = count
            while j and new[j - 1] > window._ids[i]:
                j -= 1
            if j and new[j - 1] == window._ids[i]:
                continue
            memmove(&new[j + 1], &new[j], (count - j) * sizeof(uint64_t))
            new[j] = window._ids[i]
            count += 1
        if not count:
            return False
        self._room(count)
        for i in range(count):
            self._put(new[i])
            self._order[self._count] = new[i]
            self._count += 1
        return True

    def add(self, Window window not None) -> bool:
        """Adds the patterns of a window; whether there was a new one."""
        return self.learn(window)

    cdef int lacks(self, Window window) noexcept:
        cdef int i, found = 0
        for i in range(WINDOW_SIZE):
            found += window._ids[i] != 0 and not self.has(window._ids[i])
        return found

    def unknown(self, Window window not None) -> int:
        """How many inputs of a window have a pattern that is not in it."""
        return self.lacks(window)

    def __contains__(self, uint64_t id) -> bool:
        return id != 0 and self.has(id)

    def __iter__(self):
        return iter([self._order[i] for i in range(self._count)])

    def __len__(self) -> int:
        return self._count


@cython.final
cdef class ShiftDetector:
    """Finds the inputs at which a stream becomes another one. One thread at a time.

    A window is strange by the share of its inputs whose pattern the present stretch does not have, times how unlike its
    text is to the most similar of the last 64 windows. A log line that was seen before is not strange however rare it
    is, and chat, where each line is new, is not while it is about the same. What is usual follows the stream, from the
    median of the second half of the first 16 windows on; what exceeds it by more than an allowance is summed up, never
    below zero (CUSUM, Page 1954), and at a limit there is a shift. What made the sum grow is not learned before it has
    fallen to zero again. Where the shift lies is then worked out among these windows: where those after it are least
    like all before it and most like each other, and there at the input where the patterns change.

    1 MB at most. A window of known patterns costs 1 us, another one 5 to 20.

        >>> from sophia._core.hdc import random
        >>> tea, cup = random("tea", dim=DIM), random("cup", dim=DIM)
        >>> detector = ShiftDetector()
        >>> [detector.add(Window((1, 2) * 16, lambda: tea)) for _ in range(40)] == [0] * 40
        True
        >>> [detector.add(Window((3, 4) * 16, lambda: cup)) for _ in range(6)]
        [0, 0, 0, 0, 0, 192]
    """

    def __cinit__(self):
        self._pending = []
        self._begin()

    cdef int _begin(self) except -1:
        """A new stretch."""
        self._known = KnownPatterns()
        self._rows = []
        self._learned = 0
        self._age = 0  # windows
        return 0

    @property
    def held(self) -> int:
        """How many of the latest windows may still turn out to belong to the next stretch, in part or wholly."""
        return len(self._pending) + 1

    @property
    def known(self) -> int:
        """How many patterns the present stretch has, of which it knows."""
        return len(self._known)

    def add(self, Window window not None) -> int:
        """Takes the next window; 0, or how many of the latest inputs are a new stretch."""
        cdef double share, most, strange
        if window.count < FEW:  # it says nothing
            if self._pending:
                self._hold(window)
            return 0
        share = self._unknown(window)
        if self._age < WARM:
            self._warm_up(share * (1.0 - self._likeness(window)) if self._age >= WARM // 2 else 0.0, window)
            return 0
        most = self._sum + share - self._usual - _ALLOWANCE
        strange = share * (1.0 - self._likeness(window)) if most > 0.0 else 0.0
        self._sum = max(0.0, self._sum + strange - self._usual - _ALLOWANCE)
        if self._sum < _CALM:
            self._usual += (min(strange, self._usual + _ALLOWANCE) - self._usual) * _RATE
        self._hold(window)
        while self._sum == 0.0 and len(self._pending) > LAG:
            self._learn(self._pending.pop(0))
        return self._cut() if self._sum > _LIMIT and len(self._pending) >= LEAST else 0

    cdef double _unknown(self, Window window) noexcept:
        """The share of its inputs whose pattern the stretch does not have, of those that have one; 0 where too few
        do."""
        return 0.0 if window.count < FEW else <double>self._known.lacks(window) / window.count

    cdef double _likeness(self, Window window) except -1.0:
        """The cosine with the most similar window of the stretch; 0 where there is none."""
        vector = window.vector
        return 0.0 if vector is None else _cosine(greatest_similarity(vector, self._rows))

    cdef int _warm_up(self, double strange, Window window) except -1:
        if WARM // 2 <= self._age < WARM:
            self._early[self._age - WARM // 2] = strange
        self._age += 1
        self._learn(window)
        if self._age == WARM:
            early = sorted([self._early[i] for i in range(WARM // 2)])
            self._usual = (early[WARM // 4 - 1] + early[WARM // 4]) / 2  # the median of eight
        return 0

    cdef int _learn(self, Window window) except -1:
        self._last = window
        self._learned += 1
        if not self._known.learn(window) and self._learned % SKIP and self._age >= WARM:
            return 0
        vector = window.vector
        if vector is not None:
            self._rows.append(vector)
            if len(self._rows) > PROTOTYPES:
                del self._rows[0]
        return 0

    cdef int _hold(self, Window window) except -1:
        self._pending.append(window)
        if len(self._pending) > MOST_HELD:
            self._learn(self._pending.pop(0))
        return 0

    cdef int _cut(self) except -1:
        """Ends the stretch where it did end; how many of the latest inputs are of the next."""
        cdef list pending = self._pending
        cdef int first = self._turn(pending)
        cdef int begun = len(pending) * WINDOW_SIZE - self._line(pending, first)
        cdef double share, usual = self._usual
        cdef Window window
        if first:
            self._last = pending[first - 1]
        self._pending = []
        self._sum = 0.0
        self._begin()
        for window in pending[first:]:
            share = self._unknown(window)
            self._warm_up(share * (1.0 - self._likeness(window)) if self._age >= WARM // 2 else 0.0, window)
        if self._age > WARM:  # the median was that of the first sixteen; after them nothing was learned of it
            self._usual = min(self._usual, usual)
        return begun

    cdef int _turn(self, list pending) except -1:
        """The first of the pending windows that is of the next stretch: from it on they are least like all before, and
        most like each other."""
        cdef double alike[MOST_HELD][MOST_HELD]
        cdef double most[MOST_HELD]  # the likeness of each with all before the first that may be of the next
        cdef double own[MOST_HELD]  # and with the others from the first on
        cdef double scores[MOST_HELD]
        cdef double total, score, found = 0.0
        cdef int i, j, first, best = -1, count = len(pending)
        cdef list vectors = [(<Window>window).vector for window in pending]
        for i in range(count):
            most[i] = self._likeness(<Window>pending[i])
            own[i] = 0.0
            for j in range(i):
                alike[i][j] = _alike(vectors[i], vectors[j])
        for first in range(count - 2, -1, -1):
            total = 0.0
            for i in range(first + 1, count):
                own[first] = max(own[first], alike[i][first])
                own[i] = max(own[i], alike[i][first])
            for i in range(first, count):
                total += own[i]
            scores[first] = total
        for first in range(count - LEAST + 1):
            total = 0.0
            for i in range(first, count):
                if first:
                    most[i] = max(most[i], alike[i][first - 1])
                total += most[i]
            score = round((total - scores[first]) / (count - first), 3)
            if best < 0 or score < found:
                best, found = first, score
        return best

    cdef int _line(self, list pending, int first) except -1:
        """The first input of the next stretch, counted from the first pending one; it may lie in the window before."""
        cdef Window window, before = pending[first - 1] if first else self._last
        cdef KnownPatterns new = KnownPatterns(), old = KnownPatterns()
        cdef bint is_new[2 * WINDOW_SIZE]
        cdef uint64_t one
        cdef int i, count = 0, earlier = 0
        for window in pending[first + 1 :]:
            new.learn(window)
        for window in pending[: max(first - 1, 0)]:
            old.learn(window)
        for window in (before, <Window>pending[first]):
            if window is None:
                continue
            earlier = count
            for i in range(WINDOW_SIZE):
                one = window._ids[i]
                is_new[count] = one != 0 and new.has(one) and not old.has(one) and not self._known.has(one)
                count += 1
        return first * WINDOW_SIZE - earlier + _split(is_new, count, earlier)


cdef int _split(const bint *is_new, int count, int near) noexcept:
    """The place from which on most are new and before which most are not; of equal ones that nearest to `near`."""
    cdef int i, right = 0, best, place = 0
    for i in range(count):
        right += is_new[i]
    best = right
    for i in range(1, count + 1):
        right += -1 if is_new[i - 1] else 1
        if right > best or (right == best and abs(i - near) < abs(place - near)):
            best, place = right, i
    return place


cdef double _alike(object one, object other) except -1.0:
    return 0.0 if one is None or other is None else _cosine(similarity(one, other))


cdef double _cosine(double alike) noexcept:
    """Of two sums whose votes are so much alike: with cosine c these agree in 1/2 + asin(c)/pi of their bits."""
    return sin(max(0.0, alike) * _QUARTER)
