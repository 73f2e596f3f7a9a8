# cython: annotation_typing=False
# (with it, a parameter that is annotated as an int would cut fractions off)
"""Operands of the batch operations.

A row of a BSC matrix has the padded length (1,280 bytes for 10,000 components), as uint8 or uint64; a row of
a MAP matrix is `dim` int8. The dtype says the model; packed rows whose length is not that of 10,000 need
`dim=`.
"""

from cpython.list cimport PyList_AsTuple
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.tuple cimport PyTuple_GET_SIZE, PyTuple_GetSlice
from libc.stdint cimport int8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from sophia._core.buffer cimport I8, U8, U64, close_block, open_block
from sophia._core.vector cimport (
    SOPHIA_BSC,
    SOPHIA_MAP,
    Vector,
    alive,
    check_dim,
    hold,
    is_vector,
    let_go,
    model_name,
    sophia_first_dirty_row,
    sophia_first_not_bipolar,
    sophia_payload_bytes,
    sophia_row_bytes,
    take_dim,
)

from sophia.errors import ShapeError


cdef tuple taken(object vectors):
    if type(vectors) is tuple:
        return <tuple>vectors
    if isinstance(vectors, list):
        return PyList_AsTuple(vectors)
    return PyTuple_GetSlice(vectors, 0, PyTuple_GET_SIZE(vectors))


cdef Vector _first(object source):
    """The vector that an operand is, or that a list of them starts with, or None."""
    if is_vector(source):
        return <Vector>source
    if isinstance(source, (list, tuple)):
        vectors = taken(source)
        if vectors and is_vector(vectors[0]):
            return <Vector>vectors[0]
    return None


cdef size_t told_dim(object dim, object a, object b) except? 0:
    cdef Vector vector
    if dim is not None:
        return take_dim(dim)
    vector = _first(a)
    if vector is None and is_vector(b):
        vector = <Vector>b
    return 0 if vector is None else vector.dim


cdef int _from_vector(Rows *rows, Vector vector) except -1:
    alive(vector)
    rows.data = vector.data
    rows.n = 1
    rows.dim = vector.dim
    rows.stride = vector.nbytes
    rows.model = vector.model
    rows.dtype = U8 if vector.model == SOPHIA_BSC else I8
    rows.vector = True
    rows.owner = <void *>vector
    Py_INCREF(vector)
    hold(vector)
    return 0


cdef int _from_list(Rows *rows, tuple vectors, str name) except -1:
    """Copies: the rows of a scan must lie one behind the other."""
    cdef Vector vector
    cdef size_t i = 0, size
    if not vectors:
        raise ValueError(f"{name}: an empty list")
    if not is_vector(vectors[0]):
        raise TypeError(f"{name}: element 0 is a {type(vectors[0]).__name__}, not a Hypervector or "
                        "SharedVector")
    vector = <Vector>vectors[0]
    alive(vector)
    rows.model = vector.model
    rows.dim = vector.dim
    rows.n = <size_t>len(vectors)
    rows.dtype = U8 if vector.model == SOPHIA_BSC else I8
    rows.matrix = True
    size = vector.nbytes if vector.model == SOPHIA_BSC else vector.dim
    rows.stride = size
    rows.owned = malloc(rows.n * size)
    if rows.owned == NULL:
        raise MemoryError(f"{name}: no memory for {rows.n} rows of {size} bytes")
    rows.data = <uint8_t *>rows.owned
    try:
        for item in vectors:
            if not is_vector(item):
                raise TypeError(f"{name}: element {i} is a {type(item).__name__}, not a Hypervector or "
                                "SharedVector")
            vector = <Vector>item
            alive(vector)
            if vector.model != rows.model or vector.dim != rows.dim:
                raise ShapeError(
                    f"{name}: element {i} is {model_name(vector.model)} dim={vector.dim}, element 0 is "
                    f"{model_name(rows.model)} dim={rows.dim}"
                )
            memcpy(<uint8_t *>rows.owned + i * size, vector.data, size)
            i += 1
    except BaseException:
        close_rows(rows)
        raise
    return 0


cdef int open_rows(Rows *rows, object source, str name, size_t dim) except -1:
    cdef size_t size
    memset(rows, 0, sizeof(Rows))
    if is_vector(source):
        return _from_vector(rows, <Vector>source)
    if isinstance(source, (list, tuple)):
        return _from_list(rows, taken(source), name)
    open_block(&rows.block, source, name, U8 | U64 | I8, 1, 2, 1, False)
    try:
        rows.data = <uint8_t *>rows.block.data
        rows.n = <size_t>rows.block.rows
        rows.matrix = rows.block.ndim == 2
        rows.dtype = rows.block.dtype
        size = <size_t>(rows.block.columns * rows.block.itemsize)
        rows.stride = size
        if rows.dtype == I8:
            rows.model = SOPHIA_MAP
            check_dim(rows.block.columns)
            rows.dim = size
            return 0
        rows.model = SOPHIA_BSC
        rows.dim = dim
        if dim == 0:
            if size != sophia_row_bytes(SOPHIA_BSC, 10_000):
                raise ShapeError(f"{name}: packed rows of {size} bytes do not say how many bits they carry; "
                                 "pass dim=")
            rows.dim = 10_000
        if size != sophia_row_bytes(SOPHIA_BSC, rows.dim):
            raise ShapeError(
                f"{name}: packed rows of {size} bytes where dim={rows.dim} needs "
                f"{sophia_row_bytes(SOPHIA_BSC, rows.dim)} ({sophia_payload_bytes(SOPHIA_BSC, rows.dim)} "
                "bytes of bits, padded with zero bits to a multiple of 64)"
            )
        if <size_t>rows.data % 8:
            raise ShapeError(f"{name}: packed rows must start at a multiple of 8 bytes; pass {name}.copy()")
    except BaseException:
        close_rows(rows)
        raise
    return 0


cdef int open_operand(Rows *rows, object source, str name, object dim, size_t told) except -1:
    open_rows(rows, source, name, told)
    if dim is not None and rows.dim != told:
        given = f"{model_name(rows.model)} dim={rows.dim}"
        close_rows(rows)
        raise ShapeError(f"{name}: {given} where dim={told} says otherwise")
    return 0


cdef int check_told(Vector vector, str name, object dim) except -1:
    cdef size_t told
    if dim is None:
        return 0
    told = take_dim(dim)
    if vector.dim != told:
        raise ShapeError(f"{name}: {model_name(vector.model)} dim={vector.dim} where dim={told} says otherwise")
    return 0


cdef int own_rows(Rows *rows, str name) except -1:
    cdef size_t size = rows.n * rows.stride
    cdef void *copy = malloc(size if size else 1)
    if copy == NULL:
        raise MemoryError(f"{name}: no memory for a copy of {size} bytes")
    memcpy(copy, rows.data, size)
    free(rows.owned)
    rows.owned = copy
    rows.data = <uint8_t *>copy
    return 0


cdef void close_rows(Rows *rows) noexcept:
    cdef void *owner = rows.owner
    if owner != NULL:
        rows.owner = NULL
        let_go(<Vector>owner)
        Py_DECREF(<Vector>owner)
    if rows.owned != NULL:
        free(rows.owned)
        rows.owned = NULL
    close_block(&rows.block)


cdef int refuse_padding(const Rows *rows, str name) except -1:
    cdef size_t i
    if rows.n < 4096:                        # giving up the GIL costs more than the check
        i = sophia_first_dirty_row(<const uint64_t *>rows.data, rows.n, rows.stride // 8, rows.dim)
    else:
        with nogil:
            i = sophia_first_dirty_row(<const uint64_t *>rows.data, rows.n, rows.stride // 8, rows.dim)
    return refuse_dirty(i, rows, name) if i < rows.n else 0


cdef int refuse_dirty(size_t i, const Rows *rows, str name) except -1:
    raise ShapeError(
        f"{name}: row {i} has a bit set past bit {rows.dim - 1}; padding bits must be zero, or distances "
        "would count them"
    )


cdef int check_rows(const Rows *rows, str name) except -1:
    cdef size_t i, bad
    if rows.vector or rows.owned != NULL:
        return 0                             # checked when the vectors were made
    if rows.model == SOPHIA_BSC:
        return refuse_padding(rows, name)
    with nogil:
        bad = sophia_first_not_bipolar(<const int8_t *>rows.data, rows.n * rows.dim)
    if bad < rows.n * rows.dim:
        i = bad // rows.dim
        raise ShapeError(
            f"{name}: row {i}, component {bad % rows.dim} is {(<const int8_t *>rows.data)[bad]}; MAP vectors "
            "hold only -1 and +1"
        )
    return 0


cdef int check_same(const Rows *a, const Rows *b, str name_a, str name_b) except -1:
    if a.model != b.model or a.dim != b.dim:
        raise ShapeError(
            f"{name_a} is {model_name(a.model)} dim={a.dim}, {name_b} is {model_name(b.model)} dim={b.dim}; "
            "both must have one model and one dimension"
        )
    return 0


cdef object new_array(object shape, str dtype):
    import numpy

    if len(shape) == 1:
        return numpy.empty(shape, dtype)
    # numpy starts an array 16 bytes past a cache line; rows scan faster when they start on one
    cdef size_t item = numpy.dtype(dtype).itemsize, size = shape[0] * shape[1] * item
    cdef object memory = numpy.empty(size + 63, "uint8")
    cdef size_t skip = (64 - <size_t>memory.ctypes.data % 64) % 64
    return memory[skip:skip + size].view(dtype).reshape(shape)


cdef object new_rows(const Rows *like, size_t n, bint matrix):
    cdef size_t columns = like.stride
    cdef str dtype = "int8" if like.dtype == I8 else "uint64" if like.dtype == U64 else "uint8"
    if like.model == SOPHIA_MAP:
        columns = like.dim
    elif like.dtype == U64:
        columns //= 8
    return new_array([n, columns] if matrix else [columns], dtype)


def shape_of(source: object, dim: int | None = None) -> tuple[str, int, int]:
    """How the core reads an operand: (model, dimension, rows).

    Raises ShapeError or TypeError as every batch operation does, also where the operand is not of `dim`.

        >>> from sophia._core.vector import Hypervector
        >>> shape_of([Hypervector("MAP", 100), Hypervector("MAP", 100)])
        ('MAP', 100, 2)
    """
    cdef Rows rows
    open_operand(&rows, source, "source", dim, told_dim(dim, source, None))
    try:
        return model_name(rows.model), rows.dim, rows.n
    finally:
        close_rows(&rows)
