"""A trained router for C callers: a readout, and what its scores mean.

An IntentModel never changes after it was made, so any number of threads may judge with one.
"""

from libc.stdint cimport uint32_t

from sophia._core.readout cimport Readout


# Why an intent is taken, or none is.
cdef enum:
    INTENT_ROUTE = 0
    INTENT_LOW_CONFIDENCE
    INTENT_OUT_OF_SCOPE


# What a model says of one text. Without any feature `seen` is 0, and best and second mean nothing.
cdef struct sophia_intent:
    uint32_t best
    uint32_t second     # equal to best where there is one route
    uint32_t seen
    int why
    bint safe           # the best route may be handled by reflex
    double confidence
    double score
    double second_score


cdef class IntentModel:
    cdef readonly Readout readout
    cdef readonly tuple names
    cdef readonly str version
    cdef readonly double slope
    cdef readonly double offset
    cdef double *_thresholds    # one a route
    cdef unsigned char *_safe   # one a route
    # Never fails: what cannot be judged is out of scope.
    cdef void judge(self, const unsigned char *text, size_t size, sophia_intent *out) noexcept nogil
    cdef object intent_of(self, const sophia_intent *judged)
    cdef object runner_up_of(self, const sophia_intent *judged)
