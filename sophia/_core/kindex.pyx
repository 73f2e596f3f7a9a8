"""K-Vectors, eight numbers that say how an agent behaves, and how alike two of them are.

The dimensions, in order: k_r reactivity, k_a agency, k_i integration, k_p prediction, k_m temporal depth,
k_s social, k_h harmony, k_topo closure; each in [0, 1], or missing where it cannot be known (k_s of a lone
agent).
Two vectors are compared over the dimensions that both have.

Four measures, all in [-1, 1] and never NaN:

* ``cosine``: 0.0 when a norm is zero. K-Vectors have no negative values, so two random ones already have a
  cosine of 0.76;
* ``centred``: the cosine after a mean is taken away (0.5, or the mean of a population), which spreads them;
* ``weighted``: the cosine with a weight for each dimension;
* ``euclidean``: 1 minus the root of the mean squared difference; 1.0 for equal vectors, 0.0 for opposite
  corners, and 0.0 when no dimension is shared.

In a matrix (n rows of 8 float64) NaN marks a missing dimension. Rows are not looked at for their range (see
check_rows()); a row with an infinite value has similarity 0.0 by cosine. A pair, a batch, every SIMD level
and every machine give the same bits.
"""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE
from libc.math cimport NAN, isfinite, isnan, sqrt
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcmp

from sophia._core cimport cpu
from sophia._core.buffer cimport F64, I64, Block, close_block, open_block, overlap

from sophia.errors import ShapeError


cdef extern from "hash.h" nogil:
    ctypedef struct sophia_hash128:
        uint64_t low
        uint64_t high
    sophia_hash128 sophia_hash_bytes(const void *data, size_t size, uint64_t key)


NAMES = ("k_r", "k_a", "k_i", "k_p", "k_m", "k_s", "k_h", "k_topo")

cdef enum:
    _COSINE = 0
    _CENTRED = 1
    _WEIGHTED = 2
    _EUCLIDEAN = 3

_MEASURES = {"cosine": _COSINE, "centred": _CENTRED, "weighted": _WEIGHTED, "euclidean": _EUCLIDEAN}

# What a buffer of one K-Vector says of itself; constant.
cdef Py_ssize_t _SHAPE = 8
cdef Py_ssize_t _STRIDE = sizeof(double)
cdef char *_FORMAT = b"d"


cdef KVector kvector_of(const double *values):
    cdef KVector vector = KVector.__new__(KVector)
    vector._fill(tuple([None if isnan(values[i]) else values[i] for i in range(8)]), False)
    return vector


cdef class KVector:
    """KVector(k_r=None, k_a=None, k_i=None, k_p=None, k_m=None, k_s=None, k_h=None, k_topo=None)

    Eight numbers in [0, 1]; None is a dimension that is not known. Immutable, hashable, picklable.

    Raises ValueError, naming the dimension, for a value outside [0, 1], an infinity or NaN; clamped() takes
    values outside. It is a read-only buffer of 8 float64 with NaN for what is missing. Example::

        >>> k = KVector(k_r=0.5, k_a=1)
        >>> k.k_r, k.k_s, k.known, bin(k.mask)
        (0.5, None, ('k_r', 'k_a'), '0b11')
        >>> k
        KVector(k_r=0.5, k_a=1.0)
    """

    def __cinit__(self, k_r=None, k_a=None, k_i=None, k_p=None, k_m=None, k_s=None, k_h=None, k_topo=None):
        self._fill((k_r, k_a, k_i, k_p, k_m, k_s, k_h, k_topo), False)

    cdef int _fill(self, tuple given, bint clamp) except -1:
        cdef double x
        cdef int i
        self.mask = 0
        for i in range(8):
            value = given[i]
            if value is None:
                self.values[i] = NAN
                continue
            x = value
            if isnan(x):
                raise ValueError(f"{NAMES[i]} is NaN; pass None for a dimension that is not known")
            if clamp:
                x = min(max(x, 0.0), 1.0)
            if not 0.0 <= x <= 1.0:
                raise ValueError(f"{NAMES[i]} must be a number from 0 to 1, not {value}")
            self.values[i] = x + 0.0  # no -0.0: equal vectors have equal bytes
            self.mask |= <unsigned char>(1 << i)
        return 0

    @classmethod
    def clamped(cls, k_r=None, k_a=None, k_i=None, k_p=None, k_m=None, k_s=None, k_h=None, k_topo=None):
        """A K-Vector of values moved to the nearest in [0, 1]; NaN raises ValueError.

            >>> KVector.clamped(k_r=1.7, k_h=-3)
            KVector(k_r=1.0, k_h=0.0)
        """
        cdef KVector vector = cls()
        vector._fill((k_r, k_a, k_i, k_p, k_m, k_s, k_h, k_topo), True)
        return vector

    @classmethod
    def of(cls, values):
        """A K-Vector of eight values in order: a sequence or a float64 buffer; None or NaN where missing.

            >>> KVector.of([0.5] * 7 + [None]).known[-1]
            'k_h'
        """
        given = tuple(values)
        if len(given) != 8:
            raise ShapeError(f"a K-Vector has 8 values, not {len(given)}")
        return cls(*[None if value is None or value != value else value for value in given])

    def filled(self, value=0.5):
        """The same vector with `value` for what is missing: the public constant 0.5 before noise is added."""
        return type(self)(*[value if known is None else known for known in self.to_tuple()])

    cdef object _at(self, int dimension):
        return self.values[dimension] if self.mask >> dimension & 1 else None

    @property
    def k_r(self):
        """Reactivity."""
        return self._at(0)

    @property
    def k_a(self):
        """Agency."""
        return self._at(1)

    @property
    def k_i(self):
        """Integration."""
        return self._at(2)

    @property
    def k_p(self):
        """Prediction."""
        return self._at(3)

    @property
    def k_m(self):
        """Temporal depth (meta)."""
        return self._at(4)

    @property
    def k_s(self):
        """Social."""
        return self._at(5)

    @property
    def k_h(self):
        """Harmony."""
        return self._at(6)

    @property
    def k_topo(self):
        """Topological closure."""
        return self._at(7)

    @property
    def known(self):
        """The names of the dimensions that it has, in order."""
        return tuple([NAMES[i] for i in range(8) if self.mask >> i & 1])

    def to_tuple(self):
        """The eight values in order, None where missing."""
        return tuple([self._at(i) for i in range(8)])

    def __iter__(self):
        return iter(self.to_tuple())

    def __len__(self):
        return 8

    def __eq__(self, other):
        if not isinstance(other, KVector):
            return NotImplemented
        cdef KVector right = other
        return memcmp(self.values, right.values, sizeof(self.values)) == 0

    def __hash__(self):
        return <Py_hash_t>(sophia_hash_bytes(self.values, sizeof(self.values), 0).low >> 1)

    def __reduce__(self):
        return type(self), self.to_tuple()

    def __repr__(self):
        pairs = [f"{NAMES[i]}={self.values[i]!r}" for i in range(8) if self.mask >> i & 1]
        return f"{type(self).__name__}({', '.join(pairs)})"

    def __getbuffer__(self, Py_buffer *view, int flags):
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError("a KVector is read-only")
        view.obj = self
        view.buf = <void *>self.values
        view.len = sizeof(self.values)
        view.itemsize = sizeof(double)
        view.readonly = 1
        view.ndim = 1
        view.format = _FORMAT if flags & PyBUF_FORMAT else NULL
        view.shape = &_SHAPE if flags & PyBUF_ND else NULL
        view.strides = &_STRIDE if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL


cdef int _eight(double *out, object values, str name) except -1:
    """Eight finite numbers from a number, a K-Vector or a sequence."""
    cdef int i
    if isinstance(values, (int, float)):
        values = [values] * 8
    given = tuple(values)
    if len(given) != 8:
        raise ShapeError(f"{name} must be one number or 8, not {len(given)}")
    for i in range(8):
        if given[i] is None or not isfinite(<double>given[i]):
            raise ValueError(f"{name} must be finite; {NAMES[i]} is {given[i]}")
        out[i] = given[i]
    return 0


cdef int _frame(double *frame, int measure, object mean, object weights) except -1:
    """Fills the frame of a measure; 0: it needs none."""
    cdef int i
    if mean is not None and measure != _CENTRED:
        raise ValueError("mean= belongs to the measure 'centred'")
    if weights is not None and measure != _WEIGHTED:
        raise ValueError("weights= belongs to the measure 'weighted'")
    for i in range(8):
        frame[i], frame[8 + i] = 0.0, 1.0
    if measure == _CENTRED:
        _eight(frame, 0.5 if mean is None else mean, "mean")
    elif measure == _WEIGHTED:
        if weights is None:
            raise ValueError("the measure 'weighted' needs weights=")
        _eight(frame + 8, weights, "weights")
        for i in range(8):
            if frame[8 + i] < 0.0:
                raise ValueError(f"weights must not be negative; {NAMES[i]} is {frame[8 + i]}")
            frame[8 + i] = sqrt(frame[8 + i])
    else:
        return 0
    return 1


cdef int _measure(object name) except -1:
    try:
        return _MEASURES[name]
    except (KeyError, TypeError):
        raise ValueError(f"measure must be one of {', '.join(_MEASURES)}, not {name!r}") from None


def cosine(KVector a not None, KVector b not None):
    """The cosine of two K-Vectors. About 45 ns.

        >>> round(cosine(KVector(k_r=1, k_s=1), KVector(k_r=0.6, k_s=0, k_a=1)), 12)
        0.707106781187
    """
    return cpu.active.kv.cosine_f64(a.values, b.values, NULL)


def centred(KVector a not None, KVector b not None, mean=0.5):
    """The cosine after `mean` (one number, 8, or a complete K-Vector) is taken from both.

        >>> round(centred(KVector.of([0.75] * 8), KVector.of([0.25] * 8)), 12)
        -1.0
    """
    cdef double frame[16]
    _frame(frame, _CENTRED, mean, None)
    return cpu.active.kv.cosine_f64(a.values, b.values, frame)


def weighted(KVector a not None, KVector b not None, weights):
    """The cosine with a weight (not negative, finite) for each dimension, or 8 of them.

        >>> weighted(KVector(k_r=1, k_a=0.5), KVector(k_r=1, k_a=1), [1, 0, 0, 0, 0, 0, 0, 0])
        1.0
    """
    cdef double frame[16]
    _frame(frame, _WEIGHTED, None, weights)
    return cpu.active.kv.cosine_f64(a.values, b.values, frame)


def euclidean(KVector a not None, KVector b not None):
    """1 minus the root of the mean squared difference.

        >>> euclidean(KVector(k_r=1, k_a=0.5), KVector(k_r=0.5, k_a=0))
        0.5
    """
    return cpu.active.kv.euclidean_f64(a.values, b.values)


cdef int _open_queries(Block *block, object queries) except -1:
    """One K-Vector, or a matrix of them; block.ndim tells."""
    open_block(block, queries, "queries", F64, 1, 2, 8, False)
    if block.columns != 8:
        columns = block.columns
        close_block(block)
        raise ShapeError(f"queries: a K-Vector has 8 values, not {columns}")
    return 0


cdef int _open_rows(Block *block, object rows) except -1:
    open_block(block, rows, "rows", F64, 2, 2, 8, False)
    if block.columns != 8:
        columns = block.columns
        close_block(block)
        raise ShapeError(f"rows: a K-Vector has 8 values, not {columns}")
    return 0


def similarities(queries, rows, measure="cosine", *, mean=None, weights=None, out=None):
    """How alike each query and each row are: float64[n] for one query, float64[m, n] for m.

    `queries` is a K-Vector, float64[8] or float64[m, 8]; `rows` is float64[n, 8], C-contiguous; NaN where
    missing. `measure` is ``cosine``, ``centred`` (with `mean`), ``weighted`` (with `weights`) or
    ``euclidean``. `out` takes the result in place of a new array. 2 to 3 ns a row for one query, less for
    many. The GIL is released. Raises ShapeError, ValueError, TypeError.
    """
    cdef double frame[16]
    cdef int kind = _measure(measure)
    cdef const double *used = frame if _frame(frame, kind, mean, weights) else NULL
    cdef const sophia_kv_kernels *kv = &cpu.active.kv
    cdef Block query
    cdef Block row
    cdef Block result
    _open_queries(&query, queries)
    try:
        _open_rows(&row, rows)
        try:
            shape = (query.rows, row.rows)[2 - query.ndim:]
            if out is None:
                import numpy

                out = numpy.empty(shape, dtype=numpy.float64)
            open_block(&result, out, "out", F64, query.ndim, query.ndim, 8, True)
            try:
                if result.columns != row.rows or result.rows != query.rows:
                    raise ShapeError(f"out: {result.rows} x {result.columns} values where {shape} are needed")
                if (overlap(query.data, <size_t>query.view.len, result.data, <size_t>result.view.len)
                        or overlap(row.data, <size_t>row.view.len, result.data, <size_t>result.view.len)):
                    raise ValueError("out: overlaps the queries or the rows; write into another array")
                with nogil:
                    if kind == _EUCLIDEAN:
                        sophia_kv_euclidean_matrix(
                            kv, <const double *>query.data, query.rows, <const double *>row.data, row.rows,
                            <double *>result.data,
                        )
                    else:
                        sophia_kv_cosine_matrix(
                            kv, <const double *>query.data, query.rows, <const double *>row.data, row.rows,
                            used, <double *>result.data,
                        )
            finally:
                close_block(&result)
        finally:
            close_block(&row)
    finally:
        close_block(&query)
    return out


def top_k(queries, rows, k, measure="cosine", *, mean=None, weights=None):
    """The `k` rows most like each query: (int64 indices, float64 similarities), most similar first.

    Of equally similar rows the earlier comes first. Arguments as in similarities(); the shapes are [k] for
    one query and [m, k] for m, with n in place of k when there are only n < k rows. The GIL is released.

        >>> import numpy
        >>> rows = numpy.array([[0.1] * 8, [0.9] * 4 + [0.1] * 4, [0.9] * 8])
        >>> [part.tolist() for part in top_k(KVector.of([1] * 4 + [0] * 4), rows, 1, "euclidean")]
        [[1], [0.9]]
    """
    import numpy

    cdef double frame[16]
    cdef int kind = _measure(measure)
    cdef const double *used = frame if _frame(frame, kind, mean, weights) else NULL
    cdef const sophia_kv_kernels *kv = &cpu.active.kv
    cdef Block query
    cdef Block row
    cdef Block score
    cdef Block index
    cdef Py_ssize_t wanted = k
    if wanted < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    _open_queries(&query, queries)
    try:
        _open_rows(&row, rows)
        try:
            wanted = min(wanted, row.rows)
            shape = (query.rows, wanted)[2 - query.ndim:]
            scores = numpy.empty(shape, dtype=numpy.float64)
            indices = numpy.empty(shape, dtype=numpy.int64)
            open_block(&score, scores, "scores", F64, 1, 2, 8, True)
            open_block(&index, indices, "indices", I64, 1, 2, 8, True)
            with nogil:
                sophia_kv_top(
                    kv, kind == _EUCLIDEAN, <const double *>query.data, query.rows, <const double *>row.data,
                    row.rows, used, wanted, <double *>score.data, <int64_t *>index.data,
                )
            close_block(&index)
            close_block(&score)
        finally:
            close_block(&row)
    finally:
        close_block(&query)
    return indices, scores


def check_rows(rows):
    """Raises ValueError, naming row and dimension, unless all of float64[n, 8] is in [0, 1] or NaN."""
    cdef Block row
    cdef size_t bad, size
    cdef double value
    _open_rows(&row, rows)
    try:
        size = <size_t>row.rows * 8
        with nogil:
            bad = sophia_kv_first_bad(<const double *>row.data, size)
        if bad < size:
            value = (<const double *>row.data)[bad]
            raise ValueError(f"row {bad // 8}: {NAMES[bad % 8]} must be from 0 to 1 or NaN, not {value}")
    finally:
        close_block(&row)


def _read(data):
    """Reads a float64 buffer once and returns all its words exclusive-or'ed; for the benchmarks."""
    cdef Block block
    cdef uint64_t words
    open_block(&block, data, "data", F64, 1, 2, 8, False)
    with nogil:
        words = cpu.active.kv.read_f64(<const double *>block.data, block.rows * block.columns)
    close_block(&block)
    return words
