"""What encoders of whole batches have in common."""

from sophia._core.arena cimport HDCArena
from sophia._core.vector cimport Hypervector


# What a result is: packed bits (BSC), signs (MAP), or sums scaled so that the largest magnitude is 127.
cdef enum:
    PACKED
    SIGNS
    GRADED


cdef class Job:
    """A batch that is being encoded: a subclass is called with a range of its inputs, from any thread."""

    cdef int form
    cdef char *target       # of the first result; NULL but while run() or run_one() runs
    cdef size_t step        # bytes from one result to the next

    # Makes n results of `dim` components in `out` (None: a new matrix, uint8[n, padded bytes] for PACKED, else
    # int8[n, dim]) and returns it; `workers` threads. ShapeError where `out` is no such matrix,
    # ValueError where an input lies in it.
    cdef object run(self, Py_ssize_t n, size_t dim, object out, object workers)

    # Makes the one result as a Hypervector of `model` (packed bits or signs): `out`, or a new one of `arena`.
    cdef Hypervector run_one(self, int model, size_t dim, object out, HDCArena arena)

    # TypeError unless the job runs: a subclass asks before it reads or writes anything.
    cdef int ready(self) except -1

    # Whether an input lies in the memory from `start` to `end`; a subclass knows.
    cdef bint reads(self, const char *start, const char *end) noexcept
