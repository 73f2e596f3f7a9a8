"""A linear int8 readout over hashed lexical features: from text to the scores of classes in one call.

A :class:`LexicalEncoder` learns document frequencies and turns texts into sparse vectors; :class:`Weights` are
trained on :class:`Examples` of them; a :class:`Readout` is the int8 result, immutable and shared by threads. The
method is in include/lexical.h and include/readout.h. Training gives the same bits at every SIMD level.
"""

import struct

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int8_t, int16_t, int32_t, uint16_t, uint32_t, uint64_t, uint8_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from sophia._core cimport cpu
from sophia._core.buffer cimport U8, Block, close_block, open_block
from sophia._core.cpu cimport sophia_ro_kernels
from sophia._core.idf cimport SOPHIA_FEATURES_TOO_LONG, utf8_of, utf8_source
from sophia._core.vector cimport check_dim

from sophia._core.normaliser import normalise
from sophia.errors import ShapeError, StoreCorrupt, StoreVersionError


cdef extern from "stdlib.h" nogil:
    int posix_memalign(void **block, size_t alignment, size_t size)


cdef extern from "hash.h" nogil:
    ctypedef struct sophia_hash128:
        uint64_t low
        uint64_t high
    sophia_hash128 sophia_hash_bytes(const void *data, size_t size, uint64_t key)
    uint64_t sophia_mix64(uint64_t x)
    uint64_t SOPHIA_MIX_C


cdef extern from "idf.h" nogil:
    void sophia_log2_init()


cdef extern from "readout.h" nogil:
    void sophia_ro_epoch(
        const sophia_ro_kernels *kernels, const sophia_ro_training *training, const sophia_ro_examples *examples,
        const uint32_t *order, size_t count, uint64_t key, uint32_t bias_row, float *weights, float *squares,
        float *scores, const float *zeros, sophia_ro_scratch *scratch
    )


cdef extern from "workspace.h" nogil:
    void *sophia_spare_take(void **spare)
    void *sophia_spare_put(void **spare, void *mine)


KINDS = ("word", "pair", "skip", "gram")
"""The kinds of lexical features, in the order of the encoder's weights."""

_MAGIC = b"SOPHRO1\n"
_VERSION = 1
# magic, version, dim, classes, least, most, quarters, spare, kinds, seed, documents, stride, bytes in all
_HEADER = struct.Struct("<8sIIIBBBB4H4xQQQQ")
cdef uint64_t _CHECKSUM_KEY = 0x534F50485F524F31

cdef enum:
    _ALIGN = 64
    _CHECKSUM = 16
    _MOST_CLASSES = 1 << 16
    _MOST_EPOCHS = 10_000


cdef void *_aligned(size_t size) except NULL:
    """A zeroed block at a multiple of 64 bytes, the caller's to free()."""
    cdef void *block = NULL
    if posix_memalign(&block, _ALIGN, size if size else 1):
        raise MemoryError(f"no memory for {size} bytes of weights")
    memset(block, 0, size)
    return block


cdef size_t _up(size_t n, size_t step) noexcept nogil:
    return (n + step - 1) // step * step


cdef object _as_text(object text):
    """What features are read from: a text that is not ASCII in its normal form."""
    text = utf8_source(text)
    return text if isinstance(text, bytes) or text.isascii() else normalise(text)


@cython.final
cdef class LexicalEncoder:
    """Turns texts into sparse vectors of `dim` signed positions.

    Features are words, pairs of neighbours (with the edges of the text), pairs that skip a word, and character
    n-grams of `grams` (least, most) code points inside words with edge marks; `kinds` are their weights in that
    order. `idf_power` (0 to 1 in quarters) is the power of the inverse document frequency that each is weighed
    by: log2((2N + 2) / (2 df + 1)) bits, df counted in 65,536 hashed buckets. A feature that was never observed
    has weight only in the norm, which is one for each text.

    ASCII letters are folded, other text is read in its normal form. At most 4,096 features are taken of a text.
    `observe` is not thread-safe; everything else is, once observing is over.

    Example::

        >>> encoder = LexicalEncoder()
        >>> encoder.observe(["turn the light on", "turn it off"])
        >>> encoder.documents, [text for text, kind, position, value in encoder.terms("turn on")][:3]
        (2, ['<t', 'tu', '<tu'])
    """

    def __cinit__(self, dim=10_000, *, seed=0, grams=(2, 4), kinds=(0.95, 1.55, 1.2, 0.84), idf_power=0.25):
        check_dim(dim)
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"seed must be in 0 .. 2**64 - 1, got {seed}")
        least, most = grams
        if not 1 <= least <= most <= SOPHIA_LEXICAL_MOST:
            raise ValueError(f"grams must be (least, most) with 1 <= least <= most <= {SOPHIA_LEXICAL_MOST}, "
                             f"got {grams!r}")
        if len(kinds) != SOPHIA_LEX_KINDS or not all(0 <= weight <= 16 for weight in kinds):
            raise ValueError(f"kinds must be {SOPHIA_LEX_KINDS} weights from 0 to 16, for {', '.join(KINDS)}; "
                             f"got {kinds!r}")
        if idf_power * 4 not in (0, 1, 2, 3, 4):
            raise ValueError(f"idf_power must be 0, 0.25, 0.5, 0.75 or 1, got {idf_power!r}")
        self._set_up(dim, seed, least, most, int(idf_power * 4),
                     [int(weight * SOPHIA_RO_KIND_ONE + 0.5) for weight in kinds])
        self.frequencies = <uint32_t *>calloc(SOPHIA_RO_BUCKETS, sizeof(uint32_t))
        if self.frequencies == NULL:
            raise MemoryError("no memory for the document frequencies")
        self._freeze()

    def __dealloc__(self):
        free(self.idf)
        free(self.frequencies)

    def _set_up(self, uint32_t dim, uint64_t seed, uint32_t least, uint32_t most, unsigned quarters, kinds):
        cdef int kind
        sophia_log2_init()
        free(self.idf)
        self.idf = <uint16_t *>calloc(SOPHIA_RO_BUCKETS, sizeof(uint16_t))
        if self.idf == NULL:
            raise MemoryError("no memory for the table of weights")
        self.plan.idf = self.idf
        self.plan.dim = dim
        self.plan.lexical = sophia_lexical_plan_of(seed, least, most)
        for kind in range(SOPHIA_LEX_KINDS):
            self.plan.kinds[kind] = kinds[kind]
        self.seed = seed
        self.quarters = quarters

    cdef void _freeze(self) noexcept nogil:
        """The table of weights from the frequencies."""
        cdef uint32_t bucket
        self.plan.unseen = sophia_ro_idf(self.documents, 0, self.quarters)
        for bucket in range(SOPHIA_RO_BUCKETS):
            self.idf[bucket] = 0 if self.frequencies[bucket] == 0 else sophia_ro_idf(
                self.documents, self.frequencies[bucket], self.quarters
            )

    @property
    def dim(self):
        """Positions of a sparse vector."""
        return self.plan.dim

    def observe(self, texts):
        """Counts the texts' features. Vectors made before are those of other weights. About 2 us a text."""
        cdef list sources
        cdef list kept = []
        cdef sophia_lexical *features
        cdef uint32_t *last
        cdef uint32_t text = 0, i, bucket
        cdef Py_ssize_t size = 0
        cdef const unsigned char *data
        if isinstance(texts, (str, bytes)):
            raise TypeError("observe takes many texts; put one into a list")
        if self.frequencies == NULL:
            raise ValueError("this encoder belongs to a trained readout, whose weights rest on its frequencies; "
                             "make a new one to observe other texts")
        sources = [_as_text(each) for each in texts]
        features = <sophia_lexical *>malloc(sizeof(sophia_lexical))
        last = <uint32_t *>calloc(SOPHIA_RO_BUCKETS, sizeof(uint32_t))  # the last text of each bucket
        try:
            if features == NULL or last == NULL:
                raise MemoryError("no memory to count features")
            for source in sources:
                data = utf8_of(source, &size)
                text += 1
                with nogil:
                    if sophia_lexical_extract(data, <size_t>size, &self.plan.lexical, features) < 0:
                        features.count = 0
                    for i in range(features.count):
                        bucket = sophia_ro_bucket(features.entries[i].hash)
                        if last[bucket] != text:
                            last[bucket] = text
                            self.frequencies[bucket] += 1
            self.documents += text
            self._freeze()
        finally:
            free(features)
            free(last)

    def terms(self, text):
        """The sparse vector of a text, readable: (text of the feature with its edge marks, kind, position, value).

        Values are float, their squares sum to one or less (unknown features are left out). A feature that is
        a pair shows the text from its first to its last word.
        """
        cdef Py_ssize_t size = 0
        cdef sophia_ro_work *work
        cdef const sophia_lexeme *entry
        cdef uint32_t i
        source = _as_text(text)
        cdef const unsigned char *data = utf8_of(source, &size)
        raw = source if isinstance(source, bytes) else source.encode()
        work = <sophia_ro_work *>malloc(sizeof(sophia_ro_work))
        if work == NULL:
            raise MemoryError("no memory for a text's features")
        try:
            if sophia_lexical_extract(data, <size_t>size, &self.plan.lexical, &work.features) == (
                SOPHIA_FEATURES_TOO_LONG
            ):
                raise ValueError("text: longer than 4 GiB")
            sophia_ro_weigh(&self.plan, &work.features, &work.terms)
            found = []
            for i in range(work.terms.known):
                entry = &work.features.entries[work.terms.lexeme[i]]
                found.append((_shown(raw, entry), KINDS[entry.kind], work.terms.position[i],
                              work.terms.value[i] / <double>SOPHIA_RO_UNIT))
            return found
        finally:
            free(work)


cdef str _shown(bytes raw, const sophia_lexeme *entry):
    """The piece of text that a feature was read from, edge marks included."""
    text = raw[entry.start:entry.start + entry.size].decode("utf-8", "replace")
    if entry.edges & 1:
        text = "<" + text
    return text + ">" if entry.edges & 2 else text


@cython.final
cdef class Examples:
    """Labelled texts as sparse vectors, ready to train on. Immutable.

    `labels` are class numbers from 0 on. The vectors are those of the encoder as it is now: observe first. About
    600 bytes and 2 us a text; raises ValueError for lengths that differ.

    Example::

        >>> encoder = LexicalEncoder()
        >>> encoder.observe(["on", "off"])
        >>> len(Examples(encoder, ["on", "off"], [0, 1]))
        2
    """

    def __cinit__(self, LexicalEncoder encoder not None, texts, labels):
        cdef Py_ssize_t size = 0, text
        cdef uint64_t terms = 0, room = 0
        cdef sophia_ro_work *work
        cdef const unsigned char *data
        sources = [_as_text(each) for each in texts]
        numbers = list(labels)
        if len(sources) != len(numbers):
            raise ValueError(f"{len(sources)} texts and {len(numbers)} labels; each text needs one")
        if len(sources) >= 1 << 31:
            raise ValueError(f"{len(sources)} texts are more than 2^31 - 1")
        self.encoder = encoder
        self.count = len(sources)
        self.offsets = <uint64_t *>calloc(self.count + 1, sizeof(uint64_t))
        self.labels = <uint32_t *>calloc(self.count + 1, sizeof(uint32_t))
        work = <sophia_ro_work *>malloc(sizeof(sophia_ro_work))
        try:
            if self.offsets == NULL or self.labels == NULL or work == NULL:
                raise MemoryError(f"no memory for {self.count} examples")
            for text in range(self.count):
                if not 0 <= numbers[text] < _MOST_CLASSES:
                    raise ValueError(f"label {numbers[text]!r} of text {text} is not in 0 .. {_MOST_CLASSES - 1}")
                self.labels[text] = numbers[text]
                self.classes = max(self.classes, self.labels[text] + 1)
                data = utf8_of(sources[text], &size)
                with nogil:
                    if sophia_lexical_extract(data, <size_t>size, &encoder.plan.lexical, &work.features) < 0:
                        work.features.count = 0
                    sophia_ro_weigh(&encoder.plan, &work.features, &work.terms)
                if terms + work.terms.known > room:
                    room = 2 * room + work.terms.known + 1024
                    self._reserve(room)
                memcpy(self.positions + terms, work.terms.position, work.terms.known * sizeof(uint32_t))
                memcpy(self.values + terms, work.terms.value, work.terms.known * sizeof(int16_t))
                terms += work.terms.known
                self.offsets[text + 1] = terms
        finally:
            free(work)

    def __dealloc__(self):
        free(self.offsets)
        free(self.positions)
        free(self.values)
        free(self.labels)

    cdef int _reserve(self, uint64_t terms) except -1:
        cdef void *grown = realloc(self.positions, terms * sizeof(uint32_t))
        if grown == NULL:
            raise MemoryError(f"no memory for {terms} terms")
        self.positions = <uint32_t *>grown
        grown = realloc(self.values, terms * sizeof(int16_t))
        if grown == NULL:
            raise MemoryError(f"no memory for {terms} terms")
        self.values = <int16_t *>grown
        return 0

    def __len__(self):
        return self.count


@cython.final
cdef class Weights:
    """The float32 weights of a readout while it is trained: softmax regression by row-wise Adagrad.

    Starts at zero. `train` releases the GIL; one thread at a time. 6.5 MB for 10,000 positions and 150 classes.

    Example::

        >>> encoder = LexicalEncoder()
        >>> texts = ["turn the light on", "light on please", "what time is it", "tell me the time"]
        >>> encoder.observe(texts)
        >>> weights = Weights(encoder, 2)
        >>> weights.train(Examples(encoder, texts, [0, 0, 1, 1]), epochs=20)
        >>> Readout([weights]).best_of("the light")[0]
        0
    """

    def __cinit__(self, LexicalEncoder encoder not None, classes):
        if not 1 <= classes <= _MOST_CLASSES:
            raise ValueError(f"classes must be in 1 .. {_MOST_CLASSES}, got {classes}")
        cdef size_t rows = encoder.plan.dim + 1
        self.encoder = encoder
        self.classes = classes
        self.stride = _up(self.classes, 16)
        self.data = <float *>_aligned(rows * self.stride * sizeof(float))
        self.squares = <float *>_aligned(rows * sizeof(float))
        cdef size_t row
        for row in range(rows):
            self.squares[row] = 1e-3

    def __dealloc__(self):
        free(self.data)
        free(self.squares)

    def train(self, Examples examples not None, *, epochs=30, dropout=0.68, smoothing=0.2, rate=0.244, seed=0):
        """Runs `epochs` passes over the examples, shuffled by `seed`. About 1.5 us an example and pass.

        `dropout`: share of features left out each time an example is seen. `smoothing`: share of the target that
        is spread over all classes. `rate`: step size. Same examples, settings and seed, same weights.
        """
        if examples.encoder is not self.encoder:
            raise ValueError("the examples were made by another encoder than these weights")
        if examples.classes > self.classes:
            raise ValueError(f"the examples have label {examples.classes - 1}, the weights {self.classes} classes")
        if not 0 <= epochs <= _MOST_EPOCHS:
            raise ValueError(f"epochs must be in 0 .. {_MOST_EPOCHS}, got {epochs}")
        if not (0 <= dropout < 1 and 0 <= smoothing < 1 and 0 < rate <= 100):
            raise ValueError(f"dropout {dropout} and smoothing {smoothing} must be in 0 .. 1 (1 not included), "
                             f"rate {rate} in 0 .. 100 (0 not included)")
        cdef sophia_ro_training training
        cdef sophia_ro_examples given
        cdef size_t count = <size_t>examples.count
        cdef uint64_t key = sophia_mix64(<uint64_t>(seed & 0xFFFFFFFFFFFFFFFF) ^ SOPHIA_MIX_C), state
        cdef int epoch, passes = epochs
        cdef size_t i, j
        cdef uint32_t held
        training.classes = self.classes
        training.stride = self.stride
        training.smoothing = smoothing
        training.rate = rate
        training.dropout = <uint32_t>(dropout * 65536)
        given.offsets = examples.offsets
        given.positions = examples.positions
        given.values = examples.values
        given.labels = examples.labels
        cdef uint32_t *order = <uint32_t *>malloc(count * sizeof(uint32_t) + 1)
        cdef sophia_ro_scratch *scratch = <sophia_ro_scratch *>malloc(sizeof(sophia_ro_scratch))
        cdef float *scores = NULL
        try:
            if order == NULL or scratch == NULL:
                raise MemoryError("no memory for a training pass")
            scores = <float *>_aligned(2 * self.stride * sizeof(float))
            with nogil:
                for i in range(count):
                    order[i] = <uint32_t>i
                for epoch in range(passes):
                    state = sophia_mix64(key + <uint64_t>epoch)
                    for i in range(count - 1, 0, -1):       # Fisher and Yates
                        state = sophia_mix64(state + i)
                        j = state % (i + 1)
                        held = order[i]
                        order[i] = order[j]
                        order[j] = held
                    sophia_ro_epoch(&cpu.active.ro, &training, &given, order, count, state, self.encoder.plan.dim,
                                    self.data, self.squares, scores, scores + self.stride, scratch)
        finally:
            free(order)
            free(scratch)
            free(scores)


@cython.final
cdef class Readout:
    """The scores of classes for texts. Immutable; any number of threads may use one.

    Made of one or more trained :class:`Weights` of one encoder, whose mean it is, rounded to int8 with a scale a
    class. Scores are exact: `score` equals the sum of what `explain` lists.

    `best_of` takes about 1.5 us for a text of 40 bytes and 150 classes. See :class:`Weights` for an example.
    """

    def __cinit__(self, weights=None):
        if weights is None:
            return
        parts = list(weights)
        if not parts:
            raise ValueError("a readout needs at least one Weights")
        self._make(parts)

    def __dealloc__(self):
        free(self.spare)

    def _make(self, list parts):
        cdef Weights first = parts[0], part
        cdef size_t rows = first.encoder.plan.dim + 1, stride = _up(first.classes, SOPHIA_RO_LANES), row, c, size
        cdef double largest, scale, mean
        cdef double *sums
        cdef char *out
        cdef size_t count = len(parts)
        for part in parts:
            if part.encoder is not first.encoder or part.classes != first.classes:
                raise ValueError("all Weights of a readout must have one encoder and one number of classes")
        places, size = _places(first.encoder.plan.dim, first.classes, stride)
        blob = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
        out = PyBytes_AS_STRING(blob)
        memset(out, 0, size)
        header = _HEADER.pack(
            _MAGIC, _VERSION, first.encoder.plan.dim, first.classes, first.encoder.plan.lexical.least,
            first.encoder.plan.lexical.most, first.encoder.quarters, 0,
            *[first.encoder.plan.kinds[kind] for kind in range(SOPHIA_LEX_KINDS)],
            first.encoder.seed, first.encoder.documents, stride, size,
        )
        memcpy(out, PyBytes_AS_STRING(header), <size_t>_HEADER.size)
        idf, scales, cells = places
        memcpy(out + <size_t>idf, first.encoder.idf, SOPHIA_RO_BUCKETS * sizeof(uint16_t))
        sums = <double *>_aligned(rows * first.classes * sizeof(double))
        try:
            for part in parts:
                for row in range(rows):
                    for c in range(first.classes):
                        sums[row * first.classes + c] += part.data[row * part.stride + c]
            for c in range(first.classes):
                largest = 0.0
                for row in range(rows):
                    mean = sums[row * first.classes + c] / <double>count
                    largest = max(largest, mean if mean >= 0.0 else -mean)
                scale = sophia_ro_scale(largest)
                (<double *>(out + <size_t>scales))[c] = scale / SOPHIA_RO_UNIT
                for row in range(rows):
                    mean = sums[row * first.classes + c] / <double>count / scale
                    (<int8_t *>(out + <size_t>cells))[row * stride + c] = <int8_t>(
                        <int>(mean + 0.5) if mean >= 0.0 else -<int>(0.5 - mean)
                    )
        finally:
            free(sums)
        digest = _checksum(out, size - _CHECKSUM)
        memcpy(out + size - _CHECKSUM, PyBytes_AS_STRING(digest), _CHECKSUM)
        self._open(blob)

    def _open(self, blob):
        """Takes a dump whose bytes were checked or made here."""
        cdef Block block
        cdef const char *data
        open_block(&block, blob, "readout", U8, 1, 1, 1, False)
        try:
            data = block.data
        finally:
            close_block(&block)
        (_, _, dim, classes, least, most, quarters, _, a, b, c, d, seed, documents, stride, _) = _HEADER.unpack_from(
            memoryview(blob)
        )
        (idf, scales, cells), _ = _places(dim, classes, stride)
        cdef LexicalEncoder encoder = LexicalEncoder.__new__(LexicalEncoder, dim, seed=seed)
        free(encoder.frequencies)
        encoder.frequencies = NULL
        encoder._set_up(dim, seed, least, most, quarters, (a, b, c, d))
        memcpy(encoder.idf, data + <size_t>idf, SOPHIA_RO_BUCKETS * sizeof(uint16_t))
        encoder.documents = documents
        encoder.plan.unseen = sophia_ro_idf(documents, 0, quarters)
        self.encoder = encoder
        self.classes = classes
        self.stride = stride
        self.scales = <const double *>(data + <size_t>scales)
        self.weights = <const int8_t *>(data + <size_t>cells)
        self.blob = blob

    @classmethod
    def load(cls, data):
        """The readout of a dump: bytes, or any buffer that starts at a multiple of 8 bytes, such as a mapped file.

        The buffer is used where it is and must not change. Raises StoreCorrupt for bytes that are no dump or were
        damaged, StoreVersionError for a newer format.
        """
        cdef Block block
        cdef Readout made = cls.__new__(cls)
        view = memoryview(data)
        if view.nbytes < _HEADER.size + _CHECKSUM or bytes(view[:8]) != _MAGIC:
            raise StoreCorrupt(f"not a readout: {view.nbytes} bytes that do not begin with its magic")
        header = _HEADER.unpack_from(view)
        if header[1] > _VERSION:
            raise StoreVersionError(f"a readout of format {header[1]}; this version reads up to {_VERSION}")
        open_block(&block, data, "readout", U8, 1, 1, 8, False)
        try:
            if bytes(view[view.nbytes - _CHECKSUM:]) != _checksum(block.data, view.nbytes - _CHECKSUM):
                raise StoreCorrupt("the readout is damaged: its checksum is another one")
        finally:
            close_block(&block)
        (_, _, dim, classes, least, most, quarters, _, *_, stride, size) = header
        if not (
            64 <= dim < 1 << 31 and 1 <= classes <= _MOST_CLASSES and stride == _up(classes, SOPHIA_RO_LANES)
            and 1 <= least <= most <= SOPHIA_LEXICAL_MOST and quarters <= 4 and size == view.nbytes
            and _places(dim, classes, stride)[1] == size
        ):
            raise StoreCorrupt("the readout's header does not fit its size")
        made._open(data)
        return made

    def dump(self):
        """The readout as bytes: magic, version, shape, document frequencies' weights, scales, weights, checksum."""
        return bytes(self.blob)

    cdef sophia_ro_work *take(self) noexcept nogil:
        cdef void *spare = sophia_spare_take(&self.spare)
        # the scores stand behind the work
        return <sophia_ro_work *>(
            spare if spare != NULL else malloc(_up(sizeof(sophia_ro_work), 64) + self.stride * sizeof(int32_t))
        )

    cdef void give(self, sophia_ro_work *work) noexcept nogil:
        free(sophia_spare_put(&self.spare, work))

    cdef void _terms(self, const unsigned char *text, size_t size, sophia_ro_work *work) noexcept nogil:
        if sophia_lexical_extract(text, size, &self.encoder.plan.lexical, &work.features) < 0:
            work.features.count = 0
        sophia_ro_weigh(&self.encoder.plan, &work.features, &work.terms)

    cdef int32_t *_sums(self, sophia_ro_work *work) noexcept nogil:
        cdef int32_t *sums = <int32_t *>(<char *>work + _up(sizeof(sophia_ro_work), 64))
        cpu.active.ro.score_i8(
            self.weights, self.stride, work.terms.position, work.terms.value, work.terms.count, sums
        )
        return sums

    cdef int judge(self, const unsigned char *text, size_t size, sophia_judgement *out) noexcept nogil:
        cdef sophia_ro_work *work = self.take()
        cdef const int32_t *sums
        cdef double score
        cdef uint32_t c
        memset(out, 0, sizeof(sophia_judgement))
        if work == NULL:
            return -1
        self._terms(text, size, work)
        out.known = work.terms.known
        out.seen = work.terms.seen
        if out.seen:
            sums = self._sums(work)
            out.best_score = sums[0] * self.scales[0]
            out.second_score = -1e308
            for c in range(1, self.classes):
                score = sums[c] * self.scales[c]
                if score > out.second_score:
                    if score > out.best_score:
                        out.second, out.second_score = out.best, out.best_score
                        out.best, out.best_score = c, score
                    else:
                        out.second, out.second_score = c, score
            if self.classes == 1:
                out.second_score = out.best_score
        self.give(work)
        return 0

    def best_of(self, text):
        """(class, score, runner-up, its score, known features, features); a text without features has 0 of them."""
        cdef Py_ssize_t size = 0
        cdef sophia_judgement found
        source = _as_text(text)
        cdef const unsigned char *data = utf8_of(source, &size)
        with nogil:
            code = self.judge(data, <size_t>size, &found)
        if code:
            raise MemoryError("no memory for a text's features")
        return found.best, found.best_score, found.second, found.second_score, found.known, found.seen

    def scores(self, texts):
        """The scores of all classes for many texts: a list of lists of float, one for each text."""
        cdef Py_ssize_t size = 0
        cdef sophia_ro_work *work
        cdef const int32_t *sums
        cdef const unsigned char *data
        cdef uint32_t c
        if isinstance(texts, (str, bytes)):
            raise TypeError("scores takes many texts; put one into a list")
        found = []
        for text in texts:
            source = _as_text(text)
            data = utf8_of(source, &size)
            work = self.take()
            if work == NULL:
                raise MemoryError("no memory for a text's features")
            with nogil:
                self._terms(data, <size_t>size, work)
                sums = self._sums(work)
            found.append([sums[c] * self.scales[c] for c in range(self.classes)])
            self.give(work)
        return found

    def explain(self, text, number):
        """What each feature of the text adds to the score of class `number`, and the bias that every text has.

        Returns ([(text of the feature, kind, contribution), ...] in the order of the text, bias). Their sum is the
        score, exactly.
        """
        cdef Py_ssize_t size = 0
        cdef sophia_ro_work *work
        cdef const sophia_lexeme *entry
        cdef uint32_t i, c
        if not 0 <= number < self.classes:
            raise ValueError(f"class {number} is not in 0 .. {self.classes - 1}")
        c = number
        source = _as_text(text)
        cdef const unsigned char *data = utf8_of(source, &size)
        raw = source if isinstance(source, bytes) else source.encode()
        work = self.take()
        if work == NULL:
            raise MemoryError("no memory for a text's features")
        try:
            self._terms(data, <size_t>size, work)
            parts = []
            for i in range(work.terms.known):
                entry = &work.features.entries[work.terms.lexeme[i]]
                parts.append((
                    _shown(raw, entry), KINDS[entry.kind],
                    <int>work.terms.value[i] * <int>self.weights[work.terms.position[i] * self.stride + c]
                    * self.scales[c],
                ))
            bias = <int>SOPHIA_RO_BIAS * <int>self.weights[self.encoder.plan.dim * self.stride + c] * self.scales[c]
            return parts, bias
        finally:
            self.give(work)


def _places(size_t dim, size_t classes, size_t stride):
    """Where the sections of a dump begin (idf, scales, weights), and its size."""
    cdef size_t idf = _up(<size_t>_HEADER.size, _ALIGN)
    cdef size_t scales = _up(idf + SOPHIA_RO_BUCKETS * sizeof(uint16_t), _ALIGN)
    cdef size_t weights = _up(scales + classes * sizeof(double), _ALIGN)
    return (idf, scales, weights), weights + (dim + 1) * stride + _CHECKSUM


cdef bytes _checksum(const char *data, size_t size):
    cdef sophia_hash128 digest = sophia_hash_bytes(data, size, _CHECKSUM_KEY)
    return int(digest.low).to_bytes(8, "little") + int(digest.high).to_bytes(8, "little")
