"""Operands of the batch operations: one vector, a list of them, or a matrix in foreign memory."""

from libc.stdint cimport uint8_t

from sophia._core.buffer cimport Block
from sophia._core.vector cimport Vector


cdef struct Rows:
    # `data` is borrowed from the operand, which is held until close_rows(), or `owned` (copied).
    Block block
    const uint8_t *data
    void *owned
    size_t n, dim
    size_t stride           # bytes from row to row
    int model
    int dtype               # of the buffer; of its own vectors U8 (BSC) or I8 (MAP)
    bint matrix             # two dimensions, also when n is 1
    bint vector             # a Hypervector or SharedVector, no foreign memory
    void *owner             # that vector, one reference of it ours and its arena held, or NULL

# Raises ShapeError or TypeError. `dim` 0: told by the operand itself, and 10,000 for packed rows of 1,280
# bytes. Padding and values of foreign memory are not looked at: check_rows() does, or the scan itself.
cdef int open_rows(Rows *rows, object source, str name, size_t dim) except -1
cdef void close_rows(Rows *rows) noexcept

# open_rows() with what told_dim() found in `dim`; ShapeError too where `dim` is not None and not the operand's own.
cdef int open_operand(Rows *rows, object source, str name, object dim, size_t told) except -1
cdef int check_told(Vector vector, str name, object dim) except -1

# A list or tuple, or what a subclass of them holds, as an exact tuple; runs no code of the subclass.
cdef tuple taken(object vectors)

# Copies the rows, so that a result may be written over them.
cdef int own_rows(Rows *rows, str name) except -1

# The dimension that `dim`, or else a vector among the operands, says; 0 when none does.
cdef size_t told_dim(object dim, object a, object b) except? 0

# ShapeError naming row and component for a component that is neither -1 nor +1, or a set padding bit.
cdef int check_rows(const Rows *rows, str name) except -1
cdef int refuse_padding(const Rows *rows, str name) except -1
cdef int refuse_dirty(size_t i, const Rows *rows, str name) except -1     # row i is known to have such bits

# ShapeError unless both have one model and one dimension.
cdef int check_same(const Rows *a, const Rows *b, str name_a, str name_b) except -1

# A new numpy array of n rows like those of `like` (one-dimensional without `matrix`).
cdef object new_rows(const Rows *like, size_t n, bint matrix)
cdef object new_array(object shape, str dtype)
