# cython: annotation_typing=False
# (with it, a parameter that is annotated as an int would cut fractions off)
# Over 600 lines: the operations on vectors and matrices, which share operands, places of results and the vote.
"""Hyperdimensional computing: bind, bundle, permute, random vectors; distances and top-k come from `search`.

Words and argument order are those of torchhd: `bind(a, b)`, `bundle(a, b)`, `permute(a, shifts)`. Every
operation takes hypervectors (Hypervector or SharedVector) and gives one, or takes a matrix of rows and gives
a matrix. No operation changes an input; `out=` names the one vector or array that is written. `arena=`
borrows the result from an HDCArena. The GIL is released for whatever is longer than about a microsecond.
"""

from cpython.buffer cimport PyObject_CheckBuffer
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.number cimport PyIndex_Check
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from sophia._core cimport cpu
from sophia._core.arena cimport HDCArena
from sophia._core.buffer cimport I8, I16, I32, I64, U8, U16, U32, U64, Block, close_block, open_block, overlap
from sophia._core.rows cimport (
    Rows,
    check_rows,
    check_same,
    check_told,
    close_rows,
    new_array,
    new_rows,
    open_operand,
    own_rows,
    taken,
    told_dim,
)
from sophia._core.vector cimport (
    SOPHIA_BSC,
    SOPHIA_MAP,
    Hypervector,
    Vector,
    alive,
    hold,
    is_vector,
    let_go,
    model_code,
    model_name,
    new_vector,
    result_for,
    scratch_give,
    scratch_take,
    sophia_row_bytes,
    take_dim,
    whole,
)

from sophia._core.search import cosine, dot, hamming, read_pass, similarity, sketch, topk, topk_sketch
from sophia.errors import ShapeError

__all__ = [
    "bind", "bundle", "convert", "cosine", "dot", "hamming", "identity", "inverse", "permute", "permute_pass",
    "random", "random_rows", "random_words", "read_pass", "similarity", "sketch", "topk", "topk_sketch", "unbind",
]

cdef extern from "hash.h" nogil:
    ctypedef struct sophia_hash128:
        uint64_t low
    sophia_hash128 sophia_hash_bytes(const void *data, size_t size, uint64_t key) noexcept
    uint64_t sophia_mix64(uint64_t x) noexcept

cdef extern from "numbers.h" nogil:
    uint64_t sophia_number_at(const unsigned char *data, size_t i, unsigned width, bint signs) noexcept

# Work of more bytes than this runs without the GIL; giving it up and taking it back costs about 50 ns.
cdef enum:
    NOGIL_BYTES = 65536
    MOST_TOTAL = 0x7FFFFFFF
    MOST_WORDS = 1 << 28

cdef uint64_t _NAMED = 0x5D0C6B1D8E3F2A97       # keys that keep names and numbers apart
cdef uint64_t _NUMBERED = 0xA24BAED4963EE407


cdef int check_pair(Vector a, Vector b, str name_a, str name_b) except -1:
    alive(a)
    alive(b)
    if a.model != b.model or a.dim != b.dim:
        raise ShapeError(
            f"{name_a} is {model_name(a.model)} dim={a.dim}, {name_b} is {model_name(b.model)} dim={b.dim}; "
            "both must have one model and one dimension"
        )
    return 0


cdef Hypervector _result(Vector like, object out, HDCArena arena):
    """Where a single result goes: `out` checked, or a new vector."""
    return result_for(like.model, like.dim, out, arena)


cdef int _open_out(Block *block, const Rows *like, size_t n, bint matrix, object out) except -1:
    cdef bint signs = like.model == SOPHIA_MAP
    cdef size_t width = like.dim if signs else sophia_row_bytes(SOPHIA_BSC, like.dim)
    open_block(block, out, "out", I8 if signs else U8 | U64, 1, 2, 1 if signs else 8, True)
    cdef size_t given = <size_t>(block.columns * block.itemsize)
    if given != width or <size_t>block.rows != n or (block.ndim == 2) != matrix:
        close_block(block)
        raise ShapeError(
            f"out: needs {str(n) + ' rows' if matrix else 'one row'} of {width} bytes for dim={like.dim}, "
            f"given {block.rows} of {block.columns * block.itemsize}"
        )
    return 0


def bind(a: object, b: object, out: object = None, HDCArena arena=None, *, dim: int | None = None):
    """The elementwise product: exclusive or of bits (BSC), product of signs (MAP). Its own inverse.

    Two vectors give a Hypervector; about 50 ns for 10,000 bits with `out=`, one allocation from the pool
    without. With a matrix, each of its rows is bound to the vector, or to the same row of another matrix, and
    a numpy array of the matrix's dtype comes back (or `out`, which may be an input or lie in one). Raises
    ShapeError for different models, dimensions or numbers of rows, or rows that are no hypervectors.

        >>> a, b = random("a"), random("b")
        >>> unbind(bind(a, b), b) == a
        True
    """
    cdef Vector x, y
    cdef Hypervector result
    if not (is_vector(a) and is_vector(b)):
        return _bind_rows(a, b, out, arena, dim)
    x = <Vector>a
    y = <Vector>b
    check_pair(x, y, "a", "b")
    if dim is not None:
        check_told(x, "a", dim)
    result = _result(x, out, arena)
    if x.model == SOPHIA_BSC:
        cpu.active.hv.bind_b1(<uint64_t *>x.data, <uint64_t *>y.data, <uint64_t *>result.data, x.nbytes // 8)
    else:
        cpu.active.hv.bind_i8(<int8_t *>x.data, <int8_t *>y.data, <int8_t *>result.data, x.dim)
    return result


unbind = bind       # both models are self-inverse: what was bound once is bound away again


cdef int _apart(Rows *rows, const Block *target, size_t size, str name) except -1:
    """Copies an operand of which a row could be written before it is read for the last time. The very rows that
    are written need no copy: each is read just before."""
    if rows.data == <const uint8_t *>target.data and rows.n * rows.stride == size:
        return 0
    if overlap(rows.data, rows.n * rows.stride, target.data, size):
        own_rows(rows, name)
    return 0


cdef object _bind_rows(object a, object b, object out, HDCArena arena, object dim):
    cdef Rows x, y
    cdef Block target
    cdef size_t i, n, width, told
    cdef bint matrix
    cdef const sophia_hv_kernels *kernels = &cpu.active.hv
    if arena is not None:
        raise ValueError("arena: holds single hypervectors; pass out= for a matrix")
    told = told_dim(dim, a, b)
    open_operand(&x, a, "a", dim, told)
    try:
        open_operand(&y, b, "b", dim, told)
        try:
            check_same(&x, &y, "a", "b")
            matrix = x.matrix or y.matrix
            n = x.n if x.matrix else y.n
            if x.matrix and y.matrix and x.n != y.n:
                raise ShapeError(f"a has {x.n} rows, b has {y.n}; give one row, or as many")
            check_rows(&x, "a")
            check_rows(&y, "b")
            if out is None:
                out = new_rows(&y if x.vector else &x, n, matrix)
            _open_out(&target, &x, n, matrix, out)
            try:
                width = <size_t>(target.columns * target.itemsize)
                _apart(&x, &target, n * width, "a")
                _apart(&y, &target, n * width, "b")
                with nogil:
                    for i in range(n):
                        if x.model == SOPHIA_BSC:
                            kernels.bind_b1(<const uint64_t *>(x.data + (i * x.stride if x.matrix else 0)),
                                            <const uint64_t *>(y.data + (i * y.stride if y.matrix else 0)),
                                            <uint64_t *>(target.data + i * width), width // 8)
                        else:
                            kernels.bind_i8(<const int8_t *>(x.data + (i * x.stride if x.matrix else 0)),
                                            <const int8_t *>(y.data + (i * y.stride if y.matrix else 0)),
                                            <int8_t *>(target.data + i * width), width)
            finally:
                close_block(&target)
            return out
        finally:
            close_rows(&y)
    finally:
        close_rows(&x)


def inverse(Vector a not None, out: object = None, HDCArena arena=None):
    """The vector that undoes a binding with `a`: `a` itself in both models, as a new Hypervector.

        >>> bind(bind(random("a"), random("b")), inverse(random("b"))) == random("a")
        True
    """
    alive(a)
    cdef Hypervector result = _result(a, out, arena)
    if result is not a:
        memcpy(result.data, a.data, a.nbytes)
    return result


def permute(a: object, shifts: int = 1, out: object = None, HDCArena arena=None, *, dim: int | None = None):
    """Rotates the components: component i goes to place (i + shifts) mod dim; any shift of either sign.

    About 100 ns for 10,000 bits. A matrix is rotated row by row into a numpy array. `out` may be the input of
    a single vector, but not overlap an input matrix. TypeError for a shift that is no whole number.

        >>> permute(permute(random("a"), 7), -7) == random("a")
        True
    """
    cdef Vector x
    cdef Hypervector result
    cdef void *copy
    cdef size_t shift
    if not is_vector(a):
        return _permute_rows(a, whole(shifts, "shifts"), out, arena, dim, 1)
    x = <Vector>a
    shift = _shift(shifts, x.dim)
    alive(x)
    if dim is not None:
        check_told(x, "a", dim)
    result = _result(x, out, arena)
    if result is not x:
        _rotate(&cpu.active.hv, x.model, x.data, result.data, x.dim, shift)
        return result
    copy = scratch_take(x.nbytes)
    if copy == NULL:
        raise MemoryError(f"permute: no memory for {x.nbytes} bytes")
    memcpy(copy, x.data, x.nbytes)
    _rotate(&cpu.active.hv, x.model, <uint8_t *>copy, result.data, x.dim, shift)
    scratch_give(copy, x.nbytes)
    return result


cdef size_t _shift(object shifts, size_t dim) except? 0:
    return <size_t>(whole(shifts, "shifts") % dim)


cdef void _rotate(const sophia_hv_kernels *kernels, int model, const uint8_t *source, uint8_t *out,
                  size_t dim, size_t shift) noexcept nogil:
    if model == SOPHIA_BSC:
        kernels.rotate_rows_b1(<const uint64_t *>source, 0, <uint64_t *>out, 0, 1, dim, shift)
    else:
        sophia_rotate_i8(<const int8_t *>source, <int8_t *>out, dim, shift)


cdef void _rotate_all(const sophia_hv_kernels *kernels, const Rows *x, uint8_t *out, size_t width,
                      size_t shift) noexcept nogil:
    cdef const uint8_t *rows = x.data
    cdef size_t i, n = x.n, stride = x.stride, dim = x.dim
    if x.model == SOPHIA_BSC:
        kernels.rotate_rows_b1(<const uint64_t *>rows, stride // 8, <uint64_t *>out, width // 8, n, dim, shift)
    else:
        for i in range(n):
            sophia_rotate_i8(<const int8_t *>(rows + i * stride), <int8_t *>(out + i * width), dim, shift)


cdef void _copy_all(const Rows *x, uint8_t *out, size_t width) noexcept nogil:
    cdef const uint8_t *rows = x.data
    cdef size_t i, n = x.n, stride = x.stride
    for i in range(n):
        memcpy(out + i * width, rows + i * stride, width)


def permute_pass(rows: object, shifts: int | None, out: object, times: int = 1, *, dim: int | None = None) -> None:
    """permute(rows, shifts, out) `times` times over; where `shifts` is None each row is copied with memcpy().

    For benchmarks: the loop is the same for both, and a copy is the limit of any permutation. Raises what permute()
    does.
    """
    _permute_rows(rows, shifts, out, None, dim, <size_t>whole(times, "times"))


cdef object _permute_rows(object a, object shifts, object out, HDCArena arena, object dim, size_t times):
    cdef Rows x
    cdef Block target
    cdef size_t width, shift
    cdef bint turned = shifts is not None
    cdef const sophia_hv_kernels *kernels = &cpu.active.hv
    if arena is not None:
        raise ValueError("arena: holds single hypervectors; pass out= for a matrix")
    open_operand(&x, a, "a", dim, told_dim(dim, a, None))
    try:
        check_rows(&x, "a")
        shift = _shift(shifts, x.dim) if turned else 0
        if out is None:
            out = new_rows(&x, x.n, x.matrix)
        _open_out(&target, &x, x.n, x.matrix, out)
        width = <size_t>(target.columns * target.itemsize)
        try:
            if overlap(x.data, x.n * x.stride, target.data, x.n * width):
                raise ValueError("out: overlaps the input; permute into another array")
            with nogil:
                for _ in range(times):
                    if turned:
                        _rotate_all(kernels, &x, <uint8_t *>target.data, width, shift)
                    else:
                        _copy_all(&x, <uint8_t *>target.data, width)
        finally:
            close_block(&target)
        return out
    finally:
        close_rows(&x)


def bundle(*vectors: object, weights: object = None, out: object = None, HDCArena arena=None,
           dim: int | None = None) -> Hypervector:
    """The majority of all inputs, in one vote: what is similar to each of them.

    `bundle(a, b, ...)`, `bundle([a, b, ...])` of vectors, or `bundle(matrix)` of rows. `weights` are
    integers, one an input (an array of any integer dtype, or anything that gives them one by one); a weight of w
    counts as w copies, a negative one as copies of the opposite vector; their absolute sum is at most 2^31 - 1.
    Sums are exact whatever the number of inputs.

    A tie (possible when the total weight is even) is broken by bits that are hashed from the counts of the
    votes (see include/ties.h): the result does not depend on the order of the inputs, favours none
    of them, is the same on every machine, and unrelated bundles get unrelated bits. No input is ValueError.

    Cost: about 1.3 us for 100 packed rows of 10,000 bits in the second cache (Harley-Seal bit-sliced
    counters).

        >>> parts = [random(i) for i in range(5)]
        >>> bundle(parts) == bundle(reversed(parts))
        True
    """
    cdef object source = vectors
    if len(vectors) == 1:
        source = vectors[0]
        if is_vector(source):
            source = vectors
        elif not isinstance(source, (list, tuple)):
            if PyObject_CheckBuffer(source):
                return _bundle_matrix(source, weights, out, arena, dim)
            source = tuple(source)
    return _bundle_list(taken(source), weights, out, arena, dim)


cdef int64_t *_take_weights(object weights, size_t n, uint64_t *total) except? NULL:
    """The weights as a block of the caller's to free(), NULL for none, and the sum of their absolute
    values. May run any Python code: what is borrowed is borrowed afterwards."""
    cdef int64_t *values
    cdef size_t i
    if weights is None:
        if n > MOST_TOTAL:
            raise ValueError(f"bundle: {n} votes exceed {MOST_TOTAL}")
        total[0] = n
        return NULL
    values = <int64_t *>malloc((n if n else 1) * sizeof(int64_t))
    if values == NULL:
        raise MemoryError(f"bundle: no memory for {n} weights")
    try:
        if PyObject_CheckBuffer(weights):
            _weights_of_array(weights, n, values)
        else:
            _weights_of_all(taken(weights) if isinstance(weights, (list, tuple)) else tuple(weights), n, values)
        total[0] = 0
        for i in range(n):
            total[0] += sophia_magnitude(values[i])
            if total[0] > MOST_TOTAL:
                raise ValueError(f"weights: their absolute sum exceeds {MOST_TOTAL}; scale them down")
        if total[0] == 0:
            raise ValueError("bundle: every weight is zero, which leaves no vote")
    except BaseException:
        free(values)
        raise
    return values


cdef int _weights_of_array(object weights, size_t n, int64_t *values) except -1:
    cdef Block block
    cdef size_t i
    cdef unsigned width
    cdef bint signs
    cdef uint64_t number
    open_block(&block, weights, "weights", U8 | I8 | U16 | I16 | U32 | I32 | U64 | I64, 1, 1, 1, False)
    try:
        _check_count(<size_t>block.columns, n)
        width = <unsigned>block.itemsize
        signs = block.dtype & (I8 | I16 | I32 | I64) != 0
        for i in range(n):
            number = sophia_number_at(<const unsigned char *>block.data, i, width, signs)
            values[i] = <int64_t>number
            if sophia_magnitude(values[i]) > MOST_TOTAL or (values[i] < 0 and not signs):
                shown = f"{values[i]}" if signs else f"{number}"
                raise ValueError(f"weights: element {i} is {shown}, beyond +-{MOST_TOTAL}")
    finally:
        close_block(&block)
    return 0


cdef int _weights_of_all(tuple weights, size_t n, int64_t *values) except -1:
    cdef size_t i = 0
    cdef int beyond
    _check_count(<size_t>len(weights), n)
    for weight in weights:
        if isinstance(weight, (bool, float)) or not PyIndex_Check(weight):
            raise TypeError(f"weights: element {i} is a {type(weight).__name__}; weights are integers")
        number = whole(weight, f"weights: element {i}")
        values[i] = PyLong_AsLongLongAndOverflow(number, &beyond)
        if beyond or sophia_magnitude(values[i]) > MOST_TOTAL:
            raise ValueError(f"weights: element {i} is {number}, beyond +-{MOST_TOTAL}")
        i += 1
    return 0


cdef int _check_count(size_t given, size_t n) except -1:
    if given != n:
        raise ShapeError(f"weights: {given} of them for {n} vectors; give one each")
    return 0


cdef int _vote(const sophia_voters *voters, int model, uint8_t *out, size_t dim) except -1:
    """Runs the vote; without the GIL when it is long. Raises MemoryError."""
    cdef const sophia_hv_kernels *kernels = &cpu.active.hv
    cdef size_t size = sophia_bundle_scratch(voters, model, dim)
    cdef void *scratch = NULL
    if size:
        scratch = scratch_take(size)
        if scratch == NULL:
            raise MemoryError(f"bundle: no memory for {size} bytes of counters")
    if voters.n * sophia_row_bytes(model, dim) > NOGIL_BYTES * 4:
        with nogil:
            _run_vote(kernels, voters, model, out, dim, scratch)
    else:
        _run_vote(kernels, voters, model, out, dim, scratch)
    if size:
        scratch_give(scratch, size)
    return 0


cdef void _run_vote(const sophia_hv_kernels *kernels, const sophia_voters *voters, int model, uint8_t *out,
                    size_t dim, void *scratch) noexcept nogil:
    if model == SOPHIA_BSC:
        sophia_bundle_b1(kernels, voters, <uint64_t *>out, dim, <uint64_t *>scratch)
    else:
        sophia_bundle_i8(kernels, voters, <int8_t *>out, dim, <int32_t *>scratch)


cdef Hypervector _bundle_matrix(object source, object weights, object out, HDCArena arena, object dim):
    cdef Rows rows
    cdef sophia_voters voters
    cdef Hypervector result
    cdef int64_t *values = NULL
    open_operand(&rows, source, "vectors", dim, told_dim(dim, out, None))
    try:
        if not rows.matrix:
            raise ShapeError("vectors: one row is not a bundle; give a matrix [n, row], or several "
                             "hypervectors")
        if rows.n == 0:
            raise ValueError("bundle: of no rows is not defined; give at least one")
        values = _take_weights(weights, rows.n, &voters.total)
        check_rows(&rows, "vectors")
        result = result_for(rows.model, rows.dim, out, arena)
        voters.list = NULL
        voters.base = rows.data
        voters.stride = rows.stride
        voters.n = rows.n
        voters.weights = values
        hold(result)
        try:
            _vote(&voters, rows.model, result.data, rows.dim)
        finally:
            let_go(result)
        return result
    finally:
        free(values)
        close_rows(&rows)


cdef Hypervector _bundle_list(tuple vectors, object weights, object out, HDCArena arena, object dim):
    cdef const void *few[128]
    cdef const void **pointers = few
    cdef sophia_voters voters
    cdef int64_t *values = NULL
    cdef Vector first, vector
    cdef Hypervector result
    cdef size_t i = 0, n = <size_t>len(vectors)
    cdef bint long_one
    if n == 0:
        raise ValueError("bundle: of no vectors is not defined; give at least one")
    if not is_vector(vectors[0]):
        raise TypeError(f"vectors: element 0 is a {type(vectors[0]).__name__}, not a Hypervector or "
                        "SharedVector")
    first = <Vector>vectors[0]
    if dim is not None:
        check_told(first, "vectors: element 0", dim)
    if n > 128:
        pointers = <const void **>malloc(n * sizeof(void *))
        if pointers == NULL:
            raise MemoryError(f"bundle: no memory for {n} pointers")
    try:
        # No code of a caller's runs from here to the vote: nothing that is looked at now can be taken back before.
        values = _take_weights(weights, n, &voters.total)
        for item in vectors:
            if not is_vector(item):
                raise TypeError(f"vectors: element {i} is a {type(item).__name__}, not a Hypervector or "
                                "SharedVector")
            vector = <Vector>item
            alive(vector)
            if vector.model != first.model or vector.dim != first.dim:
                check_pair(first, vector, "element 0", f"element {i}")
            pointers[i] = vector.data
            i += 1
        result = result_for(first.model, first.dim, out, arena)
        voters.list = pointers
        voters.base = NULL
        voters.stride = 0
        voters.n = n
        voters.weights = values
        long_one = n * first.nbytes > NOGIL_BYTES * 4
        if long_one:
            _pin(vectors, True)
        hold(result)
        try:
            _vote(&voters, first.model, result.data, first.dim)
        finally:
            let_go(result)
            if long_one:
                _pin(vectors, False)
        return result
    finally:
        free(values)
        if pointers != few:
            free(pointers)


cdef void _pin(tuple vectors, bint held) noexcept:
    """Holds off (or lets go) a reset of every arena that lends one of the vectors."""
    for item in vectors:
        if held:
            hold(<Vector>item)
        else:
            let_go(<Vector>item)


cdef uint64_t random_family(object name) except? 0:
    cdef Py_ssize_t size
    cdef const char *text
    if isinstance(name, str):
        try:
            text = PyUnicode_AsUTF8AndSize(name, &size)
        except UnicodeEncodeError as error:
            raise ValueError(f"name: {name!r} holds half of a pair of surrogates, at {error.start}; a name is text "
                             "that UTF-8 can say") from None
        return sophia_hash_bytes(text, <size_t>size, _NAMED).low
    if isinstance(name, int) and not isinstance(name, bool):
        return sophia_mix64(_unsigned(name, "name: the number") ^ _NUMBERED)
    raise TypeError(f"name: a {type(name).__name__} names no random vector; give a str or an int")


cdef uint64_t _unsigned(object number, str name) except? 0:
    number = whole(number, name)
    if not 0 <= number < 1 << 64:
        raise ValueError(f"{name} {number} is outside 0..2^64-1")
    return <uint64_t>number


def random(name: object, index: int = 0, *, dim: int = 10_000, str model="BSC", object out=None,
           HDCArena arena=None) -> Hypervector:
    """The random hypervector of a name (str) or number (int), and of an index within it.

    A pure function of its arguments: the same on every machine, in every process and at every SIMD level.
    Words come from a counter through a mixing bijection (SplitMix, Steele et al. 2014). The MAP vector of a
    name is the BSC one with bit 0 as +1 and bit 1 as -1. Fit for codebooks, not for secrets. Raises ValueError for
    a negative number, TypeError for a fraction.

        >>> random("colour") == random("colour"), abs(similarity(random("colour"), random("shape"))) < 0.05
        (True, True)
    """
    cdef uint64_t key = sophia_random_key(random_family(name), _unsigned(index, "index"))
    cdef int code = model_code(model)
    cdef Hypervector result = result_for(code, take_dim(dim), out, arena)
    if code == SOPHIA_BSC:
        sophia_random_b1(key, <uint64_t *>result.data, result.dim)
    else:
        sophia_random_i8(key, <int8_t *>result.data, result.dim)
    return result


def random_rows(n: int, name: object, *, dim: int = 10_000, str model="BSC"):
    """A numpy matrix whose row i is `random(name, i)`: uint8[n, padded bytes] for BSC, int8[n, dim] for
    MAP."""
    cdef Rows like
    cdef Block target
    cdef uint64_t family = random_family(name)
    cdef size_t i, count, width
    cdef object out
    n = whole(n, "n")
    if n < 0:
        raise ValueError(f"n: {n} rows")
    like.model = model_code(model)
    like.dim = take_dim(dim)
    like.dtype = U8 if like.model == SOPHIA_BSC else I8
    like.stride = sophia_row_bytes(like.model, like.dim)
    count = <size_t>n
    out = new_rows(&like, count, True)
    _open_out(&target, &like, count, True, out)
    width = <size_t>target.columns
    with nogil:
        for i in range(count):
            if like.model == SOPHIA_BSC:
                sophia_random_b1(sophia_random_key(family, i), <uint64_t *>(target.data + i * width),
                                 like.dim)
            else:
                sophia_random_i8(sophia_random_key(family, i), <int8_t *>(target.data + i * width), like.dim)
    close_block(&target)
    return out


def random_words(name: object, index: int, n: int):
    """The first n words of the random stream of a name and an index: numpy uint64[n], n at most 2^28.

    They are the bits of `random(name, index, dim=64 * n)`, whose dimension has a bound that these have not.
    Raises what random() does, ValueError for another n.

        >>> random_words("a", 0, 2).tobytes() == random("a", dim=128).tobytes()
        True
    """
    cdef Block target
    cdef uint64_t key = sophia_random_key(random_family(name), _unsigned(index, "index"))
    cdef size_t count
    cdef object out
    n = whole(n, "n")
    if not 0 <= n <= MOST_WORDS:
        raise ValueError(f"n: {n} words; from 0 to {MOST_WORDS}")
    count = <size_t>n
    out = new_array([count], "uint64")
    open_block(&target, out, "out", U64, 1, 1, 8, True)
    with nogil:
        sophia_random_words(key, <uint64_t *>target.data, count)
    close_block(&target)
    return out


def identity(*, dim: int = 10_000, str model="BSC") -> Hypervector:
    """What bind() leaves unchanged: all bits 0, or all components +1.

        >>> bind(random("a"), identity()) == random("a")
        True
    """
    return Hypervector(model, dim)


def convert(Vector a not None, str model) -> Hypervector:
    """The same vector in the other model: bit 0 is +1, bit 1 is -1. Commutes with bind, bundle and
    permute."""
    cdef int code = model_code(model)
    alive(a)
    if code == a.model:
        return a.copy()
    cdef Hypervector result = new_vector(code, a.dim, None)
    if code == SOPHIA_BSC:
        sophia_i8_to_b1(<const int8_t *>a.data, <uint64_t *>result.data, a.dim)
    else:
        sophia_b1_to_i8(<const uint64_t *>a.data, <int8_t *>result.data, a.dim)
    return result
