# cython: auto_pickle=False
# Over 600 lines: the table, its two row formats and its value classes read each other's fields.
"""Online templates: lines that are one message with different values share a pattern id.

A line is masked (include/mask.h), looked up by the hash of what is left, and, where it is new, compared with
what is known (include/pattern.h says by which evidence patterns become one). The grouping builds on ideas of
Brain (Yu et al., "Brain: Log Parsing with Bidirectional Parallel Tree", 2023: positions with few and with many
different words) and of ByteBrain-LogParser (2025: hash, remove duplicates, group what is distinct only), as an
online algorithm that only ever merges.
"""

import struct
from typing import NamedTuple

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport UINT64_MAX, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from sophia.errors import StoreCorrupt


cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    str PyUnicode_DecodeUTF8(const char *text, Py_ssize_t size, const char *errors)


cdef extern from "hash.h" nogil:
    ctypedef struct sophia_hash128:
        uint64_t low
        uint64_t high

    sophia_hash128 sophia_hash_bytes(const void *data, size_t size, uint64_t key)


cdef extern from "mask.h" nogil:
    enum:
        SOPHIA_MASK_ROOM

    ctypedef struct sophia_masked:
        uint32_t size
        unsigned char text[SOPHIA_MASK_ROOM]

    void sophia_mask_line(const unsigned char *text, size_t size, sophia_masked *masked)


cdef extern from "pattern.h" nogil:
    enum:
        SOPHIA_N_USED
        SOPHIA_N_LEAF
        SOPHIA_N_GENERAL
        SOPHIA_N_OWNED

    uint32_t SOPHIA_NONE

    ctypedef struct sophia_group:
        uint32_t survivor
        uint32_t text_size

    ctypedef struct sophia_pattern_id:
        uint64_t id
        uint32_t group

    void sophia_table_init(sophia_table *table, uint32_t capacity, uint64_t seed)
    void sophia_table_free(sophia_table *table)
    size_t sophia_table_bytes(const sophia_table *table)
    int sophia_table_observe(
        sophia_table *table, const unsigned char *text, size_t size, uint64_t n, uint64_t owner,
        sophia_pattern_seen *seen
    )
    int sophia_table_observe_leaf(
        sophia_table *table, uint32_t leaf, uint64_t hash, uint64_t n, uint64_t owner, sophia_pattern_seen *seen
    )
    int sophia_table_match(
        sophia_table *table, const unsigned char *text, size_t size, sophia_pattern_seen *seen
    )
    uint64_t sophia_owner_of(const unsigned char *scope, size_t size)
    int sophia_table_forget_sighting(sophia_table *table, uint64_t id, uint64_t leaf_hash)
    uint32_t sophia_find_id(const sophia_table *table, uint64_t id)
    sophia_group *sophia_group_at(const sophia_table *table, uint32_t i)
    sophia_pattern_id *sophia_id_at(const sophia_table *table, uint32_t i)
    const unsigned char *sophia_group_text(const sophia_table *table, const sophia_group *group)


cdef extern from "pattern_rows.h" nogil:
    int sophia_write_rows(sophia_table *table, bint everything, sophia_row_buffer *out)
    int sophia_put_pattern(
        sophia_table *table, uint64_t id, uint64_t count, uint64_t own_count, uint64_t first_n, uint64_t last_n
    )
    int sophia_put_alias(
        sophia_table *table, uint64_t id, uint64_t count, uint64_t first_n, uint64_t last_n, uint64_t into
    )
    int sophia_put_node(
        sophia_table *table, const unsigned char *text, size_t size, uint64_t pattern, bint leaf, bint general,
        uint32_t depth, uint64_t count, uint64_t last_n, uint64_t tick, uint64_t rare, uint64_t born, uint64_t owner
    )
    int sophia_put_face(sophia_table *table, uint64_t id, const unsigned char *text, size_t size)
    int sophia_put_done(sophia_table *table)


@cython.final
cdef class Pattern:
    """One pattern id: `id`, `template`, `count`, `first_n`, `last_n`, `merged_into`. Immutable; from a table only.

    `merged_into` is the surviving id where this one is an alias, else None. The count of a survivor is that of
    all lines of the pattern; the count of an alias is how many lines were given this id before it became one.
    `first_n` and `last_n` are line numbers. An alias has its survivor's template.
    """

    cdef readonly object id
    cdef readonly str template
    cdef readonly object count
    cdef readonly object first_n
    cdef readonly object last_n
    cdef readonly object merged_into

    def __init__(self):
        raise TypeError("a Pattern comes from PatternTable.patterns()")

    def _fields(self):
        return self.id, self.template, self.count, self.first_n, self.last_n, self.merged_into

    def __eq__(self, other):
        return isinstance(other, Pattern) and self._fields() == other._fields()

    def __hash__(self):
        return hash(self._fields())

    def __repr__(self):
        names = ("id", "template", "count", "first_n", "last_n", "merged_into")
        return f"Pattern({', '.join(f'{k}={v!r}' for k, v in zip(names, self._fields(), strict=True))})"


@cython.final
cdef class Sighting:
    """What was known of a line. Immutable; from a table only.

    `id`: its pattern. `leaf_hash`: 64 bits of the masked line. `count`, `leaf_count`: lines of the pattern, and
    lines with exactly this masked form, before this one. `closeness`: 1.0 where that form was seen before, 0.0
    for a new pattern, else the share of the line's words that stayed constant. `fresh`: the id was made for
    this line.
    """

    cdef readonly uint64_t id
    cdef readonly uint64_t leaf_hash
    cdef readonly uint64_t count
    cdef readonly uint64_t leaf_count
    cdef readonly double closeness
    cdef readonly bint fresh

    def __init__(self):
        raise TypeError("a Sighting comes from a PatternTable")

    def _fields(self):
        return self.id, self.leaf_hash, self.count, self.leaf_count, self.closeness, self.fresh

    def __eq__(self, other):
        return isinstance(other, Sighting) and self._fields() == other._fields()

    def __hash__(self):
        return hash(self._fields())

    def __repr__(self):
        names = ("id", "leaf_hash", "count", "leaf_count", "closeness", "fresh")
        return f"Sighting({', '.join(f'{k}={v!r}' for k, v in zip(names, self._fields(), strict=True))})"


cdef Pattern _pattern(tuple row):
    cdef Pattern pattern = Pattern.__new__(Pattern)
    pattern.id, pattern.template, pattern.count, pattern.first_n, pattern.last_n, pattern.merged_into, _ = row
    return pattern


cdef Sighting _sighting(const sophia_pattern_seen *seen):
    cdef Sighting sighting = Sighting.__new__(Sighting)
    sighting.id = seen.id
    sighting.leaf_hash = seen.leaf_hash
    sighting.count = seen.count
    sighting.leaf_count = seen.leaf_count
    sighting.closeness = seen.closeness
    sighting.fresh = seen.fresh
    return sighting


_MAGIC = b"SOPHIAPT"
_VERSION = 2
_READABLE = (1, _VERSION)  # rows of the first lack owners
_UNMASKED = 1 << 16  # beside the version, in a table without masks
_HEADER = struct.Struct("<8sIIQ16s")  # magic, version, capacity, seed, checksum of what follows
_ROW = struct.Struct("<qQQQQII")  # see sophia_put_row()
_TABLE_STATE = struct.Struct("<8Q")  # see sophia_write_rows(), as the other two
_PATTERN_STATE = struct.Struct("<Q")
_NODE_STATE = struct.Struct("<BBQQ")
_OWNER = struct.Struct("<Q")
_MOST = 1 << 62  # ids are signed in a row, and what is counted on from here never wraps
_MAX_CAPACITY = 1 << 26


cdef inline const unsigned char *_bytes_of(object text, Py_ssize_t *size, list keep) except NULL:
    """The UTF-8 of a str, or the bytes; what had to be made for it is put into `keep`."""
    if isinstance(text, str):
        try:
            return <const unsigned char *>PyUnicode_AsUTF8AndSize(text, size)
        except UnicodeEncodeError:  # lone surrogates
            text = text.encode("utf-8", "surrogatepass")
            keep.append(text)
    if not isinstance(text, bytes):
        raise TypeError(f"a line must be str or bytes, not {type(text).__name__}")
    size[0] = PyBytes_GET_SIZE(text)
    return <const unsigned char *>PyBytes_AS_STRING(text)


cdef inline str _text_of(const unsigned char *data, size_t size):
    return PyUnicode_DecodeUTF8(<const char *>data, <Py_ssize_t>size, "replace")


def mask(text) -> str:
    """The masked form of a line: values are ``<*>``, neighbouring ones are one, words stay as they are.

    Numbers, hexadecimal from 8 digits, addresses with and without port, MAC, UUID, times, dates with their month
    and day names, paths, URLs, mail addresses, dotted names of four parts and more, quoted values (see below),
    null after ``=``, and the unit behind a number. A name that ends in one digit (eth0) stays: it is a value only
    once its digit is seen to vary. Looks at the first 4,096 bytes and 256 tokens.

    Quotes hide values and never prose. A value has up to 64 bytes and is one word, two words that do not end as a
    sentence does, a row of words each with a digit or a sign of names and addresses, or a path with blanks. It is
    none at the very start of a line, nor behind msg, message, text, err, error, reason and ``=`` or ``:``. Other
    text in quotes is masked as text. Of an HTTP request in quotes the method stays, and so does the name of a
    JSON member.

    `text` is str or bytes (invalid UTF-8 is replaced in the answer). About 3 ns a byte; no lock. Raises
    TypeError. Example::

        >>> mask("Dec 10 09:32:20 sshd[24680]: Failed password for root from 10.0.0.1 port 42393")
        '<*> sshd[<*>]: Failed password for root from <*> port <*>'
    """
    cdef Py_ssize_t size = 0
    cdef sophia_masked masked
    keep = []
    cdef const unsigned char *data = _bytes_of(text, &size, keep)
    sophia_mask_line(data, <size_t>size, &masked)
    return _text_of(masked.text, masked.size)


def owner_of(str scope not None) -> int:
    """The number under which a table keeps whose a line is. The same in every process; 64 bits of a hash.

        >>> owner_of("") != owner_of("ana")
        True
    """
    cdef bytes name = scope.encode()
    return sophia_owner_of(<const unsigned char *>PyBytes_AS_STRING(name), <size_t>PyBytes_GET_SIZE(name))


class NodeState(NamedTuple):
    """What the state of a row with an id below 0 says; see :meth:`PatternTable.changes`.

    `leaf`: it is a masked line, `general`: it is a template of several, or both. `owner` is whose lines the masked line
    stands for, as they were observed: a number, 0 where nobody said, and 2**64 - 1 for several. `text` are the bytes of
    a line that is no UTF-8, else empty.
    """

    flags: int
    depth: int
    tick: int
    rare: int
    owner: int
    text: bytes

    @property
    def leaf(self):
        return bool(self.flags & SOPHIA_N_LEAF)

    @property
    def general(self):
        return bool(self.flags & SOPHIA_N_GENERAL)

    def as_template(self):
        """The state of the same node when it is no masked line any more."""
        return self._replace(flags=self.flags & ~SOPHIA_N_LEAF, owner=0)

    @classmethod
    def unpack(cls, packed):
        """Raises struct.error for bytes that are no state."""
        flags, depth, tick, rare = _NODE_STATE.unpack_from(packed)
        rest, owner = packed[_NODE_STATE.size:], 0
        if flags & SOPHIA_N_OWNED:
            (owner,), rest = _OWNER.unpack_from(rest), rest[_OWNER.size:]
        return cls(flags & ~SOPHIA_N_OWNED, depth, tick, rare, owner, rest)

    def pack(self):
        """The bytes of a state, for a row."""
        flags = self.flags | SOPHIA_N_OWNED
        return _NODE_STATE.pack(flags, self.depth, self.tick, self.rare) + _OWNER.pack(self.owner) + self.text


cdef class PatternTable:
    """PatternTable(capacity=65536, *, seed=0, masks=True)

    Groups lines into patterns, one line at a time; decisions depend only on the lines seen and their order.

    `capacity` is the largest number of different masked lines that are remembered (16 to 2**26). The least
    recently seen one goes first, and a pattern goes with its last masked line; its id is never used again. A
    masked line takes 0.7 to 1.1 kB for lines of usual length (see `nbytes`), an empty table 100 kB. `seed`
    (0 to 2**64 - 1) keys the hashes: choose a secret one where senders of lines may want to make them collide.
    Raises ValueError, MemoryError. Without `masks` the built-in masks are off: a line is its words as they stand, and
    only what is seen to vary becomes a slot.

    The id handed out for a line never changes. Patterns that later turn out to be one are joined: the smaller
    id survives, `resolve` leads from the other to it.

    Thread-safety: every Python method may be called from any thread; each call is one step. Example::

        >>> table = PatternTable()
        >>> first = table.observe("Accepted password for root from 10.0.0.1 port 22")
        >>> again = table.observe("Accepted password for root from 10.0.0.7 port 80")
        >>> (first.id, again.id, again.closeness, table.template(1))
        (1, 1, 1.0, 'Accepted password for root from <*> port <*>')
    """

    def __cinit__(self, capacity=1 << 16, *, seed=0, masks=True):
        if not 16 <= capacity <= _MAX_CAPACITY:
            raise ValueError(f"capacity must be 16 to {_MAX_CAPACITY}, not {capacity}")
        if not 0 <= seed <= UINT64_MAX:
            raise ValueError(f"seed must be 0 to 2**64 - 1, not {seed}")
        self.table = <sophia_table *>calloc(1, sizeof(sophia_table))
        if self.table == NULL:
            raise MemoryError("no memory for a table of patterns")
        sophia_table_init(self.table, capacity, seed)
        self.table.unmasked = not masks

    def __dealloc__(self):
        if self.table != NULL:
            sophia_table_free(self.table)
            free(self.table)

    cdef int observe_line(
        self, const unsigned char *text, size_t size, uint64_t n, uint64_t owner, sophia_pattern_seen *seen
    ) noexcept nogil:
        seen.id = 0
        return sophia_table_observe(self.table, text, size, n, owner, seen)

    cdef int observe_leaf(
        self, uint32_t leaf, uint64_t leaf_hash, uint64_t n, uint64_t owner, sophia_pattern_seen *seen
    ) noexcept nogil:
        return sophia_table_observe_leaf(self.table, leaf, leaf_hash, n, owner, seen)

    cdef int match_line(self, const unsigned char *text, size_t size, sophia_pattern_seen *seen) noexcept nogil:
        return sophia_table_match(self.table, text, size, seen)

    cdef int forget_sighting(self, uint64_t id, uint64_t leaf_hash) noexcept nogil:
        return sophia_table_forget_sighting(self.table, id, leaf_hash)

    cdef uint64_t survivor(self, uint64_t id) noexcept nogil:
        cdef uint32_t record = sophia_find_id(self.table, id)
        if record == SOPHIA_NONE:
            return 0
        return sophia_id_at(
            self.table, sophia_group_at(self.table, sophia_id_at(self.table, record).group).survivor
        ).id

    def observe(self, text, *, owner=0):
        """Learns a line and returns its :class:`Sighting`; lines are numbered from 1.

        `text` is str or bytes, `owner` whose it is (see :func:`owner_of`); 0 says nothing of that.
        0.2 to 0.4 us for a masked line seen before, 1 to 5 us for a new one; finding a new template costs as much
        again, amortised. Raises TypeError, MemoryError.
        """
        cdef sophia_pattern_seen seen
        cdef Py_ssize_t size = 0
        cdef int code
        cdef uint64_t whose = owner
        keep = []
        cdef const unsigned char *data = _bytes_of(text, &size, keep)
        with nogil, self.lock:
            code = self.observe_line(data, <size_t>size, self.table.tick + 1, whose, &seen)
        if code != SOPHIA_PATTERN_OK:
            raise MemoryError("no memory for another template")
        return _sighting(&seen)

    def observe_many(self, lines, *, owner=0):
        """Learns lines (an iterable of str or bytes) of one owner in order and returns their ids, a list of int.

        The same ids as one `observe` after the other; the GIL is free while it works. What a line was given
        does not follow later merges: use `resolve` for that. Raises TypeError before anything is learned,
        MemoryError after what could be learned was.
        """
        items = tuple(lines)
        cdef Py_ssize_t count = len(items), i, size = 0
        cdef int code = SOPHIA_PATTERN_OK
        cdef uint64_t whose = owner
        cdef sophia_pattern_seen seen
        keep = []
        cdef const unsigned char **data = <const unsigned char **>PyMem_RawMalloc((count + 1) * sizeof(void *))
        cdef size_t *sizes = <size_t *>PyMem_RawMalloc((count + 1) * sizeof(size_t))
        cdef uint64_t *ids = <uint64_t *>PyMem_RawMalloc((count + 1) * sizeof(uint64_t))
        try:
            if data == NULL or sizes == NULL or ids == NULL:
                raise MemoryError(f"no memory for {count} lines at once")
            for i in range(count):
                data[i] = _bytes_of(items[i], &size, keep)
                sizes[i] = <size_t>size
            with nogil, self.lock:
                for i in range(count):
                    code = self.observe_line(data[i], sizes[i], self.table.tick + 1, whose, &seen)
                    if code != SOPHIA_PATTERN_OK:
                        break
                    ids[i] = seen.id
            if code != SOPHIA_PATTERN_OK:
                raise MemoryError("no memory for another template")
            return [ids[i] for i in range(count)]
        finally:
            PyMem_RawFree(data)
            PyMem_RawFree(sizes)
            PyMem_RawFree(ids)

    def match(self, text):
        """What `observe` would answer, learning nothing; id 0 and `fresh` for a line of no known pattern.

        Two things are not foreseen: patterns that a new template would join, where the line would be the last
        piece of evidence for that template; and what a full table would evict for the line.
        """
        cdef sophia_pattern_seen seen
        cdef Py_ssize_t size = 0
        keep = []
        cdef const unsigned char *data = _bytes_of(text, &size, keep)
        with nogil, self.lock:
            self.match_line(data, <size_t>size, &seen)
        return _sighting(&seen)

    def forget(self, id, leaf_hash):
        """Takes one sighting back (a rejected decision): counts fall by one, never below 0.

        `id` and `leaf_hash` are those of the :class:`Sighting`. Raises KeyError for an id that is not held.
        """
        cdef uint64_t number = id, leaf = leaf_hash
        cdef int code
        with nogil, self.lock:
            code = self.forget_sighting(number, leaf)
        if code != SOPHIA_PATTERN_OK:
            raise KeyError(id)

    def __len__(self):
        """Patterns that are held; aliases are not counted."""
        return self.table.patterns

    @property
    def capacity(self):
        """Most masked lines that are remembered."""
        return self.table.capacity

    @property
    def masks(self):
        """Whether lines go through the built-in masks."""
        return not self.table.unmasked

    @property
    def leaves(self):
        """Masked lines that are remembered now."""
        return self.table.leaves

    @property
    def newest(self):
        """The highest id so far, 0 before the first: later patterns have higher ones."""
        return self.table.next_id - 1

    @property
    def evicted(self):
        """Masked lines that had to go for new ones."""
        return self.table.evicted

    @property
    def nbytes(self):
        """Bytes of the table and everything it owns."""
        return sophia_table_bytes(self.table)

    def resolve(self, id):
        """The surviving id of a pattern id, in constant time. Raises KeyError for an id that is not held."""
        cdef uint64_t number = id, found
        with nogil, self.lock:
            found = self.survivor(number)
        if not found:
            raise KeyError(id)
        return found

    def template(self, id):
        """The template of an id's pattern, ``<*>`` for slots. Raises KeyError for an id that is not held."""
        cdef uint64_t number = id
        cdef sophia_masked copy
        cdef uint32_t record
        cdef sophia_group *group
        with nogil, self.lock:
            record = sophia_find_id(self.table, number)
            if record != SOPHIA_NONE:
                group = sophia_group_at(self.table, sophia_id_at(self.table, record).group)
                copy.size = group.text_size
                memcpy(copy.text, sophia_group_text(self.table, group), group.text_size)
        if record == SOPHIA_NONE:
            raise KeyError(id)
        return _text_of(copy.text, copy.size)

    def patterns(self):
        """All ids that are held as :class:`Pattern`, by id, in an iterator; a snapshot."""
        return iter([_pattern(row) for row in sorted(_decode(self._rows(True))) if row[0] > 0])

    def keep_departed(self, size_t bound):
        """From now on keeps what was known of ids that have to go, up to `bound` bytes, for :meth:`departed`."""
        self.table.departed_bound = bound

    def departed(self):
        """The ids that had to go since the last call, as they were at their end: a list of :class:`Pattern`.

        Empty unless `keep_departed` was called. Together with `patterns` these are all ids ever handed out, as
        long as it is called before the bound is reached. Example::

            >>> table = PatternTable(16)
            >>> table.keep_departed(1 << 20)
            >>> ids = table.observe_many([f"{chr(97 + i) * 3} is up" for i in range(20)])
            >>> len(table.departed()) + len(list(table.patterns())) == len(set(ids))
            True
        """
        cdef sophia_row_buffer taken
        if self.table.departed.size == 0:
            return []
        with nogil, self.lock:
            taken = self.table.departed
            memset(&self.table.departed, 0, sizeof(taken))
        try:
            rows = PyBytes_FromStringAndSize(<const char *>taken.data, <Py_ssize_t>taken.size)
        finally:
            free(taken.data)
        return [_pattern(row) for row in _decode(rows)]

    # ------------------------------------------------------------------------------------------- keeping

    cdef bytes _rows(self, bint everything):
        cdef sophia_row_buffer out
        cdef int code
        out.data = NULL
        out.size = out.room = 0
        with nogil, self.lock:
            code = sophia_write_rows(self.table, everything, &out)
        try:
            if code != SOPHIA_PATTERN_OK:
                raise MemoryError("no memory for the rows of a table of patterns")
            return PyBytes_FromStringAndSize(<const char *>out.data, <Py_ssize_t>out.size)
        finally:
            free(out.data)

    def changes(self):
        """Rows that are new or changed since the last call, for a store; an empty list where nothing changed.

        A row is (id, template, count, first_n, last_n, merged_into, state). `id` > 0: a pattern. `id` < 0: a
        masked line or template of the pattern `merged_into`. `id` 0: the table. A row replaces the one with the
        same id. An empty `state` (bytes) means that what had this id was evicted: such a row and its earlier
        forms may be deleted, or kept for the record (`restore` passes over it). All numbers fit in 64 signed
        bits. Costs a scan of the table, about 1 us for 100 masked lines. Example::

            >>> table = PatternTable()
            >>> _ = table.observe("disk full on host7")
            >>> sorted(row[:3] for row in table.changes())
            [(-1, 'disk full on host7', 1), (0, '', 1), (1, 'disk full on host7', 1)]
            >>> table.changes()
            []
        """
        return _decode(self._rows(False))

    @classmethod
    def restore(cls, rows, capacity=1 << 16, *, seed=0, masks=True):
        """A table from the rows of all its changes: it decides as the one that was kept would.

        `rows` in any order, one for each id. Without rows it is a new table. A smaller `capacity` evicts. The
        seed is that of the rows, where there are any; `masks` is not in them. Raises StoreCorrupt where the rows do
        not fit together.
        """
        cdef list given
        cdef PatternTable table
        try:
            given = [row for row in map(tuple, rows) if len(row[6])]
            states = [_TABLE_STATE.unpack(row[6]) for row in given if row[0] == 0]
            if given and len(states) != 1:
                raise StoreCorrupt("the rows of a table of patterns lack the row of the table itself")
            table = cls(capacity, seed=states[0][0] if states else seed, masks=masks)
            table._build(given)
        except (TypeError, ValueError, OverflowError, IndexError, struct.error) as error:
            raise StoreCorrupt(f"the rows of a table of patterns cannot be read: {error}") from error
        return table

    cdef int _build(self, list rows) except -1:
        cdef dict into = {}
        cdef int code
        cdef bytes text
        cdef uint64_t target
        if not rows:
            return 0
        patterns = sorted(row for row in rows if row[0] > 0)
        nodes = sorted((row for row in rows if row[0] < 0), reverse=True)
        for row in rows:
            if row[0] == 0:
                state = _TABLE_STATE.unpack(row[6])
        if not 1 <= state[1] < _MOST or not 1 <= state[5] < _MOST or max(state[2:7]) >= _MOST:
            raise StoreCorrupt("the row of the table itself has counts that no table comes to")
        self.table.tick = state[2]
        for id, _, count, first_n, last_n, merged, own in patterns:
            if id >= state[1]:
                raise StoreCorrupt(f"pattern {id} has an id that was not given yet")
            own_count, = _PATTERN_STATE.unpack(own)
            if merged is None:
                into[id] = id
                code = sophia_put_pattern(self.table, id, count, own_count, first_n, last_n)
            else:
                # Survivors are smaller than their aliases, so what an older row points to was seen already.
                target = into.get(merged, 0)
                if target == 0:
                    continue  # an alias of a pattern that was evicted
                into[id] = target
                code = sophia_put_alias(self.table, id, count, first_n, last_n, target)
            _check(code, id)
        for id, template, count, _, last_n, pattern, packed in nodes:
            node = NodeState.unpack(packed)
            text = node.text or template.encode("utf-8")
            _check(sophia_put_node(
                self.table, <const unsigned char *>PyBytes_AS_STRING(text), <size_t>PyBytes_GET_SIZE(text),
                into.get(pattern, 0), node.leaf, node.general, node.depth, count, last_n, node.tick, node.rare, -id,
                node.owner,
            ), id)
        for id, template, _, _, _, merged, _ in patterns:
            if merged is None:
                text = template.encode("utf-8")
                _check(sophia_put_face(
                    self.table, id, <const unsigned char *>PyBytes_AS_STRING(text), <size_t>PyBytes_GET_SIZE(text)
                ), id)
        if self.table.next_born > state[5]:
            raise StoreCorrupt("a row of a table of patterns is younger than the table")
        self.table.next_id = state[1]
        self.table.inserted = state[3]
        self.table.next_sweep = state[4]
        self.table.next_born = state[5]
        self.table.evicted = state[6]
        self.table.shapes_fresh = state[7] != 0
        with nogil:
            code = sophia_put_done(self.table)
        _check(code, 0)
        return 0

    def dump(self):
        """The whole table as bytes: magic, version, capacity, seed, checksum, rows."""
        cdef bytes rows = self._rows(True)
        cdef sophia_hash128 sum = sophia_hash_bytes(PyBytes_AS_STRING(rows), PyBytes_GET_SIZE(rows), _VERSION)
        checksum = struct.pack("<QQ", sum.low, sum.high)
        version = _VERSION | (_UNMASKED if self.table.unmasked else 0)
        return _HEADER.pack(_MAGIC, version, self.table.capacity, self.table.seed, checksum) + rows

    @classmethod
    def load(cls, bytes data not None):
        """The table that was dumped: the same ids, counts and future decisions.

        Raises StoreCorrupt for anything that `dump` did not write.
        """
        if len(data) < _HEADER.size or data[:8] != _MAGIC:
            raise StoreCorrupt("these bytes are no table of patterns")
        _, version, capacity, seed, checksum = _HEADER.unpack_from(data)
        masks = not version & _UNMASKED
        version &= ~_UNMASKED
        if version not in _READABLE:
            raise StoreCorrupt(f"a table of patterns of version {version}; this sophia reads versions up to {_VERSION}")
        cdef bytes rows = data[_HEADER.size:]
        cdef sophia_hash128 sum = sophia_hash_bytes(PyBytes_AS_STRING(rows), PyBytes_GET_SIZE(rows), version)
        if struct.pack("<QQ", sum.low, sum.high) != checksum:
            raise StoreCorrupt("a table of patterns fails its checksum")
        try:
            return cls.restore(_decode(rows), capacity, seed=seed, masks=masks)
        except (ValueError, struct.error) as error:
            raise StoreCorrupt(f"a table of patterns cannot be read: {error}") from error


cdef int _check(int code, object id) except -1:
    if code == SOPHIA_PATTERN_NO_MEMORY:
        raise MemoryError("no memory for a table of patterns")
    if code != SOPHIA_PATTERN_OK:
        raise StoreCorrupt(f"row {id} of a table of patterns does not fit the others")
    return 0


cdef list _decode(bytes data):
    """The rows in a buffer of sophia_write_rows(), as tuples; text that is no UTF-8 goes into the state."""
    cdef list rows = []
    cdef Py_ssize_t at = 0, end = PyBytes_GET_SIZE(data)
    cdef object template
    while at < end:
        id, count, first_n, last_n, reference, text_size, state_size = _ROW.unpack_from(data, at)
        at += _ROW.size
        if text_size > end - at or state_size > end - at - text_size:
            raise ValueError("a row is cut off")
        text = data[at:at + text_size]
        state = data[at + text_size:at + text_size + state_size]
        at += text_size + state_size
        try:
            template = text.decode("utf-8")
        except UnicodeDecodeError:
            template = text.decode("utf-8", "replace")
            if id < 0:
                state += text
        rows.append((id, template, count, first_n, last_n, reference or None, state))
    return rows
