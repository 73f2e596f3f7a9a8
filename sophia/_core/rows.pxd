"""Operands of the batch operations: one vector, a list of them, or a matrix in foreign memory."""

from libc.stdint cimport uint8_t

from sophia._core.arena cimport HDCArena
from sophia._core.buffer cimport Block


cdef struct Rows:
    # `data` is borrowed from the operand until close_rows(), or `owned` by it (a list, copied).
    Block block
    const uint8_t *data
    void *owned
    size_t n, dim
    size_t stride           # bytes from row to row
    int model
    int dtype               # of the buffer; of its own vectors U8 (BSC) or I8 (MAP)
    bint matrix             # two dimensions, also when n is 1
    bint vector             # a Hypervector or SharedVector, no foreign memory
    void *pinned            # the HDCArena whose reset is held off, or NULL

# Raises ShapeError or TypeError. `dim` 0: told by the operand itself, and 10,000 for packed rows of 1,280
# bytes. Padding and values of foreign memory are not looked at: check_rows() does, or the scan itself.
cdef int open_rows(Rows *rows, object source, str name, size_t dim) except -1
cdef void close_rows(Rows *rows) noexcept

# The dimension that `dim`, or else a vector among the operands, says; 0 when none does.
cdef size_t told_dim(object dim, object a, object b) except? 0

# ShapeError naming row and component for a component that is neither -1 nor +1, or a set padding bit.
cdef int check_rows(const Rows *rows, str name) except -1
cdef int refuse_padding(const Rows *rows, str name) except -1

# ShapeError unless both have one model and one dimension.
cdef int check_same(const Rows *a, const Rows *b, str name_a, str name_b) except -1

# A new numpy array of n rows like those of `like` (one-dimensional without `matrix`).
cdef object new_rows(const Rows *like, size_t n, bint matrix)
cdef object new_array(object shape, str dtype)
