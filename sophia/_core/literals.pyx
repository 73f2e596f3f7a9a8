"""Required literals of many rules, sought in one pass without the GIL.

A rule here is a choice of branches, a branch a conjunction of groups, a group a set of byte strings of which
one must occur. The matcher answers which rules *may* match a text; a regular expression engine decides.

It folds ASCII letters only, so a text that holds one of the two characters that Unicode folds into ASCII
(U+017F, long s; U+212A, the Kelvin sign) makes every rule a candidate.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset


cdef extern from "literals.h" nogil:
    enum:
        SOPHIA_LITERALS_OK
        SOPHIA_LITERALS_NO_MEMORY
        SOPHIA_LITERALS_MAX_WORDS
        SOPHIA_LITERALS_MAX_BRANCHES
        SOPHIA_LITERALS_MAX_GROUPS
        SOPHIA_LITERALS_MAX_SIZE
        SOPHIA_LITERALS_EVERY

    ctypedef struct sophia_literal:
        const unsigned char *text
        uint32_t size
        uint32_t group

    ctypedef struct sophia_literals_link:
        uint32_t group
        uint32_t branch
        uint32_t rank

    int sophia_literals_build(sophia_literals *set, const sophia_literal *literals, size_t count,
                              const sophia_literals_link *links, size_t link_count,
                              const uint32_t *rule_of, uint32_t groups, uint32_t branches, uint32_t rules)
    void sophia_literals_free(sophia_literals *set)
    void sophia_literals_scan_many(const sophia_literals *set, const unsigned char *const *texts, const size_t *sizes,
                                   size_t count, unsigned char *hits)
    uint32_t sophia_literals_scan(const sophia_literals *set, const unsigned char *text, size_t size,
                                  uint64_t *bits)


cdef extern from "places.h" nogil:
    enum:
        SOPHIA_PLACES_FAR

    ctypedef struct sophia_part:
        uint32_t rule
        size_t from_ "from"
        size_t to

    ctypedef struct sophia_places:
        sophia_part *places
        size_t count

    int sophia_places_find(const sophia_literals *set, const uint32_t *reaches, const unsigned char *text, size_t size,
                           sophia_places *found)
    void sophia_places_free(sophia_places *found)


MAX_RULES = SOPHIA_LITERALS_MAX_RULES
MAX_LITERAL = SOPHIA_LITERALS_MAX_SIZE

# What Unicode's simple case folding maps into ASCII: long s to s, the Kelvin sign to k.
cdef tuple _FOLDS_INTO_ASCII = ("\u017f".encode(), "\u212a".encode())


cdef inline bint _view(object text, const unsigned char **start, Py_ssize_t *size, list keep) except -1:
    """Points at the UTF-8 of `text`, borrowed from it or from an object put into `keep`."""
    if isinstance(text, str):
        try:
            start[0] = <const unsigned char *>PyUnicode_AsUTF8AndSize(text, size)
            return True
        except UnicodeEncodeError:  # lone surrogates: one question mark each, as the engine sees them
            text = (<str>text).encode("utf-8", "replace")
            keep.append(text)
    elif not isinstance(text, bytes):
        raise TypeError(f"text must be str or bytes, not {type(text).__name__}")
    start[0] = <const unsigned char *>PyBytes_AS_STRING(text)
    size[0] = PyBytes_GET_SIZE(text)
    return True


cdef inline size_t _widened(const sophia_part *place, size_t size) noexcept nogil:
    """Bytes of a place and of those beside it."""
    return (place.to + 1 if place.to < size else size) - (place.from_ - (place.from_ > 0))


cdef tuple _numbers(const uint64_t *bits, uint32_t rules):
    cdef uint32_t rule
    return tuple([rule for rule in range(rules) if bits[rule // 64] >> (rule % 64) & 1])


cdef bytes _literal(object literal):
    if not isinstance(literal, bytes):
        raise TypeError(f"a literal must be bytes, not {type(literal).__name__}")
    if not 1 <= len(literal) <= SOPHIA_LITERALS_MAX_SIZE:
        raise ValueError(f"a literal must have 1 to {SOPHIA_LITERALS_MAX_SIZE} bytes, not {len(literal)}")
    return literal


cdef int _build(
    sophia_literals *automaton, list literals, list links, list rule_of, dict groups, Py_ssize_t rules
) except -1:
    cdef Py_ssize_t i
    cdef int status = SOPHIA_LITERALS_NO_MEMORY
    cdef sophia_literal *table = <sophia_literal *>PyMem_Calloc(len(literals) + 1, sizeof(sophia_literal))
    cdef sophia_literals_link *pairs = <sophia_literals_link *>PyMem_Calloc(
        len(links) + 1, sizeof(sophia_literals_link)
    )
    cdef uint32_t *owners = <uint32_t *>PyMem_Calloc(len(rule_of) + 1, sizeof(uint32_t))
    cdef bytes literal
    try:
        if table != NULL and pairs != NULL and owners != NULL:
            for i in range(len(literals)):
                literal = literals[i][0]
                table[i].text = <const unsigned char *>PyBytes_AS_STRING(literal)
                table[i].size = <uint32_t>PyBytes_GET_SIZE(literal)
                table[i].group = literals[i][1]
            for i in range(len(links)):
                pairs[i].group = links[i][0]
                pairs[i].branch = links[i][1]
                pairs[i].rank = links[i][2]
            for i in range(len(rule_of)):
                owners[i] = rule_of[i]
            status = sophia_literals_build(
                automaton, table, len(literals), pairs, len(links), owners,
                <uint32_t>len(groups), <uint32_t>len(rule_of), <uint32_t>rules
            )
    finally:
        PyMem_Free(table)
        PyMem_Free(pairs)
        PyMem_Free(owners)
    if status == SOPHIA_LITERALS_NO_MEMORY:
        raise MemoryError("no memory for the automaton of the literals")
    if status != SOPHIA_LITERALS_OK:
        raise ValueError("the literals are too many or too long for one automaton (64 MB of table)")
    return 0


@cython.final
cdef class LiteralSet:
    """Immutable matcher over `rules`: for each its branches, for each branch its groups of literals (bytes).

    A rule is a candidate when for one of its branches one literal of each group occurs, in any ASCII case. A
    branch without a group makes its rule a candidate for every text. Up to `MAX_RULES` rules; a literal has
    1 to `MAX_LITERAL` bytes. Raises ValueError for a group without a literal, a literal of another size, or
    more than the automaton can hold (64 MB of table).

    `reaches` says of each rule how many runs of blanks (tab, line feed, form feed, carriage return, space) a match of
    it holds at most, None where there is no bound; with it the literals must be ASCII. See `places`.

    Cost: about 1.5 ns a byte for a short text and less for a long one; building is linear in the size of the
    table. Any number of threads may use one object at once. Source: Aho and Corasick, 1975.

    Example::

        >>> rules = LiteralSet([[[[b"drop"], [b"table", b"database"]], [[b"truncate"]]], [[[b"mkfs"]]]])
        >>> rules.candidates("DROP the Table"), rules.candidates("a table"), rules.hits("mkfs.ext4")
        ((0,), (), True)
    """

    def __cinit__(self, rules, reaches=None):
        cdef list literals = []  # (bytes, group); keeps the bytes alive during the build
        cdef list links = []     # (group, branch, rank in it)
        cdef list rule_of = []   # by branch
        cdef dict groups = {}    # the set of literals -> its number: branches share many
        cdef Py_ssize_t count = len(rules)
        for rule, branches in enumerate(rules):
            for branch in branches:
                for rank, group in enumerate(dict.fromkeys(map(frozenset, branch))):
                    if group not in groups:
                        literals += [(literal, len(groups)) for literal in sorted(map(_literal, group))]
                    links.append((groups.setdefault(group, len(groups)), len(rule_of), rank))
                    if not group:
                        raise ValueError(f"rule {rule} has a group without a literal, which never occurs")
                rule_of.append(rule)
        for name, size, limit in (
            ("rules", count, SOPHIA_LITERALS_MAX_RULES),
            ("branches", len(rule_of), SOPHIA_LITERALS_MAX_BRANCHES),
            ("groups", len(groups), SOPHIA_LITERALS_MAX_GROUPS),
        ):
            if size > limit:
                raise ValueError(f"{size} {name} are more than the {limit} that a set can hold")
        literals += [(literal, <uint32_t>SOPHIA_LITERALS_EVERY) for literal in _FOLDS_INTO_ASCII]
        links.sort()
        self._reach(reaches, count, literals)
        _build(&self.automaton, literals, links, rule_of, groups, count)

    cdef int _reach(self, object reaches, Py_ssize_t count, list literals) except -1:
        cdef Py_ssize_t rule
        if reaches is not None and len(reaches) != count:
            raise ValueError(f"{len(reaches)} reaches for {count} rules")
        if reaches is not None and not all(literal.isascii() for literal, _ in literals[: -len(_FOLDS_INTO_ASCII)]):
            raise ValueError("a set with reaches takes ASCII literals only")
        for rule in range(count):
            reach = None if reaches is None else reaches[rule]
            if reach is not None and not 0 <= reach < <uint32_t>SOPHIA_PLACES_FAR:
                raise ValueError(f"rule {rule} cannot reach over {reach} blanks")
            self.reaches[rule] = <uint32_t>SOPHIA_PLACES_FAR if reach is None else reach
        self.has_reaches = reaches is not None
        return 0

    def __dealloc__(self):
        sophia_literals_free(&self.automaton)

    cdef bint may_hit(self, const unsigned char *text, size_t size) noexcept nogil:
        return sophia_literals_scan(&self.automaton, text, size, NULL) != 0

    cdef void may_hit_many(
        self, const unsigned char *const *texts, const size_t *sizes, size_t count, unsigned char *hits
    ) noexcept nogil:
        sophia_literals_scan_many(&self.automaton, texts, sizes, count, hits)

    cdef uint32_t mark(self, const unsigned char *text, size_t size, uint64_t *bits) noexcept nogil:
        return sophia_literals_scan(&self.automaton, text, size, bits)

    def __len__(self):
        """Number of rules."""
        return self.automaton.rules

    @property
    def states(self) -> int:
        """Number of states of the automaton."""
        return self.automaton.states

    @property
    def nbytes(self) -> int:
        """Bytes of its transition table."""
        return <size_t>self.automaton.states * self.automaton.columns * sizeof(uint32_t)

    def hits(self, text) -> bool:
        """Whether some rule may match `text` (str, or bytes taken as UTF-8); ends at the first candidate.

        Lone surrogates count as question marks. Releases the GIL for texts of 64 KiB and more.
        """
        cdef const unsigned char *start = NULL
        cdef Py_ssize_t size = 0
        cdef list keep = []
        cdef bint hit
        _view(text, &start, &size, keep)
        if size < 65536:
            return self.may_hit(start, size)
        with nogil:
            hit = self.may_hit(start, size)
        return hit

    def hits_many(self, texts) -> list[bool]:
        """`hits` of each of a batch; of short texts four are read at a time. Releases the GIL. Raises MemoryError."""
        cdef const unsigned char *start = NULL
        cdef Py_ssize_t size = 0, i = 0, count
        cdef list keep = [], sources = list(texts)
        cdef const unsigned char **starts
        cdef size_t *sizes
        cdef unsigned char *found
        count = len(sources)
        starts = <const unsigned char **>PyMem_Calloc(count + 1, sizeof(char *))
        sizes = <size_t *>PyMem_Calloc(count + 1, sizeof(size_t))
        found = <unsigned char *>PyMem_Calloc(count + 1, 1)
        try:
            if starts == NULL or sizes == NULL or found == NULL:
                raise MemoryError("no memory for a batch of texts")
            for i in range(count):
                _view(sources[i], &start, &size, keep)
                starts[i], sizes[i] = start, <size_t>size
            with nogil:
                self.may_hit_many(starts, sizes, <size_t>count, found)
            return [found[i] != 0 for i in range(count)]
        finally:
            PyMem_Free(starts)
            PyMem_Free(sizes)
            PyMem_Free(found)

    def candidates(self, text) -> tuple[int, ...]:
        """Numbers, ascending, of all rules that may match `text`; otherwise like :meth:`hits`."""
        cdef uint64_t bits[SOPHIA_LITERALS_MAX_WORDS]
        cdef const unsigned char *start = NULL
        cdef Py_ssize_t size = 0
        cdef uint32_t found
        cdef list keep = []
        _view(text, &start, &size, keep)
        if size < 65536:
            found = self.mark(start, size, bits)
        else:
            with nogil:
                found = self.mark(start, size, bits)
        return _numbers(bits, self.automaton.rules) if found else ()

    def suspects(self, texts, size_t whole=0xFFFFFFFF) -> list[tuple[int, tuple[int, ...] | None]]:
        """Of a batch, (position, candidates) of each text that has candidates, in order.

        Of a text of more than `whole` bytes only that it has some is found out, and None stands for them: see `places`.
        """
        cdef uint64_t bits[SOPHIA_LITERALS_MAX_WORDS]
        cdef const unsigned char *start = NULL
        cdef Py_ssize_t size = 0, position = 0
        cdef list keep = [], found = []
        for text in texts:
            _view(text, &start, &size, keep)
            if <size_t>size > whole:
                if self.hits(text):
                    found.append((position, None))
            elif self.mark(start, size, bits):
                found.append((position, _numbers(bits, self.automaton.rules)))
            position += 1
        return found

    def places(self, text) -> list[tuple[int, list[tuple[int, int]]]]:
        """Where each candidate rule may match: (rule, [(from, to), ...]) in bytes of the UTF-8, both ascending.

        A match of a candidate lies within one of its places, if it holds no more runs of blanks than the rule's reach;
        rules that do not come up have none. They may be fewer than the `candidates`, whose literals may stand anywhere.
        About 6 ns a byte, and 40 for each literal; for texts long enough to make the places worth it. Releases the
        GIL. Lone surrogates as in `hits`. Raises ValueError for a set without `reaches` or a text of 4 GB, and
        MemoryError.
        """
        cdef sophia_places found
        cdef const unsigned char *start = NULL
        cdef Py_ssize_t size = 0
        cdef list keep = [], told = []
        cdef size_t i
        _view(text, &start, &size, keep)
        _find(self, &found, start, size)
        for i in range(found.count):
            if i == 0 or found.places[i].rule != found.places[i - 1].rule:
                told.append((found.places[i].rule, []))
            told[-1][1].append((found.places[i].from_, found.places[i].to))
        sophia_places_free(&found)
        return told

    def pieces(self, text) -> list[tuple[int, bytes]]:
        """What stands in the `places` of each candidate rule, by rule: each with a byte more on either side, as
        assertions at its ends look at them, joined by line breaks; the text itself where that is all of it, and it is
        bytes. Otherwise like :meth:`places`."""
        cdef sophia_places found
        cdef const unsigned char *start = NULL
        cdef Py_ssize_t size = 0
        cdef list keep = [], told = []
        cdef size_t i = 0, k, end, length
        cdef bytes piece, whole = text if type(text) is bytes else None
        cdef char *to
        _view(text, &start, &size, keep)
        _find(self, &found, start, size)
        try:
            while i < found.count:
                end, length = i, 0
                while end < found.count and found.places[end].rule == found.places[i].rule:
                    length += _widened(&found.places[end], <size_t>size) + 1
                    end += 1
                if whole is not None and end == i + 1 and length == <size_t>size + 1:
                    told.append((found.places[i].rule, whole))
                    i = end
                    continue
                piece = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>length - 1)
                to = piece
                for k in range(i, end):
                    if k > i:
                        to[0] = c"\n"
                        to += 1
                    length = _widened(&found.places[k], <size_t>size)
                    memcpy(to, start + found.places[k].from_ - (found.places[k].from_ > 0), length)
                    to += length
                told.append((found.places[i].rule, piece))
                i = end
        finally:
            sophia_places_free(&found)
        return told


cdef int _find(LiteralSet set, sophia_places *found, const unsigned char *start, Py_ssize_t size) except -1:
    """The places of a text, to be freed where nothing is raised."""
    cdef int status
    if not set.has_reaches:
        raise ValueError("places are known of a set with reaches only")
    if <size_t>size >= <size_t>0xFFFFFFFF:
        raise ValueError(f"a text of {size} bytes is too long for places")
    memset(found, 0, sizeof(found[0]))
    with nogil:
        status = sophia_places_find(&set.automaton, set.reaches, start, <size_t>size, found)
    if status != SOPHIA_LITERALS_OK:
        sophia_places_free(found)
        raise MemoryError("no memory for the places of the rules")
    return 0
