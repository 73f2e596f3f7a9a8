"""The routing rule for C callers, and the object that carries its outcome."""

from libc.stdint cimport uint64_t

from sophia._core.vector cimport SharedVector


cdef extern from "salience.h" nogil:
    enum:
        SOPHIA_REFLEX
        SOPHIA_CORTICAL
        SOPHIA_DEEP_THOUGHT
        SOPHIA_ALLOW
        SOPHIA_FLAG
        SOPHIA_VETO
        SOPHIA_UNJUDGED
        SOPHIA_ROUTED  # in the order of intent.pxd
        SOPHIA_WHY_NOVEL
        SOPHIA_WHY_ERROR
        SOPHIA_WHY_TOO_LONG
        SOPHIA_WHY_EMPTY
        SOPHIA_WHY_INVALID

    cdef struct sophia_policy:
        double reflex_confidence
        double cortical_confidence
        double complex_limit
        int reflex_safe
        int danger_verdict
        int alarm_verdict
        int gestating
        double suspicion_limit

    cdef struct sophia_evidence:
        int fault
        int danger
        int alarm
        int repeat
        int withheld
        int familiar
        double count
        double closeness
        double complexity
        int judged
        int intent_safe
        double intent_confidence
        double suspicion

    cdef struct sophia_outcome:
        int route
        int why
        int verdict
        double confidence
        double novelty

    bint sophia_has_controls(const unsigned char *text, size_t size)
    bint sophia_only_blanks(const unsigned char *text, size_t size)
    double sophia_complexity(const unsigned char *text, size_t size)
    sophia_outcome sophia_decide(const sophia_evidence *seen, const sophia_policy *policy)


cdef class Decision:
    cdef readonly uint64_t n
    cdef readonly str text
    cdef readonly str scope
    cdef readonly str context
    cdef readonly object ts
    cdef readonly object danger
    cdef readonly object answer
    cdef readonly SharedVector vector
    cdef readonly double novelty
    cdef readonly double confidence
    cdef readonly double complexity
    cdef readonly double closeness
    cdef readonly uint64_t earlier
    cdef readonly uint64_t earlier_same
    cdef readonly int accepted
    cdef readonly int accepted_same
    cdef readonly double us
    cdef double _danger_score  # -1: nobody asked for it
    cdef readonly str policy_version
    cdef readonly str intent
    cdef readonly str runner_up
    cdef readonly str model
    cdef readonly str session
    cdef readonly tuple session_novel
    cdef readonly str sensor
    cdef readonly str channel
    cdef readonly bint resting
    cdef double _anomaly
    cdef str _id
    cdef str _source
    cdef str _like      # a memory that the text is like, and how much
    cdef double _likeness
    cdef uint64_t _run
    cdef uint64_t _pattern
    cdef bint _line
    cdef object _scale      # what it is measured by when somebody asks; None before birth
    cdef object _salience   # once somebody has
    cdef uint64_t _seen     # inputs of its kind before it, and how many of them its danger rule had hit
    cdef uint64_t _hits
    cdef double _alarm      # at least so urgent
    cdef double _moment     # seconds since 1970; 0: its input names no time
    cdef readonly bint audit
    cdef readonly bint withheld
    cdef int _agrees
    cdef int _route
    cdef int _why
    cdef int _verdict
