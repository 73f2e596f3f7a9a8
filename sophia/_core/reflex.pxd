"""The exact cache for C callers.

The `cdef` methods take neither the GIL nor the object's lock: the caller is the only user of the cache while
it calls them. An entry and the bytes it points to are borrowed until the next put, drop, expire or clear, or
the next find of the same key.
"""

cimport cython
from libc.stdint cimport uint32_t, uint64_t


cdef extern from "hash.h" nogil:
    ctypedef struct sophia_hash128:
        uint64_t low
        uint64_t high


cdef extern from "reflex.h" nogil:
    enum:
        SOPHIA_REFLEX_OK
        SOPHIA_REFLEX_TOO_LARGE
        SOPHIA_REFLEX_NO_MEMORY

    ctypedef struct sophia_reflex_entry:
        const unsigned char *raw
        const unsigned char *value
        size_t raw_size
        size_t value_size
        uint64_t tag[3]
        double expires
        uint32_t flags
        uint32_t has_value

    ctypedef struct sophia_reflex:
        size_t max_bytes
        size_t bytes
        uint32_t max_entries
        uint32_t entries
        uint32_t scopes
        uint64_t hits
        uint64_t misses
        uint64_t evictions
        uint64_t expirations
        uint64_t refusals

    size_t sophia_reflex_tables(uint32_t max_entries)
    bint sophia_reflex_init(sophia_reflex *cache, size_t max_bytes, uint32_t max_entries, uint64_t secret)
    void sophia_reflex_free(sophia_reflex *cache)
    sophia_hash128 sophia_reflex_hash(const sophia_reflex *cache, const unsigned char *key, size_t size)
    const sophia_reflex_entry *sophia_reflex_find(
        sophia_reflex *cache, const unsigned char *key, size_t size, sophia_hash128 hash, double now
    )
    int sophia_reflex_put(
        sophia_reflex *cache, const unsigned char *key, size_t key_size, sophia_hash128 hash,
        const unsigned char *raw, size_t raw_size, const unsigned char *value, size_t value_size,
        bint has_value, uint32_t flags, const uint64_t *tag, double expires,
        const unsigned char *scope, size_t scope_size
    )
    void sophia_reflex_ahead(const sophia_reflex *cache, sophia_hash128 hash)
    const sophia_reflex_entry *sophia_reflex_peek(
        const sophia_reflex *cache, const unsigned char *key, size_t size, sophia_hash128 hash, double now
    )
    bint sophia_reflex_drop(
        sophia_reflex *cache, const unsigned char *key, size_t size, sophia_hash128 hash
    )
    bint sophia_reflex_holds(
        const sophia_reflex *cache, const unsigned char *key, size_t size, sophia_hash128 hash
    )
    uint32_t sophia_reflex_expire(sophia_reflex *cache, double now)
    void sophia_reflex_clear(sophia_reflex *cache)


cdef class ReflexCache:
    cdef sophia_reflex cache
    cdef cython.pymutex lock  # never held while the GIL is taken
    cdef object _ttl
    cdef object _policy

    cdef sophia_hash128 hash_key(self, const unsigned char *key, size_t size) noexcept nogil
    # NULL: a miss, or expired at `now` (seconds of the clock that `expires` was given in)
    cdef const sophia_reflex_entry *find(
        self, const unsigned char *key, size_t size, sophia_hash128 hash, double now
    ) noexcept nogil
    # The same without a trace: nothing is counted, dropped or marked as used.
    cdef const sophia_reflex_entry *peek(
        self, const unsigned char *key, size_t size, sophia_hash128 hash, double now
    ) noexcept nogil
    # SOPHIA_REFLEX_OK, _TOO_LARGE (than the whole bound) or _NO_MEMORY; copies everything, replaces, and what
    # the key had before is gone in each case. `tag` is three numbers, or NULL for zeros; `scope` is whose entry it is.
    cdef int put_entry(
        self, const unsigned char *key, size_t key_size, sophia_hash128 hash,
        const unsigned char *raw, size_t raw_size, const unsigned char *value, size_t value_size,
        bint has_value, uint32_t flags, const uint64_t *tag, double expires,
        const unsigned char *scope, size_t scope_size
    ) noexcept nogil
    cdef bint drop_entry(self, const unsigned char *key, size_t size, sophia_hash128 hash) noexcept nogil
    cdef object _copy(self, bytes key, object now, bint whole)
    cdef void clear_all(self) noexcept nogil
    cdef bint forgetful(self) noexcept nogil  # something was evicted or refused since the cache was made
