"""The jobs that a native pool can be given: made here, with their results to come back through `done`."""

from sophia._core.job cimport Job, sophia_done
from sophia._core.rows cimport Rows


# One vector, a matrix, or the vectors of a list, which nobody copies: then `list` is not NULL.
cdef struct Operand:
    Rows rows
    const void **list
    size_t n

# A list as a tuple, so that what is borrowed from it stays; anything else as it is.
cdef object held(object source)

# The rows of searches of which each gives `k`, checked; until close_operand(), which is safe twice. Keep held(rows).
cdef int open_table(Operand *table, object rows, object k, object dim) except -1
cdef void close_operand(Operand *operand) noexcept

# Raise what the methods of KernelPool say.
cdef Job distances_job(sophia_done *done, object query, object rows, object out, object dim)
cdef Job nearest_job(sophia_done *done, object query, object rows, object k, object dim)
cdef Job bind_job(sophia_done *done, object a, object b, object dim)
cdef Job bundle_job(sophia_done *done, object rows, object dim)
cdef Job similarities_job(sophia_done *done, object queries, object rows)

# In a table that `owner` holds open; the job keeps the owner.
cdef Job nearest_in(sophia_done *done, object query, const Operand *table, object k, object owner)
