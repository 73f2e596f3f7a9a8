# cython: auto_pickle=False
"""How unusual the latest run of levels of a number is, by how often it was seen before."""

cimport cython
from libc.math cimport isfinite, isnan
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from sophia._core.buffer cimport F64, Block, close_block, open_block


@cython.final
cdef class RunCounts:
    """Counts the runs of 1 to `longest` levels of a stream of numbers, and scores each by how rare its runs are.

    The range `low` to `high` is divided into `levels` of one width; numbers beyond have the nearer end's. The score of
    a number is the mean over the lengths of 1 / (1 + how often the run that it ends was seen before): 1 for what never
    was, near 0 for what always is. A table has levels ** longest counts, at most 2^24. About 10 ns a number.

    Not for two threads at once.

    Example::

        >>> counts = RunCounts(8, 2, 0.0, 8.0)
        >>> counts.add(1.0), counts.add(1.0), counts.add(7.0)
        (1.0, 0.75, 1.0)
    """

    def __cinit__(self, levels, longest, low, high):
        cdef uint32_t k
        cdef uint64_t size = 1
        if isinstance(levels, bool) or not isinstance(levels, int) or not 2 <= levels <= 4096:
            raise ValueError(f"levels is {levels!r}; it is a number from 2 to 4096")
        if isinstance(longest, bool) or not isinstance(longest, int) or not 1 <= longest <= SOPHIA_RUNS_LONGEST:
            raise ValueError(f"longest is {longest!r}; it is a number from 1 to {SOPHIA_RUNS_LONGEST}")
        if levels ** longest > SOPHIA_RUNS_MOST:
            raise ValueError(f"levels is {levels}, longest {longest}: {levels ** longest} runs are more than "
                             f"{SOPHIA_RUNS_MOST}; use less of one of them")
        if not (isfinite(low) and isfinite(high) and low < high and isfinite(high - low)):
            raise ValueError(f"low is {low!r}, high is {high!r}; they and their distance must be finite, and high the "
                             "larger")
        self.low = low
        self.high = high
        self.step = levels / (self.high - self.low)
        self.runs.levels = levels
        self.runs.longest = longest
        for k in range(self.runs.longest):
            size *= self.runs.levels
            self.runs.sizes[k] = size
            self.runs.counts[k] = <uint32_t *>calloc(size, sizeof(uint32_t))
            if self.runs.counts[k] == NULL:
                raise MemoryError(f"no memory for {size} counts")

    def __dealloc__(self):
        cdef uint32_t k
        for k in range(SOPHIA_RUNS_LONGEST):
            free(self.runs.counts[k])

    @property
    def levels(self):
        return self.runs.levels

    @property
    def longest(self):
        return self.runs.longest

    @property
    def range(self):
        """(low, high)."""
        return self.low, self.high

    cdef uint32_t level_of(self, double value) noexcept nogil:
        cdef double place = (value - self.low) * self.step
        if not place > 0:
            return 0
        return <uint32_t>place if place < self.runs.levels else self.runs.levels - 1

    def add(self, double value):
        """Counts a number in; its score. ValueError for NaN."""
        if isnan(value):
            raise ValueError("value is NaN, which has no level")
        return sophia_runs_add(&self.runs, self.level_of(value), 1)

    def add_many(self, values):
        """Counts numbers in, float64[n] in the order of time; their scores, numpy float64[n]. ValueError naming the
        place of a NaN; then none is counted."""
        return self._follow(values, 1)

    def score_many(self, values):
        """The scores that `add_many` gives where no number counts: the run goes on, what was counted stays."""
        return self._follow(values, 0)

    cdef _follow(self, values, uint32_t weight):
        import numpy

        cdef Block block, target
        cdef Py_ssize_t i
        cdef const double *numbers
        open_block(&block, values, "values", F64, 1, 1, 8, False)
        try:
            numbers = <const double *>block.data
            for i in range(block.columns):
                if isnan(numbers[i]):
                    raise ValueError(f"values: element {i} is NaN, which has no level")
            scores = numpy.empty(block.columns)
            open_block(&target, scores, "scores", F64, 1, 1, 8, True)
            with nogil:
                for i in range(block.columns):
                    (<double *>target.data)[i] = sophia_runs_add(&self.runs, self.level_of(numbers[i]), weight)
            close_block(&target)
            return scores
        finally:
            close_block(&block)

    def pause(self):
        """Ends the present run: what comes next does not follow on what was last (a gap, another source)."""
        self.runs.known = 0

    def dump(self):
        """What was counted, as bytes: the present run, and 8 bytes for each run that was ever seen."""
        import numpy

        cdef uint32_t k
        parts = [self.runs.known.to_bytes(8, "little"), self.runs.recent.to_bytes(8, "little")]
        for k in range(self.runs.longest):
            counts = numpy.frombuffer((<char *>self.runs.counts[k])[:self.runs.sizes[k] * sizeof(uint32_t)], "<u4")
            seen = numpy.flatnonzero(counts)
            parts.append(len(seen).to_bytes(8, "little"))
            parts.append(seen.astype("<u4").tobytes())
            parts.append(counts[seen].tobytes())
        return b"".join(parts)

    def restore(self, bytes data not None):
        """Takes what :meth:`dump` gave in place of what was counted so far. ValueError for other bytes; then nothing is
        changed."""
        import numpy

        cdef uint32_t k
        cdef const uint32_t *seen
        cdef const uint32_t *counts
        cdef Py_ssize_t at = 16, size, i
        known, recent = int.from_bytes(data[:8], "little"), int.from_bytes(data[8:16], "little")
        sound = len(data) >= 16 and known <= self.runs.longest and recent < self.runs.sizes[self.runs.longest - 1]
        places = []
        for k in range(self.runs.longest):
            size = int.from_bytes(data[at:at + 8], "little") if sound and len(data) >= at + 8 else 1 << 32
            sound = size <= <Py_ssize_t>self.runs.sizes[k] and len(data) >= at + 8 + 8 * size
            if not sound:
                break
            found = numpy.frombuffer(data, "<u4", size, at + 8)
            sound = not size or (int(found[-1]) < self.runs.sizes[k] and bool((found[1:] > found[:-1]).all()))
            places.append((at + 8, size))
            at += 8 + 8 * size
        if not sound or at != len(data):
            raise ValueError(f"data: {len(data)} bytes, which are no counts of {self.runs.levels} levels and runs of "
                             f"{self.runs.longest}")
        self.runs.known = known
        self.runs.recent = recent
        for k, (start, count) in enumerate(places):
            memset(self.runs.counts[k], 0, self.runs.sizes[k] * sizeof(uint32_t))
            at, size = start, count
            seen = <const uint32_t *>(<const char *>data + at)
            counts = seen + size
            for i in range(size):
                self.runs.counts[k][seen[i]] = counts[i]

    def __repr__(self):
        return f"<RunCounts of {self.levels} levels from {self.low:g} to {self.high:g}, runs of {self.longest}>"
