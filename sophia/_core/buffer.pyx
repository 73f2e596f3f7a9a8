"""Foreign memory: numpy arrays, memory maps, Arrow buffers and `array.array`, taken without a copy.

Every compiled function that accepts a matrix takes it through `open_block`, so that a wrong dtype, a wrong
number of dimensions, a strided view or a misaligned start is refused with the same words everywhere: what was
given, where, and what to do.
"""

from cpython.buffer cimport (
    PyBUF_FORMAT,
    PyBUF_STRIDES,
    PyBUF_WRITABLE,
    PyBuffer_IsContiguous,
    PyBuffer_Release,
    PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memset

from sophia.errors import ShapeError


cdef extern from "hash.h" nogil:
    ctypedef struct sophia_hash128:
        uint64_t low
        uint64_t high
    sophia_hash128 sophia_hash_bytes(const void *data, size_t size, uint64_t key)


cdef uint64_t _DIGEST_KEY = 0x534F504844494731

_NAMES = (
    (U8, "uint8"), (I8, "int8"), (U64, "uint64"), (I32, "int32"), (I64, "int64"), (F64, "float64"),
    (U32, "uint32"), (U16, "uint16"), (I16, "int16"), (F32, "float32"), (BOOL, "bool"),
)


cdef str dtype_name(int dtype):
    for bit, name in _NAMES:
        if bit == dtype:
            return name
    return "unknown"


cdef int _dtype_of(const char *form, Py_ssize_t itemsize) noexcept:
    """The bit of a struct format, 0 for one that is none of ours (or not in this machine's byte order)."""
    if form == NULL:
        return U8
    if form[0] in b"@=<":                # little-endian machines only: the only ones we build for
        form += 1
    if form[0] == 0 or form[1] != 0:
        return 0
    if form[0] == c"?":
        return BOOL
    if form[0] == c"d":
        return F64
    if form[0] == c"f":
        return F32
    if form[0] in b"BHILQN":
        return U8 if itemsize == 1 else U16 if itemsize == 2 else U32 if itemsize == 4 else U64
    if form[0] in b"bhilqn":
        return I8 if itemsize == 1 else I16 if itemsize == 2 else I32 if itemsize == 4 else I64
    if form[0] == c"c":
        return U8
    return 0


cdef str _accepted(int dtypes):
    return " or ".join([name for bit, name in _NAMES if bit & dtypes])


cdef str _shape(const Py_buffer *view):
    return "[" + ", ".join([str(view.shape[i]) for i in range(view.ndim)]) + "]"


cdef int open_block(Block *block, object source, str name, int dtypes, int least_ndim, int most_ndim,
                    Py_ssize_t alignment, bint writable) except -1:
    memset(block, 0, sizeof(Block))
    if not PyObject_CheckBuffer(source):
        raise TypeError(
            f"{name}: a {type(source).__name__} has no buffer; give a numpy array or another "
            f"object with the buffer protocol, dtype {_accepted(dtypes)}"
        )
    try:
        PyObject_GetBuffer(source, &block.view,
                           PyBUF_FORMAT | PyBUF_STRIDES | (PyBUF_WRITABLE if writable else 0))
    except (BufferError, ValueError) as error:
        if writable:
            raise ShapeError(f"{name}: needs writable memory ({error}); give an array that is not "
                             "read-only") from None
        raise
    block.held = True
    cdef Py_buffer *view = &block.view
    try:
        block.dtype = _dtype_of(view.format, view.itemsize)
        if not block.dtype & dtypes:
            given = dtype_name(block.dtype)
            if not block.dtype:
                given = (view.format or b"").decode("ascii", "replace")
            raise ShapeError(
                f"{name}: dtype {given} where {_accepted(dtypes)} is needed; "
                f"convert it first, e.g. {name}.astype(...)"
            )
        if not least_ndim <= view.ndim <= most_ndim:
            wanted = str(least_ndim) if least_ndim == most_ndim else f"{least_ndim} or {most_ndim}"
            raise ShapeError(
                f"{name}: {view.ndim} dimensions, shape {_shape(view)}, where {wanted} are needed; reshape "
                "it first"
            )
        if not PyBuffer_IsContiguous(view, c"C"):
            raise ShapeError(
                f"{name}: shape {_shape(view)} is not C-contiguous; pass numpy.ascontiguousarray({name})"
            )
        if alignment > 1 and view.len and <uintptr_t>view.buf % alignment:
            raise ShapeError(
                f"{name}: memory starts at an address that is not a multiple of {alignment}; pass a copy, "
                f"e.g. {name}.copy()"
            )
    except BaseException:
        close_block(block)
        raise
    block.data = <char *>view.buf
    block.itemsize = view.itemsize
    block.ndim = view.ndim
    block.columns = view.shape[view.ndim - 1] if view.ndim else 1
    block.rows = view.shape[0] if view.ndim == 2 else 1
    return 0


cdef void close_block(Block *block) noexcept:
    if block.held:
        block.held = False
        PyBuffer_Release(&block.view)


def describe(source: object) -> tuple[str, tuple[int, ...]]:
    """The dtype and shape of a buffer as the compiled core sees them.

    Takes any object with the buffer protocol, of 0 to 8 dimensions, C-contiguous; copies nothing. Raises
    ShapeError for a layout or dtype that the core does not take, TypeError for an object without a buffer.

        >>> describe(b"abc")
        ('uint8', (3,))
    """
    cdef Block block
    open_block(&block, source, "source", ~0, 0, 8, 1, False)
    try:
        return dtype_name(block.dtype), tuple([block.view.shape[i] for i in range(block.ndim)])
    finally:
        close_block(&block)


def digest(source: object) -> bytes:
    """16 bytes that tell whether a block of memory is still what it was: bytes, or any buffer that is contiguous.

    For damage, not against an enemy: who wants to can make another block with the same digest. About 2.5 GB a second,
    with the GIL released. Raises ShapeError for what exports no bytes.

        >>> digest(b"abc") == digest(bytearray(b"abc")) != digest(b"abd")
        True
    """
    cdef Block block
    cdef sophia_hash128 found
    open_block(&block, memoryview(source).cast("B"), "source", U8, 1, 1, 1, False)
    try:
        with nogil:
            found = sophia_hash_bytes(block.data, <size_t>block.columns, _DIGEST_KEY)
    finally:
        close_block(&block)
    return int(found.low).to_bytes(8, "little") + int(found.high).to_bytes(8, "little")
