"""Hypervectors: one's own, borrowed from an arena, or frozen and shared."""

from libc.stdint cimport int8_t, uint8_t, uint32_t, uint64_t

from sophia._core.arena cimport HDCArena, sophia_arena, sophia_arena_holds


cdef extern from "layout.h" nogil:
    enum:
        SOPHIA_BSC
        SOPHIA_MAP
        SOPHIA_LEAST_DIM
        SOPHIA_MOST_DIM
    size_t sophia_payload_bytes(int model, size_t dim) noexcept
    size_t sophia_row_bytes(int model, size_t dim) noexcept
    void sophia_padding_mask(size_t dim, uint64_t *mask) noexcept
    bint sophia_padding_dirty(const unsigned char *row, size_t dim) noexcept
    size_t sophia_first_dirty_row(const uint64_t *rows, size_t n, size_t words, size_t dim) noexcept
    void sophia_padding_clear(unsigned char *row, size_t dim) noexcept
    size_t sophia_first_not_bipolar(const int8_t *row, size_t n) noexcept


cdef extern from "shared.h" nogil:
    ctypedef struct sophia_shared:
        size_t dim, bytes, payload
        uint32_t model
        uint64_t key
    unsigned char *sophia_shared_bytes(sophia_shared *block) noexcept
    void sophia_shared_retain(sophia_shared *block) noexcept
    void sophia_shared_release(sophia_shared *block) noexcept
    uint64_t sophia_shared_references(const sophia_shared *block) noexcept
    uint64_t sophia_shared_digest(sophia_shared *block) noexcept


cdef class Vector:
    # 64-byte aligned, `nbytes` long (a multiple of 64), padding zero. Who owns the bytes: the Hypervector,
    # its arena (then `lender` is set and alive() must be asked before each use), or the shared block.
    cdef uint8_t *data
    cdef size_t nbytes
    cdef size_t dim
    cdef int model
    cdef const sophia_arena *lender
    cdef uint64_t generation
    cdef size_t position
    cdef Py_ssize_t length, stride      # of the exported buffer


cdef class Hypervector(Vector):
    cdef HDCArena arena                 # keeps the lender alive; None when the bytes are ours


cdef class SharedVector(Vector):
    cdef sophia_shared *block           # one reference is ours


# Both classes are final, so two comparisons of pointers decide (isinstance would walk the bases).
cdef inline bint is_vector(object value) noexcept:
    return type(value) is Hypervector or type(value) is SharedVector

cdef int raise_stale() except -1
cdef int raise_empty() except -1

# 0, or StaleArenaError (TypeError for one that __new__ made and nothing filled). Before every read of `data`.
cdef inline int alive(Vector vector) except -1:
    if vector.data == NULL:
        return raise_empty()
    if vector.lender != NULL and not sophia_arena_holds(vector.lender, vector.generation, vector.position):
        return raise_stale()
    return 0

# The code of "BSC" or "MAP"; ValueError for another word.
cdef int model_code(str model) except -1
cdef str model_name(int model)

# 0, or ShapeError when dim is outside 64..2^23.
cdef int check_dim(Py_ssize_t dim) except -1

# The same for what a caller gave, converted once: its C value. TypeError for a fraction.
cdef size_t take_dim(object dim) except 0

# Exactly an int, of whatever counts as one; TypeError for a fraction and all else.
cdef object whole(object number, str name)

# hold() keeps the arena that lends a vector from taking its bytes back, as an exported buffer does; let_go() ends
# that. Around whatever reads or writes the bytes without the GIL.
cdef inline void hold(Vector vector) noexcept:
    if vector.lender != NULL:
        (<Hypervector>vector).arena.state.exports += 1

cdef inline void let_go(Vector vector) noexcept:
    if vector.lender != NULL:
        (<Hypervector>vector).arena.state.exports -= 1

# A result to be written by the caller: padding zero, the rest uninitialised. From this thread's pool, or from
# `arena` (None: the pool).
cdef Hypervector new_vector(int model, size_t dim, HDCArena arena)

# Where a single result goes: `out` if it is a live Hypervector of that model and dimension (else TypeError, ValueError
# for `out` and `arena` both, StaleArenaError, ShapeError), or new_vector().
cdef Hypervector result_for(int model, size_t dim, object out, HDCArena arena)

# Frozen copy of a live vector's bytes / of `nbytes` bytes that already keep the layout.
cdef SharedVector freeze(Vector source, uint64_t key)

# Takes over one reference of the block.
cdef SharedVector adopt(sophia_shared *block)

# For native workers: give back a reference without the GIL.
cdef void release(sophia_shared *block) noexcept nogil

# Scratch blocks of this thread's pool, for C below; `size` a multiple of 64. NULL without memory.
cdef void *scratch_take(size_t size) noexcept nogil
cdef void scratch_give(void *block, size_t size) noexcept nogil
