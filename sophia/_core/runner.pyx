"""What runs mailboxes: an event loop all of its actors, in turns; or a thread of its own one whose handlers may block.

A turn on the loop handles at most 512 messages, 64 of one mailbox before it looks at the clock and the others, and
takes at most about two milliseconds, however many actors there are; then the loop has its own turn, which costs as much
as some thirty messages. The more urgent mailboxes come first, those that wait behind them after 64 messages.
"""

from contextvars import copy_context

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pythread cimport PyThread_get_thread_ident
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.string cimport memset

from sophia._core.inbox cimport Inbox
from sophia._core.mailbox cimport (
    BATCH,
    LEVELS,
    NOT_READY,
    Mailbox,
    Promise,
    Runner,
    forks,
    sophia_is_scheduled,
    sophia_park_cancel,
    sophia_park_close,
    sophia_park_notify,
    sophia_park_open,
    sophia_park_prepare,
    sophia_park_wait,
    sophia_rest,
    sophia_schedule,
)
from sophia._core.wheel cimport TimerWheel


cdef extern from "moment.h" nogil:
    int64_t sophia_coarse_now() noexcept

# Nanoseconds of a turn, about; and messages, at most.
cdef int64_t TURN = 2000000
cdef enum:
    TURN_MESSAGES = 512


cdef int _line_grow(Line *line) except -1:
    cdef size_t room = 2 * (line.mask + 1) if line.items != NULL else 16
    cdef size_t i
    cdef void **items = <void **>PyMem_Malloc(room * sizeof(void *))
    if items == NULL:
        raise MemoryError("no memory for the line of actors that have something to do")
    for i in range(line.count):
        items[i] = line.items[(line.first + i) & line.mask]
    PyMem_Free(line.items)
    line.items = items
    line.first = 0
    line.mask = room - 1
    return 0


cdef class LoopRunner(Runner):
    """Runs the mailboxes of the actors of one event loop. To be made on its thread."""

    def __cinit__(self):
        memset(self.lines, 0, sizeof(self.lines))

    def __init__(self, loop: object):
        self.loop = loop
        self.thread = PyThread_get_thread_ident()
        self.wheel = TimerWheel(loop)
        self.call_soon = loop.call_soon
        self.context = copy_context()  # or turns would run in that of whoever sent first
        self.create_future = loop.create_future
        self.posted = []

    def __dealloc__(self):
        cdef int level
        self.drain()
        for level in range(LEVELS):
            PyMem_Free(self.lines[level].items)

    def close(self) -> None:
        """Runs nothing any more; its timers are forgotten."""
        self.closed = True
        self.wheel.close()
        self.drain()

    cdef int drain(self) except -1:
        """Lets go of the mailboxes in line, which hold all that is theirs."""
        cdef int level
        for level in range(LEVELS):
            while self.lines[level].count:
                Py_DECREF(<Mailbox>_line_take(&self.lines[level]))
        return 0

    cdef object loop_future(self):
        return self.create_future()

    cdef int ready(self, Mailbox mailbox, int level) except -1:
        cdef Line *line = &self.lines[level]
        cdef bint lost
        if self.closed:  # nothing runs any more, and what is in line would be held for ever
            return 0
        if line.items == NULL or line.count > line.mask:
            try:
                _line_grow(line)
            except MemoryError:
                sophia_rest(&mailbox.scheduled)  # or no later message would find it at rest, and run it
                raise
        Py_INCREF(mailbox)
        line.items[(line.first + line.count) & line.mask] = <void *>mailbox
        line.count += 1
        mailbox.ready_level = level
        if self.running:
            return 0
        try:
            lost = self.gone() if self.armed else not self.arm()
        except BaseException:
            if not self.armed:  # whatever is sent next finds it at rest, and asks for a turn again
                mailbox.ready_level = NOT_READY
                sophia_rest(&mailbox.scheduled)
            raise
        if lost:
            self.lose()
        return 0

    cdef bint gone(self) except -1:
        return self.loop.is_closed()

    cdef int lose(self) except -1:
        """The loop is closed: what is in line will never run."""
        cdef int level
        cdef Mailbox mailbox
        for level in range(LEVELS):
            while self.lines[level].count:
                mailbox = <Mailbox>_line_take(&self.lines[level])
                Py_DECREF(mailbox)
                mailbox.lost("the loop of the actor is closed")
        return 0

    cdef bint arm(self) except -1:
        """Asks the loop for a turn; False where it is closed."""
        self.armed = True
        try:
            self.ask(self._turn)
        except BaseException:
            self.armed = False
            if self.loop.is_closed():
                return False
            self.armed = True
            try:
                self.ask(self._turn)  # an interrupt came: what is in line is to be run nevertheless
            except BaseException:
                self.armed = False
            raise
        return True

    cdef int ask(self, object call) except -1:
        """Asks the loop to call soon."""
        if self.thread == PyThread_get_thread_ident():
            self.call_soon(call, context=self.context)
        else:
            self.loop.call_soon_threadsafe(call, context=self.context)
        return 0

    cdef int next_line(self) noexcept:
        """The line whose first is to run: the most urgent, but for one that was passed over too often; -1: none."""
        cdef int level, top = -1
        for level in range(LEVELS):
            if not self.lines[level].count:
                continue
            if top < 0:
                top = level
            elif self.passed[level] >= BATCH:
                return level
        return top

    def _turn(self):
        cdef int budget = TURN_MESSAGES, level, lower, done, some
        cdef int64_t end = sophia_coarse_now() + TURN
        cdef Inbox mailbox
        self.armed = False
        self.running = True
        try:
            while budget > 0 and not self.closed:
                level = self.next_line()
                if level < 0:
                    break
                mailbox = <Inbox>_line_take(&self.lines[level])
                Py_DECREF(mailbox)
                if mailbox.ready_level != level:
                    continue  # it has come nearer, or has run since
                mailbox.ready_level = NOT_READY
                mailbox.more = False
                some = 1 if self.passed[level] >= BATCH else min(budget, <int>BATCH)
                for lower in range(level + 1, LEVELS):
                    if self.lines[lower].count and some + self.passed[lower] > BATCH:
                        some = BATCH - <int>self.passed[lower] if self.passed[lower] < BATCH else 1
                try:
                    done = mailbox.run(some)
                finally:
                    self.current = None
                    if mailbox.more:
                        lower = mailbox.top()
                        self.ready(mailbox, lower if lower >= 0 else mailbox.level)
                self.passed[level] = 0
                for lower in range(level + 1, LEVELS):
                    if self.lines[lower].count:
                        self.passed[lower] += done
                budget -= done if done else 1
                if sophia_coarse_now() > end:
                    break
        finally:
            self.running = False
            if not self.armed and not self.closed and self.next_line() >= 0:
                self.arm()

    cdef int post(self, Promise promise) except -1:
        self.posted.append(promise)
        if not self.post_armed:
            self.arm_posts()
        return 0

    cdef int arm_posts(self) except -1:
        """Asks the loop to tell those for whom something was posted."""
        self.post_armed = True
        try:
            self.ask(self._take_posts)
        except BaseException:
            self.post_armed = False
            if self.loop.is_closed():  # nobody waits there any more
                self.posted.clear()
                return 0
            self.post_armed = True
            try:
                self.ask(self._take_posts)  # an interrupt came: they are to be told nevertheless
            except BaseException:
                self.post_armed = False
            raise
        return 0

    def _take_posts(self):
        cdef Promise promise
        self.post_armed = False
        posted, self.posted = self.posted, []
        posted.reverse()
        try:
            while posted:
                promise = posted.pop()
                promise.settle()
        finally:
            if posted:  # an interrupt came: the others are told as well, soon
                posted.reverse()
                self.posted[:0] = posted
                if not self.post_armed:
                    self.arm_posts()


cdef void *_line_take(Line *line) noexcept:
    cdef void *item = line.items[line.first]
    line.first = (line.first + 1) & line.mask
    line.count -= 1
    return item


cdef class ThreadRunner(Runner):
    """Runs one mailbox in the thread that calls `work`. It sleeps while there is nothing to do."""

    def __cinit__(self):
        sophia_park_open(&self.park)
        self.wanted = 0

    def __init__(self, home: LoopRunner):
        self.home = home

    def __dealloc__(self):
        sophia_park_close(&self.park)

    cdef object loop_future(self):
        return self.home.loop_future()

    cdef int ready(self, Mailbox mailbox, int level) except -1:
        mailbox.ready_level = level
        if sophia_schedule(&self.wanted):
            sophia_park_notify(&self.park, 1)
        return 0

    def begin(self) -> None:
        """A thread is about to `work`."""
        self.ended = False
        sophia_rest(&self.wanted)  # the thread before it was woken to end

    def end(self) -> None:
        """The thread returns as soon as no handler runs."""
        self.ended = True
        sophia_schedule(&self.wanted)
        sophia_park_notify(&self.park, 1)

    def work(self, mailbox: Inbox) -> None:
        """What the thread does until `end`."""
        cdef unsigned int epoch
        self.thread = PyThread_get_thread_ident()
        try:
            while not self.ended:
                if sophia_is_scheduled(&self.wanted):
                    sophia_rest(&self.wanted)
                    mailbox.ready_level = NOT_READY
                    mailbox.more = True
                    while mailbox.more and not self.ended:
                        mailbox.run(BATCH)
                        if forks() != mailbox.forks:  # a handler has forked: this is the child
                            return
                    continue
                with nogil:
                    epoch = sophia_park_prepare(&self.park)
                    if sophia_is_scheduled(&self.wanted):
                        sophia_park_cancel(&self.park)
                    else:
                        sophia_park_wait(&self.park, epoch, -1)
        finally:
            self.thread = 0
            self.current = None
