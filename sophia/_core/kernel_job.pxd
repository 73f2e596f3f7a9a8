"""The jobs that a native pool can be given: made here, with their results to come back through `done`."""

from sophia._core.job cimport Job, sophia_done


# Raise what the methods of KernelPool say.
cdef Job distances_job(sophia_done *done, object query, object rows, object out, object dim)
cdef Job nearest_job(sophia_done *done, object query, object rows, object k, object dim)
cdef Job bind_job(sophia_done *done, object a, object b, object dim)
cdef Job bundle_job(sophia_done *done, object rows, object dim)
cdef Job similarities_job(sophia_done *done, object queries, object rows)
