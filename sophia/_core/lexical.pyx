"""Texts as sparse vectors: words, pairs of words and character n-grams, weighed and hashed to signed positions.

The features are those of include/lexical.h, the weights those of include/readout.h. :mod:`sophia._core.training`
learns from such vectors, :mod:`sophia._core.readout` scores them.
"""

cimport cython
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from sophia._core cimport cpu
from sophia._core.encode cimport seed_of
from sophia._core.idf cimport utf8_of, utf8_source
from sophia._core.normaliser cimport normalise_unicode, stream_safe
from sophia._core.vector cimport take_dim, whole


cdef extern from "idf.h" nogil:
    void sophia_log2_init()


cdef Py_ssize_t _LONGEST = 0xFFFFFFFF    # bytes of a text (text_features.h)

KINDS = ("word", "pair", "skip", "gram")
"""The kinds of lexical features, in the order of the encoder's weights."""


cdef object source_of(object text):
    text = utf8_source(text)
    if isinstance(text, bytes) or text.isascii() or not stream_safe(text):
        return text
    return normalise_unicode(text)


cdef str shown(bytes raw, const sophia_lexeme *entry):
    text = raw[entry.start:entry.start + entry.size].decode("utf-8", "replace")
    if entry.edges & 1:
        text = "<" + text
    return text + ">" if entry.edges & 2 else text


cdef void terms_of(
    const sophia_ro_plan *plan, const unsigned char *text, size_t size, sophia_lexeme *places, sophia_ro_work *work
) noexcept nogil:
    work.features.place = places
    if sophia_lexical_extract(text, size, &plan.lexical, &cpu.active.ro, &work.features) < 0:
        work.features.count = 0
    sophia_ro_weigh(plan, &work.features, &cpu.active.ro, &work.terms)


@cython.final
cdef class LexicalEncoder:
    """Turns texts into sparse vectors of `dim` signed positions.

    Features are words, pairs of neighbours (with the edges of the text), pairs that skip a word, and character
    n-grams of `grams` (least, most) code points inside words with edge marks; `kinds` are their weights in that
    order. `idf_power` (0 to 1 in quarters) is the power of the inverse document frequency that each is weighed
    by: log2((2N + 2) / (2 df + 1)) bits, df counted in 65,536 hashed buckets. A feature that was never observed
    has weight only in the norm, which is one for each text.

    ASCII letters are folded, other text is read in its normal form. Features are taken of a text until there are
    4,096 of them. `observe` is not thread-safe; everything else is, once observing is over.

    Example::

        >>> encoder = LexicalEncoder()
        >>> encoder.observe(["turn the light on", "turn it off"])
        >>> encoder.documents, [text for text, kind, position, value in encoder.terms("turn on")][:3]
        (2, ['<t', 'tu', '<tu'])
    """

    def __cinit__(self, dim=10_000, *, seed=0, grams=(2, 4), kinds=(1.37, 1.27, 0.5, 0.66), idf_power=0.25):
        cdef uint16_t weights[SOPHIA_LEX_KINDS]
        cdef size_t size = take_dim(dim)
        seed = seed_of(seed)
        least, most = [whole(n, "grams") for n in grams]
        kinds = tuple(map(float, kinds))
        if not 1 <= least <= most <= SOPHIA_RO_GRAM:
            raise ValueError(f"grams must be (least, most) with 1 <= least <= most <= {SOPHIA_RO_GRAM}, "
                             f"got {grams!r}")
        if len(kinds) != SOPHIA_LEX_KINDS or not all(0 <= weight <= 16 for weight in kinds):
            raise ValueError(f"kinds must be {SOPHIA_LEX_KINDS} weights from 0 to 16, for {', '.join(KINDS)}; "
                             f"got {kinds!r}")
        if idf_power * 4 not in (0, 1, 2, 3, 4):
            raise ValueError(f"idf_power must be 0, 0.25, 0.5, 0.75 or 1, got {idf_power!r}")
        for number, weight in enumerate(kinds):
            weights[<int>number] = int(weight * SOPHIA_RO_KIND_ONE + 0.5)
        self.frequencies = <uint32_t *>calloc(SOPHIA_RO_BUCKETS, sizeof(uint32_t))
        if self.frequencies == NULL:
            raise MemoryError("no memory for the document frequencies")
        self.set_up(<uint32_t>size, seed, least, most, int(idf_power * 4), weights, NULL, 0)

    def __dealloc__(self):
        free(self.idf)
        free(self.frequencies)

    cdef int set_up(self, uint32_t dim, uint64_t seed, uint32_t least, uint32_t most, unsigned quarters,
                    const uint16_t *kinds, const uint16_t *idf, uint64_t documents) except -1:
        cdef int kind
        sophia_log2_init()
        self.idf = <uint16_t *>calloc(SOPHIA_RO_BUCKETS + 1, sizeof(uint16_t))
        if self.idf == NULL:
            raise MemoryError("no memory for the table of weights")
        if idf != NULL:
            memcpy(self.idf, idf, SOPHIA_RO_BUCKETS * sizeof(uint16_t))
        self.plan.weighing.idf = self.idf
        self.plan.weighing.dim = dim
        self.plan.lexical = sophia_lexical_plan_of(seed, least, most)
        self.plan.weighing.unseen = sophia_ro_idf(documents, 0, quarters)
        for kind in range(SOPHIA_LEX_KINDS):
            self.plan.weighing.kinds[kind] = kinds[kind]
        self.documents = documents
        self.seed = seed
        self.quarters = quarters
        return 0

    cdef void freeze(self) noexcept nogil:
        """The table of weights from the frequencies."""
        cdef uint32_t bucket
        self.plan.weighing.unseen = sophia_ro_idf(self.documents, 0, self.quarters)
        for bucket in range(<uint32_t>SOPHIA_RO_BUCKETS):
            self.idf[bucket] = 0 if self.frequencies[bucket] == 0 else sophia_ro_idf(
                self.documents, self.frequencies[bucket], self.quarters
            )

    cdef bint like(self, LexicalEncoder other) noexcept:
        cdef int kind
        for kind in range(SOPHIA_LEX_KINDS):
            if self.plan.weighing.kinds[kind] != other.plan.weighing.kinds[kind]:
                return False
        return (
            self.plan.weighing.dim == other.plan.weighing.dim and self.seed == other.seed
            and self.quarters == other.quarters
            and self.plan.lexical.grams.least == other.plan.lexical.grams.least
            and self.plan.lexical.grams.most == other.plan.lexical.grams.most
        )

    @property
    def dim(self):
        """Positions of a sparse vector."""
        return self.plan.weighing.dim

    def observe(self, texts):
        """Counts the texts' features. Vectors made before are those of other weights. About 2 us a text.

        Raises ValueError in an encoder that was grown or belongs to a readout: its frequencies are settled.
        """
        cdef list sources
        cdef sophia_lexical *features
        cdef uint32_t *last
        cdef uint32_t text = 0, i, bucket
        cdef Py_ssize_t size = 0
        cdef const unsigned char *data
        sources = _sources(texts)
        if self.frequencies == NULL:
            raise ValueError("this encoder belongs to a trained readout, whose weights rest on its frequencies; "
                             "make it known to more texts with grown(), or make a new one")
        if len(sources) >= 1 << 31:
            raise ValueError(f"{len(sources)} texts are more than 2^31 - 1")
        features = <sophia_lexical *>malloc(sizeof(sophia_lexical))
        last = <uint32_t *>calloc(SOPHIA_RO_BUCKETS, sizeof(uint32_t))  # the last text of each bucket
        try:
            if features == NULL or last == NULL:
                raise MemoryError("no memory to count features")
            features.place = NULL
            for source in sources:
                data = utf8_of(source, &size)
                text += 1
                with nogil:
                    if sophia_lexical_extract(data, <size_t>size, &self.plan.lexical, &cpu.active.ro, features) < 0:
                        features.count = 0
                    for i in range(features.count):
                        bucket = sophia_ro_bucket(features.hash[i])
                        if last[bucket] != text and self.frequencies[bucket] < <uint32_t>0xFFFFFFFF:
                            last[bucket] = text
                            self.frequencies[bucket] += 1
            self.documents += text
            self.freeze()
        finally:
            free(features)
            free(last)

    def dump(self):
        """What was observed, as bytes: the number of texts, and in how many of them each bucket's features are.
        ValueError in an encoder whose frequencies are settled."""
        if self.frequencies == NULL:
            raise ValueError("this encoder belongs to a trained readout; save that")
        return self.documents.to_bytes(8, "little") + (<char *>self.frequencies)[:SOPHIA_RO_BUCKETS * sizeof(uint32_t)]

    def restore(self, bytes data not None):
        """Takes what :meth:`dump` gave in place of what was observed so far. ValueError for other bytes."""
        cdef const char *held = data
        if self.frequencies == NULL:
            raise ValueError("this encoder belongs to a trained readout, whose weights rest on its frequencies")
        if <size_t>len(data) != 8 + SOPHIA_RO_BUCKETS * sizeof(uint32_t):
            raise ValueError(f"data: {len(data)} bytes, not {8 + SOPHIA_RO_BUCKETS * sizeof(uint32_t)}")
        documents = int.from_bytes(data[:8], "little")
        if documents >= 1 << 62:
            raise ValueError(f"data: counts of {documents} texts, which cannot be")
        self.documents = documents
        memcpy(self.frequencies, held + 8, SOPHIA_RO_BUCKETS * sizeof(uint32_t))
        self.freeze()

    def grown(self, texts):
        """An encoder that also knows the features of these texts, as rare ones; this one stays as it is.

        Vectors of other texts do not change, but for new terms where they share a feature that was unknown.
        """
        cdef sophia_lexical *features
        cdef LexicalEncoder made
        cdef Py_ssize_t size = 0
        cdef const unsigned char *data
        cdef uint32_t i, bucket
        sources = _sources(texts)
        made = encoder_with(self.plan.weighing.dim, self.seed, self.plan.lexical.grams.least,
                            self.plan.lexical.grams.most, self.quarters, self.plan.weighing.kinds, self.idf,
                            self.documents)
        features = <sophia_lexical *>malloc(sizeof(sophia_lexical))
        if features == NULL:
            raise MemoryError("no memory for a text's features")
        features.place = NULL
        try:
            for source in sources:
                data = utf8_of(source, &size)
                if sophia_lexical_extract(data, <size_t>size, &self.plan.lexical, &cpu.active.ro, features) < 0:
                    features.count = 0
                for i in range(features.count):
                    bucket = sophia_ro_bucket(features.hash[i])
                    if made.idf[bucket] == 0:
                        made.idf[bucket] = made.plan.weighing.unseen
        finally:
            free(features)
        return made

    def terms(self, text):
        """The sparse vector of a text, readable: (text of the feature with its edge marks, kind, position, value).

        Values are float, their squares sum to one or less (unknown features are left out). A feature that is
        a pair shows the text from its first to its last word.
        """
        cdef Py_ssize_t size = 0
        cdef sophia_ro_work *work
        cdef sophia_lexeme *places
        cdef uint32_t i
        source = source_of(text)
        cdef const unsigned char *data = utf8_of(source, &size)
        raw = source if isinstance(source, bytes) else source.encode()
        if size > _LONGEST:
            raise ValueError("text: longer than 4 GiB")
        work = <sophia_ro_work *>malloc(sizeof(sophia_ro_work))
        places = <sophia_lexeme *>malloc(SOPHIA_LEXICAL_MAX * sizeof(sophia_lexeme))
        try:
            if work == NULL or places == NULL:
                raise MemoryError("no memory for a text's features")
            terms_of(&self.plan, data, <size_t>size, places, work)
            found = []
            for i in range(work.terms.known):
                kind = KINDS[work.features.kind[work.terms.lexeme[i]]]
                found.append((shown(raw, &places[work.terms.lexeme[i]]), kind, work.terms.position[i],
                              work.terms.value[i] / <double>SOPHIA_RO_UNIT))
            return found
        finally:
            free(work)
            free(places)


cdef list _sources(object texts):
    if isinstance(texts, (str, bytes)):
        raise TypeError("many texts are needed; put one into a list")
    return [source_of(each) for each in texts]


cdef LexicalEncoder encoder_with(uint32_t dim, uint64_t seed, uint32_t least, uint32_t most, unsigned quarters,
                                 const uint16_t *kinds, const uint16_t *idf, uint64_t documents):
    cdef LexicalEncoder made = LexicalEncoder.__new__(LexicalEncoder)
    free(made.frequencies)
    free(made.idf)
    made.frequencies = NULL
    made.idf = NULL
    made.set_up(dim, seed, least, most, quarters, kinds, idf, documents)
    return made
