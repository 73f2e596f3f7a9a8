"""Codebooks: rows of hypervectors, copied once into the layout that the fused encoders read."""

cimport cython
from libc.stdint cimport int8_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from sophia._core.buffer cimport I8, U8, Block, close_block, open_block
from sophia._core.rows cimport Rows, check_rows, close_rows, new_array, open_rows, told_dim
from sophia._core.vector cimport SOPHIA_BSC, SOPHIA_MOST_DIM, model_name, sophia_row_bytes

from sophia.errors import ShapeError


cdef extern from "stdlib.h" nogil:
    int posix_memalign(void **block, size_t alignment, size_t size)

cdef extern from "ballot.h" nogil:
    size_t sophia_vote_words(size_t dim) noexcept

cdef extern from "hv_ops.h" nogil:
    void sophia_i8_to_b1(const int8_t *source, uint64_t *out, size_t dim) noexcept


_MOST_WORKERS = 64


@cython.final
cdef class Codebook:
    """A copy of hypervectors (a matrix, or a list of them), packed, for encoders that read them often.

    `name` is what errors call it. Raises ShapeError or TypeError as every batch operation does, and ValueError for no
    rows. Costs n x dim / 8 bytes.
    """

    def __cinit__(self, source, str name="codebook", *, dim=None):
        cdef Rows rows
        cdef void *block = NULL
        cdef size_t i
        cdef uint64_t *row
        open_rows(&rows, source, name, told_dim(dim, source, None))
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


cdef class Job:
    """A batch that is being encoded; of no use from Python."""

    cdef object run(self, Py_ssize_t n, size_t dim, object out, object workers):
        cdef Block block
        cdef bint packed = self.form == PACKED
        cdef size_t width = sophia_row_bytes(SOPHIA_BSC, dim) if packed else dim
        if out is None:
            out = new_array([n, width], "uint8" if packed else "int8")
        open_block(&block, out, "out", U8 if packed else I8, 2, 2, 8 if packed else 1, True)
        try:
            if block.rows != n or <size_t>block.columns != width:
                given = f"[{block.rows}, {block.columns}]"
                raise ShapeError(f"out: {given} given, [{n}, {width}] needed for {n} of dim={dim}")
            self.target = block.data
            self.step = width
            in_parts(self, n, workers)
        finally:
            close_block(&block)
        return out


def in_parts(job, Py_ssize_t n, workers):
    """Calls `job((from, to))` for parts that are 0 to `n` together: one, or one for each of `workers` threads.

    The error of the first part that has one is raised, when all have ended.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= _MOST_WORKERS:
        raise ValueError(f"workers is {workers!r}; it is a number of threads, 1 to {_MOST_WORKERS}")
    if workers == 1 or n < 2:
        job((0, n))
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(job, [(n * i // workers, n * (i + 1) // workers) for i in range(workers)]):
            pass
