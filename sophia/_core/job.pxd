"""Jobs of a native pool as Python sees them, and how their results come back."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t


cdef extern from "workers.h" nogil:
    ctypedef struct sophia_workers:
        pass
    enum:
        SOPHIA_TAKEN
        SOPHIA_FULL
        SOPHIA_CLOSED
    ctypedef struct sophia_runnable:
        int (*run)(sophia_runnable *runnable, sophia_workers *workers) noexcept nogil
        int32_t home
    bint sophia_workers_abandoned(sophia_workers *workers) noexcept
    int sophia_workers_submit(sophia_workers *workers, sophia_runnable *runnable) noexcept
    uint32_t sophia_forks_seen() noexcept


cdef extern from "job.h" nogil:
    enum:
        SOPHIA_JOB_DONE
        SOPHIA_JOB_CANCELLED
    ctypedef struct sophia_ear:
        pass
    ctypedef struct sophia_done:
        uint64_t done, cancelled
    ctypedef struct sophia_job:
        sophia_runnable runnable
        sophia_job *next
    void sophia_job_open(sophia_job *job, int (*work)(sophia_job *, sophia_workers *) noexcept nogil,
                         sophia_done *done, int32_t home) noexcept
    void sophia_job_run_here(sophia_job *job) noexcept
    uint32_t sophia_job_phase(sophia_job *job) noexcept
    bint sophia_job_finished(sophia_job *job) noexcept
    bint sophia_job_listen(sophia_job *job, sophia_ear *ear) noexcept
    sophia_ear *sophia_job_answer(sophia_job *job) noexcept
    bint sophia_job_cancel(sophia_job *job) noexcept
    void sophia_job_wait(sophia_job *job, int64_t nanoseconds) noexcept
    sophia_job *sophia_done_take(sophia_done *done) noexcept
    sophia_ear *sophia_ear_new() noexcept
    void sophia_ear_ring(sophia_ear *ear) noexcept
    void sophia_ear_release(sophia_ear *ear) noexcept


# What a worker sees of a Job; a subclass continues it with its operands.
cdef struct Task:
    sophia_job job
    void *owner         # the Job


# Where one event loop hears that jobs are done: the loop's reader of a descriptor.
cdef class Ear:
    cdef sophia_ear *ear
    cdef object loop
    cdef Completions completions
    cdef list ready             # futures of this loop whose jobs have been answered

    cdef int resolve(self) except -1
    cdef int shut(self) except -1
    cdef uint64_t rung(self) noexcept


# The finished jobs of one pool, and the event loops that wait for some.
cdef class Completions:
    cdef sophia_done done
    cdef dict ears              # by id of the loop
    cdef uint64_t rung_before   # of ears that are gone
    cdef uint32_t forks

    # Gives back what the workers have put on the list: futures are made ready, operands let go.
    cdef int take(self) except -1
    cdef Ear ear_here(self)
    cdef bint forked(self) noexcept     # this process is a child of the one that has the workers
    cdef int check(self) except -1      # PoolForked then
    cdef uint64_t rung(self)
    cdef int shut(self) except -1       # when no worker runs any more


cdef class Job:
    cdef Task *task             # a subclass has it, opened
    cdef double cost            # seconds, as estimated
    cdef Completions completions
    cdef Ear ear                # of the one loop in which the job is awaited
    cdef list futures
    cdef object kept            # what the operands belong to, until no worker touches them any more
    cdef object out, value, error
    cdef uint32_t waiting       # tasks that await it, threads in result()
    cdef bint settled, made

    # For a subclass: raises what the work found wrong with the operands. Any thread may ask, and more than one.
    cdef int verify(self) except -1
    # For a subclass: lets the operands go, when no worker touches them any more. May be called again.
    cdef void drop(self) noexcept
    # For a subclass: the value of a job that is done; without it, that is `out`. More than one thread may make one.
    cdef object make(self)

    cdef int _ready(self) except -1
    cdef object _future(self)
    cdef int settle(self) except -1
    cdef int tell(self) except -1
    cdef object outcome(self, bint awaited)
