"""Actors whose handlers are kernels, for compiled callers."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint64_t

from sophia._core.cpu cimport sophia_hv_kernels
from sophia._core.job cimport Job, sophia_workers
from sophia._core.kernel_job cimport Operand
from sophia._core.pool cimport KernelPool


cdef extern from "actor.h" nogil:
    ctypedef struct sophia_message:
        uint64_t words[3]
    ctypedef struct sophia_actor:
        void *state
        uint64_t sent, handled, dropped


# What a Bundler counts; only whoever runs the actor touches it.
cdef struct Tally:
    const sophia_hv_kernels *kernels
    int32_t *sums
    int8_t *signs
    size_t dim
    int model
    int64_t net             # the sum of the weights


cdef class KernelActor:
    cdef sophia_actor *actor        # ours; freed when no worker touches it
    cdef KernelPool pool
    cdef uint64_t refused

    cdef int open(self, KernelPool pool, void *state, object home, object capacity) except -1
    # 0, or MailboxFull, ActorStopped, PoolForked: the message was not taken.
    cdef int send(self, sophia_message *message) except -1
    cdef Job ask(self, Job job)
    cdef int check(self) except -1
    cdef void wait(self) noexcept


cdef class Bundler(KernelActor):
    cdef Tally tally
    cdef uint64_t total             # of the absolute weights that were sent


cdef class Searcher(KernelActor):
    cdef Operand rows
    cdef object kept
    cdef object k
