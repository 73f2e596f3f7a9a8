# cython: annotation_typing=False
# (with it, a parameter that is annotated as an int would cut fractions off)
"""Kernels on native threads: one worker a core, which steal from each other and never take the GIL.

For work of more than some 20 us: scans of many rows, bundles of many vectors. Shorter work costs less where it is, and
a pool does it there (`inline_below`). Operands are read in place: numpy rows, memory maps, SharedVectors.
"""

cimport cython
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, uint64_t

from sophia._core.job cimport (
    SOPHIA_FULL,
    SOPHIA_TAKEN,
    Completions,
    Job,
    sophia_job,
    sophia_job_run_here,
    sophia_workers_submit,
)
from sophia._core.kernel_job cimport bind_job, bundle_job, distances_job, nearest_job, similarities_job
from sophia._core.vector cimport whole

import atexit
import os
import sys
import weakref
from time import monotonic

from sophia.errors import ActorStopped, MailboxFull

cdef extern from "workers.h" nogil:
    ctypedef struct sophia_worker:
        uint64_t runs, steals, parks
        int32_t pinned
    ctypedef struct sophia_workers_struct "sophia_workers":
        sophia_worker *each
        int32_t count
        uint64_t full
    enum:
        SOPHIA_WORKERS_MOST
    const size_t SOPHIA_RING_MOST
    uint64_t sophia_read(uint64_t *counter) noexcept

# Work that takes longer lets other threads in, when it is done by the caller.
cdef double _LET_OTHERS_IN = 5e-6

cdef double _AT_EXIT = 2.0      # seconds for what the pools still have to do when the interpreter ends

cdef object _pools = weakref.WeakSet()


def _close_all() -> None:
    """At exit, before the interpreter ends: no thread of a pool outlives it. All of them have one time together."""
    end = monotonic() + _AT_EXIT
    for pool in list(_pools):
        try:
            pool.close(max(0.0, end - monotonic()))
        except Exception:       # of an event loop that waited for one; the others are closed all the same
            sys.excepthook(*sys.exc_info())


atexit.register(_close_all)     # before any thread of a pool is started


cdef size_t power(object capacity) except 0:
    cdef size_t room = 2
    capacity = whole(capacity, "capacity")
    if not 2 <= capacity <= SOPHIA_RING_MOST:
        raise ValueError(f"capacity: {capacity} is outside 2..{SOPHIA_RING_MOST}")
    while room < <size_t>capacity:
        room *= 2
    return room


cdef double _seconds(object value, str name) except -1.0:
    cdef double seconds
    try:
        seconds = value
    except TypeError:
        raise TypeError(f"{name}: {value!r:.80} is no number of seconds from 0 to 1e9") from None
    except OverflowError:
        seconds = -1.0
    if not 0.0 <= seconds <= 1e9:       # NaN too
        raise ValueError(f"{name}: {value!r:.80} is no number of seconds from 0 to 1e9")
    return seconds


@cython.final
cdef class KernelPool:
    """Native threads for the kernels of this package: `workers` of them, one a core of this process by default.

    Each method gives a :class:`~sophia._core.job.Job`: await it in an event loop, or take its `result()` in any
    thread. Work that is estimated to take less than `inline_below` seconds is done at once, by the caller; 0 gives all
    of it to the workers. At most `capacity` jobs wait (rounded up to a power of two): beyond that MailboxFull is
    raised, and the job was not taken. `pin` ties worker i to the i-th processor that this process may use; where the
    system refuses, the worker runs unpinned and stats() says so.

    Workers share their work by stealing, sleep when there is none, and never take the GIL. After a fork the child's
    copy raises PoolForked. A pool is a context manager; one that is dropped, or open at exit, closes itself (at
    exit all of them have 2 s together).

    Thread-safety: any thread may call anything, and several event loops may share a pool.

        >>> from sophia._core import hdc
        >>> items = hdc.random_rows(100, "items")
        >>> with KernelPool(workers=1, inline_below=0) as pool:
        ...     distances, rows = pool.nearest(hdc.random("items", 42), items, 1).result()
        >>> int(distances[0]), int(rows[0])
        (0, 42)
    """

    def __init__(self, workers: int | None = None, *, pin: bool = False, capacity: int = 1024,
                 inline_below: float = 20e-6):
        cdef int32_t processors[SOPHIA_WORKERS_MOST]
        cdef int32_t i, count
        cdef size_t room = power(capacity)
        if self.workers != NULL:
            raise TypeError("KernelPool: already initialised")
        self.inline_below = _seconds(inline_below, "inline_below")
        usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        number = len(usable) if workers is None else whole(workers, "workers")
        if not 1 <= number <= SOPHIA_WORKERS_MOST:
            raise ValueError(f"workers: {number} is outside 1..{SOPHIA_WORKERS_MOST}")
        count = number
        for i in range(count):
            processors[i] = usable[i % len(usable)] if pin else -1
        self.completions = Completions.__new__(Completions)
        with nogil:
            self.workers = sophia_workers_open(count, room, processors)
        if self.workers == NULL:
            raise MemoryError(f"KernelPool: the system gives no {count} threads, or no memory for their queues")
        _pools.add(self)

    def __enter__(self) -> KernelPool:
        self.check()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.close()

    def __del__(self):
        self.close()

    def __dealloc__(self):
        if self.workers != NULL:
            sophia_workers_free(self.workers)

    cdef int check(self) except -1:
        if self.workers == NULL:
            raise TypeError("KernelPool: made by __new__ and never started")
        self.completions.check()
        return 0

    cdef int32_t take_home(self, object home) except -2:
        cdef int32_t count = (<sophia_workers_struct *>self.workers).count
        if home is None:
            return -1
        home = whole(home, "home")
        if not 0 <= home < count:
            raise ValueError(f"home: {home} is no worker's number, 0..{count - 1}")
        return home

    cdef Job launch(self, Job job):
        cdef sophia_job *core = &job.task.job
        cdef int said
        job.completions = self.completions
        self.completions.take()
        self.asked += 1
        if self.closed:
            self.refused += 1
            raise ActorStopped("pool: closed; it takes no more jobs")
        if job.cost < self.inline_below:
            if job.cost > _LET_OTHERS_IN:
                with nogil:
                    sophia_job_run_here(core)
            else:
                sophia_job_run_here(core)
            self.here += 1
            return job
        job.task.owner = <void *>job
        Py_INCREF(job)          # the workers'; given back by Completions.take()
        said = sophia_workers_submit(self.workers, &core.runnable)
        if said == SOPHIA_TAKEN:
            return job
        Py_DECREF(job)
        if said == SOPHIA_FULL:
            raise MailboxFull(
                "pool: as many jobs wait as it has room for; this one was not taken: wait for some, or make the pool "
                "with more capacity"
            )
        self.refused += 1
        raise ActorStopped("pool: closed; it takes no more jobs")

    def distances(self, query: object, rows: object, out: object = None, *, dim: int | None = None) -> Job:
        """A Job for uint32[n]: in how many bits `query` and each of n rows differ; as hdc.hamming().

        `query` is a vector or uint8[1280], uint64[160]; `rows` uint8[n, 1280], uint64[n, 160] or a list of
        SharedVectors (other lengths with `dim`). `out` (uint32[n], C-contiguous) takes the result. Raises ShapeError,
        TypeError, ValueError, MailboxFull, ActorStopped, PoolForked; a padding bit in a row is the result's error.

            >>> from sophia._core import hdc
            >>> with KernelPool(1) as pool:
            ...     int(pool.distances(hdc.random("a"), [hdc.random("a").freeze()]).result()[0])
            0
        """
        self.check()
        return self.launch(distances_job(&self.completions.done, query, rows, out, dim))

    def nearest(self, query: object, rows: object, k: int = 10, *, dim: int | None = None) -> Job:
        """A Job for (uint32[k] distances, int64[k] row numbers), nearest first; exactly what hdc.topk() gives.

        Operands and errors as for distances().
        """
        self.check()
        return self.launch(nearest_job(&self.completions.done, query, rows, k, dim))

    def bind(self, a: object, b: object, *, dim: int | None = None) -> Job:
        """A Job for what hdc.bind() gives: a Hypervector of two vectors, or a matrix if there is one among them.

        BSC or MAP; a list of SharedVectors counts as a matrix. Raises ShapeError and what distances() does.
        """
        self.check()
        return self.launch(bind_job(&self.completions.done, a, b, dim))

    def bundle(self, rows: object, *, dim: int | None = None) -> Job:
        """A Job for the Hypervector that hdc.bundle(rows) gives: the majority of a matrix or list of SharedVectors.

        BSC or MAP, one vote a row. Raises ShapeError and what distances() does, ValueError for no rows.
        """
        self.check()
        return self.launch(bundle_job(&self.completions.done, rows, dim))

    def similarities(self, queries: object, rows: object) -> Job:
        """A Job for float64[m, n]: the cosines of m K-Vectors and n, as kindex.similarities().

        `queries` is float64[m, 8], `rows` float64[n, 8]; NaN where a dimension is missing. Raises what distances()
        does.
        """
        self.check()
        return self.launch(similarities_job(&self.completions.done, queries, rows))

    def actor(self, kind: object, *arguments: object, **settings: object) -> object:
        """An actor of this pool: `kind(self, ...)`, of the kinds in :mod:`sophia._core.kernel_actor`."""
        self.check()
        return kind(self, *arguments, **settings)

    def stats(self) -> dict[str, object]:
        """What the pool has done so far.

        `asked` = `done` + `cancelled` + `refused` + `waiting`, exactly: jobs. `inline` of those done were so at once,
        by the caller; `cancelled` has what a close dropped, too; `full` of those refused found no room; `waiting` are
        queued or run. `bell_writes`: how often event loops were called. `workers`: of each its `runs` (of cancelled
        jobs and of actors, too), what it `stole`, how often it `parked`, and the processor it is `pinned` to, or None.
        """
        cdef sophia_workers_struct *state = <sophia_workers_struct *>self.workers
        cdef uint64_t done, cancelled, full
        cdef sophia_worker *worker
        cdef int32_t i
        self.check()
        full = sophia_read(&state.full)
        done = self.here + sophia_read(&self.completions.done.done)
        cancelled = sophia_read(&self.completions.done.cancelled)
        each = []
        for i in range(state.count):
            worker = &state.each[i]
            each.append({
                "runs": sophia_read(&worker.runs),
                "stole": sophia_read(&worker.steals),
                "parked": sophia_read(&worker.parks),
                "pinned": worker.pinned if worker.pinned >= 0 else None,
            })
        refused = self.refused + full
        return {
            "asked": self.asked,
            "done": done,
            "cancelled": cancelled,
            "refused": refused,
            "waiting": self.asked - done - cancelled - refused,
            "inline": self.here,
            "full": full,
            "bell_writes": self.completions.rung(),
            "workers": each,
        }

    def close(self, timeout: float = 5.0) -> None:
        """Takes no more jobs, lets the workers finish for at most `timeout` seconds, drops the rest, ends the threads.

        Who waits for a dropped job gets ActorStopped; one that runs is cut short within some milliseconds and dropped
        as well. Waits without the GIL. A second call returns at once, and so does one in a forked child, where nothing
        is left to be closed.
        """
        cdef long long nanoseconds = <long long>(_seconds(timeout, "timeout") * 1e9)
        if self.workers == NULL or self.closed:
            return
        self.closed = True
        if self.completions.forked():
            return
        with nogil:
            sophia_workers_close(self.workers, nanoseconds)
        self.completions.shut()
