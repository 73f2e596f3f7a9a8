# cython: annotation_typing=False
# (with it, a parameter that is annotated as an int would cut fractions off)
"""Actors whose handlers are kernels: state that one worker at a time touches, without a lock and without the GIL.

A message is 24 bytes of C; a vector in it is a SharedVector's own block, counted in C. Messages of one sender are
handled in their order. An actor has a bounded mailbox: what finds no room in it is refused.
"""

cimport cython
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free

from sophia._core cimport cpu
from sophia._core.hdc cimport sophia_b1_to_i8, sophia_i8_to_b1, sophia_magnitude
from sophia._core.job cimport Task, sophia_job, sophia_job_open, sophia_runnable
from sophia._core.kernel_job cimport close_operand, held, nearest_in, open_table
from sophia._core.pool cimport power
from sophia._core.vector cimport (
    SOPHIA_BSC,
    Hypervector,
    SharedVector,
    alive,
    check_dim,
    model_code,
    model_name,
    new_vector,
    release,
    sophia_shared,
    sophia_shared_bytes,
    sophia_shared_retain,
    whole,
)

from sophia.errors import ActorStopped, MailboxFull, ShapeError

cdef extern from "actor.h" nogil:
    ctypedef bint flag "bool"
    sophia_actor *sophia_actor_new(
        flag (*handle)(sophia_actor *, const sophia_message *, sophia_workers *) noexcept nogil, void *state,
        size_t capacity, int32_t home) noexcept
    flag sophia_actor_send(sophia_actor *actor, const sophia_message *message, sophia_workers *workers) noexcept
    void sophia_actor_wait(sophia_actor *actor, sophia_workers *workers) noexcept
    void sophia_actor_free(sophia_actor *actor) noexcept
    uint64_t sophia_read(uint64_t *counter) noexcept
    flag sophia_workers_abandoned(sophia_workers *workers) noexcept

cdef extern from "job.h" nogil:
    int sophia_job_run(sophia_runnable *runnable, sophia_workers *workers) noexcept

cdef enum:
    MOST_TOTAL = 0x7FFFFFFF


cdef flag _handle(sophia_actor *actor, const sophia_message *message, sophia_workers *workers) noexcept nogil:
    """Runs a job where it stands, or counts a vector."""
    cdef flag good = not sophia_workers_abandoned(workers)
    cdef sophia_job *job = <sophia_job *><uintptr_t>message.words[0]
    cdef sophia_shared *block = <sophia_shared *><uintptr_t>message.words[1]
    if job != NULL:
        sophia_job_run(&job.runnable, workers)
        return good
    if good:
        _count(<Tally *>actor.state, sophia_shared_bytes(block), <int64_t>message.words[2])
    release(block)
    return good


cdef void _count(Tally *tally, const unsigned char *row, int64_t weight) noexcept nogil:
    cdef const int8_t *signs = <const int8_t *>row
    if tally.model == SOPHIA_BSC:
        sophia_b1_to_i8(<const uint64_t *>row, tally.signs, tally.dim)
        signs = tally.signs
    tally.kernels.add_i8(signs, <int32_t>weight, tally.sums, tally.dim)
    tally.net += weight


cdef class KernelActor:
    """An actor of a :class:`~sophia._core.pool.KernelPool`; made as a Bundler or a Searcher.

    When it is dropped, what it was sent is handled first, which is waited for without the GIL.
    """

    def __init__(self):
        raise TypeError("KernelActor: make a Bundler or a Searcher")

    cdef int open(self, KernelPool pool, void *state, object home, object capacity) except -1:
        pool.check()
        if pool.closed:
            raise ActorStopped("pool: closed; it takes no more actors")
        self.pool = pool
        self.actor = sophia_actor_new(_handle, state, power(capacity), pool.take_home(home))
        if self.actor == NULL:
            raise MemoryError(f"actor: no memory for a mailbox of {capacity} messages")
        return 0

    cdef int check(self) except -1:
        if self.actor == NULL:
            raise TypeError(f"{type(self).__name__}: made by __new__ and never opened")
        self.pool.check()
        return 0

    cdef int send(self, sophia_message *message) except -1:
        if self.pool.closed:
            self.refused += 1
            raise ActorStopped("actor: its pool is closed")
        if not sophia_actor_send(self.actor, message, self.pool.workers):
            self.refused += 1
            raise MailboxFull(
                "actor: its mailbox is full; this message was not taken: wait for an answer, or make it with more "
                "capacity"
            )
        return 0

    cdef Job ask(self, Job job):
        """Sends a job that will be run where its message stands among the others."""
        cdef sophia_message message
        message.words[0] = <uint64_t><uintptr_t>&job.task.job
        message.words[1] = message.words[2] = 0
        job.completions = self.pool.completions
        job.completions.take()
        job.task.owner = <void *>job
        self.pool.asked += 1
        Py_INCREF(job)      # the worker's; given back by Completions.take()
        try:
            self.send(&message)
        except BaseException:
            self.pool.refused += 1
            Py_DECREF(job)
            raise
        return job

    cdef void wait(self) noexcept:
        """Until no worker touches the actor; in a forked child none does."""
        if self.actor == NULL or self.pool is None or self.pool.completions.forked():
            return
        with nogil:
            sophia_actor_wait(self.actor, self.pool.workers)

    def __del__(self):
        self.wait()

    def __dealloc__(self):
        if self.actor != NULL:
            sophia_actor_free(self.actor)

    def stats(self) -> dict[str, int]:
        """`sent` = `handled` + `dropped` + `waiting`, exactly: messages; and those `refused`."""
        self.check()
        sent, handled = sophia_read(&self.actor.sent), sophia_read(&self.actor.handled)
        dropped = sophia_read(&self.actor.dropped)
        return {"sent": sent, "handled": handled, "dropped": dropped, "waiting": sent - handled - dropped,
                "refused": self.refused}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


# ---- bundles that are still counting ----

cdef struct Vote:
    Task task
    Tally *tally
    unsigned char *out
    bint empty


cdef int _vote(sophia_job *job, sophia_workers *workers) noexcept nogil:
    cdef Vote *vote = <Vote *>job
    cdef Tally *tally = vote.tally
    cdef size_t i = 0
    if tally.net == 0:
        while i < tally.dim and tally.sums[i] == 0:
            i += 1
        if i == tally.dim:
            vote.empty = True
            return 1
    if tally.model == SOPHIA_BSC:
        tally.kernels.sign_i32(tally.sums, tally.net, tally.signs, tally.dim)
        sophia_i8_to_b1(tally.signs, <uint64_t *>vote.out, tally.dim)
    else:
        tally.kernels.sign_i32(tally.sums, tally.net, <int8_t *>vote.out, tally.dim)
    return 1


@cython.final
cdef class _VoteJob(Job):
    cdef Vote vote

    def __cinit__(self):
        self.task = &self.vote.task

    cdef int verify(self) except -1:
        if self.vote.empty:
            raise ValueError("bundle: of no vectors is not defined; tell() at least one")
        return 0


@cython.final
cdef class Bundler(KernelActor):
    """An actor that counts vectors, and gives the majority of all that it was told before it was asked.

    `home` is the worker that is to run it if it can, 0 to workers - 1: its sums stay in that core's cache. `capacity`
    messages fit its mailbox (rounded up to a power of two). Thread-safety: any thread may tell and ask.

        >>> from sophia._core import hdc
        >>> from sophia._core.pool import KernelPool
        >>> parts = [hdc.random(name).freeze() for name in ("a", "b", "c")]
        >>> with KernelPool(workers=1) as pool:
        ...     bundler = pool.actor(Bundler, home=0)
        ...     for part in parts:
        ...         bundler.tell(part)
        ...     bundler.bundle().result() == hdc.bundle(parts)
        True
    """

    def __init__(self, KernelPool pool not None, str model="BSC", dim: int = 10_000, *, home: int | None = None,
                 capacity: int = 1024):
        cdef Tally *tally = &self.tally
        if self.actor != NULL:
            raise TypeError("Bundler: already initialised")
        check_dim(dim)
        tally.dim = <size_t>dim
        tally.model = model_code(model)
        tally.kernels = &cpu.active.hv
        tally.sums = <int32_t *>calloc(tally.dim, sizeof(int32_t))
        tally.signs = <int8_t *>calloc(tally.dim, 1)
        if tally.sums == NULL or tally.signs == NULL:
            raise MemoryError(f"Bundler: no memory for {dim} sums")
        self.open(pool, tally, home, capacity)

    def __dealloc__(self):
        free(self.tally.sums)
        free(self.tally.signs)

    def tell(self, SharedVector vector not None, weight: int = 1) -> None:
        """Adds `weight` times a vector, soon. Its block is counted in C: nothing is copied or allocated.

        Raises MailboxFull (it was not taken), ShapeError for another model or dimension, ValueError when the total of
        absolute weights would pass 2^31 - 1, ActorStopped when the pool is closed, PoolForked in a forked child.
        """
        cdef sophia_message message
        cdef int64_t times
        self.check()
        alive(vector)
        if vector.model != self.tally.model or vector.dim != self.tally.dim:
            raise ShapeError(
                f"vector is {model_name(vector.model)} dim={vector.dim}, the bundler "
                f"{model_name(self.tally.model)} dim={self.tally.dim}; both must have one model and one dimension"
            )
        weight = whole(weight, "weight")
        if abs(weight) > MOST_TOTAL - self.total:
            raise ValueError(f"weight: a total of absolute weights above {MOST_TOTAL} could overflow the sums")
        times = weight
        message.words[0] = 0
        message.words[1] = <uint64_t><uintptr_t>vector.block
        message.words[2] = <uint64_t>times
        sophia_shared_retain(vector.block)
        try:
            self.send(&message)
        except BaseException:
            release(vector.block)
            raise
        self.total += sophia_magnitude(times)

    def bundle(self) -> Job:
        """A Job for the majority, as a Hypervector, of what this thread told before (and others so far).

        Exactly what hdc.bundle() gives for the same vectors and weights; ValueError where nothing is counted. Raises
        MailboxFull, ActorStopped, PoolForked.
        """
        cdef _VoteJob job
        cdef Hypervector result
        self.check()
        job = _VoteJob.__new__(_VoteJob)
        job.kept = self             # as long as its sums are read
        job.vote.tally = &self.tally
        job.out = result = new_vector(self.tally.model, self.tally.dim, None)
        job.vote.out = result.data
        sophia_job_open(&job.vote.task.job, _vote, &self.pool.completions.done, -1)
        return self.ask(job)


# ---- searches of one table ----

@cython.final
cdef class Searcher(KernelActor):
    """An actor over a table that does not change: the `k` nearest of its rows to each query, in the order of asking.

    `rows` is uint8[n, 1280], uint64[n, 160] or a list of SharedVectors (other lengths with `dim`); checked once, held
    and never copied. Do not write them. `home` and `capacity` as for a Bundler.

        >>> from sophia._core import hdc
        >>> from sophia._core.pool import KernelPool
        >>> with KernelPool(workers=1) as pool:
        ...     searcher = pool.actor(Searcher, hdc.random_rows(100, "items"), 1)
        ...     searcher.nearest(hdc.random("items", 42)).result()[1].tolist()
        [42]
    """

    def __init__(self, KernelPool pool not None, rows: object, k: int = 10, *, dim: int | None = None,
                 home: int | None = None, capacity: int = 1024):
        if self.actor != NULL:
            raise TypeError("Searcher: already initialised")
        self.kept = rows = held(rows)
        open_table(&self.rows, rows, k, dim)
        self.k = k
        self.open(pool, NULL, home, capacity)

    def __dealloc__(self):
        close_operand(&self.rows)

    def nearest(self, query: object) -> Job:
        """A Job for (uint32[k] distances, int64[k] row numbers), nearest first; as KernelPool.nearest()."""
        self.check()
        return self.ask(nearest_in(&self.pool.completions.done, query, &self.rows, self.k, self))
