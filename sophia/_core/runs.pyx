# cython: auto_pickle=False
"""How unusual the latest run of levels of a number is, by how often it was seen before."""

cimport cython
from libc.math cimport isfinite, isnan
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

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
        if not (isfinite(low) and isfinite(high) and low < high):
            raise ValueError(f"low is {low!r}, high is {high!r}; they must be finite, and high the larger")
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
        return sophia_runs_add(&self.runs, self.level_of(value))

    def add_many(self, values):
        """Counts numbers in, float64[n] in the order of time; their scores, numpy float64[n]. ValueError naming the
        place of a NaN; then none is counted."""
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
                    (<double *>target.data)[i] = sophia_runs_add(&self.runs, self.level_of(numbers[i]))
            close_block(&target)
            return scores
        finally:
            close_block(&block)

    def pause(self):
        """Ends the present run: what comes next does not follow on what was last (a gap, another source)."""
        self.runs.known = 0

    def dump(self):
        """What was counted, as bytes."""
        cdef uint32_t k
        parts = [self.runs.known.to_bytes(8, "little"), self.runs.recent.to_bytes(8, "little")]
        for k in range(self.runs.longest):
            parts.append((<char *>self.runs.counts[k])[:self.runs.sizes[k] * sizeof(uint32_t)])
        return b"".join(parts)

    def restore(self, bytes data not None):
        """Takes what :meth:`dump` gave in place of what was counted so far. ValueError for other bytes."""
        cdef uint32_t k
        cdef const char *held = data
        cdef size_t at = 16, size
        expected = 16 + sum(4 * self.runs.levels ** (k + 1) for k in range(self.runs.longest))
        known, recent = int.from_bytes(data[:8], "little"), int.from_bytes(data[8:16], "little")
        if len(data) != expected or known > self.runs.longest or recent >= self.runs.levels ** self.runs.longest:
            raise ValueError(f"data: {len(data)} bytes, which are no counts of {self.runs.levels} levels and runs of "
                             f"{self.runs.longest}")
        self.runs.known = known
        self.runs.recent = recent
        for k in range(self.runs.longest):
            size = self.runs.sizes[k] * sizeof(uint32_t)
            memcpy(self.runs.counts[k], held + at, size)
            at += size

    def __repr__(self):
        return f"<RunCounts of {self.levels} levels from {self.low:g} to {self.high:g}, runs of {self.longest}>"
