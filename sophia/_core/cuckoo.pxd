"""Cuckoo filters for C callers.

The `*_hash` methods take a key's 64-bit hash (`key_hash()` in Python; an integer key is its own hash). They
take neither the GIL nor the object's lock: the caller is the only user of the filter while it calls them.
"""

cimport cython
from libc.stdint cimport uint32_t, uint64_t


cdef extern from "bucket.h" nogil:
    enum:
        SOPHIA_LANES
        SOPHIA_STASH
        SOPHIA_FILTER_OK
        SOPHIA_FILTER_FULL

    ctypedef struct sophia_stashed:
        uint32_t bucket
        uint32_t tag

    ctypedef struct sophia_cuckoo:
        uint64_t *buckets
        uint64_t size
        uint64_t whitening
        uint64_t count
        uint32_t stashed
        uint32_t full
        sophia_stashed *stash

    uint64_t sophia_cuckoo_size(uint64_t capacity)
    uint32_t sophia_partner(uint32_t bucket, uint32_t tag, uint64_t size)
    bint sophia_cuckoo_init(sophia_cuckoo *filter, uint64_t size, uint64_t seed)
    void sophia_cuckoo_free(sophia_cuckoo *filter)
    void sophia_cuckoo_clear(sophia_cuckoo *filter)
    bint sophia_cuckoo_contains(const sophia_cuckoo *filter, uint64_t hash)
    int sophia_cuckoo_add(sophia_cuckoo *filter, uint64_t hash)
    bint sophia_cuckoo_discard(sophia_cuckoo *filter, uint64_t hash)
    void sophia_cuckoo_mark(
        const sophia_cuckoo *filter, const uint64_t *hashes, size_t size, unsigned char *found
    )
    void sophia_cuckoo_prefetch(const sophia_cuckoo *filter, const uint64_t *hashes, size_t size)
    void sophia_cuckoo_export(const sophia_cuckoo *filter, unsigned char *out)
    void sophia_cuckoo_import(sophia_cuckoo *filter, const unsigned char *bytes)
    bint sophia_cuckoo_valid(const sophia_cuckoo *filter)


cdef extern from "changes.h" nogil:
    enum:
        SOPHIA_CHANGE_BYTES
        SOPHIA_CHANGE_ADD
        SOPHIA_CHANGE_DISCARD
        SOPHIA_CHANGE_ROTATE
        SOPHIA_CHANGE_CLEAR

    ctypedef struct sophia_changes:
        unsigned char *bytes
        size_t used
        size_t limit
        bint lost

    void sophia_changes_log(sophia_changes *log, unsigned char change, uint64_t hash)
    void sophia_changes_forget(sophia_changes *log)
    void sophia_changes_free(sophia_changes *log)


cdef class MembershipFilter:
    cdef sophia_changes changes
    cdef cython.pymutex lock  # never held while the GIL is taken
    cdef uint64_t _capacity
    cdef uint64_t _seed

    cdef bint contains_hash(self, uint64_t hash) noexcept nogil
    cdef int add_hash(self, uint64_t hash) noexcept nogil  # SOPHIA_FILTER_OK or SOPHIA_FILTER_FULL
    cdef bint discard_hash(self, uint64_t hash) noexcept nogil
    cdef void clear_all(self) noexcept nogil
    cdef bint rotate_all(self) noexcept nogil  # False: this kind has no generations
    # found[i] becomes 1 for a hash that is there and keeps its value otherwise
    cdef void mark_hashes(self, const uint64_t *hashes, size_t size, unsigned char *found) noexcept nogil
    cdef void prefetch_hashes(self, const uint64_t *hashes, size_t size) noexcept nogil
    cdef bint is_full(self) noexcept nogil
    cdef Py_ssize_t add_hashes(self, const uint64_t *hashes, Py_ssize_t size) noexcept nogil  # accepted
    cdef void discard_hashes(
        self, const uint64_t *hashes, Py_ssize_t size, unsigned char *removed
    ) noexcept nogil
    cdef uint64_t identity(self, object key) except? 0
    cdef object _prepare(self, object capacity, object seed, object track_changes)
    cdef object _refused(self)


cdef class CuckooFilter(MembershipFilter):
    cdef sophia_cuckoo table


cdef class GenerationalFilter(MembershipFilter):
    cdef sophia_cuckoo young
    cdef sophia_cuckoo old
    cdef uint64_t _rotations

    cdef void _turn(self) noexcept nogil
    cdef int refresh_hash(self, uint64_t hash) noexcept nogil  # add_hash() unless the young one has it
