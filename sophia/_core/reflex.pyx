# cython: auto_pickle=False
"""The reflex: an exact, bounded cache from key bytes to what was decided for them.

A hit means that every byte of the key is equal; the keyed hash only finds the place. When entries or bytes
run out, a CLOCK hand evicts: what was found since the hand last came by gets a second chance. Each scope has a hand of
its own, and loses entries to another only while it holds more. See include/reflex.h.
"""

import os
import time

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport isnan
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    _MAX_ENTRIES = 1 << 30


cdef class ReflexEntry:
    """A copy of one entry: `raw`, `value` (None: no answer), `flags`, `tag` (three numbers), `expires`."""

    cdef readonly bytes raw
    cdef readonly object value
    cdef readonly object flags
    cdef readonly tuple tag
    cdef readonly object expires

    def __init__(self):
        raise TypeError("a ReflexEntry comes from ReflexCache.entry()")

    def __reduce__(self):
        raise TypeError("a ReflexEntry cannot be pickled; take its fields")

    def __repr__(self):
        return (
            f"ReflexEntry(raw={self.raw!r}, value={self.value!r}, flags={self.flags}, tag={self.tag}, "
            f"expires={self.expires})"
        )


cdef class ReflexCache:
    """ReflexCache(max_bytes=67108864, max_entries=65536, *, ttl=None, policy=None)

    A map from bytes to bytes that holds at most `max_entries` entries in at most `max_bytes` bytes.

    The bytes of entries and tables are counted: 30 to 48 for each of `max_entries`, allocated at once, then
    144 and the bytes of key, raw and value for each entry, in steps of 16, and 64 for each scope. `ttl` is the default
    life of an entry in seconds, None for ever. `policy` is any value that compares: setting another one empties
    the cache. Time is time.monotonic() unless `now` is given, in seconds of any clock that you keep to. Raises
    ValueError for bounds that leave no room, MemoryError.

    Thread-safety: every Python method may be called from any thread; each call is one step. Example::

        >>> cache = ReflexCache(max_entries=2)
        >>> cache.put(b"a", value=b"1"), cache.put(b"b", value=b""), cache.put(b"c")
        (True, True, True)
        >>> cache.get(b"a"), cache.get(b"b"), cache.get(b"c"), b"c" in cache
        (None, b'', None, True)
        >>> cache.stats()["evictions"]
        1
    """

    def __cinit__(self, max_bytes=64 << 20, max_entries=1 << 16, *, ttl=None, policy=None):
        if not 1 <= max_entries <= _MAX_ENTRIES:
            raise ValueError(f"max_entries must be 1 to {_MAX_ENTRIES}, not {max_entries}")
        cdef uint32_t entries = max_entries
        least = sophia_reflex_tables(entries) + 1024
        if not least <= max_bytes < 1 << 62:
            raise ValueError(
                f"max_bytes must be at least {least}, the tables for {max_entries} entries and one small "
                f"entry, not {max_bytes}"
            )
        if ttl is not None and not ttl > 0:
            raise ValueError(f"ttl must be a number of seconds above 0, or None, not {ttl}")
        self._ttl = None if ttl is None else float(ttl)
        self._policy = policy
        secret = int.from_bytes(os.urandom(8), "little")
        if not sophia_reflex_init(&self.cache, max_bytes, entries, secret):
            raise MemoryError(f"no memory for the tables of a cache of {max_entries} entries")

    def __dealloc__(self):
        sophia_reflex_free(&self.cache)

    cdef sophia_hash128 hash_key(self, const unsigned char *key, size_t size) noexcept nogil:
        return sophia_reflex_hash(&self.cache, key, size)

    cdef const sophia_reflex_entry *find(
        self, const unsigned char *key, size_t size, sophia_hash128 hash, double now
    ) noexcept nogil:
        return sophia_reflex_find(&self.cache, key, size, hash, now)

    cdef const sophia_reflex_entry *peek(
        self, const unsigned char *key, size_t size, sophia_hash128 hash, double now
    ) noexcept nogil:
        return sophia_reflex_peek(&self.cache, key, size, hash, now)

    cdef int put_entry(
        self, const unsigned char *key, size_t key_size, sophia_hash128 hash,
        const unsigned char *raw, size_t raw_size, const unsigned char *value, size_t value_size,
        bint has_value, uint32_t flags, const uint64_t *tag, double expires,
        const unsigned char *scope, size_t scope_size
    ) noexcept nogil:
        return sophia_reflex_put(
            &self.cache, key, key_size, hash, raw, raw_size, value, value_size, has_value, flags, tag, expires, scope,
            scope_size
        )

    cdef bint drop_entry(self, const unsigned char *key, size_t size, sophia_hash128 hash) noexcept nogil:
        return sophia_reflex_drop(&self.cache, key, size, hash)

    cdef void clear_all(self) noexcept nogil:
        sophia_reflex_clear(&self.cache)

    cdef bint forgetful(self) noexcept nogil:
        return self.cache.evictions != 0 or self.cache.refusals != 0

    def put(self, bytes key not None, bytes raw=b"", bytes value=None, *, flags=0, tag=(0, 0, 0), ttl=None,
            now=None, bytes scope not None=b""):
        """Keeps copies of `raw` and `value` under `key` and returns True.

        Replaces what the key had. `value=None` is "no answer", which differs from an empty one. An entry that
        is larger than the whole bound is not kept: False, and what the key had before is gone all the same.
        `scope` says whose entry it is: see above for what makes room for it. `flags` is an unsigned 32-bit, `tag`
        three unsigned 64-bit numbers, for the caller's own use. Raises OverflowError or ValueError for others,
        MemoryError. About 150 ns.
        """
        cdef uint64_t tags[3]
        tags[0], tags[1], tags[2] = tag
        cdef uint32_t bits = flags
        cdef double expires = 0.0
        life = self._ttl if ttl is None else ttl
        if life is not None:
            expires = (time.monotonic() if now is None else now) + life
            if isnan(expires):
                raise ValueError(f"ttl and now must be numbers of seconds, not {life} and {now}")
        cdef const unsigned char *data = <const unsigned char *>PyBytes_AS_STRING(key)
        cdef size_t size = PyBytes_GET_SIZE(key)
        cdef const unsigned char *answer = NULL
        cdef size_t answer_size = 0
        if value is not None:
            answer = <const unsigned char *>PyBytes_AS_STRING(value)
            answer_size = PyBytes_GET_SIZE(value)
        if raw is None:
            raise TypeError("raw must be bytes, not None")
        cdef int code
        with self.lock:
            code = self.put_entry(
                data, size, self.hash_key(data, size),
                <const unsigned char *>PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw),
                answer, answer_size, value is not None, bits, tags, expires,
                <const unsigned char *>PyBytes_AS_STRING(scope), PyBytes_GET_SIZE(scope),
            )
        if code == SOPHIA_REFLEX_NO_MEMORY:
            raise MemoryError("no memory for an entry of the cache")
        return code == SOPHIA_REFLEX_OK

    cdef object _copy(self, bytes key, object now, bint whole):
        """The value, or the whole entry, of a key; None when it is not there."""
        cdef const unsigned char *data = <const unsigned char *>PyBytes_AS_STRING(key)
        cdef size_t size = PyBytes_GET_SIZE(key)
        cdef double moment = time.monotonic() if now is None else now
        cdef const sophia_reflex_entry *found
        cdef sophia_reflex_entry entry
        cdef ReflexEntry result
        # copies are made while the lock is held: PyBytes_FromStringAndSize runs no other Python code
        value = raw = None
        with self.lock:
            found = self.find(data, size, self.hash_key(data, size), moment)
            if found != NULL:
                entry = found[0]
                if entry.has_value:
                    value = PyBytes_FromStringAndSize(<const char *>entry.value, entry.value_size)
                if whole:
                    raw = PyBytes_FromStringAndSize(<const char *>entry.raw, entry.raw_size)
        if not whole or found == NULL:
            return value
        result = ReflexEntry.__new__(ReflexEntry)
        result.raw, result.value, result.flags = raw, value, entry.flags
        result.tag = (entry.tag[0], entry.tag[1], entry.tag[2])
        result.expires = entry.expires or None
        return result

    def get(self, bytes key not None, *, now=None):
        """The value of `key`, or None: not there, expired, or there without an answer (see entry())."""
        return self._copy(key, now, False)

    def entry(self, bytes key not None, *, now=None):
        """A copy of the whole entry of `key`, or None. `expires` is None for one that never does.

            >>> cache = ReflexCache(ttl=10)
            >>> cache.put(b"k", b"raw", b"answer", tag=(1, 2, 3), now=100.0)
            True
            >>> cache.entry(b"k", now=109.0)
            ReflexEntry(raw=b'raw', value=b'answer', flags=0, tag=(1, 2, 3), expires=110.0)
            >>> cache.entry(b"k", now=110.0) is None
            True
        """
        return self._copy(key, now, True)

    def __contains__(self, bytes key not None):
        """Whether an entry is there, expired or not; counts nothing as found."""
        cdef const unsigned char *data = <const unsigned char *>PyBytes_AS_STRING(key)
        cdef size_t size = PyBytes_GET_SIZE(key)
        cdef bint found
        with self.lock:
            found = sophia_reflex_holds(&self.cache, data, size, self.hash_key(data, size))
        return found

    def drop(self, bytes key not None):
        """Removes the entry of `key`; returns whether there was one."""
        cdef const unsigned char *data = <const unsigned char *>PyBytes_AS_STRING(key)
        cdef size_t size = PyBytes_GET_SIZE(key)
        cdef bint dropped
        with self.lock:
            dropped = self.drop_entry(data, size, self.hash_key(data, size))
        return dropped

    def expire(self, *, now=None):
        """Removes everything that has expired and returns how many; time proportional to the entries."""
        cdef double moment = time.monotonic() if now is None else now
        cdef uint32_t gone
        with nogil, self.lock:
            gone = sophia_reflex_expire(&self.cache, moment)
        return gone

    def clear(self):
        """Removes every entry. The counters go on."""
        with nogil, self.lock:
            self.clear_all()

    @property
    def policy(self):
        """What the entries were decided under; setting a different value empties the cache."""
        return self._policy

    @policy.setter
    def policy(self, policy):
        if policy != self._policy:
            self._policy = policy
            self.clear()

    def __len__(self):
        return self.cache.entries

    @property
    def max_bytes(self):
        """The bound on `nbytes`."""
        return self.cache.max_bytes

    @property
    def max_entries(self):
        """The bound on the number of entries."""
        return self.cache.max_entries

    @property
    def nbytes(self):
        """Bytes of all entries and of the tables."""
        return self.cache.bytes

    @property
    def has_forgotten(self):
        """True when an entry was evicted or refused since the cache was made: a miss may be in a store."""
        return self.forgetful()

    def stats(self):
        """Counters since the cache was made, and the entries and bytes that it has now."""
        cdef sophia_reflex now
        with self.lock:
            now = self.cache
        return {
            "hits": now.hits,
            "misses": now.misses,
            "evictions": now.evictions,
            "expirations": now.expirations,
            "refusals": now.refusals,
            "entries": now.entries,
            "scopes": now.scopes,
            "bytes": now.bytes,
        }

    def __reduce__(self):
        raise TypeError("a ReflexCache cannot be pickled: it is rebuilt from what a store holds")

    def __repr__(self):
        return (
            f"ReflexCache(max_bytes={self.max_bytes}, max_entries={self.max_entries}): "
            f"{len(self)} entries, {self.nbytes} bytes"
        )
