"""How often patterns come, for C callers: what is kept of each."""

from libc.stdint cimport int64_t, uint64_t


cdef struct sophia_usual:  # as it lies in a dump: little-endian, eight bytes each
    uint64_t key
    uint64_t count     # but for windows that are open
    double first
    double last
    double minute      # the last one in which it came ended
    double reach       # the longest gap that is remembered, see _MEMORY
    double peak        # the longest gap that was no alarm, see _PEAK
    uint64_t number    # of gaps in all; the rings hold the last ones
    uint64_t most      # in a window
    uint64_t windows
    uint64_t days
    int64_t day
    uint64_t turn
    uint64_t hours[24]


cdef struct sophia_deadline:
    double due
    uint64_t key


cdef class _Usual:
    """What is usual of a pattern in all sources, or of one source. Owns its rings."""

    cdef sophia_usual row
    # 3 * size: the last gaps, once known in usual hours alone; seconds of the source in between that said something;
    # the gaps as a calendar has them
    cdef float *rings
    cdef int size         # a power of two
    cdef double longest   # the most in the rings
    cdef double between
    cdef double limit     # of a window
    cdef bint changed

    cdef void learn(self, double gap, double others, double wall, bint alarmed) noexcept
    cdef void came(self, double moment) noexcept
    cdef void close(self, uint64_t number) noexcept
    cdef void set_limit(self) noexcept
    cdef double middle(self) noexcept
    cdef double patience(self) noexcept
    cdef bint partly(self) noexcept
    cdef double awake(self, double since, double moment) noexcept
    cdef void restore(self, const char *data) noexcept


cdef class _Last:
    """The last coming of a pattern in a source."""

    cdef _Usual usual
    cdef readonly double moment
    cdef readonly double clock     # of its source
    cdef readonly uint64_t second  # of its source
    cdef readonly double end       # what comes before it needs no thought
    cdef double gap_end            # the last gap that was of no burst ended
    cdef readonly double due       # when its silence is looked at, by the clock
    cdef readonly double window    # the minute began
    cdef readonly uint64_t n
    cdef readonly bint loud
    cdef readonly bint silent
    cdef bint changed


cdef class _Source:
    """An input with a clock of its own: its event time without what was unusually long. Owns its deadlines."""

    cdef readonly object name
    cdef readonly _Usual usual
    cdef readonly double moment
    cdef readonly double end
    cdef readonly double skipped
    cdef readonly double held          # an event time that is too far away, for now; `holds` in a row agree
    cdef readonly int holds
    cdef readonly double was           # what comes before it was heard before
    cdef readonly uint64_t second      # how many seconds said something
    cdef readonly uint64_t turn
    cdef bint anew
    cdef readonly dict lasts           # of _Last, by pattern
    cdef double due                    # the first of the deadlines
    cdef sophia_deadline *deadlines    # a heap: of two at a time the smaller pattern first
    cdef Py_ssize_t waiting, room      # deadlines that are used, that there is memory for

    cdef void begin(self, double moment)
    cdef double going(self, double gap) noexcept
    cdef object pass_to(self, double moment)
    cdef bint off(self, double moment) noexcept
    cdef void put_back(self, double moment) noexcept
    cdef object find_quiet(self, double since, double moment)
    cdef int wake(self, _Last last, double due) except -1
    cdef int push(self, double due, uint64_t key) except -1
    cdef sophia_deadline pop(self) noexcept


cdef class RhythmTable:
    """Not thread-safe; every method holds the GIL."""

    cdef readonly dict _usual          # of _Usual, by pattern
    cdef readonly dict _sources        # of _Source, by name
    cdef readonly object _waiting      # an OrderedDict: how often patterns without a row came
    cdef readonly uint64_t _turn
    cdef bint _track
    # What changes() has to tell.
    cdef readonly list _lasts          # (source, last)
    cdef readonly list _changed        # of _Usual
    cdef readonly object _met          # an OrderedDict, as _waiting
    cdef readonly dict _gone
    cdef readonly dict _closed
    cdef readonly dict _touched

    cdef list observe_one(self, _Source one, object pattern, double moment, bint alarming)
    cdef _Source source_of(self, object source, double moment)
    cdef int begin(self, _Source one, double moment) except -1
    cdef int touch(self, _Source one) except -1
    cdef int keep(self, _Source one, _Last last) except -1
    cdef int mark(self, _Usual usual) except -1
    cdef int visit(self, _Source one, _Last last, double moment, double clock) except -1
    cdef list silences(self, _Source one, double moment, double clock)
    cdef _Last meet(self, _Source one, object pattern, double moment, double clock)
    cdef bytes pack(self, list gone, list closed, list waiting, list sources, list usual, list lasts)
    cdef int unpack(self, bytes data, Py_ssize_t at) except -1
