"""Foreign memory taken through the buffer protocol, checked once: dtype, dimensions, layout, alignment."""

# The dtypes a caller accepts, as a set of bits.
cdef enum:
    U8 = 1
    I8 = 2
    U64 = 4
    I32 = 8
    I64 = 16
    F64 = 32
    U32 = 64
    U16 = 128
    I16 = 256
    F32 = 512
    BOOL = 1024

cdef struct Block:
    # `data` is borrowed from the exporter until close_block().
    Py_buffer view
    char *data
    Py_ssize_t rows         # 1 for a one-dimensional buffer
    Py_ssize_t columns
    Py_ssize_t itemsize
    int dtype               # exactly one of the bits above
    int ndim                # 1 or 2
    bint held

# Raises ShapeError (wrong dtype, dimensions, layout, alignment, read-only) or TypeError (no buffer at all).
# `name` is the argument as the caller wrote it. On success the buffer is held until close_block().
cdef int open_block(Block *block, object source, str name, int dtypes, int least_ndim, int most_ndim,
                    Py_ssize_t alignment, bint writable) except -1

# Lets the buffer go; safe on a block that was never opened if its memory was zeroed, and twice.
cdef void close_block(Block *block) noexcept

cdef str dtype_name(int dtype)

# Whether two pieces of memory have a byte in common.
cdef inline bint overlap(const void *a, size_t size_a, const void *b, size_t size_b) noexcept nogil:
    return size_a and size_b and <size_t>a < <size_t>b + size_b and <size_t>b < <size_t>a + size_a
