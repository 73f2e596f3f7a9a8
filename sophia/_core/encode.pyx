# cython: auto_pickle=False
"""A fused encoder: texts to hypervectors, without the GIL.

A text is the weighted vote of its features (words and character 3- and 4-grams, see
``include/text_features.h``). Features name pseudo-random hypervectors by 64-bit hashes: nothing is stored for
them, and two processes with the same seed agree. Votes are counted exactly, in integers, so the result does not
depend on the order of the features, the SIMD level, the thread or the machine.
"""

cimport cython
from libc.stdint cimport int8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from sophia._core cimport cpu
from sophia._core.arena cimport HDCArena
from sophia._core.buffer cimport I8, U8, Block, close_block, open_block
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
    utf8_of,
    utf8_source,
)
from sophia._core.vector cimport SOPHIA_BSC, Hypervector, hold, let_go, new_vector, take_dim, whole


cdef enum:
    SHORT = 1 << 20  # bytes of a text times dimensions that are encoded with the GIL


cdef uint64_t seed_of(object seed) except? 0:
    seed = whole(seed, "seed")
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"seed must be in 0 .. 2**64 - 1, got {seed}")
    return seed


@cython.final
cdef class _Texts:
    """Borrowed UTF-8 of many texts, for a loop without the GIL."""

    def __cinit__(self, object texts):
        if isinstance(texts, (str, bytes)):
            raise TypeError("texts must be a sequence of texts, not a single one")
        self.owners = [utf8_source(text) for text in texts]
        self.count = len(self.owners)
        self.data = <const unsigned char **>malloc(self.count * sizeof(void *) + 1)
        self.sizes = <Py_ssize_t *>malloc(self.count * sizeof(Py_ssize_t) + 1)
        if self.data == NULL or self.sizes == NULL:
            raise MemoryError(f"no memory for a batch of {self.count} texts")
        for i in range(self.count):
            self.data[i] = utf8_of(self.owners[i], &self.sizes[i])

    def __dealloc__(self):
        free(self.data)
        free(self.sizes)


@cython.final
cdef class TextEncoder:
    """Encodes texts as hypervectors of `dim` lanes.

    With an :class:`~sophia._core.idf.IdfTable` of the same seed, a feature weighs its IDF at the time of the
    call; without one, one bit. Several occurrences count as 2.2 count / (count + 1.2) (BM25, Robertson and
    Zaragoza 2009). The encoder never changes the table: who wants it to grow observes.

    ASCII letters are folded; other normal forms are the caller's. At most 4,096 distinct features are taken
    of one text, the first ones. A text without letters and digits has none: ValueError.

    Safe from any thread; the GIL is released. At dim 10,000 a text of 80 features takes about 8 us with IDF,
    5 without (AVX-512; AVX2 15), int8 3 us more, and allocates nothing but its result. Concurrent calls keep
    one workspace (about 200 kB) each.

    Example::

        >>> encoder = TextEncoder(dim=10_000)
        >>> encoder.encode("the cat sat") == encoder.encode("The cat, sat!")
        True
        >>> encoder.encode_int8("the cat sat").shape
        (10000,)
        >>> [text for text, kind, count, weight in encoder.features("cat")]
        ['<ca', 'cat', '<cat', 'at>', 'cat>', 'cat']
    """

    def __cinit__(self, dim=10_000, *, seed=0, IdfTable idf=None):
        self.dim = take_dim(dim)
        self.words = (self.dim + 511) // 512 * 8
        self.seed = seed_of(seed)
        if idf is not None and idf.seed != self.seed:
            raise ValueError(f"the IDF table has seed {idf.seed}, the encoder {self.seed}: they must be the same")
        self.idf = idf
        self.keys = sophia_make_feature_keys(self.seed)

    def __dealloc__(self):
        sophia_workspace_free(<sophia_workspace *>self.spare)

    cdef sophia_workspace *take(self) noexcept nogil:
        cdef sophia_workspace *space = <sophia_workspace *>sophia_spare_take(&self.spare)
        return space if space != NULL else sophia_workspace_new(self.dim)

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
        sophia_features_to_b1(features, &space.vote, &cpu.active.enc, out)
        self.give(space)
        return 0

    cdef int features_i8_into(self, const sophia_features *features, int8_t *out) noexcept nogil:
        cdef sophia_workspace *space = self.take()
        if space == NULL:
            return SOPHIA_IDF_NO_MEMORY
        sophia_features_to_i8(features, &space.vote, &cpu.active.enc, out)
        self.give(space)
        return 0

    cdef int encode_b1_into(self, const unsigned char *text, size_t size, uint64_t *out) noexcept nogil:
        cdef sophia_workspace *space = self.take()
        if space == NULL:
            return SOPHIA_IDF_NO_MEMORY
        cdef int code = self.features_into(text, size, &space.features)
        if code >= 0:
            sophia_features_to_b1(&space.features, &space.vote, &cpu.active.enc, out)
            code = 0
        self.give(space)
        return code

    cdef int encode_i8_into(self, const unsigned char *text, size_t size, int8_t *out) noexcept nogil:
        cdef sophia_workspace *space = self.take()
        if space == NULL:
            return SOPHIA_IDF_NO_MEMORY
        cdef int code = self.features_into(text, size, &space.features)
        if code >= 0:
            sophia_features_to_i8(&space.features, &space.vote, &cpu.active.enc, out)
            code = 0
        self.give(space)
        return code

    def __repr__(self):
        return f"TextEncoder(dim={self.dim}, seed={self.seed}, idf={self.idf!r})"

    def encode(self, text, HDCArena arena=None):
        """The majority of the text's features, as a BSC :class:`~sophia._core.vector.Hypervector`.

        Exact halves are settled by the rule of ``hdc.bundle``. The result is the bundle of the features'
        hypervectors with their weights; from an arena it is borrowed until that is reset.
        """
        cdef Py_ssize_t size = 0
        source = utf8_source(text)
        cdef const unsigned char *data = utf8_of(source, &size)
        cdef Hypervector result = new_vector(SOPHIA_BSC, self.dim, arena)
        cdef int code
        hold(result)
        # A short text of a few bits takes less than what it costs to get the GIL back from another thread.
        if <size_t>size * self.dim <= SHORT:
            code = self.encode_b1_into(data, <size_t>size, <uint64_t *>result.data)
        else:
            with nogil:
                code = self.encode_b1_into(data, <size_t>size, <uint64_t *>result.data)
        let_go(result)
        if code:
            raise_code(code, "text")
        return result

    def encode_int8(self, text):
        """The weighted sum of the text's features, scaled: numpy int8[dim], the largest magnitude 127.

        The graded form keeps how strongly each lane was voted for, and is the one to search with; a 0 bit of
        a feature votes +, a 1 bit -.
        """
        return self.encode_int8_many((text,))[0]

    def encode_many(self, texts):
        """`encode` of each text: numpy uint8[n, nbytes], packed rows padded to 64 bytes. One GIL release."""
        import numpy

        cdef _Texts sources = _Texts(texts)
        return self._many(sources, numpy.empty((sources.count, 8 * self.words), numpy.uint8), False)

    def encode_int8_many(self, texts):
        """`encode_int8` of each text: numpy int8[n, dim]. One GIL release."""
        import numpy

        cdef _Texts sources = _Texts(texts)
        return self._many(sources, numpy.empty((sources.count, self.dim), numpy.int8), True)

    cdef object _many(self, _Texts texts, object out, bint graded):
        cdef Block block
        cdef Py_ssize_t i
        cdef size_t size
        cdef char *row
        cdef int code = 0
        open_block(&block, out, "out", U8 | I8, 2, 2, 1, True)
        try:
            with nogil:
                for i in range(texts.count):
                    row = block.data + i * block.columns
                    size = <size_t>texts.sizes[i]
                    if graded:
                        code = self.encode_i8_into(texts.data[i], size, <int8_t *>row)
                    else:
                        code = self.encode_b1_into(texts.data[i], size, <uint64_t *>row)
                    if code:
                        break
            if code:
                raise_code(code, f"texts[{i}]")
            return out
        finally:
            close_block(&block)

    def features(self, text):
        """The features of a text with their weights: tuples (text, kind, count, weight), by first occurrence.

        `kind` is "word", "gram3" or "gram4"; `<` and `>` are the edge marks of a word. `weight` is in bits, a
        multiple of 1/16.
        """
        cdef Py_ssize_t size = 0
        source = utf8_source(text)
        cdef const unsigned char *data = utf8_of(source, &size)
        cdef sophia_workspace *space = self.take()
        if space == NULL:
            raise MemoryError("text: no memory")
        cdef int code
        cdef uint32_t i
        cdef const sophia_feature *entry
        try:
            with nogil:
                code = self.features_into(data, <size_t>size, &space.features)
            if code < 0:
                raise_code(code, "text")
            found = []
            for i in range(space.features.count):
                entry = &space.features.entries[i]
                shown = (<const char *>data)[entry.start:entry.start + entry.size]
                shown = shown.lower().decode("utf-8", "replace")  # bytes.lower() folds ASCII only
                shown = ("<" if entry.edges & SOPHIA_EDGE_START else "") + shown
                shown += ">" if entry.edges & SOPHIA_EDGE_END else ""
                kind = "word" if entry.kind == SOPHIA_FEATURE_WORD else f"gram{entry.kind}"
                found.append((shown, kind, entry.count, entry.weight / <double>SOPHIA_IDF_ONE))
            return found
        finally:
            self.give(space)
