"""The arena of intermediate hypervectors."""

from libc.stdint cimport uint64_t


cdef extern from "arena.h" nogil:
    ctypedef struct sophia_chunk:
        pass
    ctypedef struct sophia_arena:
        sophia_chunk *current
        size_t chunk_bytes, limit, capacity, high_water, exports
        uint64_t generation, chunk_allocations
    void sophia_arena_init(sophia_arena *arena, size_t chunk_bytes, size_t limit) noexcept
    void sophia_arena_close(sophia_arena *arena) noexcept
    size_t sophia_arena_used(const sophia_arena *arena) noexcept
    int sophia_arena_take(sophia_arena *arena, size_t bytes, void **block, size_t *position) noexcept
    bint sophia_arena_holds(const sophia_arena *arena, uint64_t generation, size_t position) noexcept
    int sophia_arena_reset(sophia_arena *arena) noexcept
    int sophia_arena_rewind(sophia_arena *arena, sophia_chunk *chunk, size_t position,
                            uint64_t generation) noexcept
    size_t sophia_round_up(size_t bytes) noexcept


cdef class ArenaMark:
    cdef HDCArena arena
    cdef sophia_chunk *chunk        # borrowed; chunks live as long as the arena
    cdef size_t position
    cdef uint64_t generation


cdef class HDCArena:
    cdef sophia_arena state
    # `bytes` bytes, 64-byte aligned, uninitialised, borrowed until rewind() below them or reset();
    # the caller keeps a reference to the arena. Raises ArenaFull or MemoryError.
    cdef void *take(self, size_t bytes, size_t *position) except NULL
