"""Texts of memories as sparse int8 vectors, and how well they fit a question.

A feature (a word, or an n-gram of three or four letters of one) has a signed place among `dim`, as in
:mod:`sophia._core.lexical`. A text's vector holds what BM25 makes of each feature's count, and nothing of how rare it
is: so it depends on the text alone, and never has to be made again. How rare a feature is stands in the question's
vector. Of a vector only the places that are not zero are kept, three bytes each: about 350 bytes for a sentence, where
the whole of it would take `dim`. Sums are of whole numbers, the same on every machine.

BM25 with k1 = .9 and b = .4, against a usual text of 16 words and 128 grams, grams at half weight on either side.
Source: S. Robertson, H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations and Trends in
Information Retrieval 3(4), 2009; the two constants are those of Anserini.
"""

cimport cython
from libc.math cimport floor
from libc.stdint cimport int8_t, int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort

from sophia._core.buffer cimport I8, I32, I64, U16, U32, Block, close_block, open_block
from sophia._core.idf cimport utf8_of
from sophia._core.lexical cimport (
    SOPHIA_LEXICAL_MAX,
    sophia_lexical,
    sophia_lexical_extract,
    sophia_lexical_plan_of,
    sophia_ro_idf,
    source_of,
)

from sophia.errors import ShapeError


cdef extern from "idf.h" nogil:
    void sophia_log2_init()


cdef enum:
    _WORD = 0               # kinds of lexical.h
    _GRAM = 3
    _LEAST = 3
    _MOST = 4
    _MOST_DIM = 65536       # a place is a uint16
    _BUCKETS = 1 << 18      # of the counts of texts that have a feature
    _FULL = 4               # quarters of the IDF's power

BUCKETS = _BUCKETS
"""Length of a table of counts."""

_K1 = 0.9
_B = 0.4
_USUAL_WORDS = 16.0
_USUAL_GRAMS = 128.0

cdef double K1 = _K1, B = _B, USUAL_WORDS = _USUAL_WORDS, USUAL_GRAMS = _USUAL_GRAMS
cdef double ONE = 127.0 / (_K1 + 1.0)  # the largest weight of a word is 127


cdef int _by_hash(const void *left, const void *right) noexcept nogil:
    cdef uint64_t a = (<const uint64_t *>left)[0], b = (<const uint64_t *>right)[0]
    return -1 if a < b else a > b


cdef inline uint32_t _bucket(uint64_t hash) noexcept nogil:
    return <uint32_t>(hash >> 8) & (_BUCKETS - 1)


@cython.final
cdef class EpisodeEncoder:
    """Makes vectors of texts and of questions. `stop` are words that are left out of both, with their grams.

    Any number of threads may use one, one at a time by the GIL. Memory: 180 KB. A text counts up to its 4,096th
    feature, which is after about 400 words. Example::

        >>> import numpy as np
        >>> encoder = EpisodeEncoder(10_000, stop=["the"])
        >>> counts = np.zeros(BUCKETS, np.uint32)
        >>> starts, places, weights = encoder.rows(["the cat sat", "a dog ran"], counts)
        >>> question = encoder.question("cats", counts, 2)
        >>> [int(score) > 0 for score in scores(question, starts, places, weights, np.arange(2))]
        [True, False]
    """

    def __cinit__(self, dim=10_000, *, seed=0, stop=()):
        cdef size_t i
        if isinstance(dim, bool) or not isinstance(dim, int) or not 64 <= dim <= _MOST_DIM:
            raise ShapeError(f"dim is {dim!r}; it is a whole number from 64 to {_MOST_DIM}")
        sophia_log2_init()
        self.dim = dim
        self.plan = sophia_lexical_plan_of(<uint64_t>(seed & 0xFFFFFFFFFFFFFFFF), _LEAST, _MOST)
        self.features = <sophia_lexical *>malloc(sizeof(sophia_lexical))
        self.terms = <sophia_episode_term *>malloc(SOPHIA_LEXICAL_MAX * sizeof(sophia_episode_term))
        words = [word for word in stop if word]
        self.stops = <uint64_t *>malloc((len(words) + 1) * sizeof(uint64_t))
        if self.features == NULL or self.terms == NULL or self.stops == NULL:
            raise MemoryError("no memory for the features of a text")
        self.stop_count = 0
        for word in words:
            self.extract(word)
            for i in range(self.features.count):
                if self.features.kind[i] == _WORD and self.stop_count < <size_t>len(words):
                    self.stops[self.stop_count] = self.features.hash[i]
                    self.stop_count += 1
        qsort(self.stops, self.stop_count, sizeof(uint64_t), _by_hash)

    def __dealloc__(self):
        free(self.features)
        free(self.terms)
        free(self.stops)

    cdef int extract(self, object text) except -1:
        cdef Py_ssize_t size = 0
        source = source_of(text)
        cdef const unsigned char *data = utf8_of(source, &size)
        if sophia_lexical_extract(data, <size_t>size, &self.plan, self.features) < 0:
            self.features.count = 0
        return 0

    cdef bint is_stop(self, uint64_t hash) noexcept:
        cdef size_t low = 0, high = self.stop_count, middle
        while low < high:
            middle = (low + high) // 2
            if self.stops[middle] < hash:
                low = middle + 1
            else:
                high = middle
        return low < self.stop_count and self.stops[low] == hash

    cdef size_t read(self, object text, size_t *words, size_t *grams) except? 0:
        cdef size_t taken = 0, kept = 0, i, start = 0
        cdef uint32_t at
        self.extract(text)
        words[0] = grams[0] = 0
        for at in range(self.features.count):
            if self.features.kind[at] == _GRAM:         # of the word that comes next
                self.terms[taken].hash = self.features.hash[at]
                self.terms[taken].gram = True
                taken += 1
            elif self.features.kind[at] == _WORD:
                if self.is_stop(self.features.hash[at]):
                    taken = start
                else:
                    grams[0] += taken - start
                    words[0] += 1
                    self.terms[taken].hash = self.features.hash[at]
                    self.terms[taken].gram = False
                    taken += 1
                start = taken
        taken = start                                   # grams of a word that found no room any more
        qsort(self.terms, taken, sizeof(sophia_episode_term), _by_hash)
        for i in range(taken):
            if kept and self.terms[kept - 1].hash == self.terms[i].hash:
                self.terms[kept - 1].count += 1
            else:
                self.terms[kept] = self.terms[i]
                self.terms[kept].count = 1
                kept += 1
        return kept

    cdef uint32_t place(self, uint64_t hash) noexcept:
        return <uint32_t>((hash >> 32) * self.dim >> 32)

    def rows(self, texts, counts):
        """The vectors of texts: (starts int64[n + 1], places uint16[m], weights int8[m]), text i from starts[i] on.

        `counts`, uint32[BUCKETS], is how many texts have a feature of each bucket: these are added to it. About 12 us
        a sentence. Raises TypeError for a text that is neither str nor bytes, ShapeError for other counts.
        """
        import numpy as np

        cdef Block block
        cdef size_t words = 0, grams = 0, found, i
        cdef double length, weight
        cdef uint32_t *table
        cdef list all_places = [], all_weights = []
        cdef uint16_t[::1] places
        cdef int8_t[::1] weights
        sources = list(texts)
        starts = np.zeros(len(sources) + 1, dtype=np.int64)
        open_block(&block, counts, "counts", U32, 1, 1, 4, True)
        try:
            if block.columns != _BUCKETS:
                raise ShapeError(f"counts has {block.columns} elements; it needs {_BUCKETS}")
            table = <uint32_t *>block.data
            for number, text in enumerate(sources, 1):
                found = self.read(text, &words, &grams)
                made_places, made_weights = np.empty(found, dtype=np.uint16), np.empty(found, dtype=np.int8)
                places, weights = made_places, made_weights
                for i in range(found):
                    if self.terms[i].gram:
                        length, weight = grams / USUAL_GRAMS, 0.5 * ONE
                    else:
                        length, weight = words / USUAL_WORDS, ONE
                    weight *= self.terms[i].count * (K1 + 1.0) / (
                        self.terms[i].count + K1 * (1.0 - B + B * length)
                    )
                    weight = floor(weight + 0.5)
                    weights[i] = <int8_t>(-weight if self.terms[i].hash & 1 else weight)
                    places[i] = <uint16_t>self.place(self.terms[i].hash)
                    if table[_bucket(self.terms[i].hash)] < <uint32_t>0xFFFFFFFF:
                        table[_bucket(self.terms[i].hash)] += 1
                starts[number] = starts[number - 1] + <int64_t>found
                all_places.append(made_places)
                all_weights.append(made_weights)
        finally:
            close_block(&block)
        if not sources:
            return starts, np.zeros(0, dtype=np.uint16), np.zeros(0, dtype=np.int8)
        return starts, np.concatenate(all_places), np.concatenate(all_weights)

    def question(self, text, counts, documents):
        """The vector of a question, int32[dim]: for each distinct feature log2((2 N + 2) / (2 n + 1)) in 1,024ths, half
        of it for a gram, where n of N `documents` have one of its bucket. Errors as of `rows`."""
        import numpy as np

        cdef Block block
        cdef size_t words = 0, grams = 0, found, i
        cdef int32_t weight
        cdef const uint32_t *table
        cdef uint64_t many = documents
        vector = np.zeros(self.dim, dtype=np.int32)
        cdef int32_t[::1] out = vector
        open_block(&block, counts, "counts", U32, 1, 1, 4, False)
        try:
            if block.columns != _BUCKETS:
                raise ShapeError(f"counts has {block.columns} elements; it needs {_BUCKETS}")
            table = <const uint32_t *>block.data
            found = self.read(text, &words, &grams)
            for i in range(found):
                weight = sophia_ro_idf(many, table[_bucket(self.terms[i].hash)], _FULL)
                if self.terms[i].gram:
                    weight >>= 1
                out[self.place(self.terms[i].hash)] += -weight if self.terms[i].hash & 1 else weight
        finally:
            close_block(&block)
        return vector


def scores(question, starts, places, weights, rows):
    """How well the vectors of some rows fit a question: int64[n], their dot products, exact.

    `question` int32[dim]; `starts` int64[m + 1], `places` uint16 and `weights` int8 as :meth:`EpisodeEncoder.rows`
    makes them; `rows` int64[n] says which. About 80 ns for a sentence. Releases the GIL. Raises ShapeError for other
    arrays, and for a row, start or place out of bounds.
    """
    import numpy as np

    cdef Block blocks[5]
    cdef int64_t i, k, end, row, total, many, terms
    cdef int64_t bad = -1
    cdef int32_t *asked
    cdef int64_t *begin
    cdef uint16_t *where
    cdef int8_t *weight
    cdef int64_t *chosen
    cdef int64_t dim, n
    cdef int opened = 0, number
    found = np.zeros(len(rows), dtype=np.int64)
    cdef int64_t[::1] out = found
    given = (
        (question, "question", I32, 4), (starts, "starts", I64, 8), (places, "places", U16, 2),
        (weights, "weights", I8, 1), (rows, "rows", I64, 8),
    )
    try:
        for source, name, kind, size in given:
            open_block(&blocks[opened], source, name, kind, 1, 1, size, False)
            opened += 1
        asked, begin = <int32_t *>blocks[0].data, <int64_t *>blocks[1].data
        where, weight, chosen = <uint16_t *>blocks[2].data, <int8_t *>blocks[3].data, <int64_t *>blocks[4].data
        dim, many, terms, n = blocks[0].columns, blocks[1].columns - 1, blocks[2].columns, blocks[4].columns
        if blocks[3].columns != terms:
            raise ShapeError(f"weights has {blocks[3].columns} elements and places {terms}")
        with nogil:
            for i in range(n):
                row = chosen[i]
                if row < 0 or row >= many or begin[row] < 0 or begin[row + 1] < begin[row] or begin[row + 1] > terms:
                    bad = i
                    break
                total, end = 0, begin[row + 1]
                for k in range(begin[row], end):
                    if where[k] >= dim:
                        bad = i
                        break
                    total += <int64_t>asked[where[k]] * weight[k]
                if bad >= 0:
                    break
                out[i] = total
        if bad >= 0:
            raise ShapeError(f"rows: element {bad} names a row that is not there, or whose places are not")
    finally:
        for number in range(opened):
            close_block(&blocks[number])
    return found
