"""A bump allocator for the hypervectors between an input and its result.

One arena a worker, reset after each message: an allocation is an addition, a reset forgets everything at
once, and after the first messages the system allocator is never called again.
"""

cimport cython

from sophia.errors import ArenaFull, StaleArenaError

cdef extern from "arena.h" nogil:
    enum:
        SOPHIA_ARENA_FULL
        SOPHIA_ARENA_STALE
        SOPHIA_ARENA_EXPORTED
        SOPHIA_ARENA_NO_MEMORY


cdef object _refusal(HDCArena arena, int code, str act, size_t bytes):
    if code == SOPHIA_ARENA_FULL:
        return ArenaFull(
            f"arena: {bytes} more bytes do not fit its limit of {arena.state.limit} "
            f"({arena.state.capacity} are in chunks); reset() it more often or raise limit_bytes"
        )
    if code == SOPHIA_ARENA_STALE:
        return StaleArenaError(f"arena: {act}() to a mark that an earlier reset() or rewind() has undone")
    if code == SOPHIA_ARENA_EXPORTED:
        return BufferError(
            f"arena: {act}() while {arena.state.exports} exported buffer(s) of its vectors are alive; "
            "release the memoryview or array first, or freeze() what must outlive the arena"
        )
    return MemoryError(f"arena: the system has no memory for {act}() ({bytes} bytes)")


@cython.final
cdef class ArenaMark:
    """A place in an arena to rewind() to; made by `HDCArena.mark()`."""

    def __init__(self):
        raise TypeError("an ArenaMark comes from HDCArena.mark()")

    @property
    def position(self) -> int:
        """Bytes that were in use when the mark was taken."""
        return self.position

    def __repr__(self) -> str:
        return f"<ArenaMark at byte {self.position}, generation {self.generation}>"


@cython.final
cdef class HDCArena:
    """Lends 64-byte aligned memory for intermediate hypervectors and takes it all back at once.

    `chunk_bytes` is what it asks the system for at a time, `limit_bytes` the most it ever holds; beyond that
    an operation raises ArenaFull and changes nothing. Chunks are kept until the arena goes.

    A vector made with `arena=` is borrowed: after reset(), or rewind() to an earlier mark, any use of it
    raises StaleArenaError. While a buffer of such a vector is exported, reset() and rewind() raise
    BufferError, so that no array ever shows foreign bytes.

    Cost: an allocation is a few nanoseconds, reset() is O(1). Thread-safety: safe from Python threads (every
    call holds the GIL), meant for one worker each, because a reset takes the vectors of all users.

        >>> from sophia._core import hdc
        >>> arena = HDCArena()
        >>> product = hdc.bind(hdc.random("a"), hdc.random("b"), arena=arena)
        >>> arena.bytes_used
        1280
        >>> arena.reset()
        >>> product.tobytes()
        Traceback (most recent call last):
        ...
        sophia.errors.StaleArenaError: vector: borrowed from an arena that was reset() or rewound since; ...
    """

    def __init__(self, Py_ssize_t chunk_bytes=1 << 20, Py_ssize_t limit_bytes=1 << 28):
        if self.state.limit:
            raise TypeError("arena: already initialised")
        if not 4096 <= chunk_bytes <= limit_bytes:
            raise ValueError(
                f"arena: chunk_bytes={chunk_bytes} must be at least 4096 and at most "
                f"limit_bytes={limit_bytes}"
            )
        sophia_arena_init(&self.state, <size_t>chunk_bytes, <size_t>limit_bytes)

    def __dealloc__(self):
        sophia_arena_close(&self.state)

    cdef void *take(self, size_t bytes, size_t *position) except NULL:
        cdef void *block = NULL
        cdef int code = sophia_arena_take(&self.state, bytes, &block, position)
        if code:
            raise _refusal(self, code, "take", bytes)
        return block

    def mark(self) -> ArenaMark:
        """A place to rewind() to, as often as wished, until something rewinds below it."""
        cdef ArenaMark mark = ArenaMark.__new__(ArenaMark)
        mark.arena = self
        mark.chunk = self.state.current
        mark.position = sophia_arena_used(&self.state)
        mark.generation = self.state.generation
        return mark

    def rewind(self, ArenaMark mark not None) -> None:
        """Takes back what was lent since the mark; older vectors stay valid.

        Raises StaleArenaError when the mark itself was undone, BufferError while any vector of the arena has
        an exported buffer, ValueError for another arena's mark. Cost: O(1).
        """
        if mark.arena is not self:
            raise ValueError("arena: rewind() got a mark of another arena")
        cdef int code = sophia_arena_rewind(&self.state, mark.chunk, mark.position, mark.generation)
        if code:
            raise _refusal(self, code, "rewind", 0)

    def reset(self) -> None:
        """Takes everything back, keeps the chunks. O(1). Raises BufferError while a buffer is exported."""
        cdef int code = sophia_arena_reset(&self.state)
        if code:
            raise _refusal(self, code, "reset", 0)

    @property
    def bytes_used(self) -> int:
        """Bytes lent now, with the unused ends of left chunks."""
        return sophia_arena_used(&self.state)

    @property
    def high_water(self) -> int:
        """The most bytes that were ever lent at once."""
        return self.state.high_water

    @property
    def capacity(self) -> int:
        """Bytes held in chunks."""
        return self.state.capacity

    @property
    def limit_bytes(self) -> int:
        """The bound on `capacity`."""
        return self.state.limit

    @property
    def generation(self) -> int:
        """Grows by one at each reset() and rewind()."""
        return self.state.generation

    @property
    def chunk_allocations(self) -> int:
        """How often the system allocator was asked for a chunk; flat in a loop that resets."""
        return self.state.chunk_allocations

    @property
    def exports(self) -> int:
        """Exported buffers of its vectors that are alive."""
        return self.state.exports

    def __repr__(self) -> str:
        return f"<HDCArena {self.bytes_used} of {self.capacity} bytes, generation {self.generation}>"
