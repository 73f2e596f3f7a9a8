"""Timers of one event loop, on one wheel: the loop itself knows of one at a time.

A timer of asyncio's costs a heap entry and about a microsecond, and one that is no longer needed stays in the heap; a
deadline of each question that is asked must not. Ticks are milliseconds of the loop's own clock, so a loop whose clock
is a test's has timers of that clock.
"""

from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport ceil


cdef extern from "wheel.h" nogil:
    void sophia_wheel_open(sophia_wheel *wheel) noexcept
    void sophia_timer_empty(sophia_timer *head) noexcept
    void sophia_wheel_set(sophia_wheel *wheel, sophia_timer *timer, uint64_t due) noexcept
    void sophia_wheel_clear(sophia_wheel *wheel, sophia_timer *timer) noexcept
    bint sophia_wheel_next(sophia_wheel *wheel, uint64_t *tick, int *level) noexcept
    void sophia_wheel_advance(sophia_wheel *wheel, uint64_t to, sophia_timer *due) noexcept
    void sophia_wheel_drop(sophia_wheel *wheel, sophia_timer *due) noexcept
    uint64_t SOPHIA_WHEEL_MOST


cdef double TICKS = 1000.0  # a second


cdef class Timer:
    """What can be set on a wheel. Not made directly."""

    def __cinit__(self):
        self.node.next = NULL
        self.node.owner = <void *>self

    cdef int fire(self) except -1:
        return 0


cdef class Call(Timer):
    """A call that a :class:`TimerWheel` makes later."""

    cdef TimerWheel wheel
    cdef object function
    cdef tuple arguments

    cdef int fire(self) except -1:
        function, arguments = self.function, self.arguments
        self.function = self.arguments = None
        function(*arguments)
        return 0

    def cancel(self) -> bool:
        """True where the call was still to come; it will not now. Only on the loop's thread."""
        if not sophia_timer_is_set(&self.node):
            return False
        self.wheel.clear(self)
        self.function = self.arguments = None
        return True

    @property
    def due(self) -> bool:
        """Whether the call is still to come."""
        return sophia_timer_is_set(&self.node)


cdef class TimerWheel:
    """Calls later, on the thread of `loop`, which has one timer of this wheel at most.

    To set and to clear takes constant time, and as many may be set as there is memory for. A call comes at its time or
    up to a millisecond later, never before; what would come after 69 years comes then. Not thread-safe: only on the
    loop's thread.

        >>> import asyncio
        >>> async def main():
        ...     wheel = TimerWheel(asyncio.get_running_loop())
        ...     done = asyncio.Event()
        ...     late = wheel.call_later(3600, print, "never")
        ...     soon = wheel.call_later(0.001, done.set)
        ...     await done.wait()
        ...     return late.cancel(), len(wheel)
        >>> asyncio.run(main())
        (True, 0)
    """

    def __cinit__(self):
        sophia_wheel_open(&self.wheel)

    def __init__(self, loop: object):
        self.loop = loop
        self.time = loop.time
        self.start = self.time()
        self.armed = None

    def __len__(self) -> int:
        return self.wheel.count

    def call_later(self, seconds: float, function: object, *arguments: object) -> Call:
        """Calls ``function(*arguments)`` in so many seconds; an exception of it goes to the loop's handler."""
        if seconds != seconds:
            raise ValueError("seconds is NaN; give how long to wait")
        cdef Call call = Call.__new__(Call)
        call.wheel = self
        call.function = function
        call.arguments = arguments
        self.set(call, seconds)
        return call

    def close(self) -> None:
        """Forgets all timers; nothing is called any more."""
        self.closed = True
        if self.armed is not None:
            self.armed.cancel()
            self.armed = None
        self.drop()

    def __dealloc__(self):
        self.drop()

    cdef void drop(self) noexcept:
        cdef sophia_timer due
        sophia_timer_empty(&due)
        sophia_wheel_drop(&self.wheel, &due)
        while due.next != &due:
            timer = due.next
            sophia_wheel_clear(&self.wheel, timer)
            Py_DECREF(<Timer>timer.owner)

    cdef uint64_t ticks(self) except? 0:
        cdef double since = <double>self.time() - self.start
        return <uint64_t>(since * TICKS) if since > 0.0 else 0

    cdef int set(self, Timer timer, double seconds) except -1:
        if self.closed:
            raise RuntimeError("this wheel of timers is closed")
        cdef double due = ceil((<double>self.time() - self.start + (seconds if seconds > 0.0 else 0.0)) * TICKS)
        cdef double most = <double>(self.wheel.now + SOPHIA_WHEEL_MOST)
        sophia_wheel_set(&self.wheel, &timer.node, <uint64_t>due if 0.0 <= due < most else <uint64_t>most)
        Py_INCREF(timer)
        if self.armed is None or timer.node.due < self.armed_at:
            self.arm()
        return 0

    cdef int clear(self, Timer timer) except -1:
        if sophia_timer_is_set(&timer.node):
            sophia_wheel_clear(&self.wheel, &timer.node)
            Py_DECREF(timer)
        return 0

    cdef int arm(self) except -1:
        """Asks the loop for a call at the next tick that has something to do."""
        cdef uint64_t tick = 0
        cdef int level = 0
        if self.armed is not None:
            self.armed.cancel()
            self.armed = None
        if sophia_wheel_next(&self.wheel, &tick, &level):
            self.armed_at = tick
            try:
                handle = self.call_at(tick)
            except BaseException:
                if self.armed is None and not self.closed:
                    self.armed = self.call_at(tick)  # an interrupt came: deadlines are kept nevertheless
                raise
            if self.armed is None and not self.closed:
                self.armed = handle
            else:  # the loop let others in, who have set or closed the wheel
                handle.cancel()
        return 0

    cdef object call_at(self, uint64_t tick):
        return self.loop.call_at(self.start + <double>tick / TICKS, self._fire, tick)

    def _fire(self, tick: int):
        cdef sophia_timer due
        cdef Timer timer
        cdef uint64_t now = tick  # of this call: a loop calls up to its clock's resolution early
        if now == self.armed_at:
            self.armed = None
        sophia_timer_empty(&due)
        try:
            now = max(now, self.ticks())
            sophia_wheel_advance(&self.wheel, now, &due)
            while due.next != &due and not self.closed:
                timer = <Timer>due.next.owner
                self.clear(timer)
                try:
                    timer.fire()
                except Exception as error:
                    self.loop.call_exception_handler({"message": "a timer's call failed", "exception": error})
        finally:
            # what closes the wheel or ends the loop leaves some behind
            while due.next != &due:
                timer = <Timer>due.next.owner
                sophia_wheel_clear(&self.wheel, &timer.node)
                if self.closed:
                    Py_DECREF(timer)
                else:
                    sophia_wheel_set(&self.wheel, &timer.node, timer.node.due)
            if not self.closed and self.armed is None:
                self.arm()
