"""Training of a linear readout: labelled vectors, and the weights that are fitted to them.

Vectors are those of texts (sparse, by a :class:`~sophia._core.lexical.LexicalEncoder`) or hypervectors (rows). The
method is in include/training.h. Same examples, settings and seed give the same bits at every SIMD level.
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport sqrt
from libc.stdint cimport int16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from sophia._core cimport cpu
from sophia._core.buffer cimport F32, F64, I16, I32, I64, Block, close_block, open_block
from sophia._core.cpu cimport sophia_ro_kernels
from sophia._core.idf cimport utf8_of
from sophia._core.lexical cimport LexicalEncoder, source_of, sophia_ro_work, terms_of
from sophia._core.rows cimport close_rows, open_operand, refuse_padding, told_dim
from sophia._core.vector cimport SOPHIA_BSC, take_dim, whole

from sophia.errors import ShapeError


cdef extern from "hash.h" nogil:
    uint64_t sophia_mix64(uint64_t x)
    uint64_t SOPHIA_MIX_C


cdef extern from "training.h" nogil:
    int SOPHIA_RO_BIAS
    int SOPHIA_RO_UNIT
    void sophia_ro_pass(
        const sophia_ro_kernels *kernels, const sophia_ro_training *training, const sophia_ro_examples *examples,
        const uint32_t *order, size_t count, uint64_t key, uint32_t bias_row, float *weights, float *squares,
        const sophia_ro_scratch *scratch
    )


MOST_CLASSES = _MOST_CLASSES
"""Most classes of one readout."""

BIAS = SOPHIA_RO_BIAS / SOPHIA_RO_UNIT
"""The value of the term that each example has, beside its own at norm one."""

UNIT = SOPHIA_RO_UNIT
"""One, in the int16 values of sparse examples."""

cdef enum:
    _MOST_CLASSES = 1 << 16
    _MOST_EPOCHS = 10_000
    _START = 1000           # a row's sum of squares starts at 1 / this


cdef void *zeros(size_t size) except NULL:
    cdef void *block = sophia_pages_zeroed(size)
    if block == NULL:
        raise MemoryError(f"no memory for {size} bytes of weights")
    return block


cdef size_t round_up(size_t n, size_t step) noexcept nogil:
    return (n + step - 1) // step * step


@cython.final
cdef class Examples:
    """Labelled vectors, ready to train on. Immutable.

    `labels` are class numbers from 0 on, one for each text. The vectors are those of the encoder as it is now:
    observe first. A text of no known feature teaches nothing. About 600 bytes and 2 us a text; raises ValueError
    for lengths that differ.

    Example::

        >>> from sophia._core.lexical import LexicalEncoder
        >>> encoder = LexicalEncoder()
        >>> encoder.observe(["on", "off"])
        >>> len(Examples(encoder, ["on", "off"], [0, 1]))
        2
    """

    def __cinit__(self, LexicalEncoder encoder, texts, labels):
        if encoder is None:
            return                          # from_rows() fills it
        if isinstance(texts, (str, bytes)):
            raise TypeError("many texts are needed; put one into a list")
        sources = [source_of(each) for each in texts]
        self.encoder = encoder
        self.dim = encoder.plan.weighing.dim
        self.take_labels(list(labels), len(sources), "text")
        self.take_texts(sources)

    @classmethod
    def from_rows(cls, rows, labels, *, dim=None):
        """Examples that are hypervectors: packed BSC rows (`dim` bits) or int8 rows of any values.

        `rows` is a matrix, a Hypervector or a list of them. Foreign memory is used where it is and must not change
        while these examples live. Raises ShapeError or TypeError as every batch operation does.
        """
        cdef Examples made = cls.__new__(cls, None, None, None)
        open_operand(&made.rows, rows, "rows", dim, told_dim(dim, rows, None))
        if made.rows.model == SOPHIA_BSC and made.rows.block.held:
            refuse_padding(&made.rows, "rows")
        made.dim = made.longest = made.given.dim = made.rows.dim
        made.given.rows = made.rows.data
        made.given.row_bytes = made.rows.stride
        made.given.packed = made.rows.model == SOPHIA_BSC
        made.take_labels(list(labels), <Py_ssize_t>made.rows.n, "row")
        return made

    @classmethod
    def from_sparse(cls, offsets, positions, values, labels, *, dim):
        """Examples that are sparse vectors of `dim` positions; copied.

        `values` are int16 of which 16,384 is one; each example is taken at norm one. Raises ShapeError for other dtypes
        or lengths, ValueError for offsets that do not rise from 0 to the number of terms, or a position that is none.
        """
        cdef Examples made = cls.__new__(cls, None, None, None)
        cdef Block starts, places, numbers
        cdef Py_ssize_t i
        cdef uint64_t at
        memset(&places, 0, sizeof(Block))
        memset(&numbers, 0, sizeof(Block))
        made.dim = take_dim(dim)
        open_block(&starts, offsets, "offsets", I64, 1, 1, 8, False)
        try:
            open_block(&places, positions, "positions", I32, 1, 1, 4, False)
            open_block(&numbers, values, "values", I16, 1, 1, 2, False)
            if starts.columns < 1 or places.columns != numbers.columns:
                raise ShapeError(f"{starts.columns} offsets, {places.columns} positions and {numbers.columns} values; "
                                 "give as many positions as values, and one offset more than examples")
            made.take_labels(list(labels), starts.columns - 1, "example")
            made.offsets = <uint64_t *>calloc(starts.columns, sizeof(uint64_t))
            if made.offsets == NULL:
                raise MemoryError(f"no memory for {starts.columns} examples")
            memcpy(made.offsets, starts.data, starts.columns * sizeof(uint64_t))
            for i in range(starts.columns):
                at = made.offsets[i]
                if at > <uint64_t>places.columns or (at < made.offsets[i - 1] if i else at != 0):
                    raise ValueError(f"offsets: element {i} is {(<const long long *>starts.data)[i]}; they rise from "
                                     f"0 to {places.columns}")
                if i:
                    made.longest = max(made.longest, at - made.offsets[i - 1])
            if made.offsets[starts.columns - 1] != <uint64_t>places.columns:
                raise ValueError(f"offsets: the last is {made.offsets[starts.columns - 1]}, not {places.columns}")
            made.reserve(places.columns + 1)
            memcpy(made.positions, places.data, places.columns * sizeof(uint32_t))
            memcpy(made.values, numbers.data, places.columns * sizeof(int16_t))
            for i in range(places.columns):
                if made.positions[i] >= made.dim:       # a negative one is larger still
                    raise ValueError(f"positions: element {i} is {<int>made.positions[i]}; there are {made.dim}")
        finally:
            close_block(&starts)
            close_block(&places)
            close_block(&numbers)
        made.given.offsets = made.offsets
        made.given.positions = made.positions
        made.given.values = made.values
        return made

    def sparse(self):
        """What sparse examples are, at norm one: offsets int64[n + 1], positions int32 and values float64 of all terms,
        one example behind the other. Terms that share a position are one here, in no order; an example without terms
        stays one. ValueError for examples that are rows."""
        import numpy

        cdef Block starts, places, numbers
        cdef uint64_t *slots
        cdef Py_ssize_t i
        cdef uint64_t term, first, used = 0
        cdef uint32_t position
        cdef double square
        if self.offsets == NULL:
            raise ValueError("these examples are rows of hypervectors, not sparse")
        terms = self.offsets[self.count] + 1     # room for one more, so that there is a buffer
        offsets, positions = numpy.empty(self.count + 1, numpy.int64), numpy.empty(terms, numpy.int32)
        values = numpy.empty(terms, numpy.float64)
        memset(&places, 0, sizeof(Block))
        memset(&numbers, 0, sizeof(Block))
        open_block(&starts, offsets, "offsets", I64, 1, 1, 8, True)
        slots = <uint64_t *>calloc(self.dim, sizeof(uint64_t))      # one more than the place of a position's last term
        try:
            open_block(&places, positions, "positions", I32, 1, 1, 4, True)
            open_block(&numbers, values, "values", F64, 1, 1, 8, True)
            if slots == NULL:
                raise MemoryError(f"no memory for {self.dim} positions")
            with nogil:
                for i in range(self.count):
                    (<uint64_t *>starts.data)[i] = first = used
                    for term in range(self.offsets[i], self.offsets[i + 1]):
                        position = self.positions[term]
                        if slots[position] > first:
                            (<double *>numbers.data)[slots[position] - 1] += self.values[term]
                        else:
                            (<uint32_t *>places.data)[used] = position
                            (<double *>numbers.data)[used] = self.values[term]
                            used += 1
                            slots[position] = used
                    square = 0.0
                    for term in range(first, used):
                        square += (<double *>numbers.data)[term] * (<double *>numbers.data)[term]
                    if square > 0:
                        square = 1.0 / sqrt(square)
                        for term in range(first, used):
                            (<double *>numbers.data)[term] *= square
                (<uint64_t *>starts.data)[self.count] = used
        finally:
            free(slots)
            close_block(&starts)
            close_block(&places)
            close_block(&numbers)
        return offsets, positions[:used].copy(), values[:used].copy()

    def __dealloc__(self):
        close_rows(&self.rows)
        free(self.offsets)
        free(self.positions)
        free(self.values)
        free(self.labels)

    cdef int take_labels(self, list numbers, Py_ssize_t count, str what) except -1:
        cdef Py_ssize_t i
        if len(numbers) != count:
            raise ValueError(f"{count} {what}s and {len(numbers)} labels; each {what} needs one")
        if count >= 1 << 31:
            raise ValueError(f"{count} {what}s are more than 2^31 - 1")
        self.count = count
        self.labels = <uint32_t *>calloc(count + 1, sizeof(uint32_t))
        if self.labels == NULL:
            raise MemoryError(f"no memory for {count} examples")
        for i in range(count):
            label = whole(numbers[i], f"label of {what} {i}")
            if not 0 <= label < _MOST_CLASSES:
                raise ValueError(f"label {label} of {what} {i} is not in 0 .. {_MOST_CLASSES - 1}")
            self.labels[i] = label
            self.classes = max(self.classes, self.labels[i] + 1)
        self.given.labels = self.labels
        return 0

    cdef int take_texts(self, list sources) except -1:
        cdef Py_ssize_t size = 0, text
        cdef uint64_t terms = 0, room = 0
        cdef const unsigned char *data
        cdef sophia_ro_work *work = <sophia_ro_work *>malloc(sizeof(sophia_ro_work))
        try:
            self.offsets = <uint64_t *>calloc(self.count + 1, sizeof(uint64_t))
            if self.offsets == NULL or work == NULL:
                raise MemoryError(f"no memory for {self.count} examples")
            for text in range(self.count):
                data = utf8_of(sources[text], &size)
                with nogil:
                    terms_of(&self.encoder.plan, data, <size_t>size, NULL, work)
                if terms + work.terms.known >= room:    # so that there are blocks even without a term
                    room = 2 * room + work.terms.known + 1024
                    self.reserve(room)
                memcpy(self.positions + terms, work.terms.position, work.terms.known * sizeof(uint32_t))
                memcpy(self.values + terms, work.terms.value, work.terms.known * sizeof(int16_t))
                terms += work.terms.known
                self.longest = max(self.longest, work.terms.known)
                self.offsets[text + 1] = terms
        finally:
            free(work)
        self.given.offsets = self.offsets
        self.given.positions = self.positions
        self.given.values = self.values
        return 0

    cdef int reserve(self, uint64_t terms) except -1:
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

    `source` says over what: a :class:`~sophia._core.lexical.LexicalEncoder`, or for hypervectors their dimension.
    Starts at zero; :meth:`Readout.weights <sophia._core.readout.Readout.weights>` gives weights that go on from a
    readout. `train` releases the GIL; one thread at a time. 6.5 MB for 10,000 positions and 150 classes.

    Example::

        >>> from sophia._core.lexical import LexicalEncoder
        >>> from sophia._core.readout import Readout
        >>> encoder = LexicalEncoder()
        >>> texts = ["turn the light on", "light on please", "what time is it", "tell me the time"]
        >>> encoder.observe(texts)
        >>> weights = Weights(encoder, 2)
        >>> weights.train(Examples(encoder, texts, [0, 0, 1, 1]), epochs=20)
        >>> Readout([weights]).best_of("the light")[0]
        0
    """

    def __cinit__(self, source, classes):
        classes = whole(classes, "classes")
        if not 1 <= classes <= _MOST_CLASSES:
            raise ValueError(f"classes must be in 1 .. {_MOST_CLASSES}, got {classes}")
        self.set_up(source, classes)

    def __dealloc__(self):
        sophia_pages_give(self.data, (self.dim + 1) * self.stride * sizeof(float))
        sophia_pages_give(self.squares, (self.dim + 1) * sizeof(float))

    cdef int set_up(self, object source, size_t classes) except -1:
        cdef size_t row
        if isinstance(source, LexicalEncoder):
            self.encoder = <LexicalEncoder>source
            self.dim = self.encoder.plan.weighing.dim
        else:
            self.dim = take_dim(source)
        self.classes = <uint32_t>classes
        self.stride = round_up(classes, 16)
        self.data = <float *>zeros((self.dim + 1) * self.stride * sizeof(float))
        self.squares = <float *>zeros((self.dim + 1) * sizeof(float))
        for row in range(self.dim + 1):
            self.squares[row] = <float>(1.0 / _START)
        return 0

    def dump(self):
        """A copy of the weights: float32 [dim + 1, classes]; the last row is that of the bias, a term of value
        :data:`BIAS` which each example has."""
        import numpy

        cdef Block block
        cdef size_t row
        out = numpy.empty((self.dim + 1, self.classes), numpy.float32)
        open_block(&block, out, "out", F32, 2, 2, 4, True)
        for row in range(self.dim + 1):
            memcpy(block.data + row * self.classes * sizeof(float), self.data + row * self.stride,
                   self.classes * sizeof(float))
        close_block(&block)
        return out

    @classmethod
    def restore(cls, weights):
        """The weights of which `weights` is :meth:`dump`, over hypervectors; training goes on as from new ones."""
        cdef Block block
        cdef Weights made
        cdef size_t row
        open_block(&block, weights, "weights", F32, 2, 2, 4, False)
        try:
            made = cls(int(block.rows) - 1, int(block.columns))
            for row in range(made.dim + 1):
                memcpy(made.data + row * made.stride, block.data + row * made.classes * sizeof(float),
                       made.classes * sizeof(float))
        finally:
            close_block(&block)
        return made

    def train(self, Examples examples not None, *, epochs=20, dropout=0.67, smoothing=0.15, rate=0.237, seed=0,
              only=None):
        """Runs `epochs` passes over the examples, shuffled by `seed`. About 1.5 us a text, pass and 150 classes.

        `dropout`: share of the terms left out each time an example is seen. `smoothing`: share of the target that
        is spread over all classes. `rate`: step size. `only`: classes whose weights may change; None for all.
        Same examples, settings and seed, same weights. ValueError for examples of another encoder or dimension,
        or a label that these weights have no class for.
        """
        if examples.encoder is not self.encoder or examples.dim != self.dim:
            raise ValueError("the examples were made by another encoder than these weights, or have another "
                             "dimension")
        if examples.classes > self.classes:
            raise ValueError(f"the examples have label {examples.classes - 1}, the weights {self.classes} classes")
        epochs, seed = whole(epochs, "epochs"), whole(seed, "seed")
        if not 0 <= epochs <= _MOST_EPOCHS:
            raise ValueError(f"epochs must be in 0 .. {_MOST_EPOCHS}, got {epochs}")
        dropout, smoothing, rate = float(dropout), float(smoothing), float(rate)
        if not (0 <= dropout < 1 and 0 <= smoothing < 1 and 0 < rate <= 100):
            raise ValueError(f"dropout {dropout} and smoothing {smoothing} must be in 0 .. 1 (1 not included), "
                             f"rate {rate} in 0 .. 100 (0 not included)")
        moving = None if only is None else sorted({whole(number, "only") for number in only})
        if moving is not None and (not moving or moving[0] < 0 or moving[-1] >= self.classes):
            raise ValueError(f"only must name classes from 0 to {self.classes - 1}, got {only!r}")
        cdef sophia_ro_training training
        cdef sophia_ro_scratch scratch
        cdef size_t count = <size_t>examples.count, row = 0 if examples.offsets != NULL else examples.dim
        cdef uint64_t key = sophia_mix64(<uint64_t>(seed & 0xFFFFFFFFFFFFFFFF) ^ SOPHIA_MIX_C), state
        cdef int epoch, passes = epochs
        cdef size_t i, j
        cdef uint32_t held
        cdef uint32_t *order
        cdef float *floats = NULL
        training.classes = self.classes
        training.stride = self.stride
        training.smoothing = smoothing
        training.rate = rate
        training.dropout = <uint32_t>(dropout * 65536)
        order = <uint32_t *>malloc(count * sizeof(uint32_t) + 1)
        scratch.positions = <uint32_t *>malloc((examples.longest + 1) * sizeof(uint32_t))
        scratch.values = <float *>malloc((examples.longest + 1) * sizeof(float))
        scratch.row = <int16_t *>malloc(row * sizeof(int16_t) + 1)
        scratch.all = <uint32_t *>malloc(row * sizeof(uint32_t) + 1)
        try:
            if (order == NULL or scratch.positions == NULL or scratch.values == NULL or scratch.row == NULL
                    or scratch.all == NULL):
                raise MemoryError("no memory for a training pass")
            floats = <float *>zeros(3 * self.stride * sizeof(float))    # scores, zeros, what may move
            scratch.scores = floats
            scratch.zeros = floats + self.stride
            training.free = NULL if moving is None else floats + 2 * self.stride
            for number in moving or ():
                floats[2 * self.stride + <size_t>number] = 1.0
            for i in range(row):
                scratch.all[i] = <uint32_t>i
            for i in range(count):
                order[i] = <uint32_t>i
            for epoch in range(passes):
                PyErr_CheckSignals()
                with nogil:
                    state = sophia_mix64(key + <uint64_t>epoch)
                    i = count
                    while i > 1:            # Fisher and Yates
                        i -= 1
                        state = sophia_mix64(state + i)
                        j = state % (i + 1)
                        held = order[i]
                        order[i] = order[j]
                        order[j] = held
                    sophia_ro_pass(&cpu.active.ro, &training, &examples.given, order, count, state,
                                   <uint32_t>self.dim, self.data, self.squares, &scratch)
        finally:
            free(order)
            free(scratch.positions)
            free(scratch.values)
            free(scratch.row)
            free(scratch.all)
            sophia_pages_give(floats, 3 * self.stride * sizeof(float))
