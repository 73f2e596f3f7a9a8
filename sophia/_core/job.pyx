"""Jobs of a native pool as Python sees them, and how their results come back.

A worker that has finished a job puts it on the list of its pool and, if an event loop waits for it, rings the loop's
bell: one write to one descriptor, however many jobs are finished before the loop looks. The loop then takes the whole
list and resolves its futures at once. Threads that wait for a job sleep at the job itself.

What a job reads and writes is held by the job, which is held by the pool until it is taken from that list; so nothing
is ever freed by a worker, and no worker needs the GIL.
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport Py_DECREF

from time import monotonic

from sophia.errors import ActorStopped, AskTimeout, PoolForked

cdef extern from "job.h" nogil:
    ctypedef struct sophia_bell:
        int ear
    void sophia_bell_silence(sophia_bell *bell) noexcept
    sophia_bell *sophia_ear_bell(sophia_ear *ear) noexcept
    uint64_t sophia_bell_rung(sophia_bell *bell) noexcept

cdef enum:
    SLICE = 250_000_000     # nanoseconds; so often a waiting thread looks for an interrupt that another was given

cdef object _running_loop = None


cdef object _loop_here():
    """The running event loop; RuntimeError where there is none. asyncio is loaded when somebody awaits."""
    global _running_loop
    if _running_loop is None:
        from asyncio import get_running_loop

        _running_loop = get_running_loop
    return _running_loop()


@cython.final
cdef class Ear:
    """An event loop's reader; of no use from Python."""

    def __init__(self):
        raise TypeError("Ear: made by a pool alone")

    def __dealloc__(self):
        if self.ear != NULL:
            sophia_ear_release(self.ear)

    def __call__(self):
        if self.ear == NULL:
            return
        sophia_bell_silence(sophia_ear_bell(self.ear))
        try:
            self.completions.take()
        finally:
            self.resolve()

    cdef int resolve(self) except -1:
        """All of them; the first error is raised when each has had its turn."""
        cdef list ready = self.ready
        cdef object first = None
        self.ready = []
        for future in ready:
            try:
                if not future.done():
                    future.set_result(None)
            except BaseException as error:
                first = first or error
        if first is not None:
            raise first
        return 0

    cdef uint64_t rung(self) noexcept:
        return 0 if self.ear == NULL else sophia_bell_rung(sophia_ear_bell(self.ear))

    cdef int shut(self) except -1:
        """In the loop's own thread, or when the loop does not run."""
        cdef sophia_ear *ear = self.ear
        if ear == NULL:
            return 0
        self.ear = NULL
        try:
            if not self.loop.is_closed():
                self.loop.remove_reader(sophia_ear_bell(ear).ear)
                self.resolve()
        finally:
            sophia_ear_release(ear)
        return 0

    def _shut(self):
        self.shut()


cdef Ear _new_ear(Completions completions, object loop):
    cdef Ear ear = Ear.__new__(Ear)
    ear.loop = loop
    ear.completions = completions
    ear.ready = []
    ear.ear = sophia_ear_new()
    if ear.ear == NULL:
        raise OSError("pool: the system gives no descriptor for an event loop's bell")
    loop.add_reader(sophia_ear_bell(ear.ear).ear, ear)
    return ear


@cython.final
cdef class Completions:
    """The finished jobs of one pool; of no use from Python."""

    def __cinit__(self):
        self.ears = {}
        self.forks = sophia_forks_seen()

    def __init__(self):
        raise TypeError("Completions: made by a pool alone")

    cdef bint forked(self) noexcept:
        return self.forks != sophia_forks_seen()

    cdef int check(self) except -1:
        if self.forked():
            raise PoolForked("pool: it belongs to the parent process, whose threads did not come along; make a new one")
        return 0

    cdef int take(self) except -1:
        cdef sophia_job *first = sophia_done_take(&self.done)
        cdef sophia_job *job = first
        cdef Job one
        cdef object wrong = None
        # Tell before anything that may run foreign code: a bell that was silenced for these jobs rings no more. They
        # are on no list any more: whatever goes wrong with one, the others are told and given back, then it is raised.
        while job != NULL:
            one = <Job>(<Task *>job).owner
            try:
                one.tell()
            except BaseException as error:
                wrong = wrong or error
            job = job.next
        while first != NULL:
            job = first
            first = first.next
            one = <Job>(<Task *>job).owner
            try:
                one.settle()
            except BaseException as error:
                wrong = wrong or error
            Py_DECREF(one)
        if wrong is not None:
            raise wrong
        return 0

    cdef Ear ear_here(self):
        cdef object loop = _loop_here()
        cdef Ear ear = <Ear>self.ears.get(id(loop))
        if ear is not None and ear.loop is loop:
            return ear
        for key, old in list(self.ears.items()):        # loops that have ended
            if (<Ear>old).loop.is_closed() and self.ears.pop(key, None) is not None:    # else another thread has it
                self.rung_before += (<Ear>old).rung()
                (<Ear>old).shut()
        ear = _new_ear(self, loop)
        self.ears[id(loop)] = ear
        return ear

    cdef uint64_t rung(self):
        cdef uint64_t total = self.rung_before
        for ear in self.ears.values():
            total += (<Ear>ear).rung()
        return total

    cdef int shut(self) except -1:
        cdef object here, wrong = None
        try:
            self.take()
        except BaseException as error:
            wrong = error
        try:
            here = _loop_here() if self.ears else None
        except RuntimeError:
            here = None
        self.rung_before = self.rung()
        none = {}
        ears = self.ears        # and nobody else has them
        self.ears = none
        for ear in list(ears.values()):
            try:
                _shut_from(<Ear>ear, here)
            except BaseException as error:
                wrong = wrong or error
        if wrong is not None:
            raise wrong
        return 0


cdef int _shut_from(Ear ear, object here) except -1:
    """From the loop `here`, or from a thread without one: at once, or by the ear's own loop."""
    if ear.loop is here or ear.loop.is_closed() or not ear.loop.is_running():
        return ear.shut()
    try:
        ear.loop.call_soon_threadsafe(ear._shut)
    except RuntimeError:        # closed in between
        ear.shut()
    return 0


cdef class Job:
    """One run of a kernel in a pool: await it in an event loop, or ask for its result() in any thread.

    To await many, `[await job for job in jobs]` costs less than asyncio.gather(), which makes a task of each: all of
    them are under way as soon as they are made.

    Made by the methods of :class:`sophia._core.pool.KernelPool`. Its operands are read where they are: do not write
    them before the job is done. They are let go when somebody has the result, or with the pool's next call.
    Thread-safety: any thread may wait for it, and one event loop.
    """

    @classmethod
    def __class_getitem__(cls, kind):
        """`Job[kind of result]`, for annotations."""
        from types import GenericAlias

        return GenericAlias(cls, kind)

    def __init__(self):
        raise TypeError("Job: made by the methods of a pool alone")

    def __dealloc__(self):
        self.drop()

    cdef int verify(self) except -1:
        return 0

    cdef void drop(self) noexcept:
        pass

    cdef object make(self):
        return self.out

    cdef int settle(self) except -1:
        cdef object found = None
        if self.settled:
            return 0
        try:
            self.verify()
        except Exception as error:
            found = error
        if self.settled:    # by another thread, meanwhile
            return 0
        self.error = found  # before `settled` says that it is there: what follows may let other threads in
        self.settled = True
        keeper = self.kept
        self.kept = None
        self.drop()
        del keeper          # after what is in it
        return 0

    cdef int tell(self) except -1:
        cdef list futures = self.futures
        if futures is not None:
            self.ear.ready.extend(futures)
            self.futures = None
        return 0

    cdef object outcome(self, bint awaited):
        """The value of a finished job, made once; or its error."""
        cdef uint32_t phase = sophia_job_phase(&self.task.job)
        if phase == <uint32_t>SOPHIA_JOB_CANCELLED:
            if awaited:
                from asyncio import CancelledError
            else:
                from concurrent.futures import CancelledError

            raise CancelledError
        self.settle()
        if phase != <uint32_t>SOPHIA_JOB_DONE:
            raise ActorStopped("pool: closed before this job was done")
        if self.error is not None:
            raise self.error
        if not self.made:
            value = self.make()
            if not self.made:       # by another thread, meanwhile: all have the same
                self.value = value
                self.made = True
        return self.value

    cdef int _ready(self) except -1:
        if self.task == NULL:
            raise TypeError("Job: made by the methods of a pool alone")
        if not sophia_job_finished(&self.task.job):
            self.completions.check()
        return 0

    def done(self) -> bool:
        """Whether result() would return at once. PoolForked in a forked child, where an open job never ends."""
        self._ready()
        return sophia_job_finished(&self.task.job)

    def cancelled(self) -> bool:
        """Whether it was cancelled before it began."""
        self._ready()
        return sophia_job_phase(&self.task.job) == <uint32_t>SOPHIA_JOB_CANCELLED

    def cancel(self) -> bool:
        """True if the job had not begun: it never will, and who waits for it gets CancelledError.

        False if it runs or has ended; one that runs goes on. To cancel the task that awaits a job cancels the job, too,
        unless others wait for it: the last one that leaves does so.
        """
        self._ready()
        if not sophia_job_cancel(&self.task.job):
            return sophia_job_phase(&self.task.job) == <uint32_t>SOPHIA_JOB_CANCELLED
        self.tell()
        sophia_ear_ring(sophia_job_answer(&self.task.job))
        return True

    def result(self, timeout: float | None = None) -> object:
        """Waits without the GIL for at most `timeout` seconds (None: for as long as it takes) and gives the result.

        Not for the thread of an event loop: await the job there. Raises AskTimeout (the job goes on),
        concurrent.futures.CancelledError, ActorStopped where the pool was closed first, PoolForked in a forked child,
        and what the job itself found wrong with its operands, such as ShapeError for a padding bit.
        """
        cdef double end = 0.0, left
        cdef int64_t nanoseconds = SLICE
        self._ready()
        if timeout is not None:
            end = monotonic() + timeout
        while not sophia_job_finished(&self.task.job):
            if timeout is not None:
                left = end - <double>monotonic()
                if not left > 0.0:
                    raise AskTimeout(f"job: not done within {timeout} seconds; it goes on")
                nanoseconds = <int64_t>min(left * 1e9 + 1.0, <double>SLICE)
            self.waiting += 1
            with nogil:
                sophia_job_wait(&self.task.job, nanoseconds)
            self.waiting -= 1
            PyErr_CheckSignals()
        return self.outcome(False)

    def __await__(self):
        self._ready()
        if not sophia_job_finished(&self.task.job):
            future = self._future()
            if future is not None:
                self.waiting += 1
                try:
                    yield from future
                except BaseException:
                    if self.waiting == 1:
                        self.cancel()
                    elif self.futures is not None and future in self.futures:
                        self.futures.remove(future)
                    raise
                finally:
                    self.waiting -= 1
        return self.outcome(True)

    cdef object _future(self):
        """A future of the running loop for the end of the job; None if that has come.

        It is where tell() looks before the job can be answered to this loop: any step of Python's may let another
        thread in, which finds the job finished and tells whom it sees.
        """
        cdef Ear ear = self.completions.ear_here()
        cdef Ear other
        future = ear.loop.create_future()
        futures = []
        while self.ear is not ear:
            other = self.ear
            if other is not None and not other.loop.is_closed():
                raise RuntimeError("job: awaited in another event loop already; use result() there, or a job for each")
            if self.ear is other:
                self.ear = ear
                self.futures = None
        if self.futures is None:
            self.futures = futures
        futures = self.futures
        futures.append(future)
        if sophia_job_listen(&self.task.job, ear.ear):
            return future
        futures.remove(future)
        return None

    def __repr__(self) -> str:
        if self.task == NULL:
            return "<Job of no pool>"
        words = ("waiting", "running", "done", "cancelled", "dropped")
        return f"<Job {words[sophia_job_phase(&self.task.job)]}>"
