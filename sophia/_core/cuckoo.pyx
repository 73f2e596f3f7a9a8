# Over 600 lines: both kinds of filter, their common base and the one dump format that they share.
"""Cuckoo filters: "was this decided before?" in two bytes an item, with deletion.

A filter answers *perhaps* or *certainly not*. A false *perhaps* comes at a rate of at most 8 / 65,535
(1.2e-4); a false *certainly not* never, as long as only what was added is discarded. The method is in
include/bucket.h.

Keys are str, bytes or integers and are told apart by type: ``"1"``, ``b"1"`` and ``1`` are three keys. They
are hashed with the filter's own seed, never with Python's salted ``hash()``, so a dumped filter answers the
same in every process. An array of uint64 is a batch of integer keys.
"""

import struct
from operator import index as as_index

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsUnsignedLongLong
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from sophia._core.buffer cimport BOOL, U8, U64, Block, close_block, open_block, overlap

from sophia.errors import FilterFull, ShapeError, StoreCorrupt, StoreVersionError


cdef extern from "hash.h" nogil:
    ctypedef struct sophia_hash128:
        uint64_t low
        uint64_t high
    sophia_hash128 sophia_hash_bytes(const void *data, size_t size, uint64_t key)
    uint64_t sophia_mix64(uint64_t x)


# Added to the seed, so that keys of different types never share a hash by construction.
cdef enum:
    _STR = 1
    _BYTES = 2
    _BIG_INT = 3

cdef enum:
    _AHEAD = 32  # keys fetched ahead in add_many() and discard_many()
    _HEADER = 128
    _CHECKSUM = 16

_VERSION = 1
_TABLE = struct.Struct("<8sIIQQQQII16I8x")
_TABLE_MAGIC = b"SOPHCKF\n"
_GENERATIONS = struct.Struct("<8sIIQQQQ")
_GENERATIONS_MAGIC = b"SOPHCKG\n"


cdef bytes _checksum(const char *data, size_t size):
    cdef sophia_hash128 hash = sophia_hash_bytes(data, size, 0)
    return struct.pack("<QQ", hash.low, hash.high)


cdef bytes _checked(object data, bytes magic, size_t header, str what):
    """The bytes of a dump, after length, magic, version and checksum were found right."""
    cdef bytes dump = bytes(data)
    cdef size_t size = PyBytes_GET_SIZE(dump)
    if size < header + _CHECKSUM or dump[:8] != magic:
        raise StoreCorrupt(f"not a dumped {what}: {size} bytes that begin with {dump[:8]!r}")
    version = int.from_bytes(dump[8:12], "little")
    if version > _VERSION:
        raise StoreVersionError(f"this {what} has format {version}; this sophia reads up to {_VERSION}")
    if _checksum(PyBytes_AS_STRING(dump), size - _CHECKSUM) != dump[size - _CHECKSUM:]:
        raise StoreCorrupt(f"the checksum of a dumped {what} is wrong: {size} bytes, damaged or cut")
    return dump


cdef bytes _pack_table(const sophia_cuckoo *table, bytes body, uint64_t capacity, uint64_t seed):
    """A dump from a copy of the table's struct and its exported buckets."""
    stash = []
    cdef int i
    for i in range(SOPHIA_STASH):
        stash += [table.stash[i].bucket, table.stash[i].tag]
    head = _TABLE.pack(
        _TABLE_MAGIC, _VERSION, 0, seed, capacity, table.size, table.count, table.stashed, table.full, *stash
    )
    cdef bytes dump = head + body
    return dump + _checksum(PyBytes_AS_STRING(dump), PyBytes_GET_SIZE(dump))


cdef _unpack_table(sophia_cuckoo *table, bytes dump, uint64_t capacity):
    """Fills a fresh table of the right size; the dump has passed _checked()."""
    fields = _TABLE.unpack_from(dump)
    cdef bytes head = dump
    if fields[5] != table.size or <uint64_t>PyBytes_GET_SIZE(dump) != _HEADER + 8 * table.size + _CHECKSUM:
        raise StoreCorrupt(
            f"a dumped filter of {fields[5]} buckets in {len(dump)} bytes; "
            f"a capacity of {capacity} has {table.size} buckets"
        )
    table.count, table.stashed, table.full = fields[6], fields[7], fields[8] != 0
    cdef int i
    for i in range(SOPHIA_STASH):
        table.stash[i].bucket, table.stash[i].tag = fields[9 + 2 * i], fields[10 + 2 * i]
    sophia_cuckoo_import(table, <const unsigned char *>PyBytes_AS_STRING(head) + _HEADER)
    if not sophia_cuckoo_valid(table):
        raise StoreCorrupt(f"a dumped filter does not hold the {fields[6]} items that it says")


cdef object _open_flags(Block *flags, object out, const Block *keys):
    """Opens `out`, or a new bool array with a place for each key, for writing; returns it."""
    cdef Py_ssize_t size = keys.columns
    if out is None:
        import numpy

        out = numpy.empty(size, dtype=numpy.bool_)
    open_block(flags, out, "out", BOOL | U8, 1, 1, 1, True)
    if flags.columns != size:
        given = flags.columns
        close_block(flags)
        raise ShapeError(f"out: {given} values where {size} are needed, one for each key")
    if overlap(keys.data, <size_t>keys.view.len, flags.data, <size_t>size):
        close_block(flags)
        raise ValueError("out: overlaps the keys; give another array")
    return out


def _partner(uint32_t bucket, uint32_t tag, uint64_t size):
    """The other bucket of an item, for the tests."""
    return sophia_partner(bucket, tag, size)


cdef class MembershipFilter:
    """What both kinds of filter can do. Not made directly: use CuckooFilter or GenerationalFilter.

    Thread-safety: every method may be called from any thread; a lock of the object's own makes each call
    (each batch as a whole) one step. Batches release the GIL.
    """

    def __cinit__(self, *arguments, **options):
        if type(self) is MembershipFilter:
            raise TypeError("MembershipFilter is the common base of CuckooFilter and GenerationalFilter")

    cdef _prepare(self, object capacity, object seed, object track_changes):
        capacity, seed, track_changes = as_index(capacity), as_index(seed), as_index(track_changes)
        if capacity < 1 or capacity >= 1 << 33 or sophia_cuckoo_size(capacity) == 0:
            raise ValueError(f"capacity must be 1 to {(1 << 33) - 1} items, not {capacity}")
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"seed must be an unsigned 64-bit number, not {seed}")
        if not 0 <= track_changes <= 1 << 28:
            raise ValueError(f"track_changes must be 0 to {1 << 28} changes, not {track_changes}")
        self._capacity = capacity
        self._seed = seed
        self.changes.limit = <size_t>track_changes * SOPHIA_CHANGE_BYTES

    def __dealloc__(self):
        sophia_changes_free(&self.changes)

    cdef bint contains_hash(self, uint64_t hash) noexcept nogil:
        return False

    cdef int add_hash(self, uint64_t hash) noexcept nogil:
        return SOPHIA_FILTER_FULL

    cdef bint discard_hash(self, uint64_t hash) noexcept nogil:
        return False

    cdef void clear_all(self) noexcept nogil:
        pass

    cdef bint rotate_all(self) noexcept nogil:
        return False

    cdef void mark_hashes(self, const uint64_t *hashes, size_t size, unsigned char *found) noexcept nogil:
        pass

    cdef void prefetch_hashes(self, const uint64_t *hashes, size_t size) noexcept nogil:
        pass

    cdef bint is_full(self) noexcept nogil:
        return False

    cdef Py_ssize_t add_hashes(self, const uint64_t *hashes, Py_ssize_t size) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(size):
            if i % _AHEAD == 0:
                self.prefetch_hashes(hashes + i, min(<Py_ssize_t>_AHEAD, size - i))
            if self.add_hash(hashes[i]) != SOPHIA_FILTER_OK:
                return i
        return size

    cdef void discard_hashes(
        self, const uint64_t *hashes, Py_ssize_t size, unsigned char *removed
    ) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(size):
            if i % _AHEAD == 0:
                self.prefetch_hashes(hashes + i, min(<Py_ssize_t>_AHEAD, size - i))
            removed[i] = self.discard_hash(hashes[i])

    cdef uint64_t identity(self, object key) except? 0:
        cdef const char *text
        cdef Py_ssize_t size
        cdef bytes raw
        cdef uint64_t kind
        if isinstance(key, str):
            try:
                text = PyUnicode_AsUTF8AndSize(key, &size)
                return sophia_hash_bytes(text, size, sophia_mix64(self._seed + _STR)).low
            except UnicodeEncodeError:  # lone surrogates
                raw = key.encode("utf-8", "surrogatepass")
                kind = _STR
        elif isinstance(key, bytes):
            raw = key
            kind = _BYTES
        else:
            if not isinstance(key, int):  # numpy's integers
                try:
                    key = as_index(key)
                except TypeError:
                    raise TypeError(f"a key is str, bytes or an integer, not {type(key).__name__}") from None
            try:
                return PyLong_AsUnsignedLongLong(key)
            except OverflowError:
                pass
            raw = key.to_bytes(key.bit_length() // 8 + 1, "little", signed=True)
            kind = _BIG_INT
        kind = sophia_mix64(self._seed + kind)
        return sophia_hash_bytes(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), kind).low

    cdef _refused(self):
        if self.is_full():
            return FilterFull(f"the filter holds {len(self)} items and found no room; nothing was lost")
        return FilterFull(f"the filter already holds {2 * SOPHIA_LANES} copies of this item")

    def key_hash(self, key):
        """The 64-bit hash under which `key` is kept: the key itself for an integer of 0 to 2**64 - 1.

        Use it to make a batch of str or bytes keys. Depends on `seed` for other keys. Example::

            >>> CuckooFilter(100).key_hash(7)
            7
        """
        return self.identity(key)

    def add(self, key):
        """Adds one copy of `key`. About 100 ns.

        Raises FilterFull, with nothing changed or lost, when no room is found or when 8 copies of the key
        (or of keys that collide with it) are there already.
        """
        cdef uint64_t hash = self.identity(key)
        cdef int code
        with self.lock:
            code = self.add_hash(hash)
        if code != SOPHIA_FILTER_OK:
            raise self._refused()

    def __contains__(self, key):
        cdef uint64_t hash = self.identity(key)
        cdef bint found
        with self.lock:
            found = self.contains_hash(hash)
        return found

    def discard(self, key):
        """Removes one copy of `key`; returns False, with no change, when nothing matches.

        Discarding what was never added may remove a colliding item that was (1.2e-4 of such calls): discard
        only what an exact record says was added.
        """
        cdef uint64_t hash = self.identity(key)
        cdef bint removed
        with self.lock:
            removed = self.discard_hash(hash)
        return removed

    def contains_many(self, keys, out=None):
        """For each of n uint64 `keys`, whether it is there: bool[n], or `out` (bool or uint8, n values).

        About 6 ns a key while the table fits the cache. Raises ShapeError for another type or length::

            >>> from array import array
            >>> known = CuckooFilter(100)
            >>> known.add_many(array("Q", [3, 5]))
            2
            >>> list(known.contains_many(array("Q", [3, 4, 5]), bytearray(3)))
            [1, 0, 1]
        """
        cdef Block block
        cdef Block flags
        open_block(&block, keys, "keys", U64, 1, 1, 8, False)
        try:
            out = _open_flags(&flags, out, &block)
            with nogil:
                memset(flags.data, 0, flags.columns)
                with self.lock:
                    self.mark_hashes(<const uint64_t *>block.data, block.columns, <unsigned char *>flags.data)
            close_block(&flags)
        finally:
            close_block(&block)
        return out

    def add_many(self, keys):
        """Adds n uint64 `keys` in order and returns n.

        At the first refusal it stops and raises FilterFull, whose attribute `accepted` says how many leading
        keys are in; they stay.
        """
        cdef Block block
        cdef Py_ssize_t size, accepted
        open_block(&block, keys, "keys", U64, 1, 1, 8, False)
        size = block.columns
        with nogil, self.lock:
            accepted = self.add_hashes(<const uint64_t *>block.data, size)
        close_block(&block)
        if accepted < size:
            error = self._refused()
            error.accepted = accepted
            raise error
        return size

    def discard_many(self, keys, out=None):
        """Removes one copy of each of n uint64 `keys`; bool[n] or `out` says which matched. See discard()."""
        cdef Block block
        cdef Block flags
        open_block(&block, keys, "keys", U64, 1, 1, 8, False)
        try:
            out = _open_flags(&flags, out, &block)
            with nogil, self.lock:
                self.discard_hashes(<const uint64_t *>block.data, block.columns, <unsigned char *>flags.data)
            close_block(&flags)
        finally:
            close_block(&block)
        return out

    def clear(self):
        """Removes everything. Time proportional to `nbytes`."""
        with nogil, self.lock:
            self.clear_all()

    @property
    def capacity(self):
        """The number of items that it was made for."""
        return self._capacity

    @property
    def seed(self):
        """The seed of its hashes."""
        return self._seed

    @property
    def full(self):
        """True since an item was refused for lack of room, until something is discarded."""
        return self.is_full()

    @property
    def changes_lost(self):
        """True when more changed since the last drain_changes() than `track_changes` allows."""
        return bool(self.changes.lost)

    def drain_changes(self):
        """What changed since the last call, oldest first, as bytes for apply_changes(); empties the log.

        Nine bytes a change: ``+`` added, ``-`` discarded, ``>`` rotated by hand, ``0`` cleared; then the
        hash, little-endian. None when more changed than `track_changes` allows: only a new dump() has it all.
        Take a dump() after a drain and before the next change, and dump plus later drains are the filter.
        """
        cdef sophia_changes drained
        with self.lock:
            drained = self.changes
            sophia_changes_forget(&self.changes)
        try:
            return None if drained.lost else PyBytes_FromStringAndSize(<char *>drained.bytes, drained.used)
        finally:
            sophia_changes_free(&drained)

    def apply_changes(self, changes):
        """Replays what drain_changes() gave; returns the number of changes. They are not logged again.

        Raises StoreCorrupt for bytes that are no change log, or that remove what is not there; the changes
        before the wrong one stay applied.
        """
        cdef bytes log = bytes(changes)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(log)
        cdef Py_ssize_t at = 0
        cdef const unsigned char *data = <const unsigned char *>PyBytes_AS_STRING(log)
        cdef uint64_t hash
        cdef size_t limit
        cdef bint good = size % SOPHIA_CHANGE_BYTES == 0
        cdef int i
        with nogil, self.lock:
            limit = self.changes.limit
            self.changes.limit = 0
            while good and at < size:
                hash = 0
                for i in range(8):
                    hash |= <uint64_t>data[at + 1 + i] << (8 * i)
                if data[at] == SOPHIA_CHANGE_ADD:
                    good = self.add_hash(hash) == SOPHIA_FILTER_OK
                elif data[at] == SOPHIA_CHANGE_DISCARD:
                    good = self.discard_hash(hash)
                elif data[at] == SOPHIA_CHANGE_ROTATE:
                    good = self.rotate_all()
                elif data[at] == SOPHIA_CHANGE_CLEAR:
                    self.clear_all()
                else:
                    good = False
                at += SOPHIA_CHANGE_BYTES
            self.changes.limit = limit
        if not good:
            raise StoreCorrupt(f"a change log of {size} bytes does not fit its filter at change {at // 9}")
        return size // SOPHIA_CHANGE_BYTES

    def __reduce__(self):
        return type(self).load, (self.dump(),)


cdef class CuckooFilter(MembershipFilter):
    """CuckooFilter(capacity, *, seed=0, track_changes=0)

    A multiset of up to about `capacity` items, kept as 16-bit tags in buckets of four: 2.1 bytes an item.

    It takes `capacity` items (load .955) and some 2 % more, then refuses with FilterFull. Duplicates are
    kept: what was added twice is still there after one discard; the ninth copy is refused. `track_changes`
    is the number of changes kept for drain_changes(). A secret seed makes flooding with chosen collisions
    hard.
    Raises ValueError for a capacity outside 1 to 2**33 - 1, MemoryError. Example::

        >>> known = CuckooFilter(1000)
        >>> known.add("disk full")
        >>> "disk full" in known, b"disk full" in known
        (True, False)
        >>> known.discard("disk full"), known.discard("disk full")
        (True, False)
    """

    def __cinit__(self, capacity, *, seed=0, track_changes=0):
        self._prepare(capacity, seed, track_changes)
        if not sophia_cuckoo_init(&self.table, sophia_cuckoo_size(self._capacity), self._seed):
            raise MemoryError(f"no memory for a filter of {capacity} items")

    def __dealloc__(self):
        sophia_cuckoo_free(&self.table)

    cdef bint contains_hash(self, uint64_t hash) noexcept nogil:
        return sophia_cuckoo_contains(&self.table, hash)

    cdef int add_hash(self, uint64_t hash) noexcept nogil:
        cdef int code = sophia_cuckoo_add(&self.table, hash)
        if code == SOPHIA_FILTER_OK:
            sophia_changes_log(&self.changes, SOPHIA_CHANGE_ADD, hash)
        return code

    cdef bint discard_hash(self, uint64_t hash) noexcept nogil:
        cdef bint removed = sophia_cuckoo_discard(&self.table, hash)
        if removed:
            sophia_changes_log(&self.changes, SOPHIA_CHANGE_DISCARD, hash)
        return removed

    cdef void clear_all(self) noexcept nogil:
        sophia_cuckoo_clear(&self.table)
        sophia_changes_log(&self.changes, SOPHIA_CHANGE_CLEAR, 0)

    cdef void mark_hashes(self, const uint64_t *hashes, size_t size, unsigned char *found) noexcept nogil:
        sophia_cuckoo_mark(&self.table, hashes, size, found)

    cdef void prefetch_hashes(self, const uint64_t *hashes, size_t size) noexcept nogil:
        sophia_cuckoo_prefetch(&self.table, hashes, size)

    cdef bint is_full(self) noexcept nogil:
        return self.table.full != 0

    def __len__(self):
        return self.table.count

    @property
    def load_factor(self):
        """Items over lanes, 0.0 to 1.0."""
        return self.table.count / (<double>self.table.size * SOPHIA_LANES)

    @property
    def nbytes(self):
        """Bytes of the table."""
        return self.table.size * 8

    def dump(self):
        """The whole filter as bytes: magic, format, seed, counts, buckets, checksum; see load()."""
        cdef bytes body = PyBytes_FromStringAndSize(NULL, self.table.size * 8)
        cdef sophia_cuckoo snapshot
        with self.lock:
            snapshot = self.table
            sophia_cuckoo_export(&snapshot, <unsigned char *>PyBytes_AS_STRING(body))
        return _pack_table(&snapshot, body, self._capacity, self._seed)

    @classmethod
    def load(cls, data, *, track_changes=0):
        """The filter that dump() gave `data`.

        Raises StoreCorrupt for anything that dump() did not write, StoreVersionError for a newer format.

            >>> known = CuckooFilter(10, seed=5)
            >>> known.add("a")
            >>> "a" in CuckooFilter.load(known.dump())
            True
        """
        dump = _checked(data, _TABLE_MAGIC, _HEADER, "cuckoo filter")
        fields = _TABLE.unpack_from(dump)
        seed, capacity = fields[3], fields[4]
        _check_capacity(capacity, len(dump))
        cdef CuckooFilter self = cls(capacity, seed=seed, track_changes=track_changes)
        _unpack_table(&self.table, dump, capacity)
        return self

    def __repr__(self):
        return f"CuckooFilter(capacity={self.capacity}, seed={self.seed}): {len(self)} items"


cdef _check_capacity(object capacity, object size):
    """Before memory is asked for: a capacity that the dump cannot hold."""
    if not 1 <= capacity < 1 << 33 or 8 * sophia_cuckoo_size(capacity) > size:
        raise StoreCorrupt(f"a dumped filter for {capacity} items in {size} bytes")


cdef class GenerationalFilter(MembershipFilter):
    """GenerationalFilter(capacity, *, seed=0, track_changes=0)

    A filter that forgets the oldest: two cuckoo filters of `capacity` items each; the young one is added to.

    When the young one holds `capacity` items (or, practically never, finds no room before), the old one is
    dropped, the young one becomes the old one, and an empty one is begun. So an item stays known for at
    least the next `capacity` additions and is forgotten after at most twice that many; memory never grows.
    An item is there when either has it; a discard takes one copy from each. refresh() keeps what is still
    met. Example::

        >>> recent = GenerationalFilter(2)
        >>> for word in ("a", "b", "c", "d"):
        ...     recent.add(word)
        >>> "a" in recent, recent.rotations
        (True, 1)
        >>> recent.add("e")
        >>> "a" in recent, "c" in recent
        (False, True)
    """

    def __cinit__(self, capacity, *, seed=0, track_changes=0):
        self._prepare(capacity, seed, track_changes)
        size = sophia_cuckoo_size(self._capacity)
        if not sophia_cuckoo_init(&self.young, size, self._seed) or not sophia_cuckoo_init(
            &self.old, size, self._seed
        ):
            raise MemoryError(f"no memory for two filters of {capacity} items")

    def __dealloc__(self):
        sophia_cuckoo_free(&self.young)
        sophia_cuckoo_free(&self.old)

    cdef bint contains_hash(self, uint64_t hash) noexcept nogil:
        return sophia_cuckoo_contains(&self.young, hash) or sophia_cuckoo_contains(&self.old, hash)

    cdef void _turn(self) noexcept nogil:
        cdef sophia_cuckoo empty = self.old
        sophia_cuckoo_clear(&empty)
        self.old = self.young
        self.young = empty
        self._rotations += 1

    cdef int add_hash(self, uint64_t hash) noexcept nogil:
        if self.young.count >= self._capacity:
            self._turn()
        cdef int code = sophia_cuckoo_add(&self.young, hash)
        if code != SOPHIA_FILTER_OK and self.young.full:
            self._turn()
            code = sophia_cuckoo_add(&self.young, hash)
        if code == SOPHIA_FILTER_OK:
            sophia_changes_log(&self.changes, SOPHIA_CHANGE_ADD, hash)
        return code

    cdef int refresh_hash(self, uint64_t hash) noexcept nogil:
        if sophia_cuckoo_contains(&self.young, hash):
            return SOPHIA_FILTER_OK
        return self.add_hash(hash)

    cdef bint discard_hash(self, uint64_t hash) noexcept nogil:
        cdef bint young = sophia_cuckoo_discard(&self.young, hash)
        cdef bint old = sophia_cuckoo_discard(&self.old, hash)
        if young or old:
            sophia_changes_log(&self.changes, SOPHIA_CHANGE_DISCARD, hash)
        return young or old

    cdef void clear_all(self) noexcept nogil:
        sophia_cuckoo_clear(&self.young)
        sophia_cuckoo_clear(&self.old)
        self._rotations = 0
        sophia_changes_log(&self.changes, SOPHIA_CHANGE_CLEAR, 0)

    cdef bint rotate_all(self) noexcept nogil:
        self._turn()
        sophia_changes_log(&self.changes, SOPHIA_CHANGE_ROTATE, 0)
        return True

    cdef void mark_hashes(self, const uint64_t *hashes, size_t size, unsigned char *found) noexcept nogil:
        sophia_cuckoo_mark(&self.young, hashes, size, found)
        sophia_cuckoo_mark(&self.old, hashes, size, found)

    cdef void prefetch_hashes(self, const uint64_t *hashes, size_t size) noexcept nogil:
        sophia_cuckoo_prefetch(&self.young, hashes, size)

    cdef bint is_full(self) noexcept nogil:
        return self.young.full != 0

    def refresh(self, key):
        """Makes `key` the youngest: adds it unless the young generation has it already. See add()."""
        cdef uint64_t hash = self.identity(key)
        cdef int code
        with self.lock:
            code = self.refresh_hash(hash)
        if code != SOPHIA_FILTER_OK:
            raise self._refused()

    def rotate(self):
        """Drops the old generation and begins a new one, whatever the count."""
        with nogil, self.lock:
            self.rotate_all()

    def __len__(self):
        return self.young.count + self.old.count

    @property
    def load_factor(self):
        """Items over lanes of both generations, 0.0 to 1.0."""
        return (self.young.count + self.old.count) / (2.0 * self.young.size * SOPHIA_LANES)

    @property
    def nbytes(self):
        """Bytes of both tables."""
        return self.young.size * 16

    @property
    def rotations(self):
        """How often a generation was dropped since the filter was made or cleared."""
        return self._rotations

    def dump(self):
        """Both generations as bytes; see load()."""
        cdef bytes young_body = PyBytes_FromStringAndSize(NULL, self.young.size * 8)
        cdef bytes old_body = PyBytes_FromStringAndSize(NULL, self.old.size * 8)
        cdef sophia_cuckoo young, old
        cdef uint64_t rotations
        with self.lock:
            young, old, rotations = self.young, self.old, self._rotations
            sophia_cuckoo_export(&young, <unsigned char *>PyBytes_AS_STRING(young_body))
            sophia_cuckoo_export(&old, <unsigned char *>PyBytes_AS_STRING(old_body))
        packed = _pack_table(&young, young_body, self._capacity, self._seed)
        head = _GENERATIONS.pack(
            _GENERATIONS_MAGIC, _VERSION, 0, self._seed, self._capacity, rotations, len(packed)
        )
        cdef bytes whole = head + packed + _pack_table(&old, old_body, self._capacity, self._seed)
        return whole + _checksum(PyBytes_AS_STRING(whole), PyBytes_GET_SIZE(whole))

    @classmethod
    def load(cls, data, *, track_changes=0):
        """The filter that dump() gave `data`; errors as in CuckooFilter.load()."""
        what = "generational filter"
        dump = _checked(data, _GENERATIONS_MAGIC, _GENERATIONS.size, what)
        _, _, _, seed, capacity, rotations, size = _GENERATIONS.unpack_from(dump)
        _check_capacity(capacity, len(dump))
        at = _GENERATIONS.size
        if len(dump) != at + 2 * size + _CHECKSUM:
            raise StoreCorrupt(f"a dumped {what} of {len(dump)} bytes, not {at + 2 * size + _CHECKSUM}")
        cdef GenerationalFilter self = cls(capacity, seed=seed, track_changes=track_changes)
        young, old = dump[at:at + size], dump[at + size:at + 2 * size]
        _unpack_table(&self.young, _checked(young, _TABLE_MAGIC, _HEADER, what), capacity)
        _unpack_table(&self.old, _checked(old, _TABLE_MAGIC, _HEADER, what), capacity)
        self._rotations = rotations
        return self

    def __repr__(self):
        return f"GenerationalFilter(capacity={self.capacity}, seed={self.seed}): {len(self)} items"
