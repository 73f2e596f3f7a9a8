# cython: auto_pickle=False
"""Codebooks: rows of hypervectors, copied once into the layout that the fused encoders read."""

cimport cython
from libc.stdint cimport int8_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from sophia._core.rows cimport Rows, check_rows, close_rows, open_operand, told_dim
from sophia._core.vector cimport SOPHIA_BSC, SOPHIA_MOST_DIM, model_name

from sophia.errors import ShapeError


cdef extern from "stdlib.h" nogil:
    int posix_memalign(void **block, size_t alignment, size_t size)

cdef extern from "ballot.h" nogil:
    size_t sophia_vote_words(size_t dim) noexcept

cdef extern from "hv_ops.h" nogil:
    void sophia_i8_to_b1(const int8_t *source, uint64_t *out, size_t dim) noexcept


@cython.final
cdef class Codebook:
    """A copy of hypervectors (a matrix, or a list of them), packed, for encoders that read them often.

    `name` is what errors call it. Raises ShapeError or TypeError as every batch operation does, also where the rows are
    not of `dim`, and ValueError for no rows. Costs n x dim / 8 bytes.
    """

    def __cinit__(self, source, str name="codebook", *, dim=None):
        cdef Rows rows
        cdef void *block = NULL
        cdef size_t i
        cdef uint64_t *row
        open_operand(&rows, source, name, dim, told_dim(dim, source, None))
        try:
            check_rows(&rows, name)
            if rows.n == 0 or rows.n > SOPHIA_MOST_DIM:
                raise ValueError(f"{name}: {rows.n} rows; it holds 1 to {SOPHIA_MOST_DIM}")
            self.n = rows.n
            self.dim = rows.dim
            self.model = rows.model
            self.words = sophia_vote_words(rows.dim)
            if posix_memalign(&block, 64, self.n * self.words * 8):
                raise MemoryError(f"{name}: no memory for {self.n} rows of {8 * self.words} bytes")
            self.data = <uint64_t *>block
            with nogil:
                memset(self.data, 0, self.n * self.words * 8)
                for i in range(self.n):
                    row = self.data + i * self.words
                    if rows.model == SOPHIA_BSC:
                        memcpy(row, rows.data + i * rows.stride, rows.stride)
                    else:
                        sophia_i8_to_b1(<const int8_t *>(rows.data + i * rows.stride), row, rows.dim)
        finally:
            close_rows(&rows)

    def __dealloc__(self):
        free(self.data)

    def __len__(self):
        return self.n


cdef int check_alike(Codebook a, Codebook b, str name_a, str name_b) except -1:
    if a.model != b.model or a.dim != b.dim:
        raise ShapeError(
            f"{name_a} is {model_name(a.model)} dim={a.dim}, {name_b} is {model_name(b.model)} dim={b.dim}; "
            "both must have one model and one dimension"
        )
    return 0
