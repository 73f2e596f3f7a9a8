"""A linear int8 readout: from a text, or a hypervector, to the scores of classes in one call.

A :class:`Readout` is the rounded mean of trained :class:`~sophia._core.training.Weights`, immutable and shared by
threads. Its dump is what it works on: a mapped file is used where it is. The method is in include/readout.h.
"""

import struct

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from sophia._core cimport cpu
from sophia._core.buffer cimport F64, U8, Block, close_block, open_block, overlap
from sophia._core.cpu cimport sophia_ro_best
from sophia._core.idf cimport utf8_of
from sophia._core.lexical cimport (
    SOPHIA_LEX_KINDS,
    SOPHIA_LEXICAL_MAX,
    SOPHIA_RO_BIAS,
    SOPHIA_RO_BUCKETS,
    SOPHIA_RO_GRAM,
    SOPHIA_RO_UNIT,
    LexicalEncoder,
    encoder_with,
    shown,
    sophia_lexeme,
    sophia_ro_work,
    source_of,
    terms_of,
)
from sophia._core.rows cimport Rows, close_rows, new_array, open_rows, refuse_padding
from sophia._core.training cimport SOPHIA_PAGES_LEAST, Weights, round_up, sophia_pages_give, sophia_pages_take, zeros
from sophia._core.vector cimport SOPHIA_BSC, SOPHIA_LEAST_DIM, SOPHIA_MOST_DIM

from sophia._core.lexical import KINDS as _KINDS
from sophia._core.training import MOST_CLASSES as _MOST_CLASSES
from sophia.errors import ShapeError, StoreCorrupt, StoreVersionError


cdef extern from "hash.h" nogil:
    ctypedef struct sophia_hash128:
        uint64_t low
        uint64_t high
    sophia_hash128 sophia_hash_bytes(const void *data, size_t size, uint64_t key)


cdef extern from "ro_kernels.h" nogil:
    size_t sophia_ro_stride(size_t classes)


cdef extern from "readout.h" nogil:
    double sophia_ro_scale(double largest)
    void sophia_ro_row(const unsigned char *row, size_t dim, int packed, int16_t *values)


cdef extern from "workspace.h" nogil:
    void *sophia_spare_take(void **spare)
    void *sophia_spare_put(void **spare, void *mine)


_MAGIC = b"SOPHRO1\n"
_VERSION = 1
# magic, version, dim, classes, least, most, quarters, over (texts or rows), kinds, seed, documents, stride, bytes
_HEADER = struct.Struct("<8sIIIBBBB4H4xQQQQ")
cdef uint64_t _CHECKSUM_KEY = 0x534F50485F524F31

cdef enum:
    _ALIGN = 64
    _CHECKSUM = 16
    _TEXTS = 0
    _ROWS = 1
    _BLOCK = 4096           # positions of a row that are summed in int32 (what ro_kernels.h allows)


@cython.final
cdef class Readout:
    """The scores of classes for texts or hypervectors. Immutable; any number of threads may use one.

    Made of one or more trained :class:`~sophia._core.training.Weights` over the same, whose mean it is, rounded to
    int8 with a scale a class. Scores are exact: a score equals the sum of what `explain` lists.

    `best_of` takes about 1.3 us for a text of 40 bytes and 150 classes. See
    :class:`~sophia._core.training.Weights` for an example.
    """

    def __cinit__(self, weights=None):
        if weights is None:
            return                          # load() fills it
        parts = list(weights)
        if not parts:
            raise ValueError("a readout needs at least one Weights")
        for part in parts:
            if not isinstance(part, Weights):
                raise TypeError(f"a readout is made of Weights, not of {type(part).__name__}")
        self.make(parts)

    def __dealloc__(self):
        free(self.spare)
        sophia_pages_give(self.table, (self.dim + 1) * self.stride)

    cdef int make(self, list parts) except -1:
        cdef Weights first = parts[0], part
        cdef LexicalEncoder encoder = first.encoder
        cdef size_t rows = first.dim + 1, classes = first.classes, row, c
        cdef size_t stride = sophia_ro_stride(classes), size
        cdef double mean, share = 1.0 / len(parts)
        cdef double *sums = NULL
        cdef double *largest
        cdef double *scales
        cdef int8_t *cells
        cdef char *out
        for part in parts:
            if part.encoder is not encoder or part.dim != first.dim or part.classes != classes:
                raise ValueError("all Weights of a readout must have one encoder or dimension, and one number of "
                                 "classes")
        (at_idf, at_scales, at_cells), size = _places(encoder is not None, first.dim, classes, stride)
        blob = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
        out = PyBytes_AS_STRING(blob)
        memset(out, 0, size)
        header = _HEADER.pack(_MAGIC, _VERSION, first.dim, classes, *_settings(encoder), stride, size)
        memcpy(out, PyBytes_AS_STRING(header), <size_t>_HEADER.size)
        if encoder is not None:
            memcpy(out + <size_t>at_idf, encoder.idf, SOPHIA_RO_BUCKETS * sizeof(uint16_t))
        scales = <double *>(out + <size_t>at_scales)
        cells = <int8_t *>(out + <size_t>at_cells)
        try:
            sums = <double *>zeros(2 * classes * sizeof(double))
            largest = sums + classes
            for row in range(rows):
                _mean_row(parts, row, classes, share, sums)
                for c in range(classes):
                    mean = sums[c] if sums[c] >= 0.0 else -sums[c]
                    largest[c] = mean if mean > largest[c] else largest[c]
            for c in range(classes):            # weights are finite: Adagrad's steps are bounded
                largest[c] = sophia_ro_scale(largest[c])
                scales[c] = largest[c] / SOPHIA_RO_UNIT
            for row in range(rows):
                _mean_row(parts, row, classes, share, sums)
                for c in range(classes):
                    mean = sums[c] / largest[c]
                    cells[row * stride + c] = <int8_t>(<int>(mean + 0.5) if mean >= 0.0 else -<int>(0.5 - mean))
        finally:
            sophia_pages_give(sums, 2 * classes * sizeof(double))
        digest = _checksum(out, size - _CHECKSUM)
        memcpy(out + size - _CHECKSUM, PyBytes_AS_STRING(digest), _CHECKSUM)
        self.open(blob)
        return 0

    cdef int open(self, object blob) except -1:
        """Takes a dump whose bytes were checked or made here."""
        cdef Block block
        cdef const char *data
        cdef uint16_t kinds[SOPHIA_LEX_KINDS]
        open_block(&block, blob, "readout", U8, 1, 1, 1, False)
        data = block.data
        close_block(&block)                 # `blob` stays ours: memory of an exporter does not move while it lives
        (_, _, dim, classes, least, most, quarters, over, *weights, seed, documents, stride, _) = _HEADER.unpack_from(
            memoryview(blob)
        )
        (idf, scales, cells), _ = _places(over == _TEXTS, dim, classes, stride)
        if over == _TEXTS:
            for number, weight in enumerate(weights):
                kinds[<int>number] = weight
            self.encoder = encoder_with(dim, seed, least, most, quarters, kinds,
                                        <const uint16_t *>(data + <size_t>idf), documents)
        self.dim = dim
        self.classes = classes
        self.stride = stride
        self.scales = <const double *>(data + <size_t>scales)
        self.cells = <const int8_t *>(data + <size_t>cells)
        cdef size_t bytes = (<size_t>dim + 1) * <size_t>stride
        if bytes >= SOPHIA_PAGES_LEAST:     # a text reads some forty rows of them, anywhere
            self.table = sophia_pages_take(bytes)
            if self.table == NULL:
                raise MemoryError(f"no memory for {bytes} bytes of weights")
            memcpy(self.table, self.cells, bytes)
            self.cells = <const int8_t *>self.table
        self.blob = blob
        return 0

    @classmethod
    def load(cls, data):
        """The readout of a dump: bytes, or any buffer that starts at a multiple of 8 bytes, such as a mapped file.

        The buffer is used where it is, held, and must not change; of large weights there is a copy in huge pages.
        Raises StoreCorrupt for bytes that are no dump or were damaged, StoreVersionError for a newer format, ShapeError
        for a buffer that is not aligned.
        """
        cdef Block block
        cdef Readout made = cls.__new__(cls)
        cdef uint32_t row
        view = memoryview(data)             # kept by the readout: what exports memory cannot free or move it
        open_block(&block, view, "readout", U8, 1, 1, 8, False)
        try:
            if view.nbytes < _HEADER.size + _CHECKSUM or bytes(view[:8]) != _MAGIC:
                raise StoreCorrupt(f"not a readout: {view.nbytes} bytes that do not begin with its magic")
            header = _HEADER.unpack_from(view)
            if header[1] > _VERSION:
                raise StoreVersionError(f"a readout of format {header[1]}; this version reads up to {_VERSION}")
            if bytes(view[view.nbytes - _CHECKSUM:]) != _checksum(block.data, view.nbytes - _CHECKSUM):
                raise StoreCorrupt("the readout is damaged: its checksum is another one")
            fault = _fault(header, view.nbytes)
            if fault:
                raise StoreCorrupt(f"the readout's header is wrong: {fault}")
            made.open(view)
            for row in range(made.classes):
                if not 0.0 < made.scales[row] < 1e12:   # far over what training reaches
                    raise StoreCorrupt(f"the readout's scale of class {row} is {made.scales[row]}")
        finally:
            close_block(&block)
        return made

    def dump(self):
        """The readout as bytes: magic, version, shape, weights of features, scales, weights of classes, checksum."""
        return self.blob if isinstance(self.blob, bytes) else bytes(self.blob)

    def weights(self, LexicalEncoder encoder=None, *, classes=None):
        """Weights that go on from this readout: for new examples, or new classes (more of them, starting at zero).

        `encoder`: this readout's own, or one that grew from it (:meth:`LexicalEncoder.grown
        <sophia._core.lexical.LexicalEncoder.grown>`). Columns that are not trained come back bit for bit when a
        readout is made of these weights. ValueError for another encoder, or fewer classes.
        """
        cdef LexicalEncoder mine = self.encoder
        cdef size_t row, c
        cdef float *to
        cdef const int8_t *cells
        if encoder is not None and (mine is None or not mine.like(encoder)):
            raise ValueError("encoder: not one that grew from this readout's own")
        number = self.classes if classes is None else classes
        if number < self.classes:
            raise ValueError(f"classes: {number}, but the readout has {self.classes}; a class cannot be taken away")
        source = encoder if encoder is not None else mine if mine is not None else self.dim
        cdef Weights made = Weights(source, number)
        for row in range(self.dim + 1):
            to = made.data + row * made.stride
            cells = self.cells + row * self.stride
            for c in range(self.classes):
                to[c] = <float>(cells[c] * (self.scales[c] * SOPHIA_RO_UNIT))   # 7 and 16 bits: exact
        return made

    def without(self, number):
        """A readout that lacks one class. Those behind it move up by one; all score as they did, bit for bit."""
        if not 0 <= number < self.classes:
            raise ValueError(f"class {number} is not in 0 .. {self.classes - 1}")
        if self.classes == 1:
            raise ValueError("the only class of a readout cannot be taken away")
        cdef Weights whole = self.weights()
        cdef Weights less = Weights(whole.encoder if whole.encoder is not None else whole.dim, self.classes - 1)
        cdef size_t row, before = number, behind = self.classes - 1 - before
        cdef const float *given
        cdef float *kept
        for row in range(self.dim + 1):
            given = whole.data + row * whole.stride
            kept = less.data + row * less.stride
            memcpy(kept, given, before * sizeof(float))
            memcpy(kept + before, given + before + 1, behind * sizeof(float))
        return Readout([less])

    cdef int need_texts(self) except -1:
        if self.encoder is None:
            raise TypeError("this readout is over hypervectors; use score_rows")
        return 0

    cdef sophia_ro_work *take(self) noexcept nogil:
        cdef void *spare = sophia_spare_take(&self.spare)
        # the scores stand behind the work
        return <sophia_ro_work *>(
            spare if spare != NULL else malloc(round_up(sizeof(sophia_ro_work), 64) + self.stride * sizeof(int32_t))
        )

    cdef void give(self, sophia_ro_work *work) noexcept nogil:
        free(sophia_spare_put(&self.spare, work))

    cdef int32_t *total(self, sophia_ro_work *work) noexcept nogil:
        cdef int32_t *sums = <int32_t *>(<char *>work + round_up(sizeof(sophia_ro_work), 64))
        cpu.active.ro.score_i8(
            self.cells, self.stride, work.terms.position, work.terms.value, work.terms.count, sums
        )
        return sums

    cdef void pick(self, const int32_t *sums, sophia_judgement *out) noexcept nogil:
        cdef sophia_ro_best best = cpu.active.ro.best(sums, self.scales, self.classes)
        out.best, out.best_score = best.first, best.first_score
        out.second, out.second_score = best.second, best.second_score

    cdef int judge(self, const unsigned char *text, size_t size, sophia_judgement *out) noexcept nogil:
        cdef sophia_ro_work *work = self.take()
        memset(out, 0, sizeof(sophia_judgement))
        if work == NULL:
            return -1
        terms_of(&self.encoder.plan, text, size, NULL, work)
        out.known = work.terms.known
        out.seen = work.terms.seen
        if out.seen:
            self.pick(self.total(work), out)
        self.give(work)
        return 0

    def best_of(self, text):
        """(class, score, runner-up, its score, known features, features); a text without features has 0 of them.

        Classes with equal scores come in the order of their numbers.
        """
        cdef Py_ssize_t size = 0
        cdef sophia_judgement found
        self.need_texts()
        source = source_of(text)
        cdef const unsigned char *data = utf8_of(source, &size)
        with nogil:
            code = self.judge(data, <size_t>size, &found)
        if code:
            raise MemoryError("no memory for a text's features")
        return found.best, found.best_score, found.second, found.second_score, found.known, found.seen

    def best_of_many(self, texts):
        """`best_of` of each text, in one call that holds the GIL only for reading the texts and writing the list."""
        cdef Py_ssize_t i, count, size = 0
        cdef const unsigned char **data = NULL
        cdef size_t *sizes = NULL
        cdef sophia_judgement *found = NULL
        cdef int code = 0
        self.need_texts()
        if isinstance(texts, (str, bytes)):
            raise TypeError("best_of_many takes many texts; put one into a list")
        sources = [source_of(each) for each in texts]
        count = len(sources)
        try:
            data = <const unsigned char **>malloc(count * sizeof(void *) + 1)
            sizes = <size_t *>malloc(count * sizeof(size_t) + 1)
            found = <sophia_judgement *>malloc(count * sizeof(sophia_judgement) + 1)
            if data == NULL or sizes == NULL or found == NULL:
                raise MemoryError(f"no memory for {count} results")
            for i in range(count):
                data[i] = utf8_of(sources[i], &size)
                sizes[i] = <size_t>size
            with nogil:
                for i in range(count):
                    code |= self.judge(data[i], sizes[i], &found[i])
            if code:
                raise MemoryError("no memory for a text's features")
            return [
                (found[i].best, found[i].best_score, found[i].second, found[i].second_score, found[i].known,
                 found[i].seen)
                for i in range(count)
            ]
        finally:
            free(data)
            free(sizes)
            free(found)

    def scores(self, texts):
        """The scores of all classes for many texts: a list of lists of float, one for each text."""
        cdef Py_ssize_t size = 0
        cdef sophia_ro_work *work
        cdef const int32_t *sums
        cdef const unsigned char *data
        cdef uint32_t c
        self.need_texts()
        if isinstance(texts, (str, bytes)):
            raise TypeError("scores takes many texts; put one into a list")
        found = []
        for text in texts:
            source = source_of(text)
            data = utf8_of(source, &size)
            work = self.take()
            if work == NULL:
                raise MemoryError("no memory for a text's features")
            with nogil:
                terms_of(&self.encoder.plan, data, <size_t>size, NULL, work)
                sums = self.total(work)
            found.append([sums[c] * self.scales[c] for c in range(self.classes)])
            self.give(work)
        return found

    def score_rows(self, rows, *, out=None):
        """The scores of all classes for hypervectors: numpy float64[n, classes].

        `rows` is a matrix, a Hypervector or a list of them, of this readout's dimension: packed BSC rows, or int8
        of any values. `out` takes the result. Releases the GIL. About 100 us a row of 10,000 and 150 classes, less
        by class. Raises ShapeError for another dimension.
        """
        cdef Rows given
        cdef Block block
        cdef int code = 0
        if self.encoder is not None:
            raise TypeError("this readout is over texts; use scores")
        memset(&block, 0, sizeof(Block))
        open_rows(&given, rows, "rows", self.dim)
        try:
            if given.dim != self.dim:
                raise ShapeError(f"rows: dim={given.dim}, the readout has dim={self.dim}")
            if given.model == SOPHIA_BSC and given.block.held:
                refuse_padding(&given, "rows")
            result = new_array([given.n, self.classes], "float64") if out is None else out
            open_block(&block, result, "out", F64, 2, 2, 8, True)
            if <size_t>block.rows != given.n or <size_t>block.columns != self.classes:
                raise ShapeError(f"out: shape [{block.rows}, {block.columns}] where [{given.n}, {self.classes}] is "
                                 "needed")
            if overlap(given.data, given.n * given.stride, block.data, <size_t>block.view.len):
                raise ValueError("out: overlaps the rows; write the scores into another array")
            with nogil:
                code = _score_rows(self, &given, <double *>block.data)
            if code:
                raise MemoryError(f"no memory for a row of {self.dim} values")
            return result
        finally:
            close_block(&block)
            close_rows(&given)

    def explain(self, text, number):
        """What each feature of the text adds to the score of class `number`, and the bias that every text has.

        Returns ([(text of the feature, kind, contribution), ...] in the order of the text, bias). Their sum is the
        score, exactly.
        """
        cdef Py_ssize_t size = 0
        cdef sophia_ro_work *work
        cdef sophia_lexeme *places
        cdef uint32_t i, c
        self.need_texts()
        if not 0 <= number < self.classes:
            raise ValueError(f"class {number} is not in 0 .. {self.classes - 1}")
        c = number
        source = source_of(text)
        cdef const unsigned char *data = utf8_of(source, &size)
        raw = source if isinstance(source, bytes) else source.encode()
        work = self.take()
        places = <sophia_lexeme *>malloc(SOPHIA_LEXICAL_MAX * sizeof(sophia_lexeme))
        try:
            if work == NULL or places == NULL:
                raise MemoryError("no memory for a text's features")
            terms_of(&self.encoder.plan, data, <size_t>size, places, work)
            parts = []
            for i in range(work.terms.known):
                parts.append((
                    shown(raw, &places[work.terms.lexeme[i]]), _KINDS[work.features.kind[work.terms.lexeme[i]]],
                    <int>work.terms.value[i] * <int>self.cells[work.terms.position[i] * self.stride + c]
                    * self.scales[c],
                ))
            bias = <int>SOPHIA_RO_BIAS * <int>self.cells[self.dim * self.stride + c] * self.scales[c]
            return parts, bias
        finally:
            free(places)
            if work != NULL:
                self.give(work)


cdef int _score_rows(Readout readout, const Rows *rows, double *out) noexcept nogil:
    """-1 without memory. A row is taken as a vector with every position, a block of them at a time."""
    cdef size_t dim = readout.dim, stride = readout.stride, row, at, count, i
    cdef uint32_t c
    cdef char *memory = <char *>malloc(
        (dim + 1) * (sizeof(int16_t) + sizeof(uint32_t)) + stride * (sizeof(int64_t) + sizeof(int32_t))
    )
    if memory == NULL:
        return -1
    cdef int64_t *totals = <int64_t *>memory
    cdef int32_t *sums = <int32_t *>(totals + stride)
    cdef uint32_t *positions = <uint32_t *>(sums + stride)
    cdef int16_t *values = <int16_t *>(positions + dim + 1)
    for i in range(dim + 1):
        positions[i] = <uint32_t>i
    for row in range(rows.n):
        sophia_ro_row(rows.data + row * rows.stride, dim, rows.model == SOPHIA_BSC, values)
        values[dim] = SOPHIA_RO_BIAS
        memset(totals, 0, stride * sizeof(int64_t))
        at = 0
        while at <= dim:
            count = dim + 1 - at if dim + 1 - at < _BLOCK else <size_t>_BLOCK
            cpu.active.ro.score_i8(readout.cells, stride, positions + at, values + at, count, sums)
            for c in range(readout.classes):
                totals[c] += sums[c]
            at += count
        for c in range(readout.classes):
            out[row * readout.classes + c] = totals[c] * readout.scales[c]
    free(memory)
    return 0


cdef void _mean_row(list parts, size_t row, size_t classes, double share, double *means):
    """The mean of one row of weights over the parts, in their order."""
    cdef Weights part
    cdef const float *data
    cdef size_t c
    memset(means, 0, classes * sizeof(double))
    for part in parts:
        data = part.data + row * part.stride
        for c in range(classes):
            means[c] += data[c]
    for c in range(classes):
        means[c] *= share


def _settings(LexicalEncoder encoder):
    """What the header says of the encoder: grams, power of the IDF, texts or rows, kinds, seed, documents."""
    cdef int kind
    if encoder is None:
        return (0, 0, 0, _ROWS, *[0] * SOPHIA_LEX_KINDS, 0, 0)
    return (
        encoder.plan.lexical.grams.least, encoder.plan.lexical.grams.most, encoder.quarters, _TEXTS,
        *[encoder.plan.weighing.kinds[kind] for kind in range(SOPHIA_LEX_KINDS)], encoder.seed, encoder.documents,
    )


def _fault(header, size):
    """What is wrong with a header, or None."""
    _, version, dim, classes, least, most, quarters, over, *kinds, _, documents, stride, told = header
    if version != _VERSION:
        return f"format {version}"
    if over not in (_TEXTS, _ROWS):
        return f"over {over}"
    if not SOPHIA_LEAST_DIM <= dim <= SOPHIA_MOST_DIM:
        return f"dim {dim}"
    if not 1 <= classes <= _MOST_CLASSES or stride != sophia_ro_stride(classes):
        return f"{classes} classes in rows of {stride}"
    if over == _TEXTS and not (1 <= least <= most <= SOPHIA_RO_GRAM and quarters <= 4 and max(kinds) <= 4096):
        return f"grams ({least}, {most}), idf_power {quarters / 4}, kinds {kinds}"
    if documents >= 1 << 61:
        return f"{documents} documents"
    if told != size or _places(over == _TEXTS, dim, classes, stride)[1] != size:
        return f"{told} bytes told, {size} there"
    return None


def _places(bint texts, size_t dim, size_t classes, size_t stride):
    """Where the sections of a dump begin (idf, scales, weights), and its size."""
    cdef size_t idf = round_up(<size_t>_HEADER.size, _ALIGN)
    cdef size_t scales = round_up(idf + (SOPHIA_RO_BUCKETS * sizeof(uint16_t) if texts else 0), _ALIGN)
    cdef size_t weights = round_up(scales + classes * sizeof(double), _ALIGN)
    return (idf, scales, weights), weights + (dim + 1) * stride + _CHECKSUM


cdef bytes _checksum(const char *data, size_t size):
    cdef sophia_hash128 digest = sophia_hash_bytes(data, size, _CHECKSUM_KEY)
    return int(digest.low).to_bytes(8, "little") + int(digest.high).to_bytes(8, "little")
