"""Circuit breakers: what include/breaker.h has for the class, and the class."""

from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from "breaker.h" nogil:
    double SOPHIA_BREAKER_TICKS
    uint64_t SOPHIA_BREAKER_TIME
    enum:
        SOPHIA_BREAKER_MOST
        SOPHIA_BREAKER_CLOSED
        SOPHIA_BREAKER_OPEN
        SOPHIA_BREAKER_IDLE
        SOPHIA_BREAKER_PROBING
        SOPHIA_BREAKER_LATE
        SOPHIA_BREAKER_FULL

    ctypedef struct sophia_breaker:
        pass

    ctypedef struct sophia_breaker_numbers:
        uint64_t word, calls, failures, slow, refused, late, abandoned, opened, probes, given_up
        uint32_t window_calls, window_failures

    unsigned sophia_breaker_state(uint64_t word)
    uint64_t sophia_breaker_clock()
    sophia_breaker *sophia_breaker_new(
        double rate, uint64_t window, uint64_t minimum, uint64_t open, uint64_t most, uint64_t probe
    )
    void sophia_breaker_free(sophia_breaker *breaker)
    uint64_t sophia_breaker_word(sophia_breaker *breaker)
    uint64_t sophia_breaker_since(sophia_breaker *breaker)
    int64_t sophia_breaker_closed(sophia_breaker *breaker)
    uint64_t sophia_breaker_elapsed(uint64_t word, uint64_t since, uint64_t now)
    uint64_t sophia_breaker_left(const sophia_breaker *breaker, uint64_t word, uint64_t since, uint64_t now)
    int64_t sophia_breaker_ask(
        sophia_breaker *breaker, uint64_t word, uint64_t since, uint64_t now, uint64_t *left
    )
    int sophia_breaker_record(sophia_breaker *breaker, uint64_t ticket, bint failed)
    bint sophia_breaker_open(sophia_breaker *breaker, uint64_t ticket, uint64_t now)
    bint sophia_breaker_probed(sophia_breaker *breaker, uint64_t ticket, bint failed, uint64_t now)
    void sophia_breaker_abandon(sophia_breaker *breaker, uint64_t ticket)
    uint64_t sophia_breaker_force(sophia_breaker *breaker, unsigned state, uint64_t now)
    void sophia_breaker_slow(sophia_breaker *breaker)
    void sophia_breaker_tell(sophia_breaker *breaker, sophia_breaker_numbers *numbers)


cdef class CircuitBreaker:
    cdef sophia_breaker *core
    cdef double slow  # seconds; infinite where no call is slow
    cdef bint native_clock
    cdef readonly str name
    cdef readonly object clock
    cdef readonly double failure_rate
    cdef readonly Py_ssize_t window
    cdef readonly Py_ssize_t minimum_calls
    cdef readonly double open_seconds
    cdef readonly double open_most
    cdef readonly object slow_seconds
    cdef readonly double probe_seconds
    cdef tuple _subscribers  # replaced as a whole; taken and replaced in a critical section
    cdef uint64_t _errors    # of subscribers; changed in a critical section

    cdef int64_t now(self) except -1
    cdef int64_t ask(self, uint64_t *left) except -2  # a ticket, or -1
    cdef int result(self, int64_t ticket, bint failed, object seconds) except -1
    cdef int opened(self, int64_t ticket) except -1  # after SOPHIA_BREAKER_FULL
    cdef int announce(self, str old, str new, str reason) except -1
    cdef object refusal(self, uint64_t left)
