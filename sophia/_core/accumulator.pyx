# cython: annotation_typing=False
# (with it, a parameter that is annotated as an int would cut fractions off)
"""Bundles that are still counting: the sums of a vote, before the majority is taken.

A prototype of a class, learned from one example at a time, is such a sum; rounding it to a hypervector after each
example would lose what was counted. Sums are exact int32 and bounded: an addition that could overflow is refused.
"""

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE
from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.stdint cimport int8_t, int64_t
from libc.string cimport memcpy, memset

from sophia._core cimport cpu
from sophia._core.arena cimport HDCArena
from sophia._core.buffer cimport I32, Block, close_block, open_block
from sophia._core.cpu cimport sophia_hv_kernels
from sophia._core.hdc cimport (
    sophia_b1_to_i8,
    sophia_i8_to_b1,
    sophia_magnitude,
)
from sophia._core.rows cimport Rows, check_rows, close_rows, open_rows
from sophia._core.vector cimport (
    SOPHIA_BSC,
    Hypervector,
    Vector,
    alive,
    check_dim,
    is_vector,
    model_code,
    model_name,
    new_vector,
    scratch_give,
    scratch_take,
    whole,
)

from sophia.errors import ShapeError

cdef extern from "hv_sums.h" nogil:
    double sophia_cosine_i32(const int32_t *sums, const int8_t *signs, size_t dim, uint64_t total) noexcept
    double sophia_cosine_i32_i32(const int32_t *a, const int32_t *b, size_t dim, uint64_t total) noexcept

cdef enum:
    MOST_TOTAL = 0x7FFFFFFF
    SHORT = 1 << 14  # components that are added with the GIL


cdef void _add(const Rows *rows, int32_t times, int8_t *signs, int32_t *sums) noexcept nogil:
    """Adds rows to sums; packed ones by way of `signs`, which is NULL for others."""
    cdef const sophia_hv_kernels *kernels = &cpu.active.hv
    cdef size_t i
    for i in range(rows.n):
        if signs == NULL:
            kernels.add_i8(<const int8_t *>(rows.data + i * rows.stride), times, sums, rows.dim)
        else:
            sophia_b1_to_i8(<const uint64_t *>(rows.data + i * rows.stride), signs, rows.dim)
            kernels.add_i8(signs, times, sums, rows.dim)


@cython.final
cdef class Accumulator:
    """The running sum of hypervectors of one model: bits count as +1 (0) and -1 (1).

    `add()` counts vectors in, or out with a negative weight; `bundle()` gives the majority so far, exactly what
    `hdc.bundle` gives for the same inputs and weights; `similarity()` compares without rounding. The buffer is
    int32[dim], read-only. An addition of 10,000 components takes about 0.5 us (MAP) or 2 us (BSC). Not for two
    threads at once.

        >>> from sophia._core import hdc
        >>> prototype = Accumulator()
        >>> for name in ("a", "b", "c"):
        ...     prototype.add(hdc.random(name))
        >>> prototype.bundle() == hdc.bundle(hdc.random("a"), hdc.random("b"), hdc.random("c"))
        True
    """

    def __init__(self, str model="BSC", Py_ssize_t dim=10_000):
        if self.sums != NULL:
            raise TypeError("Accumulator: already initialised")
        check_dim(dim)
        self.model = model_code(model)
        self.dim = <size_t>dim
        self.length = dim
        self.stride = sizeof(int32_t)
        self.sums = <int32_t *>scratch_take(_size(self.dim))
        if self.sums == NULL:
            raise MemoryError(f"Accumulator: no memory for {dim} sums")
        memset(self.sums, 0, _size(self.dim))

    def __dealloc__(self):
        if self.sums != NULL:
            scratch_give(self.sums, _size(self.dim))

    @property
    def dim(self) -> int:
        """Number of components."""
        return self.dim

    @property
    def model(self) -> str:
        """"BSC" or "MAP": of the vectors it takes and gives."""
        return model_name(self.model)

    @property
    def total(self) -> int:
        """The sum of the absolute weights so far, what was taken out counted as well: a bound on every sum."""
        return self.total

    @property
    def count(self) -> int:
        """The sum of the weights: what was added less what was taken out."""
        return self.count

    def add(self, vectors: object, weight: int = 1) -> None:
        """Adds `weight` times one vector, or each of a list or matrix of them.

        Raises ShapeError for another model or dimension or for rows that are no hypervectors, ValueError when
        the total of absolute weights would pass 2^31 - 1, TypeError for a weight that is no whole number. Nothing
        is added then.
        """
        self.tally(vectors, weight, False)

    def subtract(self, vectors: object, weight: int = 1) -> None:
        """Takes vectors out again: `add` with the opposite weight. Sums and bundle are exactly those of before; `total`
        still counts both, as it bounds what the sums may be, and `count` neither."""
        self.tally(vectors, weight, True)

    cdef int tally(self, object vectors, object weight, bint out) except -1:
        cdef Rows rows
        cdef int beyond
        cdef int64_t times
        cdef int8_t *signs = NULL
        _filled(self)
        weight = whole(weight, "weight")
        times = PyLong_AsLongLongAndOverflow(-weight if out else weight, &beyond)
        open_rows(&rows, vectors, "vectors", self.dim)
        try:
            if rows.model != self.model or rows.dim != self.dim:
                raise ShapeError(
                    f"vectors are {model_name(rows.model)} dim={rows.dim}, the accumulator "
                    f"{model_name(self.model)} dim={self.dim}; both must have one model and one dimension"
                )
            check_rows(&rows, "vectors")
            if not rows.n or not weight:
                return 0
            if beyond or sophia_magnitude(times) > (MOST_TOTAL - self.total) // rows.n:
                raise ValueError(f"weight: a total of absolute weights above {MOST_TOTAL} could overflow the sums")
            if rows.model == SOPHIA_BSC:
                signs = <int8_t *>scratch_take(_signs_size(self.dim))
                if signs == NULL:
                    raise MemoryError(f"Accumulator: no memory for {self.dim} components")
            # A few small vectors take less than what it costs to get the GIL back from another thread.
            if rows.n * self.dim <= SHORT:
                _add(&rows, <int32_t>times, signs, self.sums)
            else:
                with nogil:
                    _add(&rows, <int32_t>times, signs, self.sums)
            self.total += sophia_magnitude(times) * rows.n
            self.count += times * <int64_t>rows.n
        finally:
            if signs != NULL:
                scratch_give(signs, _signs_size(self.dim))
            close_rows(&rows)
        return 0

    cdef bint spent(self) noexcept:
        """Whether nothing is left of what was counted."""
        cdef size_t i
        if self.count:
            return False
        for i in range(self.dim):
            if self.sums[i]:
                return False
        return True

    def merge(self, Accumulator other not None) -> None:
        """Adds what another accumulator counted. Raises as add() does."""
        cdef size_t i
        _filled(self)
        _same(self, other)
        if other.total > MOST_TOTAL - self.total:
            raise ValueError(f"merge: a total of absolute weights above {MOST_TOTAL} could overflow the sums")
        for i in range(self.dim):
            self.sums[i] += other.sums[i]
        self.total += other.total
        self.count += other.count

    @staticmethod
    def restore(str model, object sums, total: int) -> Accumulator:
        """The accumulator of which `sums` (int32[dim], copied) is the buffer, and that counted `total` and took nothing
        out. Raises ShapeError for another shape or type, ValueError for sums that no weights of that total have: a sum
        is at most the total, and odd where that is odd."""
        cdef Block block
        cdef Accumulator made
        total = whole(total, "total")
        if not 0 <= total <= MOST_TOTAL:
            raise ValueError(f"total is {total}; it is a whole number from 0 to {MOST_TOTAL}")
        open_block(&block, sums, "sums", I32, 1, 1, 1, False)
        try:
            made = Accumulator(model, block.columns)
            memcpy(made.sums, block.data, made.dim * sizeof(int32_t))
        finally:
            close_block(&block)
        made.total = <uint64_t>total
        made.count = <int64_t>total
        _check_sums(made)
        return made

    def clear(self) -> None:
        """Back to nothing counted."""
        _filled(self)
        memset(self.sums, 0, _size(self.dim))
        self.total = 0
        self.count = 0

    def bundle(self, HDCArena arena=None) -> Hypervector:
        """The majority so far, ties broken as hdc.bundle does. Raises ValueError while nothing is counted, and where
        nothing is left: all sums are zero and as much was taken out as was added."""
        cdef Hypervector result
        cdef int8_t *signs
        _filled(self)
        if not self.total:
            raise ValueError("bundle: of no vectors is not defined; add() at least one")
        if self.spent():
            raise ValueError("bundle: all that was added was taken out again, and the bundle of no vectors is not "
                             "defined; add() at least one")
        result = new_vector(self.model, self.dim, arena)
        if self.model != SOPHIA_BSC:
            cpu.active.hv.sign_i32(self.sums, self.count, <int8_t *>result.data, self.dim)
            return result
        signs = <int8_t *>scratch_take(_signs_size(self.dim))
        if signs == NULL:
            raise MemoryError(f"Accumulator: no memory for {self.dim} components")
        cpu.active.hv.sign_i32(self.sums, self.count, signs, self.dim)
        sophia_i8_to_b1(signs, <uint64_t *>result.data, self.dim)
        scratch_give(signs, _signs_size(self.dim))
        return result

    threshold = bundle      # the field has both words for it

    def similarity(self, other: object) -> float:
        """Cosine of the sums with a vector's components, or with other sums, in [-1, 1]; 0.0 for zero sums."""
        cdef Vector vector
        cdef int8_t *signs
        cdef double cosine
        _filled(self)
        if isinstance(other, Accumulator):
            _same(self, <Accumulator>other)
            return sophia_cosine_i32_i32(self.sums, (<Accumulator>other).sums, self.dim,
                                         max(self.total, (<Accumulator>other).total))
        if not is_vector(other):
            raise TypeError(f"similarity: a {type(other).__name__} is neither a hypervector nor an Accumulator")
        vector = <Vector>other
        alive(vector)
        if vector.model != self.model or vector.dim != self.dim:
            raise ShapeError(
                f"other is {model_name(vector.model)} dim={vector.dim}, the accumulator "
                f"{model_name(self.model)} dim={self.dim}; both must have one model and one dimension"
            )
        if self.model != SOPHIA_BSC:
            return sophia_cosine_i32(self.sums, <const int8_t *>vector.data, self.dim, self.total)
        signs = <int8_t *>scratch_take(_signs_size(self.dim))
        if signs == NULL:
            raise MemoryError(f"Accumulator: no memory for {self.dim} components")
        sophia_b1_to_i8(<const uint64_t *>vector.data, signs, self.dim)
        cosine = sophia_cosine_i32(self.sums, signs, self.dim, self.total)
        scratch_give(signs, _signs_size(self.dim))
        return cosine

    def __getbuffer__(self, Py_buffer *view, int flags):
        _filled(self)
        if flags & PyBUF_WRITABLE:
            raise BufferError("Accumulator: its buffer is read-only; count through add()")
        view.buf = self.sums
        view.len = self.length * self.stride
        view.itemsize = self.stride
        view.readonly = 1
        view.ndim = 1
        view.format = NULL
        if flags & PyBUF_FORMAT:
            view.format = b"i"
        view.shape = &self.length if flags & PyBUF_ND else NULL
        view.strides = &self.stride if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL
        view.obj = self

    def __reduce__(self):
        return _restore, (model_name(self.model), self.dim, self.total, bytes(memoryview(self)), self.count)

    def __repr__(self) -> str:
        return f"<Accumulator {model_name(self.model)} dim={self.dim} total={self.total}>"


cdef size_t _size(size_t dim) noexcept:
    return (dim * sizeof(int32_t) + 63) & ~<size_t>63


cdef size_t _signs_size(size_t dim) noexcept:
    return (dim + 63) & ~<size_t>63


cdef int _filled(Accumulator accumulator) except -1:
    if accumulator.sums == NULL:
        raise TypeError("Accumulator: made by __new__ and never filled; call the class")
    return 0


cdef int _same(Accumulator a, Accumulator b) except -1:
    _filled(b)
    if a.model != b.model or a.dim != b.dim:
        raise ShapeError(
            f"one accumulator is {model_name(a.model)} dim={a.dim}, the other {model_name(b.model)} dim={b.dim}; "
            "both must have one model and one dimension"
        )
    return 0


cdef int _check_sums(Accumulator accumulator) except -1:
    """ValueError unless the sums are those of weights of the total and the count."""
    cdef size_t i
    cdef uint64_t total = accumulator.total, size
    if sophia_magnitude(accumulator.count) > total or (sophia_magnitude(accumulator.count) ^ total) & 1:
        raise ValueError(f"count: {accumulator.count} is not a sum of weights that total {total}")
    for i in range(accumulator.dim):
        size = sophia_magnitude(accumulator.sums[i])
        if size > total or (size ^ total) & 1:
            raise ValueError(f"sums: {accumulator.sums[i]} at {i} is not a sum of weights that total {total}")
    return 0


def _restore(str model, Py_ssize_t dim, total: int, bytes sums, count: int | None = None) -> Accumulator:
    """Unpickles, and checks that the sums are those of a vote of `total`. Without `count` nothing was taken out."""
    cdef Accumulator made = Accumulator.restore(model, memoryview(sums).cast("i"), total)
    if made.dim != <size_t>dim:
        raise ShapeError(f"sums: {made.dim} of them where dim={dim}")
    if count is not None:
        made.count = count
        _check_sums(made)
    return made
