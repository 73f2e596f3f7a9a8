"""Fused text encoder: UTF-8 text to n-gram features to hypervector, without the GIL.

A text is the weighted vote of its features (words and character 3- and 4-grams, see ``include/features.h``).
Each feature names a pseudo-random hypervector by its 64-bit hash: nothing is stored per feature, and two
processes with the same seed agree. A feature weighs its IDF times a saturating share of its count (BM25,
Robertson and Zaragoza 2009), in integers; the votes are counted exactly, so the result does not depend on
order, SIMD level, thread or machine.
"""

from libc.stdint cimport int8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from sophia._core cimport cpu
from sophia._core.idf cimport (
    SOPHIA_EDGE_END,
    SOPHIA_EDGE_START,
    SOPHIA_FEATURE_WORD,
    SOPHIA_IDF_NO_MEMORY,
    SOPHIA_IDF_ONE,
    IdfTable,
    raise_code,
    sophia_feature,
    sophia_features,
    sophia_features_extract,
    sophia_features_weigh,
    sophia_make_feature_keys,
    text_bytes,
)

from sophia.errors import ShapeError

DIM_MIN = 64
DIM_MAX = 1 << 20


cdef size_t row_words(object dim) except 0:
    if not DIM_MIN <= dim <= DIM_MAX:
        raise ShapeError(f"dim must be in {DIM_MIN} .. {DIM_MAX}, got {dim}")
    return (<size_t>dim + 511) // 512 * 8


cdef class TextEncoder:
    """Encodes texts as hypervectors of `dim` lanes.

    With an :class:`~sophia._core.idf.IdfTable` of the same seed, features weigh their IDF at the time of the
    call; without one, all weigh the same. The encoder never changes the table: who wants it to grow observes.

    Safe from any thread; the GIL is released. A call takes about 6 us for 80 features at dim 10,000 (AVX-512)
    and allocates nothing but its result; concurrent calls allocate a workspace each.

    Example::

        >>> encoder = TextEncoder(dim=10_000)
        >>> encoder.encode("the cat sat") == encoder.encode("The cat, sat!")
        True
        >>> [(text, kind) for text, kind, count, weight in encoder.features("cat")][:3]
        [('<ca', 'gram3'), ('cat', 'gram3'), ('<cat', 'gram4')]
    """

    def __cinit__(self, dim=10_000, *, seed=0, IdfTable idf=None):
        self.words = row_words(dim)
        self.dim = dim
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"seed must be in 0 .. 2**64 - 1, got {seed}")
        if idf is not None and idf.seed != seed:
            raise ValueError(f"the IDF table has seed {idf.seed}, the encoder {seed}: they must be the same")
        self.seed = seed
        self.idf = idf
        self.keys = sophia_make_feature_keys(self.seed)

    def __dealloc__(self):
        sophia_workspace_free(<sophia_workspace *>self.spare)

    cdef sophia_workspace *take(self) noexcept nogil:
        cdef sophia_workspace *space = <sophia_workspace *>sophia_spare_take(&self.spare)
        return space if space != NULL else sophia_workspace_new(self.words)

    cdef void give(self, sophia_workspace *space) noexcept nogil:
        sophia_workspace_free(<sophia_workspace *>sophia_spare_put(&self.spare, space))

    cdef int features_into(self, const unsigned char *text, size_t size, sophia_features *out) noexcept nogil:
        cdef int count = sophia_features_extract(text, size, &self.keys, out)
        if count < 0:
            return count
        if self.idf is None:
            sophia_features_weigh(out, NULL)
        else:
            self.idf.weigh(out)
        return count

    cdef int features_b1_into(self, const sophia_features *features, uint64_t *out) noexcept nogil:
        cdef sophia_workspace *space = self.take()
        if space == NULL:
            return SOPHIA_IDF_NO_MEMORY
        sophia_features_to_b1(features, &space.vote, &cpu.active.enc, self.dim, out)
        self.give(space)
        return 0

    cdef int features_i8_into(self, const sophia_features *features, int8_t *out) noexcept nogil:
        cdef sophia_workspace *space = self.take()
        if space == NULL:
            return SOPHIA_IDF_NO_MEMORY
        sophia_features_to_i8(features, &space.vote, &cpu.active.enc, self.dim, out)
        self.give(space)
        return 0

    cdef int encode_b1_into(self, const unsigned char *text, size_t size, uint64_t *out) noexcept nogil:
        cdef sophia_workspace *space = self.take()
        if space == NULL:
            return SOPHIA_IDF_NO_MEMORY
        cdef int code = self.features_into(text, size, &space.features)
        if code >= 0:
            sophia_features_to_b1(&space.features, &space.vote, &cpu.active.enc, self.dim, out)
            code = 0
        self.give(space)
        return code

    cdef int encode_i8_into(self, const unsigned char *text, size_t size, int8_t *out) noexcept nogil:
        cdef sophia_workspace *space = self.take()
        if space == NULL:
            return SOPHIA_IDF_NO_MEMORY
        cdef int code = self.features_into(text, size, &space.features)
        if code >= 0:
            sophia_features_to_i8(&space.features, &space.vote, &cpu.active.enc, self.dim, out)
            code = 0
        self.give(space)
        return code

    def __repr__(self):
        return f"TextEncoder(dim={self.dim}, seed={self.seed}, idf={self.idf!r})"

    def encode(self, text):
        cdef Py_ssize_t size = 0
        cdef const unsigned char *data = text_bytes(text, &size)
        cdef int code
        row = PyBytes_FromStringAndSize(NULL, 8 * self.words)
        cdef uint64_t *out = <uint64_t *>PyBytes_AS_STRING(row)
        with nogil:
            code = self.encode_b1_into(data, <size_t>size, out)
        if code:
            raise_code(code)
        return row

    def encode_int8(self, text):
        cdef Py_ssize_t size = 0
        cdef const unsigned char *data = text_bytes(text, &size)
        cdef int code
        row = PyBytes_FromStringAndSize(NULL, self.dim)
        cdef int8_t *out = <int8_t *>PyBytes_AS_STRING(row)
        with nogil:
            code = self.encode_i8_into(data, <size_t>size, out)
        if code:
            raise_code(code)
        return row

    def features(self, text):
        """The features of a text with their weights: tuples (text, kind, count, weight), by first occurrence.

        `kind` is "word", "gram3" or "gram4"; `<` and `>` are the edge marks of a word. `weight` is in bits,
        a multiple of 1/16: the IDF times 2.2 count / (count + 1.2). At most 4,096 distinct features are taken
        of one text, the first ones; what comes later still counts for those.
        """
        cdef Py_ssize_t size = 0
        cdef const unsigned char *data = text_bytes(text, &size)
        cdef sophia_workspace *space = self.take()
        if space == NULL:
            raise MemoryError("no memory for the features of a text")
        cdef int code
        cdef uint32_t i
        cdef const sophia_feature *entry
        try:
            with nogil:
                code = self.features_into(data, <size_t>size, &space.features)
            if code < 0:
                raise_code(code)
            found = []
            for i in range(space.features.count):
                entry = &space.features.entries[i]
                shown = (<const char *>data)[entry.start:entry.start + entry.size].decode("utf-8", "replace")
                shown = ("<" if entry.edges & SOPHIA_EDGE_START else "") + _fold(shown)
                shown += ">" if entry.edges & SOPHIA_EDGE_END else ""
                kind = "word" if entry.kind == SOPHIA_FEATURE_WORD else f"gram{entry.kind}"
                found.append((shown, kind, entry.count, entry.weight / <double>SOPHIA_IDF_ONE))
            return found
        finally:
            self.give(space)


def _fold(shown):
    return "".join([c.lower() if "A" <= c <= "Z" else c for c in shown])
