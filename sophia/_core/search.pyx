# cython: annotation_typing=False
# (with it, a parameter that is annotated as an int would cut fractions off)
"""Distances and similarities, one to one, one to many and many to many; the k nearest rows.

A pair of vectors gives a Python number. Anything with a matrix or a list gives a numpy array: [n] for one
against n, [m, n] for m against n. Results are exact integers (or one division from them) and equal at every
SIMD level.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from sophia._core cimport cpu
from sophia._core.buffer cimport F64, I64, U8, U32, U64, Block, close_block, open_block, overlap
from sophia._core.rows cimport (
    Rows,
    check_same,
    check_told,
    close_rows,
    new_array,
    open_operand,
    open_rows,
    refuse_padding,
    told_dim,
)
from sophia._core.vector cimport SOPHIA_BSC, Vector, alive, is_vector, model_name, sophia_padding_mask, whole

from sophia.errors import ShapeError

cdef enum:
    MOST_HITS = 65536
    PAIRS = 1 << 20     # of a query and a row, between two looks for an interrupt


cdef int _check(Vector a, Vector b) except -1:
    alive(a)
    alive(b)
    if a.model != b.model or a.dim != b.dim:
        raise ShapeError(
            f"a is {model_name(a.model)} dim={a.dim}, b is {model_name(b.model)} dim={b.dim}; both must have "
            "one model and one dimension"
        )
    return 0


def hamming(a: object, b: object, *, dim: int | None = None):
    """In how many components two vectors differ: bits, never bytes. int, or uint32 arrays for many.

    A pair of 10,000-bit vectors takes about 75 ns. MAP rows must hold -1 and +1 only (vectors always do; a
    matrix is taken at its word). Raises ShapeError for different models or dimensions.

        >>> from sophia._core.vector import Hypervector
        >>> hamming(Hypervector.from_bytes(bytes(8), 64), Hypervector.from_bytes(b"\\x07" + bytes(7), 64))
        3
    """
    cdef Vector x, y
    if is_vector(a) and is_vector(b):
        x = <Vector>a
        y = <Vector>b
        _check(x, y)
        if dim is not None:
            check_told(x, "a", dim)
        if x.model == SOPHIA_BSC:
            return cpu.active.hv.hamming_b1(<uint64_t *>x.data, <uint64_t *>y.data, x.nbytes // 8)
        return (<int64_t>x.dim - cpu.active.hv.dot_i8(<int8_t *>x.data, <int8_t *>y.data, x.dim)) // 2
    return _matrix(a, b, HAMMING, dim)


def dot(a: object, b: object, *, dim: int | None = None):
    """The sum of products of components, bits counting as +1 (0) and -1 (1): dim - 2 * hamming.

    int, or int64 arrays for many. int8 rows of any values are summed exactly.
    """
    cdef Vector x, y
    if is_vector(a) and is_vector(b):
        x = <Vector>a
        y = <Vector>b
        _check(x, y)
        if dim is not None:
            check_told(x, "a", dim)
        if x.model == SOPHIA_BSC:
            return <int64_t>x.dim - 2 * <int64_t>cpu.active.hv.hamming_b1(
                <uint64_t *>x.data, <uint64_t *>y.data, x.nbytes // 8)
        return cpu.active.hv.dot_i8(<int8_t *>x.data, <int8_t *>y.data, x.dim)
    return _matrix(a, b, DOT, dim)


def similarity(a: object, b: object, *, dim: int | None = None):
    """Cosine, in [-1, 1]: 1 - 2 * hamming / dim for BSC. About 0 for unrelated vectors.

    float, or float64 arrays for many. int8 rows of any values are taken with their norms; a zero norm gives
    0.0.
    """
    cdef Vector x, y
    cdef int64_t product
    if is_vector(a) and is_vector(b):
        x = <Vector>a
        y = <Vector>b
        _check(x, y)
        if dim is not None:
            check_told(x, "a", dim)
        if x.model == SOPHIA_BSC:
            product = <int64_t>x.dim - 2 * <int64_t>cpu.active.hv.hamming_b1(
                <uint64_t *>x.data, <uint64_t *>y.data, x.nbytes // 8)
        else:
            product = cpu.active.hv.dot_i8(<int8_t *>x.data, <int8_t *>y.data, x.dim)
        return <double>product / <double>x.dim
    return _matrix(a, b, SIMILARITY, dim)


cosine = similarity     # the same thing in both models: components are +-1


def greatest_similarity(Vector vector not None, list others not None) -> float:
    """The similarity with the most similar of `others`; -1.0 where there is none. Keeps the GIL and makes no array: for
    some dozens of small vectors, at about 12 ns each.

        >>> from sophia._core.vector import Hypervector
        >>> one, other = (Hypervector.from_bytes(bytes([byte]) * 8, 64) for byte in (0, 255))
        >>> greatest_similarity(one, [other, one, other])
        1.0
    """
    cdef double best = -1.0, found
    cdef Vector one
    cdef object other
    cdef int64_t product
    for other in others:
        one = <Vector?>other
        _check(vector, one)
        if vector.model == SOPHIA_BSC:
            product = <int64_t>vector.dim - 2 * <int64_t>cpu.active.hv.hamming_b1(
                <uint64_t *>vector.data, <uint64_t *>one.data, vector.nbytes // 8)
        else:
            product = cpu.active.hv.dot_i8(<int8_t *>vector.data, <int8_t *>one.data, vector.dim)
        found = <double>product / <double>vector.dim
        if found > best:
            best = found
    return best


cdef str _score_dtype(int measure):
    return "uint32" if measure == HAMMING else "int64" if measure == DOT else "float64"


cdef object _matrix(object a, object b, int measure, object dim):
    cdef Rows x, y
    cdef Block target
    cdef size_t told = told_dim(dim, a, b)
    cdef uint64_t dirty = 0
    cdef object out, shape
    cdef uint32_t *counts = NULL
    cdef int64_t *norms = NULL
    cdef const sophia_hv_kernels *kernels = &cpu.active.hv
    open_operand(&x, a, "a", dim, told)
    try:
        open_operand(&y, b, "b", dim, told)
        try:
            check_same(&x, &y, "a", "b")
            if x.model == SOPHIA_BSC and not x.vector:
                refuse_padding(&x, "a")
            shape = [x.n, y.n] if x.matrix and y.matrix else [x.n * y.n]
            out = new_array(shape, _score_dtype(measure))
            open_block(&target, out, "out", U32 | I64 | F64, 1, 2, 4, True)
            try:
                counts = <uint32_t *>malloc(y.n * sizeof(uint32_t) + 1)
                norms = <int64_t *>malloc(y.n * sizeof(int64_t) + 1)
                if counts == NULL or norms == NULL:
                    raise MemoryError(f"no memory for the distances of {y.n} rows")
                with nogil:
                    dirty = _fill(kernels, &x, &y, measure, target.data, counts, norms)
            finally:
                free(counts)
                free(norms)
                close_block(&target)
            if dirty:
                refuse_padding(&y, "b")
            return out if x.matrix or y.matrix else out[0].item()
        finally:
            close_rows(&y)
    finally:
        close_rows(&x)


cdef uint64_t _fill(const sophia_hv_kernels *kernels, const Rows *x, const Rows *y, int measure, char *out,
                    uint32_t *counts, int64_t *norms) noexcept nogil:
    """out[i, j] = the measure of row i of x and row j of y. Nonzero when a padding bit of y is set."""
    cdef uint64_t padding[8]
    cdef uint64_t dirty = 0
    cdef size_t i, j
    cdef int64_t product, own = 0
    cdef int64_t dim = <int64_t>x.dim
    cdef const uint8_t *row
    cdef const int8_t *one
    cdef const int8_t *two
    if x.model == SOPHIA_BSC:
        sophia_padding_mask(x.dim, padding)
        for i in range(x.n):
            row = x.data + i * x.stride
            dirty |= kernels.hamming_rows_b1(<const uint64_t *>row, <const uint64_t *>y.data, y.n,
                                             x.stride // 8, padding, counts)
            for j in range(y.n):
                if measure == HAMMING:
                    (<uint32_t *>out)[i * y.n + j] = counts[j]
                elif measure == DOT:
                    (<int64_t *>out)[i * y.n + j] = dim - 2 * <int64_t>counts[j]
                else:
                    (<double *>out)[i * y.n + j] = <double>(dim - 2 * <int64_t>counts[j]) / <double>dim
        return dirty
    if measure == SIMILARITY:
        for j in range(y.n):
            two = <const int8_t *>(y.data + j * y.stride)
            norms[j] = kernels.dot_i8(two, two, y.dim)
    for i in range(x.n):
        one = <const int8_t *>(x.data + i * x.stride)
        if measure == SIMILARITY:
            own = kernels.dot_i8(one, one, x.dim)
        for j in range(y.n):
            two = <const int8_t *>(y.data + j * y.stride)
            product = kernels.dot_i8(one, two, x.dim)
            if measure == HAMMING:
                (<uint32_t *>out)[i * y.n + j] = <uint32_t>((dim - product) // 2)
            elif measure == DOT:
                (<int64_t *>out)[i * y.n + j] = product
            else:
                (<double *>out)[i * y.n + j] = sophia_cosine_of(product, own, norms[j])
    return 0


cdef sophia_top *new_tops(size_t queries, size_t room) except NULL:
    cdef size_t q
    cdef sophia_top *tops = <sophia_top *>malloc(queries * (sizeof(sophia_top) + room * sizeof(sophia_hit)))
    if tops == NULL:
        raise MemoryError(f"no memory for {queries} times {room} hits")
    for q in range(queries):
        tops[q].hits = <sophia_hit *>(tops + queries) + q * room
        tops[q].room = room
        tops[q].count = 0
    return tops


cdef tuple answer(const sophia_top *tops, size_t queries, bint matrix, int measure):
    cdef Block scores, numbers
    cdef size_t q, i, k = tops[0].count
    cdef object shape = [queries, k] if matrix else [k]
    cdef object first = new_array(shape, _score_dtype(measure))
    cdef object second = new_array(shape, "int64")
    open_block(&scores, first, "scores", U32 | I64 | F64, 1, 2, 4, True)
    try:
        open_block(&numbers, second, "rows", I64, 1, 2, 8, True)
        for q in range(queries):
            for i in range(k):
                (<int64_t *>numbers.data)[q * k + i] = <int64_t>tops[q].hits[i].row
                if measure == HAMMING:
                    (<uint32_t *>scores.data)[q * k + i] = <uint32_t>tops[q].hits[i].order
                elif measure == DOT:
                    (<int64_t *>scores.data)[q * k + i] = -tops[q].hits[i].order
                else:
                    (<double *>scores.data)[q * k + i] = sophia_score_of(tops[q].hits[i].order)
        close_block(&numbers)
    finally:
        close_block(&scores)
    return first, second


cdef size_t take_k(object k, size_t n) except 0:
    k = whole(k, "k")
    if k < 1 or k > MOST_HITS:
        raise ValueError(f"k: {k} is outside 1..{MOST_HITS}")
    if n == 0:
        raise ValueError("rows: nothing to search in; give at least one row")
    return min(<size_t>k, n)


def topk(query: object, rows: object, k: int = 10, *, metric: str | None = None, dim: int | None = None):
    """The k nearest rows of a matrix: (scores, row numbers), best first; equal scores in row order.

    `query` is one vector ([k] arrays) or a matrix or list of them ([m, k] arrays; all share one pass over the
    rows). `rows` is a matrix (numpy, a memory map, an Arrow buffer) or a list of vectors. BSC: `metric`
    "hamming", scores uint32 distances, rising. MAP: "cosine" (float64, falling, 0.0 for a zero norm) or "dot"
    (int64); int8 rows of any values. With fewer than k rows all come back.

    Exact. A packed scan runs at the speed of memory: about 43 ms for a million rows of 1,280 bytes, one
    thread. Raises ShapeError for different models or dimensions, or for a padding bit in a row or query.

        >>> from sophia._core.hdc import random, random_rows
        >>> codebook = random_rows(100, "items")
        >>> scores, rows = topk(random("items", 42), codebook, 1)
        >>> int(scores[0]), int(rows[0])
        (0, 42)
    """
    cdef Rows x, y
    cdef uint64_t padding[8]
    cdef size_t told = told_dim(dim, query, rows), room, q, first = 0, step
    cdef uint64_t dirty = 0
    cdef int measure
    cdef int64_t *norms = NULL
    cdef sophia_top *tops = NULL
    cdef const sophia_hv_kernels *kernels = &cpu.active.hv
    open_operand(&x, query, "query", dim, told)
    try:
        open_operand(&y, rows, "rows", dim, told)
        try:
            check_same(&x, &y, "query", "rows")
            measure = _measure(metric, x.model)
            room = take_k(k, y.n)
            if x.n == 0:
                raise ValueError("query: no rows; give at least one")
            tops = new_tops(x.n, room)
            # so many share a pass over the rows, and so often an interrupt is seen: within a second for a million rows
            step = <size_t>PAIRS // (y.n + 1) // 64 * 64 + 64
            if x.model == SOPHIA_BSC:
                sophia_padding_mask(x.dim, padding)
                while first < x.n:
                    with nogil:
                        dirty |= sophia_scan_b1(kernels, <const uint64_t *>(x.data + first * x.stride),
                                                min(step, x.n - first), <const uint64_t *>y.data, y.n,
                                                x.stride // 8, padding, tops + first)
                    first += step
                    PyErr_CheckSignals()
                if not x.vector:
                    refuse_padding(&x, "query")
                if dirty:
                    refuse_padding(&y, "rows")
            else:
                if measure == SIMILARITY:
                    norms = <int64_t *>malloc(x.n * sizeof(int64_t))
                    if norms == NULL:
                        raise MemoryError(f"no memory for the norms of {x.n} queries")
                    for q in range(x.n):
                        norms[q] = kernels.dot_i8(<const int8_t *>(x.data + q * x.stride),
                                                  <const int8_t *>(x.data + q * x.stride), x.dim)
                while first < x.n:
                    with nogil:
                        sophia_scan_i8(kernels, <const int8_t *>(x.data + first * x.stride), min(step, x.n - first),
                                       <const int8_t *>y.data, y.n, x.dim, NULL if norms == NULL else norms + first,
                                       tops + first)
                    first += step
                    PyErr_CheckSignals()
            for q in range(x.n):
                sophia_top_sort(&tops[q])
            return answer(tops, x.n, x.matrix, measure)
        finally:
            free(tops)
            free(norms)
            close_rows(&y)
    finally:
        close_rows(&x)


cdef int _measure(object metric, int model) except -1:
    if model == SOPHIA_BSC:
        if metric is None or metric == "hamming":
            return HAMMING
        raise ValueError(f"metric: {metric!r} is not for BSC rows; use 'hamming'")
    if metric is None or metric == "cosine":
        return SIMILARITY
    if metric == "dot":
        return DOT
    raise ValueError(f"metric: {metric!r} is not for int8 rows; use 'cosine' or 'dot'")


def sketch(rows: object, out: object = None, *, dim: int | None = None):
    """The first 1,024 bits of each packed row as one contiguous column: uint8[n, 128], for topk_sketch().

    Raises ShapeError for MAP rows or fewer than 1,024 bits, ValueError where `out` overlaps the rows.
    """
    cdef Rows y
    cdef Block target
    cdef size_t i
    open_operand(&y, rows, "rows", dim, told_dim(dim, rows, None))
    try:
        if y.model != SOPHIA_BSC or y.dim < 64 * SOPHIA_SKETCH_WORDS:
            raise ShapeError(f"rows: {model_name(y.model)} dim={y.dim} has no sketch; it needs 1,024 packed "
                             "bits")
        if out is None:
            out = new_array((y.n, 128), "uint8")
        open_block(&target, out, "out", U8, 2, 2, 1, True)
        try:
            if <size_t>target.rows != y.n or target.columns != 128:
                raise ShapeError(f"out: needs [{y.n}, 128] bytes, given [{target.rows}, {target.columns}]")
            if overlap(y.data, y.n * y.stride, target.data, y.n * 128):
                raise ValueError("out: overlaps the rows; write the sketches into another array")
            with nogil:
                for i in range(y.n):
                    memcpy(target.data + i * 128, y.data + i * y.stride, 128)
        finally:
            close_block(&target)
        return out
    finally:
        close_rows(&y)


def topk_sketch(Vector query not None, rows: object, sketches: object, k: int = 10, *, limit: int | None = None):
    """As topk() for one BSC query, through the column of sketch(rows): (distances, row numbers, rows
    compared).

    All sketches are scanned (a tenth of the bytes), then every row is compared exactly whose sketch could
    belong to one of the k nearest: each of them is missed with a probability below 1 in 2,000, provided that
    the first 1,024 bits differ as the others do (true for random, bound, bundled and permuted vectors; not
    for level encodings). The number compared follows from the data; when sketches do not separate the rows
    (all nearly equally far), every row is compared, the answer is exact and no faster than topk().

    `limit` is a distance beyond which rows are of no interest, such as that of the k-th nearest of other rows: what is
    farther need not be found, and costs less. 0 looks only at the rows whose sketches are nearest.

        >>> from sophia._core.hdc import random, random_rows
        >>> codebook = random_rows(1000, "items")
        >>> topk_sketch(random("items", 42), codebook, sketch(codebook), 1)[1].tolist()
        [42]
    """
    cdef Rows x, y
    cdef int64_t farthest = <int64_t>query.dim
    if limit is not None:
        farthest = <int64_t>max(0, min(whole(limit, "limit"), query.dim))
    open_rows(&y, rows, "rows", query.dim)
    try:
        open_rows(&x, query, "query", 0)        # the query is held as long as the rows are scanned
        try:
            return _through(&x, &y, sketches, k, farthest)
        finally:
            close_rows(&x)
    finally:
        close_rows(&y)


cdef tuple _through(const Rows *x, const Rows *y, object sketches, object k, int64_t farthest):
    """What topk_sketch() gives."""
    cdef Block column
    cdef uint64_t padding[8]
    cdef uint64_t dirty = 0
    cdef size_t room, seeds, compared = 0
    cdef uint32_t *leasts = NULL
    cdef sophia_hit *first = NULL
    cdef sophia_hit *within = NULL
    cdef sophia_top *tops = NULL
    cdef const sophia_hv_kernels *kernels = &cpu.active.hv
    if y.model != x.model or y.dim != x.dim:
        raise ShapeError(f"query is {model_name(x.model)} dim={x.dim}, rows are "
                         f"{model_name(y.model)} dim={y.dim}; both must have one model and one dimension")
    if y.model != SOPHIA_BSC or y.dim < 64 * SOPHIA_SKETCH_WORDS:
        raise ShapeError(f"rows: {model_name(y.model)} dim={y.dim} has no sketch; it needs 1,024 packed "
                         "bits")
    open_block(&column, sketches, "sketches", U8 | U64, 2, 2, 8, False)
    try:
        if <size_t>column.rows != y.n or column.columns * column.itemsize != 128:
            raise ShapeError(
                f"sketches: [{column.rows}, {column.columns * column.itemsize}] bytes where [{y.n}, 128] "
                "are needed; make them with sketch(rows)"
            )
        room = take_k(k, y.n)
        tops = new_tops(1, room)
        seeds = max(room, SOPHIA_SKETCH_FIRST)
        first = <sophia_hit *>malloc(seeds * sizeof(sophia_hit))
        leasts = <uint32_t *>malloc((y.n // SOPHIA_BLOCK_ROWS + 1) * sizeof(uint32_t))
        within = <sophia_hit *>malloc((y.n // 8 + SOPHIA_SKETCH_FIRST) * sizeof(sophia_hit))
        if first == NULL or leasts == NULL or within == NULL:
            raise MemoryError(f"topk_sketch: no memory for the distances of {y.n} rows")
        sophia_padding_mask(y.dim, padding)
        with nogil:
            compared = sophia_scan_sketch(
                kernels, <const uint64_t *>x.data, <const uint64_t *>column.data,
                <const uint64_t *>y.data, y.n, y.dim, padding, leasts, first, within, tops, farthest, &dirty)
        if dirty:
            refuse_padding(y, "rows")
        sophia_top_sort(tops)
        scores, numbers = answer(tops, 1, False, HAMMING)
        return scores, numbers, compared
    finally:
        free(tops)
        free(first)
        free(within)
        free(leasts)
        close_block(&column)


def read_pass(source: object) -> int:
    """Reads a uint8 or uint64 buffer once and returns the exclusive or of its words: the limit of any scan.

    For benchmarks: 64-byte loads into four accumulators at the active SIMD level, nothing else.
    """
    cdef Block block
    cdef uint64_t total
    cdef const sophia_hv_kernels *kernels = &cpu.active.hv
    open_block(&block, source, "source", U8 | U64, 1, 2, 8, False)
    try:
        with nogil:
            total = kernels.read_b1(<const uint64_t *>block.data, <size_t>(block.view.len // 8))
        return total
    finally:
        close_block(&block)
