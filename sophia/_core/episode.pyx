"""Texts of memories as sparse int8 vectors, and how well they fit a question.

A feature (a word, or an n-gram of three or four letters of one, as in :mod:`sophia._core.lexical`) has a place of its
own among 2^32. A text's vector holds what BM25 makes of each feature's count, and nothing of how rare it is: so it
depends on the text alone, and never has to be made again. Only the places that are not zero are kept, five bytes each:
about 900 bytes for a sentence of 20 words. How rare the features of a question are is counted among the texts that are
searched, no others. Weights and sums are of whole numbers, the same on every machine.

BM25 with k1 = .9 and b = .4, against a usual text of 16 words and 128 grams, grams at half weight on either side.
Source: S. Robertson, H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations and Trends in
Information Retrieval 3(4), 2009; the two constants are those of Anserini.
"""

cimport cython
from libc.math cimport floor
from libc.stdint cimport int8_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort, realloc

from sophia._core cimport cpu
from sophia._core.buffer cimport I8, I64, U32, Block, close_block, open_block
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


cdef extern from "ro_kernels.h" nogil:
    enum:
        SOPHIA_RO_SIEVED


cdef extern from "idf.h" nogil:
    void sophia_log2_init()


cdef enum:
    _WORD = 0               # kinds of lexical.h
    _GRAM = 3
    _LEAST = 3
    _MOST = 4
    _FULL = 4               # quarters of the IDF's power
    _NO_MEMORY = -2         # of a search; -1 is none, from 0 on the element of `rows` that is wrong

_K1 = 0.9
_B = 0.4
_USUAL_WORDS = 16.0
_USUAL_GRAMS = 128.0
_USUAL_ROWS = 20.0

cdef double K1 = _K1, B = _B, USUAL_WORDS = _USUAL_WORDS, USUAL_GRAMS = _USUAL_GRAMS, USUAL_ROWS = _USUAL_ROWS
cdef double ONE = 127.0 / (_K1 + 1.0)  # the largest weight of a word is 127


cdef int _by_hash(const void *left, const void *right) noexcept nogil:
    cdef uint64_t a = (<const uint64_t *>left)[0], b = (<const uint64_t *>right)[0]
    return -1 if a < b else a > b


cdef struct _Hit:
    int64_t at              # in `rows`
    uint32_t term           # of the question
    int8_t weight


cdef inline uint32_t _place(uint64_t hash) noexcept nogil:
    cdef uint32_t place = <uint32_t>(hash >> 32)
    return place if place else 1    # 0 is an empty cell of a question's table


@cython.final
cdef class EpisodeEncoder:
    """Makes vectors of texts, and searches them. `stop` are words that are left out of both texts and questions, with
    their grams.

    Any number of threads may use one, one at a time by the GIL. Memory: 180 KB. A text counts up to its 4,096th
    feature, which is after about 400 words. Example::

        >>> import numpy as np
        >>> encoder = EpisodeEncoder(stop=["the"])
        >>> rows = encoder.rows(["the cat sat", "a dog ran"])
        >>> own, _ = encoder.scores("cats", *rows, np.arange(2), np.full(2, -1))
        >>> [int(score) > 0 for score in own]
        [True, False]
    """

    def __cinit__(self, *, seed=0, stop=()):
        cdef size_t i
        sophia_log2_init()
        self.plan = sophia_lexical_plan_of(<uint64_t>(seed & 0xFFFFFFFFFFFFFFFF), _LEAST, _MOST)
        self.features = <sophia_lexical *>malloc(sizeof(sophia_lexical))
        self.terms = <sophia_episode_term *>malloc(SOPHIA_LEXICAL_MAX * sizeof(sophia_episode_term))
        words = [word for word in stop if word]
        self.stops = <uint64_t *>malloc((len(words) + 1) * sizeof(uint64_t))
        if self.features == NULL or self.terms == NULL or self.stops == NULL:
            raise MemoryError("no memory for the features of a text")
        self.features.place = NULL
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
        if sophia_lexical_extract(data, <size_t>size, &self.plan, &cpu.active.ro, self.features) < 0:
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

    def rows(self, texts):
        """The vectors of texts: (starts int64[n + 1], places uint32[m], weights int8[m]), text i from starts[i] on.

        About 12 us a sentence. Raises TypeError for a text that is neither str nor bytes.
        """
        import numpy as np

        cdef size_t words = 0, grams = 0, found, i
        cdef double length, weight
        cdef list all_places = [], all_weights = []
        cdef uint32_t[::1] places
        cdef int8_t[::1] weights
        sources = list(texts)
        starts = np.zeros(len(sources) + 1, dtype=np.int64)
        made_places = np.empty(SOPHIA_LEXICAL_MAX, dtype=np.uint32)
        made_weights = np.empty(SOPHIA_LEXICAL_MAX, dtype=np.int8)
        places, weights = made_places, made_weights
        for number, text in enumerate(sources, 1):
            # Nothing of Python from here to the last term: another thread might read its own text.
            found = self.read(text, &words, &grams)
            for i in range(found):
                if self.terms[i].gram:
                    length, weight = grams / USUAL_GRAMS, 0.5 * ONE
                else:
                    length, weight = words / USUAL_WORDS, ONE
                weight *= self.terms[i].count * (K1 + 1.0) / (self.terms[i].count + K1 * (1.0 - B + B * length))
                weights[i] = <int8_t>floor(weight + 0.5)
                places[i] = _place(self.terms[i].hash)
            starts[number] = starts[number - 1] + <int64_t>found
            all_places.append(made_places[:found].copy())
            all_weights.append(made_weights[:found].copy())
        if not sources:
            return starts, np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.int8)
        return starts, np.concatenate(all_places), np.concatenate(all_weights)

    def scores(self, question, starts, places, weights, rows, sessions):
        """How well the vectors of some rows, and the sessions that they are of, fit a question: int64[n] each, 0 where
        they share nothing.

        `starts`, `places` and `weights` as `rows` makes them; `rows` int64[n] says which; `sessions` int64[n] has a
        number for the session of each, the rows of one together, or -1. A row has the sum over the features of the
        question of log2((2 n + 2) / (2 df + 1)) in 1,024ths, half of it for a gram, times the row's weight, where df of
        the n rows have the feature. A session has the same over words alone, of which those count that so many of its
        rows have, against a usual session of 20 rows; a row without a session is its own. About 200 ns for a sentence.
        Releases the GIL. Raises ShapeError for other arrays, and for a row or start out of bounds; TypeError for a
        question that is neither str nor bytes.
        """
        import numpy as np

        cdef Block blocks[5]
        cdef size_t words = 0, grams = 0, asked, room = 4, i, cell
        cdef int opened = 0, number
        cdef int64_t bad = -1
        cdef uint32_t *cells = NULL     # places, 0 for none
        cdef uint32_t *terms = NULL     # by cell; then by term: half the weight or not, and how many rows have it
        found, around = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
        cdef int64_t[::1] out = found, whole = around
        given = (
            (starts, "starts", I64, 8), (places, "places", U32, 4), (weights, "weights", I8, 1), (rows, "rows", I64, 8),
            (sessions, "sessions", I64, 8),
        )
        try:
            for source, name, kind, size in given:
                open_block(&blocks[opened], source, name, kind, 1, 1, size, False)
                opened += 1
            if blocks[1].columns != blocks[2].columns:
                raise ShapeError(f"weights has {blocks[2].columns} elements and places {blocks[1].columns}")
            if blocks[3].columns != blocks[4].columns:
                raise ShapeError(f"sessions has {blocks[4].columns} elements and rows {blocks[3].columns}")
            # Nothing of Python from here to the last cell: another thread might read its own text.
            asked = self.read(question, &words, &grams)
            while room < 64 * asked:        # so sparse that nearly every term of a row finds its cell empty
                room *= 2
            cells = <uint32_t *>calloc(room, sizeof(uint32_t))
            terms = <uint32_t *>calloc(room + 3 * asked + 1, sizeof(uint32_t))
            if cells == NULL or terms == NULL:
                raise MemoryError("no memory for a question")
            for i in range(asked):
                cell = _place(self.terms[i].hash) & (room - 1)
                while cells[cell] != 0:
                    cell = (cell + 1) & (room - 1)
                cells[cell] = _place(self.terms[i].hash)
                terms[cell] = <uint32_t>i
                terms[room + i] = self.terms[i].gram
            if asked and out.shape[0]:
                with nogil:
                    bad = _search(cells, terms, room, asked, blocks, &out[0], &whole[0])
            if bad == _NO_MEMORY:
                raise MemoryError("no memory for what a search finds")
            if bad >= 0:
                raise ShapeError(f"rows: element {bad} names a row that is not there, or whose terms are not")
        finally:
            free(cells)
            free(terms)
            for number in range(opened):
                close_block(&blocks[number])
        return found, around


cdef void _sum_sessions(const _Hit *hits, size_t held, const uint32_t *weight_of, const uint32_t *halved,
                        uint32_t *having, const int64_t *sessions, int64_t n, const int64_t *own,
                        int64_t *whole) noexcept nogil:
    """The score of each row's session; hits are in the order of rows. `having` is zeros, and is left so."""
    cdef int64_t first = 0, last, i, total
    cdef size_t hit = 0, begin, term
    cdef double length, count
    while first < n:
        last = first + 1
        while sessions[first] >= 0 and last < n and sessions[last] == sessions[first]:
            last += 1
        begin = hit
        while hit < held and hits[hit].at < last:
            having[hits[hit].term] += 1
            hit += 1
        total = own[first]
        if sessions[first] >= 0:
            total, length = 0, (last - first) / USUAL_ROWS
            while begin < hit:
                term = hits[begin].term
                if having[term] and not halved[term]:
                    count = having[term]
                    total += weight_of[term] * <int64_t>floor(
                        127.0 * count / (count + K1 * (1.0 - B + B * length)) + 0.5
                    )
                having[term] = 0
                begin += 1
        while begin < hit:
            having[hits[begin].term] = 0
            begin += 1
        for i in range(first, last):
            whole[i] = total
        first = last


cdef int64_t _search(const uint32_t *cells, uint32_t *terms, size_t room, size_t asked, Block *blocks,
                     int64_t *out, int64_t *whole) noexcept nogil:
    """Finds what rows and question share, then adds it up: how rare a feature is, is known only behind the last row."""
    cdef const int64_t *begin = <const int64_t *>blocks[0].data
    cdef const uint32_t *places = <const uint32_t *>blocks[1].data
    cdef const int8_t *weights = <const int8_t *>blocks[2].data
    cdef const int64_t *rows = <const int64_t *>blocks[3].data
    cdef int64_t many = blocks[0].columns - 1, all = blocks[1].columns, n = blocks[3].columns, i, k, row
    cdef uint32_t mask = <uint32_t>(room - 1)
    cdef uint32_t *halved = terms + room
    cdef uint32_t *having = halved + asked
    cdef size_t held = 0, hits_room = 1024, cell, likely, j
    cdef uint32_t maybe[SOPHIA_LEXICAL_MAX + SOPHIA_RO_SIEVED]
    cdef _Hit *hits = <_Hit *>malloc(hits_room * sizeof(_Hit))
    cdef _Hit *more
    cdef int64_t bad = _NO_MEMORY if hits == NULL else -1
    i = 0
    while i < n and bad == -1:
        row = rows[i]
        if row < 0 or row >= many or begin[row] < 0 or begin[row + 1] < begin[row] or begin[row + 1] > all or (
            begin[row + 1] - begin[row] > SOPHIA_LEXICAL_MAX
        ):
            bad = i
            break
        if held + <size_t>(begin[row + 1] - begin[row]) > hits_room:
            hits_room = 2 * hits_room + <size_t>(begin[row + 1] - begin[row])
            more = <_Hit *>realloc(hits, hits_room * sizeof(_Hit))
            if more == NULL:
                bad = _NO_MEMORY
                break
            hits = more
        likely = cpu.active.ro.sieve(
            places + begin[row], <size_t>(begin[row + 1] - begin[row]), cells, mask, maybe
        )
        for j in range(likely):
            k = begin[row] + maybe[j]
            cell = places[k] & mask
            while cells[cell] != 0:
                if cells[cell] == places[k]:
                    hits[held].at = i
                    hits[held].term = terms[cell]
                    hits[held].weight = weights[k]
                    having[terms[cell]] += 1
                    held += 1
                    break
                cell = (cell + 1) & mask
        i += 1
    if bad == -1:
        for cell in range(asked):
            having[cell] = sophia_ro_idf(<uint64_t>n, having[cell], _FULL) >> halved[cell]
        for cell in range(held):
            out[hits[cell].at] += <int64_t>having[hits[cell].term] * hits[cell].weight
        _sum_sessions(hits, held, having, halved, having + asked, <const int64_t *>blocks[4].data, n, out, whole)
    free(hits)
    return bad
