# cython: auto_pickle=False
"""Fused encoders: sequences of symbols to hypervectors, whole batches in one call, without the GIL.

Symbols are the code points of a str, the bytes of a bytes, or the numbers of a one-dimensional buffer of integers; a
number means the same symbol in all three, and none is negative. Votes are counted exactly, in integers: the result does
not depend on the SIMD level, the number of threads or the machine.
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int8_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free

from sophia._core cimport cpu
from sophia._core.arena cimport HDCArena
from sophia._core.batch cimport GRADED, PACKED, SIGNS, Job
from sophia._core.buffer cimport I8, I16, I32, I64, U8, U16, U32, U64, Block, close_block, open_block, overlap
from sophia._core.codebook cimport Codebook
from sophia._core.encode cimport seed_of
from sophia._core.idf cimport SOPHIA_IDF_NO_MEMORY, raise_code, utf8_of, utf8_source
from sophia._core.vector cimport SOPHIA_BSC, model_name, take_dim, whole

from sophia.errors import ShapeError


cdef extern from "workspace.h" nogil:
    void *sophia_spare_take(void **spare)
    void *sophia_spare_put(void **spare, void *mine)

cdef extern from "hv_ops.h" nogil:
    void sophia_b1_to_i8(const uint64_t *source, int8_t *out, size_t dim) noexcept


cdef enum:
    STEP = 1024             # sequences between two looks at signals
    INTEGERS = U8 | I8 | U16 | I16 | U32 | I32 | U64 | I64


cdef class Encoder:
    def __cinit__(self, *args, **options):
        if type(self) is Encoder:
            raise TypeError("an Encoder is an NgramEncoder or a SequenceEncoder; make one of these")

    cdef int _take_items(self, object items, object dim) except -1:
        self.items = items if isinstance(items, Codebook) else Codebook(items, "items", dim=dim)
        if dim is not None and take_dim(dim) != self.items.dim:
            raise ShapeError(f"items: dim={self.items.dim} where dim={dim} says otherwise")
        self.given.rows = self.items.data
        self.given.count = self.items.n
        self.given.words = self.items.words
        self.dim = self.items.dim
        self.model = self.items.model
        return 0

    cdef void *take(self) noexcept nogil:
        return NULL

    cdef void give(self, void *space) noexcept nogil:
        pass

    cdef int encode_into(self, const sophia_sequence *sequence, void *space, int form, char *out) noexcept nogil:
        return SOPHIA_IDF_NO_MEMORY

    @property
    def model(self):
        """"BSC", or "MAP" where the items are of MAP."""
        return model_name(self.model)

    @property
    def n(self):
        """The fewest symbols that a sequence may have."""
        return self.order

    @property
    def words(self):
        """uint64 words of a packed row."""
        return (self.dim + 511) // 512 * 8

    def encode(self, sequence, HDCArena arena=None, *, out=None):
        """The vector of one sequence, as a Hypervector: `out`, or a new one; from an arena it is borrowed."""
        cdef _Job job = _Job.__new__(_Job, self, (sequence,), PACKED, None)
        return job.run_one(self.model, self.dim, out, arena)

    def encode_int8(self, sequence):
        """The graded vector of one sequence: numpy int8[dim], as :meth:`encode_int8_many` gives."""
        cdef _Job job = _Job.__new__(_Job, self, (sequence,), GRADED, None)
        return job.run(1, self.dim, None, 1)[0]

    def encode_many(self, sequences, out=None, *, workers=1):
        """The vectors of many: uint8[n, padded bytes] (BSC) or int8[n, dim] (MAP).

        `sequences` is a list of them, or a matrix of which each row is one. In one call, in `workers` threads. `out` is
        such a matrix to write to; it must not overlap a sequence. Errors name the sequence.
        """
        return self._many(sequences, out, workers, PACKED if self.model == SOPHIA_BSC else SIGNS)

    def encode_int8_many(self, sequences, out=None, *, workers=1):
        """The graded vectors of many: int8[n, dim], the sums of what is bundled, scaled so that the largest magnitude
        of each row is 127; a bit of 0 votes +. They keep how strongly each component was voted for."""
        return self._many(sequences, out, workers, GRADED)

    cdef object _many(self, object sequences, object out, object workers, int form):
        if isinstance(sequences, (str, bytes)):
            raise TypeError("sequences: a list of them, or a matrix; encode() takes a single one")
        cdef _Job job = _Job.__new__(_Job, self, sequences, form, "sequences")
        return job.run(job.count, self.dim, out, workers)


@cython.final
cdef class NgramEncoder(Encoder):
    """Encodes sequences as the bundle of their n-grams: bind, permute and bundle in one pass.

    In an n-gram the last symbol's hypervector stands as it is, the one before permuted by 1, and so on, and all are
    bound (Joshi, Halseth and Kanerva 2016). `n` is 1 to 8. `items` are the vectors of the symbols 0, 1, 2 ... (a
    matrix, or a list of vectors of BSC or MAP, which then has the dimension); without them each symbol has a
    pseudo-random one of BSC that its number and `seed` name. No symbol is negative.

    A sequence shorter than n has no n-gram: ValueError. Longest: 2^24 - 1 n-grams.

    Safe from any thread; the GIL is released. A sentence of 149 characters takes about 9 us at n = 3 and dim
    10,000 (AVX-512). Each concurrent call keeps the rows of up to 512 symbols, n * dim / 8 bytes a symbol.

    Example::

        >>> encoder = NgramEncoder(n=3)
        >>> encoder.encode("abracadabra") == encoder.encode(b"abracadabra")
        True
        >>> encoder.encode("ab")
        Traceback (most recent call last):
            ...
        ValueError: sequence: 2 symbols, where n-grams of 3 need at least 3
    """

    def __cinit__(self, n=3, dim=None, *, seed=0, items=None):
        n = whole(n, "n")
        if not 1 <= n <= SOPHIA_BALLOT_ORDER:
            raise ValueError(f"n must be in 1 .. {SOPHIA_BALLOT_ORDER}, got {n}")
        self.order = n
        self.seed = seed_of(seed)
        if items is not None:
            self._take_items(items, dim)
            return
        self.dim = take_dim(10_000 if dim is None else dim)
        self.model = SOPHIA_BSC

    def __dealloc__(self):
        sophia_ngram_space_free(<sophia_ngram_space *>self.spare)

    cdef void *take(self) noexcept nogil:
        cdef void *space = sophia_spare_take(&self.spare)
        return space if space != NULL else sophia_ngram_space_new(self.dim, self.order, self.seed, self.given)

    cdef void give(self, void *space) noexcept nogil:
        sophia_ngram_space_free(<sophia_ngram_space *>sophia_spare_put(&self.spare, space))

    cdef int encode_into(self, const sophia_sequence *sequence, void *space, int form, char *out) noexcept nogil:
        cdef sophia_ngram_space *mine = <sophia_ngram_space *>space
        cdef uint64_t *bits = <uint64_t *>out if form == PACKED else <uint64_t *>mine.vote.sums
        if form == GRADED:
            return sophia_ngrams_to_i8(sequence, mine, &cpu.active.enc, <int8_t *>out)
        cdef int code = sophia_ngrams_to_b1(sequence, mine, &cpu.active.enc, bits)
        if code == 0 and form == SIGNS:     # the sums are not needed for bits: their memory holds these on the way
            sophia_b1_to_i8(bits, <int8_t *>out, self.dim)
        return code

    def __repr__(self):
        return f"NgramEncoder(n={self.n}, dim={self.dim}, seed={self.seed})"


@cython.final
cdef class SequenceEncoder(Encoder):
    """Encodes sequences as the bundle of their symbols, each permuted by its distance from the end.

    So the vector of a sequence, permuted by one and bundled with the next symbol, is that of the longer one; what
    stands at a place is found again by permuting back and looking for the nearest item (Kanerva 2009). `items` are the
    vectors of the symbols 0, 1, 2 ...: a matrix, or a list of vectors, of BSC or MAP. The result is that of
    ``bundle([permute(items[s], length - 1 - i) for i, s in enumerate(sequence)])``, bit for bit; at most 128 permuted
    vectors exist at a time.

    Safe from any thread; the GIL is released. About .1 us a symbol at dim 10,000. ValueError for an empty sequence, or
    one of more than 2^24 - 1 symbols.

    Example::

        >>> from sophia._core import hdc
        >>> items = hdc.random_rows(26, "letter")
        >>> vector = SequenceEncoder(items).encode(bytes([7, 4, 11, 11, 14]))
        >>> int(hdc.topk(hdc.permute(vector, -3), items, 1)[1][0])
        4
    """

    def __cinit__(self, items, *, dim=None):
        self.order = 1
        self._take_items(items, dim)

    def __dealloc__(self):
        sophia_sequence_space_free(<sophia_sequence_space *>self.spare)

    cdef void *take(self) noexcept nogil:
        cdef void *space = sophia_spare_take(&self.spare)
        return space if space != NULL else sophia_sequence_space_new(self.dim)

    cdef void give(self, void *space) noexcept nogil:
        sophia_sequence_space_free(<sophia_sequence_space *>sophia_spare_put(&self.spare, space))

    cdef int encode_into(self, const sophia_sequence *sequence, void *space, int form, char *out) noexcept nogil:
        cdef sophia_sequence_space *mine = <sophia_sequence_space *>space
        cdef uint64_t *bits = <uint64_t *>out if form == PACKED else <uint64_t *>mine.vote.sums
        if form == GRADED:
            return sophia_sequence_to_i8(sequence, &self.given, mine, &cpu.active.enc, &cpu.active.hv, <int8_t *>out)
        cdef int code = sophia_sequence_to_b1(sequence, &self.given, mine, &cpu.active.enc, &cpu.active.hv, bits)
        if code == 0 and form == SIGNS:
            sophia_b1_to_i8(bits, <int8_t *>out, self.dim)
        return code

    def __repr__(self):
        return f"<SequenceEncoder {self.model} dim={self.dim}, {self.given.count} items>"


@cython.final
cdef class _Job(Job):
    """Sequences that are being encoded. Holds what they lie in."""

    cdef Encoder encoder
    cdef list owners
    cdef sophia_sequence *sequences
    cdef Block *blocks
    cdef Py_ssize_t count
    cdef str name           # of the argument, None for a single sequence

    def __cinit__(self, Encoder encoder not None, sources, int form, str name):
        cdef Py_ssize_t i
        self.encoder = encoder
        self.form = form
        self.name = name
        self.owners = list(sources)
        self.count = len(self.owners)
        self.sequences = <sophia_sequence *>calloc(self.count + 1, sizeof(sophia_sequence))
        self.blocks = <Block *>calloc(self.count + 1, sizeof(Block))
        if self.sequences == NULL or self.blocks == NULL:
            raise MemoryError(f"no memory for a batch of {self.count} sequences")
        for i in range(self.count):
            self.take(i)

    def __dealloc__(self):
        cdef Py_ssize_t i
        if self.blocks != NULL:
            for i in range(self.count):
                close_block(&self.blocks[i])
        free(self.blocks)
        free(self.sequences)

    cdef int take(self, Py_ssize_t i) except -1:
        cdef sophia_sequence *sequence = &self.sequences[i]
        cdef Block *block = &self.blocks[i]
        cdef Py_ssize_t size = 0
        source = self.owners[i]
        if isinstance(source, str):
            self.owners[i] = source = utf8_source(source)
            sequence.data = utf8_of(source, &size)
            sequence.size = <size_t>size
            return 0
        open_block(block, source, self.called(i), INTEGERS, 1, 1, 1, False)
        sequence.data = <const unsigned char *>block.data
        sequence.size = <size_t>(block.columns * block.itemsize)
        sequence.width = <unsigned>block.itemsize
        sequence.signs = block.dtype & (I8 | I16 | I32 | I64) != 0
        return 0

    cdef bint reads(self, const char *start, const char *end) noexcept:
        cdef Py_ssize_t i
        for i in range(self.count):
            if overlap(self.sequences[i].data, self.sequences[i].size, start, <size_t>(end - start)):
                return True
        return False

    cdef str called(self, Py_ssize_t i):
        return "sequence" if self.name is None else f"{self.name}[{i}]"

    def __call__(self, tuple part):
        self.ready()
        cdef Py_ssize_t i = part[0], stop = part[1], until
        cdef int code = 0
        cdef void *space = self.encoder.take()
        if space == NULL:
            raise MemoryError(f"no memory to encode at dim={self.encoder.dim}")
        try:
            while i < stop and code == 0:
                until = min(stop, i + STEP)
                with nogil:
                    while i < until:
                        code = self.encoder.encode_into(&self.sequences[i], space, self.form,
                                                        self.target + i * self.step)
                        if code:
                            break
                        i += 1
                PyErr_CheckSignals()
        finally:
            self.encoder.give(space)
        if code:
            self.refuse(i, code)

    cdef int refuse(self, Py_ssize_t i, int code) except -1:
        cdef const sophia_sequence *sequence = &self.sequences[i]
        cdef size_t length = sophia_sequence_length(sequence), place, at = 0, _k
        cdef uint64_t symbol = 0
        cdef object shown
        name = self.called(i)
        if code == SOPHIA_NGRAMS_TOO_FEW:
            raise ValueError(f"{name}: {length} symbols, where n-grams of {self.encoder.order} need at least "
                             f"{self.encoder.order}")
        if code == SOPHIA_NGRAMS_TOO_MANY:
            raise ValueError(f"{name}: {length} symbols, more than 2^24 - 1 n-grams")
        if code == SOPHIA_NGRAMS_NO_ITEM or code == SOPHIA_NGRAMS_NEGATIVE:
            place = sophia_sequence_unknown(sequence, self.encoder.given.count)
            for _k in range(place + 1):
                symbol = sophia_symbol(sequence, &at)
            shown = symbol
            if sequence.signs:
                shown = <int64_t>symbol
            if self.encoder.given.rows == NULL:
                raise ValueError(f"{name}: symbol {place} is {shown}; a symbol is at least 0")
            raise ValueError(f"{name}: symbol {place} is {shown}; there are {self.encoder.given.count} items, 0 to "
                             f"{self.encoder.given.count - 1}")
        raise_code(code, name)
